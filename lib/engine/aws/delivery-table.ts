/**
 * Where the state of deliveries is: their items, the bodies that wait, and the reports about their messages, all under
 * the message's id. It is a table of its own, so that no amount of put-backs takes the capacity by which mail is
 * accepted. Messages of earlier versions, known by their ids (`callOf`), have all of it in the records table, until
 * they expire.
 */
import { callOf } from '../../mail/message-id.ts';
import type { Item, Key } from './attributes.ts';
import type { TableName } from './schema.ts';
import type { KeyRange, Tables, Update } from './tables.ts';

const PLACES = ['deliveries', 'records'] as const satisfies TableName[];

export class DeliveryTable {
  readonly #tables: Tables;

  constructor(tables: Tables) {
    this.#tables = tables;
  }

  get(key: Key, consistent: boolean): Promise<Item | undefined> {
    return this.#tables.get(placeOf(key.pk), key, consistent);
  }

  /** Items that exist, in no order. */
  async getAll(keys: readonly Key[], consistent = true): Promise<Item[]> {
    const found = await Promise.all(
      PLACES.map((table) =>
        this.#tables.getAll(
          table,
          keys.filter(({ pk }) => placeOf(pk) === table),
          consistent,
        ),
      ),
    );
    return found.flat();
  }

  query(messageId: string, range: KeyRange): Promise<Item[]> {
    return this.#tables.query(placeOf(messageId), messageId, range);
  }

  update(key: Key, change: Update): Promise<{ done: boolean; item?: Item }> {
    return this.#tables.update(placeOf(key.pk), key, change);
  }

  /** Writes whole items, each at its own time. */
  async putAll(items: readonly Item[]): Promise<void> {
    await Promise.all(
      PLACES.map((table) =>
        this.#tables.putAll(
          table,
          items.filter(({ pk }) => placeOf(pk!.S!) === table),
        ),
      ),
    );
  }
}

function placeOf(messageId: string): (typeof PLACES)[number] {
  return callOf(messageId) === undefined ? 'records' : 'deliveries';
}
