/** Contacts of a list: who they are, and what they have chosen. */
import * as z from 'zod/mini';
import { type ContactFilter, chosen, type Contact as StoredContact } from '../contacts/contact.ts';
import { type ContactList, SUBSCRIPTION_STATUSES } from '../contacts/contact-list.ts';
import { Contacts as Book } from '../contacts/contacts.ts';
import { exportContactPage, exportContacts } from '../contacts/transfer/contact-export.ts';
import { contactTarget } from '../contacts/transfer/contact-lines.ts';
import { PosternError } from '../errors.ts';
import { contactTenant, listLabel, ofTenant, status } from './contact-lists.ts';
import {
  actionOf,
  exampleAnswer,
  FILE_TYPES,
  formatOf,
  Import,
  MEDIA,
  onePiece,
  runUpload,
  sizeOf,
} from './imports.ts';
import { type ApiCall, iso, label, operation, query } from './operation.ts';
import { anyObject, flag, name, named, text, time } from './schema.ts';

/** Contacts of one answer where the transport holds it whole: some 3 MB without attributes. */
const BOUNDED = 5_000;

const choices = z.record(name('Topic.'), status);

const ContactRequest = named(
  'ContactRequest',
  z.strictObject({
    unsubscribeAll: z.optional(flag('Whether the contact has left the whole list.')),
    topics: z.optional(choices),
    attributes: z.optional(anyObject('Kept with the contact.')),
  }),
);
const Contact = named(
  'Contact',
  z.strictObject({
    address: text('As it was given.'),
    unsubscribeAll: flag('Whether the contact has left the whole list.'),
    topics: choices,
    attributes: z.optional(anyObject('Kept with the contact.')),
    createdAt: time('When it was made.'),
    updatedAt: time('When it was changed last.'),
  }),
);
const Contacts = named(
  'Contacts',
  z.strictObject({
    contacts: z.array(Contact),
    next: z.optional(text('`after` of the next page; absent on the last one.')),
  }),
);

const given = { topics: { offers: 'OPT_IN' }, attributes: { name: 'Ann' } };
const example = {
  address: 'ann@example.net',
  unsubscribeAll: false,
  ...given,
  createdAt: '2026-01-01T00:00:00.000Z',
  updatedAt: '2026-01-01T00:00:00.000Z',
};
const address = label('address', 'Address, whatever the case of its letters.');
const format = query('format', 'csv or jsonl; absent: by the media type, else csv.');

const listContacts = operation({
  method: 'get',
  path: '/contact-lists/{list}/contacts',
  operationId: 'listContacts',
  summary: 'Contacts of a list, by address',
  description:
    'With a status only contacts of that status: of the whole list, or with a topic of that topic. A filtered page may ' +
    'be short, or empty, and have a next one.',
  parameters: [
    listLabel,
    ofTenant,
    query('status', 'OPT_IN or OPT_OUT.'),
    query('topic', 'Topic to which `status` refers.'),
    query('default', 'true: contacts who have not chosen have the status of the topic.'),
    query('max', 'Maximum entries returned: 1 to 1,000, else 100.'),
    query('after', '`next` of the page before.'),
  ],
  answer: { status: 200, description: 'A page.', schema: Contacts, example: { contacts: [example] } },
  async handle(call) {
    const { list, contacts, after } = await bookOf(call).page(contactTenant(call), call.params.list!, {
      filter: filterOf(call),
      max: sizeOf(call),
      after: call.query.after,
    });
    return { body: { contacts: contacts.map((contact) => shown(list, contact)), next: after } };
  },
});

const getContact = operation({
  method: 'get',
  path: '/contact-lists/{list}/contacts/{address}',
  operationId: 'getContact',
  summary: 'A contact and what it has chosen',
  parameters: [listLabel, address, ofTenant],
  answer: { status: 200, description: 'The contact.', schema: Contact, example },
  handle: async (call) => ({ body: await stored(call) }),
});

const putContact = operation({
  method: 'put',
  path: '/contact-lists/{list}/contacts/{address}',
  operationId: 'putContact',
  summary: 'Make a contact, or replace it whole',
  parameters: [listLabel, address, ofTenant],
  request: { schema: ContactRequest, required: true, examples: { ann: given } },
  answer: { status: 200, description: 'The contact.', schema: Contact, example },
  async handle(call) {
    const { unsubscribeAll, topics = {}, attributes } = call.body;
    await bookOf(call).put(contactTenant(call), call.params.list!, call.params.address!, {
      unsubscribeAll,
      preferences: Object.entries(topics).map(([topic, choice]) => ({ topic, status: choice })),
      attributes: attributes && JSON.stringify(attributes),
    });
    return { body: await stored(call) };
  },
});

