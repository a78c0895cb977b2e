/**
 * Takes leased deliveries to the paths that lead to their sites, and what becomes of them back to the queue.
 *
 * ```
 *  take ─► finished before? ─► simulator? ─► destination ─► addresses ─► source ─► share of the room ─► path
 *             drop               simulate      fault: tried   fault:       none: put   too much: put      │
 *                                                             tried        back        back               ▼
 *  settler ◄─────────────────────────── judge ◄──────────────────────────────────────────────── attempted
 * ```
 */
import type { Attempt } from '../lib/engine/items.ts';
import type { Engine, LeasedItem } from '../lib/engine/ports.ts';
import { FINAL_STATES } from '../lib/engine/states.ts';
import type { AttemptResult } from '../lib/outcome/classify.ts';
import type { RetrySchedule } from '../lib/outcome/retry.ts';
import { isSimulator } from '../lib/outcome/simulator.ts';
import type { LimitTable } from '../lib/shaping/limits.ts';
import { overflowDelay, overShare } from '../lib/shaping/sharing.ts';
import type { Clock, Random } from '../lib/time.ts';
import { type Counters, countsOf } from './counters.ts';
import { Delivery } from './delivery.ts';
import type { Destination, Destinations, Fault, SiteAddress } from './destination.ts';
import type { Hand } from './hand.ts';
import { expiry, judge } from './judge.ts';
import type { LanePuller } from './lane-puller.ts';
import { Path, type PathHost, type Reason, type Via } from './path.ts';
import type { Settler } from './settler.ts';
import { SimulatedMailboxes } from './simulated-mailboxes.ts';
import { reaches, Site } from './site.ts';
import type { SessionOptions, SmtpDeadlines, SmtpSession } from './smtp/types.ts';
import type { Source } from './source.ts';
import type { Sources } from './sources.ts';
import type { TlsMemory } from './tls-memory.ts';

export interface DispatcherOptions {
  engine: Engine;
  clock: Clock;
  random: Random;
  hand: Hand;
  settler: Settler;
  sources: Sources;
  destinations: Destinations;
  tlsMemory: TlsMemory;
  limits: LimitTable;
  deadlines: SmtpDeadlines;
  counters: Counters;
  open: (options: SessionOptions) => SmtpSession;
  /** The retry schedule of a delivery's configuration set. */
  retry: (configurationSet: string | undefined, tenant: string) => RetrySchedule;
  /** Told of every attempt, for logs. */
  onAttempt?: (item: LeasedItem['item'], attempt: Attempt) => void;
}

/** A site without deliveries is forgotten after so long, ms. */
const SITE_IDLE = 600_000;
/** A delivery whose lease ends sooner than this is not begun. */
const LEASE_MARGIN = 5_000;
const NO_SOURCE_DELAY = 30_000;
const STOPPED: Reason = { code: 'shutting_down', text: 'The node was stopped.' };

export class Dispatcher implements PathHost {
  readonly clock: Clock;
  readonly random: Random;
  readonly destinations: Destinations;
  readonly tlsMemory: TlsMemory;
  readonly deadlines: SmtpDeadlines;
  readonly sites = new Map<string, Site>();
  readonly #options: DispatcherOptions;
  readonly #simulated: SimulatedMailboxes;
  /** Deliveries that wait for a lookup, by domain or by site. */
  readonly #lookups = new Map<string, Delivery[]>();
  /** Paths that were given deliveries in this batch. */
  readonly #fed = new Set<Path>();
  #stopping = false;

  constructor(options: DispatcherOptions) {
    this.#options = options;
    this.clock = options.clock;
    this.random = options.random;
    this.destinations = options.destinations;
    this.tlsMemory = options.tlsMemory;
    this.deadlines = options.deadlines;
    this.#simulated = new SimulatedMailboxes(options.clock, options.settler, options.counters);
  }

  open(options: SessionOptions): SmtpSession {
    return this.#options.open(options);
  }

  // — in —

  /** Takes what a lane has leased. */
  take(leased: LeasedItem[], lane: LanePuller, visibleUntil: number): void {
    const { hand } = this.#options;
    const again: Delivery[] = [];
    let overflow = 0;
    for (const one of leased) {
      const delivery = new Delivery(one, lane, visibleUntil);
      hand.add(delivery);
      if (one.receives > 1) again.push(delivery);
      else if (!this.#dispatch(delivery)) overflow += 1;
    }
    if (overflow > 0) lane.overflowed(overflow);
    if (again.length > 0) void this.#check(again);
    this.#pumpFed();
  }

  /**
   * Handed out before: whoever had it may have sent it and died before the lease could be ended. Its record
   * tells; without an answer it is put back, because sending blindly would be a duplicate (law 2).
   */
  async #check(deliveries: Delivery[]): Promise<void> {
    const { records } = this.#options.engine;
    await Promise.all(
      deliveries.map(async (delivery) => {
        const { item } = delivery;
        try {
          const state = await records.state(item.messageId, item.n);
          if (state === undefined || !FINAL_STATES.has(state)) this.#dispatch(delivery);
          else this.#supersede(delivery, state);
        } catch (error) {
          this.release(delivery, 'storage_unavailable', (error as Error).message, this.clock.now() + 1000);
        }
      }),
    );
    this.#pumpFed();
  }

