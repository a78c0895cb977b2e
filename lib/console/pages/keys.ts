/** Access keys. */
import { html } from 'hono/html';
import type { ApiKey } from '../answers.ts';
import type { ConsolePage } from '../page.ts';
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
  when,
} from '../parts.ts';
import { labelText } from '../v1.ts';

export const keysPage: ConsolePage = {
  path: '/keys',
  nav: '/keys',
  admin: true,
  async show(call) {
    const { v1, me, query, now, form: given } = call;
    const { keys, next } = await v1.get<{ keys: ApiKey[]; next?: string }>('/keys', {
      tenant: query.get('tenant') ?? undefined,
      after: query.get('after') ?? undefined,
      max: 100,
    });
    const rows = keys.map(({ id, tenant, admin, name, createdAt, lastUsedAt }) => {
      const revoke = sure(
        call,
        'revoke',
        'Revoke',
        id === me.id
          ? 'This is the key that you are signed in with.'
          : 'Whoever uses it is refused from then on.',
        html`<input type="hidden" name="id" value="${id}">`,
      );
      return html`<tr><th scope="row"><code>${id}</code></th><td class="text">${name ?? ''}</td><td>${tenant}</td><td>${admin ? badge('administrator', 'warn') : badge('sends')}</td><td class="tight">${when(createdAt, now)}</td><td class="tight">${lastUsedAt === undefined ? 'never' : when(lastUsedAt, now)}</td><td>${revoke}</td></tr>`;
    });
    const body = html`<h1>Keys</h1><p class="lead">One key serves the SES API, SMTP, <code>/v1</code> and this console.</p>${problem(call.problem)}
<form method="get" action="${pathTo('/keys')}" class="inline" role="search">${field({ label: 'Of the tenant', name: 'tenant', type: 'search', value: query.get('tenant') ?? '' })}<button class="second" type="submit">Show</button></form>
${table('Access keys', ['Access key id', 'Name', 'Tenant', 'Rights', 'Made', 'Last used', ''], rows)}${pager(call, '/keys', next)}
<h2>New key</h2>${form(
      call,
      'create',
      html`<div class="filters">${field({ label: 'Name', name: 'name', value: given.text('name'), hint: 'for people' })}${field({ label: 'Tenant', name: 'tenant', value: given.text('tenant') ?? me.tenant, required: true })}</div>
<p><label><input type="checkbox" name="admin" ${given.has('admin') ? 'checked' : ''}> Administrator: may change everything</label></p>${button('Make it')}`,
    )}`;
    return { title: 'Keys', body };
  },
  acts: {
    async create({ v1, form: given }) {
      const made = await v1.send<ApiKey & { secret: string; bearer: string; smtpPassword: string }>(
        'POST',
        '/keys',
        {
          name: given.text('name'),
          tenant: given.text('tenant'),
          admin: given.has('admin'),
        },
      );
      const shown = (text: string) => html`<code>${text}</code> ${copy(text)}`;
      const body = html`<h1>The new key</h1><p class="note warn" role="status">Its secret is shown this once. Keep it now.</p>
${facts([
  ['Access key id', shown(made.id)],
  ['Secret access key', shown(made.secret)],
  ['SMTP password', shown(made.smtpPassword)],
  ['Bearer token', shown(made.bearer)],
  ['Tenant', made.tenant],
])}<p>${link('/keys', 'To the keys')}</p>`;
      return { title: 'The new key', body };
    },
    async revoke({ v1, form: given }) {
      const id = given.text('id') ?? '';
      await v1.send('DELETE', `/keys/${labelText(id)}`);
      return { to: '/keys', notice: `${id} is revoked, everywhere within about a second.` };
    },
  },
};
