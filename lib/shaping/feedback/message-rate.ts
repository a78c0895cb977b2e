/**
 * The message rate that a provider takes, learnt from its throttling replies.
 *
 * ```
 *  free ──── throttled ────► held to 0.95 of what it took ◄────────┐
 *   ▲                          │ regained along a cubic            │ throttled again
 *   └── above its own limit ───┴───────────────────────────────────┤
 *                              │ nothing taken since the last one  │
 *                              └──► paused, each time for longer ──┘ one message probes
 * ```
 * The way back is that of CUBIC (RFC 9438 §4.2): quickly to near the rate at which the provider last spoke up,
 * slowly past it, then faster the longer it is silent. So the rate stays close below a limit that stands
 * still, and finds one that has risen.
 */

/** Held at first to this share of what the provider took. */
const DECREASE = 0.95;
/**
 * Back at the rate of the last reply after so long, ms, and not before so many messages: a slow limit speaks up
 * once in so many of them, and at one a second each reply is worth a minute. Fewer would have more than 3 % of
 * the messages put off where a slow limit moves, more would lose a tenth of it.
 */
const REGAIN = 15_000;
const REGAIN_MESSAGES = 40;
/** A provider that took nothing for so long counts over a window of about that length: the way back is longer. */
const REGAIN_PAUSES = 4;
const LONGEST_REGAIN = 600_000;
/** Never held lower than one a minute, in messages a second. */
const LEAST = 1 / 60;
/** Assumed of what was sent before much of it was counted, messages a second. */
const FIRST_GUESS = 100;
const FIRST_PAUSE = 500;
const LONGEST_PAUSE = 60_000;
/**
 * Below this rate, in messages a second, the way back is counted in messages, and a rate that was lowered by mistake
 * would be low for an hour: a server that refuses whatever comes, because it is short of resources, has no limit
 * that a lower rate would keep. It takes fewer messages between two refusals than any limit would make it. Where
 * that was so, a run of messages that is longer than two usual ones is news: the rate doubles with each further
 * message, up to this rate, from which the cubic goes on.
 */
const SLOW = (REGAIN_MESSAGES * 1000) / REGAIN;
/** Fewer messages than this between two throttling replies are no sign of a limit. */
const SHORT_RUN = 3;
/** Without a sign of a limit never held lower than this, in messages a second; pauses make it slower. */
const LEAST_UNSURE = 1 / 15;
/** Rates above this count as unlimited. */
const FREE = 100_000;
/** Time constants of the meters, and how often they are brought up to date, ms. */
const SHORT = 2_000;
const LONG = 60_000;
const STEP = 250;
/** Below so many a second, the rate is read from the times of the last messages rather than from a meter. */
const RECENT = 16;

/** Events a second, weighted towards the last `span` ms. */
class Meter {
  #rate = 0;
  /** Share of `span` that has been seen. */
  #seen = 0;
  readonly #span: number;

  constructor(span: number) {
    this.#span = span;
  }

  add(count: number, elapsed: number): void {
    const weight = 1 - Math.exp(-elapsed / this.#span);
    this.#rate += ((count * 1000) / elapsed - this.#rate) * weight;
    this.#seen += (1 - this.#seen) * weight;
  }

  /** Enough has been seen to tell. */
  get sure(): boolean {
    return this.#seen > 0.3;
  }

  get rate(): number {
    return this.#seen === 0 ? 0 : this.#rate / this.#seen;
  }
}

/** What is kept of it between restarts, and handed on with the IP: JSON, times in ms since the epoch. */
export interface HeldRate {
  ceiling: number;
  floor: number;
  since: number;
  regain: number;
  pauses: number;
  silentSince: number;
  pausedUntil: number;
  /** Usual number of messages taken between two throttling replies; absent in older checkpoints. */
  run?: number;
}

export class MessageRate {
  /** Rate at which the provider last spoke up, messages a second; `Infinity`: not held. */
  #ceiling = Number.POSITIVE_INFINITY;
  /** Rate from which the way back began, and when. */
  #floor = 0;
  #since = 0;
  #takenSince = 0;
  /** Messages taken since the last throttling reply that counted, and usually between two of them. */
  #streak = 0;
  #run = 0;
  #regain = REGAIN;
  #pauses = 0;
  /** When the first of the pauses began. */
  #silentSince = 0;
  /** Nothing before then. */
  pausedUntil = 0;
  readonly #short = new Meter(SHORT);
  readonly #long = new Meter(LONG);
  /** What was sent, taken or not. */
  readonly #tried = new Meter(SHORT);
  #refused = 0;
  #count = 0;
  #metered = 0;
  /** Times of the last messages that were taken, in a ring. */
  readonly #recent = new Float64Array(RECENT);
  #place = 0;

