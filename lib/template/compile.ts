/**
 * Compiles one Handlebars source into steps. The library's parser builds the syntax tree (and settles white space);
 * its code generator is not used, so that no text of a tenant ever becomes JavaScript.
 *
 * Supported: variables, dotted paths, `this`, `..`, `@root @key @index @first @last`, literals, block parameters, `if
 * unless each with lookup`, `else` chains, sections (`{{#x}}`, `{{^x}}`), comments, raw blocks, `~`, and inline
 * partials. All else is refused when the template is created, not when mail is sent.
 *
 * A variable that the data lacks fails the rendering, as in SES. In conditions, loops, sections, keys, and arguments
 * of partials it counts as absent without a failure. `null` is a value and renders as nothing. Adjacent numbers stay
 * text: Handlebars without escaping would add them.
 */
import { parse as parseSource } from 'handlebars/dist/cjs/handlebars/compiler/base.js';
import { OPEN_TRACKER } from '../mail/types.ts';
import { defining, eachBlock, ifBlock, partialCall, sectionBlock, withBlock } from './blocks.ts';
import {
  compileExpression,
  compileLookup,
  compilePath,
  helperOf,
  invalid,
  type Names,
  pathOf,
} from './expressions.ts';
import { type Body, type Expression, missing, type RunStep, textOf, tooComplex } from './run.ts';
import { scanSource } from './scan.ts';

/**
 * @throws PosternError `bad_request` for a syntax error or an unsupported feature, `template_too_complex` for a
 * source that is nested too deeply or has too many tags
 */
export function compileSource(source: string): Body {
  scanSource(source);
  if (source.indexOf(OPEN_TRACKER) !== source.lastIndexOf(OPEN_TRACKER)) {
    throw invalid(`only one ${OPEN_TRACKER} may stand in it`);
  }
  return compileProgram(parse(source), []);
}

function parse(source: string): hbs.AST.Program {
  try {
    return parseSource(source);
  } catch (error) {
    // When little stack is left at the call, the parser's walk over the tree may run out of it.
    if (error instanceof RangeError) throw tooComplex('It is nested too deeply.');
    throw invalid(parserMessage(error));
  }
}

/** Compiles the whole source, or one side of a block; the scan has bounded the depth. */
function compileProgram(program: hbs.AST.Program | undefined, names: Names): Body {
  const steps: RunStep[] = [];
  const partials = new Map<string, Body>();
  for (const statement of program?.body ?? []) {
    if (statement.type === 'DecoratorBlock') {
      const block = statement as hbs.AST.DecoratorBlock;
      // A partial can be called from anywhere, so it sees no block parameters but its own.
      partials.set(inlineName(block), compileProgram(block.program, []));
    } else {
      const step = compileStatement(statement, names);
      if (step) steps.push(step);
    }
  }
  const body = sequence(steps);
  return partials.size === 0 ? body : defining(partials, body);
}

function sequence(steps: readonly RunStep[]): RunStep {
  const count = steps.length;
  return (run, scope) => {
    run.spend(count);
    for (let i = 0; i < count; i++) steps[i]!(run, scope);
  };
}

function inlineName(block: hbs.AST.DecoratorBlock): string {
  const [name] = block.params;
  const literal = name?.type === 'StringLiteral' || name?.type === 'NumberLiteral';
  if (block.path.original !== 'inline' || block.params.length !== 1 || !literal) {
    throw invalid('of decorators, only {{#*inline "name"}} is offered', block);
  }
  return String((name as hbs.AST.StringLiteral).value);
}

function compileStatement(node: hbs.AST.Statement, names: Names): RunStep | undefined {
  switch (node.type) {
    case 'ContentStatement': {
      const { value } = node as hbs.AST.ContentStatement;
      return value === '' ? undefined : (run) => run.append(value);
    }
    case 'CommentStatement':
      return undefined;
    case 'MustacheStatement':
      return compileVariable(node as hbs.AST.MustacheStatement, names);
    case 'BlockStatement':
      return compileBlock(node as hbs.AST.BlockStatement, names);
    case 'PartialStatement':
      return compilePartialCall(node as hbs.AST.PartialStatement, names);
    case 'PartialBlockStatement':
      throw invalid('partial blocks ({{#> name}}) are not offered, only {{> name}}', node);
    default:
      throw invalid('of decorators, only {{#*inline "name"}} is offered', node);
  }
}

