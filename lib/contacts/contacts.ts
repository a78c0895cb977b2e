/** The contacts of lists: made, changed, read by address or in pages. */
import type { Rows } from '../engine/ports.ts';
import { ROW_CALL } from '../engine/rows.ts';
import { PosternError } from '../errors.ts';
import type { Clock } from '../time.ts';
import {
  type Contact,
  type ContactFilter,
  checkAttributes,
  choicesOf,
  contactAddress,
  isSelected,
  type TopicPreference,
} from './contact.ts';
import { type ContactList, checkListName, noSuchList } from './contact-list.ts';
import {
  again,
  CONTACTS,
  contactKey,
  contactOfRow,
  contactsOf,
  listKey,
  type StoredContact,
} from './contact-rows.ts';

/** What a call says of a contact; absent members stay, or are empty in a new contact. */
export interface ContactInput {
  unsubscribeAll?: boolean;
  preferences?: readonly TopicPreference[];
  attributes?: string;
}

/** Contacts that one page of a filtered list looks at. */
const EXAMINED = 10_000;

export class Contacts {
  readonly #rows: Rows;
  readonly #clock: Clock;

  constructor(rows: Rows, clock: Clock) {
    this.#rows = rows;
    this.#clock = clock;
  }

  /** @throws `already_exists`, and as `get`. */
  async create(tenant: string, name: string, text: string, input: ContactInput): Promise<void> {
    await this.#write(tenant, name, text, (list, before, address) => {
      if (before) throw new PosternError('already_exists', `${address} already exists in List.`);
      return this.#contactOf(list, address, input, undefined);
    });
  }

  /** Replaces a contact, or makes it: what is not given is empty. @throws as `get`. */
  async put(tenant: string, name: string, text: string, input: ContactInput): Promise<void> {
    await this.#write(tenant, name, text, (list, before, address) =>
      this.#contactOf(list, address, input, before?.createdAt),
    );
  }

  /**
   * Changes a contact as SES does: choices of topics that are not named stay, absent attributes are removed.
   * `unsubscribeAll` stays when it is absent. @throws as `get`.
   */
  async update(tenant: string, name: string, text: string, input: ContactInput): Promise<void> {
    await this.#write(tenant, name, text, (list, before, address) => {
      if (!before) throw noSuchContact(address);
      const { unsubscribeAll = before.unsubscribeAll, preferences = [], attributes } = input;
      checkAttributes(attributes);
      const topics = { ...before.topics, ...choicesOf(list, preferences) };
      return { ...before, unsubscribeAll, topics, attributes, updatedAt: this.#clock.now() };
    });
  }

  /** @throws `bad_request` for an invalid address or name, `not_found`, in SES's words. */
  async get(tenant: string, name: string, text: string): Promise<{ list: ContactList; contact: Contact }> {
    const { list, before, address } = await this.#readContact(tenant, name, text);
    if (before) return { list, contact: before };
    throw noSuchContact(address);
  }

  /** @throws as `get`. */
  async delete(tenant: string, name: string, text: string): Promise<void> {
    const { address } = (await this.get(tenant, name, text)).contact;
    await this.#rows.delete([contactKey(tenant, name, address)]);
  }

  /**
   * A page of contacts in the order of their addresses.
   * @param after address behind which it begins, from an earlier page. @returns `after` of the next page: a page that
   * has it may be short, because a filter examines 10,000 contacts at a time. @throws as `get`.
   */
  async page(
    tenant: string,
    name: string,
    { filter, after, max }: { filter?: ContactFilter; after?: string; max: number },
  ): Promise<{ list: ContactList; contacts: Contact[]; after?: string }> {
    const { list } = await this.lookUp(tenant, name, []);
    if (filter?.topic) requireTopic(list, filter.topic.name);
    const contacts: Contact[] = [];
    let last = after;
    for (let examined = 0; examined < EXAMINED; examined += ROW_CALL) {
      const size = filter ? ROW_CALL : Math.min(ROW_CALL, max + 1 - contacts.length);
      const range = { kind: CONTACTS, partition: contactsOf(tenant, name), after: last, max: size };
      const rows = await this.#rows.query(range);
      for (const { key, value } of rows) {
        const contact = value as StoredContact;
        if (contact.list === list.createdAt && (!filter || isSelected(list, contact, filter))) {
          // The one too many shows that there is another page.
          if (contacts.length === max) return { list, contacts, after: last };
          contacts.push(contact);
        }
        last = key;
      }
      if (rows.length < size) return { list, contacts };
    }
    return { list, contacts, after: last };
  }

  /**
   * The list, and what it has of the addresses: one read.
   * @returns contacts in the order of the addresses. @throws `not_found`, `storage_refused` for over 999 addresses.
   */
  async lookUp(
    tenant: string,
    name: string,
    addresses: readonly string[],
  ): Promise<{ list: ContactList; contacts: (Contact | undefined)[] }> {
    checkListName(name);
    const keys = addresses.map((address) => contactKey(tenant, name, address));
    const [row, ...found] = await this.#rows.get([listKey(tenant, name), ...keys]);
    if (!row) throw noSuchList(name);
    const list = row.value as ContactList;
    return { list, contacts: found.map((one) => contactOfRow(list, one)) };
  }

  /** Puts addresses on a list that are not on it; what others write of them at the same time stays. */
  async join(list: ContactList, addresses: readonly string[]): Promise<void> {
    const { tenant, name } = list;
    await Promise.all(
      addresses.map(async (address) => {
        try {
          await this.create(tenant, name, address, {});
        } catch (error) {
          const joined = error instanceof PosternError && error.code === 'already_exists';
          if (!joined) throw error;
        }
      }),
    );
  }

  /**
   * Changes what a contact has chosen, making it where there is none.
   * @param change undefined: it stays as it is. @returns what it was and is. @throws as `get`.
   */
  async choose(
    tenant: string,
    name: string,
    text: string,
    change: (list: ContactList, before: Contact) => Partial<Contact> | undefined,
  ): Promise<{ list: ContactList; before: Contact; after: Contact }> {
    let result: { list: ContactList; before: Contact; after: Contact } | undefined;
    await this.#write(tenant, name, text, (list, stored, address) => {
      const before = stored ?? this.#contactOf(list, address, {}, undefined);
      const changes = change(list, before);
      const after = changes ? { ...before, ...changes, updatedAt: this.#clock.now() } : before;
      result = { list, before, after };
      return after === stored ? undefined : after;
    });
    return result!;
  }

  #contactOf(
    list: ContactList,
    address: string,
    input: ContactInput,
    createdAt: number | undefined,
  ): Contact {
    const { unsubscribeAll = false, preferences = [], attributes } = input;
    checkAttributes(attributes);
    const now = this.#clock.now();
    const topics = choicesOf(list, preferences);
    return { address, unsubscribeAll, topics, attributes, createdAt: createdAt ?? now, updatedAt: now };
  }

  async #readContact(tenant: string, name: string, text: string) {
    const address = contactAddress(text);
    checkListName(name);
    const [listRow, row] = await this.#rows.get([listKey(tenant, name), contactKey(tenant, name, address)]);
    if (!listRow) throw noSuchList(name);
    const list = listRow.value as ContactList;
    return { list, address, before: contactOfRow(list, row), version: row?.version ?? 0 };
  }

  async #write(
    tenant: string,
    name: string,
    text: string,
    change: (list: ContactList, before: Contact | undefined, address: string) => Contact | undefined,
  ): Promise<void> {
    await again(async () => {
      const { list, address, before, version } = await this.#readContact(tenant, name, text);
      const changed = change(list, before, address);
      if (!changed) return;
      const value: StoredContact = { ...changed, list: list.createdAt };
      await this.#rows.change({ ...contactKey(tenant, name, address), value }, version);
    });
  }
}

/** SES: unknown here is not found. @throws `not_found` */
function requireTopic(list: ContactList, name: string): void {
  if (list.topics.some((topic) => topic.name === name)) return;
  throw new PosternError('not_found', `List: ${list.name} doesn't contain Topic: ${name.slice(0, 64)}`);
}

function noSuchContact(address: string): PosternError {
  return new PosternError('not_found', `${address} doesn't exist in List.`);
}
