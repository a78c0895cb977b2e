/**
 * Expressions of a template: paths, literals, and `lookup`, the one helper that gives a value.
 */
import { PosternError } from '../errors.ts';
import { type Expression, isKey, property, type Scope } from './run.ts';

type ExpressionNode = hbs.AST.Node;
type Path = hbs.AST.PathExpression;

/** Block parameters visible at a place of the source (`as |item index|`), innermost first. */
export type Names = readonly (readonly string[])[];

/** Names that are called rather than looked up in the data. */
const HELPERS = new Set([
  'if',
  'unless',
  'each',
  'with',
  'lookup',
  'log',
  'helperMissing',
  'blockHelperMissing',
]);

/** The refusal of a template, with its position. */
export function invalid(why: string, node?: ExpressionNode): PosternError {
  const where = node?.loc ? ` (line ${node.loc.start.line}, column ${node.loc.start.column + 1})` : '';
  return new PosternError('invalid_template', `The template cannot be used: ${why.slice(0, 300)}${where}.`);
}

/**
 * The path of an expression. Handlebars reads a literal in the place of a variable as its name: `{{"first name"}}`,
 * `{{12}}`.
 */
export function pathOf(node: ExpressionNode): Path {
  if (node.type === 'PathExpression') return node as Path;
  if (node.type === 'SubExpression') throw invalid('a subexpression cannot stand here', node);
  const original = String((node as hbs.AST.StringLiteral).original);
  return { type: 'PathExpression', data: false, depth: 0, parts: [original], original, loc: node.loc };
}

/** The helper that a path calls, if any: a single name, not `this.if`, `../if` or `@if`. */
export function helperOf(path: Path): string | undefined {
  const name = path.parts[0];
  const simple = path.parts.length === 1 && path.depth === 0 && !path.data && !isScoped(path);
  return simple && HELPERS.has(name!) ? name : undefined;
}

function isScoped(path: Path): boolean {
  return /^\.|this\b/.test(path.original);
}

/** @throws PosternError `bad_request` for an unsupported helper */
export function compileExpression(node: ExpressionNode, names: Names): Expression {
  switch (node.type) {
    case 'PathExpression':
      return compilePath(node as Path, names);
    case 'SubExpression': {
      const { path, params } = node as hbs.AST.SubExpression;
      if (helperOf(pathOf(path)) !== 'lookup') {
        throw invalid(`(${pathOf(path).original} …) is not offered; only lookup gives a value`, node);
      }
      return compileLookup(node, params, names);
    }
    default: {
      const { value } = node as hbs.AST.StringLiteral; // and the other literals; undefined and null too
      const constant = node.type === 'NullLiteral' ? null : value;
      return () => constant;
    }
  }
}

/**
 * `lookup object key`: nothing for a key that is neither text nor number, and as in Handlebars, falsy objects as they
 * are.
 */
export function compileLookup(
  node: ExpressionNode,
  params: readonly ExpressionNode[],
  names: Names,
): Expression {
  if (params.length !== 2) throw invalid('lookup needs exactly two arguments', node);
  const object = compileExpression(params[0]!, names);
  const key = compileExpression(params[1]!, names);
  return (run, scope) => {
    const parent = object(run, scope);
    if (!parent) return parent;
    const name = key(run, scope);
    return isKey(name) ? property(parent, String(name)) : undefined;
  };
}

/** A variable: of the data, of a loop (`@index`), or a block parameter. */
export function compilePath(path: Path, names: Names): Expression {
  const { parts, depth } = path;
  if (path.data) return compileLoopVariable(path);
  if (depth === 0 && !isScoped(path)) {
    for (let level = 0; level < names.length; level++) {
      const place = names[level]!.indexOf(parts[0]!);
      if (place >= 0) return compileBlockParameter(level, place, parts);
    }
  }
  if (depth === 0 && parts.length === 1) {
    const name = parts[0]!;
    return (_run, scope) => property(scope.context, name);
  }
  return (_run, scope) => {
    let at: Scope | undefined = scope;
    for (let level = 0; level < depth; level++) at = at?.parent;
    return descend(at?.context, parts, 0);
  };
}

function compileBlockParameter(level: number, place: number, parts: readonly string[]): Expression {
  return (_run, scope) => {
    let at = scope.names;
    for (let i = 0; i < level; i++) at = at?.parent;
    return descend(at?.values[place], parts, 1);
  };
}

function compileLoopVariable({ parts, depth }: Path): Expression {
  const name = parts[0];
  if (name === 'root') return (run) => descend(run.root, parts, 1);
  if (name !== 'key' && name !== 'index' && name !== 'first' && name !== 'last') return () => undefined;
  return (_run, scope) => {
    let { loop } = scope;
    for (let level = 0; level < depth; level++) loop = loop?.parent;
    return descend(loop?.[name], parts, 1);
  };
}

function descend(value: unknown, parts: readonly string[], from: number): unknown {
  let found = value;
  for (let i = from; i < parts.length; i++) found = property(found, parts[i]!);
  return found;
}
