/** Tenants, each with its reputation and whether it may send. */
import { html } from 'hono/html';
import { DAY } from '../../time.ts';
import type { ApiReputation, ApiStatistics, ApiTenant } from '../answers.ts';
import type { ConsolePage, Markup, PageCall } from '../page.ts';
import {
  badge,
  button,
  choice,
  count,
  facts,
  field,
  form,
  link,
  pager,
  percent,
  problem,
  sure,
  table,
  time,
} from '../parts.ts';
import { labelText } from '../v1.ts';

/** Tenants of one page: each has rates of its own, which are reckoned for the page. */
const PAGE = 25;

const POLICIES = [
  ['standard', 'Standard: paused at the thresholds of a pause'],
  ['strict', 'Strict: paused at those of a warning'],
  ['none', 'None: never paused for its rates'],
] as const;

export const tenantsPage: ConsolePage = {
  path: '/tenants',
  nav: '/tenants',
  async show(call) {
    const { v1, me, query, form: given } = call;
    const { tenants, next } = await v1.get<{ tenants: ApiTenant[]; next?: string }>('/tenants', {
      max: PAGE,
      after: query.get('after') ?? undefined,
    });
    const rates = await Promise.all(
      tenants.map(({ name }) => v1.get<ApiReputation>('/reputation', { tenant: name })),
    );
    const rows = tenants.map((tenant, i) => {
      const { sent, bounceRate, complaintRate, verdict } = rates[i]!;
      return html`<tr><th scope="row">${link(`/tenants/${labelText(tenant.name)}`, tenant.name)}</th><td>${sending(tenant)}</td><td>${badge(verdict, TONES[verdict])}</td>
<td class="n">${count(sent)}</td><td class="n">${share(bounceRate)}</td><td class="n">${share(complaintRate)}</td><td class="tight">${time(tenant.createdAt)}</td></tr>`;
    });
    const body = html`<h1>Tenants</h1>${table('Tenants', ['Tenant', 'Sending', 'Reputation', '#Sent', '#Bounced', '#Complained', 'Made (UTC)'], rows)}${pager(call, '/tenants', next)}
${me.admin ? html`<h2>New tenant</h2>${problem(call.problem)}${form(call, 'create', html`<div class="inline">${field({ label: 'Name', name: 'name', value: given.text('name'), required: true })}${button('Make it')}</div>`)}` : ''}`;
    return { title: 'Tenants', body };
  },
  acts: {
    async create({ v1, form: given }) {
      const { name } = await v1.send<ApiTenant>('POST', '/tenants', { name: given.text('name') ?? '' });
      return {
        to: `/tenants/${labelText(name)}`,
        notice: `${name} is made. It needs a key and an identity.`,
      };
    },
  },
};

const TONES: Readonly<Record<string, 'good' | 'warn' | 'bad'>> = { good: 'good', warn: 'warn', pause: 'bad' };

function share(rate: number): string {
  return percent(rate, 1);
}

function sending({ sending: now }: ApiTenant): Markup {
  return now === 'DISABLED' ? badge('stopped', 'bad') : badge(now.toLowerCase(), 'good');
}

export const tenantPage: ConsolePage = {
  path: '/tenants/:tenant',
  nav: '/tenants',
  async show(call) {
    const { v1, me, now } = call;
    const name = call.params.tenant!;
    const [tenant, rates, { total }] = await Promise.all([
      v1.get<ApiTenant>(pathOf(call)),
      v1.get<ApiReputation>('/reputation', { tenant: name }),
      v1.get<ApiStatistics>('/stats', { tenant: name, from: new Date(now - DAY).toISOString() }),
    ]);
    const stopped = tenant.sending === 'DISABLED';
    const body = html`<p class="quiet">${link('/tenants', 'Tenants')}</p><h1>${name}</h1>${problem(call.problem)}
${facts([
  ['Sending', sending(tenant)],
  ['By order', tenant.ordered.cause ?? tenant.ordered.status.toLowerCase()],
  ['By its rates', tenant.rated.cause ?? tenant.rated.status.toLowerCase()],
  ['Reputation', html`${badge(rates.verdict, TONES[rates.verdict])}`],
  [
    'Bounced',
    html`${share(rates.bounceRate)} <small>${count(rates.bounces)} of ${count(rates.sent)}</small>`,
  ],
  ['Complained', html`${share(rates.complaintRate)} <small>${count(rates.complaints)}</small>`],
  ['Sent in 24 hours', count(total.sent ?? 0)],
  ['Delivered', count(total.delivered ?? 0)],
  ['Policy', tenant.reputationPolicy],
  ['Made', html`${time(tenant.createdAt)} UTC`],
])}<p class="text">${rates.text}</p>
<p>${link('/messages', 'Messages', { tenant: name })} · ${link('/domains', 'Domains', { tenant: name })} · ${link('/suppression', 'Suppression', { tenant: name })} · ${link('/templates', 'Templates', { tenant: name })}${me.admin ? html` · ${link('/keys', 'Keys', { tenant: name })} · ${link('/queues', 'Queue', { tenant: name, by: 'provider' })}` : ''}</p>
${
  me.admin
    ? html`<h2>Change</h2>${form(call, 'policy', html`<div class="inline">${choice({ label: 'What follows from its rates', name: 'policy', options: POLICIES, value: tenant.reputationPolicy })}${button('Set', 'second')}</div>`)}
${stopped ? form(call, 'resume', button('Let it send again')) : sure(call, 'stop', 'Stop this tenant', 'New mail is refused, and what waits stays where it is.', field({ label: 'Why', name: 'cause', required: true }))}
${sure(call, 'delete', 'Delete this tenant', 'With its suppression list. Its keys, identities and all else are deleted first.')}`
    : ''
}`;
    return { title: name, body };
  },
  acts: {
    policy: (call) => change(call, { reputationPolicy: call.form.text('policy') }, 'It is set.'),
    stop: (call) =>
      change(
        call,
        { sending: 'DISABLED', cause: call.form.text('cause') },
        'It is stopped, everywhere within about a second.',
      ),
    resume: (call) => change(call, { sending: 'REINSTATED' }, 'It sends again.'),
    async delete(call) {
      await call.v1.send('DELETE', pathOf(call));
      return { to: '/tenants', notice: `${call.params.tenant} is deleted.` };
    },
  },
};

async function change(call: PageCall, body: object, notice: string): Promise<{ to: string; notice: string }> {
  await call.v1.send('PUT', pathOf(call), body);
  return { to: pathOf(call), notice };
}

function pathOf({ params }: PageCall): string {
  return `/tenants/${labelText(params.tenant!)}`;
}
