/** Limits: what holds for some mail and which layer set it; changes of one limit, with a look at them before. */
import { html } from 'hono/html';
import type { ApiDocument, ApiExplanation } from '../answers.ts';
import type { ConsolePage, Markup, PageCall } from '../page.ts';
import { button, choice, count, field, form, pathTo, problem, sure, table } from '../parts.ts';
import { ApiFailure } from '../v1.ts';
import { documentActs, editor, history, putDocument, state, storedDocument } from './document-form.ts';
import { explanations } from './explanations.ts';
import { changed, entriesOf, LAYERS, LIMIT_NAMES, type LimitChange, type LimitEdit } from './limit-edit.ts';
import { sought } from './refused-query.ts';

/** Limits that are listed; each has a form of its own. */
const LISTED = 200;
const QUALIFIERS = ['pool', 'ip', 'class', 'tenant', 'campaign'] as const;

export const limitsPage: ConsolePage = {
  path: '/limits',
  nav: '/limits',
  admin: true,
  async show(call) {
    const document = await storedDocument(call, 'limits');
    const body = html`<h1>Limits</h1>${state(document)}${problem(call.problem)}
<h2>What holds</h2>${await effective(call)}
<h2>Change one limit</h2>${changeForm(call, document)}
<h2>Limits of your own</h2>${own(call, document)}
<details class="more" ${call.form.has('text') ? 'open' : ''}><summary>The whole document</summary>${editor(call, document)}</details>
${await history(call, 'limits', document.version)}`;
    return { title: 'Limits', body };
  },
  acts: {
    ...documentActs(
      () => 'limits',
      () => '/limits',
    ),
    async preview(call) {
      const document = await storedDocument(call, 'limits');
      const edit = editOf(call);
      const { was } = changed(document.value, edit);
      return { title: 'Before it changes', body: previewed(call, document, edit, was) };
    },
    async change(call) {
      const document = await storedDocument(call, 'limits');
      const stored = await putDocument(
        call,
        'limits',
        changed(document.value, editOf(call)).value,
        Number(call.form.text('version') ?? 0),
      );
      return {
        to: '/limits',
        notice: `Version ${stored.version} is in force, everywhere within about a second.`,
      };
    },
  },
};

async function effective(call: PageCall): Promise<Markup> {
  const given = (name: string): string | undefined => call.query.get(name)?.trim() || undefined;
  const domain = given('domain');
  const asked = {
    domain,
    pool: given('pool'),
    ip: given('ip'),
    tenant: given('tenant'),
    class: given('class'),
  };
  const { found, refused } = domain
    ? await sought(() => call.v1.get<{ explanations: ApiExplanation[] }>('/shaping/explain', asked), [404])
    : { refused: '' };
  return html`<form method="get" action="${pathTo('/limits')}" class="filters">
${field({ label: 'For mail to the domain', name: 'domain', value: domain, required: true })}${field({ label: 'Pool', name: 'pool', value: given('pool') })}
${field({ label: 'IP', name: 'ip', value: given('ip') })}${field({ label: 'Tenant', name: 'tenant', value: given('tenant') })}
${choice({
  label: 'Class',
  name: 'class',
  value: given('class'),
  options: [
    ['', 'Either'],
    ['transactional', 'transactional'],
    ['bulk', 'bulk'],
  ],
})}
<p class="field"><button type="submit">Show what holds</button></p></form>${refused}${found ? explanations(found.explanations, call.now) : ''}`;
}

/** @throws ApiFailure that names what is missing. */
function editOf({ form: given }: PageCall): LimitEdit {
  const layer = given.text('layer') ?? 'default';
  const place = given.text('place');
  if (!(layer in LAYERS)) throw new ApiFailure(400, 'bad_request', 'Layer: choose one of the list.');
  if (LAYERS[layer]!.named && place === undefined)
    throw new ApiFailure(
      400,
      'bad_request',
      `Name the ${LAYERS[layer]!.named}.`,
      'As google, or example.com.',
    );
  if (place === '__proto__')
    throw new ApiFailure(400, 'bad_request', 'No provider, site or domain has that name.');
  const name = given.text('limit') ?? '';
  if (!(name in LIMIT_NAMES)) throw new ApiFailure(400, 'bad_request', 'Limit: choose one of the list.');
  const mail: Record<string, string> = {};
  for (const one of QUALIFIERS) {
    const value = given.text(one);
    if (value !== undefined) mail[one] = value;
  }
  return {
    layer,
    place: LAYERS[layer]!.named ? place : undefined,
    mail,
    limit: name,
    value: given.text('value'),
  };
}

