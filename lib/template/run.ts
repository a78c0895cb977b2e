/**
 * The run of a compiled template: the scope of a step, the budget of a rendering, and the only access of templates to
 * data. Templates and their data come from tenants: nothing here follows a prototype, calls a function, or runs
 * without end.
 */
import { PosternError } from '../errors.ts';
import type { RenderBudget } from './types.ts';

/** One instruction of a compiled template: appends to the output of the run. */
export type RunStep = (run: Run, scope: Scope) => void;
/** The content of a block: `outer` is the scope around the block, `scope` the one inside. */
export type Body = (run: Run, scope: Scope, outer: Scope | undefined) => void;
/** A value that a template names; `undefined` when the data lacks it. */
export type Expression = (run: Run, scope: Scope) => unknown;

/** Maximum number of instructions and iterations of one rendering: about 10 ms. */
const MAX_STEPS = 250_000;
/** Maximum output of one rendering, over all its parts, characters. */
const MAX_OUTPUT = 10_000_000;
/** Maximum nesting of blocks, of partials that call partials, and of lists. */
const MAX_NESTING = 100;

/** The position of an `each`. */
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

/** An inline partial, and the scope around the block that defines it, to which its `../` refers. */
export interface Partial {
  body: Body;
  outer: Scope | undefined;
}

/** Partials defined by the blocks that are being run, innermost first. */
export interface Partials {
  own: ReadonlyMap<string, Partial>;
  parent: Partials | undefined;
}

/** The meaning of names at one place of a template. */
export class Scope {
  readonly context: unknown;
  /** The scope that `..` refers to. */
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

/** One rendering: its output and its remaining budget. */
export class Run {
  readonly root: unknown;
  out = '';
  partials: Partials | undefined = undefined;
  #steps: number;
  #room: number;
  /** Budget of the call; absent when the rendering stands alone. */
  readonly #budget: RenderBudget | undefined;
  #depth = 0;

  constructor(root: unknown, budget: RenderBudget | undefined) {
    this.root = root;
    this.#budget = budget;
    this.#steps = Math.min(MAX_STEPS, budget?.steps ?? MAX_STEPS);
    this.#room = Math.min(MAX_OUTPUT, budget?.characters ?? MAX_OUTPUT);
  }

  /** Subtracts what was spent from the budget of the call. */
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

/** Reads own properties only: `constructor`, `__proto__` and `toString` exist when the data has them. */
export function property(parent: unknown, name: string): unknown {
  if (parent === undefined || parent === null || !Object.hasOwn(parent, name)) return undefined;
  return (parent as Record<string, unknown>)[name];
}

/**
 * Converts a value to text as JavaScript does, but without calling its `toString`, which the data may define.
 * @throws PosternError `template_too_complex` for lists nested without end
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

/** Whether Handlebars counts a value as empty: everything falsy but 0, and lists without items. */
export function isEmpty(value: unknown): boolean {
  return (!value && value !== 0) || (Array.isArray(value) && value.length === 0);
}

/** Whether a JSON value can be the name of a property or of a partial: text, numbers, booleans. */
export function isKey(value: unknown): value is string | number | boolean {
  return typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean';
}

/** The failure of a variable without a value, in the words of SES. */
export function missing(name: string): PosternError {
  return new PosternError(
    'rendering_failed',
    `Attribute '${name.slice(0, 200)}' is not present in the rendering data.`,
  );
}

/** Budget of one call, over all its messages: 50 million characters, and about 0.6 s of work. */
const CALL_LIMITS: Readonly<RenderBudget> = { characters: 48 * 1024 * 1024, steps: 30_000_000 };

/** The full budget of a new call. */
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
