/**
 * Sites, the paths that lead to them, and the deliveries that wait at these: who may join, who is put back for
 * want of room or by a limit of its own, and what changes with time and not with mail.
 */
import type { AttemptResult } from '../outcome/classify.ts';
import type { LimitBook } from '../shaping/limits/book.ts';
import type { MailBounds } from '../shaping/limits/terms.ts';
import { overflowDelay, overShare } from '../shaping/overflow.ts';
import { RecheckPacer } from '../shaping/recheck.ts';
import type { StreamLimiter } from '../shaping/stream-limiter.ts';
import type { SessionOptions, SmtpDeadlines, SmtpSession } from '../smtp/types.ts';
import type { Clock, Random } from '../time.ts';
import type { WarmupBook } from '../warmup/book.ts';
import { ConnectionPool } from './connection-pool.ts';
import { type Counters, countsOf } from './counters.ts';
import type { Delivery } from './delivery.ts';
import type { Destinations, Fault, SiteAddress } from './destination.ts';
import type { InFlight } from './in-flight.ts';
import type { PathHost, Reason } from './path-host.ts';
import type { EgressPolicy } from './policy.ts';
import { PoolLimits } from './pool-limits.ts';
import type { ReplyObserver } from './reply-observer.ts';
import type { Results } from './results.ts';
import type { SharedLimits } from './shared-limits.ts';
import { Site } from './site.ts';
import type { SourceAddress } from './source-address.ts';
import type { SourceLeases } from './source-leases.ts';
import type { TlsFallback } from './tls-fallback.ts';

export interface QueueManagerOptions {
  clock: Clock;
  random: Random;
  inFlight: InFlight;
  sources: SourceLeases;
  destinations: Destinations;
  tlsFallback: TlsFallback;
  limits: LimitBook;
  shared: SharedLimits;
  observer: ReplyObserver;
  policy: EgressPolicy | undefined;
  warmup: WarmupBook | undefined;
  deadlines: SmtpDeadlines;
  counters: Counters;
  results: Results;
  open: (options: SessionOptions) => SmtpSession;
  /** Takes deliveries that must look for their way again. */
  again: (deliveries: Delivery[]) => void;
}

/** A site without deliveries is forgotten after so long, ms. */
const SITE_IDLE = 600_000;
/** Mail that has limits of its own may hold as much here as goes within so long, ms. */
const FLOW_AHEAD = 5_000;
const LEAST_WAITING = 4;
const LONGEST_BEHIND = 300_000;
/** A limit that lets nothing go for longer may be raised meanwhile, ms. */
const PATIENCE = 60_000;

export class QueueManager implements PathHost {
  readonly clock: Clock;
  readonly random: Random;
  readonly destinations: Destinations;
  readonly tlsFallback: TlsFallback;
  readonly deadlines: SmtpDeadlines;
  readonly results: Results;
  readonly observer: ReplyObserver;
  readonly policy: EgressPolicy | undefined;
  readonly warmup: WarmupBook | undefined;
  readonly sites = new Map<string, Site>();
  readonly #options: QueueManagerOptions;
  readonly #rechecks = new RecheckPacer(PATIENCE);
  /** Paths that were given deliveries in this batch. */
  readonly #fed = new Set<ConnectionPool>();
  /** Paths whose deliveries are about to look for another way. */
  readonly #requeued = new Set<ConnectionPool>();

  constructor(options: QueueManagerOptions) {
    this.#options = options;
    this.clock = options.clock;
    this.random = options.random;
    this.destinations = options.destinations;
    this.tlsFallback = options.tlsFallback;
    this.deadlines = options.deadlines;
    this.results = options.results;
    this.observer = options.observer;
    this.policy = options.policy;
    this.warmup = options.warmup;
  }

  open(options: SessionOptions): SmtpSession {
    return this.#options.open(options);
  }

