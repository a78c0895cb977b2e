/**
 * A provider that does not know an IP: it accepts a number of messages a day, more with each day that
 * went well, fewer after an excess. The shaping code sees its replies only.
 */
import type { AttemptResult } from '../../lib/outcome/classify.ts';
import type { Random } from '../../lib/time.ts';
import { between, binomial } from './random.ts';

export interface ProviderProfile {
  name: string;
  /** Share of all mail. */
  share: number;
  /** Minimum and maximum number of messages accepted from a new IP on the first day. */
  first: readonly [number, number];
  /** Growth of the accepted number with a good day, as a factor. */
  growth: number;
  /** Share of first attempts that it greylists. */
  greylists: number;
}

/** Shares of a consumer list; growth from the patient to the reluctant. */
export const PROFILES: readonly ProviderProfile[] = [
  { name: 'google', share: 0.33, first: [400, 1200], growth: 2.6, greylists: 0 },
  { name: 'outlook', share: 0.17, first: [250, 600], growth: 1.6, greylists: 0 },
  { name: 'office365', share: 0.14, first: [300, 900], growth: 2.1, greylists: 0.05 },
  { name: 'yahoo', share: 0.13, first: [300, 1000], growth: 2.3, greylists: 0 },
  { name: 'apple', share: 0.08, first: [300, 900], growth: 2.4, greylists: 0 },
  { name: 'comcast', share: 0.04, first: [300, 1000], growth: 2.5, greylists: 0 },
  { name: 'gmx', share: 0.05, first: [220, 500], growth: 1.8, greylists: 0.02 },
  { name: 'other', share: 0.06, first: [1000, 3000], growth: 3, greylists: 0.3 },
];

/** The fate of messages, and a typical reply. */
export const RESULTS = {
  delivered: { kind: 'accepted', phase: 'body' },
  bounced: refused(550, '5.1.1', 'The email account that you tried to reach does not exist'),
  throttled: refused(
    421,
    '4.7.0',
    'Messages temporarily deferred due to unexpected volume or user complaints',
  ),
  blocked: refused(550, '5.7.1', 'Service unavailable, client host blocked using a block list'),
  greylisted: refused(451, '4.7.1', 'Greylisting in action, please come back later'),
} as const satisfies Record<string, AttemptResult>;

export type Result = keyof typeof RESULTS;
export type Results = Record<Result, number>;

function refused(code: number, enhanced: string, text: string): AttemptResult {
  return { kind: 'refused', phase: 'rcpt', reply: { code, enhanced, lines: [text] } };
}

/** The current state of recipients and block lists. */
export interface Conditions {
  bounces: number;
  complaints: number;
  /** Share of messages that a block list stops. */
  listed: number;
}

/** One IP in the eyes of one provider. */
export class Acquaintance {
  /** Messages accepted a day at present. */
  bears: number;
  readonly #growth: number;
  readonly #greylists: number;
  readonly #random: Random;
  #sent = 0;
  #refused = 0;

  constructor({ first, growth, greylists }: ProviderProfile, random: Random) {
    this.bears = between(random, first[0], first[1]);
    this.#growth = growth * between(random, 0.93, 1.07);
    this.#greylists = greylists;
    this.#random = random;
  }

  /** `count` attempts at once. @param again whether they were deferred before. */
  attempt(count: number, again: boolean, { bounces, listed }: Conditions): Results {
    const random = this.#random;
    const room = Math.max(0, Math.round(this.bears) - this.#sent);
    this.#sent += count;
    const blocked = binomial(random, count, listed);
    let left = count - blocked;
    // Beyond that number nearly all are deferred; the rest slips through because its hosts count separately.
    const throttled = binomial(random, Math.max(0, left - room), 0.9);
    left -= throttled;
    const greylisted = again ? 0 : binomial(random, left, this.#greylists);
    left -= greylisted;
    const bounced = binomial(random, left, bounces);
    this.#refused += throttled + blocked;
    return { delivered: left - bounced, bounced, throttled, blocked, greylisted };
  }

  /** Ends a day: the provider accepts more from an IP that behaved, less from one that pushed or is listed. */
  night(): void {
    const share = this.#sent === 0 ? 0 : this.#refused / this.#sent;
    if (share > 0.5) this.bears *= 0.7;
    else if (share < 0.2 && this.#sent >= this.bears / 10) {
      this.bears = Math.max(this.bears, Math.min(this.bears * this.#growth, this.#sent * 4));
    }
    this.#sent = 0;
    this.#refused = 0;
  }
}
