/** The limits of one kind of mail beside those of its path: its own counters, and shared limits. */

import { type Constraint, LOOK_AGAIN } from './constraint.ts';
import type { MailCounter, Parking } from './counter.ts';
import type { SharedLimit } from './limits/limit.ts';
import type { CounterRule, MailLimits } from './limits/terms.ts';
import type { SharedBucket } from './shared-bucket.ts';
import type { SharedPermits } from './shared-permits.ts';

const SENDER_LIMIT = 'sender_limit';
/** Minimum duration of a message, ms. */
const QUICKEST = 10;

/** Shares of shared limits that some mail counts against. */
export interface SharedParts {
  readonly buckets: readonly SharedBucket[];
  readonly permits: readonly SharedPermits[];
}

/** A rule and its counter. */
class CountedRule {
  readonly rule: CounterRule;
  readonly #find: (key: string) => MailCounter;
  #counter: MailCounter;

  constructor(rule: CounterRule, find: (key: string) => MailCounter) {
    this.rule = rule;
    this.#find = find;
    this.#counter = find(rule.key);
  }

  /** A counter with messages under way is not dropped: a message ends at the counter where it began. */
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
  /** Number of its deliveries that wait here. */
  waiting = 0;

  /** @param find the counter of a key. */
  constructor(mailLimits: MailLimits, find: (key: string) => MailCounter, { buckets, permits }: SharedParts) {
    this.mailLimits = mailLimits;
    this.counted = mailLimits.counters.map((rule) => new CountedRule(rule, find));
    this.buckets = buckets;
    this.permits = permits;
  }

  /** Wait until a message of it may begin, ms; `Infinity`: when it is called (`full`). */
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
    // Last, and only for mail that may go otherwise: a permit is requested only to be used.
    if (longest > 0) return longest;
    return this.permits.every((permits) => permits.free(now, this)) ? 0 : Number.POSITIVE_INFINITY;
  }

  /** The bound without room for another message. */
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
    for (const permits of this.permits) permits.begun(this, now);
  }

  ended(now: number): void {
    for (const { counter } of this.counted) counter.ended();
    for (const permits of this.permits) permits.ended(now);
  }

  /** Constraints on its mail. */
  *constraints(now: number): Iterable<Constraint> {
    for (const { rule, counter } of this.counted) {
      const { key, rate, concurrency, origins } = rule;
      if (concurrency !== Number.POSITIVE_INFINITY) {
        yield {
          limit: `concurrency of ${key}`,
          word: 'concurrency',
          value: `${concurrency}`,
          origin: origins.concurrency ?? '',
          used: `${counter.running} under way`,
          wait: counter.running >= concurrency ? LOOK_AGAIN : 0,
          code: SENDER_LIMIT,
          text: `${key} has the ${concurrency} messages under way that it may (${origins.concurrency}).`,
        };
      }
      if (rate === undefined) continue;
      yield {
        limit: `messageRate of ${key}`,
        word: 'messageRate',
        value: rate.text,
        origin: origins.rate ?? '',
        wait: counter.pacer.peek(now, rule.pace),
        code: SENDER_LIMIT,
        text: `${key} is limited to ${rate.text} (${origins.rate}).`,
      };
    }
    for (const { key, limit } of this.mailLimits.shared) {
      const { name, concurrency } = limit;
      if (concurrency === undefined) yield this.#bucketConstraint(key, limit, now);
      else yield this.#permitsConstraint(key, name, concurrency, now);
    }
  }

  #bucketConstraint(key: string, { name, rate, quota }: SharedLimit, now: number): Constraint {
    const value = rate?.text ?? `${quota!.count} a ${quota!.per}`;
    return {
      limit: `shared ${key}`,
      word: rate === undefined ? 'shared quota' : 'shared rate',
      value,
      origin: `limits.shared.${name}`,
      wait: this.buckets.find((bucket) => bucket.key === key)?.wait(now) ?? 0,
      code: SENDER_LIMIT,
      text: `The shared limit ${name} is ${value} (${key}).`,
    };
  }

  #permitsConstraint(key: string, name: string, concurrency: number, now: number): Constraint {
    const permits = this.permits.find((one) => one.key === key);
    const held = permits?.held(now) ?? 0;
    const here = `this node holds ${held}, ${permits?.running ?? 0} are in use`;
    return {
      limit: `shared ${key}`,
      word: 'shared concurrency',
      value: `${concurrency} under way`,
      origin: `limits.shared.${name}`,
      used: permits && `${permits.running} under way of ${held} that this node holds`,
      wait: permits === undefined || permits.available(now, this) ? 0 : LOOK_AGAIN,
      code: SENDER_LIMIT,
      text: `The shared limit ${name} is ${concurrency} messages under way (${key}); ${here}.`,
    };
  }

  /** Maximum number of messages that it may send within `ms`. */
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
