/**
 * Templates with the semantics of SES: Handlebars without escaping, without custom helpers, and with a failure for
 * every variable that the data lacks.
 *
 * Subject, text and HTML are three sources that share only the data. A rendered subject may contain line breaks;
 * `compose` makes them spaces.
 *
 *   source ──parse──► syntax tree ──compile──► steps ──run, within a budget──► text
 *                                   (cached)
 */
import { Cache } from '../cache.ts';
import { PosternError } from '../errors.ts';
import { compileSource } from './compile.ts';
import { type Body, Run, Scope, tooComplex } from './run.ts';
import type { RenderBudget, TemplateParts } from './types.ts';

export { mergeData, parseTemplateData } from './data.ts';

/** SES's limit of a template, all its parts together, in octets of UTF-8. */
export const MAX_SOURCE = 500 * 1024;

/** Maximum size of the cache, characters of source; its steps take about ten times as much. */
const MAX_CACHED = 4_000_000;
/** Fixed weight of a source in the cache, so that many small ones are bounded too. */
const SOURCE = 2_000;

const PARTS = ['subject', 'text', 'html'] as const;

/** A template that can be rendered any number of times. */
export interface CompiledTemplate {
  subject?: Body;
  text?: Body;
  html?: Body;
}

/** Compiled sources. */
const cache = new Cache<string, Body>(MAX_CACHED, (_, source) => SOURCE + source.length);

/**
 * Compiles a template, or finds it in the cache.
 * @throws PosternError `bad_request` for a source over 500 KB, a syntax error, or an unsupported feature;
 * `template_too_complex` for one that is nested too deeply or has too many tags
 */
export function compileTemplate(parts: TemplateParts): CompiledTemplate {
  const size = PARTS.reduce((sum, part) => sum + Buffer.byteLength(parts[part] ?? '', 'utf8'), 0);
  if (size > MAX_SOURCE) {
    throw new PosternError(
      'bad_request',
      `The template has ${size} octets; it may have at most ${MAX_SOURCE}.`,
    );
  }
  const compiled: CompiledTemplate = {};
  for (const part of PARTS) {
    const source = parts[part];
    if (source !== undefined) compiled[part] = cached(source);
  }
  return compiled;
}

/**
 * Renders a template.
 * @param data JSON values. @param budget of the call that the rendering is part of.
 * @throws PosternError `rendering_failed` for a variable that the data lacks, in SES's words, or a partial that is
 * not defined; `template_too_complex` when output, steps or nesting exceed the limits of one rendering; `too_large`
 * when the budget is spent
 */
export function renderTemplate(
  template: CompiledTemplate,
  data: Record<string, unknown>,
  budget?: RenderBudget,
): TemplateParts {
  const run = new Run(data, budget);
  const scope = new Scope(data, undefined, undefined, undefined);
  const rendered: TemplateParts = {};
  try {
    for (const part of PARTS) {
      const body = template[part];
      if (!body) continue;
      run.out = '';
      body(run, scope, undefined);
      rendered[part] = run.out;
    }
  } catch (error) {
    // Deep blocks in partials that call each other: each is within its limit, but together they exhaust the stack.
    if (error instanceof RangeError) throw tooComplex('It is nested too deeply.');
    throw error;
  } finally {
    run.settle();
  }
  return rendered;
}

function cached(source: string): Body {
  let body = cache.get(source);
  if (body === undefined) cache.set(source, (body = compileSource(source)));
  return body;
}
