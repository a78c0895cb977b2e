/** What a reader does to a contact: leave a list or a topic, or choose topics on the preference page. */
import { isDeepStrictEqual } from 'node:util';
import { PosternError } from '../errors.ts';
import { type Contact, eventPreferences } from './contact.ts';
import type { ContactList, SubscriptionStatus } from './contact-list.ts';
import type { Contacts } from './contacts.ts';
import type { ContactLeaving, UnsubscribeContact } from './unsubscriber.ts';

type Choices = Pick<Contact, 'unsubscribeAll' | 'topics'>;

/**
 * Changes contacts as their readers ask. A contact is made where there is none, so that nothing is sent to its reader
 * later. The contact remembers the last request: the very same one gives the same answer again, whatever crash came
 * between it and its record.
 */
export function contactChanger(contacts: Pick<Contacts, 'choose'>): UnsubscribeContact {
  return async (leaving) => {
    const { tenant, list: name, address, at } = leaving;
    try {
      const { list, before, after } = await contacts.choose(tenant, name, address, (list, contact) => {
        if (contact.reader?.at === at) return undefined;
        const now = choicesAfter(list, contact, leaving);
        if (isDeepStrictEqual(now, choicesOnly(contact))) return undefined;
        return { ...now, reader: { at, ...choicesOnly(contact) } };
      });
      const { reader } = after;
      return {
        before: eventPreferences(list, reader?.at === at ? reader : before),
        after: eventPreferences(list, after),
      };
    } catch (error) {
      // The list is gone: there is nothing to leave.
      if (error instanceof PosternError && error.code === 'not_found') return undefined;
      throw error;
    }
  };
}

/** Topics that the list does not have any more change nothing. */
function choicesAfter(
  { topics }: ContactList,
  contact: Contact,
  { topic, choices }: ContactLeaving,
): Choices {
  const { unsubscribeAll, topics: before } = contact;
  const has = (name: string): boolean => topics.some((one) => one.name === name);
  if (choices) {
    const chosen = Object.entries(choices.topics).filter(([name]) => has(name));
    return { unsubscribeAll: choices.unsubscribeAll, topics: { ...before, ...Object.fromEntries(chosen) } };
  }
  if (topic === undefined) return { unsubscribeAll: true, topics: before };
  const left: Record<string, SubscriptionStatus> = has(topic) ? { [topic]: 'OPT_OUT' } : {};
  return { unsubscribeAll, topics: { ...before, ...left } };
}

function choicesOnly({ unsubscribeAll, topics }: Choices): Choices {
  return { unsubscribeAll, topics };
}
