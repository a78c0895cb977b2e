/**
 * Takes part in the division of one shared limit (`lib/shaping/division/terms.ts`): reports what this process needs,
 * applies what it is granted, and divides while this node has the lease for it. Nothing here is on the way of a message.
 */
import type { Leases } from '../engine/ports.ts';
import type { SharedCounts } from '../observe/limit-figures.ts';
import { Divider } from '../shaping/division/divider.ts';
import type { Holding } from '../shaping/division/holding.ts';
import { readDivision } from '../shaping/division/stored.ts';
import type { Division, HolderReport } from '../shaping/division/terms.ts';
import type { Clock, Random } from '../time.ts';

/** Length of the lease of a divider, ms, and when it is renewed. */
const DIVIDER_TERM = 15_000;
const DIVIDER_RENEWAL = 5_000;
/** A divider writes at least this often, ms; when it has not for longer, another takes its place. */
const BEAT = 10_000;
const STALE = 20_000;
/** Interval of rounds, ms: while some need more than they have, and otherwise. */
const HURRIED = 2_000;
const CALM = 4_000;
/** After a failure of storage, ms. */
const RETRY = 1_000;

/** Name of the division of a limit, of the lease of its divider, and of the reports about it. */
export function divisionOf(limit: string): string {
  return `divide/${limit}`;
}

export interface SharingOptions {
  leases: Leases;
  clock: Clock;
  random: Random;
  /** Name of this node: owner of the lease of the divider. */
  node: string;
  counts: SharedCounts;
  /** Whether this process may divide: one of its holders at a time. */
  mayDivide: () => boolean;
  /** Called when units were granted. */
  granted: (now: number) => void;
}

export class Sharing {
  readonly holding: Holding;
  readonly #options: SharingOptions;
  /** Name of the division, of its lease, and of the reports. */
  readonly #name: string;
  #divider: Divider | undefined;
  /** It divided until a call failed. */
  #resumes = false;
  #leasedAt = 0;
  #writtenAt = 0;
  #nextAt = 0;
  #failedUntil = 0;
  /** Whether others wait for this divider. */
  #hurried = false;
  #running: Promise<void> | undefined;
  #again = false;
  #left = false;
  /** The epoch that was seen last, and since when. */
  #epoch = -1;
  #epochSince = 0;
  readonly #patience: number;

  constructor(holding: Holding, options: SharingOptions) {
    this.holding = holding;
    this.#options = options;
    this.#name = divisionOf(holding.name);
    this.#patience = STALE * (1 + options.random() / 4);
  }

  /** Once a second. */
  tick(now: number): void {
    if (now >= this.#nextAt || this.holding.reportDue(now)) this.ask();
  }

  /** Asks storage now. */
  ask(): void {
    this.#again = true;
    if (this.#left || this.#options.clock.now() < this.#failedUntil) return;
    this.#running ??= this.#rounds().finally(() => (this.#running = undefined));
  }

  async #rounds(): Promise<void> {
    const { clock, counts } = this.#options;
    try {
      while (this.#again && !this.#left) {
        this.#again = false;
        await this.#round();
      }
      this.#nextAt = clock.now() + (this.holding.wanting || this.#hurried ? HURRIED : CALM);
    } catch {
      counts.bucketFailures += 1;
      // What it wrote may be stored or not: it reads what is, under a new version of its lease.
      if (this.#divider !== undefined) this.#resumes = true;
      this.#divider = undefined;
      this.#failedUntil = clock.now() + RETRY;
      this.#nextAt = this.#failedUntil;
    }
  }

  async #round(): Promise<void> {
    const { leases, clock, counts } = this.#options;
    const { holding } = this;
    counts.bucketRequests += 1;
    if (holding.reportDue(clock.now())) await this.#report();
    if (this.#divider === undefined) {
      const stored = await leases.checkpoint(this.#name);
      this.#apply(stored);
      if (this.#isVacant(readDivision(stored))) await this.#takeOver();
    }
    if (this.#divider !== undefined) await this.#divide(this.#divider);
    const now = clock.now();
    if (holding.wanting && holding.most(now) <= holding.used(now)) counts.bucketsEmpty += 1;
    // What was granted is confirmed at once: others may wait for what is given up.
    if (holding.unconfirmed) this.#again = true;
  }

  async #report(gone = false): Promise<void> {
    const { leases, clock } = this.#options;
    const { holding } = this;
    const sentAt = clock.now();
    const report = holding.report(sentAt, gone);
    try {
      await leases.report(this.#name, holding.holder, report.count, report);
    } catch (error) {
      holding.failed();
      throw error;
    }
    holding.reported(sentAt);
  }

  #apply(stored: unknown): void {
    const now = this.#options.clock.now();
    if (this.holding.apply(stored, now)) this.#options.granted(now);
  }

  // — the divider —

  /** Whether nobody seems to divide. */
  #isVacant(division: Division | undefined): boolean {
    if (!this.#options.mayDivide()) return false;
    if (division === undefined || division.left || this.#resumes) return true;
    const now = this.#options.clock.now();
    if (division.epoch !== this.#epoch) {
      this.#epoch = division.epoch;
      this.#epochSince = now;
    }
    return now - this.#epochSince >= this.#patience;
  }

  async #takeOver(): Promise<void> {
    const { leases, clock, node } = this.#options;
    this.#leasedAt = clock.now();
    const until = await leases.acquire(this.#name, node, DIVIDER_TERM);
    this.#resumes = false;
    if (until === undefined) {
      this.#epochSince = this.#leasedAt;
      return;
    }
    // From here on no earlier divider can write.
    const stored = await leases.checkpoint(this.#name, { lease: this.#name, owner: node });
    this.#divider = new Divider(this.holding.span, stored, clock.now());
  }

  async #divide(divider: Divider, leave = false): Promise<void> {
    const { leases, clock, node } = this.#options;
    if (clock.now() >= this.#leasedAt + DIVIDER_RENEWAL) {
      const at = clock.now();
      if ((await leases.acquire(this.#name, node, DIVIDER_TERM)) === undefined) {
        this.#divider = undefined;
        return;
      }
      this.#leasedAt = at;
    }
    const askedAt = clock.now();
    const reports = new Map<string, HolderReport>();
    for (const { holder, value } of await leases.reports(this.#name)) {
      reports.set(holder, value as HolderReport);
    }
    const now = clock.now();
    const changed = divider.divide(reports, this.holding.limit, askedAt, now);
    this.#hurried = divider.needy;
    if (!changed && !leave && now < this.#writtenAt + BEAT) return;
    if (!changed) divider.beat();
    const division = divider.stored(leave);
    await leases.saveCheckpoint(this.#name, division, { lease: this.#name, owner: node });
    this.#writtenAt = now;
    this.#apply(division);
    for (const [holder, count] of divider.ended) await leases.forget(this.#name, holder, count);
  }

  // — end —

  /** Gives everything back. */
  async leave(): Promise<void> {
    this.#left = true;
    await this.#running;
    await this.#report(true);
    if (this.#divider === undefined) return;
    await this.#divide(this.#divider, true);
    await this.#options.leases.release(this.#name, this.#options.node);
  }
}
