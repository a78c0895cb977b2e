/**
 * Tenant queues: the part of a lane that belongs to one tenant, with its own run of queue keys. Gives each ready
 * delivery the next key of its tenant queue and keeps the number of rows, written once per transaction.
 */
import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { PosternError } from '../../../errors.ts';
import type { StoredTenantQueue } from '../protocol.ts';
import { MAX_TENANT_QUEUES, SPAN } from './schema.ts';

/** Tenant queues kept in memory; beyond that they are read again when needed. */
const KEPT = 20_000;

export class TenantQueues {
  readonly #byName = new Map<string, StoredTenantQueue>();
  readonly #byId = new Map<number, StoredTenantQueue>();
  readonly #changed = new Set<StoredTenantQueue>();
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
    this.#stocked = db.prepare(`
      SELECT *, (SELECT message FROM queue WHERE key > id * ${SPAN} ORDER BY key LIMIT 1) AS first
      FROM shelves WHERE count > 0 ORDER BY id`);
    this.#sweep = db.prepare('DELETE FROM shelves WHERE count = 0');
  }

  /** Takes the next key of the tenant queue of a lane and tenant; the caller inserts the row. */
  place(lane: string, tenant: string): number {
    const name = `${lane}\0${tenant}`;
    let tenantQueue = this.#byName.get(name);
    if (tenantQueue === undefined || tenantQueue.next >= SPAN) {
      tenantQueue = this.#findByName.get(lane, tenant) as unknown as StoredTenantQueue | undefined;
      if (tenantQueue === undefined || tenantQueue.next >= SPAN) tenantQueue = this.#make(lane, tenant);
      tenantQueue = this.#byId.get(tenantQueue.id) ?? tenantQueue;
      this.#byName.set(name, tenantQueue);
      this.#byId.set(tenantQueue.id, tenantQueue);
    }
    tenantQueue.count += 1;
    this.#changed.add(tenantQueue);
    return tenantQueue.id * SPAN + tenantQueue.next++;
  }

  /** One row of the tenant queue was deleted. @returns whose it was. */
  removed(key: number): StoredTenantQueue {
    const id = Math.floor(key / SPAN);
    let tenantQueue = this.#byId.get(id);
    if (tenantQueue === undefined) {
      tenantQueue = this.#findById.get(id) as unknown as StoredTenantQueue;
      this.#byId.set(id, tenantQueue);
    }
    tenantQueue.count -= 1;
    this.#changed.add(tenantQueue);
    return tenantQueue;
  }

  /** Writes what changed; part of each transaction. */
  flush(): void {
    for (const tenantQueue of this.#changed)
      this.#update.run(tenantQueue.next, tenantQueue.count, tenantQueue.id);
    this.#changed.clear();
    if (this.#byId.size > KEPT) this.forget();
  }

  /** Drops what is in memory, after a rollback. */
  forget(): void {
    this.#byName.clear();
    this.#byId.clear();
    this.#changed.clear();
  }

  /** Drops empty tenant queues, and lists the others. Only while no key is in use: at the start. */
  atStart(): StoredTenantQueue[] {
    this.#sweep.run();
    return this.#stocked.all() as unknown as StoredTenantQueue[];
  }

  #make(lane: string, tenant: string): StoredTenantQueue {
    const tenantQueue = this.#insert.get(lane, tenant) as unknown as StoredTenantQueue;
    if (tenantQueue.id >= MAX_TENANT_QUEUES) {
      throw new PosternError(
        'storage_unavailable',
        `The store has ${MAX_TENANT_QUEUES} pairs of lane and tenant, its limit. Restart to drop the empty ones.`,
      );
    }
    return tenantQueue;
  }
}
