/**
 * Keeps the warm-up of this node's IPs on storage: reads it when an IP's lease is taken (or when its plan comes, if
 * that is later), writes what is let out before it is sent, counts reports about it, keeps the days that are over, and
 * hands it over exactly when the IP is given up.
 */
import type { WarmupReports } from '../control/warmup-reports.ts';
import type { LeaseHolder, Leases } from '../engine/ports.ts';
import { type Clock, HOUR } from '../time.ts';
import { REPORTS_AT_ONCE, type WarmupBook } from '../warmup/book.ts';
import { checkpointName } from '../warmup/checkpoint.ts';
import { daysName, type WarmupDays, withDays } from '../warmup/history.ts';

/** How often what is to be saved is looked for: budgets are let out only as they are saved, ms. */
const PERIOD = 100;
/** Interval at which signals are saved, ms: a crash forgets those of one interval. */
const COUNTS_PERIOD = 5_000;
/** How long reports of an IP without a plan wait for one, ms: it may be taken away and given back. */
const PLAN_WAIT = HOUR;

export interface WarmupCheckpointsOptions {
  book: WarmupBook;
  leases: Leases;
  clock: Clock;
  /** Whether an IP's lease is held here now. */
  holds: (ip: string) => boolean;
  /** The lease of an IP, and its owner here. */
  holder: (ip: string) => LeaseHolder | undefined;
  /** Complaints and late bounces; absent: none come in. */
  reports: WarmupReports | undefined;
}

export class WarmupCheckpoints {
  readonly #options: WarmupCheckpointsOptions;
  readonly #saving = new Map<string, Promise<void>>();
  /** Reads under way, by IP. One that is not here any more when it ends is of no use. */
  readonly #reading = new Map<string, object>();
  /** Reports that are being removed. */
  readonly #removing = new Set<string>();
  /** Days that ended and are not written yet, by IP. */
  readonly #ended = new Map<string, WarmupDays>();
  readonly #keeping = new Set<string>();
  #countsAt = 0;
  #cancel: () => void = () => undefined;

  constructor(options: WarmupCheckpointsOptions) {
    this.#options = options;
    this.#watch();
  }

  /**
   * The lease of an IP was taken.
   * @throws PosternError of the storage group: its warm-up state cannot be read, and it goes on to wait.
   */
  async acquired(ip: string): Promise<void> {
    const { book, leases, holder } = this.#options;
    if (!book.unread().includes(ip) || this.#reading.has(ip)) return;
    const reading = {};
    this.#reading.set(ip, reading);
    try {
      const stored = await leases.checkpoint(checkpointName(ip), holder(ip));
      if (this.#reading.get(ip) === reading) book.restore(ip, stored);
    } finally {
      if (this.#reading.get(ip) === reading) this.#reading.delete(ip);
    }
  }

  /** The lease of an IP is lost: its new owner writes its state. */
  lost(ip: string): void {
    this.#reading.delete(ip);
    this.#options.book.close(ip);
  }

  /** An IP is about to be given up: writes what it sent. */
  async release(ip: string): Promise<void> {
    await this.#saving.get(ip);
    this.#reading.delete(ip);
    const { book, leases, holder } = this.#options;
    const last = book.close(ip);
    if (last !== undefined) await leases.saveCheckpoint(checkpointName(ip), last, holder(ip));
  }

  stop(): void {
    this.#cancel();
  }

  #watch(): void {
    const { book, clock, holds } = this.#options;
    // Plans come and go while leases are held. Unread for now, an IP waits; the next look tries again.
    for (const ip of book.unread()) if (holds(ip)) void this.acquired(ip).catch(() => undefined);
    this.#hear();
    const now = clock.now();
    const counts = now - this.#countsAt >= COUNTS_PERIOD;
    if (counts) {
      this.#countsAt = now;
      this.#keepDays();
    }
    for (const ip of book.unsaved(!counts)) {
      if (!holds(ip) || this.#saving.has(ip)) continue;
      const saving = this.#save(ip).finally(() => this.#saving.delete(ip));
      this.#saving.set(ip, saving);
    }
    this.#cancel = clock.after(PERIOD, () => this.#watch());
  }

  /** Counts reports about the IPs that are held here, and removes those that are counted on storage. */
  #hear(): void {
    const { book, clock, holds, reports } = this.#options;
    if (reports === undefined) return;
    const now = clock.now();
    for (const ip of reports.ips()) {
      if (!holds(ip)) continue;
      const warms = book.ips().includes(ip);
      for (const [id, { provider, signal, at }] of [...reports.of(ip)].slice(0, REPORTS_AT_ONCE)) {
        const done = warms ? book.report(ip, id, provider, signal, now) : now - at > PLAN_WAIT;
        if (!done || this.#removing.has(id)) continue;
        this.#removing.add(id);
        // It stays where it is, and is not counted again; the next look tries again to remove it.
        const removed = reports.remove(ip, id).catch(() => undefined);
        void removed.finally(() => this.#removing.delete(id));
      }
    }
  }

  /** Writes the days that ended, for people: what cannot be written now is tried again, and waits for nothing. */
  #keepDays(): void {
    const { book, holds } = this.#options;
    for (const ip of book.ips()) {
      if (!holds(ip)) {
        this.#ended.delete(ip);
        continue;
      }
      const ended = book.takeEnded(ip);
      if (ended) this.#ended.set(ip, withDays({ v: 1, days: this.#ended.get(ip) ?? {} }, ended).days);
      const waiting = this.#ended.get(ip);
      if (!waiting || this.#keeping.has(ip)) continue;
      this.#keeping.add(ip);
      void this.#keep(ip, waiting).finally(() => this.#keeping.delete(ip));
    }
  }

  async #keep(ip: string, days: WarmupDays): Promise<void> {
    const { leases, holder } = this.#options;
    try {
      const stored = await leases.checkpoint(daysName(ip), holder(ip));
      await leases.saveCheckpoint(daysName(ip), withDays(stored, days), holder(ip));
      if (this.#ended.get(ip) === days) this.#ended.delete(ip);
    } catch {
      // They wait in memory for the next look.
    }
  }

  async #save(ip: string): Promise<void> {
    const { book, leases, holder } = this.#options;
    try {
      await leases.saveCheckpoint(checkpointName(ip), book.checkpoint(ip), holder(ip));
      book.saved(ip);
    } catch {
      // Nothing of it is let out; the next look tries again.
      book.notSaved(ip);
    }
  }
}
