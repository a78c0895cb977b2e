/** Contact lists as files in SES's formats, a page at a time. `import` takes both back. */
import { type Contact, chosen } from '../contact.ts';
import type { ContactList } from '../contact-list.ts';
import type { Contacts } from '../contacts.ts';
import { csvLine } from './csv.ts';
import type { ImportFormat } from './suppression-rows.ts';

const PAGE = 1000;

interface ContactRange {
  tenant: string;
  list: string;
  after?: string;
}

/** All contacts behind `after`. @throws PosternError `not_found`, or of the storage group. */
export async function* exportContacts(
  contacts: Pick<Contacts, 'page'>,
  range: ContactRange,
  format: ImportFormat,
): AsyncGenerator<string> {
  let { after } = range;
  let first = true;
  do {
    const page = await exportContactPage(contacts, { ...range, after }, format, PAGE, first);
    first = false;
    after = page.after;
    yield page.text;
  } while (after !== undefined);
}

/** Up to `max` contacts, and where the rest begins. */
export async function exportContactPage(
  contacts: Pick<Contacts, 'page'>,
  { tenant, list: name, after: from }: ContactRange,
  format: ImportFormat,
  max: number,
  header = true,
): Promise<{ text: string; after?: string }> {
  const { list, contacts: found, after } = await contacts.page(tenant, name, { after: from, max });
  const lines = found.map((contact) => (format === 'csv' ? csvOf(list, contact) : jsonOf(list, contact)));
  return { text: (format === 'csv' && header ? headerOf(list) : '') + lines.join(''), after };
}

function headerOf({ topics }: ContactList): string {
  const columns = topics.map(({ name }) => `topicPreferences.${name}`);
  return csvLine(['emailAddress', 'unsubscribeAll', 'attributesData', ...columns]);
}

function csvOf({ topics }: ContactList, contact: Contact): string {
  const choices = topics.map(({ name }) => (Object.hasOwn(contact.topics, name) ? contact.topics[name] : ''));
  return csvLine([contact.address, String(contact.unsubscribeAll), contact.attributes, ...choices]);
}

function jsonOf(list: ContactList, contact: Contact): string {
  const { address: emailAddress, unsubscribeAll, attributes: attributesData } = contact;
  const topicPreferences = chosen(list, contact).map(({ topic, status }) => ({
    topicName: topic,
    subscriptionStatus: status,
  }));
  return `${JSON.stringify({ emailAddress, unsubscribeAll, attributesData, topicPreferences })}\n`;
}
