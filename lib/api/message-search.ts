/** The search of messages: newest first, by what their records have, and by what became of them. */
import * as z from 'zod/mini';
import type { DeliveryRecord, MessageRecord } from '../engine/items.ts';
import { providerOf } from '../shaping/providers.ts';
import { type ApiCall, iso, operation, query } from './operation.ts';
import { refuseQuery, sizeOf, tenantOf, timeOf } from './query.ts';
import { about, integer, named, text, time } from './schema.ts';

const PAGE = 50;
const MAX_PAGE = 200;
const MAX_TEXT = 512;
/** Messages that one call looks at, and of those whose deliveries it reads; the cursor says how far. */
const LOOKED_AT = 2_000;
const READ = 400;
/** Deliveries shown of a message. */
const SHOWN = 50;

export const DELIVERY_STATES = [
  'accepted',
  'queued',
  'attempting',
  'deferred',
  'delivered',
  'bounced',
  'expired',
  'suppressed',
  'cancelled',
] as const;
const state = z.enum(DELIVERY_STATES);

const MessageList = named(
  'MessageList',
  z.strictObject({
    messages: z
      .array(
        z.strictObject({
          id: text(),
          tenant: text(),
          acceptedAt: time('When it was accepted.'),
          from: text(),
          subject: z.optional(text()),
          class: text(),
          pool: text(),
          campaign: z.optional(text()),
          configurationSet: z.optional(text()),
          recipients: integer('Number of recipients.'),
          deliveries: z
            .array(z.strictObject({ recipient: text(), state, reason: text() }))
            .check(about('Of the first 50 recipients.')),
        }),
      )
      .check(about('Newest first.')),
    next: z.optional(
      text('`after` of the next call; absent: there are no more. A page may be empty though there are more.'),
    ),
  }),
);

export const searchMessages = operation({
  method: 'get',
  path: '/messages',
  operationId: 'searchMessages',
  summary: 'Messages by recipient, sender, subject, tag, state, provider and time, newest first',
  description:
    'All that is given must agree. Recipient, sender and campaign are found by an index; the rest is looked at message by message, a bounded number in a call.',
  parameters: [
    query('tenant', "Of this tenant; absent: the key's own."),
    query('recipient', 'To this address, in any case.'),
    query('sender', 'With this address in the header From, in any case.'),
    query('subject', 'Whose subject begins so, in any case.'),
    query('campaign', 'Of this campaign.'),
    query('tag', 'With this tag, as `campaign=spring`.'),
    query('state', `With a delivery in this state: ${DELIVERY_STATES.join(', ')}.`),
    query('provider', 'With an attempt at this provider, as `google`.'),
    query('from', 'Accepted at this time or later.'),
    query('to', 'Accepted before this time.'),
    query('max', 'Maximum messages returned: 1 to 200, else 50.'),
    query('after', '`next` of the page before.'),
  ],
  answer: {
    status: 200,
    description: 'A page of messages.',
    schema: MessageList,
    example: {
      messages: [
        {
          id: '010001a2b3c4d5e6-0f8fad5b-d9cb-469f-a165-70867728950e-000000',
          tenant: 'default',
          acceptedAt: '2026-01-01T00:00:00.000Z',
          from: 'orders@example.com',
          subject: 'Your order',
          class: 'transactional',
          pool: 'default',
          recipients: 1,
          deliveries: [{ recipient: 'ann@example.net', state: 'delivered', reason: 'delivered' }],
        },
      ],
    },
  },
  async handle(call) {
    const { messages, next } = await search(call);
    return { body: { messages: messages.map(shown), next } };
  },
});

interface FoundMessage {
  record: MessageRecord;
  deliveries: DeliveryRecord[];
}

async function search(call: ApiCall): Promise<{ messages: FoundMessage[]; next?: string }> {
  const { recipient, sender, campaign, from, to } = call.query;
  for (const [name, value] of Object.entries(call.query))
    if (value.length > MAX_TEXT) refuseQuery(name, `has more than ${MAX_TEXT} characters`);
  const max = sizeOf(call.query.max, PAGE, MAX_PAGE);
  const range = { from: timeOf('from', from), before: timeOf('to', to) };
  const asked = {
    tenant: tenantOf(call, 'messages') ?? call.caller.tenant,
    recipient,
    sender,
    campaign,
    ...range,
  };
  const [holds, became] = [recordFilter(call.query), deliveryFilter(call.query)];
  const { records } = call.deps.engine;
  const messages: FoundMessage[] = [];
  let { after } = call.query;
  let read = 0;
  for (let looked = 0; looked < LOOKED_AT; ) {
    const page = await records.search({ ...asked, after, max: MAX_PAGE });
    looked += Math.max(page.messages.length, MAX_PAGE / 10);
    for (const [at, record] of page.messages.entries()) {
      if (!holds(record)) continue;
      const deliveries = await records.deliveries(record.id);
      read += 1;
      if (became(deliveries)) messages.push({ record, deliveries });
      if (messages.length === max || read === READ) return { messages, next: page.cursors[at] };
    }
    if (page.next === undefined) return { messages };
    after = page.next;
  }
  return { messages, next: after };
}

function recordFilter({ subject, tag }: ApiCall['query']): (record: MessageRecord) => boolean {
  const begin = subject?.toLowerCase();
  const cut = tag?.indexOf('=') ?? 0;
  if (tag !== undefined && cut < 1) refuseQuery('tag', 'is written name=value');
  const [name, value] = tag === undefined ? [] : [tag.slice(0, cut), tag.slice(cut + 1)];
  return ({ commonHeaders, tags }) =>
    (begin === undefined || (commonHeaders.subject ?? '').toLowerCase().startsWith(begin)) &&
    (name === undefined || tags[name]?.includes(value!) === true);
}

function deliveryFilter({
  state: wanted,
  provider,
}: ApiCall['query']): (deliveries: DeliveryRecord[]) => boolean {
  if (wanted !== undefined && !(DELIVERY_STATES as readonly string[]).includes(wanted))
    refuseQuery('state', `must be one of ${DELIVERY_STATES.join(', ')}`);
  if (wanted === undefined && provider === undefined) return () => true;
  return (deliveries) =>
    deliveries.some(
      ({ state: found, attempts }) =>
        (wanted === undefined || found === wanted) &&
        (provider === undefined ||
          attempts.some((one) => (one.provider ?? (one.mx && providerOf([one.mx.host]))) === provider)),
    );
}

function shown({ record, deliveries }: FoundMessage): object {
  const { id, tenant, acceptedAt, source, commonHeaders, pool, campaign, configurationSet, recipients } =
    record;
  return {
    id,
    tenant,
    acceptedAt: iso(acceptedAt),
    from: source,
    subject: commonHeaders.subject,
    class: record.class,
    pool,
    campaign,
    configurationSet,
    recipients: recipients.length,
    deliveries: deliveries
      .slice(0, SHOWN)
      .map(({ recipient, state: now, reason }) => ({ recipient, state: now, reason })),
  };
}
