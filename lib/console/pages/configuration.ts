/** Configuration documents of every kind: their text, their versions. */
import { html } from 'hono/html';
import type { ConsolePage, PageCall } from '../page.ts';
import { badge, link, problem, table, time } from '../parts.ts';
import { ApiFailure } from '../v1.ts';
import { documentActs, editor, history, state, storedDocument } from './document-form.ts';

const KINDS: Readonly<Record<string, string>> = {
  limits: 'How fast mail goes, by provider, site, domain, pool, IP and tenant',
  routing: 'Pools and the addresses in them, and which mail goes by which',
  warmup: 'The plan of each address that warms up',
  automation: 'Rules on replies: which are on, and your own',
  protection: 'The rates of bounces and complaints at which a tenant is warned and paused',
  links: 'Links of tracked mail that are switched off',
};

export const configurationPage: ConsolePage = {
  path: '/configuration',
  nav: '/configuration',
  admin: true,
  async show(call) {
    const documents = await Promise.all(Object.keys(KINDS).map((kind) => storedDocument(call, kind)));
    const rows = documents.map(
      ({
        kind,
        version,
        at,
        by,
        problems,
      }) => html`<tr><th scope="row">${link(kind === 'limits' ? '/limits' : `/configuration/${kind}`, kind)}</th><td class="text">${KINDS[kind]}</td>
<td>${problems ? badge('not in force', 'bad') : version === 0 ? badge('built-in') : badge(`version ${version}`, 'good')}</td><td class="tight">${version === 0 ? '' : time(at)}</td><td><code>${by}</code></td></tr>`,
    );
    return {
      title: 'Configuration',
      body: html`<h1>Configuration</h1>${table('Documents', ['Document', 'What it holds', 'State', 'Stored (UTC)', 'By'], rows)}`,
    };
  },
};

export const documentPage: ConsolePage = {
  path: '/configuration/:kind',
  nav: '/configuration',
  admin: true,
  async show(call) {
    const kind = kindOf(call);
    const document = await storedDocument(call, kind);
    const body = html`<p class="quiet">${link('/configuration', 'Configuration')}</p><h1>${kind}</h1><p class="lead">${KINDS[kind]}.</p>${state(document)}${problem(call.problem)}
${editor(call, document)}${await history(call, kind, document.version)}`;
    return { title: kind, body };
  },
  acts: documentActs(kindOf, (call) => `/configuration/${kindOf(call)}`),
};

function kindOf({ params }: PageCall): string {
  const kind = params.kind!;
  if (Object.hasOwn(KINDS, kind)) return kind;
  throw new ApiFailure(404, 'not_found', `There is no kind of configuration document ${kind.slice(0, 64)}.`);
}
