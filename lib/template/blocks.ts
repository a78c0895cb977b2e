/** Blocks and partials of a running template, each made from compiled parts. */
import {
  type Body,
  type Expression,
  isEmpty,
  type Loop,
  type Partial,
  type Run,
  type RunStep,
  Scope,
  textOf,
} from './run.ts';

/** The two sides of a block: before and after `{{else}}`. */
export interface Branches {
  main: Body;
  inverse: Body;
  /** Whether the main side names its values (`as |item|`). */
  named: boolean;
}

/** `if`, and with exchanged branches `unless`. `includeZero` makes 0 count as a value. */
export function ifBlock(condition: Expression, includeZero: Expression, branches: Branches): RunStep {
  return (run, scope) => {
    const value = condition(run, scope);
    const fails = isEmpty(value) || (value === 0 && !includeZero(run, scope));
    (fails ? branches.inverse : branches.main)(run, scope, scope);
  };
}

/** `with`: the value becomes the context, unless it is empty. */
export function withBlock(target: Expression, { main, inverse, named }: Branches): RunStep {
  return (run, scope) => {
    const value = target(run, scope);
    if (isEmpty(value)) inverse(run, scope, scope);
    else {
      const names = named ? { values: [value], parent: scope.names } : scope.names;
      main(run, Scope.inside(scope, value, scope.loop, names), scope);
    }
  };
}

/** `each`: over a list, or the own properties of an object; anything else is empty. */
export function eachBlock(target: Expression, branches: Branches): RunStep {
  return (run, scope) => iterate(target(run, scope), run, scope, branches);
}

function iterate(target: unknown, run: Run, scope: Scope, { main, inverse, named }: Branches): void {
  const list = Array.isArray(target) ? (target as unknown[]) : undefined;
  const keys = list || typeof target !== 'object' || target === null ? undefined : Object.keys(target);
  const count = list?.length ?? keys?.length ?? 0;
  if (count === 0) inverse(run, scope, scope);
  const loop: Loop = { key: 0, index: 0, first: true, last: false, parent: scope.loop };
  for (let index = 0; index < count; index++) {
    const key = keys ? keys[index]! : index;
    const value = list ? list[index] : (target as Record<string, unknown>)[key];
    loop.key = key;
    loop.index = index;
    loop.first = index === 0;
    loop.last = index === count - 1;
    run.spend(1);
    const names = named ? { values: [value, key], parent: scope.names } : scope.names;
    main(run, Scope.inside(scope, value, loop, names), scope);
  }
}

/** A block that is called as a variable, `{{#x}}…{{/x}}`: a condition, a loop or a context, depending on the value. */
export function sectionBlock(target: Expression, branches: Branches): RunStep {
  return (run, scope) => {
    const value = target(run, scope);
    if (value === true) branches.main(run, scope, scope);
    else if (value === false || value === null || value === undefined) branches.inverse(run, scope, scope);
    else if (Array.isArray(value)) iterate(value, run, scope, branches);
    else branches.main(run, Scope.inside(scope, value, scope.loop, scope.names), scope);
  };
}

/** Runs a body with the inline partials that it defines, visible to it and to the partials that it calls. */
export function defining(partials: ReadonlyMap<string, Body>, body: Body): Body {
  return (run, scope, outer) => {
    const before = run.partials;
    const own = new Map<string, Partial>();
    for (const [name, partial] of partials) own.set(name, { body: partial, outer });
    run.partials = { own, parent: before };
    body(run, scope, outer);
    run.partials = before;
  };
}

/** `{{> name}}`. Every line of its output begins with `indent`, the white space before the tag. */
export function partialCall(name: Expression, context: Expression, indent: string): RunStep {
  return (run, scope) => {
    const called = textOf(name(run, scope), run);
    if (!indent) return run.call(called, context(run, scope), scope.loop);
    const before = run.out;
    run.out = '';
    run.call(called, context(run, scope), scope.loop);
    run.out = before + indented(run.out, indent, run);
  };
}

/** Indents as Handlebars does: every line, but not the empty text after the last line break. */
function indented(text: string, indent: string, run: Run): string {
  if (text === '') return '';
  const lines = text.split('\n');
  const ends = lines.at(-1) === '';
  if (ends) lines.pop();
  // Nested calls process the same text again and again, so it counts as work.
  run.spend(lines.length + (text.length >> 6));
  run.charge(lines.length * indent.length);
  return indent + lines.join(`\n${indent}`) + (ends ? '\n' : '');
}
