/**
 * Rows by which documents are listed and counted. A row's key begins with the name of its list, and it holds what the
 * list shows: neither reads the documents, which may be large and have keys that do not bring them together.
 *
 * ```
 *  create:  row ──► document ──► row, if it is gone        delete:  document ──► row ──► row again, if there is a new
 *                                                                                         document
 * ```
 * So no document is without its row, whichever of two calls is first. A crash may leave a row without a document,
 * until the same document is created or deleted again.
 *
 * Documents that were stored before there were rows get them when a list is first used.
 */
import type { Config, DocumentQuery } from '../engine/ports.ts';
import { isConflict } from './document.ts';
import { backfill } from './document-backfill.ts';

/** A row of a list. */
export interface IndexRow<R> {
  /** Its key without the name of the list. */
  readonly key: string;
  readonly shown: R;
}

/** The rows of a document: by their keys, `<list>/…`, what the list shows. */
export type RowsOf<T, R> = (value: T) => Readonly<Record<string, R>>;

export class DocumentIndex<T extends object, R extends object> {
  readonly #config: Config;
  readonly #kind: string;
  readonly #rowsOf: RowsOf<T, R>;
  readonly #completed: () => Promise<void>;

  /** @param kind of the documents; their rows are of the kind `<kind>-index`. */
  constructor(config: Config, kind: string, rowsOf: RowsOf<T, R>) {
    this.#config = config;
    this.#kind = kind;
    this.#rowsOf = rowsOf;
    this.#completed = backfill<T>(config, { from: kind, into: this.#rows }, (_key, value) =>
      this.#add(value),
    );
  }

  /**
   * Stores the rows of a document that `create` stores.
   * @throws what `create` throws, and PosternErrors of the storage group.
   */
  async around<V>(value: T, create: () => Promise<V>): Promise<V> {
    await this.#add(value);
    const made = await create();
    await this.#add(value);
    return made;
  }

  /** Removes the rows of a document that was deleted. @throws PosternError of the storage group. */
  async remove(key: string, value: T): Promise<void> {
    for (const row of Object.keys(this.#rowsOf(value))) await this.#config.delete(this.#rows, row);
    const anew = await this.#config.get(this.#kind, key);
    if (anew) await this.#add(anew.value as T);
  }

  /**
   * Rows of a list in the order of keys.
   * @param after key of a row, without the name of the list. @throws PosternError of the storage group.
   */
  async list(list: string, { after, max }: Omit<DocumentQuery, 'prefix'> = {}): Promise<IndexRow<R>[]> {
    await this.#completed();
    const prefix = `${list}/`;
    const query = { prefix, max, after: after === undefined ? undefined : prefix + after };
    const rows = await this.#config.list(this.#rows, query);
    return rows.map(({ key, value }) => ({ key: key.slice(prefix.length), shown: value as R }));
  }

  /** Number of rows of a list. @throws PosternError of the storage group. */
  async count(list: string): Promise<number> {
    await this.#completed();
    return this.#config.count(this.#rows, `${list}/`);
  }

  get #rows(): string {
    return `${this.#kind}-index`;
  }

  async #add(value: T): Promise<void> {
    for (const [key, shown] of Object.entries(this.#rowsOf(value))) {
      try {
        await this.#config.put(this.#rows, key, shown, 0);
      } catch (error) {
        if (!isConflict(error)) throw error;
      }
    }
  }
}
