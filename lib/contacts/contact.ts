/** A contact of a list: what a reader has chosen, and what follows from it. */
import { PosternError } from '../errors.ts';
import { parseEnvelopeAddress } from '../mail/address.ts';
import type { TopicPreferences } from '../outcome/details.ts';
import { type ContactList, type SubscriptionStatus, type Topic, topicOf } from './contact-list.ts';

export interface Contact {
  /** As it was given, the domain in lower case. */
  address: string;
  unsubscribeAll: boolean;
  /** Choices by topic. */
  topics: Readonly<Record<string, SubscriptionStatus>>;
  /** JSON object, as its sender wrote it. */
  attributes?: string;
  /** The reader's last change: when it was asked for, and what was chosen before. */
  reader?: { at: number; unsubscribeAll: boolean; topics: Readonly<Record<string, SubscriptionStatus>> };
  createdAt: number;
  updatedAt: number;
}

export interface TopicPreference {
  topic: string;
  status: SubscriptionStatus;
}

/** Which contacts a page of a list has. */
export interface ContactFilter {
  status: SubscriptionStatus;
  topic?: { name: string; useDefault: boolean };
}

/** Maximum length of a contact's attributes, octets. */
const MAX_ATTRIBUTES = 32 * 1024;

/**
 * The stored form of a contact's address. @throws `bad_request` in SES's words.
 */
export function contactAddress(text: string): string {
  if (text === '') throw new PosternError('bad_request', "EmailAddress can't be blank.");
  try {
    return parseEnvelopeAddress(text.trim()).address;
  } catch (error) {
    if (!(error instanceof PosternError)) throw error;
    throw new PosternError('bad_request', `EmailAddress <${text.slice(0, 320)}> is invalid`);
  }
}

/** Attributes that are a JSON object, or none. @throws `bad_request` */
export function checkAttributes(text: string | undefined): void {
  if (text === undefined) return;
  const size = Buffer.byteLength(text);
  if (size > MAX_ATTRIBUTES)
    throw new PosternError('bad_request', `AttributesData has ${size} bytes; it may have ${MAX_ATTRIBUTES}.`);
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return;
  } catch {
    // Refused below.
  }
  throw new PosternError('bad_request', 'AttributesData must be a valid JSON object.');
}

/** Choices by topic. @throws `bad_request` for a topic that the list does not have, or one that is named twice. */
export function choicesOf(
  list: ContactList,
  preferences: readonly TopicPreference[],
): Record<string, SubscriptionStatus> {
  const choices = new Map<string, SubscriptionStatus>();
  for (const { topic, status } of preferences) {
    topicOf(list, topic);
    if (choices.has(topic))
      throw new PosternError('bad_request', `The topic ${topic} is named twice in TopicPreferences.`);
    choices.set(topic, status);
  }
  return Object.fromEntries(choices);
}

/** What the contact has chosen, of topics that the list still has, in the order of the list. */
export function chosen(list: ContactList, { topics }: Pick<Contact, 'topics'>): TopicPreference[] {
  return list.topics.flatMap(({ name }) => {
    const status = choiceOf(topics, name);
    return status ? [{ topic: name, status }] : [];
  });
}

/** What holds for the other topics. */
export function defaults(list: ContactList, { topics }: Pick<Contact, 'topics'>): TopicPreference[] {
  return list.topics.flatMap(({ name, defaultStatus }) =>
    choiceOf(topics, name) ? [] : [{ topic: name, status: defaultStatus }],
  );
}

/** Whether mail of a list, or of a topic of it, is for this contact. */
export function isSubscribed(
  { unsubscribeAll, topics }: Pick<Contact, 'unsubscribeAll' | 'topics'>,
  topic?: Topic,
): boolean {
  if (unsubscribeAll) return false;
  return topic === undefined || (choiceOf(topics, topic.name) ?? topic.defaultStatus) === 'OPT_IN';
}

/**
 * Whether a filter of SES's ListContacts selects a contact. Without a topic the status is that of the whole list. Who
 * left the whole list has opted out of each topic.
 */
export function isSelected(list: ContactList, contact: Contact, { status, topic }: ContactFilter): boolean {
  const { unsubscribeAll, topics } = contact;
  if (topic === undefined) return unsubscribeAll === (status === 'OPT_OUT');
  if (unsubscribeAll) return status === 'OPT_OUT';
  const choice =
    choiceOf(topics, topic.name) ?? (topic.useDefault ? topicOf(list, topic.name).defaultStatus : undefined);
  return choice === status;
}

/** The choices as SES's events show them. */
export function eventPreferences(
  list: ContactList,
  contact: Pick<Contact, 'unsubscribeAll' | 'topics'>,
): TopicPreferences {
  return {
    unsubscribeAll: contact.unsubscribeAll,
    topicSubscriptionStatus: list.topics.map((topic) => ({
      topicName: topic.name,
      subscriptionStatus:
        (choiceOf(contact.topics, topic.name) ?? topic.defaultStatus) === 'OPT_IN' ? 'OptIn' : 'OptOut',
    })),
  };
}

/** Names of topics may be those of an object's own members. */
function choiceOf(topics: Contact['topics'], name: string): SubscriptionStatus | undefined {
  return Object.hasOwn(topics, name) ? topics[name] : undefined;
}
