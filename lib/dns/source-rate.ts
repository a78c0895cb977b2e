/**
 * How many answers a network gets over UDP: a datagram's source is easily forged, and an answer is longer than its
 * question, so that without a bound a server can be made to flood a stranger. As in BIND's response rate limiting, what
 * is over the rate is answered by turns with "ask over TCP", which is as short as the question, and not at all: a
 * resolver at a forged address still gets its answer.
 */
import ipaddr from 'ipaddr.js';
import { Cache } from '../cache.ts';
import type { Clock } from '../time.ts';

/** Answers a second to one network, and at once after a pause. */
const RATE = 20;
const BURST = 100;
/** Networks in memory. */
const NETWORKS = 20_000;
/** Prefix of a network: who may forge an address may forge its neighbours'. */
const PREFIX = { ipv4: 24, ipv6: 56 } as const;

/** What becomes of a question. */
export type SourceRuling = 'answer' | 'truncate' | 'drop';

export class SourceRate {
  readonly #clock: Clock;
  readonly #buckets = new Cache<string, { tokens: number; at: number; over: number }>(NETWORKS);

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  rule(address: string): SourceRuling {
    const network = networkOf(address);
    const now = this.#clock.now();
    const bucket = this.#buckets.get(network) ?? { tokens: BURST, at: now, over: 0 };
    const gained = (Math.max(0, now - bucket.at) * RATE) / 1_000;
    bucket.tokens = Math.min(BURST, bucket.tokens + gained);
    bucket.at = now;
    this.#buckets.set(network, bucket);
    if (bucket.tokens >= 1) {
      bucket.tokens -= 1;
      return 'answer';
    }
    bucket.over += 1;
    return bucket.over % 2 === 1 ? 'truncate' : 'drop';
  }
}

function networkOf(address: string): string {
  const parsed = ipaddr.process(address.split('%')[0]!);
  const bytes = parsed.toByteArray().slice(0, PREFIX[parsed.kind()] / 8);
  return bytes.join('.');
}
