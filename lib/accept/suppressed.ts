/** Recipients on suppression lists, looked up once for all messages of a call; each message has one list. */
import type { Suppressions } from '../engine/ports.ts';
import type { Suppression } from '../engine/suppression.ts';
import { isSimulator } from '../outcome/simulator.ts';
import type { Prepared } from './records.ts';

/** Entries of the list that exclude recipients of a message, in the order of the recipients. */
export type Suppressed = readonly (Suppression | undefined)[];

/**
 * Looks up the recipients of messages that suppress for any reason. An entry counts when its reason is one of the
 * message's reasons. The list has no addresses of the simulator.
 * @throws PosternError of the storage group.
 */
export async function suppressedOf(
  messages: readonly Prepared[],
  list: Pick<Suppressions, 'find'>,
): Promise<ReadonlyMap<Prepared, Suppressed>> {
  const found = new Map<Prepared, (Suppression | undefined)[]>();
  const places: { message: Prepared; n: number }[] = [];
  const asked: { tenant: string; address: string }[] = [];
  for (const message of messages) {
    if (message.suppressedReasons.length === 0) continue;
    for (const [n, { address, domain }] of message.recipients.entries()) {
      if (isSimulator(domain)) continue;
      places.push({ message, n });
      asked.push({ tenant: message.suppressionList, address });
    }
  }
  if (asked.length === 0) return found;
  for (const [at, entry] of (await list.find(asked)).entries()) {
    const { message, n } = places[at]!;
    if (!entry || !message.suppressedReasons.includes(entry.reason)) continue;
    const suppressed = found.get(message) ?? [];
    suppressed[n] = entry;
    found.set(message, suppressed);
  }
  return found;
}
