/** A reader leaves a list, or a topic of it. */
import { PosternError } from '../errors.ts';
import { eventPreferences } from './contact.ts';
import type { Contacts } from './contacts.ts';

/** Who leaves what, and the message whose link or address was used. */
export interface Leaving {
  tenant: string;
  list: string;
  /** Absent: the whole list. */
  topic?: string;
  address: string;
}

type Preferences = ReturnType<typeof eventPreferences>;

/**
 * Makes the contact leave, and makes it where there is none, so that nothing is sent to it later. A repeat changes
 * nothing.
 * @returns its choices before and after; undefined when the list, or the topic of it, is gone.
 * @throws PosternError of the storage group: it may be repeated.
 */
export async function unsubscribe(
  contacts: Pick<Contacts, 'choose'>,
  { tenant, list: name, topic, address }: Leaving,
): Promise<{ before: Preferences; after: Preferences } | undefined> {
  try {
    const { list, before, after } = await contacts.choose(tenant, name, address, (list, contact) => {
      if (topic === undefined) return { unsubscribeAll: true };
      if (!list.topics.some((one) => one.name === topic)) throw new TopicGone();
      return { topics: { ...contact.topics, [topic]: 'OPT_OUT' } };
    });
    return { before: eventPreferences(list, before), after: eventPreferences(list, after) };
  } catch (error) {
    if (error instanceof TopicGone) return undefined;
    if (error instanceof PosternError && error.code === 'not_found') return undefined;
    throw error;
  }
}

class TopicGone extends Error {}
