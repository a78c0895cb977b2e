/**
 * Takes leased deliveries to the paths that lead to their sites, and what becomes of them back to the queue.
 *
 * ```
 *  take ─► finished before? ─► simulator? ─► destination ─► addresses ─► policy ─► way: directives, IP ─► path
 *             drop               simulate      fault: tried   fault:      pool      none, suspended: put    │
 *                                              smarthost      tried                 back; bounced: tried    │
 *  settler ◄────────────────────────────── results ◄───────────────────────────────── attempted ◄───────┘
 * ```
 */
import type { LaneGroups } from '../control/lane-groups.ts';
import type { Engine, LeasedItem } from '../engine/ports.ts';
import { FINAL_STATES } from '../engine/states.ts';
import { isSimulator } from '../outcome/simulator.ts';
import { Delivery } from './delivery.ts';
import { type Destination, routed, type Target } from './destination.ts';
import { type DirectiveView, describe } from './directive-view.ts';
import type { LaneConsumer } from './lane-consumer.ts';
import type { Reason } from './path-host.ts';
import type { QueueManager, QueueManagerOptions } from './queues.ts';
import type { Settler } from './settler.ts';
import { SimulatedMailboxes } from './simulator.ts';
import type { Site } from './site.ts';
import { NO_SOURCE_DELAY, type SourceSelector } from './source-selection.ts';

export interface DispatcherOptions
  extends Pick<
    QueueManagerOptions,
    'clock' | 'inFlight' | 'destinations' | 'counters' | 'results' | 'policy'
  > {
  engine: Engine;
  settler: Settler;
  directiveView: DirectiveView;
  selector: SourceSelector;
  queues: QueueManager;
  laneGroups: Pick<LaneGroups, 'found'> | undefined;
}

const REFUSED_DELAY = 300_000;
/** Of a domain whose hosts could not be found out. */
const UNKNOWN = { provider: '', name: '', routed: false };
const STOPPED: Reason = { code: 'shutting_down', text: 'The node was stopped.' };

export class Dispatcher {
  readonly #options: DispatcherOptions;
  readonly #simulated: SimulatedMailboxes;
  /** Deliveries that wait for a lookup, by domain or by site. */
  readonly #lookups = new Map<string, Delivery[]>();
  /** Deliveries that wait for what the policy says. */
  readonly #asking = new Set<Delivery>();
  #stopping = false;

  constructor(options: DispatcherOptions) {
    this.#options = options;
    this.#simulated = new SimulatedMailboxes(options.clock, options.settler, options.counters);
  }

  /** Takes what a lane has leased. */
  take(leased: LeasedItem[], lane: LaneConsumer, visibleUntil: number): void {
    const { inFlight, queues } = this.#options;
    const again: Delivery[] = [];
    let overflow = 0;
    for (const one of leased) {
      const delivery = new Delivery(one, lane, visibleUntil);
      inFlight.add(delivery);
      if (one.receives > 1) again.push(delivery);
      else if (!this.#dispatch(delivery)) overflow += 1;
    }
    if (overflow > 0) lane.overflowed(overflow);
    if (again.length > 0) void this.#check(again);
    queues.pumpFed();
  }

  /** Takes deliveries that have to look for their way again. */
  again(deliveries: Delivery[]): void {
    for (const delivery of deliveries) this.#dispatch(delivery);
    this.#options.queues.pumpFed();
  }

  /**
   * Handed out before: whoever had it may have sent it and died before the lease could be ended. Its record
   * tells; without an answer it is put back, because sending blindly would be a duplicate (law 2).
   */
  async #check(deliveries: Delivery[]): Promise<void> {
    const { engine, results, clock, queues } = this.#options;
    await Promise.all(
      deliveries.map(async (delivery) => {
        const { item } = delivery;
        try {
          const state = await engine.records.state(item.messageId, item.n);
          if (state === undefined || !FINAL_STATES.has(state)) this.#dispatch(delivery);
          else results.supersede(delivery, state);
        } catch (error) {
          const text = (error as Error).message;
          results.release(delivery, 'storage_unavailable', text, clock.now() + 1000);
        }
      }),
    );
    queues.pumpFed();
  }

