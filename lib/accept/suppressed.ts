/** Recipients on suppression lists, looked up once for all messages of a call; each message has one list. */
import type { Suppressions } from '../engine/ports.ts';
import type { Suppression, SuppressionReason } from '../engine/suppression.ts';
import { isSimulator } from '../outcome/simulator.ts';
import type { AtHand } from './known-senders.ts';
import type { Prepared, Withheld } from './records.ts';

export type WithheldByMessage = ReadonlyMap<Prepared, Withheld>;
const NONE: WithheldByMessage = new Map();

/**
 * Looks up the recipients of messages that suppress for any reason. An entry counts when its reason is one of the
 * message's reasons. The list has no addresses of the simulator.
 * @returns for each message that is affected, why its recipients get nothing, by their index; at hand where the list is.
 * @throws PosternError of the storage group.
 */
export function suppressedOf(
  messages: readonly Prepared[],
  list: Pick<Suppressions, 'find'>,
): AtHand<WithheldByMessage> {
  const asked: { tenant: string; address: string; message: Prepared; n: number }[] = [];
  for (const message of messages) {
    if (message.suppressedReasons.length === 0) continue;
    for (const [n, { address, domain }] of message.recipients.entries())
      if (!isSimulator(domain)) asked.push({ tenant: message.suppressionList, address, message, n });
  }
  if (asked.length === 0) return NONE;
  const entries = list.find(asked);
  return entries instanceof Promise ? entries.then((read) => foundIn(asked, read)) : foundIn(asked, entries);
}

function foundIn(
  asked: readonly { message: Prepared; n: number }[],
  entries: readonly (Suppression | undefined)[],
): WithheldByMessage {
  let found: Map<Prepared, Withheld> | undefined;
  for (const [at, entry] of entries.entries()) {
    const { message, n } = asked[at]!;
    if (!entry || !message.suppressedReasons.includes(entry.reason)) continue;
    found ??= new Map();
    const withheld = found.get(message) ?? new Map();
    withheld.set(n, { reason: 'suppressed', text: textOf(entry) });
    found.set(message, withheld);
  }
  return found ?? NONE;
}

const WHY_LISTED: Record<SuppressionReason, string> = {
  BOUNCE: 'as an address that bounces',
  COMPLAINT: 'because its reader complained',
};

function textOf({ address, reason, at }: Suppression): string {
  const since = new Date(at).toISOString();
  return `Not sent: ${address} is on the suppression list since ${since}, ${WHY_LISTED[reason]}.`;
}
