/**
 * The queue manager: sites, the connection pools that lead to them, and the deliveries that wait there. It decides
 * which delivery may wait, which is put back for want of room or by a limit of its own, and routes anew what waits
 * when directives, limits or sources change.
 */
import type { Ledger } from '../engine/ports.ts';
import type { AttemptResult } from '../outcome/classify.ts';
import { firstWaiting } from '../shaping/constraint.ts';
import type { LimitBook } from '../shaping/limits/book.ts';
import type { MailBounds } from '../shaping/limits/terms.ts';
import { overflowDelay, overShare } from '../shaping/overflow.ts';
import type { PathLimiter } from '../shaping/path-limiter.ts';
import { RecheckPacer } from '../shaping/recheck.ts';
import type { ForgottenLessons } from '../shaping/site-memory.ts';
import type { StreamLimiter } from '../shaping/stream-limiter.ts';
import { ConnectionPool } from './connection-pool.ts';
import { type Counters, countsOf } from './counters.ts';
import type { Delivery, Reason } from './delivery.ts';
import type { DnsFault, SiteAddress } from './destination.ts';
import type { InFlight } from './in-flight.ts';
import type { PoolHost } from './pool-host.ts';
import { PoolLimits } from './pool-limits.ts';
import type { SharedLimits } from './shared-limits.ts';
import { Site } from './site.ts';
import { LEAST_RECALLED, RECALL_PAUSE, SiteRecall } from './site-recall.ts';
import type { SourceAddress } from './source-address.ts';
import type { SourceLeases } from './source-leases.ts';

export interface QueueManagerOptions extends Omit<PoolHost, 'requeue' | 'reached'> {
  ledger: Pick<Ledger, 'recall'>;
  inFlight: InFlight;
  sources: SourceLeases;
  limits: LimitBook;
  shared: SharedLimits;
  counters: Counters;
  /** Takes deliveries that must be routed anew. */
  redispatch: (deliveries: Delivery[]) => void;
}

/** A site without deliveries is forgotten after this time, ms. */
const SITE_IDLE = 600_000;
/** Mail with limits of its own may hold here what it can send within this time, ms. */
const STREAM_AHEAD = 5_000;
const LEAST_WAITING = 4;
const LONGEST_BEHIND = 300_000;
/** Mail that waits for longer is rechecked before its time: the limit may be raised meanwhile, ms. */
const PATIENCE = 60_000;

export class QueueManager {
  readonly sites = new Map<string, Site>();
  readonly #options: QueueManagerOptions;
  readonly #host: PoolHost<ConnectionPool>;
  readonly #recall: SiteRecall;
  readonly #rechecks = new RecheckPacer(PATIENCE);
  /** By site name, then by source, TLS requirement and connection class. */
  readonly #pools = new Map<string, Map<string, ConnectionPool>>();
  /** Pools that were given deliveries in this batch. */
  readonly #fed = new Set<ConnectionPool>();
  /** Pools whose deliveries are about to be routed anew. */
  readonly #requeued = new Set<ConnectionPool>();

