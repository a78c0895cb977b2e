/**
 * The brake of a lane: what cannot leave is not leased. When all that was leased lately was put back because its way is
 * closed (suspended, the site down, the budget spent, no address), the lane rests, and its mail costs nothing where it
 * lies. After a rest one delivery is leased as a probe, because other mail may lie behind; each probe in vain makes the
 * next rest longer. A lane of many providers rests only when the mail of many domains came back: one dead host, or one
 * domain that DNS does not know, must not hold up the others behind it.
 *
 * ```
 *  moving ── a lease's worth was put back, nothing tried ──► resting ── time ──► probing ── put back ──► resting, longer
 *    ▲                                                          │ directives changed │ tried
 *    └──────────────────────────────────────────────────────────┴────────────────────┘
 * ```
 */
import type { WaitStatus } from './delivery.ts';

/** Deliveries that must have been put back, with none tried, before a lane rests. */
const CERTAIN = 20;
/** The first rest and the longest, ms: ten nodes look at one delivery a second together, whatever a lane holds. */
const FIRST_REST = 1_000;
const LONGEST_REST = 10_000;
/**
 * Reasons that say nothing of the way: other mail of the lane may leave although this may not, or it is the node's own
 * haste that put it back.
 */
const OF_THE_MAIL: ReadonlySet<string> = new Set([
  'sender_limit',
  'site_limit',
  'shutting_down',
  'storage_unavailable',
]);

export class LaneBrake {
  /** Domains, or sites, whose mail must have come back before the lane rests. */
  readonly #spread: number;
  /** Those whose mail was put back since a delivery was tried, up to that number. */
  readonly #places = new Set<string>();
  /** Put back since a delivery was tried. */
  #back = 0;
  /** Why the last one was, and until when it is kept. */
  #why: WaitStatus | undefined;
  #rest = 0;
  #until = 0;

  constructor(spread: number) {
    this.#spread = spread;
  }

  /** A delivery was put back. @param to its domain, or its site where that cannot be reached. */
  putBack(to: string, { code, text, until }: WaitStatus, now: number): void {
    if (OF_THE_MAIL.has(code)) {
      this.moved();
      return;
    }
    this.#back += 1;
    if (this.#places.size < this.#spread) this.#places.add(to);
    this.#why = { code, text, until };
    if (!this.#isCertain || now < this.#until) return;
    this.#rest = Math.min(LONGEST_REST, Math.max(FIRST_REST, this.#rest * 2));
    this.#until = now + this.#rest;
  }

  /** A delivery was tried, or may be: mail of the lane leaves. */
  moved(): void {
    this.#back = 0;
    this.#places.clear();
    this.#rest = 0;
    this.#until = 0;
    this.#why = undefined;
  }

  get #isCertain(): boolean {
    return this.#back >= CERTAIN && this.#places.size >= this.#spread;
  }

  /** How many may be leased now: any number, one as a probe, or none. @param held deliveries of the lane in hand. */
  room(held: number, now: number): number {
    if (!this.#isCertain) return Number.POSITIVE_INFINITY;
    return now >= this.#until && held === 0 ? 1 : 0;
  }

  /** Why the lane rests, and until when; undefined: it does not. */
  status(now: number): WaitStatus | undefined {
    if (!this.#isCertain || this.#why === undefined) return undefined;
    const { code, text, until } = this.#why;
    return { code, text, until: Math.max(until, now) };
  }
}
