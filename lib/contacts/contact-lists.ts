/** Contact lists: made, changed and deleted with their contacts. */
import type { Rows } from '../engine/ports.ts';
import { ROW_CALL, type Row } from '../engine/rows.ts';
import { PosternError } from '../errors.ts';
import type { Clock } from '../time.ts';
import {
  type ContactList,
  checkDescription,
  checkListName,
  checkTopics,
  MAX_LISTS,
  noSuchList,
} from './contact-list.ts';
import { again, CONTACTS, contactsOf, isConflict, LISTS, listKey } from './contact-rows.ts';

export class ContactLists {
  readonly #rows: Rows;
  readonly #clock: Clock;

  constructor(rows: Rows, clock: Clock) {
    this.#rows = rows;
    this.#clock = clock;
  }

  /** @throws `bad_request` in SES's words: for what is invalid, and where the tenant has a list. */
  async create(
    input: Pick<ContactList, 'name' | 'tenant' | 'description' | 'topics' | 'tags'>,
  ): Promise<void> {
    checkListName(input.name);
    checkDescription(input.description);
    checkTopics(input.topics);
    const { tenant, name } = input;
    if ((await this.list(tenant, { max: MAX_LISTS })).length >= MAX_LISTS) throw tooManyLists();
    const now = this.#clock.now();
    const key = listKey(tenant, name);
    await this.#rows
      .change({ ...key, value: { ...input, createdAt: now, updatedAt: now } }, 0)
      .catch((error) => {
        throw isConflict(error) ? tooManyLists() : error;
      });
    // Two calls may have made two lists at one time: each of them finds the other, and none stays.
    if ((await this.list(tenant, { max: MAX_LISTS + 1 })).length <= MAX_LISTS) return;
    await this.#rows.delete([key]);
    throw tooManyLists();
  }

  /** @throws `bad_request` for a name that none can have, `not_found`, in SES's words. */
  async get(tenant: string, name: string): Promise<ContactList> {
    return (await this.#read(tenant, name)).value as ContactList;
  }

  /** By name. */
  async list(tenant: string, page: { after?: string; max: number }): Promise<ContactList[]> {
    const rows = await this.#rows.query({ kind: LISTS, partition: tenant, ...page });
    return rows.map(({ value }) => value as ContactList);
  }

  /** Replaces the given members. Choices of topics that are gone come back with the topics. @throws as `get`. */
  async update(
    tenant: string,
    name: string,
    change: Partial<Pick<ContactList, 'description' | 'topics' | 'tags'>>,
  ): Promise<void> {
    checkListName(name);
    checkDescription(change.description);
    if (change.topics) checkTopics(change.topics);
    await again(async () => {
      const { version, value } = await this.#read(tenant, name);
      const changed = { ...(value as ContactList), ...defined(change), updatedAt: this.#clock.now() };
      await this.#rows.change({ ...listKey(tenant, name), value: changed }, version);
    });
  }

  /** Deletes a list with its contacts. When it fails it may be repeated: the list goes last. @throws as `get`. */
  async delete(tenant: string, name: string): Promise<void> {
    await this.get(tenant, name);
    const range = { kind: CONTACTS, partition: contactsOf(tenant, name), max: ROW_CALL };
    for (;;) {
      const contacts = await this.#rows.query(range);
      await this.#rows.delete(contacts);
      if (contacts.length < ROW_CALL) break;
    }
    await this.#rows.delete([listKey(tenant, name)]);
  }

  async #read(tenant: string, name: string): Promise<Row> {
    checkListName(name);
    const [row] = await this.#rows.get([listKey(tenant, name)]);
    if (!row) throw noSuchList(name);
    return row;
  }
}

function tooManyLists(): PosternError {
  return new PosternError('bad_request', `A maximum of ${MAX_LISTS} Lists allowed per account.`);
}

function defined<T extends object>(members: T): Partial<T> {
  return Object.fromEntries(Object.entries(members).filter(([, value]) => value !== undefined)) as Partial<T>;
}
