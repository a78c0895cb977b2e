/**
 * The way from one source IP to one site, with TLS required or not, and apart for mail that has connections of
 * its own: its ready queue and its connections.
 *
 * ```
 *            deliveries              every target failed, no connection left
 *  idle ───────────────► sending ──────────────────────────────────────────► backing off
 *   ▲                     │   ▲                                               │       │
 *   └──── queue empty ────┘   └──── the probe opened ──── probing ◄── time ───┘       │
 *                                                            └──── it failed ─────────┘
 * ```
 * Backing off, it takes no deliveries: what it held is deferred with the fault as its reason, what comes is
 * put back with it (law 4). Probing, it opens a single connection.
 */
import type { AttemptResult } from '../outcome/classify.ts';
import { cutResult } from '../outcome/reply-text.ts';
import { bindingOf } from '../shaping/binding.ts';
import type { Counter } from '../shaping/counter.ts';
import { learn } from '../shaping/feedback/learn.ts';
import { connectionsWanted } from '../shaping/limits/limit.ts';
import type { PathLimiter } from '../shaping/path-limiter.ts';
import { providerOf } from '../shaping/providers.ts';
import { ReadyQueue } from '../shaping/ready-queue.ts';
import type { SessionEnd, TransactionResult } from '../smtp/types.ts';
import { CircuitBreaker } from './circuit-breaker.ts';
import type { Delivery } from './delivery.ts';
import type { Target } from './destination.ts';
import type { Connection, PathHost, Reason, Via } from './path-host.ts';
import type { PoolLimits } from './pool-limits.ts';
import type { Site } from './site.ts';
import type { SourceAddress } from './source-address.ts';

/** After so many broken connections a delivery is deferred: it may be what breaks them. */
const MAX_INTERRUPTIONS = 2;
/** A warm-up budget is being written: soon more of it may go, ms. */
const LEASING = 1_000;
/** What is due later is looked at again by then, ms. */
const LONGEST_TIMER = 3_600_000;

/** What keeps a delivery that is in hand. */
export interface WaitStatus extends Reason {
  /** Not before then, ms since the epoch. */
  until: number;
}

