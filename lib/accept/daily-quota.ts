/**
 * Recipients of a subject in the last 24 hours, counted by all processes together without a request for each message:
 *
 * ```
 *  message ──► what this process holds in advance ── enough ──► taken
 *                └─ not enough ──► holds more: writes its own row, then reads all rows ── over the limit ──► refused
 *                                                                                   └─ within ──► taken
 *  kind sending-quota │ partition  tenant/shop │ key  2026-03-01T14:30/<process> │ {"n": 120}   held in this half hour
 * ```
 * Each process writes before it reads, so two that come to the limit at one time see each other: it is never exceeded.
 * What is held grows while it is used up fast, up to a fiftieth of the limit. What a process holds and does not use counts
 * until its half hour is a day old, or until it holds more. A day is 24 hours and the rest of a half hour.
 */

import { Cache } from '../cache.ts';
import type { Rows } from '../engine/ports.ts';
import { ROW_CALL } from '../engine/rows.ts';
import { type Clock, DAY, MINUTE, SECOND } from '../time.ts';

export const QUOTA_ROWS = 'sending-quota';
const SLOT = 30 * MINUTE;
/** A half hour that is over for so long changes no more. */
const CLOSED = 5 * MINUTE;
/** More is held when what was held was used up within this time. */
const FAST = 10 * SECOND;
/** The part of a limit that one process holds in advance. */
const PART = 1 / 50;
const SUBJECTS = 20_000;

interface HeldQuota {
  slot: number;
  /** In this half hour: what is in the row, and what of it was used. */
  held: number;
  used: number;
  /** What is held at once, next. */
  step: number;
  heldAt: number;
  /** The last change of the row: the next one waits for it. */
  turn: Promise<unknown>;
}

export interface DailyQuotaOptions {
  rows: Pick<Rows, 'put' | 'query'>;
  clock: Clock;
  /** Names this process among those that count. */
  process: string;
}

export class DailyQuota {
  readonly #options: DailyQuotaOptions;
  readonly #held = new Cache<string, HeldQuota>(SUBJECTS);
  /** Sums of half hours that are over, by subject. */
  readonly #closed = new Cache<string, Map<number, number>>(SUBJECTS);

  constructor(options: DailyQuotaOptions) {
    this.#options = options;
  }

  /** @returns false when the limit leaves no room for `count` more. @throws PosternError of the storage group. */
  async take(subject: string, count: number, limit: number): Promise<boolean> {
    const held = this.#heldBy(subject);
    if (held.held - held.used >= count) {
      held.used += count;
      return true;
    }
    const turn = held.turn.catch(() => undefined).then(() => this.#more(subject, held, count, limit));
    held.turn = turn;
    return turn;
  }

  /** Gives back what was taken for a message that was not taken in. */
  release(subject: string, count: number): void {
    const held = this.#heldBy(subject);
    held.used = Math.max(0, held.used - count);
  }

  /** Recipients of the last 24 hours, what processes hold in advance included. @throws PosternError of the storage group. */
  async count(subject: string): Promise<number> {
    const { clock, rows } = this.#options;
    const now = clock.now();
    const known = this.#closed.get(subject);
    const first = now - DAY - ((now - DAY) % SLOT);
    const closed = new Map([...(known ?? [])].filter(([slot]) => slot >= first));
    const sums = new Map(closed);
    // What is over is read once.
    const open = [...closed.keys()].reduce((next, slot) => Math.max(next, slot + SLOT), first);
    for (let after: string | undefined; ; ) {
      const page = await rows.query({
        kind: QUOTA_ROWS,
        partition: subject,
        from: slotKey(open),
        after,
        max: ROW_CALL,
      });
      for (const { key, value } of page) {
        const slot = Date.parse(`${key.slice(0, SLOT_KEY)}:00Z`);
        sums.set(slot, (sums.get(slot) ?? 0) + (value as { n: number }).n);
      }
      if (page.length < ROW_CALL) break;
      after = page.at(-1)!.key;
    }
    for (let slot = open; slot + SLOT + CLOSED <= now; slot += SLOT) closed.set(slot, sums.get(slot) ?? 0);
    this.#closed.set(subject, closed);
    return [...sums.values()].reduce((sum, n) => sum + n, 0);
  }

  #heldBy(subject: string): HeldQuota {
    const now = this.#options.clock.now();
    const slot = now - (now % SLOT);
    const known = this.#held.get(subject);
    if (known?.slot === slot) return known;
    const { step = 1, heldAt = 0, turn = Promise.resolve() } = known ?? {};
    const held = { slot, held: 0, used: 0, step, heldAt, turn };
    this.#held.set(subject, held);
    return held;
  }

  async #more(subject: string, held: HeldQuota, count: number, limit: number): Promise<boolean> {
    // Another message of this process may have made room meanwhile.
    if (held.held - held.used >= count) {
      held.used += count;
      return true;
    }
    const now = this.#options.clock.now();
    const most = Math.max(1, Math.floor(limit * PART));
    const step = now - held.heldAt < FAST ? held.step * 2 : Math.ceil(held.step / 2);
    held.step = Math.min(most, step);
    held.heldAt = now;
    const before = held.held;
    const wanted = held.used + Math.max(count, held.step);
    await this.#write(subject, held, wanted);
    const room = limit - ((await this.count(subject)) - wanted);
    if (room >= wanted) {
      held.used += count;
      return true;
    }
    // Less than the step, or nothing: at the limit each message is counted by itself.
    held.step = 1;
    const fits = room - held.used >= count;
    await this.#write(subject, held, fits ? held.used + count : Math.min(before, held.used));
    if (fits) held.used += count;
    return fits;
  }

  async #write(subject: string, held: HeldQuota, n: number): Promise<void> {
    const { rows, process } = this.#options;
    const key = `${slotKey(held.slot)}/${process}`;
    const expiresAt = held.slot + DAY + 2 * SLOT;
    await rows.put([{ kind: QUOTA_ROWS, partition: subject, key, value: { n }, expiresAt }]);
    held.held = n;
  }
}

const SLOT_KEY = '2026-03-01T14:30'.length;

function slotKey(slot: number): string {
  return new Date(slot).toISOString().slice(0, SLOT_KEY);
}