  siteOf(address: SiteAddress, now: number): Site {
    let site = this.sites.get(address.site);
    if (site === undefined) {
      site = new Site(address, countsOf(this.#options.counters, address.provider), now);
      this.sites.set(site.name, site);
    } else {
      site.follow(address);
    }
    return site;
  }

  // — joining —

  /**
   * Lets a delivery wait for a connection from a source to a site.
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
    const { limits, shared } = this.#options;
    const place = { provider: site.provider, site: site.name, routed: site.routed, ip: source.name, pool };
    const { connectionClass, mailLimits } = limits.at(place).of(delivery, bounds);
    const requireTls = delivery.item.requireTls || connectionClass.limits.tls === 'required';
    const key = `${source.ip}|${limits.poolKey(pool)}|${connectionClass.name}${requireTls ? '|tls' : ''}`;
    let path = site.paths.get(key);
    if (path === undefined) {
      path = new ConnectionPool(site, source, requireTls, new PoolLimits(limits, place, delivery), this);
      site.paths.set(key, path);
    }
    path.poolLimits.bound(connectionClass.bounds);
    delivery.follow(mailLimits);
    if (!this.results.mayBegin(delivery, now)) return true;
    delivery.stream = mailLimits && source.limiter(site).stream(mailLimits, shared.partsOf);
    if (delivery.stream !== undefined && this.#waitsLong(delivery, delivery.stream, now)) return false;
    if (path.backsOff(now)) {
      const { code, text } = path.breaker.reason!;
      this.results.release(delivery, code, text, path.breaker.retryAt + this.random() * 1000);
      return true;
    }
    if (this.#overShare(site, now) && (delivery.bulk || !this.#makeRoom(site, now))) {
      this.#overflow(delivery, site, path, now);
      return false;
    }
    delivery.site = site;
    delivery.source = source;
    site.held += 1;
    source.held += 1;
    site.usedAt = now;
    path.queue.push(delivery);
    delivery.path = path;
    this.#fed.add(path);
    return true;
  }

  pumpFed(): void {
    for (const path of this.#fed) path.pump();
    this.#fed.clear();
  }

  /** Puts back what its own limits will not let go soon: it would only hold the room of others. */
  #waitsLong(delivery: Delivery, stream: StreamLimiter, now: number): boolean {
    const soon = Math.max(LEAST_WAITING, stream.soon(FLOW_AHEAD));
    const wait = stream.wait(now);
    const finite = wait === Number.POSITIVE_INFINITY ? 0 : wait;
    if (stream.waiting < soon && finite < FLOW_AHEAD) return false;
    const text = stream.reason(now)?.text ?? `${stream.waiting} more of the same mail wait here.`;
    const behind = Math.min(LONGEST_BEHIND, (stream.waiting / soon) * FLOW_AHEAD);
    const due = now + Math.max(1000, finite, behind * (0.75 + 0.5 * this.random()));
    const until = finite <= PATIENCE ? due : Math.min(due, this.#rechecks.next(now));
    this.results.release(delivery, 'sender_limit', text, until);
    return true;
  }

  // — room —

  #overShare(site: Site, now: number): boolean {
    const { inFlight } = this.#options;
    return overShare(site.held, inFlight.limits.items - inFlight.items, site.drained.rate(now));
  }

  /** Bulk mail gives way to transactional mail. @returns false when none waits for the site. */
  #makeRoom(site: Site, now: number): boolean {
    for (const path of site.paths.values()) {
      const bulk = path.queue.takeBulk();
      if (bulk === undefined) continue;
      leave(bulk);
      this.#overflow(bulk, site, path, now);
      return true;
    }
    return false;
  }

