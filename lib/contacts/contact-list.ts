/**
 * A contact list and its topics, with SES's limits and its words for what breaks them (SES developer guide, "Using list
 * management"; recorded answers).
 */
import { PosternError } from '../errors.ts';

export const SUBSCRIPTION_STATUSES = ['OPT_IN', 'OPT_OUT'] as const;
export type SubscriptionStatus = (typeof SUBSCRIPTION_STATUSES)[number];

/** A theme of a list. */
export interface Topic {
  name: string;
  /** As contacts read it. */
  displayName: string;
  description?: string;
  /** Of contacts who have not chosen. */
  defaultStatus: SubscriptionStatus;
}

export interface ContactList {
  name: string;
  tenant: string;
  description?: string;
  topics: Topic[];
  tags?: { Key: string; Value: string }[];
  createdAt: number;
  updatedAt: number;
}

/** SES: lists of an account, here of a tenant. */
export const MAX_LISTS = 1;
const MAX_TOPICS = 20;
const MAX_DISPLAY_NAME = 128;
const MAX_DESCRIPTION = 500;
const NAME = /^[A-Za-z0-9_-]{1,64}$/;

/** @throws `bad_request` in SES's words. */
export function checkListName(name: string): void {
  checkName('ContactListName', name);
}

/** @throws `bad_request` in SES's words. */
export function checkDescription(description: string | undefined): void {
  if (description !== undefined && description.length > MAX_DESCRIPTION)
    throw bad(`List description can contain up to ${MAX_DESCRIPTION} characters.`);
}

/** @throws `bad_request` in SES's words. */
export function checkTopics(topics: readonly Topic[]): void {
  if (topics.length > MAX_TOPICS) throw bad(`Maximum of <${MAX_TOPICS}> topics allowed per ContactList`);
  for (const { name, displayName, description = '' } of topics) {
    checkName('TopicName', name);
    if (displayName === '') throw bad("Topic DisplayName can't be blank.");
    if (displayName.length > MAX_DISPLAY_NAME)
      throw bad(`Topic DisplayName can contain up to <${MAX_DISPLAY_NAME}> characters.`);
    if (description.length > MAX_DESCRIPTION)
      throw bad(`Topic description can contain up to <${MAX_DESCRIPTION}> characters.`);
  }
  if (new Set(topics.map(({ name }) => name)).size < topics.length)
    throw bad('Duplicate topic names are not allowed within a List.');
}

/** The topic of a list. @throws `bad_request` in SES's words. */
export function topicOf({ name, topics }: ContactList, topic: string): Topic {
  const found = topics.find((one) => one.name === topic);
  if (found) return found;
  throw bad(`List: ${name} doesn't contain Topic: ${topic.slice(0, 64)}`);
}

export function noSuchList(name: string): PosternError {
  return new PosternError('not_found', `List with name: ${name.slice(0, 64)} doesn't exist.`);
}

function checkName(member: string, name: string): void {
  if (name === '') throw bad(`${member} can't be blank.`);
  if (NAME.test(name)) return;
  throw bad(
    `${member} can contain up to 64 characters. Only alphanumeric characters, underscores(_) and hyphens(-) are allowed.`,
  );
}

function bad(message: string): PosternError {
  return new PosternError('bad_request', message);
}
