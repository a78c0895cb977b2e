/** Event destinations: where events go, how each stands, its last attempts, a test. */
import { html } from 'hono/html';
import { MINUTE } from '../../time.ts';
import type { ApiDestination, ApiDestinationAttempt } from '../answers.ts';
import type { ConsolePage, Markup, PageCall } from '../page.ts';
import {
  badge,
  button,
  copy,
  count,
  facts,
  field,
  form,
  link,
  problem,
  sure,
  table,
  time,
  when,
} from '../parts.ts';
import { labelText } from '../v1.ts';

const TYPES = [
  'SEND',
  'DELIVERY',
  'DELIVERY_DELAY',
  'BOUNCE',
  'COMPLAINT',
  'REJECT',
  'OPEN',
  'CLICK',
  'RENDERING_FAILURE',
  'SUBSCRIPTION',
];
const PAGE = 100;

export const webhooksPage: ConsolePage = {
  path: '/webhooks',
  nav: '/webhooks',
  async show(call) {
    const { v1, me, query, now } = call;
    const { eventDestinations: all } = await v1.get<{ eventDestinations: ApiDestination[] }>(
      '/event-destinations',
    );
    const from = Math.max(0, Number(query.get('after') ?? 0) || 0);
    const rows = all.slice(from, from + PAGE).map(
      (
        one,
      ) => html`<tr><th scope="row">${link(`/webhooks/${labelText(one.id)}`, one.name)}</th><td>${one.target.kind}</td><td class="text">${placeOf(one)}</td>
${me.admin ? html`<td>${one.tenant ?? 'all tenants'}</td>` : ''}<td>${standing(one)}</td><td class="n">${count(one.health?.waiting)}</td><td class="tight">${when(one.health?.oldest, now)}</td></tr>`,
    );
    const body = html`<h1>Event destinations</h1><p class="lead">Where events of mail are sent, in the JSON of Amazon SES, at least once each.</p>
${table('Destinations', ['Name', 'Kind', 'Where', ...(me.admin ? ['Tenant'] : []), 'State', '#Waiting', 'Oldest'], rows)}
${all.length > from + PAGE ? html`<nav class="pager" aria-label="Pages">${link('/webhooks', 'Next page', { after: from + PAGE })}</nav>` : ''}
<h2>New webhook</h2>${problem(call.problem)}${newForm(call)}`;
    return { title: 'Event destinations', body };
  },
  acts: {
    async create(call) {
      const { v1, form: given } = call;
      const made = await v1.send<ApiDestination>('POST', '/event-destinations', {
        name: given.text('name') ?? '',
        tenant: given.text('tenant'),
        ...(given.has('allTenants') && { allTenants: true }),
        types: given.all('types'),
        target: { kind: 'webhook', url: given.text('url') ?? '' },
      });
      const secret = made.target.secret ?? '';
      return {
        title: 'Webhook made',
        body: html`<h1>${made.name}</h1><p class="note good" role="status">Events that happen from now on are posted to ${placeOf(made)}.</p>
<p>Each is signed as Standard Webhooks has it, with this secret. It is shown this once.</p><p><code>${secret}</code> ${copy(secret)}</p><p>${link(`/webhooks/${labelText(made.id)}`, 'Send a test')}</p>`,
      };
    },
  },
};

function placeOf({ target }: ApiDestination): string {
  return (
    ([target.url, target.topicArn, target.busArn, target.streamArn, target.path, target.exchange].find(
      (one) => typeof one === 'string',
    ) as string) ?? ''
  );
}

function standing({ enabled, disabledBecause, health }: ApiDestination): Markup {
  if (disabledBecause) return badge('switched off', 'bad');
  if (!enabled) return badge('paused');
  if (health && health.failures > 0) return badge('failing', 'bad');
  return badge('in order', 'good');
}

function newForm(call: PageCall): Markup {
  const { form: given, me } = call;
  const chosen = given.has('name') ? given.all('types') : ['DELIVERY', 'BOUNCE', 'COMPLAINT'];
  return form(
    call,
    'create',
    html`<div class="filters">${field({ label: 'Name', name: 'name', value: given.text('name'), required: true })}${field({ label: 'URL', name: 'url', type: 'url', value: given.text('url'), required: true })}
${me.admin ? field({ label: 'Tenant', name: 'tenant', value: given.text('tenant') ?? (given.has('name') ? '' : me.tenant) }) : ''}</div>
${me.admin ? html`<p><label><input type="checkbox" name="allTenants" ${given.has('allTenants') ? 'checked' : ''}> Events of every tenant</label></p>` : ''}
<fieldset class="checks"><legend>Events</legend>${TYPES.map((one) => html`<label><input type="checkbox" name="types" value="${one}" ${chosen.includes(one) ? 'checked' : ''}> ${one.toLowerCase().replaceAll('_', ' ')}</label>`)}</fieldset>${button('Make it')}`,
  );
}

