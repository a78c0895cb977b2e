/**
 * What has been sent from one IP to one site, and is under way: the counts that every limit of the two is held
 * against. All connections between them share it, whatever their pool, tenant or TLS policy, so that the
 * limits are exact.
 */
import { Concurrency } from './feedback/concurrency.ts';
import { MessageRate } from './feedback/message-rate.ts';
import type { CounterRule, Resolved, Terms } from './limits/book.ts';
import { type Pace, Pacer, paceOf, perSecond } from './rate.ts';
import type { SharedBucket } from './shared-bucket.ts';
import type { SharedPermits, Waiter } from './shared-permits.ts';
import { type Down, LESSON, type SiteMemory } from './site-memory.ts';

/** No message is under way for less, ms. */
const QUICKEST = 10;

/** What may have no room for one more message: whoever finds it full is called when it has. */
export interface Parking {
  park(waiter: Waiter, who: object): void;
  leave(waiter: Waiter): void;
}

/** Counts of some mail alone. */
export class Counter implements Parking {
  readonly pacer: Pacer;
  running = 0;
  /** It was idle and is forgotten: whoever still knows it asks its gate for the one that counts now. */
  dropped = false;
  readonly #waiting = new Set<Waiter>();

  constructor(pacer: Pacer) {
    this.pacer = pacer;
  }

  park(waiter: Waiter): void {
    this.#waiting.add(waiter);
  }

  leave(waiter: Waiter): void {
    this.#waiting.delete(waiter);
  }

  /** One that was running has ended: first come, first called. */
  ended(): void {
    this.running -= 1;
    for (const waiter of this.#waiting) {
      this.#waiting.delete(waiter);
      // Whoever is woken may have to wait for something else; the last to end wakes all, so that none is left.
      if (waiter.wake() && this.running > 0) break;
    }
  }

  /** Whether nothing of the past or present bears on what comes. */
  idle(now: number): boolean {
    return this.running === 0 && this.#waiting.size === 0 && this.pacer.idle(now);
  }
}

export class Gate {
  /** Connections open or being opened. */
  connections = 0;
  /** Messages under way. */
  running = 0;
  readonly concurrency = new Concurrency();
  readonly messageRate = new MessageRate();
  /** The site could not be reached from here, and is left alone. */
  down: Down | undefined;
  /** When something was last learnt, ms. */
  taughtAt: number;
  readonly #connectPacer: Pacer;
  readonly #messagePacer: Pacer;
  /** Places of counters that were not asked for yet. */
  readonly #counted: Map<string, number>;
  readonly #unknown: number;
  readonly #counters = new Map<string, Counter>();
  readonly #flows = new WeakMap<Terms, Flow>();
  /** The pace of the rate that is held, while it is the slower one. */
  #heldPace: Pace | undefined;
  #heldRate = 0;

  /**
   * @param memory what is known of the two from before.
   * @param unknown until when more may have been sent than that, ms.
   */
  constructor(memory: SiteMemory = { at: 0 }, unknown = 0) {
    const { at, window, rate, down, message, connection, counters = {} } = memory;
    this.taughtAt = at;
    this.#unknown = unknown;
    this.down = down;
    if (window !== undefined) this.concurrency.resume(window);
    if (rate !== undefined) this.messageRate.resume(rate);
    this.#messagePacer = new Pacer(message, unknown);
    this.#connectPacer = new Pacer(connection, unknown);
    this.#counted = new Map(Object.entries(counters));
  }

