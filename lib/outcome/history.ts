/** The outcomes of one message, put together from its records: what the feed had of it. Pure. */
import type { DeliveryRecord, MessageRecord, Outcome } from '../engine/items.ts';

/**
 * @param deliveries of the message. @param reports what came later: bounces, complaints, opens, clicks.
 * @returns outcomes, oldest first.
 */
export function historyOf(
  record: MessageRecord,
  deliveries: readonly DeliveryRecord[],
  reports: readonly Outcome[],
): Outcome[] {
  const { v, id: messageId, tenant } = record;
  const base = { v, messageId, tenant };
  const outcomes: Outcome[] = [{ ...base, at: record.acceptedAt, kind: 'accepted' }];
  for (const { n, attempts } of deliveries) {
    for (const attempt of attempts) {
      const { at, reason, text: errorMessage } = attempt;
      if (reason !== 'rendering_failed') outcomes.push({ ...base, at, kind: 'attempt', n, attempt });
      else if (n === 0) {
        const detail = { templateName: record.template ?? '', errorMessage };
        outcomes.push({ ...base, at, kind: 'rendering-failure', n, detail });
      }
    }
  }
  outcomes.push(...reports);
  return outcomes.sort((a, b) => a.at - b.at);
}
