/** Contact lists: topics that a tenant's readers choose from. A list is its tenant's, kept with any key of the tenant. */
import * as z from 'zod/mini';
import { type ContactList as StoredList, SUBSCRIPTION_STATUSES } from '../contacts/contact-list.ts';
import { ContactLists as Lists } from '../contacts/contact-lists.ts';
import { checkName } from '../control/names.ts';
import { PosternError } from '../errors.ts';
import { type ApiCall, iso, label, operation, query } from './operation.ts';
import { about, name, named, text, time } from './schema.ts';

export const status = z.enum(SUBSCRIPTION_STATUSES);

const ContactTopic = named(
  'ContactTopic',
  z.strictObject({
    name: name('Names the topic.'),
    displayName: text('As contacts read it.', z.minLength(1), z.maxLength(128)),
    description: z.optional(text('What it is about, for contacts.', z.maxLength(500))),
    defaultStatus: status.check(about('Of contacts who have not chosen.')),
  }),
);
const ContactListRequest = named(
  'ContactListRequest',
  z.strictObject({
    description: z.optional(text('What the list is about.', z.maxLength(500))),
    topics: z.optional(z.array(ContactTopic).check(z.maxLength(20))),
  }),
);
const ContactList = named(
  'ContactList',
  z.strictObject({
    name: text('Names the list.'),
    tenant: text('Whose it is.'),
    description: z.optional(text('What the list is about.')),
    topics: z.array(ContactTopic),
    createdAt: time('When it was made.'),
    updatedAt: time('When it was changed last.'),
  }),
);
const ContactLists = named('ContactLists', z.strictObject({ lists: z.array(ContactList) }));

const definition = {
  description: 'News of the shop',
  topics: [{ name: 'offers', displayName: 'Offers', defaultStatus: 'OPT_OUT' }],
};
const example = {
  name: 'news',
  tenant: 'default',
  ...definition,
  createdAt: '2026-01-01T00:00:00.000Z',
  updatedAt: '2026-01-01T00:00:00.000Z',
};

export const listLabel = label('list', 'Name of the list.');
export const ofTenant = query(
  'tenant',
  "Whose list; absent: of the key's tenant. Another one needs an administrator's key.",
);

const listContactLists = operation({
  method: 'get',
  path: '/contact-lists',
  operationId: 'listContactLists',
  summary: 'The contact lists of a tenant',
  parameters: [ofTenant],
  answer: {
    status: 200,
    description: 'As in SES, one at most.',
    schema: ContactLists,
    example: { lists: [example] },
  },
  async handle(call) {
    const lists = await listsOf(call).list(contactTenant(call), { max: 100 });
    return { body: { lists: lists.map(shown) } };
  },
});

const getContactList = operation({
  method: 'get',
  path: '/contact-lists/{list}',
  operationId: 'getContactList',
  summary: 'A contact list and its topics',
  parameters: [listLabel, ofTenant],
  answer: { status: 200, description: 'The list.', schema: ContactList, example },
  handle: async (call) => ({ body: shown(await listsOf(call).get(contactTenant(call), call.params.list!)) }),
});

const putContactList = operation({
  method: 'put',
  path: '/contact-lists/{list}',
  operationId: 'putContactList',
  summary: 'Make a contact list, or change its description and its topics',
  description: 'Members that are not given stay. Choices of topics that are gone come back with the topics.',
  parameters: [listLabel, ofTenant],
  request: { schema: ContactListRequest, required: true, examples: { news: definition } },
  answer: { status: 200, description: 'The list.', schema: ContactList, example },
  async handle(call) {
    const [lists, tenant, list] = [listsOf(call), contactTenant(call), call.params.list!];
    const { description, topics } = call.body;
    await lists.update(tenant, list, { description, topics }).catch((error) => {
      if (!(error instanceof PosternError) || error.code !== 'not_found') throw error;
      return lists.create({ tenant, name: list, description, topics: topics ?? [] });
    });
    return { body: shown(await lists.get(tenant, list)) };
  },
});

const deleteContactList = operation({
  method: 'delete',
  path: '/contact-lists/{list}',
  operationId: 'deleteContactList',
  summary: 'Delete a contact list with all of its contacts',
  parameters: [listLabel, ofTenant],
  answer: { status: 204, description: 'It and its contacts are gone.' },
  async handle(call) {
    await listsOf(call).delete(contactTenant(call), call.params.list!);
    return {};
  },
});

export const CONTACT_LISTS = [listContactLists, getContactList, putContactList, deleteContactList];

/** @throws `bad_request` for what is no name of a tenant, `access_denied` for one that is not the key's. */
export function contactTenant({ caller, query: { tenant = caller.tenant } }: ApiCall): string {
  checkName('tenant', tenant);
  if (tenant === caller.tenant || caller.admin) return tenant;
  throw new PosternError(
    'access_denied',
    `The key ${caller.keyId} may not see or change the contacts of another tenant.`,
  );
}

function listsOf({ deps }: ApiCall): Lists {
  return new Lists(deps.engine.rows, deps.clock);
}

function shown({ name, tenant, description, topics, createdAt, updatedAt }: StoredList): object {
  return { name, tenant, description, topics, createdAt: iso(createdAt), updatedAt: iso(updatedAt) };
}
