/**
 * Brings leased deliveries to the connection pools of their sites, and those that cannot go back to their lanes.
 *
 * ```
 *  take, redispatch ─► simulator? ─► pool, smarthost ─► destination ─► addresses ─► policy ─► source ─► queue manager
 *                       attempted       refused:          fault:        fault:       pool      suspended: put back
 *                                       put back          attempted     attempted              bounced: attempted
 * ```
 */
import type { LaneGroups } from '../control/lane-groups.ts';
import type { Engine, LeasedItem } from '../engine/ports.ts';
import { FINAL_STATES } from '../engine/states.ts';
import { isSimulator } from '../outcome/simulator.ts';
import type { Clock } from '../time.ts';
import type { AttemptRecorder } from './attempt.ts';
import type { Counters } from './counters.ts';
import { Delivery, type LaneUsage, type Reason } from './delivery.ts';
import { type Destination, type Destinations, routed, type Target } from './destination.ts';
import { describe } from './directive-view.ts';
import type { InFlight } from './in-flight.ts';
import type { EgressPolicy } from './policy.ts';
import type { QueueManager } from './queues.ts';
import type { Settler } from './settler.ts';
import { SimulatedMailboxes } from './simulator.ts';
import type { Site } from './site.ts';
import { NO_SOURCE_DELAY, type SourceSelector } from './source-selection.ts';

export interface DispatcherOptions {
  engine: Engine;
  clock: Clock;
  inFlight: InFlight;
  settler: Settler;
  destinations: Destinations;
  counters: Counters;
  results: AttemptRecorder;
  selector: SourceSelector;
  policy: EgressPolicy | undefined;
  queues: QueueManager;
  laneGroups: Pick<LaneGroups, 'found'> | undefined;
}

const REFUSED_DELAY = 300_000;
/** Stands for the site of a domain whose hosts could not be found. */
const UNKNOWN = { provider: '', name: '', routed: false };
const STOPPED: Reason = { code: 'shutting_down', text: 'The node was stopped.' };

export class Dispatcher {
  readonly #options: DispatcherOptions;
  readonly #simulated: SimulatedMailboxes;
  /** Deliveries that wait for a lookup, by domain or by site. */
  readonly #lookups = new Map<string, Delivery[]>();
  /** Deliveries that wait for an answer of the policy. */
  readonly #asking = new Set<Delivery>();
  #stopping = false;

  constructor(options: DispatcherOptions) {
    this.#options = options;
    this.#simulated = new SimulatedMailboxes(options.clock, options.settler, options.counters);
  }

  /** Takes what a lane has leased. */
  take(leased: LeasedItem[], lane: LaneUsage, visibleUntil: number): void {
    const { inFlight, queues } = this.#options;
    const redelivered: Delivery[] = [];
    let overflow = 0;
    for (const one of leased) {
      const delivery = new Delivery(one, lane, visibleUntil);
      inFlight.add(delivery);
      if (one.receives > 1) redelivered.push(delivery);
      else if (!this.#dispatch(delivery)) overflow += 1;
    }
    if (overflow > 0) lane.overflowed(overflow);
    if (redelivered.length > 0) void this.#check(redelivered);
    queues.pumpFed();
  }

  /** Takes deliveries that have to be routed anew. */
  redispatch(deliveries: Delivery[]): void {
    for (const delivery of deliveries) this.#dispatch(delivery);
    this.#options.queues.pumpFed();
  }

  /**
   * Checks the records of redelivered items: the node that had them may have sent them and died before it could
   * settle them. Without an answer they are put back, because sending blindly would be a duplicate (law 2).
   */
  async #check(deliveries: Delivery[]): Promise<void> {
    const { engine, results, clock } = this.#options;
    await Promise.all(
      deliveries.map(async (delivery) => {
        const { item } = delivery;
        try {
          const state = await engine.records.state(item.messageId, item.n);
          if (state === undefined || !FINAL_STATES.has(state)) this.redispatch([delivery]);
          else results.supersede(delivery, state);
        } catch (error) {
          const text = (error as Error).message;
          results.release(delivery, 'storage_unavailable', text, clock.now() + 1000);
        }
      }),
    );
  }

  /** The one entrance of every delivery. @returns false when there was no room for it at its site. */
  #dispatch(delivery: Delivery): boolean {
    const { clock, results, queues, selector } = this.#options;
    const now = clock.now();
    if (this.#stopping) {
      results.release(delivery, STOPPED.code, STOPPED.text, 0);
      return true;
    }
    if (!results.mayBegin(delivery, now)) return true;
    const { domain } = delivery;
    if (isSimulator(domain)) {
      queues.unconnected(delivery, this.#simulated.answer(delivery.item, now), now);
      return true;
    }
    const route = selector.route(delivery);
    if (route?.kind === 'refused') {
      results.release(delivery, 'no_source_ip', route.text, now + REFUSED_DELAY);
      return true;
    }
    if (!delivery.moved) delivery.pool = route?.pool ?? delivery.lane.pool;
    delivery.toSmarthost = route?.kind === 'smarthost';
    if (route?.kind === 'smarthost') return this.#toSite(delivery, routed(route), now);
    return this.#toDomain(delivery, now);
  }

