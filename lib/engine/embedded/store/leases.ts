/** Ownership of names, shared token buckets, and checkpoints. */
import type { DatabaseSync, StatementSync } from 'node:sqlite';
import type { LeaseHolder } from '../../ports.ts';

export class LeaseTable {
  readonly #find: StatementSync;
  readonly #put: StatementSync;
  readonly #delete: StatementSync;
  readonly #bucket: StatementSync;
  readonly #saveBucket: StatementSync;
  readonly #checkpoint: StatementSync;
  readonly #saveCheckpoint: StatementSync;

  constructor(db: DatabaseSync) {
    this.#find = db.prepare('SELECT owner, until FROM leases WHERE name = ?');
    this.#put = db.prepare('INSERT OR REPLACE INTO leases (name, owner, until) VALUES (?, ?, ?)');
    this.#delete = db.prepare('DELETE FROM leases WHERE name = ? AND owner = ?');
    this.#bucket = db.prepare('SELECT tokens, at FROM buckets WHERE name = ?');
    this.#saveBucket = db.prepare('INSERT OR REPLACE INTO buckets (name, tokens, at) VALUES (?, ?, ?)');
    this.#checkpoint = db.prepare('SELECT value FROM checkpoints WHERE name = ?');
    this.#saveCheckpoint = db.prepare('INSERT OR REPLACE INTO checkpoints (name, value) VALUES (?, ?)');
  }

  acquire(name: string, owner: string, now: number, ttl: number): number | undefined {
    const held = this.#find.get(name) as { owner: string; until: number } | undefined;
    if (held && held.owner !== owner && held.until > now) return undefined;
    this.#put.run(name, owner, now + ttl);
    return now + ttl;
  }

  release(name: string, owner: string): void {
    this.#delete.run(name, owner);
  }

  /** An unused bucket is full; one whose clock went back gains nothing. */
  take(
    name: string,
    want: number,
    rate: number,
    burst: number,
    now: number,
  ): { granted: number; wait: number } {
    const row = this.#bucket.get(name) as { tokens: number; at: number } | undefined;
    const gained = row ? (Math.max(0, now - row.at) * rate) / 1000 : 0;
    const tokens = row ? Math.min(burst, row.tokens + gained) : burst;
    const granted = Math.max(0, Math.min(Math.floor(tokens), want));
    this.#saveBucket.run(name, tokens - granted, now);
    if (granted > 0 || want <= 0) return { granted, wait: 0 };
    return {
      granted: 0,
      wait: rate > 0 ? Math.ceil(((1 - tokens) / rate) * 1000) : Number.POSITIVE_INFINITY,
    };
  }

  checkpoint(name: string, holder?: LeaseHolder): string | undefined | false {
    if (holder && !this.#holds(holder)) return false;
    return this.#checkpoint.get(name)?.value as string | undefined;
  }

  saveCheckpoint(name: string, value: string, holder?: LeaseHolder): boolean {
    if (holder && !this.#holds(holder)) return false;
    this.#saveCheckpoint.run(name, value);
    return true;
  }

  /** Past its end a lease still belongs to its owner, until another acquires it. */
  #holds({ lease, owner }: LeaseHolder): boolean {
    return (this.#find.get(lease) as { owner: string } | undefined)?.owner === owner;
  }
}
