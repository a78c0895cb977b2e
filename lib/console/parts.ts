/** Pieces of pages. Every value is escaped by the template; none is ever put in as HTML. */
import { html } from 'hono/html';
import type { Markup, PageCall } from './page.ts';
import { type ApiFailure, type Query, queryText } from './v1.ts';

/** Where the console is. */
export const BASE = '/console';

const WHOLE = new Intl.NumberFormat('en');
const SHARE = new Intl.NumberFormat('en', { maximumFractionDigits: 2 });

export function count(value: number | undefined): string {
  return value === undefined ? '–' : WHOLE.format(value);
}

/** A share of a whole, in percent. */
export function percent(part: number, whole: number): string {
  return whole === 0 ? '–' : `${SHARE.format((part / whole) * 100)} %`;
}

export function plural(number: number, noun: string): string {
  return `${count(number)} ${noun}${number === 1 ? '' : 's'}`;
}

/** The first of a long list, and how many follow. */
export function some(list: readonly string[], most = 8): string {
  const rest = list.length - most;
  return rest > 0 ? `${list.slice(0, most).join(', ')} and ${count(rest)} more` : list.join(', ');
}

const STEPS = [
  [60, 'second'],
  [60, 'minute'],
  [24, 'hour'],
  [Number.POSITIVE_INFINITY, 'day'],
] as const;

/** A duration for a person, to one unit. */
export function duration(ms: number): string {
  let value = Math.max(0, ms) / 1000;
  for (const [size, unit] of STEPS) {
    if (value < size)
      return value < 1 && unit === 'second' ? 'under a second' : plural(Math.floor(value), unit);
    value /= size;
  }
  return '';
}

/** A time, in UTC, as the API gives it. */
export function time(iso: string | undefined): Markup | string {
  if (iso === undefined) return '–';
  const [day, rest = ''] = iso.split('T');
  return html`<time datetime="${iso}">${day} ${rest.slice(0, 8)}</time>`;
}

/** A time with its distance from now. */
export function when(iso: string | undefined, now: number): Markup | string {
  if (iso === undefined) return '–';
  const away = Date.parse(iso) - now;
  const words = away > 0 ? `in ${duration(away)}` : `${duration(-away)} ago`;
  return html`<time datetime="${iso}">${words}</time>`;
}

export type Tone = 'good' | 'warn' | 'bad' | 'calm';

const TONES: Readonly<Record<string, Tone>> = {
  delivered: 'good',
  deferred: 'warn',
  bounced: 'bad',
  expired: 'bad',
  suppressed: 'bad',
  cancelled: 'calm',
};

/** A word with a colour, which repeats what the word says. */
export function badge(text: string, tone: Tone = TONES[text] ?? 'calm'): Markup {
  return html`<span class="badge ${tone}">${text}</span>`;
}

/** A table that scrolls sideways where it is too wide, by keyboard too. */
export function table(caption: string, heads: readonly (Markup | string)[], rows: readonly Markup[]): Markup {
  if (rows.length === 0) return html`<p class="empty">${caption}: none.</p>`;
  return html`<div class="scroll" role="region" tabindex="0" aria-label="${caption}"><table>
    <caption class="hidden">${caption}</caption>
    <thead><tr>${heads.map((one) => head(one))}</tr></thead>
    <tbody>${rows}</tbody></table></div>`;
}

function head(given: Markup | string): Markup {
  if (typeof given !== 'string') return html`<th scope="col">${given}</th>`;
  const numeric = given.startsWith('#');
  return html`<th scope="col" class="${numeric ? 'n' : ''}">${numeric ? given.slice(1) : given}</th>`;
}

export function link(path: string, text: Markup | string, query: Query = {}): Markup {
  return html`<a href="${pathTo(path, query)}">${text}</a>`;
}

export function pathTo(path: string, query: Query = {}): string {
  const text = queryText(query);
  return `${BASE}${path}${text && `?${text}`}`;
}

/** The way to the next page of a list, and back to its beginning. */
export function pager(call: PageCall, path: string, next: string | undefined): Markup | string {
  const asked = Object.fromEntries(call.query);
  const { after, ...rest } = asked;
  if (next === undefined && after === undefined) return '';
  return html`<nav class="pager" aria-label="Pages">
    ${after === undefined ? '' : link(path, 'First page', rest)}
    ${next === undefined ? '' : link(path, 'Next page', { ...rest, after: next })}</nav>`;
}