  /** @returns false when there was no room for it at its site. */
  #dispatch(delivery: Delivery): boolean {
    const { clock, results, queues, destinations, selector } = this.#options;
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
    if (route?.kind === 'smarthost') return this.#goTo(delivery, routed(route), now);
    const known = destinations.known(domain, now);
    if (known !== undefined) return this.#goTo(delivery, known, now);
    this.#await(delivery, `domain ${domain}`, () => destinations.find(domain));
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
      const now = this.#options.clock.now();
      for (const each of deliveries) {
        if (!this.#goTo(each, destination, now)) (each.lane as LaneConsumer).overflowed(1);
      }
      this.#options.queues.pumpFed();
    });
  }

  /** Continues with a delivery when the policy has answered: at once if the answer is known. */
  #whenAnswered<T>(
    delivery: Delivery,
    answer: T | Promise<T>,
    now: number,
    goOn: (answer: T, now: number) => boolean,
  ): boolean {
    if (!(answer instanceof Promise)) return goOn(answer, now);
    this.#asking.add(delivery);
    void answer.then((known) => {
      if (!this.#asking.delete(delivery)) return;
      if (!goOn(known, this.#options.clock.now())) (delivery.lane as LaneConsumer).overflowed(1);
      this.#options.queues.pumpFed();
    });
    return true;
  }

  #goTo(delivery: Delivery, destination: Destination, now: number): boolean {
    const { queues, destinations, policy } = this.#options;
    if (destination.kind === 'fault') {
      queues.unusable(delivery, destination, UNKNOWN, now);
      return true;
    }
    const site = queues.siteOf(destination, now);
    const targets = site.targets(now);
    if (targets === undefined) {
      this.#await(delivery, `site ${site.name}`, async () => {
        await site.lookup(destinations);
        return destination;
      });
      return true;
    }
    if (targets.kind === 'fault') {
      queues.unusable(delivery, targets, site, now);
      return true;
    }
    if (!destination.routed) this.#options.laneGroups?.found(delivery.domain, destination.provider);
    const found = targets.targets;
    if (!policy?.routes || delivery.moved) return this.#choose(delivery, site, found, now);
    return this.#whenAnswered(delivery, policy.route(delivery, site), now, (route, at) => {
      if (route !== undefined && !this.#options.selector.hasPool(route.pool)) {
        const text = policy.unknownPool(route);
        this.#options.results.release(delivery, 'no_source_ip', text, at + NO_SOURCE_DELAY);
        return true;
      }
      delivery.pool = route?.pool ?? delivery.pool;
      return this.#choose(delivery, site, found, at);
    });
  }

  #choose(delivery: Delivery, site: Site, targets: readonly Target[], now: number): boolean {
    const { queues, policy, selector, results } = this.#options;
    const choice = selector.select(delivery, site, targets, now);
    if (choice.kind === 'source') {
      const { source, pool } = choice;
      if (!policy?.shapes) return queues.enqueue(delivery, site, source, pool, now);
      return this.#whenAnswered(delivery, policy.bounds(delivery, site, source, pool), now, (bounds, at) =>
        // Meanwhile another node may have taken the address.
        source.usable(at)
          ? queues.enqueue(delivery, site, source, pool, at, bounds)
          : this.#dispatch(delivery),
      );
    }
    if (choice.kind === 'release') results.release(delivery, choice.code, choice.text, choice.until);
    else {
      const text = describe(choice.by);
      queues.unconnected(
        delivery,
        { kind: 'unsent', phase: 'connect', code: 'stopped_by_directive', text },
        now,
      );
    }
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
    for (const waiting of this.#lookups.values()) {
      for (const delivery of waiting.splice(0)) results.release(delivery, STOPPED.code, STOPPED.text, 0);
    }
    for (const delivery of this.#asking) results.release(delivery, STOPPED.code, STOPPED.text, 0);
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
