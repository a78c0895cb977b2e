/** The search of messages. */
import { html } from 'hono/html';
import type { ApiFoundMessage } from '../answers.ts';
import type { ConsolePage, Markup } from '../page.ts';
import { badge, choice, field, link, pager, pathTo, table, when } from '../parts.ts';
import { labelText } from '../v1.ts';
import { sought } from './refused-query.ts';

const STATES = [
  'accepted',
  'queued',
  'attempting',
  'deferred',
  'delivered',
  'bounced',
  'expired',
  'suppressed',
  'cancelled',
];

const FIELDS = [
  'recipient',
  'sender',
  'subject',
  'state',
  'provider',
  'campaign',
  'tag',
  'tenant',
  'from',
  'to',
  'after',
] as const;

export const messagesPage: ConsolePage = {
  path: '/messages',
  nav: '/messages',
  async show(call) {
    const { query, me } = call;
    const given = (name: string): string | undefined => query.get(name)?.trim() || undefined;
    const asked: Record<string, string | undefined> = {};
    for (const name of FIELDS) asked[name] = given(name);
    for (const name of ['from', 'to']) if (asked[name]) asked[name] = dayStart(asked[name]);
    const { found, refused } = await sought(() =>
      call.v1.get<{ messages: ApiFoundMessage[]; next?: string }>('/messages', { ...asked, max: 50 }),
    );
    const { messages = [], next } = found ?? {};
    const body = html`<h1>Messages</h1>${refused}
<form method="get" action="${pathTo('/messages')}" class="filters" role="search">
${field({ label: 'Recipient', name: 'recipient', type: 'search', value: given('recipient') })}
${field({ label: 'Sender', name: 'sender', type: 'search', value: given('sender') })}
${field({ label: 'Subject begins', name: 'subject', type: 'search', value: given('subject') })}
${choice({ label: 'State', name: 'state', value: given('state'), options: [['', 'Any'], ...STATES.map((one) => [one, one] as const)] })}
${field({ label: 'Provider', name: 'provider', value: given('provider'), list: ['google', 'outlook', 'office365', 'yahoo', 'apple', 'gmx', 'other'] })}
${field({ label: 'Campaign', name: 'campaign', value: given('campaign') })}
${field({ label: 'Tag', name: 'tag', value: given('tag'), hint: 'name=value' })}
${me.admin ? field({ label: 'Tenant', name: 'tenant', value: given('tenant') }) : ''}
${field({ label: 'From day', name: 'from', type: 'date', value: given('from')?.slice(0, 10) })}
${field({ label: 'Before day', name: 'to', type: 'date', value: given('to')?.slice(0, 10) })}
<p class="field"><button type="submit">Search</button></p></form>
${messages.length === 0 && !refused ? html`<p class="empty">${next ? 'Nothing among those looked at so far: go on to the next page.' : 'No message is like that.'}</p>` : ''}
${
  messages.length > 0
    ? table(
        'Messages, newest first',
        ['Accepted', 'Recipient', 'Subject', 'From', 'State'],
        messages.map((one) => row(one, call.now)),
      )
    : ''
}
${pager(call, '/messages', next)}`;
    return { title: 'Messages', body };
  },
};

function row(
  { id, acceptedAt, from, subject, recipients, deliveries }: ApiFoundMessage,
  now: number,
): Markup {
  const [first] = deliveries;
  const more = recipients > 1 ? html` <small>and ${recipients - 1} more</small>` : '';
  const states = [...new Set(deliveries.map(({ state }) => state))];
  return html`<tr><td class="tight">${when(acceptedAt, now)}</td>
<td>${link(`/messages/${labelText(id)}`, first?.recipient ?? id)}${more}</td>
<td class="cut long" title="${subject ?? ''}">${subject || '(no subject)'}</td><td class="cut" title="${from}">${from}</td>
<td class="tight">${states.map((state) => badge(state))} <small>${first && first.reason !== first.state ? first.reason : ''}</small></td></tr>`;
}

/** A day of a date field, as the API takes it; a whole time stays. */
export function dayStart(text: string): string {
  return /^\d{4}-\d\d-\d\d$/.test(text) ? `${text}T00:00:00Z` : text;
}