  #overflow(delivery: Delivery, site: Site, path: ConnectionPool, now: number): void {
    const rate = site.drained.rate(now) ?? 0;
    const binding = path.waitReason(now);
    const because = binding === undefined ? '' : ` ${binding.text}`;
    const text = `${site.name} takes ${rate.toFixed(1)} a second, and ${site.held} wait for it here.${because}`;
    this.results.release(delivery, 'site_limit', text, now + overflowDelay(site.held, rate, this.random));
  }

  // — time and orders —

  /** Once a second. */
  tick(): void {
    const now = this.clock.now();
    this.#options.shared.tick(now);
    for (const site of this.sites.values()) {
      for (const path of site.paths.values()) {
        // A site that became slow while it held much gives back what waits longest for its turn.
        while (path.queue.size > 0 && this.#overShare(site, now)) {
          const delivery = path.queue.takeLeastUrgent()!;
          leave(delivery);
          this.#overflow(delivery, site, path, now);
        }
        path.pump(true);
      }
      for (const source of this.#options.sources.all) source.knownLimiter(site.name)?.sweep(now);
      if (site.held === 0 && now - site.usedAt > SITE_IDLE) this.#forget(site);
    }
  }

  #forget(site: Site): void {
    const now = this.clock.now();
    const { all } = this.#options.sources;
    for (const path of site.paths.values()) if (path.connections > 0 || path.backsOff(now)) return;
    // A limit by the day counts what was sent hours ago.
    if (all.some((source) => source.knownLimiter(site.name)?.idle(now) === false)) return;
    this.sites.delete(site.name);
    for (const source of all) source.forget(site);
  }

  /** What waits at a path looks for its way again, when the caller is done with the path. */
  requeue(path: ConnectionPool): void {
    if (this.#requeued.has(path)) return;
    this.#requeued.add(path);
    setImmediate(() => {
      this.#requeued.delete(path);
      this.#options.again(takeAll(path));
    });
  }

  /** All that waits looks for its way again: what is ordered has changed. */
  requeueAll(): void {
    for (const site of this.sites.values()) {
      for (const path of site.paths.values()) if (path.queue.size > 0) this.requeue(path);
    }
  }

  /** A source may be used no more: its connections end, and what waited for it goes another way. */
  closeSource(source: SourceAddress): void {
    for (const site of this.sites.values()) {
      for (const [key, path] of site.paths) {
        if (path.source !== source) continue;
        site.paths.delete(key);
        path.close({ code: 'no_source_ip', text: source.trouble });
      }
    }
  }

  // — end —

  close(reason: Reason): void {
    for (const site of this.sites.values()) for (const path of site.paths.values()) path.close(reason);
  }

  /** Ends the connections that are left. */
  destroy(text: string): void {
    for (const site of this.sites.values()) for (const path of site.paths.values()) path.destroy(text);
  }

  /** Connections that are open or being opened. */
  get connections(): number {
    let count = 0;
    for (const source of this.#options.sources.all) count += source.connections;
    return count;
  }

  /** A destination that cannot be used. Limits hold of it as far as it is known: by domain and default, at least. */
  unusable(
    delivery: Delivery,
    { code, text }: Fault,
    { provider, name, routed }: Pick<Site, 'provider' | 'name' | 'routed'>,
    now: number,
  ): void {
    const place = { provider, site: name, routed, ip: '', pool: delivery.pool };
    delivery.follow(this.#options.limits.at(place).of(delivery).mailLimits);
    if (!this.results.mayBegin(delivery, now)) return;
    this.unconnected(delivery, { kind: 'unsent', phase: 'connect', code, text }, now);
  }

  /** A result that needed no connection. */
  unconnected(delivery: Delivery, result: AttemptResult, now: number): void {
    this.results.attempted(delivery, { result, at: now, duration: 0, replies: [], via: undefined });
  }
}

/** A delivery waits at its site no more. */
function leave(delivery: Delivery): void {
  if (delivery.site !== undefined) delivery.site.held -= 1;
  if (delivery.source !== undefined) delivery.source.held -= 1;
  delivery.site = undefined;
  delivery.source = undefined;
  delivery.path = undefined;
}

function takeAll(path: ConnectionPool): Delivery[] {
  const deliveries = path.queue.remove(() => true);
  for (const delivery of deliveries) leave(delivery);
  return deliveries;
}