function changeForm(call: PageCall, { version }: ApiDocument): Markup {
  const { form: given } = call;
  return form(
    call,
    'preview',
    html`<input type="hidden" name="version" value="${version}"><div class="filters">
${choice({ label: 'Layer', name: 'layer', value: given.text('layer'), options: Object.entries(LAYERS).map(([one, { word }]) => [one, word] as const) })}
${field({ label: 'Its name', name: 'place', value: given.text('place'), hint: 'provider, site or domain' })}
${choice({ label: 'Limit', name: 'limit', value: given.text('limit'), options: Object.entries(LIMIT_NAMES).map(([one, word]) => [one, word] as const) })}
${field({ label: 'Value', name: 'value', value: given.text('value'), hint: '10, 100/s, 90s; empty: as the layer above' })}</div>
<fieldset><legend>For this mail alone</legend><div class="filters">${QUALIFIERS.map((one) => field({ label: one === 'ip' ? 'IP' : one[0]!.toUpperCase() + one.slice(1), name: one, value: given.text(one), hint: one === 'tenant' ? '* is each of them' : '' }))}</div></fieldset>${button('See the change')}`,
  );
}

function describeEdit({ layer, place, mail }: LimitEdit): string {
  const of = Object.entries(mail).map(([name, value]) => `${name} ${value}`);
  return [place === undefined ? LAYERS[layer]!.word : `${LAYERS[layer]!.named} ${place}`, ...of].join(', ');
}

function previewed(
  call: PageCall,
  { version }: ApiDocument,
  edit: LimitEdit,
  was: string | undefined,
): Markup {
  const { form: given } = call;
  const kept = ['layer', 'place', 'limit', 'value', ...QUALIFIERS].map(
    (name) => html`<input type="hidden" name="${name}" value="${given.text(name) ?? ''}">`,
  );
  return html`<h1>Before it changes</h1><p><strong>${LIMIT_NAMES[edit.limit]}</strong> of ${describeEdit(edit)}</p>
<p class="big">${was === undefined ? html`<span class="quiet">as the layer above</span>` : html`<del>${was}</del>`} → ${edit.value === undefined ? html`<span class="quiet">as the layer above</span>` : html`<ins>${edit.value}</ins>`}</p>
<p>It is in force on every node within about a second, and can be taken back.</p>
${form(call, 'change', html`<input type="hidden" name="version" value="${given.text('version') ?? String(version)}">${kept}${button('Change it')} <a class="button second" href="${pathTo('/limits')}">Leave it</a>`)}`;
}

function own(call: PageCall, document: ApiDocument): Markup {
  const all = entriesOf(document.value);
  const rows = all.slice(0, LISTED).map((one: LimitChange) => {
    const hidden = {
      layer: one.layer,
      place: one.place ?? '',
      limit: one.limit,
      version: String(document.version),
      ...one.mail,
    };
    const fields = Object.entries(hidden).map(
      ([name, value]) => html`<input type="hidden" name="${name}" value="${value}">`,
    );
    return html`<tr><th scope="row">${describeEdit(one)}</th><td>${LIMIT_NAMES[one.limit] ?? one.limit}</td><td><code>${one.text}</code></td>
<td>${one.limit in LIMIT_NAMES ? sure(call, 'change', 'Take it out', 'The layer above holds then.', html`${fields}`) : ''}</td></tr>`;
  });
  const rest = all.length - rows.length;
  return html`${table('Limits that are stored', ['Of', 'Limit', 'Value', ''], rows)}
${rest > 0 ? html`<p class="quiet">And ${count(rest)} more: the whole document has them.</p>` : ''}`;
}