  /** Goes on where another stopped. */
  resume(held: HeldRate): void {
    this.#ceiling = held.ceiling;
    this.#floor = held.floor;
    this.#since = held.since;
    this.#regain = held.regain;
    this.#pauses = held.pauses;
    this.#silentSince = held.silentSince;
    this.pausedUntil = held.pausedUntil;
    this.#run = held.run ?? 0;
  }

  /** What is held now; undefined: nothing. */
  get state(): HeldRate | undefined {
    if (!this.held) return undefined;
    return {
      ceiling: this.#ceiling,
      floor: this.#floor,
      since: this.#since,
      regain: this.#regain,
      pauses: this.#pauses,
      silentSince: this.#silentSince,
      pausedUntil: this.pausedUntil,
      run: this.#run,
    };
  }

  /** Whether the rate is being held. */
  get held(): boolean {
    return this.#ceiling !== Number.POSITIVE_INFINITY;
  }

  /** Messages a second that may go now; `Infinity` while nothing is held. */
  rate(now: number): number {
    if (this.#ceiling === Number.POSITIVE_INFINITY) return this.#ceiling;
    const regain = Math.max(this.#regain, Math.min(LONGEST_REGAIN, (REGAIN_MESSAGES * 1000) / this.#ceiling));
    const x = (now - this.#since) / regain - 1;
    const rate = this.#ceiling + (this.#ceiling - this.#floor) * x * x * x;
    if (rate > FREE) this.#ceiling = Number.POSITIVE_INFINITY;
    return rate >= SLOW ? rate : Math.min(SLOW, rate * this.#boost());
  }

  /** By how much a run of messages that were taken raises a rate that was lowered by short runs. */
  #boost(): number {
    const news = this.#streak - 2 * this.#run - 1;
    return this.#run < SHORT_RUN && news > 0 ? 2 ** news : 1;
  }

  /** A message was taken. */
  taken(now: number): void {
    this.#count += 1;
    this.#takenSince += 1;
    this.#streak += 1;
    this.#recent[this.#place] = now;
    this.#place = (this.#place + 1) % RECENT;
    if (now - this.#metered >= STEP) this.#meter(now);
    if (this.#pauses === 0) {
      if (this.#ceiling < SLOW && this.#boost() > 1 && this.rate(now) >= SLOW) {
        this.#regain = REGAIN;
        this.#hold(SLOW, now);
      }
      return;
    }
    // The provider takes mail again: at what it took on the whole, pauses included.
    this.#pauses = 0;
    const silence = now - this.#silentSince;
    this.#regain = Math.min(LONGEST_REGAIN, Math.max(this.#regain, silence * REGAIN_PAUSES));
    this.#hold(Math.max(this.#least, this.#long.rate, this.#ceiling / 4), now);
  }

  /**
   * A reply asked for less.
   * @param startedAt when the attempt began. One from before the last change says nothing of the rate since.
   * @param limit messages a second of the static limit; `Infinity` for none.
   */
  throttled(now: number, startedAt: number, limit: number): void {
    this.#refused += 1;
    if (this.held && startedAt < this.#since) return;
    if (now > this.#metered) this.#meter(now);
    const before = Math.min(limit, this.rate(now));
    if (this.held && this.#pauses === 0) this.#run = (this.#run + this.#streak) / 2;
    this.#streak = 0;
    if (this.held && this.#takenSince === 0) {
      if (this.#pauses === 0) this.#silentSince = this.#since;
      this.pausedUntil = now + Math.min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** this.#pauses);
      this.#pauses += 1;
      this.#since = now;
      return;
    }
    this.#regain = Math.max(REGAIN, this.#regain * 0.9);
    // Less than half of what was tried is no measure of what would be taken; the next reply will say so again.
    const tried = this.#tried.sure ? this.#tried.rate : FIRST_GUESS;
    const least = Math.min(before, tried) / 2;
    this.#hold(Math.max(this.#least, Math.min(before, Math.max(this.#took(now), least))), now);
  }

  get #least(): number {
    return this.#run < SHORT_RUN ? LEAST_UNSURE : LEAST;
  }

  /** Messages a second that were taken lately. */
  #took(now: number): number {
    const rate = this.#short.rate;
    if (rate >= RECENT) return rate;
    const oldest = this.#recent[this.#place]!;
    return oldest === 0 ? rate : (RECENT * 1000) / Math.max(1, now - oldest);
  }

  #hold(ceiling: number, now: number): void {
    this.#ceiling = ceiling;
    this.#floor = Math.max(LEAST * DECREASE, ceiling * DECREASE);
    this.#since = now;
    this.#takenSince = 0;
  }

  #meter(now: number): void {
    const elapsed = now - this.#metered;
    // The first event, or the first after a long silence: there is no rate before it.
    if (elapsed < 10 * LONG) {
      this.#short.add(this.#count, elapsed);
      this.#long.add(this.#count, elapsed);
      this.#tried.add(this.#count + this.#refused, elapsed);
    }
    this.#metered = now;
    this.#count = 0;
    this.#refused = 0;
  }
}
