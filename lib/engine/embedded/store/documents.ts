/** Configuration documents and expiring objects. */
import type { DatabaseSync, StatementSync } from 'node:sqlite';
import type { StoredDocument } from '../protocol.ts';

/** Sorts behind every key with the same prefix: the highest code point. */
const LAST = '\u{10ffff}';

export class DocumentTable {
  readonly #get: StatementSync;
  readonly #list: StatementSync;
  readonly #count: StatementSync;
  readonly #put: StatementSync;
  readonly #delete: StatementSync;

  constructor(db: DatabaseSync) {
    this.#get = db.prepare('SELECT kind, key, value, version FROM documents WHERE kind = ? AND key = ?');
    this.#list = db.prepare(
      'SELECT kind, key, value, version FROM documents WHERE kind = ? AND key > ? AND key >= ? AND key < ? ORDER BY key LIMIT ?',
    );
    this.#count = db.prepare(
      'SELECT count(*) AS count FROM documents WHERE kind = ? AND key >= ? AND key < ?',
    );
    this.#put = db.prepare(
      'INSERT OR REPLACE INTO documents (kind, key, value, version) VALUES (?, ?, ?, ?)',
    );
    this.#delete = db.prepare('DELETE FROM documents WHERE kind = ? AND key = ?');
  }

  get(kind: string, key: string): StoredDocument | undefined {
    return this.#get.get(kind, key) as unknown as StoredDocument | undefined;
  }

  list(kind: string, prefix: string, after: string, max: number): StoredDocument[] {
    const end = `${prefix}${LAST}`;
    return this.#list.all(kind, after, prefix, end, max) as unknown as StoredDocument[];
  }

  count(kind: string, prefix: string): number {
    return this.#count.get(kind, prefix, `${prefix}${LAST}`)!.count as number;
  }

  /** @returns the new version, or 0 when the version is not the expected one. */
  put(kind: string, key: string, value: string, expect: number | undefined): number {
    const version = this.get(kind, key)?.version ?? 0;
    if (expect !== undefined && expect !== version) return 0;
    this.#put.run(kind, key, value, version + 1);
    return version + 1;
  }

  delete(kind: string, key: string): boolean {
    return this.#delete.run(kind, key).changes > 0;
  }
}

export class ObjectTable {
  readonly #put: StatementSync;
  readonly #get: StatementSync;
  readonly #delete: StatementSync;
  readonly #prune: StatementSync;

  constructor(db: DatabaseSync) {
    this.#put = db.prepare('INSERT OR REPLACE INTO objects (id, expires, bytes) VALUES (?, ?, ?)');
    this.#get = db.prepare('SELECT bytes FROM objects WHERE id = ?');
    this.#delete = db.prepare('DELETE FROM objects WHERE id = ?');
    this.#prune = db.prepare(
      'DELETE FROM objects WHERE rowid IN (SELECT rowid FROM objects WHERE expires <= ? ORDER BY expires LIMIT ?)',
    );
  }

  put(id: string, expiresAt: number, bytes: Uint8Array): void {
    this.#put.run(id, expiresAt, bytes);
  }

  get(id: string): Uint8Array | undefined {
    return this.#get.get(id)?.bytes as Uint8Array | undefined;
  }

  delete(id: string): void {
    this.#delete.run(id);
  }

  prune(now: number, max: number): number {
    return Number(this.#prune.run(now, max).changes);
  }
}
