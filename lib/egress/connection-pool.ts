/**
 * The connections from one source IP to one site, with TLS required or not, and apart for mail that has connection
 * limits of its own; and the ready queue of the mail that waits for them.
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
import type { AttemptResult } from '../outcome/classify.ts';
import type { Reply } from '../outcome/reply.ts';
import { cutEnvelope, cutResult } from '../outcome/reply-text.ts';
import type { ReplyAnswer } from '../policy/policy.ts';
import { type Constraint, firstWaiting, LOOK_AGAIN, longestWait } from '../shaping/constraint.ts';
import type { MailCounter } from '../shaping/counter.ts';
import { refusesConnection } from '../shaping/feedback/connection-refusal.ts';
import { learn } from '../shaping/feedback/learn.ts';
import { connectionsWanted } from '../shaping/limits/limit.ts';
import type { ConnectionClass } from '../shaping/limits/terms.ts';
import type { PathLimiter } from '../shaping/path-limiter.ts';
import { providerOf } from '../shaping/providers.ts';
import { ReadyQueue } from '../shaping/ready-queue.ts';
import { scarceDeadlines } from '../smtp/deadlines.ts';
import { replyText } from '../smtp/reply.ts';
import type {
  RecipientResult,
  SessionEnd,
  SessionOptions,
  SmtpDeadlines,
  SmtpSession,
  TransactionResult,
} from '../smtp/types.ts';
import type { Clock, Random } from '../time.ts';
import type { WarmupBook } from '../warmup/book.ts';
import { type CompletedAttempt, count, type Via } from './attempt.ts';
import { CircuitBreaker } from './circuit-breaker.ts';
import type { Connection, ReplyOrigin } from './connection.ts';
import type { Claim, Claimant, Share } from './connection-limits.ts';
import type { Delivery, Reason, Slot, WaitStatus } from './delivery.ts';
import type { Destinations, Target } from './destination.ts';
import type { PoolLimits } from './pool-limits.ts';
import type { Site } from './site.ts';
import type { SourceAddress } from './source-address.ts';
import type { TlsFallback } from './tls-fallback.ts';

/** After so many broken connections a delivery is deferred: it may be what breaks them. */
const MAX_INTERRUPTIONS = 2;
/** After so many connections that had carried mail and refused it a delivery is deferred. */
const MAX_REFUSALS = 5;
/** A warm-up budget is being written: more of it may go after this time, ms. */
const LEASING = 1_000;
/** Longest timer, ms: what is due later is looked at again by then. */
const LONGEST_TIMER = 3_600_000;

/** What a pool needs around it. */
export interface PoolHost {
  readonly clock: Clock;
  readonly random: Random;
  readonly destinations: Pick<Destinations, 'targets'>;
  readonly tlsFallback: TlsFallback;
  readonly deadlines: SmtpDeadlines;
  /** Records results. */
  readonly results: {
    /** Whether a delivery may still be begun; if not, it has been settled or dropped. */
    mayBegin(delivery: Delivery, now: number): boolean;
    attempted(
      delivery: Delivery,
      attempt: CompletedAttempt,
      notBefore?: number,
      answer?: ReplyAnswer | Promise<ReplyAnswer | undefined>,
    ): void;
    release(delivery: Delivery, code: string, text: string, until: number, lasts?: number): void;
  };
  /** Draws conclusions from replies. */
  readonly observer: {
    /** @returns when the reply asks to try again, ms since the epoch; 0 when it names no time. */
    onReply(delivery: Delivery, from: ReplyOrigin, result: AttemptResult, now: number): number;
    onSessionRefused(pool: string, from: ReplyOrigin, phase: string, reply: Reply, now: number): void;
  };
  /** Decides on replies; undefined: no policy runs. */
  readonly policy:
    | {
        reply(
          delivery: Delivery,
          from: ReplyOrigin,
          result: AttemptResult,
          now: number,
        ): ReplyAnswer | undefined | Promise<ReplyAnswer | undefined>;
      }
    | undefined;
  /** Budgets of source IPs that warm up; undefined: none does. */
  readonly warmup: Pick<WarmupBook, 'wait' | 'take' | 'explain'> | undefined;
  open(options: SessionOptions): SmtpSession;
  /** Routes all that waits at a pool anew: the budget of its IP is spent. */
  requeue(pool: ConnectionPool): void;
}