  /** @returns false when there was no room for it at its site. */
  #dispatch(delivery: Delivery): boolean {
    const now = this.clock.now();
    if (this.#stopping) {
      this.release(delivery, STOPPED.code, STOPPED.text, 0);
      return true;
    }
    if (!this.mayBegin(delivery, now)) return true;
    const { domain } = delivery.item;
    if (isSimulator(domain)) {
      const simulation = this.#simulated.answer(delivery.item, now);
      this.attempted(delivery, simulation, now, 0, []);
      return true;
    }
    const known = this.destinations.known(domain, now);
    if (known !== undefined) return this.#goTo(delivery, known, now);
    this.#await(delivery, `domain ${domain}`, () => this.destinations.find(domain));
    return true;
  }

  /** Continues with a delivery, and all others that wait for the same, when a lookup has ended. */
  #await(delivery: Delivery, key: string, lookup: () => Promise<Destination>): void {
    const waiting = this.#lookups.get(key);
    if (waiting !== undefined) {
      waiting.push(delivery);
      return;
    }
    this.#lookups.set(key, [delivery]);
    void lookup().then((destination) => {
      const deliveries = this.#lookups.get(key)!;
      this.#lookups.delete(key);
      const now = this.clock.now();
      for (const each of deliveries) {
        if (this.#stopping) this.release(each, STOPPED.code, STOPPED.text, 0);
        else if (!this.#goTo(each, destination, now)) (each.lane as LanePuller).overflowed(1);
      }
      this.#pumpFed();
    });
  }

  #goTo(delivery: Delivery, destination: Destination, now: number): boolean {
    if (destination.kind === 'fault') {
      this.#faulted(delivery, destination, now);
      return true;
    }
    const site = this.#siteOf(destination, now);
    const targets = site.targets(now);
    if (targets === undefined) {
      this.#await(delivery, `site ${site.name}`, async () => {
        const found = await site.lookup(this.destinations);
        return found.kind === 'fault' ? found : destination;
      });
      return true;
    }
    if (targets.kind === 'fault') {
      this.#faulted(delivery, targets, now);
      return true;
    }
    const { sources } = this.#options;
    const source = sources.pick(
      delivery.lane.pool,
      now,
      (one) => one.family === 0 || targets.targets.some((target) => reaches(target, one.family)),
    );
    if (typeof source === 'string') {
      this.release(delivery, 'no_source_ip', source, now + NO_SOURCE_DELAY);
      return true;
    }
    return this.#join(delivery, site, this.#pathOf(site, source, delivery.item.requireTls), now);
  }

  #join(delivery: Delivery, site: Site, path: Path, now: number): boolean {
    if (path.backsOff(now)) {
      const { code, text } = path.reason!;
      this.release(delivery, code, text, path.retryAt + this.random() * 1000);
      return true;
    }
    if (this.#overShare(site, now)) {
      this.#overflow(delivery, site, now);
      return false;
    }
    delivery.site = site;
    site.held += 1;
    site.usedAt = now;
    path.queue.push(delivery);
    this.#fed.add(path);
    return true;
  }

  #pumpFed(): void {
    for (const path of this.#fed) path.pump();
    this.#fed.clear();
  }

  #siteOf(address: SiteAddress, now: number): Site {
    let site = this.sites.get(address.site);
    if (site === undefined) {
      const { limits, counters } = this.#options;
      site = new Site(address, limits, countsOf(counters, address.provider), now);
      this.sites.set(site.name, site);
    } else {
      site.follow(address);
    }
    return site;
  }

  #pathOf(site: Site, source: Source, requireTls: boolean): Path {
    const key = requireTls ? `${source.ip} tls` : `${source.ip}`;
    let path = site.paths.get(key);
    if (path === undefined) site.paths.set(key, (path = new Path(site, source, requireTls, this)));
    return path;
  }

  // — out —

  mayBegin(delivery: Delivery, now: number): boolean {
    if (delivery.visibleUntil - LEASE_MARGIN <= now) {
      // Somebody else may have it by now: neither sent nor settled.
      this.#options.counters.lost += 1;
      this.#options.hand.remove(delivery);
      return false;
    }
    const { item } = delivery;
    if (item.expiresAt > now) return true;
    this.#settle(delivery, expiry(item, now));
    return false;
  }

  attempted(
    delivery: Delivery,
    result: AttemptResult,
    at: number,
    duration: number,
    replies: Attempt['replies'],
    via?: Via,
  ): void {
    const { item } = delivery;
    const schedule = this.#options.retry(item.configurationSet, item.tenant);
    const tried = { result, at, duration, replies, via };
    this.#settle(delivery, judge(item, tried, schedule, this.clock.now(), this.random));
  }

  #faulted(delivery: Delivery, fault: Fault, now: number): void {
    this.attempted(
      delivery,
      { kind: 'unsent', phase: 'connect', code: fault.code, text: fault.text },
      now,
      0,
      [],
    );
  }

  #settle(delivery: Delivery, attempt: Attempt): void {
    const { settler, counters, onAttempt } = this.#options;
    const { leased, site } = delivery;
    const { state, until } = attempt;
    site?.drained.count();
    for (const counts of site === undefined ? [counters] : [counters, site.counts]) {
      counts.attempted += 1;
      if (attempt.uncertain) counts.uncertain += 1;
      if (state === 'delivered' || state === 'deferred' || state === 'bounced' || state === 'expired')
        counts[state] += 1;
    }
    if (until === undefined) settler.push(delivery, { kind: 'end', leased, state, attempt });
    else settler.push(delivery, { kind: 'defer', leased, until, attempt });
    onAttempt?.(delivery.item, attempt);
  }

  /** Ends the lease of an item whose delivery has ended before, with that same end. */
  #supersede(delivery: Delivery, state: Attempt['state']): void {
    const { settler, counters } = this.#options;
    counters.superseded += 1;
    const attempt: Attempt = {
      at: this.clock.now(),
      duration: 0,
      replies: [],
      state,
      reason: state,
      text: 'Handed out again after its end; not sent again.',
    };
    settler.push(delivery, { kind: 'end', leased: delivery.leased, state, attempt });
  }

  release(delivery: Delivery, code: string, text: string, until: number): void {
    const { settler, counters } = this.#options;
    counters.released += 1;
    settler.push(delivery, { kind: 'release', leased: delivery.leased, until, reason: { code, text } });
  }

  // — room —

  #overShare(site: Site, now: number): boolean {
    const { hand } = this.#options;
    return overShare(site.held, hand.limits.items - hand.items, site.drained.rate(now));
  }

  #overflow(delivery: Delivery, site: Site, now: number): void {
    const rate = site.drained.rate(now) ?? 0;
    const text = `${site.name} takes ${rate.toFixed(1)} a second, and ${site.held} wait for it here.`;
    this.release(delivery, 'site_limit', text, now + overflowDelay(site.held, rate, this.random));
  }

  /** Once a second: what moves with time and not with mail. */
  tick(): void {
    const now = this.clock.now();
    for (const site of this.sites.values()) {
      for (const path of site.paths.values()) {
        // A site that became slow while it held much gives back what waits longest for its turn.
        while (path.queue.size > 0 && this.#overShare(site, now)) {
          const delivery = path.queue.takeLeastUrgent()!;
          site.held -= 1;
          delivery.site = undefined;
          this.#overflow(delivery, site, now);
        }
        path.pump(true);
      }
      if (site.held === 0 && now - site.usedAt > SITE_IDLE) this.#forget(site);
    }
  }

  #forget(site: Site): void {
    for (const path of site.paths.values())
      if (path.connections > 0 || path.backsOff(this.clock.now())) return;
    this.sites.delete(site.name);
    for (const source of this.#options.sources.all) source.forget(site);
  }

  // — end —

  /** A source may be used no more: its connections end, and what waited for it goes another way. */
  withdraw(source: Source): void {
    for (const site of this.sites.values()) {
      for (const [key, path] of site.paths) {
        if (path.source !== source) continue;
        site.paths.delete(key);
        path.close({ code: 'no_source_ip', text: source.trouble });
      }
    }
  }

  /**
   * Begins nothing more; what waits is put back at once.
   * @returns when every delivery has ended or been put back; those under way end by themselves.
   */
  async stop(): Promise<void> {
    this.#stopping = true;
    for (const site of this.sites.values()) {
      for (const path of site.paths.values()) path.close(STOPPED);
    }
    this.#simulated.flush();
    await this.#options.settler.drained();
  }

  /** Ends the connections that are left. */
  destroy(): void {
    for (const site of this.sites.values()) {
      for (const path of site.paths.values()) path.destroy(STOPPED.text);
    }
  }

  /** Connections that are open or being opened. */
  get connections(): number {
    let count = 0;
    for (const source of this.#options.sources.all) count += source.connections;
    return count;
  }
}
