/** The records of deliveries, put together from what is stored of them. */
import type { DeliveryRecord, MessageRecord, Outcome, QueueItem } from '../items.ts';
import { CANCELLED, SCHEDULED } from '../states.ts';
import { readJson } from './json.ts';
import type { DeliveriesReply } from './protocol.ts';

/**
 * Puts the records of a message's deliveries together: a final outcome decides; without one the delivery is
 * deferred (in the ledger), attempting (leased) or queued.
 */
export function deliveryRecords(stored: DeliveriesReply, attempting: ReadonlySet<number>): DeliveryRecord[] {
  const message = readJson<MessageRecord>(stored.record, 'a message record');
  const records = message.recipients.map(
    (recipient, n): DeliveryRecord => ({
      messageId: message.id,
      n,
      recipient,
      state: attempting.has(n) ? 'attempting' : 'queued',
      reason: attempting.has(n) ? 'attempting' : 'queued',
      text: attempting.has(n)
        ? 'A node has it: it is being sent, or goes as soon as the limits of its destination let it.'
        : 'It waits for its turn in its lane.',
      attempts: [],
    }),
  );
  for (const [n, state, json] of stored.outcomes) {
    const outcome = readJson<Outcome>(json, 'an outcome');
    for (const record of n < 0 ? records : records.slice(n, n + 1)) {
      if (outcome.attempt) record.attempts.push(outcome.attempt);
      if (state === null || state === 'deferred') continue;
      record.state = state;
      record.reason = outcome.attempt?.reason ?? reasonOf(outcome);
      record.text = outcome.attempt?.text ?? textOf(outcome);
    }
  }
  for (const [n, json] of stored.waiting) {
    const record = records[n];
    if (!record) continue;
    const item = readJson<QueueItem>(json, 'a queue item');
    record.state = 'deferred';
    record.reason = item.reason?.code ?? 'scheduled';
    record.text = item.reason?.text ?? SCHEDULED;
    record.until = Math.max(item.due, item.reason?.until ?? 0);
  }
  return records;
}

function reasonOf(outcome: Outcome): string {
  if (outcome.kind === 'cancelled') return 'cancelled';
  if (outcome.kind === 'rendering-failure') return 'rendering_failed';
  const reason = outcome.detail?.reason;
  return typeof reason === 'string' ? reason : 'peer_permanent';
}

function textOf(outcome: Outcome): string {
  const text = outcome.detail?.text ?? outcome.detail?.message;
  if (typeof text === 'string') return text;
  return outcome.kind === 'bounce' ? 'A later report says that it was not delivered.' : CANCELLED;
}
