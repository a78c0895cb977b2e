/** The contact list of the caller's tenant and its topics. Every key of a tenant keeps it. */
import type { ContactList, Topic as StoredTopic } from '../contacts/contact-list.ts';
import { ContactLists } from '../contacts/contact-lists.ts';
import { type Call, operation } from './operation.ts';
import { page } from './pages.ts';
import { checkedTags } from './tags.ts';
import type { InputOf } from './types.ts';

export const createContactList = operation(
  'CreateContactList',
  'use',
  async ({ ContactListName, Description, Topics = [], Tags }, call) => {
    await listsOf(call).create({
      name: ContactListName,
      tenant: call.caller.tenant,
      description: Description,
      topics: Topics.map(topicOf),
      tags: checkedTags(Tags),
    });
    return {};
  },
);

export const getContactList = operation('GetContactList', 'use', async ({ ContactListName }, call) => {
  const list = await listsOf(call).get(call.caller.tenant, ContactListName);
  return {
    ...summary(list),
    Topics: list.topics.map(({ name, displayName, description, defaultStatus }) => ({
      TopicName: name,
      DisplayName: displayName,
      Description: description,
      DefaultSubscriptionStatus: defaultStatus,
    })),
    Description: list.description,
    CreatedTimestamp: new Date(list.createdAt),
    Tags: list.tags ?? [],
  };
});

export const listContactLists = operation('ListContactLists', 'use', async (input, call) => {
  const lists = await listsOf(call).list(call.caller.tenant, { max: 100 });
  const { items, ...rest } = page(lists, ({ name }) => name, input);
  return { ContactLists: items.map(summary), ...rest };
});

/** Members that are not given stay, as in SES. */
export const updateContactList = operation(
  'UpdateContactList',
  'use',
  async ({ ContactListName, Topics, Description }, call) => {
    const change = { topics: Topics?.map(topicOf), description: Description };
    await listsOf(call).update(call.caller.tenant, ContactListName, change);
    return {};
  },
);

export const deleteContactList = operation('DeleteContactList', 'use', async ({ ContactListName }, call) => {
  await listsOf(call).delete(call.caller.tenant, ContactListName);
  return {};
});

function listsOf({ deps }: Call): ContactLists {
  return new ContactLists(deps.engine.rows, deps.clock);
}

type TopicInput = NonNullable<InputOf<'CreateContactList'>['Topics']>[number];

function topicOf({
  TopicName,
  DisplayName,
  Description,
  DefaultSubscriptionStatus,
}: TopicInput): StoredTopic {
  return {
    name: TopicName,
    displayName: DisplayName,
    description: Description,
    defaultStatus: DefaultSubscriptionStatus,
  };
}

function summary({ name, updatedAt }: ContactList) {
  return { ContactListName: name, LastUpdatedTimestamp: new Date(updatedAt) };
}
