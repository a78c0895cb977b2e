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
import type { AttemptResult } from '../../lib/outcome/classify.ts';
import { backoffDelay } from '../../lib/shaping/backoff.ts';
import type { Counter } from '../../lib/shaping/counter.ts';
import { bindingText } from '../../lib/shaping/explain.ts';
import { learn } from '../../lib/shaping/feedback/learn.ts';
import type { Gate } from '../../lib/shaping/gate.ts';
import { connectionsWanted } from '../../lib/shaping/limits/limit.ts';
import { ReadyQueue } from '../../lib/shaping/ready-queue.ts';
import type { SessionEnd, TransactionResult } from '../smtp/types.ts';
import type { Delivery } from './delivery.ts';
import type { Target, Targets } from './destination.ts';
import { type Connection, openingResult, type PathHost, type Reason, type Via } from './path-host.ts';
import type { PathTerms } from './path-terms.ts';
import type { Site } from './site.ts';
import type { Source } from './source.ts';
import { TargetChoice } from './target-choice.ts';

/** After so many broken connections a delivery is deferred: it may be what breaks them. */
const MAX_INTERRUPTIONS = 2;
/** Pause after a fault that does not yet mean that the site is dead, ms. */
const FAULT_PAUSE = 1_000;
/** A warm-up budget is being written: soon more of it may go, ms. */
const LEASING = 1_000;
/** What is due later is looked at again by then, ms. */
const LONGEST_TIMER = 3_600_000;

