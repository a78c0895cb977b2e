/**
 * Recipients of mail to a contact list: who left it gets nothing, and who is not on it joins it, as with SES. The list
 * and its contacts are read at one time, for messages that name a list alone.
 */
import { isSubscribed } from '../contacts/contact.ts';
import { topicOf } from '../contacts/contact-list.ts';
import type { Contacts } from '../contacts/contacts.ts';
import { PosternError } from '../errors.ts';
import type { AtHand } from './known-senders.ts';
import type { Prepared, Withheld } from './records.ts';

/** What became of the lists of a call's messages. */
export interface Subscribed {
  /** Why recipients get nothing, by their index. */
  withheld: ReadonlyMap<Prepared, Withheld>;
  /** Messages whose list, or its topic, does not exist. */
  refused: ReadonlyMap<Prepared, PosternError>;
}

const ALL: Subscribed = { withheld: new Map(), refused: new Map() };

/** At hand where no message names a list. @throws PosternError of the storage group. */
export function subscribedOf(
  messages: readonly Prepared[],
  contacts: Pick<Contacts, 'lookUp' | 'join'>,
): AtHand<Subscribed> {
  return messages.every(({ unsubscribe }) => unsubscribe?.contactList === undefined)
    ? ALL
    : lookUpAll(messages, contacts);
}

async function lookUpAll(
  messages: readonly Prepared[],
  contacts: Pick<Contacts, 'lookUp' | 'join'>,
): Promise<Subscribed> {
  const withheld = new Map<Prepared, Withheld>();
  const refused = new Map<Prepared, PosternError>();
  await Promise.all(
    messages.map(async (message) => {
      if (message.unsubscribe?.contactList === undefined) return;
      try {
        const left = await leftOf(message, contacts);
        if (left.size > 0) withheld.set(message, left);
      } catch (error) {
        if (!(error instanceof PosternError) || error.entry.fault !== 'caller') throw error;
        refused.set(message, error);
      }
    }),
  );
  return { withheld, refused };
}

async function leftOf(message: Prepared, contacts: Pick<Contacts, 'lookUp' | 'join'>): Promise<Withheld> {
  const { tenant, recipients, unsubscribe } = message;
  const { contactList: name, topic: topicName } = unsubscribe as { contactList: string; topic?: string };
  const addresses = recipients.map(({ address }) => address);
  const { list, contacts: found } = await contacts.lookUp(tenant, name, addresses);
  const topic = topicName === undefined ? undefined : topicOf(list, topicName);
  const left: Withheld = new Map();
  for (const [n, address] of addresses.entries()) {
    const contact = found[n];
    if (isSubscribed(contact ?? { unsubscribeAll: false, topics: {} }, topic)) continue;
    const what =
      topic && !contact?.unsubscribeAll ? `the topic ${topic.name} of ${name}` : `the list ${name}`;
    left.set(n, { reason: 'unsubscribed', text: `Not sent: ${address} is not subscribed to ${what}.` });
  }
  const missing = addresses.filter((_, n) => found[n] === undefined);
  if (missing.length > 0) await contacts.join(list, missing);
  return left;
}
