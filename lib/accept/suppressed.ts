/** Recipients on suppression lists, looked up once for all messages of a call; each message has one list. */
import type { Suppressions } from '../engine/ports.ts';
import type { Suppression, SuppressionReason } from '../engine/suppression.ts';
import { isSimulator } from '../outcome/simulator.ts';
import type { Prepared, Withheld } from './records.ts';

/**
 * Looks up the recipients of messages that suppress for any reason. An entry counts when its reason is one of the
 * message's reasons. The list has no addresses of the simulator.
 * @returns for each message that is affected, why its recipients get nothing, by their index.
 * @throws PosternError of the storage group.
 */
export async function suppressedOf(
  messages: readonly Prepared[],
  list: Pick<Suppressions, 'find'>,
): Promise<ReadonlyMap<Prepared, Withheld>> {
  const found = new Map<Prepared, Withheld>();
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
    const withheld = found.get(message) ?? new Map();
    withheld.set(n, { reason: 'suppressed', text: textOf(entry) });
    found.set(message, withheld);
  }
  return found;
}

const WHY_LISTED: Record<SuppressionReason, string> = {
  BOUNCE: 'as an address that bounces',
  COMPLAINT: 'because its reader complained',
};

function textOf({ address, reason, at }: Suppression): string {
  const since = new Date(at).toISOString();
  return `Not sent: ${address} is on the suppression list since ${since}, ${WHY_LISTED[reason]}.`;
}
