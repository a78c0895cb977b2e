/**
 * The mail that waits to go from one source IP to one site, with TLS required or not, and apart for mail that has
 * connection limits of its own; and when a message of it may begin.
 *
 * ```
 *  push ─► ready queue ─► a connection takes it ─► attempted ─► settled
 *             ▲               │ broke before any reply: to the front, twice
 *             └───────────────┘
 * ```
 * While the circuit breaker is open and no connection is left, the pool takes no deliveries: those that waited are
 * deferred with the fault as their reason, and those that come are put back with it (law 4).
 */
import type { Attempt } from '../engine/items.ts';
import { LONGEST_SITE } from '../engine/ports.ts';
import type { AttemptResult } from '../outcome/classify.ts';
import { cutEnvelope } from '../outcome/reply-text.ts';
import type { Constraint } from '../shaping/constraint.ts';
import type { PathLimiter } from '../shaping/path-limiter.ts';
import { RateMeter } from '../shaping/rate-meter.ts';
import { ReadyQueue } from '../shaping/ready-queue.ts';
import { HOUR } from '../time.ts';
import { count, type Via } from './attempt.ts';
import { CircuitBreaker } from './circuit-breaker.ts';
import { originOf } from './connection.ts';
import type { ShareCount } from './connection-limits.ts';
import type { Delivery, Reason, Slot, WaitStatus } from './delivery.ts';
import { PoolConnections } from './pool-connections.ts';
import { poolConstraints, waitStatusOf } from './pool-constraints.ts';
import type { PoolCore, PoolHost } from './pool-host.ts';
import type { PoolLimits } from './pool-limits.ts';
import type { Site } from './site.ts';
import type { SourceAddress } from './source-address.ts';

/** A warm-up budget is being written: more of it may go after this time, ms. */
const LEASING = 1_000;
/** Longest timer, ms: what is due later is looked at again by then. */
const LONGEST_TIMER = HOUR;
/** How long mail is parked for a site that nobody reaches, ms: then it comes back to see whether that is still so. */
const PARKED = 2 * HOUR;

export class ConnectionPool implements Slot, PoolCore {
  readonly site: Site;
  readonly source: SourceAddress;
  readonly requireTls: boolean;
  readonly limits: PoolLimits;
  readonly queue = new ReadyQueue<Delivery>(() => this.pumpIn(0));
  readonly breaker: CircuitBreaker;
  readonly limiter: PathLimiter;
  /** Deliveries that ended here, by any result. */
  readonly drained: RateMeter;
  closing: Reason | undefined;
  full = false;
  readonly #host: PoolHost<ConnectionPool>;
  readonly #connections: PoolConnections;
  #cancelTimer: (() => void) | undefined;
  #timerAt = Number.POSITIVE_INFINITY;

  constructor(
    site: Site,
    source: SourceAddress,
    requireTls: boolean,
    limits: PoolLimits,
    host: PoolHost<ConnectionPool>,
  ) {
    this.site = site;
    this.source = source;
    this.requireTls = requireTls;
    this.limits = limits;
    this.#host = host;
    this.#connections = new PoolConnections(this, host);
    this.limiter = source.limiter(site.name);
    this.drained = new RateMeter(host.clock.now());
    this.breaker = new CircuitBreaker({
      ...host,
      site,
      family: source.family,
      limiter: this.limiter,
      requireTls,
      limits,
      onRefused: ({ host: mx }, { phase, reply }, now) => {
        const from = originOf(site, source, mx);
        host.observer.onSessionRefused(limits.path.pool, from, phase, cutEnvelope(reply!), now);
      },
    });
    source.connections.add(this);
  }

  get connections(): number {
    return this.#connections.size;
  }

  /** Connections that could take a message at once. */
  get idle(): number {
    return this.#connections.idle.length;
  }

  get waiting(): number {
    return this.queue.size;
  }

  // — the slot of its deliveries —

  /** Queues a delivery. The pool is pumped by the caller. */
  push(delivery: Delivery, now: number): void {
    delivery.slot = this;
    this.site.held += 1;
    this.source.held += 1;
    this.site.usedAt = now;
    delivery.queued = true;
    this.queue.push(delivery);
  }

  leave(delivery: Delivery): void {
    this.site.held -= 1;
    this.source.held -= 1;
    delivery.slot = undefined;
  }

