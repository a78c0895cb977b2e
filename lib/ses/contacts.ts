/** Contacts of a list. Every key of a tenant keeps them. */
import {
  type Contact,
  type ContactFilter,
  chosen,
  defaults,
  type TopicPreference,
} from '../contacts/contact.ts';
import type { ContactList } from '../contacts/contact-list.ts';
import { Contacts } from '../contacts/contacts.ts';
import { PosternError } from '../errors.ts';
import { type Call, operation } from './operation.ts';
import type { InputOf } from './types.ts';

/** As SES gives without a `PageSize`, and at most. */
const PAGE = 1000;

export const createContact = operation('CreateContact', 'use', async (input, call) => {
  await contactsOf(call).create(
    call.caller.tenant,
    input.ContactListName,
    input.EmailAddress,
    inputOf(input),
  );
  return {};
});

export const getContact = operation('GetContact', 'use', async ({ ContactListName, EmailAddress }, call) => {
  const { list, contact } = await contactsOf(call).get(call.caller.tenant, ContactListName, EmailAddress);
  return {
    ContactListName: list.name,
    ...summary(list, contact),
    AttributesData: contact.attributes,
    CreatedTimestamp: new Date(contact.createdAt),
  };
});

/** As SES was seen to do: choices of other topics stay, attributes are replaced. */
export const updateContact = operation('UpdateContact', 'use', async (input, call) => {
  await contactsOf(call).update(
    call.caller.tenant,
    input.ContactListName,
    input.EmailAddress,
    inputOf(input),
  );
  return {};
});

export const deleteContact = operation(
  'DeleteContact',
  'use',
  async ({ ContactListName, EmailAddress }, call) => {
    await contactsOf(call).delete(call.caller.tenant, ContactListName, EmailAddress);
    return {};
  },
);

/** A filtered page may be short and have a next one, as Amazon documents. */
export const listContacts = operation(
  'ListContacts',
  'use',
  async ({ ContactListName, Filter, PageSize = PAGE, NextToken }, call) => {
    if (PageSize < 1 || PageSize > PAGE) throw bad(`The page size must be between 1 and ${PAGE}`);
    const filter = filterOf(Filter);
    const { list, contacts, after } = await contactsOf(call).page(call.caller.tenant, ContactListName, {
      filter,
      after: NextToken ? readToken(NextToken) : undefined,
      max: PageSize,
    });
    const token = after && Buffer.from(PREFIX + after).toString('base64url');
    return { Contacts: contacts.map((contact) => summary(list, contact)), NextToken: token };
  },
);

function contactsOf({ deps }: Call): Contacts {
  return new Contacts(deps.engine.rows, deps.clock);
}

type Preferences = Pick<InputOf<'CreateContact'>, 'TopicPreferences' | 'UnsubscribeAll' | 'AttributesData'>;

function inputOf({ TopicPreferences, UnsubscribeAll, AttributesData }: Preferences) {
  return {
    unsubscribeAll: UnsubscribeAll,
    preferences: TopicPreferences?.map(({ TopicName, SubscriptionStatus }) => ({
      topic: TopicName,
      status: SubscriptionStatus,
    })),
    attributes: AttributesData,
  };
}

/** @throws PosternError `bad_request` in SES's words. */
function filterOf(filter: InputOf<'ListContacts'>['Filter']): ContactFilter | undefined {
  if (!filter) return undefined;
  const { FilteredStatus: status, TopicFilter: topic } = filter;
  if (topic && !topic.TopicName) throw bad("TopicName can't be blank in TopicFilter.");
  if (!status) {
    if (!topic) return undefined;
    throw bad('Invalid FilteredStatus <null>');
  }
  return {
    status,
    topic: topic && { name: topic.TopicName!, useDefault: topic.UseDefaultIfPreferenceUnavailable ?? false },
  };
}

function summary(list: ContactList, contact: Contact) {
  return {
    EmailAddress: contact.address,
    TopicPreferences: chosen(list, contact).map(preference),
    TopicDefaultPreferences: defaults(list, contact).map(preference),
    UnsubscribeAll: contact.unsubscribeAll,
    LastUpdatedTimestamp: new Date(contact.updatedAt),
  };
}

function preference({ topic, status }: TopicPreference) {
  return { TopicName: topic, SubscriptionStatus: status };
}

const PREFIX = 'contact:';

function readToken(token: string): string {
  const text = Buffer.from(token, 'base64url').toString('utf8');
  if (text.startsWith(PREFIX) && text.length > PREFIX.length) return text.slice(PREFIX.length);
  throw bad('Provided NextToken is invalid');
}

function bad(message: string): PosternError {
  return new PosternError('bad_request', message);
}
