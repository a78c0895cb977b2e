/**
 * Mail to the signed address of a List-Unsubscribe field: whatever it says, its sender asks to be unsubscribed, since
 * only the reader of the message has the address. A bounce to it is none of that.
 */
import { takeUnsubscribe, type UnsubscribeContact, unsubscribeOutcome } from '../contacts/unsubscriber.ts';
import type { Records } from '../engine/ports.ts';
import type { UnsubscribeAddresses } from '../mail/unsubscribe-address.ts';
import type { Report } from '../outcome/report-types.ts';
import { reply } from '../smtp-server/reply.ts';
import type { Clock } from '../time.ts';

export interface UnsubscribeMailParts {
  records: Pick<Records, 'message' | 'reports' | 'append'>;
  addresses: UnsubscribeAddresses;
  /** Changes a contact; absent: this service keeps no lists. */
  unsubscribe?: UnsubscribeContact;
  clock: Clock;
}

export class UnsubscribeMail {
  readonly #parts: UnsubscribeMailParts;

  constructor(parts: UnsubscribeMailParts) {
    this.#parts = parts;
  }

  /** The message of an address; undefined for an address that is none of ours. */
  messageOf(address: string): string | undefined {
    return this.#parts.addresses.read(address, this.#parts.clock.now());
  }

  /** Acts on a mail. @returns the text of the 250. @throws the reply that is sent instead. */
  async take(report: Report, messageId: string): Promise<string> {
    const { records, unsubscribe, clock } = this.#parts;
    if (report.kind === 'dsn') return '2.0.0 Taken note of';
    const message = await records.message(messageId);
    if (!message?.unsubscribe) {
      throw reply(550, '5.7.1 That message is too old to unsubscribe by mail: use the link in it');
    }
    const { tenant, recipients } = message;
    const unsubscription = { messageId, tenant, address: recipients[0]!, ...message.unsubscribe };
    const taken = await takeUnsubscribe(
      { records, unsubscribe },
      unsubscribeOutcome(unsubscription, clock.now()),
    );
    if (taken?.recorded === false) await records.append([taken.outcome]);
    return '2.0.0 Unsubscribed';
  }
}
