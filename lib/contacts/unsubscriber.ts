/**
 * Does what a reader asked for who unsubscribed, by link or by mail, and records it with the message.
 *
 * ```
 *  request ─► of a list of this service? ─► its contact changes ─► the outcome `subscription` ─► SES's event
 *                 └─ no: the sender keeps the list, and learns it from the event
 * ```
 * A repeat changes nothing and is recorded once.
 */
import { isDeepStrictEqual } from 'node:util';
import { type Outcome, SCHEMA_VERSION } from '../engine/items.ts';
import type { Records } from '../engine/ports.ts';
import type { ReaderChoices, SubscriptionDetail, TopicPreferences } from '../outcome/details.ts';
import type { Unsubscription } from '../tracking/unsubscribe-links.ts';

/** A request as the outcome that reports it; the unsubscriber completes it. */
export function unsubscribeOutcome(
  { messageId, tenant, address, contactList, topic }: Unsubscription,
  at: number,
  choices?: ReaderChoices,
): Outcome {
  const detail: SubscriptionDetail = {
    address,
    ...(contactList !== undefined && { contactList }),
    ...(topic !== undefined && { topic }),
    ...(choices !== undefined && { choices }),
  };
  return { v: SCHEMA_VERSION, messageId, n: 0, at, kind: 'subscription', tenant, detail };
}

/** A contact that leaves a list, or a topic of it. */
export interface ContactLeaving {
  tenant: string;
  list: string;
  /** Absent: all topics. */
  topic?: string;
  /** In place of a departure: what the reader chose on the preference page. */
  choices?: ReaderChoices;
  address: string;
  /** Message whose link was used. */
  messageId: string;
  /** ms. */
  at: number;
}

/**
 * Changes a contact; a repeat changes nothing. @returns its choices before and after; undefined when there is no such
 * list any more.
 */
export type UnsubscribeContact = (
  leaving: ContactLeaving,
) => Promise<{ before: TopicPreferences; after: TopicPreferences } | undefined>;

export interface UnsubscriberParts {
  records: Pick<Records, 'message' | 'reports'>;
  /** Absent: this service keeps no lists. */
  unsubscribe?: UnsubscribeContact;
}

/**
 * Acts on a request.
 * @returns the outcome, and whether it is recorded already, because a queue brought this very request before; undefined
 * for a repeat, and when the message has been removed: then the contact has changed all the same. @throws PosternError of the storage group: it may be repeated.
 */
export async function takeUnsubscribe(
  { records, unsubscribe }: UnsubscriberParts,
  outcome: Outcome,
): Promise<{ outcome: Outcome; recorded: boolean } | undefined> {
  const { messageId, tenant, at } = outcome;
  const detail = outcome.detail as SubscriptionDetail;
  const { contactList: list, topic, choices, address } = detail;
  const changed =
    list === undefined
      ? undefined
      : await unsubscribe?.({ tenant, list, topic, choices, address, messageId, at });
  const message = await records.message(messageId);
  if (!message) return undefined;
  const recorded = (await records.reports(messageId)).filter(({ kind }) => kind === 'subscription');
  const same = recorded.find((earlier) => earlier.at === at);
  if (same) return { outcome: same, recorded: true };
  // A contact may change its mind; of a list that is the sender's there is nothing to see.
  if (changed ? isDeepStrictEqual(changed.before, changed.after) : recorded.length > 0) return undefined;
  const taken = { ...outcome, tenant: message.tenant, detail: { ...detail, ...changed } };
  return { outcome: taken, recorded: false };
}