export const webhookPage: ConsolePage = {
  path: '/webhooks/:id',
  nav: '/webhooks',
  async show(call) {
    const { v1, now } = call;
    const path = pathOf(call);
    const one = await v1.get<ApiDestination>(path);
    const { attempts } = await v1.get<{ attempts: ApiDestinationAttempt[] }>(`${path}/attempts`);
    const { health } = one;
    const body = html`<p class="quiet">${link('/webhooks', 'Event destinations')}</p><h1 class="text">${one.name}</h1>${problem(call.problem)}
<div id="destination" data-live>${one.disabledBecause ? html`<p class="note bad">${one.disabledBecause}</p>` : ''}
${facts([
  ['State', standing(one)],
  ['Kind', one.target.kind],
  ['Where', placeOf(one)],
  ['Tenant', one.tenant ?? 'all tenants'],
  ['Configuration set', one.configurationSet],
  ['Events', one.types.map((type) => type.toLowerCase().replaceAll('_', ' ')).join(', ')],
  ['Taken', count(health?.taken)],
  ['Waiting', count(health?.waiting)],
  ['Oldest', health?.oldest && when(health.oldest, now)],
  ['Given up', count(health?.dropped)],
  ['Last failure', health?.lastError],
  ['Replay', health?.replaying ? 'under way' : ''],
])}
<div class="inline">${form(call, 'test', button('Send a test'))}${form(call, one.enabled ? 'pause' : 'resume', button(one.enabled ? 'Pause' : 'Resume', 'second'))}</div>
<h2>Last attempts</h2>${attemptTable(attempts, now)}</div>
<h2>Send events of a time once more</h2>${form(call, 'replay', html`<div class="inline">${field({ label: 'From (UTC)', name: 'from', type: 'datetime-local', value: call.form.text('from') ?? local(now - 60 * MINUTE), required: true })}${field({ label: 'To (UTC)', name: 'to', type: 'datetime-local', value: call.form.text('to') ?? local(now), required: true })}${button('Replay', 'second')}</div>`)}
${sure(call, 'delete', 'Delete this destination', 'No more events go there, and what waits for it is gone.')}`;
    return { title: one.name, body, live: true };
  },
  acts: {
    async test(call) {
      const { result, text } = await call.v1.send<{ result: string; text?: string }>(
        'POST',
        `${pathOf(call)}/test`,
      );
      return {
        to: backOf(call),
        notice:
          result === 'taken'
            ? 'The test was taken.'
            : `The test was not taken (${result}): ${text ?? 'no reason was given'}`,
      };
    },
    pause: (call) => enable(call, false),
    resume: (call) => enable(call, true),
    async replay(call) {
      const [from, to] = ['from', 'to'].map((name) => `${call.form.text(name) ?? ''}:00Z`);
      await call.v1.send('POST', `${pathOf(call)}/replay`, { from, to });
      return { to: backOf(call), notice: 'It has begun: the events come with the ids that they had.' };
    },
    async delete(call) {
      await call.v1.send('DELETE', pathOf(call));
      return { to: '/webhooks', notice: 'It is deleted.' };
    },
  },
};

function local(at: number): string {
  return new Date(at).toISOString().slice(0, 16);
}

async function enable(call: PageCall, enabled: boolean): Promise<{ to: string; notice: string }> {
  await call.v1.send('PUT', pathOf(call), { enabled });
  return {
    to: backOf(call),
    notice: enabled
      ? 'Events go there again.'
      : 'It is paused. What happens meanwhile is sent by a replay alone.',
  };
}

function pathOf({ params }: PageCall): string {
  return `/event-destinations/${labelText(params.id!)}`;
}

function backOf({ params }: PageCall): string {
  return `/webhooks/${labelText(params.id!)}`;
}

function attemptTable(attempts: readonly ApiDestinationAttempt[], now: number): Markup {
  const rows = attempts
    .toReversed()
    .slice(0, 50)
    .map(
      ({
        at,
        eventType,
        messageId,
        result,
        text,
      }) => html`<tr><td class="tight">${time(at)} <small>${when(at, now)}</small></td><td>${badge(result, result === 'taken' ? 'good' : result === 'retry' ? 'warn' : 'bad')}</td><td>${eventType}</td>
<td>${messageId ? link(`/messages/${labelText(messageId)}`, 'message') : ''}</td><td class="text"><code>${text ?? ''}</code></td></tr>`,
    );
  return table('Last attempts, newest first', ['Time (UTC)', 'Result', 'Event', 'Message', 'Answer'], rows);
}
