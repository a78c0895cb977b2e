/** Suppression lists: looked at, changed, imported, exported. */
import { html } from 'hono/html';
import type { ApiImport, ApiSuppression } from '../answers.ts';
import type { ConsolePage, Markup, PageCall } from '../page.ts';
import {
  area,
  badge,
  button,
  choice,
  count,
  field,
  form,
  link,
  pager,
  pathTo,
  plural,
  problem,
  table,
  when,
} from '../parts.ts';
import { ApiFailure, labelText } from '../v1.ts';
import { sought } from './refused-query.ts';
import { back, ofTenant, takeBack } from './take-back.ts';

const REASONS = [
  ['', 'Any'],
  ['BOUNCE', 'bounce'],
  ['COMPLAINT', 'complaint'],
] as const;

export const suppressionPage: ConsolePage = {
  path: '/suppression',
  nav: '/suppression',
  async show(call) {
    const { v1, me, query, now, form: given } = call;
    const tenant = ofTenant(call);
    const address = query.get('address')?.trim();
    const { found, refused } = await sought(
      async () =>
        address
          ? {
              suppressions: [await v1.get<ApiSuppression>(`/suppressions/${labelText(address)}`, tenant)],
              next: undefined,
            }
          : v1.get<{ suppressions: ApiSuppression[]; next?: string }>('/suppressions', {
              ...tenant,
              reason: query.get('reason') ?? undefined,
              after: query.get('after') ?? undefined,
            }),
      [404],
    );
    const { suppressions = [], next } = found ?? {};
    const body = html`<h1>Suppression</h1><p class="lead">Addresses that are not sent to, because they bounced hard, their reader complained, or somebody put them here.</p>${problem(call.problem)}
<form method="get" action="${pathTo('/suppression')}" class="filters" role="search">
${field({ label: 'Address', name: 'address', type: 'search', value: address })}${choice({ label: 'Reason', name: 'reason', options: REASONS, value: query.get('reason') ?? '' })}
${me.admin ? field({ label: 'List of', name: 'tenant', value: query.get('tenant') ?? '', hint: 'tenant; default is the account’s' }) : ''}
<p class="field"><button type="submit">Look up</button></p></form>${refused}
${
  refused === ''
    ? table(
        'Suppressed addresses',
        ['Address', 'Reason', 'Since', 'Why', ''],
        suppressions.map((one) => row(call, one, now)),
      )
    : ''
}
${pager(call, '/suppression', next)}
<div class="columns"><section><h2>Put an address on it</h2>${form(
      call,
      'put',
      html`${field({ label: 'Address', name: 'address', value: given.text('address'), required: true })}
${choice({ label: 'Reason', name: 'reason', options: REASONS.slice(1), value: given.text('reason') })}${button('Put it there')}`,
    )}
<h2>Take back an import</h2>${form(
      call,
      'look-back',
      html`${field({ label: 'Put there from (UTC)', name: 'from', type: 'datetime-local', value: given.text('from'), required: true })}
${field({ label: 'Before (UTC)', name: 'before', type: 'datetime-local', value: given.text('before'), required: true })}${button('Count them', 'second')}`,
    )}
<h2>Export</h2><p>${link('/suppression/export', 'The whole list as CSV', tenant)}</p></section>
<section><h2>Import</h2>${form(
      call,
      'import',
      html`<p class="field"><label>File <small>CSV with a column of addresses, JSON lines, or PowerMTA’s accounting file</small><input type="file" name="file" accept=".csv,.txt,.json,.jsonl"></label></p>
${area('or addresses, one a line', 'rows', given.whole('rows') ?? '', 5)}
${choice({ label: 'Reason', name: 'reason', hint: 'of rows that name none', options: REASONS.slice(1), value: given.text('reason') })}
${choice({
  label: 'What is done',
  name: 'action',
  options: [
    ['put', 'Put them on the list'],
    ['delete', 'Take them off it'],
  ],
  value: given.text('action'),
})}${button('Import')}`,
      { files: true },
    )}</section></div>`;
    return { title: 'Suppression', body };
  },
  acts: {
    async put(call) {
      const address = call.form.text('address') ?? '';
      await call.v1.send(
        'PUT',
        `/suppressions/${labelText(address)}`,
        { reason: call.form.text('reason') },
        { query: ofTenant(call) },
      );
      return { to: back(call), notice: `${address} is not sent to any more.` };
    },
    async remove(call) {
      const address = call.form.text('address') ?? '';
      await call.v1.send('DELETE', `/suppressions/${labelText(address)}`, undefined, {
        query: ofTenant(call),
      });
      return { to: back(call), notice: `${address} may be sent to again.` };
    },
    ...takeBack,
    async import(call) {
      const { form: given, v1 } = call;
      const file = await given.file('file');
      const body = file?.bytes ?? Buffer.from(given.whole('rows') ?? '');
      if (body.length === 0)
        throw new ApiFailure(
          400,
          'bad_request',
          'There is nothing to import.',
          'Choose a file, or write addresses, one a line.',
        );
      const jsonl = /\.(jsonl|json|ndjson)$/i.test(file?.name ?? '');
      const type = jsonl ? 'application/jsonl' : 'text/csv';
      const query = { ...ofTenant(call), reason: given.text('reason'), action: given.text('action') };
      const answer = await v1.raw('POST', '/suppressions/import', {
        query,
        headers: [['content-type', type]],
        body,
      });
      return { title: 'Imported', body: imported(call, (await answer.json()) as ApiImport) };
    },
  },
};

function row(
  call: PageCall,
  { address, reason, since, why, messageId }: ApiSuppression,
  now: number,
): Markup {
  const remove = form(
    call,
    'remove',
    html`<input type="hidden" name="address" value="${address}">${button('Take off', 'second')}`,
    { id: `remove-${labelText(address)}` },
  );
  return html`<tr><th scope="row" class="text">${address}</th><td>${badge(reason.toLowerCase(), reason === 'COMPLAINT' ? 'bad' : 'warn')}</td><td class="tight">${when(since, now)}</td>
<td class="text">${why ?? ''}${messageId ? html` ${link(`/messages/${labelText(messageId)}`, 'message')}` : ''}</td><td>${remove}</td></tr>`;
}

function imported(
  call: PageCall,
  { rows, taken, unchanged, failed, error, failures = [] }: ApiImport,
): Markup {
  return html`<p class="quiet">${link('/suppression', 'Suppression', ofTenant(call))}</p><h1>Imported</h1>
<p class="note ${failed > 0 || error ? 'warn' : 'good'}" role="status">${plural(rows, 'row')}: ${count(taken)} taken, ${count(unchanged)} changed nothing, ${count(failed)} not taken.${error ? html` ${error}` : ''}</p>
${
  failures.length > 0
    ? table(
        'Rows that were not taken',
        ['#Line', 'What', 'Why'],
        failures.map(
          (one) =>
            html`<tr><td class="n">${one.line}</td><td class="text"><code>${one.what}</code></td><td class="text">${one.why}</td></tr>`,
        ),
      )
    : ''
}`;
}