export class ConnectionPool {
  readonly site: Site;
  readonly source: SourceAddress;
  readonly requireTls: boolean;
  readonly poolLimits: PoolLimits;
  readonly queue = new ReadyQueue<Delivery>(() => this.#pumpIn(0));
  readonly breaker: CircuitBreaker;
  /** Mail waits, and the paths beside this one hold all connections that there may be. */
  starved = false;
  readonly #host: PathHost;
  readonly #limiter: PathLimiter;
  readonly #connections = new Set<Connection>();
  #opened = 0;
  #idle: Connection[] = [];
  #cancelTimer: (() => void) | undefined;
  #timerAt = Number.POSITIVE_INFINITY;
  #closing: Reason | undefined;
  /** As many messages are under way as may be: whatever ends lets another begin. */
  #full = false;

  constructor(
    site: Site,
    source: SourceAddress,
    requireTls: boolean,
    poolLimits: PoolLimits,
    host: PathHost,
  ) {
    this.site = site;
    this.source = source;
    this.requireTls = requireTls;
    this.poolLimits = poolLimits;
    this.#host = host;
    this.#limiter = source.limiter(site);
    this.breaker = new CircuitBreaker({ site, source, requireTls, poolLimits, host });
  }

  get connections(): number {
    return this.#connections.size;
  }

  /** Why no further message goes now, for a person; undefined when one may. */
  waitReason(now: number): Reason | undefined {
    const { reason, retryAt } = this.breaker;
    if (reason !== undefined && retryAt > now) return reason;
    const binding = bindingOf(this.#limiter, this.poolLimits.own, now);
    return binding && { code: 'site_limit', text: binding.text };
  }

  /** Why a delivery waits here and when the next of its kind may go; undefined when it need not wait. */
  waitStatus({ stream }: Delivery, now: number): WaitStatus | undefined {
    const own = stream?.reason(now);
    if (own !== undefined) return { code: 'sender_limit', text: own.text, until: now + own.wait };
    const reason = this.waitReason(now);
    return reason && { ...reason, until: this.nextAt(now) };
  }

  /** When the next message may go, about. */
  nextAt(now: number): number {
    const wait = this.#limiter.messageWait(now, this.poolLimits.own);
    return Math.max(this.breaker.retryAt, now + (wait === Number.POSITIVE_INFINITY ? 0 : wait));
  }

  /** Whether deliveries are better put back than queued here. */
  backsOff(now: number): boolean {
    return this.breaker.reason !== undefined && now < this.breaker.retryAt && this.#opened === 0;
  }

  /**
   * Gives queued deliveries to connections, and opens what the backlog is worth within the limits.
   * @param impatient deliveries have waited a while: one more connection than the backlog is worth, so that
   *   a few deliveries do not sit behind one peer that thinks for minutes.
   */
  pump(impatient = false): void {
    if (this.#closing || this.queue.size === 0) return;
    const now = this.#host.clock.now();
    if (this.backsOff(now)) {
      this.#putBack();
      return;
    }
    while (this.#idle.length > 0 && this.#mayBegin(now)) {
      const connection = this.#idle.pop()!;
      connection.idle = false;
      connection.session?.wake();
    }
    // While connections are idle it is no lack of them that makes mail wait.
    if (this.queue.size === 0 || this.#idle.length > 0 || now < this.breaker.retryAt) return;
    if (this.source.usable(now)) this.#grow(now, impatient);
  }

  /** Whether a message may begin now; if not, the path is pumped when one may. */
  #mayBegin(now: number): boolean {
    // Whoever owns the IP next must not meet us on it, even while we cannot ask who that is.
    if (this.queue.size === 0 || !this.source.usable(now)) return false;
    const { warmup } = this.#host;
    const budget = warmup?.wait(this.source.ip ?? '', this.site.provider, now) ?? 0;
    if (budget > 0) {
      if (budget <= LEASING) this.#pumpIn(budget);
      else this.#host.requeue(this);
      return false;
    }
    const wait = this.#limiter.messageWait(now, this.poolLimits.own);
    const until = this.queue.ready === 0 ? Math.max(wait, this.queue.nextAt - now) : wait;
    if (until <= 0) return true;
    if (until === Number.POSITIVE_INFINITY) this.#full = true;
    else this.#pumpIn(until);
    return false;
  }

  #grow(now: number, impatient: boolean): void {
    this.starved = false;
    const { own, limits } = this.poolLimits;
    const most = this.#limiter.concurrency.window(own.limits.connections);
    const limit = Math.min(limits.connections, this.breaker.failures > 0 ? this.#opened + 1 : most);
    const busy = this.#opened - this.#idle.length;
    let wanted = connectionsWanted(limit, this.queue.ready + busy);
    if (impatient && busy === this.#connections.size) wanted = Math.max(wanted, Math.min(limit, busy + 1));
    while (this.#connections.size < wanted) {
      const { apart } = this.poolLimits;
      // Connections with limits of their own are counted for these too, whatever path they are of.
      const counter = apart && this.#limiter.counter(`connections of ${apart.name}`);
      if (this.#limiter.connections >= most || (counter?.running ?? 0) >= limits.connections) {
        this.#crowded();
        return;
      }
      const pacer = counter?.pacer;
      const wait = Math.max(
        this.#limiter.connectWait(now, own),
        pacer?.wait(now, apart!.connectionPace) ?? 0,
      );
      if (wait > 0) {
        this.#pumpIn(wait);
        return;
      }
      if (!this.source.mayConnect(this, this.site.provider, own.limits)) return;
      const targets = this.breaker.targets(now);
      if (targets === undefined) {
        void this.site.lookup(this.#host.destinations).then(() => this.pump());
        return;
      }
      if (targets.kind === 'fault') {
        this.#failAll(
          { kind: 'unsent', phase: 'connect', code: targets.code, text: targets.text },
          undefined,
        );
        return;
      }
      const target = this.breaker.pick(targets, now);
      if (target === undefined) {
        this.breaker.open('connect_failed', `No address of ${this.site.name} can be reached from here.`, now);
        if (this.#opened === 0) this.#putBack();
        else this.#pumpIn(this.breaker.retryAt - now);
        return;
      }
      this.#limiter.connected(now, own);
      pacer?.take(now, apart!.connectionPace);
      this.#open(target, now, counter);
    }
  }

  /** Without a connection of its own it waits for one of a path beside it: an idle one gives way at once. */
  #crowded(): void {
    if (this.#connections.size > 0) return;
    this.starved = true;
    for (const path of this.#beside()) if (path !== this && path.closeIdle()) return;
  }

  /** The paths from this source to this site, with this one: they share its connections. */
  #beside(): ConnectionPool[] {
    return [...this.site.paths.values()].filter(({ source }) => source === this.source);
  }

  #open(target: Target, now: number, apart: Counter | undefined): void {
    const { source, site } = this;
    const host = this.#host;
    const { limits } = this.poolLimits;
    const connection: Connection = {
      session: undefined,
      target,
      opened: false,
      idle: false,
      apart,
      via: {
        ip: source.ip,
        mx: { host: target.host, address: target.address, port: target.port },
        provider: site.provider === providerOf([target.host]) ? undefined : site.provider,
        tls: undefined,
      },
    };
    this.#connections.add(connection);
    this.#limiter.connections += 1;
    if (apart !== undefined) apart.running += 1;
    source.connected(this, site.provider);
    connection.session = host.open({
      address: target.address,
      port: target.port,
      host: target.host,
      localAddress: source.local,
      mayWrite: () => source.mayGoOn(host.clock.now()),
      ehloName: source.ehloName,
      tls: this.breaker.tls(target, now),
      deadlines: { ...host.deadlines, ...limits.deadlines },
      maxTransactions: Math.min(limits.messagesPerConnection, limits.recipientsPerConnection),
      idle: limits.idle,
      clock: host.clock,
      next: (now) => this.#next(connection, now),
      done: (delivery, result) => this.#done(connection, delivery as Delivery, result),
      ended: (end) => this.#ended(connection, end),
    });
  }

  #next(connection: Connection, now: number): Delivery | undefined {
    if (!connection.opened) {
      connection.opened = true;
      this.#opened += 1;
      this.breaker.success(connection.target);
    }
    const { own, limits } = this.poolLimits;
    while (!this.#closing && this.#mayBegin(now)) {
      const delivery = this.queue.take(now, limits.bulkReserve);
      if (delivery === undefined || !this.#host.results.mayBegin(delivery, now)) continue;
      this.#limiter.messageStarted(now, own);
      delivery.stream?.started(now);
      delivery.path = undefined;
      this.#host.warmup?.take(this.source.ip ?? '', this.site.provider, now);
      return delivery;
    }
    if (!connection.idle) {
      connection.idle = true;
      this.#idle.push(connection);
    }
    if (this.queue.size === 0 && (this.source.wantsPlace(this) || this.#isWantedBeside())) this.closeIdle();
    return undefined;
  }

  #isWantedBeside(): boolean {
    for (const path of this.site.paths.values()) {
      if (path.starved && path.queue.size > 0 && path.source === this.source) return true;
    }
    return false;
  }

  #done(connection: Connection, delivery: Delivery, result: TransactionResult): void {
    const recipient = result.results[0]!;
    const { via } = connection;
    this.#limiter.running -= 1;
    delivery.stream?.ended(result.endedAt);
    // What others are shaped by is decided by the peer's own words.
    const said = cutResult(recipient, delivery.item);
    learn(this.#limiter, this.poolLimits.own.limits, said, result.startedAt, result.endedAt);
    if (this.#full) {
      this.#full = false;
      this.pump();
    }
    via.tls ??= connection.session?.tls;
    via.ip ??= connection.session?.localAddress;
    // A connection that broke before anything of this delivery was answered says nothing about it.
    if (recipient.kind === 'unsent' && recipient.code === 'connection_lost' && result.replies.length === 0) {
      if (this.#closing) {
        this.#host.results.release(delivery, this.#closing.code, this.#closing.text, 0);
        return;
      }
      delivery.interruptions += 1;
      if (delivery.interruptions <= MAX_INTERRUPTIONS) {
        this.queue.pushFront(delivery);
        delivery.path = this;
        return;
      }
    }
    if (recipient.kind === 'unsent' && recipient.code === 'no_source_ip') {
      this.#host.results.release(delivery, recipient.code, recipient.text ?? '', 0); // Taken from us half-way.
      return;
    }
    const { startedAt, endedAt, replies } = result;
    const from = { site: this.site, source: this.source, mx: via.mx.host };
    const notBefore = this.#host.observer.onReply(delivery, from, said, endedAt);
    const tried = { result: recipient, at: startedAt, duration: endedAt - startedAt, replies, via };
    const answer = this.#host.policy?.reply(delivery, from, said, endedAt);
    this.#host.results.attempted(delivery, tried, notBefore, answer);
  }

  #ended(connection: Connection, end: SessionEnd): void {
    this.#connections.delete(connection);
    if (connection.idle) this.#idle = this.#idle.filter((other) => other !== connection);
    if (connection.opened) this.#opened -= 1;
    this.#limiter.connections -= 1;
    connection.apart?.ended();
    if (!connection.opened && end.code !== 'quit') {
      const open = { connections: this.#connections.size, opened: this.#opened };
      const { lookAgain, result } = this.breaker.failure(connection, end, open);
      if (lookAgain !== undefined) this.#pumpIn(lookAgain);
      if (result !== undefined) this.#failAll(result, connection.via);
    }
    this.source.disconnected(this, this.site.provider, this.#connections.size === 0);
    // Whoever has none is first to take the place that it leaves: one path must not keep all for ever.
    const beside = this.#beside();
    for (const path of beside) if (path.starved) path.pump();
    for (const path of beside) path.pump();
  }

  /** Every delivery that waited for this connection has been tried with it. */
  #failAll(result: AttemptResult, via: Via | undefined): void {
    const now = this.#host.clock.now();
    for (let n = this.queue.size; n > 0; n -= 1) {
      const delivery = this.queue.takeLeastUrgent()!;
      if (!this.#host.results.mayBegin(delivery, now)) continue;
      this.#host.results.attempted(delivery, { result, at: now, duration: 0, replies: [], via });
    }
  }

  #putBack(): void {
    const { code, text } = this.breaker.reason!;
    const until = this.breaker.retryAt + this.#host.random() * 1000;
    for (let d = this.queue.takeLeastUrgent(); d !== undefined; d = this.queue.takeLeastUrgent())
      this.#host.results.release(d, code, text, until);
  }

  #pumpIn(ms: number): void {
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

  /** Closes a connection that has nothing to do, if there is one. */
  closeIdle(): boolean {
    const connection =
      this.queue.size === 0 ? this.#idle.find((each) => each.session?.busy === 0) : undefined;
    connection?.session?.quit();
    return connection !== undefined;
  }

  /** Begins nothing more: what is queued is put back, what is under way ends, connections end in good order. */
  close(reason: Reason): void {
    this.#closing = reason;
    this.#cancelTimer?.();
    for (let d = this.queue.takeLeastUrgent(); d !== undefined; d = this.queue.takeLeastUrgent()) {
      this.#host.results.release(d, reason.code, reason.text, 0);
    }
    for (const { session } of this.#connections) session?.quit();
  }

  /** Ends the connections of a closed path now. */
  destroy(text: string): void {
    for (const { session } of this.#connections) session?.destroy(text);
  }
}