export class ConnectionPool implements Slot, Claimant {
  readonly site: Site;
  readonly source: SourceAddress;
  readonly requireTls: boolean;
  readonly limits: PoolLimits;
  readonly queue = new ReadyQueue<Delivery>(() => this.#pumpIn(0));
  readonly breaker: CircuitBreaker;
  readonly limiter: PathLimiter;
  readonly #host: PoolHost;
  readonly #connections = new Set<Connection>();
  #opened = 0;
  #idle: Connection[] = [];
  #cancelTimer: (() => void) | undefined;
  #timerAt = Number.POSITIVE_INFINITY;
  /** Address that was chosen last: connections to unproven sites are counted by its network. */
  #address: string | undefined;
  /** Why the pool begins nothing more. */
  #closing: Reason | undefined;
  /** All messages that may be under way are: any that ends lets another begin. */
  #full = false;

  constructor(site: Site, source: SourceAddress, requireTls: boolean, limits: PoolLimits, host: PoolHost) {
    this.site = site;
    this.source = source;
    this.requireTls = requireTls;
    this.limits = limits;
    this.#host = host;
    this.limiter = source.limiter(site.name);
    this.breaker = new CircuitBreaker({
      ...host,
      site,
      family: source.family,
      limiter: this.limiter,
      requireTls,
      limits,
      onRefused: ({ host: mx }, { phase, reply }, now) =>
        host.observer.onSessionRefused(limits.path.pool, this.#origin(mx), phase, cutEnvelope(reply!), now),
    });
    source.connections.add(this);
  }

  get connections(): number {
    return this.#connections.size;
  }

  /** Connections that could take a message at once. */
  get idle(): number {
    return this.#idle.length;
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
    this.site.load.ended(this.#host.clock.now());
    count(this.site.counts, attempt);
  }

  /** What keeps any mail here from going; limits of some mail alone are its stream's. */
  *constraints(now: number, tenant = firstOf(this.queue.tenants())): Iterable<Constraint> {
    const { source, site, limiter } = this;
    const { own, apart } = this.limits.current;
    const open = this.connections;
    const idle = this.#idle.length;
    yield* this.breaker.constraints(now);
    yield* source.constraints(now);
    yield* warmupConstraints(this.#host.warmup, source.ip, site.provider, now);
    yield* limiter.messageConstraints(now, own);
    yield* limiter.connectionConstraints(now, own, { idle, open });
    if (apart !== undefined) yield classConstraint(apart, open, idle);
    yield* source.connections.constraints({ ...this.claimed, tenant: tenant ?? '' }, own, open, now);
  }

  /** As what connections of this pool are counted at their source. */
  get claimed(): { provider: string; proven: boolean; address: string | undefined } {
    return { provider: this.site.provider, proven: this.limiter.answered, address: this.#address };
  }

  /** Why nothing is sent now; undefined when a delivery that comes may be sent at once. */
  waitReason(now: number): WaitStatus | undefined {
    const first = firstWaiting(this.constraints(now));
    return first && { code: first.code, text: first.text, until: now + longestWait(this.constraints(now)) };
  }

  waitStatus({ stream, queued, tenant }: Delivery, now: number): WaitStatus | undefined {
    if (!queued) return undefined;
    const all = [...(stream?.constraints(now) ?? []), ...this.constraints(now, tenant)];
    const first = firstWaiting(all);
    return first && { code: first.code, text: first.text, until: now + longestWait(all) };
  }

  /** Whether deliveries are put back rather than queued here. */
  backsOff(now: number): boolean {
    return this.#opened === 0 && this.breaker.state(now) === 'open';
  }

  // — connections —

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

  /** Whether a message may begin now; if not, the pool is pumped when one may. */
  #mayBegin(now: number): boolean {
    // The next owner of the IP must not meet us on it, even while the storage cannot say who that is.
    if (this.queue.size === 0 || !this.source.usable(now)) return false;
    const { warmup } = this.#host;
    const budget = warmup?.wait(this.source.ip ?? '', this.site.provider, now) ?? 0;
    if (budget > 0) {
      if (budget <= LEASING) this.#pumpIn(budget);
      else this.#host.requeue(this);
      return false;
    }
    const wait = this.limiter.messageWait(now, this.limits.current.own);
    const until = this.queue.ready === 0 ? Math.max(wait, this.queue.nextAt - now) : wait;
    if (until <= 0) return true;
    if (until === Number.POSITIVE_INFINITY) this.#full = true;
    else this.#pumpIn(until);
    return false;
  }

  /** Opens connections, as many as the backlog is worth and the limits allow. */
  #grow(now: number, impatient: boolean): void {
    const { source, breaker, limiter } = this;
    source.connections.unstarve(this);
    const { own, limits, apart } = this.limits.current;
    const most = limiter.concurrency.window(own.limits.connections);
    const limit = Math.min(limits.connections, breaker.state(now) === 'closed' ? most : this.#opened + 1);
    const busy = this.#opened - this.#idle.length;
    let wanted = connectionsWanted(limit, this.queue.ready + busy);
    if (impatient && busy === this.#connections.size) wanted = Math.max(wanted, Math.min(limit, busy + 1));
    // Connections with limits of their own are counted for these too, in all pools.
    const counter = apart && limiter.counter(`connections of ${apart.name}`);
    while (this.#connections.size < wanted) {
      if (limiter.connections >= most || (counter?.running ?? 0) >= limits.connections) {
        if (this.#connections.size === 0) source.connections.starve(this);
        return;
      }
      const wait = Math.max(
        limiter.connectWait(now, own),
        counter?.pacer.wait(now, apart!.connectionPace) ?? 0,
      );
      if (wait > 0) {
        this.#pumpIn(wait);
        return;
      }
      const target = this.#pickTarget(now);
      if (target === undefined) return;
      this.#address = target.address;
      const claim = source.connections.connect(this, this.queue.tenants(), this.claimed, own, now);
      if (claim === undefined) return;
      limiter.connected(now, own);
      counter?.pacer.take(now, apart!.connectionPace);
      this.#open(target, now, claim, counter);
    }
  }

  /** The address to connect to; undefined when there is none now, and the mail that waits has been seen to. */
  #pickTarget(now: number): Target | undefined {
    const { site, breaker } = this;
    const targets = breaker.targets(now);
    if (targets === undefined) {
      void site.lookup(this.#host.destinations).then(() => this.pump());
      return undefined;
    }
    if (targets.kind === 'fault') {
      const { code, text } = targets;
      this.#failAll({ kind: 'unsent', phase: 'connect', code, text }, undefined);
      return undefined;
    }
    const target = breaker.pick(targets, now);
    if (target !== undefined) return target;
    breaker.open('connect_failed', `No address of ${site.name} can be reached from here.`, now);
    if (this.#opened === 0) this.#putBack();
    else this.#pumpIn(breaker.retryAt - now);
    return undefined;
  }

  #open(target: Target, now: number, claim: Claim, counter: MailCounter | undefined): void {
    const { source, site } = this;
    const host = this.#host;
    const { limits } = this.limits.current;
    const connection: Connection = {
      session: undefined,
      target,
      opened: false,
      idle: false,
      taken: 0,
      carried: 0,
      exhausted: false,
      counter,
      claim,
      from: this.#origin(target.host),
      via: {
        ip: source.ip,
        mx: { host: target.host, address: target.address, port: target.port },
        provider: site.provider === providerOf([target.host]) ? undefined : site.provider,
        tls: undefined,
      },
    };
    this.#connections.add(connection);
    this.limiter.connections += 1;
    if (counter !== undefined) counter.running += 1;
    const deadlines = { ...host.deadlines, ...limits.deadlines };
    connection.session = host.open({
      address: target.address,
      port: target.port,
      host: target.host,
      localAddress: source.local,
      mayWrite: () => source.mayGoOn(host.clock.now()),
      ehloName: source.ehloName,
      tls: this.breaker.tls(target, now),
      deadlines: claim.scarce ? scarceDeadlines(deadlines) : deadlines,
      maxTransactions: Math.min(
        limits.messagesPerConnection,
        limits.recipientsPerConnection,
        this.limiter.messagesPerConnection(now),
      ),
      idle: limits.idle,
      clock: host.clock,
      next: (now) => this.#next(connection, now),
      done: (delivery, result) => this.#done(connection, delivery as Delivery, result),
      ended: (end) => this.#ended(connection, end),
    });
  }

  // — messages —

  /** The next delivery for a connection. */
  #next(connection: Connection, now: number): Delivery | undefined {
    if (!connection.opened) {
      connection.opened = true;
      this.#opened += 1;
      this.breaker.success(connection.target, connection.session?.tls !== undefined);
    }
    if (connection.exhausted || connection.taken >= this.limiter.messagesPerConnection(now)) {
      connection.session?.quit();
      return undefined;
    }
    while (!this.#closing && this.#mayBegin(now)) {
      const { own, limits } = this.limits.current;
      const delivery = this.queue.take(now, limits.bulkReserve);
      if (delivery === undefined || !this.#host.results.mayBegin(delivery, now)) continue;
      this.limiter.messageStarted(now, own);
      delivery.stream?.started(now);
      delivery.queued = false;
      connection.taken += 1;
      this.#host.warmup?.take(this.source.ip ?? '', this.site.provider, now);
      return delivery;
    }
    if (!connection.idle) {
      connection.idle = true;
      this.#idle.push(connection);
    }
    if (this.queue.size === 0 && this.source.connections.isWanted(this, connection.claim)) this.closeIdle();
    return undefined;
  }

  /** A transaction has ended. */
  #done(connection: Connection, delivery: Delivery, result: TransactionResult): void {
    const { results, observer, policy } = this.#host;
    const recipient = result.results[0]!;
    const { startedAt, endedAt, replies } = result;
    const { via, from } = connection;
    this.limiter.running -= 1;
    delivery.stream?.ended(endedAt);
    // What others are shaped by is decided by the peer's own words.
    const said = cutResult(recipient, delivery.item);
    if (recipient.kind === 'accepted') connection.carried += 1;
    if (recipient.code === 'peer_timeout') this.limiter.answered = false;
    else if (recipient.reply !== undefined && connection.claim.unproven.length > 0)
      this.#answered(connection);
    if (!this.#closing && this.#refusesConnection(connection, delivery, said, endedAt)) {
      this.#toFront(delivery);
      return;
    }
    learn(this.limiter, this.limits.current.own.limits, said, startedAt, endedAt);
    if (this.#full) {
      this.#full = false;
      this.pump();
    }
    via.tls ??= connection.session?.tls;
    via.ip ??= connection.session?.localAddress;
    // A connection that broke before any reply to this delivery says nothing about it; nor does one that only showed
    // how this peer must be spoken to.
    const lost = recipient.kind === 'unsent' && recipient.code === 'connection_lost';
    const demandsTls = this.#demandsTls(connection, recipient);
    if ((lost && (result.again || replies.length === 0)) || demandsTls) {
      if (this.#closing) {
        results.release(delivery, this.#closing.code, this.#closing.text, 0);
        return;
      }
      if (!connection.exhausted) delivery.interruptions += 1;
      if (delivery.interruptions <= MAX_INTERRUPTIONS) {
        this.#toFront(delivery);
        // The next connection begins with TLS.
        if (demandsTls) connection.session?.quit();
        return;
      }
    }
    if (recipient.kind === 'unsent' && recipient.code === 'no_source_ip') {
      // The lease of the IP was lost half-way.
      results.release(delivery, recipient.code, recipient.text ?? '', 0);
      return;
    }
    const notBefore = observer.onReply(delivery, from, said, endedAt);
    const attempt = { result: recipient, at: startedAt, duration: endedAt - startedAt, replies, via };
    results.attempted(delivery, attempt, notBefore, policy?.reply(delivery, from, said, endedAt));
  }

  /** The first answer to a message over a connection to a site that had not answered any. */
  #answered({ claim }: Connection): void {
    this.limiter.answered = true;
    this.source.connections.answered(claim);
  }

  /** By 530 in clear the host demands TLS (RFC 3207 §4): the next connection begins with it, whatever failed before. */
  #demandsTls({ via, target }: Connection, { reply }: RecipientResult): boolean {
    if (reply?.code !== 530 || via.tls !== undefined || !/tls/i.test(replyText(reply))) return false;
    if (this.limits.current.limits.tls === 'off') return false;
    this.#host.tlsFallback.spoke(target.host, this.#host.clock.now());
    return true;
  }

  /** Puts a delivery that was begun and not tried in front again. */
  #toFront(delivery: Delivery): void {
    this.queue.pushFront(delivery);
    delivery.queued = true;
    if (this.#full) {
      this.#full = false;
      this.pump();
    }
  }

  /** Whether the peer refused the connection and not the delivery: the connection is closed, and another opened. */
  #refusesConnection(
    connection: Connection,
    delivery: Delivery,
    result: AttemptResult,
    now: number,
  ): boolean {
    const refusal = refusesConnection(result, connection.carried);
    if (refusal === undefined) return false;
    if (refusal === 'limit') this.limiter.limitMessagesPerConnection(connection.carried, now);
    connection.exhausted = true;
    connection.session?.quit();
    delivery.interruptions += 1;
    return delivery.interruptions <= (refusal === 'limit' ? MAX_REFUSALS : MAX_INTERRUPTIONS);
  }

  #origin(mx: string): ReplyOrigin {
    return { site: this.site.name, provider: this.site.provider, ip: this.source.ip, mx };
  }

  /** A connection has closed. */
  #ended(connection: Connection, end: SessionEnd): void {
    const { target, via, opened } = connection;
    this.#connections.delete(connection);
    if (connection.idle) this.#idle = this.#idle.filter((other) => other !== connection);
    if (opened) this.#opened -= 1;
    this.limiter.connections -= 1;
    connection.counter?.ended();
    if (!opened && end.code !== 'quit') {
      if (end.code === 'peer_timeout') this.limiter.answered = false;
      const others = { connections: this.#connections.size, opened: this.#opened };
      const text = `${target.host} [${target.address}]: ${end.text}`;
      const { lookAgain, result } = this.breaker.failure(target, end, text, others);
      if (lookAgain !== undefined) this.#pumpIn(lookAgain);
      if (result !== undefined) this.#failAll(result, via);
    }
    this.source.connections.disconnected(this, connection.claim);
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

  /** Puts back all that waits, with the reason for which the breaker is open. */
  #putBack(): void {
    const { clock, random } = this.#host;
    const { code, text } = this.breaker.reason(clock.now())!;
    this.#releaseAll({ code, text }, this.breaker.retryAt + random() * 1000);
  }

  #releaseAll({ code, text }: Reason, until: number): void {
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

  /** Closes a connection that has nothing to do, one that counts in a share. @returns whether there was one. */
  closeIdle(share?: Share): boolean {
    if (this.queue.size > 0) return false;
    const connection = this.#idle.find(
      ({ session, claim }) =>
        session?.busy === 0 &&
        (share === undefined || claim.shares.includes(share) || claim.unproven.includes(share)),
    );
    connection?.session?.quit();
    return connection !== undefined;
  }

