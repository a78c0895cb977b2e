/**
 * One IP at one provider, warming up.
 *
 * ```
 *              day over, it counted, its signals are good: position + 1 day
 *            ┌──────────────────────────────────────────────────────────────┐
 *  step n ───┤ day over, little traffic or signals at `hold`: as it was      ├──► … ──► warm (no budget)
 *     ▲      └──────────────────────────────────────────────────────────────┘
 *     └── signals at `stepBack`: to the beginning of step n − 1, at once, once a day; that day counts no more
 * ```
 * Days are those of UTC. A day's budget is given out only as far as it is leased: `leased` is on storage
 * before a message of it is sent (`book.ts`). After a crash all that was leased is taken as spent, so a crash
 * can waste a part of the day and never exceed it.
 */

import { DAY } from '../time.ts';
import { budgetAt, positionFor, type Schedule, sameSchedule, stepBefore, totalDays } from './schedule.ts';
import { judge, noCounts, type Signal, type SignalCounts, type Thresholds } from './verdict.ts';

/** Spread over the day, so much of it may be sent ahead of its time. */
const AHEAD = 3_600_000;
/** While a lease is being written, ms. */
const LEASE_WAIT = 250;
/** Most that is leased at a time: what a crash may waste of a large budget. */
const MAX_CHUNK = 5_000;

/** What the ramps of one IP have in common. */
export interface RampPlan {
  schedule: Schedule;
  thresholds: Thresholds;
  /** The budget of a day is let out evenly over the day. */
  spread: boolean;
}

/** A ramp as it is stored. */
export interface RampState {
  /** Days of the schedule that it has behind it. */
  position: number;
  /** UTC day (days since the epoch) that the rest is about. */
  day: number;
  /** Messages of the day that may have been sent. */
  leased: number;
  counts: SignalCounts;
  /** Delivered on the last day with traffic before this one. */
  deliveredBefore: number;
  steppedBack: boolean;
  /** Why it was last held or stepped back, for a person. */
  cause?: string;
}

export class Ramp {
  #plan: RampPlan;
  #total: number;
  #budget: number;
  #position: number;
  #day: number;
  #dayEnd: number;
  /** Taken of the day's budget; after a crash, what may have been. */
  #spent: number;
  /** On storage: so much may be taken. */
  #leased: number;
  /** Written by the save that is under way, for its day. */
  #leasing: { day: number; leased: number } | undefined;
  #counts: SignalCounts;
  #deliveredBefore: number;
  #steppedBack: boolean;
  #cause: string | undefined;
  /** Somebody wants to send today. */
  #asked = false;
  /** Where it stands is not on storage yet; or only what its messages led to is not. */
  #changed = false;
  #counted = false;

  constructor(plan: RampPlan, state: RampState) {
    this.#plan = plan;
    this.#total = totalDays(plan.schedule);
    this.#position = state.position;
    this.#budget = budgetAt(plan.schedule, state.position);
    this.#day = state.day;
    this.#dayEnd = (state.day + 1) * DAY;
    this.#spent = state.leased;
    this.#leased = state.leased;
    this.#counts = { ...state.counts };
    this.#deliveredBefore = state.deliveredBefore;
    this.#steppedBack = state.steppedBack;
    this.#cause = state.cause;
  }

  /** A ramp that has not sent yet. */
  static begin(plan: RampPlan, position: number, now: number): Ramp {
    const day = Math.floor(now / DAY);
    const counts = noCounts();
    return new Ramp(plan, { position, day, leased: 0, counts, deliveredBefore: 0, steppedBack: false });
  }

  get warm(): boolean {
    return this.#position >= this.#total;
  }