  attempted(attempt: Attempt): void {
    this.site.drained.count();
    this.drained.count();
    this.site.load.ended(this.#host.clock.now());
    count(this.site.counts, attempt);
  }

  // — why mail waits —

  /** What keeps any mail here from going; limits of some mail alone are its stream's. */
  constraints(now: number, tenant?: string): Iterable<Constraint> {
    const [first = ''] = this.queue.tenants();
    return poolConstraints(this, this.#host.warmup, tenant ?? first, now);
  }

  /** As what connections of this pool are counted at their source. */
  get claimed(): PoolConnections['claimed'] {
    return this.#connections.claimed;
  }

  /** Why nothing is sent now; undefined when a delivery that comes may be sent at once. */
  waitReason(now: number): WaitStatus | undefined {
    return waitStatusOf([...this.constraints(now)], now);
  }

  waitStatus({ stream, queued, tenant }: Delivery, now: number): WaitStatus | undefined {
    if (!queued) return undefined;
    return waitStatusOf([...(stream?.constraints(now) ?? []), ...this.constraints(now, tenant)], now);
  }

  /** Whether deliveries are put back rather than queued here. */
  backsOff(now: number): boolean {
    return this.#connections.opened === 0 && this.breaker.state(now) === 'open';
  }

  // — beginning messages —

  /**
   * Gives queued deliveries to connections, and opens what the backlog is worth within the limits.
   * @param impatient deliveries have waited a while: one more connection than the backlog is worth, so that
   *   a few deliveries do not sit behind one peer that thinks for minutes.
   */
  pump(impatient = false): void {
    if (this.closing !== undefined || this.queue.size === 0) return;
    const now = this.#host.clock.now();
    if (this.backsOff(now)) {
      this.putBack();
      return;
    }
    const connections = this.#connections;
    while (connections.idle.length > 0 && this.mayBegin(now)) {
      const connection = connections.idle.pop()!;
      connection.idle = false;
      connection.session?.wake();
    }
    // While connections are idle it is no lack of them that makes mail wait.
    if (this.queue.size === 0 || connections.idle.length > 0 || now < this.breaker.retryAt) return;
    if (this.source.usable(now)) connections.grow(now, impatient);
  }

  mayBegin(now: number): boolean {
    // The next owner of the IP must not meet us on it, even while the storage cannot name that owner.
    if (this.queue.size === 0 || !this.source.usable(now)) return false;
    const { warmup } = this.#host;
    const budget = warmup?.wait(this.source.ip ?? '', this.site.provider, now) ?? 0;
    if (budget > 0) {
      if (budget <= LEASING) this.pumpIn(budget);
      else this.#host.requeue(this);
      return false;
    }
    const wait = this.limiter.messageWait(now, this.limits.current.own);
    const until = this.queue.ready === 0 ? Math.max(wait, this.queue.nextAt - now) : wait;
    if (until <= 0) return true;
    if (until === Number.POSITIVE_INFINITY) this.full = true;
    else this.pumpIn(until);
    return false;
  }

  resume(): void {
    this.full = false;
    this.pump();
  }

  pumpIn(ms: number): void {
    // Timers count whole milliseconds: rounded down, they would fire for nothing.
    const delay = Math.min(Math.ceil(ms), LONGEST_TIMER);
    const at = this.#host.clock.now() + delay;
    if (at >= this.#timerAt) return;
    this.#cancelTimer?.();
    this.#timerAt = at;
    this.#cancelTimer = this.#host.clock.after(delay, () => {
      this.#timerAt = Number.POSITIVE_INFINITY;
      this.#cancelTimer = undefined;
      this.pump();
    });
  }

  // — putting back —

  toFront(delivery: Delivery): void {
    this.queue.pushFront(delivery);
    delivery.queued = true;
    if (this.full) this.resume();
  }

  failAll(result: AttemptResult, via: Via | undefined): void {
    const { clock, results, random } = this.#host;
    const now = clock.now();
    let probe = this.breaker.hasParked ? this.breaker.retryAt + random() * 1000 : undefined;
    for (let n = this.queue.size; n > 0; n -= 1) {
      const delivery = this.queue.takeLeastUrgent()!;
      if (!results.mayBegin(delivery, now)) continue;
      const attempt = { result, at: now, duration: 0, replies: [], via };
      if (this.#parks(delivery, now)) {
        results.unreached(delivery, attempt, this.site.name, probe);
        probe = undefined;
      } else results.attempted(delivery, attempt);
    }
  }

  putBack(): void {
    const now = this.#host.clock.now();
    for (let d = this.queue.takeLeastUrgent(); d !== undefined; d = this.queue.takeLeastUrgent())
      this.keep(d, now);
  }

  /**
   * Puts back a delivery while the site cannot be reached: until the next try, or, in an outage that lasts, parked until
   * the site is reached. One a minute probes, and takes the news to the other nodes that lease from its lane.
   */
  keep(delivery: Delivery, now: number): void {
    const { results, random } = this.#host;
    const reason = this.breaker.reason(now)!;
    const retry = this.breaker.retryAt + random() * 1000;
    if (!this.#parks(delivery, now)) {
      results.release(delivery, reason.code, reason.text, retry);
      return;
    }
    const parked = Math.min(now + PARKED * (0.9 + 0.2 * random()), delivery.expiresAt);
    const until = this.breaker.parks(now) ? Math.max(retry, parked) : retry;
    results.park(delivery, this.site.name, { code: reason.code, text: reason.text }, until);
  }

  /** Whether a delivery waits for the site, and not for its own time alone. */
  #parks(delivery: Delivery, now: number): boolean {
    if (!delivery.lane.shared || this.site.name.length > LONGEST_SITE) return false;
    const reason = this.breaker.reason(now);
    return reason !== undefined && reason.code !== 'no_source_ip';
  }

  #releaseAll({ code, text }: Reason, until: number): void {
    for (let d = this.queue.takeLeastUrgent(); d !== undefined; d = this.queue.takeLeastUrgent())
      this.#host.results.release(d, code, text, until);
  }

  // — closing —

  closeIdle(share?: ShareCount): boolean {
    return this.queue.size === 0 && this.#connections.closeIdle(share);
  }

  /** Puts back what is queued and begins nothing more: what is under way ends, then its connections close. */
  close(reason: Reason): void {
    this.closing = reason;
    this.#cancelTimer?.();
    this.#releaseAll(reason, 0);
    this.#connections.quit();
    this.source.connections.remove(this);
  }

  /** Ends the connections of a closed pool now. */
  destroy(text: string): void {
    this.#connections.destroy(text);
  }
}
