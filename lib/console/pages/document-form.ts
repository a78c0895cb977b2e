/** Configuration documents: the text, its check, its versions. Shared by the pages of limits and of the other kinds. */
import { html } from 'hono/html';
import type { ApiDocument } from '../answers.ts';
import type { Acted, Markup, PageCall } from '../page.ts';
import { area, badge, button, form, sure, table, time } from '../parts.ts';
import { ApiFailure } from '../v1.ts';

/** A document as it is stored; version 0: there is none. */
export async function storedDocument({ v1 }: PageCall, kind: string): Promise<ApiDocument> {
  try {
    return await v1.get<ApiDocument>(`/config/${kind}/default`);
  } catch (error) {
    if (!(error instanceof ApiFailure) || error.status !== 404) throw error;
    return { kind, name: 'default', version: 0, at: '', by: '', removed: true };
  }
}

/** Stores a document where it is still the version that was looked at. @throws ApiFailure */
export function putDocument(
  { v1 }: PageCall,
  kind: string,
  value: object,
  version: number,
): Promise<ApiDocument> {
  return v1.send('PUT', `/config/${kind}/default`, value, { ifMatch: version });
}

export function documentText(value: object | undefined): string {
  return JSON.stringify(value ?? {}, null, 2);
}

export function state({ version, at, by, problems }: ApiDocument): Markup {
  const stands =
    version === 0
      ? 'Nothing is stored: the built-in values hold.'
      : html`Version ${version}, ${time(at)} UTC, by <code>${by}</code>`;
  return html`<p class="quiet">${stands}</p>${problems ? html`<div class="note bad" role="alert"><p><strong>It is stored, but not in force: what ran before goes on.</strong></p><p>${problems.join(' ')}</p></div>` : ''}`;
}

/** The text of a document, to be changed. */
export function editor(call: PageCall, document: ApiDocument): Markup {
  return form(
    call,
    'store',
    html`<input type="hidden" name="version" value="${document.version}">${area('Document', 'text', call.form.whole('text') ?? documentText(document.value), 22, 'JSON; checked as a whole before anything changes')}${button('Check and store')}`,
  );
}

/** The versions of a document; each but the newest can come back. */
export async function history(call: PageCall, kind: string, current: number): Promise<Markup | string> {
  if (current === 0) return '';
  const { versions } = await call.v1.get<{ versions: ApiDocument[] }>(`/config/${kind}/default/history`);
  const rows = versions.map((one, i) => {
    const before = versions[i + 1];
    return html`<tr><td class="n">${one.version}</td><td class="tight">${time(one.at)}</td><td><code>${one.by}</code></td>
<td>${one.removed ? badge('removed', 'warn') : before || one.version === 1 ? changes(before?.value, one.value) : ''}</td>
<td>${one.version === current || one.removed ? '' : sure(call, 'restore', 'Bring back', `Version ${one.version} becomes the newest one, checked as any other.`, html`<input type="hidden" name="restore" value="${one.version}"><input type="hidden" name="version" value="${current}">`)}</td></tr>`;
  });
  return html`<h2>History</h2>${table('Versions', ['#Version', 'Stored (UTC)', 'By', 'What changed', ''], rows)}`;
}

/** Lines of difference that are shown. */
const MAX_CHANGES = 8;

function changes(before: object | undefined, after: object | undefined): Markup {
  const [old, now] = [leaves(before), leaves(after)];
  const lines: Markup[] = [];
  for (const path of new Set([...old.keys(), ...now.keys()])) {
    const [was, is] = [old.get(path), now.get(path)];
    if (was !== is)
      lines.push(
        html`<li><code>${path}</code> ${was === undefined ? '' : html`<del>${was}</del>`} ${is === undefined ? '' : html`<ins>${is}</ins>`}</li>`,
      );
  }
  if (lines.length === 0) return html`<span class="quiet">nothing</span>`;
  const rest =
    lines.length > MAX_CHANGES ? html`<li class="quiet">and ${lines.length - MAX_CHANGES} more</li>` : '';
  return html`<ul class="changes">${lines.slice(0, MAX_CHANGES)}${rest}</ul>`;
}

/** Values of a document by their path. */
export function leaves(value: unknown, path = '', found = new Map<string, string>()): Map<string, string> {
  if (typeof value === 'object' && value !== null && Object.keys(value).length > 0) {
    for (const [name, member] of Object.entries(value))
      leaves(member, path === '' ? name : `${path}.${name}`, found);
  } else if (path !== '') found.set(path, JSON.stringify(value));
  return found;
}

/** What the forms of a document do. @param kind of a call. */
export function documentActs(
  kind: (call: PageCall) => string,
  back: (call: PageCall) => string,
): Record<'store' | 'restore', (call: PageCall) => Promise<Acted>> {
  return {
    async store(call) {
      let value: unknown;
      try {
        value = JSON.parse(call.form.whole('text') ?? '');
      } catch (cause) {
        throw new ApiFailure(
          400,
          'bad_request',
          `The document is not JSON: ${(cause as Error).message}.`,
          'Nothing was changed. Correct it and store it again.',
        );
      }
      if (typeof value !== 'object' || value === null)
        throw new ApiFailure(400, 'bad_request', 'The document is not a JSON object.');
      const stored = await putDocument(call, kind(call), value, Number(call.form.text('version') ?? 0));
      return {
        to: back(call),
        notice: `Version ${stored.version} is in force, everywhere within about a second.`,
      };
    },
    async restore(call) {
      const version = Number(call.form.text('restore'));
      const stored = await call.v1.send<ApiDocument>(
        'POST',
        `/config/${kind(call)}/default/rollback`,
        { version },
        { ifMatch: Number(call.form.text('version')) },
      );
      return { to: back(call), notice: `Version ${version} is back, as version ${stored.version}.` };
    },
  };
}
