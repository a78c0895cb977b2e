/** Ownership of names, reports of their holders, and checkpoints. */
import type { DatabaseSync, StatementSync } from 'node:sqlite';
import type { LeaseHolder } from '../../ports.ts';

export class LeaseTable {
  readonly #find: StatementSync;
  readonly #put: StatementSync;
  readonly #delete: StatementSync;
  readonly #report: StatementSync;
  readonly #reports: StatementSync;
  readonly #forget: StatementSync;
  readonly #checkpoint: StatementSync;
  readonly #saveCheckpoint: StatementSync;

  constructor(db: DatabaseSync) {
    this.#find = db.prepare('SELECT owner, until FROM leases WHERE name = ?');
    this.#put = db.prepare('INSERT OR REPLACE INTO leases (name, owner, until) VALUES (?, ?, ?)');
    this.#delete = db.prepare('DELETE FROM leases WHERE name = ? AND owner = ?');
    this.#report = db.prepare(
      `INSERT INTO reports (name, holder, count, value) VALUES (?, ?, ?, ?)
       ON CONFLICT DO UPDATE SET count = excluded.count, value = excluded.value WHERE excluded.count > count`,
    );
    this.#reports = db.prepare('SELECT holder, value FROM reports WHERE name = ?');
    this.#forget = db.prepare('DELETE FROM reports WHERE name = ? AND holder = ? AND count = ?');
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

  holder(name: string, now: number): string | undefined {
    const held = this.#find.get(name) as { owner: string; until: number } | undefined;
    return held && held.until > now ? held.owner : undefined;
  }

  report(name: string, holder: string, count: number, value: string): void {
    this.#report.run(name, holder, count, value);
  }

  reports(name: string): { holder: string; value: string }[] {
    return this.#reports.all(name) as unknown as { holder: string; value: string }[];
  }

  forget(name: string, holder: string, count: number): void {
    this.#forget.run(name, holder, count);
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