  /** Puts back what is queued and begins nothing more: what is under way ends, then its connections close. */
  close(reason: Reason): void {
    this.#closing = reason;
    this.#cancelTimer?.();
    this.#releaseAll(reason, 0);
    for (const { session } of this.#connections) session?.quit();
    this.source.connections.remove(this);
  }

  /** Ends the connections of a closed pool now. */
  destroy(text: string): void {
    for (const { session } of this.#connections) session?.destroy(text);
  }
}

function firstOf(tenants: Iterable<string>): string | undefined {
  for (const tenant of tenants) return tenant;
  return undefined;
}

/** What keeps mail of an IP that warms up. */
export function* warmupConstraints(
  warmup: Pick<WarmupBook, 'wait' | 'explain'> | undefined,
  ip: string | undefined,
  provider: string,
  now: number,
): Iterable<Constraint> {
  const wait = warmup?.wait(ip ?? '', provider, now) ?? 0;
  if (wait === 0) return;
  const text = warmup!.explain(ip ?? '', provider, now);
  yield {
    limit: 'warm-up',
    word: 'warm-up',
    value: text,
    origin: 'warm-up plan',
    wait,
    code: 'warmup_limit',
    text,
  };
}

/** The connections of mail with connection limits of its own. */
function classConstraint({ name, limits, origins }: ConnectionClass, open: number, idle: number): Constraint {
  const most = limits.connections;
  return {
    limit: `connections of ${name}`,
    word: 'connections',
    value: `${most}`,
    origin: origins.connections ?? 'built-in',
    used: `${open} of ${most} open`,
    wait: idle === 0 && open >= most ? LOOK_AGAIN : 0,
    code: 'site_limit',
    text: `${name} has all ${most} connections in use (connections, ${origins.connections}).`,
  };
}
