/**
 * Shelves: the part of a lane that belongs to one tenant, with its own run of queue keys. Gives each ready
 * delivery the next key of its shelf and keeps the number of rows, written once per transaction.
 */
import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { PosternError } from '../../../errors.ts';
import type { StoredShelf } from '../protocol.ts';
import { MAX_SHELVES, SPAN } from './schema.ts';

/** Shelves kept in memory; beyond that they are read again when needed. */
const KEPT = 20_000;

export class Shelves {
  readonly #byName = new Map<string, StoredShelf>();
  readonly #byId = new Map<number, StoredShelf>();
  readonly #changed = new Set<StoredShelf>();
  readonly #findByName: StatementSync;
  readonly #findById: StatementSync;
  readonly #insert: StatementSync;
  readonly #update: StatementSync;
  readonly #stocked: StatementSync;
  readonly #sweep: StatementSync;

  constructor(db: DatabaseSync) {
    this.#findByName = db.prepare(
      'SELECT * FROM shelves WHERE lane = ? AND tenant = ? ORDER BY id DESC LIMIT 1',
    );
    this.#findById = db.prepare('SELECT * FROM shelves WHERE id = ?');
    this.#insert = db.prepare(
      'INSERT INTO shelves (lane, tenant, next, count) VALUES (?, ?, 1, 0) RETURNING *',
    );
    this.#update = db.prepare('UPDATE shelves SET next = ?, count = ? WHERE id = ?');
    this.#stocked = db.prepare('SELECT * FROM shelves WHERE count > 0 ORDER BY id');
    this.#sweep = db.prepare('DELETE FROM shelves WHERE count = 0');
  }

  /** Takes the next key of the shelf of a lane and tenant; the caller inserts the row. */
  place(lane: string, tenant: string): number {
    const name = `${lane}\0${tenant}`;
    let shelf = this.#byName.get(name);
    if (shelf === undefined || shelf.next >= SPAN) {
      shelf = this.#findByName.get(lane, tenant) as unknown as StoredShelf | undefined;
      if (shelf === undefined || shelf.next >= SPAN) shelf = this.#make(lane, tenant);
      shelf = this.#byId.get(shelf.id) ?? shelf;
      this.#byName.set(name, shelf);
      this.#byId.set(shelf.id, shelf);
    }
    shelf.count += 1;
    this.#changed.add(shelf);
    return shelf.id * SPAN + shelf.next++;
  }

  /** One row of the shelf was deleted. */
  removed(key: number): void {
    const id = Math.floor(key / SPAN);
    let shelf = this.#byId.get(id);
    if (shelf === undefined) {
      shelf = this.#findById.get(id) as unknown as StoredShelf;
      this.#byId.set(id, shelf);
    }
    shelf.count -= 1;
    this.#changed.add(shelf);
  }

  /** Writes what changed; part of each transaction. */
  flush(): void {
    for (const shelf of this.#changed) this.#update.run(shelf.next, shelf.count, shelf.id);
    this.#changed.clear();
    if (this.#byId.size > KEPT) this.forget();
  }

  /** Drops what is in memory, after a rollback. */
  forget(): void {
    this.#byName.clear();
    this.#byId.clear();
    this.#changed.clear();
  }

  /** Drops empty shelves, and lists the others. Only while nobody holds a key: at the start. */
  atStart(): StoredShelf[] {
    this.#sweep.run();
    return this.#stocked.all() as unknown as StoredShelf[];
  }

  #make(lane: string, tenant: string): StoredShelf {
    const shelf = this.#insert.get(lane, tenant) as unknown as StoredShelf;
    if (shelf.id >= MAX_SHELVES) {
      throw new PosternError(
        'storage_unavailable',
        `The store has ${MAX_SHELVES} pairs of lane and tenant, its limit. Restart to drop the empty ones.`,
      );
    }
    return shelf;
  }
}
