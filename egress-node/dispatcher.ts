/**
 * Takes leased deliveries to the paths that lead to their sites, and what becomes of them back to the queue.
 *
 * ```
 *  take ─► finished before? ─► simulator? ─► destination ─► addresses ─► source ─► share of the room ─► path
 *             drop               simulate      fault: tried   fault:       none: put   too much: put      │
 *                                                             tried        back        back               ▼
 *  settler ◄────────────────────────── results ◄────────────────────────────────────────────── attempted
 * ```
 */
import type { Engine, LeasedItem } from '../lib/engine/ports.ts';
import { FINAL_STATES } from '../lib/engine/states.ts';
import type { AttemptResult } from '../lib/outcome/classify.ts';
import { isSimulator } from '../lib/outcome/simulator.ts';
import type { Flow } from '../lib/shaping/gate.ts';
import type { LimitBook } from '../lib/shaping/limits/book.ts';
import { overflowDelay, overShare } from '../lib/shaping/sharing.ts';
import type { Clock, Random } from '../lib/time.ts';
import { type Counters, countsOf } from './counters.ts';
import { Delivery } from './delivery.ts';
import type { Destination, Destinations, Fault, SiteAddress } from './destination.ts';
import type { Hand } from './hand.ts';
import type { LanePuller } from './lane-puller.ts';
import { Path, type PathHost, type Reason } from './path.ts';
import { PathTerms } from './path-terms.ts';
import type { Results } from './results.ts';
import type { Settler } from './settler.ts';
import type { SharedLimits } from './shared-limits.ts';
import { SimulatedMailboxes } from './simulated-mailboxes.ts';
import { Site } from './site.ts';
import type { SessionOptions, SmtpDeadlines, SmtpSession } from './smtp/types.ts';
import type { Source } from './source.ts';
import type { Sources } from './sources.ts';
import { reaches } from './target-choice.ts';
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
  limits: LimitBook;
  shared: SharedLimits;
  deadlines: SmtpDeadlines;
  counters: Counters;
  results: Results;
  open: (options: SessionOptions) => SmtpSession;
}

/** A site without deliveries is forgotten after so long, ms. */
const SITE_IDLE = 600_000;
const NO_SOURCE_DELAY = 30_000;
/** Mail that has limits of its own may hold as much here as goes within so long, ms. */
const FLOW_AHEAD = 5_000;
const LEAST_WAITING = 4;
const LONGEST_BEHIND = 300_000;
const STOPPED: Reason = { code: 'shutting_down', text: 'The node was stopped.' };

