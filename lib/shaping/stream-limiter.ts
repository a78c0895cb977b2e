/** What one kind of mail must pass beside the gate of its site: its own counters, and shared limits. */

import type { MailCounter, Parking } from './counter.ts';
import type { Binding, CounterRule, MailLimits } from './limits/terms.ts';
import type { SharedBucket } from './shared-bucket.ts';
import type { SharedPermits } from './shared-permits.ts';

/** No message is under way for less, ms. */
const QUICKEST = 10;

/** What some mail counts against of shared limits. */
export interface SharedParts {
  readonly buckets: readonly SharedBucket[];
  readonly permits: readonly SharedPermits[];
}

/** A rule and what counts for it. */
class CountedRule {
  readonly rule: CounterRule;
  readonly #find: (key: string) => MailCounter;
  #counter: MailCounter;

  constructor(rule: CounterRule, find: (key: string) => MailCounter) {
    this.rule = rule;
    this.#find = find;
    this.#counter = find(rule.key);
  }

  /** One that has something under way is not dropped: what was begun at it ends at it. */
  get counter(): MailCounter {
    if (this.#counter.dropped) this.#counter = this.#find(this.rule.key);
    return this.#counter;
  }
}

export class StreamLimiter {
  readonly mailLimits: MailLimits;
  readonly counted: readonly CountedRule[];
  readonly buckets: readonly SharedBucket[];
  readonly permits: readonly SharedPermits[];
  /** Deliveries of it that wait here. */
  waiting = 0;

  /** @param find the counter of a key. */
  constructor(mailLimits: MailLimits, find: (key: string) => MailCounter, { buckets, permits }: SharedParts) {
    this.mailLimits = mailLimits;
    this.counted = mailLimits.counters.map((rule) => new CountedRule(rule, find));
    this.buckets = buckets;
    this.permits = permits;
  }

  /** Milliseconds until a message of it may begin; `Infinity`: when it is called (`full`). */
  wait(now: number): number {
    let longest = 0;
    for (const { rule, counter } of this.counted) {
      if (counter.running >= rule.concurrency) return Number.POSITIVE_INFINITY;
      const wait = counter.pacer.wait(now, rule.pace);
      if (wait > longest) longest = wait;
    }
    for (const bucket of this.buckets) {
      const wait = bucket.wait(now);
      if (wait > longest) longest = wait;
    }
    // Last, and only for what may go otherwise: a permit that is asked for is to be used.
    if (longest > 0) return longest;
    return this.permits.every((permits) => permits.free(now, this)) ? 0 : Number.POSITIVE_INFINITY;
  }

  /** What has no room for another of it. */
  full(now: number): Parking | undefined {
    return (
      this.counted.find(({ rule, counter }) => counter.running >= rule.concurrency)?.counter ??
      this.permits.find((permits) => !permits.free(now, this))
    );
  }

  started(now: number): void {
    for (const { rule, counter } of this.counted) {
      counter.running += 1;
      counter.pacer.take(now, rule.pace);
    }
    for (const bucket of this.buckets) bucket.take(now);
    for (const permits of this.permits) permits.begun(this);
  }

  ended(now: number): void {
    for (const { counter } of this.counted) counter.ended();
    for (const permits of this.permits) permits.ended(now);
  }

  /** Why mail of it waits now, and how long, for a person; undefined when it need not. */
  reason(now: number): (Binding & { wait: number }) | undefined {
    for (const { rule, counter } of this.counted) {
      if (counter.running >= rule.concurrency) {
        return {
          limit: 'concurrency',
          text: `${rule.key} has the ${rule.concurrency} messages under way that it may (${rule.origins.concurrency}).`,
          wait: 1000,
        };
      }
      const wait = counter.pacer.wait(now, rule.pace);
      if (wait === 0) continue;
      const text = `${rule.key} is limited to ${rule.rate?.text} (${rule.origins.rate}).`;
      return { limit: 'messageRate', text, wait };
    }
    for (const bucket of this.buckets) {
      const wait = bucket.wait(now);
      if (wait === 0) continue;
      const { name, rate, quota } = bucket.limit;
      const text = `The shared limit ${name} is ${rate?.text ?? `${quota!.count} a ${quota!.per}`} (${bucket.key}).`;
      return { limit: rate === undefined ? 'shared quota' : 'shared rate', text, wait };
    }
    for (const permits of this.permits) {
      if (permits.free(now, this)) continue;
      const { name, concurrency } = permits.limit;
      const here = `this node holds ${permits.held(now)}, ${permits.running} are in use`;
      return {
        limit: 'shared concurrency',
        text: `The shared limit ${name} is ${concurrency} messages under way (${permits.key}); ${here}.`,
        wait: 1000,
      };
    }
    return undefined;
  }

  /** Messages that it may send within `ms`, at most. */
  soon(ms: number): number {
    let least = Number.POSITIVE_INFINITY;
    for (const { rule } of this.counted) {
      if (rule.pace.interval > 0) least = Math.min(least, ms / rule.pace.interval);
      least = Math.min(least, (rule.concurrency * ms) / QUICKEST);
    }
    for (const { limit } of this.permits) least = Math.min(least, (limit.concurrency! * ms) / QUICKEST);
    for (const { limit } of this.buckets) {
      if (limit.rate !== undefined) least = Math.min(least, (ms * limit.rate.count) / limit.rate.per);
    }
    return least;
  }
}
