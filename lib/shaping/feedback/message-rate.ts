/**
 * Learns the message rate that a provider accepts, from its throttling replies.
 *
 * ```
 *  free ──── throttled ────► held to 0.95 of what it took ◄────────┐
 *   ▲                          │ regained along a cubic            │ throttled again
 *   └── above its own limit ───┴───────────────────────────────────┤
 *                              │ nothing taken since the last one  │
 *                              └──► paused, each time for longer ──┘ one message probes
 * ```
 * The way back is that of CUBIC (RFC 9438 §4.2): quickly to near the rate of the provider's last throttling reply,
 * slowly past it, then faster the longer no reply comes. So the rate stays close below a constant limit, and finds
 * one that has risen.
 */

/** Share of the accepted rate to which it is first held. */
const DECREASE = 0.95;
/**
 * Time back to the rate of the last reply, ms, and minimum number of messages until then: a slow limit throttles once
 * in that number, and at one a second each reply is worth a minute. Fewer would defer more than 3 % of the messages
 * where a slow limit moves, more would lose a tenth of it.
 */
const REGAIN = 15_000;
const REGAIN_MESSAGES = 40;
/**
 * A provider that accepted nothing for a pause counts over a window of about that length, so the way back is longer.
 */
const REGAIN_PAUSES = 4;
const LONGEST_REGAIN = 600_000;
/** Minimum held rate, messages a second: one a minute. */
const LEAST = 1 / 60;
/** Assumed rate of messages sent before there were enough counts, messages a second. */
const FIRST_GUESS = 100;
const FIRST_PAUSE = 500;
const LONGEST_PAUSE = 60_000;
/**
 * Below this rate, in messages a second, the way back is counted in messages, and a rate that was lowered by mistake
 * would be low for an hour: a server that is short of resources refuses all mail and has no limit that a lower rate
 * would keep. It accepts fewer messages between two refusals than any limit would. In that case a run of messages
 * that is longer than two usual ones is evidence: the rate doubles with each further message, up to this rate, from
 * which the cubic continues.
 */
const SLOW = (REGAIN_MESSAGES * 1000) / REGAIN;
/** Fewer messages than this between two throttling replies are no sign of a limit. */
const SHORT_RUN = 3;
/** Minimum held rate without a sign of a limit, messages a second; pauses make it slower. */
const LEAST_UNSURE = 1 / 15;
/** Rates above this count as unlimited. */
const FREE = 100_000;
/** Time constants of the meters, and their update interval, ms. */
const SHORT = 2_000;
const LONG = 60_000;
const STEP = 250;
/** Below this number a second, the rate is read from the times of the last messages rather than from a meter. */
const RECENT = 16;

/** Events a second, weighted towards the last `span` ms. */
class Meter {
  #rate = 0;
  /** Share of `span` that has been observed. */
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

  /** Whether the observation is long enough. */
  get sure(): boolean {
    return this.#seen > 0.3;
  }

  get rate(): number {
    return this.#seen === 0 ? 0 : this.#rate / this.#seen;
  }
}

/** The stored state, which moves with the IP: JSON, times since the epoch, ms. */
export interface HeldRate {
  ceiling: number;
  floor: number;
  since: number;
  regain: number;
  pauses: number;
  silentSince: number;
  pausedUntil: number;
  /** Usual number of messages accepted between two throttling replies; absent in older checkpoints. */
  run?: number;
}

export class MessageRate {
  /** Rate at the provider's last throttling reply, messages a second; `Infinity`: not held. */
  #ceiling = Number.POSITIVE_INFINITY;
  /** Rate from which the way back began, and when. */
  #floor = 0;
  #since = 0;
  #takenSince = 0;
  /** Messages accepted since the last throttling reply that counted, and usual number between two of them. */
  #streak = 0;
  #run = 0;
  #regain = REGAIN;
  #pauses = 0;
  /** When the first of the pauses began. */
  #silentSince = 0;
  /** End of the pause; no message before it. */
  pausedUntil = 0;
  readonly #short = new Meter(SHORT);
  readonly #long = new Meter(LONG);
  /** All sent messages, accepted or not. */
  readonly #tried = new Meter(SHORT);
  #refused = 0;
  #count = 0;
  #metered = 0;
  /** Times of the last accepted messages, in a ring. */
  readonly #recent = new Float64Array(RECENT);
  #place = 0;

  /** Continues from stored state. */
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

  /** The state while a rate is held; undefined: none. */
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

  /** Messages a second that may go now; `Infinity` while no rate is held. */
  rate(now: number): number {
    if (this.#ceiling === Number.POSITIVE_INFINITY) return this.#ceiling;
    const regain = Math.max(this.#regain, Math.min(LONGEST_REGAIN, (REGAIN_MESSAGES * 1000) / this.#ceiling));
    const x = (now - this.#since) / regain - 1;
    const rate = this.#ceiling + (this.#ceiling - this.#floor) * x * x * x;
    if (rate > FREE) this.#ceiling = Number.POSITIVE_INFINITY;
    return rate >= SLOW ? rate : Math.min(SLOW, rate * this.#boost());
  }

  /** Factor by which a run of accepted messages raises a rate that short runs had lowered. */
  #boost(): number {
    const news = this.#streak - 2 * this.#run - 1;
    return this.#run < SHORT_RUN && news > 0 ? 2 ** news : 1;
  }

  /** Counts an accepted message. */
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
    // The provider accepts mail again: continue at its overall rate, pauses included.
    this.#pauses = 0;
    const silence = now - this.#silentSince;
    this.#regain = Math.min(LONGEST_REGAIN, Math.max(this.#regain, silence * REGAIN_PAUSES));
    this.#hold(Math.max(this.#least, this.#long.rate, this.#ceiling / 4), now);
  }

  /**
   * Handles a throttling reply.
   * @param startedAt when the attempt began. One from before the last change is no evidence about the rate since.
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
    // Less than half of the tried rate is no measure of the accepted one; the next reply will show it again.
    const tried = this.#tried.sure ? this.#tried.rate : FIRST_GUESS;
    const least = Math.min(before, tried) / 2;
    this.#hold(Math.max(this.#least, Math.min(before, Math.max(this.#took(now), least))), now);
  }

  get #least(): number {
    return this.#run < SHORT_RUN ? LEAST_UNSURE : LEAST;
  }

  /** Rate of recently accepted messages, messages a second. */
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