  constructor(options: QueueManagerOptions) {
    this.#options = options;
    this.#host = {
      ...options,
      requeue: (pool) => this.requeue(pool),
      reached: (site) => this.#recall.reached(site),
    };
    this.#recall = new SiteRecall({ ...options, room: (site, now) => this.#recallRoom(site, now) });
  }

  /** The site of an address. */
  siteOf(address: SiteAddress, now: number): Site {
    let site = this.sites.get(address.site);
    if (site === undefined) {
      site = new Site(address, countsOf(this.#options.counters, address.provider), now);
      this.sites.set(site.name, site);
      this.#pools.set(site.name, new Map());
    } else {
      site.address = address;
    }
    return site;
  }

  /** The connection pools to a site. */
  poolsOf(site: string): Iterable<ConnectionPool> {
    return this.#pools.get(site)?.values() ?? [];
  }

  /** All connection pools. */
  *pools(): Iterable<ConnectionPool> {
    for (const pools of this.#pools.values()) yield* pools.values();
  }

  // — queueing —

  /**
   * Queues a delivery for a connection from a source to a site.
   * @param pool of IPs.
   * @param bounds over the limits that the rules set.
   * @returns false when there was no room for it, and it has been put back.
   */
  enqueue(
    delivery: Delivery,
    site: Site,
    source: SourceAddress,
    pool: string,
    now: number,
    bounds?: MailBounds,
  ): boolean {
    const { limits, shared, results } = this.#options;
    const path = { provider: site.provider, site: site.name, routed: site.routed, ip: source.name, pool };
    const { connectionClass, mailLimits } = limits.at(path).of(delivery, bounds);
    const requireTls = delivery.item.requireTls || connectionClass.limits.tls === 'required';
    const key = `${source.ip}|${limits.poolKey(pool)}|${connectionClass.name}${requireTls ? '|tls' : ''}`;
    const pools = this.#pools.get(site.name)!;
    let connections = pools.get(key);
    if (connections === undefined) {
      const poolLimits = new PoolLimits(limits, path, delivery);
      connections = new ConnectionPool(site, source, requireTls, poolLimits, this.#host);
      pools.set(key, connections);
    }
    connections.limits.bound(connectionClass.bounds);
    delivery.follow(mailLimits);
    if (!results.mayBegin(delivery, now)) return true;
    delivery.stream = mailLimits && connections.limiter.stream(mailLimits, shared.partsOf);
    if (delivery.stream !== undefined && this.#waitsLong(delivery, delivery.stream, now)) return false;
    const { recalled, site: waited } = delivery.item;
    if (recalled !== undefined || waited === site.name) connections.breaker.cameBack(recalled, now);
    if (connections.backsOff(now)) {
      connections.keep(delivery, now);
      return true;
    }
    if (this.#overShare(site, now) && (delivery.bulk || !this.#makeRoom(site, now))) {
      this.#overflow(delivery, connections, now);
      return false;
    }
    if (!this.#loaded(site, connections)) site.load.begin(now);
    connections.push(delivery, now);
    this.#fed.add(connections);
    return true;
  }

  /** Pumps the pools that were given deliveries. */
  pumpFed(): void {
    for (const pool of this.#fed) pool.pump();
    this.#fed.clear();
  }

  /** Puts back a delivery whose own limits make it wait long: it would only hold the room of others. */
  #waitsLong(delivery: Delivery, stream: StreamLimiter, now: number): boolean {
    const soon = Math.max(LEAST_WAITING, stream.soon(STREAM_AHEAD));
    const wait = stream.wait(now);
    const finite = wait === Number.POSITIVE_INFINITY ? 0 : wait;
    if (stream.waiting < soon && finite < STREAM_AHEAD) return false;
    const { random, results } = this.#options;
    const text =
      firstWaiting(stream.constraints(now))?.text ?? `${stream.waiting} more of the same mail wait here.`;
    const behind = Math.min(LONGEST_BEHIND, (stream.waiting / soon) * STREAM_AHEAD);
    const due = now + Math.max(1000, finite, behind * (0.75 + 0.5 * random()));
    const until = finite <= PATIENCE ? due : Math.min(due, this.#rechecks.next(now));
    results.release(delivery, 'sender_limit', text, until, due);
    return true;
  }

  // — room —

  #overShare(site: Site, now: number): boolean {
    const { inFlight } = this.#options;
    return overShare(site.held, inFlight.limits.items - inFlight.items, () => this.#drainRate(site, now));
  }

  /** Whether mail that may go waits for the site. @param first is looked at first. */
  #loaded(site: Site, first: ConnectionPool): boolean {
    if (first.queue.ready > 0) return true;
    for (const { queue } of this.poolsOf(site.name)) if (queue.ready > 0) return true;
    return false;
  }

  /** What a site can be expected to take, deliveries a second; undefined when not yet known. */
  #drainRate(site: Site, now: number): number | undefined {
    const paced = new Set<PathLimiter>();
    let pace = 0;
    for (const { limiter, limits } of this.poolsOf(site.name)) {
      if (paced.has(limiter)) continue;
      paced.add(limiter);
      pace += limiter.messagesPerSecond(now, limits.current.own);
    }
    return site.load.rate(now, pace);
  }

  /** Bulk mail gives way to transactional mail. @returns false when none waits for the site. */
  #makeRoom(site: Site, now: number): boolean {
    for (const pool of this.poolsOf(site.name)) {
      const bulk = pool.queue.takeBulk();
      if (bulk === undefined) continue;
      pool.leave(bulk);
      this.#overflow(bulk, pool, now);
      return true;
    }
    return false;
  }

  /** How much that waits for a site may come back: what it takes in a while, without what is here; undefined: it is down. */
  #recallRoom(name: string, now: number): number | undefined {
    const site = this.sites.get(name);
    // The mail of a name that no hosts have any more goes elsewhere now.
    if (site === undefined) return LEAST_RECALLED;
    const pools = [...this.poolsOf(name)];
    if (pools.length > 0 && pools.every((pool) => pool.backsOff(now))) return undefined;
    const rate = this.#drainRate(site, now) ?? 0;
    return Math.max(LEAST_RECALLED, (rate * RECALL_PAUSE) / 1000) - site.held;
  }

  #overflow(delivery: Delivery, pool: ConnectionPool, now: number): void {
    const { site } = pool;
    const { results, random } = this.#options;
    const rate = this.#drainRate(site, now) ?? 0;
    const reason = pool.waitReason(now);
    const because = reason === undefined ? '' : ` ${reason.text}`;
    const text = `${site.name} takes ${rate.toFixed(1)} a second, and ${site.held} wait for it here.${because}`;
    const delay = overflowDelay(site.held, rate, site.load.time(now), random);
    results.release(delivery, 'site_limit', text, now + delay);
  }

  // — time, directives, sources —

  /** Once a second. */
  tick(): void {
    const { clock, shared, sources } = this.#options;
    const now = clock.now();
    shared.tick(now);
    this.#recall.tick(now);
    for (const site of this.sites.values()) {
      for (const pool of this.poolsOf(site.name)) {
        // A site that became slow while it held much gives back what waits longest for its turn.
        while (pool.queue.size > 0 && this.#overShare(site, now)) {
          const delivery = pool.queue.takeLeastUrgent()!;
          pool.leave(delivery);
          this.#overflow(delivery, pool, now);
        }
        pool.pump(true);
      }
      for (const source of sources.all) source.knownLimiter(site.name)?.sweep(now);
      if (site.held === 0 && now - site.usedAt > SITE_IDLE) this.#forget(site);
    }
  }

  /** Forgets what each source has learnt of a site, and how each pool has failed to reach it. */
  forgetLessons(site: string): ForgottenLessons['sources'] {
    const now = this.#options.clock.now();
    const pools = [...this.poolsOf(site)];
    const forgotten: ForgottenLessons['sources'] = [];
    for (const source of this.#options.sources.all) {
      const lessons = new Set(source.forgetLessons(site, now));
      for (const pool of pools) if (pool.source === source && pool.breaker.reset()) lessons.add('backOff');
      if (lessons.size > 0) forgotten.push({ ip: source.ip, lessons: [...lessons] });
    }
    for (const pool of pools) pool.pump();
    if (forgotten.some(({ lessons }) => lessons.includes('backOff'))) this.#recall.reached(site);
    return forgotten;
  }

  #forget(site: Site): void {
    const { clock, sources } = this.#options;
    const now = clock.now();
    for (const pool of this.poolsOf(site.name)) if (pool.connections > 0 || pool.backsOff(now)) return;
    // A limit by the day counts what was sent hours ago.
    if (sources.all.some((source) => source.knownLimiter(site.name)?.idle(now) === false)) return;
    for (const pool of this.poolsOf(site.name)) pool.source.connections.remove(pool);
    this.sites.delete(site.name);
    this.#pools.delete(site.name);
    for (const source of sources.all) source.forget(site.name);
  }

  /** Routes anew what waits at a pool, when the caller is done with the pool. */
  requeue(pool: ConnectionPool): void {
    if (this.#requeued.has(pool)) return;
    this.#requeued.add(pool);
    setImmediate(() => {
      this.#requeued.delete(pool);
      const deliveries = pool.queue.remove(() => true);
      for (const delivery of deliveries) pool.leave(delivery);
      this.#options.redispatch(deliveries);
    });
  }

  /** Routes anew all that waits: directives, limits or pools have changed. */
  requeueAll(): void {
    for (const pool of this.pools()) if (pool.queue.size > 0) this.requeue(pool);
  }

  /** A source may be used no more: its connections end, and what waited for it is put back. */
  closeSource(source: SourceAddress): void {
    for (const pools of this.#pools.values()) {
      for (const [key, pool] of pools) {
        if (pool.source !== source) continue;
        pools.delete(key);
        pool.close({ code: 'no_source_ip', text: source.trouble });
      }
    }
  }

  // — end —

  close(reason: Reason): void {
    for (const pool of this.pools()) pool.close(reason);
  }

  /** Ends the connections that are left. */
  destroy(text: string): void {
    for (const pool of this.pools()) pool.destroy(text);
  }

  /** Connections that are open or being opened. */
  get connections(): number {
    let count = 0;
    for (const { connections } of this.#options.sources.all) count += connections.open;
    return count;
  }

  // — without a connection —

  /** Ends or defers a delivery whose destination cannot be used, within the limits of as much of it as is known. */
  unusable(
    delivery: Delivery,
    { code, text }: DnsFault,
    { provider, name, routed }: Pick<Site, 'provider' | 'name' | 'routed'>,
    now: number,
  ): void {
    const { limits, results } = this.#options;
    const path = { provider, site: name, routed, ip: '', pool: delivery.pool };
    delivery.follow(limits.at(path).of(delivery).mailLimits);
    if (!results.mayBegin(delivery, now)) return;
    this.unconnected(delivery, { kind: 'unsent', phase: 'connect', code, text }, now);
  }

  /** Records a result that needed no connection. */
  unconnected(delivery: Delivery, result: AttemptResult, now: number): void {
    const attempt = { result, at: now, duration: 0, replies: [], via: undefined };
    this.#options.results.attempted(delivery, attempt);
  }
}