/** Why something was refused, in the words of the API. */
export function problem(failure: ApiFailure | undefined): Markup | string {
  if (!failure) return '';
  return html`<div class="note bad" role="alert"><p><strong>${failure.message}</strong></p>${
    failure.action ? html`<p>${failure.action}</p>` : ''
  }<p class="quiet">${failure.code}</p></div>`;
}

/** A form of this page. `act` is what its button does. */
export function form(call: PageCall, act: string, content: Markup, { files = false, id = '' } = {}): Markup {
  return html`<form method="post" id="${id || `form-${act}`}" enctype="${
    files ? 'multipart/form-data' : 'application/x-www-form-urlencoded'
  }"><input type="hidden" name="token" value="${call.token}"><input type="hidden" name="do" value="${act}">${content}</form>`;
}

export interface FieldOptions {
  label: string;
  name: string;
  value?: string;
  hint?: Markup | string;
  type?: 'text' | 'search' | 'number' | 'date' | 'url' | 'datetime-local';
  required?: boolean;
  list?: readonly string[];
}

export function field(options: FieldOptions): Markup {
  const { label, name, value = '', hint = '', type = 'text', required = false, list } = options;
  const choices = list
    ? html`<datalist id="list-${name}">${list.map((one) => html`<option value="${one}"></option>`)}</datalist>`
    : '';
  return html`<p class="field"><label>${label}<input type="${type}" name="${name}" value="${value}" ${required ? 'required' : ''} ${
    list ? html`list="list-${name}"` : ''
  } autocomplete="off" spellcheck="false">${hinted(hint)}</label>${choices}</p>`;
}

function hinted(hint: Markup | string): Markup | string {
  return hint === '' ? '' : html`<small>${hint}</small>`;
}

export interface ChoiceOptions {
  label: string;
  name: string;
  options: readonly (readonly [value: string, text: string])[];
  value?: string;
  hint?: string;
}

export function choice({ label, name, options, value = '', hint = '' }: ChoiceOptions): Markup {
  return html`<p class="field"><label>${label}<select name="${name}">${options.map(
    ([one, text]) => html`<option value="${one}" ${one === value ? 'selected' : ''}>${text}</option>`,
  )}</select>${hinted(hint)}</label></p>`;
}

export function area(
  label: string,
  name: string,
  value: string,
  rows: number,
  hint: Markup | string = '',
): Markup {
  // The first newline of a text area is not part of its value.
  return html`<p class="field"><label>${label}<textarea name="${name}" rows="${rows}" spellcheck="false" class="code">
${value}</textarea>${hinted(hint)}</label></p>`;
}

export function button(text: string, kind: '' | 'danger' | 'second' = ''): Markup {
  return html`<button type="submit" class="${kind}">${text}</button>`;
}

/** What cannot be undone takes a second click, with or without script. */
export function sure(
  call: PageCall,
  act: string,
  text: string,
  question: Markup | string,
  more: Markup | string = '',
): Markup {
  return html`<details class="sure"><summary>${text}</summary>${form(
    call,
    act,
    html`<p>${question}</p>${more}${button(text, 'danger')}`,
    { id: `sure-${act}` },
  )}</details>`;
}

export function copy(text: string): Markup {
  return html`<button type="button" class="copy second" data-copy="${text}">Copy</button>`;
}

export function facts(pairs: readonly (readonly [string, Markup | string | undefined])[]): Markup {
  return html`<dl class="facts">${pairs
    .filter(([, value]) => value !== undefined && value !== '')
    .map(([name, value]) => html`<div><dt>${name}</dt><dd>${value}</dd></div>`)}</dl>`;
}

export interface ChartSeries {
  label: string;
  tone: Tone | 'plan';
  values: readonly (number | null)[];
  /** Drawn as a line; else as an area. */
  line?: boolean;
}

/** A chart over time. Script draws it; the table below it holds the same figures, for all. */
export function chart(
  title: string,
  times: readonly number[],
  series: readonly ChartSeries[],
  step: 'hour' | 'day',
): Markup {
  const data = JSON.stringify({ x: times.map((at) => at / 1000), series });
  const rows = times.map(
    (at, i) =>
      html`<tr><th scope="row">${new Date(at)
        .toISOString()
        .slice(0, step === 'day' ? 10 : 16)
        .replace('T', ' ')}</th>${series.map(
        ({ values }) => html`<td class="n">${count(values[i] ?? undefined)}</td>`,
      )}</tr>`,
  );
  return html`<figure class="chart"><figcaption>${title}</figcaption><div class="plot" data-chart="${data}" aria-hidden="true"></div>
    <details><summary>Figures</summary>${table(title, ['Time (UTC)', ...series.map(({ label }) => `#${label}`)], rows)}</details></figure>`;
}