  /** Continues with a delivery, and all others that wait for the same, when a lookup has ended. */
  #lookUp(delivery: Delivery, key: string, lookup: () => Promise<Destination>): void {
    const waiting = this.#lookups.get(key);
    if (waiting !== undefined) {
      waiting.push(delivery);
      return;
    }
    this.#lookups.set(key, [delivery]);
    void lookup().then((destination) => {
      const deliveries = this.#lookups.get(key)!;
      this.#lookups.delete(key);
      this.#resume(deliveries, (each, now) => this.#toSite(each, destination, now));
    });
  }

  /** Continues with a delivery when the policy has answered: at once if the answer is there. */
  #whenAnswered<T>(
    delivery: Delivery,
    answer: T | Promise<T>,
    now: number,
    goOn: (answer: T, now: number) => boolean,
  ): boolean {
    if (!(answer instanceof Promise)) return goOn(answer, now);
    this.#asking.add(delivery);
    void answer.then((known) => {
      if (this.#asking.delete(delivery)) this.#resume([delivery], (_, at) => goOn(known, at));
    });
    return true;
  }

  #resume(deliveries: readonly Delivery[], goOn: (delivery: Delivery, now: number) => boolean): void {
    const { clock, queues } = this.#options;
    const now = clock.now();
    for (const delivery of deliveries) if (!goOn(delivery, now)) delivery.lane.overflowed(1);
    queues.pumpFed();
  }

  #toSite(delivery: Delivery, destination: Destination, now: number): boolean {
    const { queues, destinations, policy, selector, results, laneGroups } = this.#options;
    if (destination.kind === 'fault') {
      queues.unusable(delivery, destination, UNKNOWN, now);
      return true;
    }
    const site = queues.siteOf(destination, now);
    const targets = site.targets(now);
    if (targets === undefined) {
      this.#lookUp(delivery, `site ${site.name}`, async () => {
        await site.lookup(destinations);
        return destination;
      });
      return true;
    }
    if (targets.kind === 'fault') {
      queues.unusable(delivery, targets, site, now);
      return true;
    }
    if (!destination.routed) laneGroups?.found(delivery.domain, destination.provider);
    const found = targets.targets;
    if (!policy?.routes || delivery.moved) return this.#toSource(delivery, site, found, now);
    return this.#whenAnswered(delivery, policy.route(delivery, site), now, (route, at) => {
      if (route !== undefined && !selector.hasPool(route.pool)) {
        results.release(delivery, 'no_source_ip', policy.unknownPool(route), at + NO_SOURCE_DELAY);
        return true;
      }
      delivery.pool = route?.pool ?? delivery.pool;
      return this.#toSource(delivery, site, found, at);
    });
  }

  #toSource(delivery: Delivery, site: Site, targets: readonly Target[], now: number): boolean {
    const { queues, policy, selector, results } = this.#options;
    const selected = selector.select(delivery, site, targets, now);
    if (selected.kind === 'source') {
      const { source, pool } = selected;
      if (!policy?.shapes) return queues.enqueue(delivery, site, source, pool, now);
      return this.#whenAnswered(delivery, policy.bounds(delivery, site, source, pool), now, (bounds, at) =>
        // Meanwhile another node may have acquired the lease of the address.
        source.usable(at)
          ? queues.enqueue(delivery, site, source, pool, at, bounds)
          : this.#dispatch(delivery),
      );
    }
    if (selected.kind === 'elsewhere') return this.#elsewhere(delivery, now);
    if (selected.kind === 'release') {
      if (selected.pool === undefined) {
        results.release(delivery, selected.code, selected.text, selected.until, selected.lasts);
      } else results.sendOn(delivery, selected.pool, selected.code, selected.text);
      return true;
    }
    const text = describe(selected.by);
    queues.unconnected(
      delivery,
      { kind: 'unsent', phase: 'connect', code: 'stopped_by_directive', text },
      now,
    );
    return true;
  }

  /** Goes on with a delivery whose pool was changed to one that sends to another place. */
  #elsewhere(delivery: Delivery, now: number): boolean {
    const way = this.#options.selector.wayOf(delivery.pool);
    delivery.toSmarthost = way.kind === 'smarthost';
    // A policy that answers by site would otherwise send it to and fro.
    delivery.moved = true;
    if (way.kind === 'smarthost') return this.#toSite(delivery, routed(way), now);
    return this.#toDomain(delivery, now);
  }

  #toDomain(delivery: Delivery, now: number): boolean {
    const { destinations } = this.#options;
    const { domain } = delivery;
    const known = destinations.known(domain, now);
    if (known !== undefined) return this.#toSite(delivery, known, now);
    this.#lookUp(delivery, `domain ${domain}`, () => destinations.find(domain));
    return true;
  }

  /**
   * Begins nothing more; what waits is put back at once.
   * @returns when every delivery has ended or been put back; those under way end by themselves.
   */
  async stop(): Promise<void> {
    const { queues, results, settler } = this.#options;
    this.#stopping = true;
    queues.close(STOPPED);
    const waiting = [...this.#lookups.values()].flatMap((deliveries) => deliveries.splice(0));
    for (const delivery of [...waiting, ...this.#asking]) {
      results.release(delivery, STOPPED.code, STOPPED.text, 0);
    }
    this.#asking.clear();
    this.#simulated.flush();
    await results.answered();
    await settler.drained();
  }

  /** Ends the connections that are left. */
  destroy(): void {
    this.#options.queues.destroy(STOPPED.text);
  }
}
