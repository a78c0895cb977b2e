/** A message that was accepted: its record with every delivery and attempt, its events, and its cancellation. */
import * as z from 'zod/mini';
import { describe } from '../egress/directive-view.ts';
import type { Attempt, DeliveryRecord, MessageRecord } from '../engine/items.ts';
import { PosternError } from '../errors.ts';
import { messageIdIn } from '../mail/message-id.ts';
import { groupOf } from '../observe/mail-metrics.ts';
import { sesEvents } from '../outcome/events.ts';
import { historyOf } from '../outcome/history.ts';
import { isReason, REASONS } from '../outcome/reasons.ts';
import { DELIVERY_STATES, searchMessages } from './message-search.ts';
import { type ApiCall, iso, label, mayRead, operation } from './operation.ts';
import { about, anyObject, flag, integer, named, text, time } from './schema.ts';

const ID = '010001a2b3c4d5e6-0f8fad5b-d9cb-469f-a165-70867728950e-000000';
const messageId = label('id', 'Message id.');

const state = z.enum(DELIVERY_STATES);

const Attempted = named(
  'Attempt',
  z.strictObject({
    at: time('When it began.'),
    durationMs: integer('Milliseconds.'),
    sourceIp: z.optional(text('Address it was sent from.')),
    mx: z.optional(z.strictObject({ host: text(), address: text(), port: integer('TCP port.') })),
    tls: z.optional(
      z.strictObject({ protocol: text(), cipher: text(), verified: flag('The certificate was good.') }),
    ),
    replies: z.array(z.strictObject({ phase: text(), code: integer('SMTP reply code.'), text: text() })),
    state,
    reason: text(),
    text: text(),
    uncertain: flag('All was sent and no reply was read: it may have arrived (RFC 1047).'),
    nextAttemptAt: z.optional(time('When it is tried again.')),
  }),
);

const Delivery = named(
  'Delivery',
  z.strictObject({
    recipient: text(),
    state,
    reason: text('A code of the table of errors, or `delivered`.'),
    text: text('The reason for a person.'),
    action: z.optional(text('What can be done about it.')),
    nextAttemptAt: z.optional(time('When a waiting delivery is looked at again.')),
    attempts: z.array(Attempted).check(about('Oldest first.')),
  }),
);

const Message = named(
  'Message',
  z.strictObject({
    id: text(),
    tenant: text(),
    keyId: text('Key that sent it.'),
    door: z.enum(['ses-v2', 'ses-v1', 'smtp', 'postern']),
    sourceIp: z.optional(text()),
    acceptedAt: time('When it was accepted.'),
    expiresAt: time('When Postern gives up.'),
    from: text(),
    subject: z.optional(text()),
    class: text(),
    pool: text(),
    campaign: z.optional(text()),
    configurationSet: z.optional(text()),
    tags: z.record(z.string(), z.array(text())),
    size: integer('Bytes as it travels.'),
    deliveries: z.array(Delivery).check(about('One for each recipient.')),
  }),
);

const CancelAnswer = named(
  'CancelAnswer',
  z.strictObject({
    id: text(),
    cancelled: z.array(z.strictObject({ recipient: text() })).check(about('Will not be sent.')),
    tooLate: z
      .array(z.strictObject({ recipient: text(), state, reason: text(), text: text() }))
      .check(about('Being sent, or over.')),
  }),
);

const Events = named(
  'Events',
  z.strictObject({
    events: z.array(anyObject()).check(about('As Amazon SES publishes them, oldest first.')),
  }),
);

const attempt = {
  at: '2026-01-01T00:00:00.100Z',
  durationMs: 210,
  sourceIp: '192.0.2.25',
  mx: { host: 'mx.example.net', address: '198.51.100.1', port: 25 },
  tls: { protocol: 'TLSv1.3', cipher: 'TLS_AES_256_GCM_SHA384', verified: true },
  replies: [{ phase: 'rcpt', code: 451, text: '4.7.1 Greylisted, try again later' }],
  state: 'deferred',
  reason: 'peer_temporary',
  text: '451 4.7.1 Greylisted, try again later',
  uncertain: false,
  nextAttemptAt: '2026-01-01T00:05:00.000Z',
};

const getMessage = operation({
  method: 'get',
  path: '/messages/{id}',
  operationId: 'getMessage',
  summary: 'What became of a message: every delivery, every attempt',
  parameters: [messageId],
  answer: {
    status: 200,
    description: 'The message.',
    schema: Message,
    example: {
      id: ID,
      tenant: 'default',
      keyId: 'AKIAEXAMPLEEXAMPLE22',
      door: 'postern',
      sourceIp: '192.0.2.7',
      acceptedAt: '2026-01-01T00:00:00.000Z',
      expiresAt: '2026-01-01T14:00:00.000Z',
      from: 'orders@example.com',
      subject: 'Your order',
      class: 'transactional',
      pool: 'default',
      tags: { 'ses:from-domain': ['example.com'] },
      size: 4096,
      deliveries: [
        {
          recipient: 'ann@example.net',
          state: 'deferred',
          reason: 'peer_temporary',
          text: '451 4.7.1 Greylisted, try again later',
          action: 'Wait: the peer asked to try again.',
          nextAttemptAt: '2026-01-01T00:05:00.000Z',
          attempts: [attempt],
        },
      ],
    },
  },
  async handle(call) {
    const record = await recordOf(call, call.params.id!);
    const deliveries = await call.deps.engine.records.deliveries(record.id);
    const { tenant, keyId, door, sourceIp, campaign, configurationSet, pool, tags, size } = record;
    return {
      body: {
        id: record.id,
        tenant,
        keyId,
        door,
        sourceIp,
        acceptedAt: iso(record.acceptedAt),
        expiresAt: iso(record.expiresAt),
        from: record.source,
        subject: record.commonHeaders.subject,
        class: record.class,
        pool,
        campaign,
        configurationSet,
        tags,
        size,
        deliveries: deliveries.map((one) => shownDelivery(whileHeld(one, record, call))),
      },
    };
  },
});