export class Dispatcher implements PathHost {
  readonly clock: Clock;
  readonly random: Random;
  readonly destinations: Destinations;
  readonly tlsMemory: TlsMemory;
  readonly deadlines: SmtpDeadlines;
  readonly results: Results;
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
    this.results = options.results;
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
          else this.results.supersede(delivery, state);
        } catch (error) {
          this.results.release(
            delivery,
            'storage_unavailable',
            (error as Error).message,
            this.clock.now() + 1000,
          );
        }
      }),
    );
    this.#pumpFed();
  }

  /** @returns false when there was no room for it at its site. */
  #dispatch(delivery: Delivery): boolean {
    const now = this.clock.now();
    if (this.#stopping) {
      this.results.release(delivery, STOPPED.code, STOPPED.text, 0);
      return true;
    }
    if (!this.results.mayBegin(delivery, now)) return true;
    const { domain } = delivery.item;
    if (isSimulator(domain)) {
      const simulation = this.#simulated.answer(delivery.item, now);
      this.#unconnected(delivery, simulation, now);
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
        if (!this.#goTo(each, destination, now)) (each.lane as LanePuller).overflowed(1);
      }
      this.#pumpFed();
    });
  }

  #goTo(delivery: Delivery, destination: Destination, now: number): boolean {
    if (destination.kind === 'fault') {
      this.#unconnected(delivery, unusable(destination), now);
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
      this.#unconnected(delivery, unusable(targets), now);
      return true;
    }
    const { sources } = this.#options;
    const source = sources.pick(
      delivery.lane.pool,
      now,
      (one) => one.family === 0 || targets.targets.some((target) => reaches(target, one.family)),
    );
    if (typeof source === 'string') {
      this.results.release(delivery, 'no_source_ip', source, now + NO_SOURCE_DELAY);
      return true;
    }
    return this.#join(delivery, site, source, now);
  }

  /** A result that needed no connection. */
  #unconnected(delivery: Delivery, result: AttemptResult, now: number): void {
    this.results.attempted(delivery, { result, at: now, duration: 0, replies: [], via: undefined });
  }

  #join(delivery: Delivery, site: Site, source: Source, now: number): boolean {
    const { limits, shared } = this.#options;
    const { provider, routed } = site;
    const place = { provider, site: site.name, routed, ip: source.ip, pool: delivery.lane.pool };
    const { variant, terms } = limits.at(place).of(delivery);
    const requireTls = delivery.item.requireTls || variant.limits.tls === 'required';
    const key = `${source.ip}|${limits.poolKey(place.pool)}|${variant.name}${requireTls ? '|tls' : ''}`;
    let path = site.paths.get(key);
    if (path === undefined) {
      path = new Path(site, source, requireTls, new PathTerms(limits, place, delivery), this);
      site.paths.set(key, path);
    }
    if (terms !== undefined) {
      delivery.flow = source.gate(site).flow(terms, shared.bucketsOf);
      if (terms.maxAge !== undefined) {
        delivery.expiresAt = Math.min(delivery.expiresAt, delivery.item.acceptedAt + terms.maxAge);
      }
      if (this.#waitsLong(delivery, delivery.flow, now)) return false;
    }
    if (path.backsOff(now)) {
      const { code, text } = path.reason!;
      this.results.release(delivery, code, text, path.retryAt + this.random() * 1000);
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

  /** Puts back what its own limits will not let go soon: it would only hold the room of others. */
  #waitsLong(delivery: Delivery, flow: Flow, now: number): boolean {
    const soon = Math.max(LEAST_WAITING, flow.soon(FLOW_AHEAD));
    const wait = flow.wait(now);
    const finite = wait === Number.POSITIVE_INFINITY ? 0 : wait;
    if (flow.waiting < soon && finite < FLOW_AHEAD) return false;
    const reason = flow.reason(now);
    const text = reason?.text ?? `${flow.waiting} more of the same mail wait here.`;
    const behind = Math.min(LONGEST_BEHIND, (flow.waiting / Math.max(1, soon)) * FLOW_AHEAD);
    const until = now + Math.max(1000, finite, behind * (0.75 + 0.5 * this.random()));
    this.results.release(delivery, 'site_limit', text, until);
    return true;
  }

  #pumpFed(): void {
    for (const path of this.#fed) path.pump();
    this.#fed.clear();
  }

  #siteOf(address: SiteAddress, now: number): Site {
    let site = this.sites.get(address.site);
    if (site === undefined) {
      site = new Site(address, countsOf(this.#options.counters, address.provider), now);
      this.sites.set(site.name, site);
    } else {
      site.follow(address);
    }
    return site;
  }

  // — room —

  #overShare(site: Site, now: number): boolean {
    const { hand } = this.#options;
    return overShare(site.held, hand.limits.items - hand.items, site.drained.rate(now));
  }

  #overflow(delivery: Delivery, site: Site, now: number): void {
    const rate = site.drained.rate(now) ?? 0;
    const text = `${site.name} takes ${rate.toFixed(1)} a second, and ${site.held} wait for it here.`;
    this.results.release(delivery, 'site_limit', text, now + overflowDelay(site.held, rate, this.random));
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
      for (const source of this.#options.sources.all) source.knownGate(site.name)?.sweep(now);
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
    for (const waiting of this.#lookups.values()) {
      for (const delivery of waiting.splice(0)) this.results.release(delivery, STOPPED.code, STOPPED.text, 0);
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

/** A destination that cannot be used, as the result of an attempt. */
function unusable({ code, text }: Fault): AttemptResult {
  return { kind: 'unsent', phase: 'connect', code, text };
}
