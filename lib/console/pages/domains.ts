/** Identities: domains and addresses that mail is sent as, and their DNS records. */
import { html } from 'hono/html';
import type { ApiDomainReport, ApiIdentity, ApiIdentityDns } from '../answers.ts';
import type { ConsolePage, Markup, PageCall } from '../page.ts';
import {
  badge,
  button,
  copy,
  facts,
  field,
  form,
  link,
  pager,
  pathTo,
  problem,
  sure,
  table,
  time,
  when,
} from '../parts.ts';
import { labelText } from '../v1.ts';
import { findings } from './findings.ts';

const STATUS: Readonly<Record<string, 'good' | 'warn' | 'bad' | 'calm'>> = {
  SUCCESS: 'good',
  PENDING: 'warn',
  TEMPORARY_FAILURE: 'warn',
  FAILED: 'bad',
  NOT_STARTED: 'calm',
};

function status(text: string): Markup {
  return badge(text.toLowerCase().replaceAll('_', ' '), STATUS[text]);
}

export const domainsPage: ConsolePage = {
  path: '/domains',
  nav: '/domains',
  async show(call) {
    const { v1, me, query, form: given, now } = call;
    const { identities, next } = await v1.get<{ identities: ApiIdentity[]; next?: string }>('/identities', {
      tenant: query.get('tenant') ?? undefined,
      after: query.get('after') ?? undefined,
      max: 100,
    });
    const rows = identities.map(
      (
        one,
      ) => html`<tr><th scope="row">${link(`/domains/${labelText(one.name)}`, one.name)}</th>${me.admin ? html`<td>${one.tenant}</td>` : ''}
<td>${one.verified ? badge('may send', 'good') : badge('may not send', 'bad')}</td><td>${status(one.dkimStatus)}</td><td class="tight">${when(one.createdAt, now)}</td></tr>`,
    );
    const body = html`<h1>Domains</h1>${problem(call.problem)}
${
  me.admin
    ? form(
        call,
        'create',
        html`<div class="inline">${field({ label: 'Domain or address', name: 'name', value: given.text('name'), required: true })}
${field({ label: 'Tenant', name: 'tenant', value: given.text('tenant') ?? me.tenant })}${button('Add')}</div>`,
      )
    : ''
}
${table('Identities', ['Name', ...(me.admin ? ['Tenant'] : []), 'Sending', 'DKIM', 'Made'], rows)}${pager(call, '/domains', next)}`;
    return { title: 'Domains', body };
  },
  acts: {
    async create({ v1, form: given, me }) {
      const { name } = await v1.send<ApiIdentityDns>('POST', '/identities', {
        name: given.text('name') ?? '',
        tenant: given.text('tenant') ?? me.tenant,
      });
      return {
        to: `/domains/${labelText(name)}`,
        notice: `${name} is added. Publish its records, then look them up.`,
      };
    },
  },
};

export const domainPage: ConsolePage = {
  path: '/domains/:name',
  nav: '/domains',
  async show(call) {
    const { v1, me } = call;
    const identity = await v1.get<ApiIdentityDns>(`${pathOf(call)}/dns`);
    const { name, type, tenant, verified, dkimStatus, mailFrom, records } = identity;
    const body = html`<p class="quiet">${link('/domains', 'Domains')}</p><h1 class="text">${name}</h1>${problem(call.problem)}
${facts([
  ['Sending', verified ? badge('may send', 'good') : badge('may not send', 'bad')],
  ['DKIM', status(dkimStatus)],
  ['MAIL FROM', mailFrom && html`${mailFrom.domain} ${status(mailFrom.status)}`],
  ['Tenant', tenant],
])}
<h2>Records to publish</h2>${records.length === 0 ? html`<p class="empty">None: the proof of an address is that of its domain.</p>` : recordTable(records)}
${me.admin ? form(call, 'check', button('Look them up now')) : ''}
<h2 id="dns">What DNS says now</h2>${call.query.has('dns') ? await report(call) : html`<p><a href="${pathTo(`/domains/${labelText(name)}`, { dns: 1 })}#dns">Check SPF, DKIM, DMARC, return path, MTA-STS and TLS-RPT</a></p>`}
${type === 'DOMAIN' ? await reports(call) : ''}
${me.admin ? sure(call, 'delete', 'Delete this identity', 'Nothing more is accepted as it, and its signing keys are gone.') : ''}`;
    return { title: name, body };
  },
  acts: {
    async check(call) {
      const { verified, dkimStatus } = await call.v1.send<ApiIdentityDns>('POST', `${pathOf(call)}/check`);
      const found = verified
        ? 'The records are there: it may send.'
        : `The records were not found yet (DKIM: ${dkimStatus.toLowerCase()}). DNS may take some minutes.`;
      return { to: pathOf(call).replace('/identities', '/domains'), notice: found };
    },
    async delete(call) {
      await call.v1.send('DELETE', pathOf(call));
      return { to: '/domains', notice: `${call.params.name} is deleted.` };
    },
  },
};

function pathOf({ params }: PageCall): string {
  return `/identities/${labelText(params.name!)}`;
}

async function report(call: PageCall): Promise<Markup> {
  const { checkedAt, findings: found, seen } = await call.v1.get<ApiDomainReport>(`${pathOf(call)}/check`);
  const rows = seen.map(
    ({
      check,
      name,
      type,
      values,
    }) => html`<tr><th scope="row">${check}</th><td class="tight">${type}</td><td class="record"><code>${name}</code></td>
<td class="record">${values.length === 0 ? html`<span class="quiet">none is published</span>` : values.map((one) => html`<code>${one}</code><br>`)}</td></tr>`,
  );
  return html`${findings(found)}${table('What is published', ['Check', 'Type', 'Name', 'Value'], rows)}<p class="quiet">As of ${time(checkedAt)} UTC.</p>`;
}

export function recordTable(records: readonly { name: string; type: string; value: string }[]): Markup {
  return table(
    'DNS records',
    ['Type', 'Name', 'Value'],
    records.map(
      ({
        name,
        type,
        value,
      }) => html`<tr><td class="tight">${type}</td><td class="record"><code>${name}</code>${copy(name)}</td>
<td class="record"><code>${value}</code>${copy(value)}</td></tr>`,
    ),
  );
}

interface ApiReport {
  kind: string;
  day: string;
  organisation: string;
  messages?: number;
  passed?: number;
  successful?: number;
  failed?: number;
}

async function reports(call: PageCall): Promise<Markup> {
  const { records, reports: found } = await call.v1.get<{
    records: { name: string; type: string; value: string }[];
    reports: ApiReport[];
  }>(`${pathOf(call)}/reports`);
  const rows = found.slice(0, 30).map(
    ({
      kind,
      day,
      organisation,
      messages,
      passed,
      successful = 0,
      failed = 0,
    }) => html`<tr><td class="tight">${day}</td><td>${kind === 'dmarc' ? 'DMARC' : 'TLS'}</td><td class="text">${organisation}</td>
<td class="n">${messages ?? successful + failed}</td><td class="n">${passed ?? successful}</td><td class="n">${messages === undefined ? failed : messages - (passed ?? 0)}</td></tr>`,
  );
  return html`<h2>Reports of receivers</h2>${rows.length === 0 ? html`<p>None came yet. Receivers send them where these records ask for it.</p>${recordTable(records)}` : table('Reports', ['Day', 'Kind', 'From', '#Seen', '#Passed', '#Failed'], rows)}`;
}
