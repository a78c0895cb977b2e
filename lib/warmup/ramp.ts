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
 * Days are those of UTC. A day's budget is released only as far as it is leased: `leased` is on storage before a
 * message of it is sent (`book.ts`). After a crash all leased messages count as spent, so a crash can waste a part of
 * the day and never exceed it.
 */

import { DAY, HOUR } from '../time.ts';
import type { WarmupDay } from './history.ts';
import { budgetAt, positionFor, type Schedule, sameSchedule, stepBefore, totalDays } from './schedule.ts';
import { judge, noCounts, type Signal, type SignalCounts, type Thresholds } from './verdict.ts';

/** How far ahead of an even spread over the day messages may be sent, ms. */
const AHEAD = HOUR;
/** Wait while a lease is being written, ms. */
const LEASE_WAIT = 250;
/** Ended days that are held for whoever takes them. */
const MAX_ENDED = 8;
/** Maximum leased at a time, which a crash may waste of a large budget, messages. */
const MAX_CHUNK = 5_000;

/** Settings that the ramps of one IP share. */
export interface RampPlan {
  schedule: Schedule;
  thresholds: Thresholds;
  /** Whether a day's budget is released evenly over the day. */
  spread: boolean;
}

/** The stored form of a ramp. */
export interface RampState {
  /** Completed days of the schedule. */
  position: number;
  /** UTC day (days since the epoch) of the other members. */
  day: number;
  /** Messages of the day that may have been sent. */
  leased: number;
  counts: SignalCounts;
  /** Messages delivered on the last day with traffic before this one. */
  deliveredBefore: number;
  steppedBack: boolean;
  /** Reason of the last hold or step back, for a person. */
  cause?: string;
}

export class Ramp {
  #plan: RampPlan;
  #total: number;
  #budget: number;
  #position: number;
  #day: number;
  #dayEnd: number;
  /** Spent part of the day's budget; after a crash, the part that may have been spent. */
  #spent: number;
  /** Part of the budget that is on storage, and so may be spent. */
  #leased: number;
  /** Lease that the save under way writes, with its day. */
  #leasing: { day: number; leased: number } | undefined;
  #counts: SignalCounts;
  #deliveredBefore: number;
  #steppedBack: boolean;
  #cause: string | undefined;
  /** Whether mail waits to be sent today. */
  #asked = false;
  /** Whether its position, or only its counts, differ from storage. */
  #changed = false;
  #counted = false;
  /** Days that ended and were not taken yet. */
  #ended: WarmupDay[] = [];

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

  /** Makes a ramp without any mail until now. */
  static begin(plan: RampPlan, position: number, now: number): Ramp {
    const day = Math.floor(now / DAY);
    const counts = noCounts();
    return new Ramp(plan, { position, day, leased: 0, counts, deliveredBefore: 0, steppedBack: false });
  }

  get warm(): boolean {
    return this.#position >= this.#total;
  }

  /** Completed share of the schedule, 0 to 1. */
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

  /** Wait until a message may start, ms; 0 for none. */
  wait(now: number): number {
    if (this.room(now) > 0) return 0;
    if (this.#spent >= this.#budget) return this.#dayEnd - now;
    if (this.#plan.spread && this.#spent >= this.#due(now)) {
      const at = this.#dayEnd - DAY - AHEAD + Math.floor((this.#spent * DAY) / this.#budget) + 1;
      return Math.max(1, at - now);
    }
    return LEASE_WAIT;
  }

  /** Counts messages that start. The caller checked `wait` or `room` before. */
  take(now: number, count: number): void {
    if (now >= this.#dayEnd) this.#roll(now);
    this.#spent += count;
  }

  /** Counts results of messages. */
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

  /** Messages of the day that are due until now, when they are spread over it. */
  #due(now: number): number {
    const elapsed = now - (this.#dayEnd - DAY) + AHEAD;
    return Math.min(this.#budget, Math.ceil((this.#budget * elapsed) / DAY));
  }

  /** Ends a past day and begins that of `now`. Days between them had no traffic and do not count. */
  #roll(now: number): void {
    const { delivered, bounced, deferred, blocked } = this.#counts;
    const answered = delivered + bounced + deferred + blocked;
    const budget = this.#budget;
    const wasWarm = this.warm;
    let verdict: WarmupDay['verdict'] = this.#steppedBack ? 'stepped-back' : 'quiet';
    if (
      !wasWarm &&
      !this.#steppedBack &&
      answered >= Math.max(1, this.#plan.thresholds.traffic * this.#budget)
    ) {
      const { kind, cause } = judge(this.#counts, this.#deliveredBefore, this.#plan.thresholds);
      this.#cause = cause;
      verdict = kind === 'promote' ? 'promoted' : 'held';
      if (kind === 'promote') this.#moveTo(Math.min(this.#total, this.#position + 1));
    }
    if (!wasWarm && answered + this.#spent > 0) {
      const cause = verdict === 'promoted' || verdict === 'quiet' ? undefined : this.#cause;
      const day = { day: this.#day, budget, sent: this.#spent, counts: this.#counts, verdict };
      this.#ended = [...this.#ended, { ...day, ...(cause !== undefined && { cause }) }].slice(-MAX_ENDED);
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

  /** Continues under another plan, at the position with at most the same budget. */
  follow(plan: RampPlan): void {
    const position = sameSchedule(plan.schedule, this.#plan.schedule)
      ? this.#position
      : positionFor(plan.schedule, this.#budget);
    this.#plan = plan;
    this.#total = totalDays(plan.schedule);
    this.#moveTo(position);
  }

  /** Sets the position to a share of the schedule, 0 to 1. */
  set(progress: number): void {
    this.#moveTo(progress * this.#total);
    this.#cause = undefined;
  }

  /** Days that ended since they were last taken, with what became of each. */
  takeEnded(): WarmupDay[] {
    const ended = this.#ended;
    this.#ended = [];
    return ended;
  }

  // — storage —

  get #chunk(): number {
    return Math.min(MAX_CHUNK, Math.ceil(this.#budget / 20));
  }

  get #wantsLease(): boolean {
    const more = this.#asked && this.#leased < this.#budget && this.#budget !== Number.POSITIVE_INFINITY;
    return more && this.#leased - this.#spent <= this.#chunk / 2;
  }

  /** Whether there is anything to save. */
  get unsaved(): boolean {
    return this.#counted || this.urgent;
  }

  /** Whether mail waits for a save: the position has changed, or a part of the budget is to be released. */
  get urgent(): boolean {
    return this.#changed || this.#wantsLease;
  }

  /**
   * The state with the next part of the budget leased. `saved` releases that part once it is on storage.
   * @param last the closing state: nothing is leased beyond the sent messages.
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

  /** Handles a successful `save`. A lease for a day that has ended meanwhile is void. */
  saved(): void {
    if (this.#leasing?.day === this.#day) this.#leased = Math.max(this.#leased, this.#leasing.leased);
    this.#leasing = undefined;
  }

  /** Handles a `save` with unknown result; the next one repeats all of it. */
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

/** State of a ramp as the API shows it. */
export interface RampStatus {
  warm: boolean;
  /** Day of the schedule, from 1, and number of its days. */
  day: number;
  days: number;
  /** Messages a day; absent when the IP is warm. */
  budget: number | undefined;
  /** Spent messages of today's budget. */
  sent: number;
  /** Messages that may start now; absent when the IP is warm. */
  room: number | undefined;
  /** When the next message may start, ms; set when none may now. */
  next: number | undefined;
  counts: SignalCounts;
  steppedBack: boolean;
  /** Reason of the last hold or step back. */
  cause: string | undefined;
}
