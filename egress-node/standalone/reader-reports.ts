/** Records what readers do: open, click, unsubscribe. */
import { takeUnsubscribe, type UnsubscriberParts } from '../../lib/contacts/unsubscriber.ts';
import type { Outcome } from '../../lib/engine/items.ts';
import type { Records } from '../../lib/engine/ports.ts';

export interface ReaderReportsParts extends Omit<UnsubscriberParts, 'records'> {
  records: Pick<Records, 'message' | 'reports' | 'append'>;
}

/** Makes the recorder of outcomes whose reporter has only the message's id; those of removed messages are dropped. */
export function readerReports(parts: ReaderReportsParts): (outcome: Outcome) => Promise<void> {
  const { records } = parts;
  return async (outcome) => {
    if (outcome.kind === 'subscription') {
      const taken = await takeUnsubscribe(parts, outcome);
      if (taken?.recorded === false) await records.append([taken.outcome]);
      return;
    }
    const message = await records.message(outcome.messageId);
    if (message) await records.append([{ ...outcome, tenant: message.tenant }]);
  };
}
