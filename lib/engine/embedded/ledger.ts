/** The ledger port, and the timer that moves deliveries into their lanes when they are due. */
import { type Clock, DAY } from '../../time.ts';
import type { Ledger, Promotion, WaitingFigures, WaitingMatch } from '../ports.ts';
import type { Link } from './link.ts';
import { MATCH_STEP, type MatchCall, type PromoteReply } from './protocol.ts';
import type { Ready } from './ready.ts';

/** Deliveries moved in one transaction: a million due at once is many short steps among other work. */
const CHUNK = 200;

/** Deliveries that fall due within this time are moved together, ms. */
const GATHER = 20;

/** Maximum number of rows of each table that one count examines: some seconds of the storage thread, in short steps. */
const MOST_COUNTED = 500_000;

/** Time after which a failed promotion is tried again, ms. */
const RETRY = 1000;

/** `setTimeout` fires at once beyond 2^31-1 ms; the timer looks again after a day at the latest. */
const LONGEST = DAY;

/** Promotes at the earliest announced time. */
export class LedgerTimer {
  readonly #link: Link;
  readonly #clock: Clock;
  readonly #ready: Ready;
  #at = Number.POSITIVE_INFINITY;
  #cancel: (() => void) | undefined;
  #stopped = false;

  constructor(link: Link, clock: Clock, ready: Ready, next: number | undefined) {
    this.#link = link;
    this.#clock = clock;
    this.#ready = ready;
    if (next !== undefined) this.expect(next);
  }

  /** Announces that a delivery is due at `at`. */
  expect(at: number): void {
    if (at >= this.#at || this.#stopped) return;
    this.#cancel?.();
    this.#at = at;
    const delay = Math.min(LONGEST, Math.max(0, at - this.#clock.now()) + GATHER);
    this.#cancel = this.#clock.after(delay, () => {
      this.#at = Number.POSITIVE_INFINITY;
      this.#step().catch(() => this.expect(this.#clock.now() + RETRY));
    });
  }

  /** Moves everything that is due by now. */
  async promote(): Promise<Promotion> {
    let moved = 0;
    for (;;) {
      const { promoted, more, next } = await this.#chunk();
      moved += promoted.length;
      if (!more) return { moved, next };
    }
  }

  stop(): void {
    this.#stopped = true;
    this.#cancel?.();
  }

  async #step(): Promise<void> {
    while (!this.#stopped && (await this.#chunk()).more);
  }

  #chunk(): Promise<PromoteReply> {
    return new Promise((resolve, reject) => {
      this.#link.send('promote', { now: this.#clock.now(), max: CHUNK }, [], (error, reply) => {
        if (error) return reject(error);
        for (const [lane, tenant, key] of reply.promoted) this.#ready.arrive(lane, tenant, key);
        if (!reply.more && reply.next !== undefined) this.expect(reply.next);
        resolve(reply);
      });
    });
  }
}

export class EmbeddedLedger implements Ledger {
  readonly #link: Link;
  readonly #clock: Clock;
  readonly #ready: Ready;
  readonly #timer: LedgerTimer;

  constructor(link: Link, clock: Clock, ready: Ready, timer: LedgerTimer) {
    this.#link = link;
    this.#clock = clock;
    this.#ready = ready;
    this.#timer = timer;
  }

  waiting(): Promise<{ count: number; next?: number }> {
    return this.#link.call('waiting', null);
  }

  promote(): Promise<Promotion> {
    return this.#timer.promote();
  }

  cancel(messageId: string): Promise<number[]> {
    const except = this.#ready.withhold(messageId);
    return new Promise((resolve, reject) => {
      this.#link.send('cancel', { id: messageId, except, at: this.#clock.now() }, [], (error, reply) => {
        this.#ready.restore(messageId, error ? [] : reply.keys);
        if (error) reject(error);
        else resolve(reply.places);
      });
    });
  }

  async count(match: WaitingMatch): Promise<WaitingFigures> {
    const counted = this.#counted(match);
    const none = { count: 0, complete: true };
    const deferred = counted.later === 0 ? none : await this.#match('ledger', match);
    // Lanes are counted by what these matches have; campaign and domain are in the deliveries alone.
    const byLane = match.campaign === undefined && match.domain === undefined;
    const queued =
      byLane || counted.queued === 0 ? { ...none, count: counted.queued } : await this.#match('queue', match);
    return {
      deferred: deferred.count,
      queued: queued.count,
      complete: deferred.complete && queued.complete,
    };
  }

  /** What the counters hold for a match, its campaign and domain left aside. */
  #counted({ tenant, pool, group }: WaitingMatch): { queued: number; later: number } {
    let [queued, later] = [0, 0];
    for (const depth of this.#ready.depths()) {
      const [itsPool, , itsGroup] = depth.lane.split(':');
      if ((tenant ?? depth.tenant) !== depth.tenant) continue;
      if ((pool ?? itsPool) !== itsPool || (group ?? itsGroup) !== itsGroup) continue;
      queued += depth.ready + depth.leased;
      later += depth.later;
    }
    return { queued, later };
  }

  async hasten(match: WaitingMatch): Promise<number> {
    const now = this.#clock.now();
    const { count } = await this.#match('ledger', match, now);
    if (count > 0) this.#timer.expect(now);
    return count;
  }

  async recall(site: string, max: number): Promise<{ recalled: number; more: boolean }> {
    const now = this.#clock.now();
    const recalled = await this.#link.call('recall', { site, now, max: Math.min(max, MATCH_STEP) });
    if (recalled > 0) this.#timer.expect(now);
    return { recalled, more: recalled === Math.min(max, MATCH_STEP) };
  }

  /** With `due`, makes all matching rows due then; otherwise counts up to the bound. */
  async #match(
    table: MatchCall['table'],
    match: WaitingMatch,
    due?: number,
  ): Promise<{ count: number; complete: boolean }> {
    let count = 0;
    let after = 0;
    for (let step = 1; ; step += 1) {
      const reply = await this.#link.call('match', { table, match, after, due });
      count += reply.count;
      if (reply.last === undefined) return { count, complete: true };
      if (due === undefined && step * MATCH_STEP >= MOST_COUNTED) return { count, complete: false };
      after = reply.last;
    }
  }
}
