/** The latest events. */
import { html } from 'hono/html';
import { MINUTE } from '../../time.ts';
import type { ApiPulledEvent } from '../answers.ts';
import type { ConsolePage } from '../page.ts';
import { badge, choice, field, link, pathTo, table, time } from '../parts.ts';
import { labelText } from '../v1.ts';
import { eventLine } from './message.ts';
import { sought } from './refused-query.ts';

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
const SPANS = [
  ['5', '5 minutes'],
  ['60', 'an hour'],
  ['1440', 'a day'],
] as const;
/** Events shown, and pages that one look reads to come to the newest. */
const SHOWN = 100;
const READ = 4;

export const eventsPage: ConsolePage = {
  path: '/events',
  nav: '/events',
  async show(call) {
    const given = (name: string): string | undefined => call.query.get(name)?.trim() || undefined;
    const minutes = SPANS.some(([one]) => one === given('span')) ? Number(given('span')) : 5;
    const asked = {
      type: given('type'),
      recipient: given('recipient'),
      tag: given('tag'),
      from: given('after') === undefined ? new Date(call.now - minutes * MINUTE).toISOString() : undefined,
    };
    const { found, refused } = await sought(async () => {
      const events: ApiPulledEvent[] = [];
      let after = given('after');
      for (let read = 0; read < READ; read++) {
        const page = await call.v1.get<{ events: ApiPulledEvent[]; cursor: string; more: boolean }>(
          '/events',
          { ...asked, after, max: 500 },
        );
        events.push(...page.events);
        after = page.cursor;
        if (!page.more) return { events, later: undefined };
      }
      return { events, later: after };
    });
    const { events = [], later } = found ?? {};
    const rows = events
      .slice(-SHOWN)
      .reverse()
      .map((one) => {
        const { words } = eventLine(one.event);
        const to = one.event.mail?.destination?.[0] ?? one.messageId;
        return html`<tr><td class="tight">${time(one.at)}</td><td class="tight">${badge(one.type.toLowerCase().replaceAll('_', ' '), TONES[one.type])}</td>
<td>${link(`/messages/${labelText(one.messageId)}`, to)}</td><td class="text">${words}</td></tr>`;
      });
    const body = html`<h1>Events</h1>${refused}
<form method="get" action="${pathTo('/events')}" class="filters">
${choice({ label: 'Type', name: 'type', value: given('type'), options: [['', 'All'], ...TYPES.map((one) => [one, one.toLowerCase().replaceAll('_', ' ')] as const)] })}
${field({ label: 'Recipient', name: 'recipient', type: 'search', value: given('recipient') })}
${field({ label: 'Tag', name: 'tag', value: given('tag'), hint: 'name=value' })}
${choice({ label: 'Of the last', name: 'span', value: String(minutes), options: SPANS })}
<p class="field"><button type="submit">Show</button></p></form>
<section id="events" data-live>${later === undefined ? '' : html`<p class="note warn">There were more events than one look reads. These are the earlier ones. ${link('/events', 'Go on', { ...Object.fromEntries(call.query), after: later })}</p>`}
${table('Events, newest first', ['Time (UTC)', 'Event', 'Recipient', 'What'], rows)}</section>`;
    return { title: 'Events', body, live: given('after') === undefined };
  },
};

const TONES: Readonly<Record<string, 'good' | 'warn' | 'bad' | 'calm'>> = {
  DELIVERY: 'good',
  OPEN: 'good',
  CLICK: 'good',
  DELIVERY_DELAY: 'warn',
  BOUNCE: 'bad',
  COMPLAINT: 'bad',
  REJECT: 'bad',
  RENDERING_FAILURE: 'bad',
};