function compileVariable(node: hbs.AST.MustacheStatement, names: Names): RunStep {
  const path = pathOf(node.path);
  // Tracking replaces the placeholder by the image after the rendering.
  if (path.original === 'ses:openTracker') return (run) => run.append(OPEN_TRACKER);
  const helper = helperOf(path);
  const { params } = node;
  if (helper !== 'lookup' && (helper || params.length > 0 || node.hash)) {
    throw invalid(`{{${path.original} …}} is not offered; only lookup takes arguments here`, node);
  }
  const value = helper ? compileLookup(node, params, names) : compilePath(path, names);
  const name = helper
    ? params.map((param) => String((param as hbs.AST.PathExpression).original)).join('.')
    : '';
  return (run, scope) => {
    const found = value(run, scope);
    if (found === undefined) throw missing(name || path.original);
    run.append(typeof found === 'string' ? found : textOf(found, run));
  };
}

function compileBlock(node: hbs.AST.BlockStatement, names: Names): RunStep {
  const path = pathOf(node.path);
  const helper = helperOf(path);
  const named = Boolean(node.program?.blockParams?.length);
  if (node.inverse?.blockParams?.length || (named && helper !== 'each' && helper !== 'with')) {
    throw invalid('block parameters (as |x|) belong to #each and #with', node);
  }
  const inside = (program: hbs.AST.Program | undefined): Body =>
    compileProgram(program, program?.blockParams?.length ? [program.blockParams, ...names] : names);
  const branches = { main: inside(node.program), inverse: inside(node.inverse), named };
  if (!helper && node.params.length === 0 && !node.hash)
    return sectionBlock(compilePath(path, names), branches);
  if (node.params.length !== 1) throw invalid(`#${path.original} needs exactly one argument`, node);
  const argument = compileExpression(node.params[0]!, names);
  switch (helper) {
    case 'if':
      return ifBlock(argument, includeZero(node, names), branches);
    case 'unless':
      return ifBlock(argument, includeZero(node, names), {
        main: branches.inverse,
        inverse: branches.main,
        named,
      });
    case 'each':
      return eachBlock(argument, branches);
    case 'with':
      return withBlock(argument, branches);
    default:
      throw invalid(`{{#${path.original} …}} is not offered; of blocks, if, unless, each and with are`, node);
  }
}

function includeZero(node: hbs.AST.BlockStatement, names: Names): Expression {
  const pair = node.hash?.pairs.find((candidate) => candidate.key === 'includeZero');
  return pair ? compileExpression(pair.value, names) : () => false;
}

function compilePartialCall(node: hbs.AST.PartialStatement, names: Names): RunStep {
  if (node.params.length > 1) throw invalid('a partial takes at most one argument', node);
  const written = String((node.name as hbs.AST.PathExpression).original);
  const name = node.name.type === 'SubExpression' ? compileExpression(node.name, names) : () => written;
  const given: Expression = node.params[0]
    ? compileExpression(node.params[0], names)
    : (_run, scope) => scope.context;
  const pairs = (node.hash?.pairs ?? []).map((pair) => ({
    key: pair.key,
    value: compileExpression(pair.value, names),
  }));
  if (pairs.length === 0) return partialCall(name, given, node.indent);
  const extended: Expression = (run, scope) => {
    // Without a prototype, a key `__proto__` is a key like any other.
    const context = Object.assign(Object.create(null), given(run, scope)) as Record<string, unknown>;
    run.spend(Object.keys(context).length);
    for (const { key, value } of pairs) context[key] = value(run, scope);
    return context;
  };
  return partialCall(name, extended, node.indent);
}

/** The parser's message, without the excerpt of the source that it draws. */
function parserMessage(error: unknown): string {
  const lines = (error instanceof Error ? error.message : String(error)).split('\n');
  const got = lines.length > 1 ? /got '[^']*'$/.exec(lines.at(-1)!)?.[0] : undefined;
  return `it is not valid Handlebars: ${lines[0]!.slice(0, 200).replace(/:$/, '')}${got ? `, ${got}` : ''}`;
}