const cancelMessage = operation({
  method: 'post',
  path: '/messages/{id}/cancel',
  operationId: 'cancelMessage',
  summary: 'Cancel the deliveries of a message that still wait',
  parameters: [messageId],
  answer: {
    status: 200,
    description: 'What will not be sent, and what it was too late for.',
    schema: CancelAnswer,
    example: { id: ID, cancelled: [{ recipient: 'ann@example.net' }], tooLate: [] },
  },
  async handle(call) {
    const { ledger, records } = call.deps.engine;
    const record = await recordOf(call, call.params.id!);
    await ledger.cancel(record.id);
    const cancelled: object[] = [];
    const tooLate: object[] = [];
    for (const { recipient, state, reason, text } of await records.deliveries(record.id)) {
      if (state === 'cancelled') cancelled.push({ recipient });
      else tooLate.push({ recipient, state, reason, text });
    }
    return { body: { id: record.id, cancelled, tooLate } };
  },
});

const messageEvents = operation({
  method: 'get',
  path: '/messages/{id}/events',
  operationId: 'messageEvents',
  summary: 'The events of a message in the form of Amazon SES',
  description:
    'Sending, attempts, and what was reported later: bounces, complaints, opens and clicks, a thousand at most.',
  parameters: [messageId],
  answer: {
    status: 200,
    description: 'Events, oldest first.',
    schema: Events,
    example: { events: [{ eventType: 'Send', mail: { messageId: ID }, send: {} }] },
  },
  async handle(call) {
    const record = await recordOf(call, call.params.id!);
    const { region, accountId, hostname, engine } = call.deps;
    const { records } = engine;
    const [deliveries, reports] = await Promise.all([
      records.deliveries(record.id),
      records.reports(record.id),
    ]);
    const outcomes = historyOf(record, deliveries, reports);
    const context = { region, accountId, hostname };
    return { body: { events: outcomes.flatMap((outcome) => sesEvents(record, outcome, context)) } };
  },
});

export const MESSAGES = [searchMessages, getMessage, cancelMessage, messageEvents];

/** @throws `not_found`, also for another tenant's message: its existence is not the caller's to learn. */
export async function recordOf(call: ApiCall, id: string): Promise<MessageRecord> {
  const record = await call.deps.engine.records.message(messageIdIn(id));
  if (record && mayRead(call, record.tenant)) return record;
  throw new PosternError('not_found', `There is no message ${JSON.stringify(id.slice(0, 320))}.`);
}

/**
 * A delivery that egress holds while a limit lets nothing go is shown as queued, for the reason of that limit; one that
 * rests in its lane, for what keeps it there.
 */
function whileHeld(delivery: DeliveryRecord, record: MessageRecord, call: ApiCall): DeliveryRecord {
  const { state, messageId, n } = delivery;
  let waiting: { code: string; text: string; until?: number } | undefined;
  if (state === 'attempting') waiting = call.deps.waitStatus?.(messageId, n);
  else if (state === 'queued') waiting = whileResting(delivery, record, call);
  if (waiting === undefined) return delivery;
  const { code, text, until } = waiting;
  return { ...delivery, state: 'queued', reason: code, text, until };
}

/** A lane whose mail cannot leave is not leased, and what lies in it was looked at by nobody. */
function whileResting(
  { n, recipient }: DeliveryRecord,
  record: MessageRecord,
  { deps }: ApiCall,
): { code: string; text: string; until?: number } | undefined {
  const { pool, tenant, campaign } = record;
  const provider = groupOf(record, n, recipient);
  const domain = recipient.slice(recipient.lastIndexOf('@') + 1).toLowerCase();
  const now = deps.clock.now();
  const { action, by } = deps.control.directives.match({ pool, tenant, campaign, provider, domain }, now);
  if (action === 'suspend' && by !== undefined)
    return { code: 'suspended', text: describe(by), until: by.until };
  return deps.laneRest?.(`${pool}:${record.class}:${provider}`);
}

function shownDelivery({ recipient, state, reason, text, until, attempts }: DeliveryRecord) {
  const action = isReason(reason) ? REASONS[reason].action : undefined;
  return {
    recipient,
    state,
    reason,
    text,
    action,
    nextAttemptAt: iso(until),
    attempts: attempts.map(shownAttempt),
  };
}

function shownAttempt({
  at,
  duration,
  ip,
  mx,
  tls,
  replies,
  state,
  reason,
  text,
  uncertain = false,
  until,
}: Attempt) {
  return {
    at: iso(at),
    durationMs: duration,
    sourceIp: ip,
    mx,
    tls,
    replies,
    state,
    reason,
    text,
    uncertain,
    nextAttemptAt: iso(until),
  };
}