const deleteContact = operation({
  method: 'delete',
  path: '/contact-lists/{list}/contacts/{address}',
  operationId: 'deleteContact',
  summary: 'Delete a contact',
  description: 'A contact that left and is deleted may be sent to again: better keep it.',
  parameters: [listLabel, address, ofTenant],
  answer: { status: 204, description: 'It is gone.' },
  async handle(call) {
    await bookOf(call).delete(contactTenant(call), call.params.list!, call.params.address!);
    return {};
  },
});

const importContacts = operation({
  method: 'post',
  path: '/contact-lists/{list}/import',
  operationId: 'importContacts',
  summary: 'Put the contacts of a file on a list, or take them off',
  description:
    'The file is read as it arrives; good rows are taken whatever stands around them, and each bad one is answered with ' +
    'its line. Taken are CSV with a header and JSON lines, as SES has them, and what export writes.',
  parameters: [listLabel, ofTenant, format, query('action', 'put or delete; absent: put.')],
  upload: FILE_TYPES,
  answer: {
    status: 200,
    description: 'The file was read to its end.',
    schema: Import,
    example: exampleAnswer,
  },
  async handle(call) {
    const [tenant, list] = [contactTenant(call), call.params.list!];
    const [action, fileFormat, book] = [actionOf(call), formatOf(call), bookOf(call)];
    await book.lookUp(tenant, list, []);
    const target = contactTarget(book, { tenant, list, format: fileFormat, action });
    return runUpload(call, { kind: 'contacts', action, list }, fileFormat, target);
  },
});

const exportContactList = operation({
  method: 'get',
  path: '/contact-lists/{list}/export',
  operationId: 'exportContacts',
  summary: 'The contacts of a list as a file',
  description:
    'Import takes it back. On AWS a file has 5,000 contacts at most, and the header `Link` with `rel="next"` (RFC 8288) ' +
    'names the rest.',
  parameters: [
    listLabel,
    ofTenant,
    query('format', 'csv or jsonl; absent: csv.'),
    query('after', 'From a `Link`.'),
  ],
  answer: { status: 200, description: 'The file.', media: FILE_TYPES },
  async handle(call) {
    const [book, fileFormat] = [bookOf(call), formatOf(call)];
    const range = { tenant: contactTenant(call), list: call.params.list!, after: call.query.after };
    const file = { type: MEDIA[fileFormat], fileName: `contacts.${fileFormat}` };
    // The list is looked up before the answer begins.
    await book.lookUp(range.tenant, range.list, []);
    if (call.unbounded) return { text: { ...file, pieces: exportContacts(book, range, fileFormat) } };
    const page = await exportContactPage(book, range, fileFormat, BOUNDED);
    const rest = page.after && new URLSearchParams({ ...call.query, after: page.after }).toString();
    const next = rest && `/v1/contact-lists/${range.list}/export?${rest}`;
    return { text: { ...file, pieces: onePiece(page.text) }, next };
  },
});

export const CONTACTS = [
  listContacts,
  getContact,
  putContact,
  deleteContact,
  importContacts,
  exportContactList,
];

function bookOf({ deps }: ApiCall): Book {
  return new Book(deps.engine.rows, deps.clock);
}

async function stored(call: ApiCall): Promise<object> {
  const { list, contact } = await bookOf(call).get(
    contactTenant(call),
    call.params.list!,
    call.params.address!,
  );
  return shown(list, contact);
}

/** @throws `bad_request` */
function filterOf({
  query: { status: wanted, topic, default: useDefault = 'false' },
}: ApiCall): ContactFilter | undefined {
  const found = SUBSCRIPTION_STATUSES.find((one) => one === wanted);
  if (wanted !== undefined && !found)
    throw new PosternError('bad_request', `status: must be one of ${SUBSCRIPTION_STATUSES.join(', ')}.`);
  if (useDefault !== 'true' && useDefault !== 'false')
    throw new PosternError('bad_request', 'default: must be true or false.');
  if (!found) {
    if (topic === undefined) return undefined;
    throw new PosternError('bad_request', 'status: is missing; a topic alone selects nothing.');
  }
  return {
    status: found,
    topic: topic === undefined ? undefined : { name: topic, useDefault: useDefault === 'true' },
  };
}

function shown(list: ContactList, contact: StoredContact): object {
  const { address, unsubscribeAll, attributes, createdAt, updatedAt } = contact;
  return {
    address,
    unsubscribeAll,
    topics: Object.fromEntries(chosen(list, contact).map(({ topic, status: choice }) => [topic, choice])),
    attributes: attributes === undefined ? undefined : (JSON.parse(attributes) as object),
    createdAt: iso(createdAt),
    updatedAt: iso(updatedAt),
  };
}