  /** What a later gate of the two can go on from. */
  get memory(): SiteMemory {
    const counters = new Map(this.#counted);
    for (const [key, { pacer }] of this.#counters) counters.set(key, pacer.next);
    return {
      at: this.taughtAt,
      window: this.concurrency.lowered,
      rate: this.messageRate.state,
      down: this.down,
      message: this.#messagePacer.next,
      connection: this.#connectPacer.next,
      counters: Object.fromEntries(counters),
    };
  }

  /** Whether nothing of the past bears on what comes now. */
  idle(now: number): boolean {
    this.sweep(now);
    const pacers = this.#messagePacer.idle(now) && this.#connectPacer.idle(now);
    return pacers && this.#counters.size + this.#counted.size === 0 && now - this.taughtAt > LESSON;
  }

  /** Milliseconds until another message may begin. */
  messageWait(now: number, resolved: Resolved): number {
    if (this.running >= resolved.limits.concurrency) return Number.POSITIVE_INFINITY;
    const { pausedUntil } = this.messageRate;
    if (pausedUntil > now) return pausedUntil - now;
    return this.#messagePacer.wait(now, this.#heldPace ?? resolved.messagePace);
  }

  /** Of that, what the pace of messages asks for. */
  paceWait(now: number, { messagePace }: Resolved): number {
    return this.#messagePacer.wait(now, this.#heldPace ?? messagePace);
  }

  messageStarted(now: number, { messagePace }: Resolved): void {
    this.running += 1;
    this.#messagePacer.take(now, this.messageRate.held ? this.#slower(now, messagePace) : messagePace);
  }

  /** The pace of the held rate or that of the limit, whichever is slower. */
  #slower(now: number, pace: Pace): Pace {
    const rate = this.messageRate.rate(now);
    // Looked at once for each percent that it moved.
    if (Math.abs(rate - this.#heldRate) > rate / 100) {
      this.#heldRate = rate;
      this.#heldPace = rate === Number.POSITIVE_INFINITY ? undefined : paceOf(perSecond(rate));
    }
    if (this.#heldPace === undefined || this.#heldPace.interval > pace.interval)
      return this.#heldPace ?? pace;
    this.#heldPace = undefined;
    this.#heldRate = 0;
    return pace;
  }

  /** Messages a second that the provider lets us send, when that is less than the limit. */
  get heldRate(): number | undefined {
    return this.#heldPace && 1000 / this.#heldPace.interval;
  }

  connectWait(now: number, { connectionPace }: Resolved): number {
    return this.#connectPacer.wait(now, connectionPace);
  }

  connected(now: number, { connectionPace }: Resolved): void {
    this.#connectPacer.take(now, connectionPace);
  }

  counter(key: string): Counter {
    let counter = this.#counters.get(key);
    if (counter === undefined) {
      counter = new Counter(new Pacer(this.#counted.get(key), this.#unknown));
      this.#counted.delete(key);
      this.#counters.set(key, counter);
    }
    return counter;
  }

  /** How mail under these terms passes here. @param shared finds what it counts against of shared limits. */
  flow(terms: Terms, shared: (terms: Terms) => SharedParts): Flow {
    let flow = this.#flows.get(terms);
    if (flow === undefined) {
      flow = new Flow(terms, (key) => this.counter(key), shared(terms));
      this.#flows.set(terms, flow);
    }
    return flow;
  }

  /** The flow of mail that has passed here under these terms. */
  knownFlow(terms: Terms): Flow | undefined {
    return this.#flows.get(terms);
  }

  /** Forgets counters that nothing of the past or present bears on. */
  sweep(now: number): void {
    for (const [key, counter] of this.#counters) {
      if (!counter.idle(now)) continue;
      counter.dropped = true;
      this.#counters.delete(key);
    }
    for (const [key, next] of this.#counted) if (next <= now) this.#counted.delete(key);
  }
}

/** What some mail counts against of shared limits. */
export interface SharedParts {
  readonly buckets: readonly SharedBucket[];
  readonly permits: readonly SharedPermits[];
}

/** A rule and what counts for it. */
class Counted {
  readonly rule: CounterRule;
  readonly #find: (key: string) => Counter;
  #counter: Counter;

  constructor(rule: CounterRule, find: (key: string) => Counter) {
    this.rule = rule;
    this.#find = find;
    this.#counter = find(rule.key);
  }

  /** One that has something under way is not dropped: what was begun at it ends at it. */
  get counter(): Counter {
    if (this.#counter.dropped) this.#counter = this.#find(this.rule.key);
    return this.#counter;
  }
}

/** What one kind of mail must pass beside the gate of its site. */
export class Flow {
  readonly terms: Terms;
  readonly counted: readonly Counted[];
  readonly buckets: readonly SharedBucket[];
  readonly permits: readonly SharedPermits[];
  /** Deliveries of it that wait here. */
  waiting = 0;

  /** @param find the counter of a key. */
  constructor(terms: Terms, find: (key: string) => Counter, { buckets, permits }: SharedParts) {
    this.terms = terms;
    this.counted = terms.counters.map((rule) => new Counted(rule, find));
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
  reason(now: number): { text: string; wait: number } | undefined {
    for (const { rule, counter } of this.counted) {
      if (counter.running >= rule.concurrency) {
        return {
          text: `${rule.key} has the ${rule.concurrency} messages under way that it may (${rule.origins.concurrency}).`,
          wait: 1000,
        };
      }
      const wait = counter.pacer.wait(now, rule.pace);
      if (wait > 0)
        return { text: `${rule.key} is limited to ${rule.rate?.text} (${rule.origins.rate}).`, wait };
    }
    for (const bucket of this.buckets) {
      const wait = bucket.wait(now);
      if (wait === 0) continue;
      const { name, rate, quota } = bucket.limit;
      const limit = rate === undefined ? `${quota!.count} a ${quota!.per}` : rate.text;
      return { text: `The shared limit ${name} is ${limit} (${bucket.key}).`, wait };
    }
    for (const permits of this.permits) {
      if (permits.free(now, this)) continue;
      const { name, concurrency } = permits.limit;
      const here = `this node holds ${permits.held(now)}, ${permits.running} are in use`;
      return {
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
