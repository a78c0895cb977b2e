/**
 * Rows of contact lists, as SES has them (SES developer guide, "Bulk importing contacts to your contact list"):
 *
 * | file | rows |
 * |---|---|
 * | CSV with a header | `emailAddress,unsubscribeAll,attributesData,topicPreferences.Sports`, columns in any order |
 * | JSON lines | `{"emailAddress":…,"unsubscribeAll":…,"attributesData":"{…}","topicPreferences":[{"topicName":…,"subscriptionStatus":…}]}` |
 *
 * A row replaces the whole contact: what it does not name is empty afterwards.
 */
import { PosternError } from '../../errors.ts';
import { contactAddress, type TopicPreference } from '../contact.ts';
import { SUBSCRIPTION_STATUSES, type SubscriptionStatus } from '../contact-list.ts';
import type { ContactInput, Contacts } from '../contacts.ts';
import { columnsOf, isHeader } from './columns.ts';
import { fieldsOf } from './csv.ts';
import { type RowTarget, UnreadableFile } from './import.ts';
import type { ImportFormat } from './suppression-rows.ts';

export interface ContactImport {
  tenant: string;
  list: string;
  format: ImportFormat;
  action: 'put' | 'delete';
}

interface ContactLine extends ContactInput {
  address: string;
}

const TOPIC = 'topicpreferences.';

export function contactTarget(
  contacts: Pick<Contacts, 'put' | 'delete'>,
  options: ContactImport,
): RowTarget<ContactLine> {
  const { tenant, list, format, action } = options;
  return {
    read: format === 'csv' ? csvReader(action) : jsonReader,
    keyOf: ({ address }) => address.toLowerCase(),
    async store({ address, ...input }) {
      if (action === 'delete') await contacts.delete(tenant, list, address);
      else await contacts.put(tenant, list, address, input);
      return true;
    },
  };
}

function csvReader(action: 'put' | 'delete'): (text: string) => ContactLine | undefined {
  let names: readonly string[] | undefined;
  return (text) => {
    const fields = fieldsOf(text);
    if (names === undefined) {
      if (fields && isHeader(fields)) {
        names = fields;
        return undefined;
      }
      // SES's files of removals have addresses alone.
      if (action === 'put')
        throw new UnreadableFile('The first line must name the columns, emailAddress among them.');
      names = ['emailAddress'];
    }
    if (!fields) throw bad('A quote is not closed, or text follows it.');
    if (fields.length > names.length)
      throw bad(`The line has ${fields.length} fields, and ${names.length} columns are named.`);
    const { address = '', unsubscribeall, attributesdata } = columnsOf(names, fields);
    const preferences: TopicPreference[] = [];
    for (const [at, name] of names.entries()) {
      if (!name.toLowerCase().startsWith(TOPIC) || !fields[at]) continue;
      preferences.push({ topic: name.slice(TOPIC.length), status: statusOf(fields[at]) });
    }
    return {
      address: contactAddress(address),
      unsubscribeAll: flagOf(unsubscribeall),
      attributes: attributesdata || undefined,
      preferences,
    };
  };
}

function jsonReader(text: string): ContactLine {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw bad('The line is not a JSON object: each line holds one, whole.');
  }
  if (!isObject(value)) throw bad('The line is not a JSON object: each line holds one, whole.');
  const { emailAddress, unsubscribeAll, attributesData, topicPreferences = [] } = value;
  if (typeof emailAddress !== 'string') throw bad('emailAddress is missing.');
  if (unsubscribeAll !== undefined && typeof unsubscribeAll !== 'boolean')
    throw bad('unsubscribeAll must be true or false.');
  if (attributesData !== undefined && attributesData !== null && typeof attributesData !== 'string')
    throw bad('attributesData must be a string that holds a JSON object.');
  if (!Array.isArray(topicPreferences)) throw bad('topicPreferences must be a list.');
  return {
    address: contactAddress(emailAddress),
    unsubscribeAll,
    attributes: attributesData ?? undefined,
    preferences: topicPreferences.map((one: unknown) => {
      if (!isObject(one) || typeof one.topicName !== 'string' || typeof one.subscriptionStatus !== 'string')
        throw bad('topicPreferences: each has a topicName and a subscriptionStatus.');
      return { topic: one.topicName, status: statusOf(one.subscriptionStatus) };
    }),
  };
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function statusOf(text: string): SubscriptionStatus {
  const status = SUBSCRIPTION_STATUSES.find((one) => one === text);
  if (status) return status;
  throw bad(`The status ${JSON.stringify(text.slice(0, 40))} must be ${SUBSCRIPTION_STATUSES.join(' or ')}.`);
}

function flagOf(text: string | undefined): boolean | undefined {
  if (!text) return undefined;
  if (/^true$/i.test(text)) return true;
  if (/^false$/i.test(text)) return false;
  throw bad(`unsubscribeAll ${JSON.stringify(text.slice(0, 40))} must be true or false.`);
}

function bad(why: string): PosternError {
  return new PosternError('bad_request', why);
}