export class Path {
  readonly site: Site;
  readonly source: Source;
  readonly requireTls: boolean;
  readonly terms: PathTerms;
  readonly queue = new ReadyQueue<Delivery>(() => this.#pumpIn(0));
  /** Connection faults in a row since one last opened. */
  failures = 0;
  /** No new connection before then. */
  retryAt = 0;
  /** Why it backs off. */
  reason: Reason | undefined = undefined;
  readonly #host: PathHost;
  readonly #gate: Gate;
  readonly #connections = new Set<Connection>();
  #opened = 0;
  #idle: Connection[] = [];
  readonly #choice: TargetChoice;
  #cancelTimer: (() => void) | undefined;
  #timerAt = Number.POSITIVE_INFINITY;
  #closing: Reason | undefined;
  /** As many messages are under way as may be: whatever ends lets another begin. */
  #full = false;
  /** Mail waits, and the paths beside this one hold all connections that there may be. */
  #starved = false;

  constructor(site: Site, source: Source, requireTls: boolean, terms: PathTerms, host: PathHost) {
    this.site = site;
    this.source = source;
    this.requireTls = requireTls;
    this.terms = terms;
    this.#host = host;
    this.#gate = source.gate(site);
    this.#choice = new TargetChoice(source.family, host.random);
    const { down } = this.#gate;
    if (down?.tls !== requireTls) return;
    this.failures = down.failures;
    this.retryAt = down.until;
    this.reason = { code: down.code, text: down.text };
  }

  get connections(): number {
    return this.#connections.size;
  }

  /** Why no further message goes now, for a person; undefined when one may. */
  waitReason(now: number): Reason | undefined {
    if (this.reason !== undefined && this.retryAt > now) return this.reason;
    const text = bindingText(this.#gate, this.terms.own, now);
    return text === undefined ? undefined : { code: 'site_limit', text };
  }

  /** When the next message may go, about. */
  nextAt(now: number): number {
    const wait = this.#gate.messageWait(now, this.terms.own);
    return Math.max(this.retryAt, now + (wait === Number.POSITIVE_INFINITY ? 0 : wait));
  }

  /** Whether deliveries are better put back than queued here. */
  backsOff(now: number): boolean {
    return this.reason !== undefined && now < this.retryAt && this.#opened === 0;
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
    if (this.queue.size === 0 || this.#idle.length > 0 || now < this.retryAt) return;
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
      else this.#host.divert(this);
      return false;
    }
    const wait = this.#gate.messageWait(now, this.terms.own);
    const until = this.queue.ready === 0 ? Math.max(wait, this.queue.nextAt - now) : wait;
    if (until <= 0) return true;
    if (until === Number.POSITIVE_INFINITY) this.#full = true;
    else this.#pumpIn(until);
    return false;
  }

  #grow(now: number, impatient: boolean): void {
    this.#starved = false;
    const { own, limits } = this.terms;
    const most = this.#gate.concurrency.window(own.limits.connections);
    const limit = Math.min(limits.connections, this.failures > 0 ? this.#opened + 1 : most);
    const busy = this.#opened - this.#idle.length;
    let wanted = connectionsWanted(limit, this.queue.ready + busy);
    if (impatient && busy === this.#connections.size) wanted = Math.max(wanted, Math.min(limit, busy + 1));
    while (this.#connections.size < wanted) {
      const { apart } = this.terms;
      // Connections with limits of their own are counted for these too, whatever path they are of.
      const counter = apart && this.#gate.counter(`connections of ${apart.name}`);
      if (this.#gate.connections >= most || (counter?.running ?? 0) >= limits.connections) {
        this.#crowded();
        return;
      }
      const pacer = counter?.pacer;
      const wait = Math.max(this.#gate.connectWait(now, own), pacer?.wait(now, apart!.connectionPace) ?? 0);
      if (wait > 0) {
        this.#pumpIn(wait);
        return;
      }
      if (!this.source.mayConnect(this, this.site.provider, own.limits)) return;
      const targets = this.#targets(now);
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
      const target = this.#choice.pick(targets.targets, now, limits.addressFamilies);
      if (target === undefined) {
        this.#backOff('connect_failed', `No address of ${this.site.name} can be reached from here.`, now);
        if (this.#opened === 0) this.#putBack();
        return;
      }
      this.#gate.connected(now, own);
      pacer?.take(now, apart!.connectionPace);
      this.#open(target, now, counter);
    }
  }

  /** Without a connection of its own it waits for one of a path beside it: an idle one gives way at once. */
  #crowded(): void {
    if (this.#connections.size > 0) return;
    this.#starved = true;
    for (const path of this.#beside()) if (path !== this && path.closeIdle()) return;
  }

  /** The paths from this source to this site, with this one: they share its connections. */
  #beside(): Path[] {
    return [...this.site.paths.values()].filter(({ source }) => source === this.source);
  }

  /** The addresses of the site that no rule prohibits. */
  #targets(now: number): Targets | undefined {
    const targets = this.site.targets(now);
    return targets === undefined ? undefined : this.terms.permitted(targets);
  }

  #open(target: Target, now: number, apart: Counter | undefined): void {
    const { source, site } = this;
    const host = this.#host;
    const { limits } = this.terms;
    const required = this.requireTls || limits.tls === 'required';
    const inClear = !required && (limits.tls === 'off' || host.tlsMemory.isBroken(target.host, now));
    const connection: Connection = {
      session: undefined,
      target,
      opened: false,
      idle: false,
      apart,
      via: {
        ip: source.ip,
        mx: { host: target.host, address: target.address, port: target.port },
        tls: undefined,
      },
    };
    this.#connections.add(connection);
    this.#gate.connections += 1;
    if (apart !== undefined) apart.running += 1;
    source.connected(this, site.provider);
    connection.session = host.open({
      address: target.address,
      port: target.port,
      host: target.host,
      localAddress: source.local,
      mayWrite: () => source.mayGoOn(host.clock.now()),
      ehloName: source.ehloName,
      tls: required ? 'required' : inClear ? 'off' : 'opportunistic',
      deadlines: { ...host.deadlines, ...limits.deadlines },
      maxTransactions: Math.min(limits.messagesPerConnection, limits.recipientsPerConnection),
      idle: limits.idle,
      clock: host.clock,
      next: () => this.#next(connection),
      done: (delivery, result) => this.#done(connection, delivery as Delivery, result),
      ended: (end) => this.#ended(connection, end),
    });
  }

  #next(connection: Connection): Delivery | undefined {
    const now = this.#host.clock.now();
    if (!connection.opened) this.#wasOpened(connection);
    const { own, limits } = this.terms;
    while (!this.#closing && this.#mayBegin(now)) {
      const delivery = this.queue.take(now, limits.bulkReserve);
      if (delivery === undefined || !this.#host.results.mayBegin(delivery, now)) continue;
      this.#gate.messageStarted(now, own);
      delivery.flow?.started(now);
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
      if (path.#starved && path.queue.size > 0 && path.source === this.source) return true;
    }
    return false;
  }

  #wasOpened(connection: Connection): void {
    connection.opened = true;
    this.#opened += 1;
    if (this.reason !== undefined) this.#gate.concurrency.revive();
    this.#choice.worked(connection.target);
    if (this.#gate.down?.tls === this.requireTls) this.#gate.down = undefined;
    this.failures = 0;
    this.retryAt = 0;
    this.reason = undefined;
  }

  #done(connection: Connection, delivery: Delivery, result: TransactionResult): void {
    const recipient = result.results[0]!;
    const { via } = connection;
    this.#gate.running -= 1;
    delivery.flow?.ended(result.endedAt);
    learn(this.#gate, this.terms.own.limits, recipient, result.startedAt, result.endedAt);
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
        return;
      }
    }
    if (recipient.kind === 'unsent' && recipient.code === 'no_source_ip') {
      this.#host.results.release(delivery, recipient.code, recipient.text ?? '', 0); // Taken from us half-way.
      return;
    }
    const { startedAt, endedAt, replies } = result;
    const from = { site: this.site, source: this.source, mx: via.mx.host };
    const notBefore = this.#host.listener.heard(delivery, from, recipient, endedAt);
    const tried = { result: recipient, at: startedAt, duration: endedAt - startedAt, replies, via };
    const answer = this.#host.policy?.reply(delivery, from, recipient, endedAt);
    this.#host.results.attempted(delivery, tried, notBefore, answer);
  }

  #ended(connection: Connection, end: SessionEnd): void {
    this.#connections.delete(connection);
    if (connection.idle) this.#idle = this.#idle.filter((other) => other !== connection);
    if (connection.opened) this.#opened -= 1;
    this.#gate.connections -= 1;
    connection.apart?.ended();
    if (!connection.opened && end.code !== 'quit') this.#openingFailed(connection, end);
    this.source.disconnected(this, this.site.provider, this.#connections.size === 0);
    // Whoever has none is first to take the place that it leaves: one path must not keep all for ever.
    const beside = this.#beside();
    for (const path of beside) if (path.#starved) path.pump();
    for (const path of beside) path.pump();
  }

  #openingFailed(connection: Connection, end: SessionEnd): void {
    const { clock, random, tlsMemory } = this.#host;
    const { target } = connection;
    const now = clock.now();
    const inTls = end.phase === 'tls' || end.phase === 'starttls' || end.code === 'tls_failed';
    if (inTls && !this.requireTls && !tlsMemory.isBroken(target.host, now)) {
      tlsMemory.remember(target.host, now);
      return;
    }
    const text = `${target.host} [${target.address}]: ${end.text}`;
    if (end.code === 'no_source_ip') {
      // Nothing is wrong with the destination, and nothing was tried.
      this.#backOff(end.code, text, now);
      return;
    }
    if (end.reply !== undefined && end.reply.code >= 400) {
      const from = { site: this.site, source: this.source, mx: target.host };
      this.#host.listener.refused(this.terms.place.pool, from, end.phase, end.reply, now);
    }
    const { own, limits } = this.terms;
    this.#gate.taughtAt = now;
    this.#gate.concurrency.fault(this.#connections.size + 1, own.limits.connections);
    this.#choice.failed(target, now + backoffDelay(this.failures + 1, random));
    const targets = this.#targets(now);
    const another =
      targets?.kind === 'targets' && this.#choice.pick(targets.targets, now, limits.addressFamilies);
    if (another) return;
    if (this.#opened === 0 && !this.#gate.concurrency.dead(limits.deadAfter)) {
      this.#choice.forgive();
      this.retryAt = now + FAULT_PAUSE;
      this.#pumpIn(FAULT_PAUSE);
      return;
    }
    const result = openingResult(end, text);
    this.#backOff(result.code!, text, now);
    // While others are open the site works, and it is only more connections that it does not want.
    if (this.#opened === 0) this.#failAll(result, connection.via);
  }

  #backOff(code: string, text: string, now: number): void {
    this.failures += 1;
    this.retryAt = now + backoffDelay(this.failures, this.#host.random);
    this.reason = { code, text };
    if (code !== 'no_source_ip') {
      this.#gate.down = { tls: this.requireTls, failures: this.failures, until: this.retryAt, code, text };
    }
    // All of them are tried again together; which one works may have changed by then.
    this.#choice.forgive();
    if (this.#opened > 0) this.#pumpIn(this.retryAt - now);
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
    const { code, text } = this.reason!;
    const until = this.retryAt + this.#host.random() * 1000;
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