  /** Share of the schedule that it has behind it, 0 to 1. */
  get progress(): number {
    return Math.min(1, this.#position / this.#total);
  }

  /** Messages that may start now: `Infinity` when it is warm. */
  room(now: number): number {
    if (now >= this.#dayEnd) this.#roll(now);
    if (this.#budget === Number.POSITIVE_INFINITY) return this.#budget;
    this.#asked = true;
    const most = this.#plan.spread ? Math.min(this.#leased, this.#due(now)) : this.#leased;
    return Math.max(0, Math.min(most, this.#budget) - this.#spent);
  }

  /** Milliseconds until a message may start; 0 for at once. */
  wait(now: number): number {
    if (this.room(now) > 0) return 0;
    if (this.#spent >= this.#budget) return this.#dayEnd - now;
    if (this.#plan.spread && this.#spent >= this.#due(now)) {
      const at = this.#dayEnd - DAY - AHEAD + Math.floor((this.#spent * DAY) / this.#budget) + 1;
      return Math.max(1, at - now);
    }
    return LEASE_WAIT;
  }

  /** Counts messages that start. The caller asked `wait` or `room` before. */
  take(now: number, count: number): void {
    if (now >= this.#dayEnd) this.#roll(now);
    this.#spent += count;
  }

  /** Counts what became of messages. */
  outcome(signal: Signal, count: number, now: number): void {
    if (now >= this.#dayEnd) this.#roll(now);
    if (this.warm) return;
    this.#counts[signal] += count;
    this.#counted = true;
    if (signal === 'delivered' || this.#steppedBack) return;
    const { kind, cause } = judge(this.#counts, this.#deliveredBefore, this.#plan.thresholds);
    if (kind !== 'step-back') return;
    this.#steppedBack = true;
    this.#cause = cause;
    this.#moveTo(stepBefore(this.#plan.schedule, this.#position));
  }

  /** Messages of the day that its time has come for, when they are spread over it. */
  #due(now: number): number {
    const elapsed = now - (this.#dayEnd - DAY) + AHEAD;
    return Math.min(this.#budget, Math.ceil((this.#budget * elapsed) / DAY));
  }

  /** Ends the day that is over and begins that of `now`. Days between them had no traffic and do not count. */
  #roll(now: number): void {
    const { delivered, bounced, deferred, blocked } = this.#counts;
    const answered = delivered + bounced + deferred + blocked;
    if (
      !this.warm &&
      !this.#steppedBack &&
      answered >= Math.max(1, this.#plan.thresholds.traffic * this.#budget)
    ) {
      const { kind, cause } = judge(this.#counts, this.#deliveredBefore, this.#plan.thresholds);
      this.#cause = cause;
      if (kind === 'promote') this.#moveTo(Math.min(this.#total, this.#position + 1));
    }
    if (answered > 0) this.#deliveredBefore = delivered;
    this.#counts = noCounts();
    this.#steppedBack = false;
    this.#spent = 0;
    this.#leased = 0;
    this.#asked = false;
    this.#changed = true;
    this.#day = Math.floor(now / DAY);
    this.#dayEnd = (this.#day + 1) * DAY;
  }

  #moveTo(position: number): void {
    this.#position = position;
    this.#budget = budgetAt(this.#plan.schedule, position);
    this.#changed = true;
  }

  /** Goes on by another plan: where it stands is where it bears as much as before. */
  follow(plan: RampPlan): void {
    const position = sameSchedule(plan.schedule, this.#plan.schedule)
      ? this.#position
      : positionFor(plan.schedule, this.#budget);
    this.#plan = plan;
    this.#total = totalDays(plan.schedule);
    this.#moveTo(position);
  }

  /** Puts it where a share of the schedule, 0 to 1, is behind it. */
  set(progress: number): void {
    this.#moveTo(progress * this.#total);
    this.#cause = undefined;
  }

  // — storage —

  get #chunk(): number {
    return Math.min(MAX_CHUNK, Math.ceil(this.#budget / 20));
  }

  get #wantsLease(): boolean {
    const more = this.#asked && this.#leased < this.#budget && this.#budget !== Number.POSITIVE_INFINITY;
    return more && this.#leased - this.#spent <= this.#chunk / 2;
  }

  /** Whether a save would do any good. */
  get unsaved(): boolean {
    return this.#counted || this.urgent;
  }

  /** Whether something waits for a save: it has moved, or a part of its budget is to be let out. */
  get urgent(): boolean {
    return this.#changed || this.#wantsLease;
  }

  /**
   * Its state with the next part of the budget leased. `saved` puts that part to use once it is on storage.
   * @param last the closing state: nothing is leased beyond what was sent.
   */
  save(last: boolean): RampState {
    const leased = last
      ? this.#spent
      : this.#wantsLease
        ? Math.min(this.#budget, this.#leased + this.#chunk)
        : this.#leased;
    this.#leasing = { day: this.#day, leased };
    this.#changed = false;
    this.#counted = false;
    return {
      position: this.#position,
      day: this.#day,
      leased,
      counts: { ...this.#counts },
      deliveredBefore: this.#deliveredBefore,
      steppedBack: this.#steppedBack,
      ...(this.#cause === undefined ? {} : { cause: this.#cause }),
    };
  }

  /** The last `save` is on storage. A lease for a day that has ended meanwhile is of no use. */
  saved(): void {
    if (this.#leasing?.day === this.#day) this.#leased = Math.max(this.#leased, this.#leasing.leased);
    this.#leasing = undefined;
  }

  /** It is unknown whether the last `save` is on storage; the next one repeats all of it. */
  notSaved(): void {
    this.#leasing = undefined;
    this.#changed = true;
  }

  // — for people —

  status(now: number): RampStatus {
    const room = this.room(now);
    return {
      warm: this.warm,
      day: Math.min(this.#total, Math.floor(this.#position) + 1),
      days: this.#total,
      budget: this.warm ? undefined : this.#budget,
      sent: this.#spent,
      room: this.warm ? undefined : room,
      next: room > 0 ? undefined : now + this.wait(now),
      counts: { ...this.#counts },
      steppedBack: this.#steppedBack,
      cause: this.#cause,
    };
  }
}

/** Where a ramp stands, as the API shows it. */
export interface RampStatus {
  warm: boolean;
  /** Day of the schedule, from 1, and how many it has. */
  day: number;
  days: number;
  /** Messages a day; absent when it is warm. */
  budget: number | undefined;
  /** Messages of today's budget that are spent. */
  sent: number;
  /** Messages that may start now; absent when it is warm. */
  room: number | undefined;
  /** When the next message may start (ms), when none may now. */
  next: number | undefined;
  counts: SignalCounts;
  steppedBack: boolean;
  /** Why it was last held or stepped back. */
  cause: string | undefined;
}
