/** Contact lists and contacts in the engine's rows: one for each list, one for each contact. */
import type { Row, RowKey } from '../engine/rows.ts';
import { suppressionKey } from '../engine/suppression.ts';
import { PosternError } from '../errors.ts';
import type { Contact } from './contact.ts';
import type { ContactList } from './contact-list.ts';

export const LISTS = 'contact-list';
export const CONTACTS = 'contact';

/** A contact with the list that it is of: a list of the same name that was made later has others. */
export interface StoredContact extends Contact {
  /** When its list was made. */
  list: number;
}

/** Tries of a change that others change at the same time. */
const TRIES = 8;

export function listKey(tenant: string, name: string): RowKey {
  return { kind: LISTS, partition: tenant, key: name };
}

/** All spellings of one mailbox are one contact. */
export function contactKey(tenant: string, list: string, address: string): RowKey {
  return { kind: CONTACTS, partition: contactsOf(tenant, list), key: suppressionKey(address) };
}

/** The partition of a list's contacts. */
export function contactsOf(tenant: string, list: string): string {
  return `${tenant}/${list}`;
}

export function contactOfRow(list: ContactList, row: Row | undefined): Contact | undefined {
  const contact = row?.value as StoredContact | undefined;
  return contact?.list === list.createdAt ? contact : undefined;
}

/** Repeats a change that another one came before. @throws `config_conflict` when it is always too late. */
export async function again(change: () => Promise<void>): Promise<void> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await change();
    } catch (error) {
      if (!isConflict(error) || tries === TRIES) throw error;
    }
  }
}

export function isConflict(error: unknown): boolean {
  return error instanceof PosternError && error.code === 'config_conflict';
}
