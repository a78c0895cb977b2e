/**
 * What a compiled template runs on: the scope of a step, the budget of a rendering, and the only way in
 * which templates reach data. Templates and their data come from tenants: nothing here follows a prototype,
 * calls a function, or goes on without end.
 */
import { PosternError } from '../errors.ts';
import type { RenderBudget } from './types.ts';

/** One instruction of a compiled template: appends to the output of the run. */
export type RunStep = (run: Run, scope: Scope) => void;
/** What stands inside a block: `outer` is the scope around the block, `scope` the one inside. */
export type Body = (run: Run, scope: Scope, outer: Scope | undefined) => void;
/** A value that a template names; `undefined` when the data does not have it. */
export type Expression = (run: Run, scope: Scope) => unknown;

/** Instructions and iterations of one rendering: some 10 ms. */
const MAX_STEPS = 250_000;
/** Characters that one rendering may put out, over all its parts. */
const MAX_OUTPUT = 10_000_000;
/** Blocks inside blocks, partials that call partials, lists inside lists. */
const MAX_NESTING = 100;

/** Where an `each` stands. */
export interface Loop {
  key: string | number;
  index: number;
  first: boolean;
  last: boolean;
  parent: Loop | undefined;
}

/** Values of block parameters (`as |item index|`), innermost first. */
export interface ScopeNames {
  values: readonly unknown[];
  parent: ScopeNames | undefined;
}

/** An inline partial, and the scope around the block that defines it: what its `../` refers to. */
export interface Partial {
  body: Body;
  outer: Scope | undefined;
}

/** Partials defined by the blocks that are being run, innermost first. */
export interface Partials {
  own: ReadonlyMap<string, Partial>;
  parent: Partials | undefined;
}

/** What names refer to at one place of a template. */
export class Scope {
  readonly context: unknown;
  /** What `..` refers to. */
  readonly parent: Scope | undefined;
  readonly loop: Loop | undefined;
  readonly names: ScopeNames | undefined;

  constructor(
    context: unknown,
    parent: Scope | undefined,
    loop: Loop | undefined,
    names: ScopeNames | undefined,
  ) {
    this.context = context;
    this.parent = parent;
    this.loop = loop;
    this.names = names;
  }

  /** The scope of a block with its own context. As in Handlebars, `..` skips a block that keeps the context. */
  static inside(
    outer: Scope | undefined,
    context: unknown,
    loop: Loop | undefined,
    names: ScopeNames | undefined,
  ): Scope {
    const parent = outer !== undefined && outer.context === context ? outer.parent : outer;
    return new Scope(context, parent, loop, names);
  }
}

/** One rendering: its output so far, and what it may still spend. */
export class Run {
  readonly root: unknown;
  out = '';
  partials: Partials | undefined = undefined;
  #steps: number;
  #room: number;
  /** Of the call; absent when the rendering stands alone. */
  readonly #budget: RenderBudget | undefined;
  #depth = 0;

  constructor(root: unknown, budget: RenderBudget | undefined) {
    this.root = root;
    this.#budget = budget;
    this.#steps = Math.min(MAX_STEPS, budget?.steps ?? MAX_STEPS);
    this.#room = Math.min(MAX_OUTPUT, budget?.characters ?? MAX_OUTPUT);
  }

  /** Takes what was spent off the budget of the call. */
  settle(): void {
    if (!this.#budget) return;
    this.#budget.characters -= Math.min(MAX_OUTPUT, this.#budget.characters) - this.#room;
    this.#budget.steps -= Math.min(MAX_STEPS, this.#budget.steps) - this.#steps;
  }

  append(text: string): void {
    this.charge(text.length);
    this.out += text;
  }

  /** Counts characters of output. @throws PosternError `template_too_complex`, `too_large` (the call's budget) */
  charge(characters: number): void {
    this.#room -= characters;
    if (this.#room >= 0) return;
    const { characters: left = MAX_OUTPUT } = this.#budget ?? {};
    if (left < MAX_OUTPUT) throw callTooLarge('characters');
    throw tooComplex(`Its output is longer than ${MAX_OUTPUT} characters.`);
  }

  /** Counts work. @throws PosternError `template_too_complex`, `too_large` (the call's budget) */
  spend(steps: number): void {
    this.#steps -= steps;
    if (this.#steps >= 0) return;
    const { steps: left = MAX_STEPS } = this.#budget ?? {};
    if (left < MAX_STEPS) throw callTooLarge('steps');
    throw tooComplex(`It takes more than ${MAX_STEPS} steps; loop over less.`);
  }

  /**
   * Runs an inline partial on a context.
   * @throws PosternError `rendering_failed` when no block around the call defines it,
   * `template_too_complex` when partials call each other without end
   */
  call(name: string, context: unknown, loop: Loop | undefined): void {
    let frame = this.partials;
    while (frame !== undefined && !frame.own.has(name)) frame = frame.parent;
    const partial = frame?.own.get(name);
    if (!partial) {
      throw new PosternError(
        'rendering_failed',
        `Partial '${name.slice(0, 200)}' is not defined in this part of the template.`,
      );
    }
    if (++this.#depth > MAX_NESTING) throw tooComplex(`Its partials are nested over ${MAX_NESTING} deep.`);
    partial.body(this, Scope.inside(partial.outer, context, loop, undefined), partial.outer);
    this.#depth--;
  }
}

/** Own properties only: `constructor`, `__proto__` and `toString` are there when the data has them. */
export function property(parent: unknown, name: string): unknown {
  if (parent === undefined || parent === null || !Object.hasOwn(parent, name)) return undefined;
  return (parent as Record<string, unknown>)[name];
}

/**
 * A value as text, as JavaScript writes it; without calling its `toString`, which the data may define.
 * @throws PosternError `template_too_complex` for lists inside lists without end
 */
export function textOf(value: unknown, run: Run, depth = 0): string {
  if (typeof value === 'string') return value;
  if (value === null || value === undefined) return '';
  if (Array.isArray(value)) {
    if (depth > MAX_NESTING) throw tooComplex(`A list in its data is nested over ${MAX_NESTING} deep.`);
    run.spend(value.length);
    return value.map((item) => textOf(item, run, depth + 1)).join(',');
  }
  return isKey(value) ? String(value) : '[object Object]';
}

/** What Handlebars takes for empty: everything falsy but 0, and lists without items. */
export function isEmpty(value: unknown): boolean {
  return (!value && value !== 0) || (Array.isArray(value) && value.length === 0);
}

/** JSON's values with a text of their own: what can be the name of a property or of a partial. */
export function isKey(value: unknown): value is string | number | boolean {
  return typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean';
}

/** SES's words for a variable without a value. */
export function missing(name: string): PosternError {
  return new PosternError(
    'rendering_failed',
    `Attribute '${name.slice(0, 200)}' is not present in the rendering data.`,
  );
}

/** Bounds of what one call may render, over all its messages: 50 million characters, and some 0.6 s of work. */
const CALL_LIMITS: Readonly<RenderBudget> = { characters: 48 * 1024 * 1024, steps: 30_000_000 };

/** The budget of a call that has rendered nothing yet. */
export function callBudget(): RenderBudget {
  return { ...CALL_LIMITS };
}

function callTooLarge(unit: keyof RenderBudget): PosternError {
  return new PosternError(
    'too_large',
    `The templates of this call take more than ${CALL_LIMITS[unit]} ${unit} together. Name fewer recipients a call.`,
  );
}

export function tooComplex(why: string): PosternError {
  return new PosternError('template_too_complex', `The template is too complex. ${why}`);
}
