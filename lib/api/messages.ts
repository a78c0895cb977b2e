/** What became of a message: its record, every delivery with every attempt, its events; and cancelling it. */
import type { Attempt, DeliveryRecord, MessageRecord, Outcome } from '../engine/items.ts';
import { PosternError } from '../errors.ts';
import { baseId, messageIdOf } from '../mail/message-id.ts';
import { sesEvents } from '../outcome/events.ts';
import { isReason, REASONS } from '../outcome/reasons.ts';
import { type Call, type Handler, iso, mayRead } from './operation.ts';

export const getMessage: Handler = async (call) => {
  const record = await recordOf(call);
  const deliveries = await call.deps.engine.records.deliveries(record.id);
  return {
    status: 200,
    body: {
      id: messageIdOf(record),
      tenant: record.tenant,
      keyId: record.keyId,
      door: record.door,
      sourceIp: record.sourceIp,
      acceptedAt: iso(record.acceptedAt),
      expiresAt: iso(record.expiresAt),
      from: record.source,
      subject: record.commonHeaders.subject,
      class: record.class,
      pool: record.pool,
      campaign: record.campaign,
      configurationSet: record.configurationSet,
      tags: record.tags,
      size: record.size,
      deliveries: deliveries.map((one) => shownDelivery(inHand(one, call))),
    },
  };
};

export const cancelMessage: Handler = async (call) => {
  const { ledger, records } = call.deps.engine;
  const record = await recordOf(call);
  await ledger.cancel(record.id);
  const deliveries = await records.deliveries(record.id);
  return {
    status: 200,
    body: {
      id: messageIdOf(record),
      cancelled: deliveries
        .filter((one) => one.state === 'cancelled')
        .map(({ recipient }) => ({ recipient })),
      tooLate: deliveries
        .filter((one) => one.state !== 'cancelled')
        .map(({ recipient, state, reason, text }) => ({ recipient, state, reason, text })),
    },
  };
};

/**
 * The events of what the records hold: that the message was accepted, each attempt, and what was reported later
 * (complaints, bounces after delivery, opens and clicks).
 */
export const messageEvents: Handler = async (call) => {
  const record = await recordOf(call);
  const { region, accountId, hostname, engine } = call.deps;
  const outcomes: Outcome[] = [outcomeOf(record, { at: record.acceptedAt, kind: 'accepted' })];
  for (const { n, attempts } of await engine.records.deliveries(record.id)) {
    for (const attempt of attempts)
      outcomes.push(outcomeOf(record, { at: attempt.at, kind: 'attempt', n, attempt }));
  }
  outcomes.push(...(await engine.records.reports(record.id)));
  outcomes.sort((a, b) => a.at - b.at);
  const context = { region, accountId, hostname };
  return {
    status: 200,
    body: { events: outcomes.flatMap((outcome) => sesEvents(record, outcome, context)) },
  };
};

function outcomeOf(
  { v, id, tenant }: MessageRecord,
  rest: Pick<Outcome, 'at' | 'kind' | 'n' | 'attempt'>,
): Outcome {
  return { v, messageId: id, tenant, ...rest };
}

/** @throws `not_found`, also for what is another tenant's: whether it exists is not the caller's business. */
export async function recordOf(call: Call): Promise<MessageRecord> {
  const id = call.params.id!;
  const record = await call.deps.engine.records.message(baseId(id));
  if (record && mayRead(call, record.tenant)) return record;
  throw new PosternError('not_found', `There is no message ${JSON.stringify(id.slice(0, 320))}.`);
}

/** A delivery that egress has in hand is not being sent as long as a limit lets nothing go. */
function inHand(delivery: DeliveryRecord, { deps }: Call): DeliveryRecord {
  if (delivery.state !== 'attempting') return delivery;
  const waiting = deps.standing?.(delivery.messageId, delivery.n);
  if (waiting === undefined) return delivery;
  const { code, text, until } = waiting;
  return { ...delivery, state: 'queued', reason: code, text, until };
}

function shownDelivery({ recipient, state, reason, text, until, attempts }: DeliveryRecord) {
  return {
    recipient,
    state,
    reason,
    text,
    action: isReason(reason) ? REASONS[reason].action : undefined,
    nextAttemptAt: until === undefined ? undefined : iso(until),
    attempts: attempts.map(shownAttempt),
  };
}

function shownAttempt(attempt: Attempt) {
  const { at, duration, ip, mx, tls, replies, state, reason, text, uncertain = false, until } = attempt;
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
    nextAttemptAt: until === undefined ? undefined : iso(until),
  };
}
