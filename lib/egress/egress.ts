/**
 * Egress: leases deliveries from their lanes, brings them to the mailbox providers within every limit, and
 * tells the queue what became of each. It moves bytes: it never parses a message.
 */
import { PosternError } from '../errors.ts';
import { familyOf } from '../ip.ts';
import { silentLog } from '../log.ts';
import { DEFAULT_RETRY } from '../outcome/retry.ts';
import { type RoutingTable, readRouting } from '../routing/router.ts';
import { LimitBook } from '../shaping/limits/book.ts';
import { limitTable } from '../shaping/limits/check.ts';
import { LANE_GROUPS } from '../shaping/providers.ts';
import { DEFAULT_DEADLINES } from '../smtp/deadlines.ts';
import { openSession } from '../smtp/session.ts';
import { newCounters } from './counters.ts';
import { Destinations } from './destination.ts';
import { Orders } from './directive-view.ts';
import { Dispatcher } from './dispatcher.ts';
import { explainMail } from './explain.ts';
import { Hand, type HandLimits } from './in-flight.ts';
import { LanePuller } from './lane-consumer.ts';
import { EgressPolicy } from './policy.ts';
import { waitingByLimit } from './queue-metrics.ts';
import { Traffic } from './queues.ts';
import { Listener } from './reply-observer.ts';
import { Results } from './results.ts';
import { Routes } from './routes.ts';
import { Settler } from './settler.ts';
import { ShapingKeeper } from './shaping-checkpoints.ts';
import { SharedLimits } from './shared-limits.ts';
import { siteStates } from './site-states.ts';
import { Sources } from './source-leases.ts';
import { Ways } from './source-selection.ts';
import { TlsMemory } from './tls-fallback.ts';
import type { Egress, EgressOptions } from './types.ts';
import { WarmupKeeper } from './warmup-checkpoints.ts';

const IN_HAND: HandLimits = { items: 2_000, bytes: 48 * 1024 * 1024 };
const VISIBILITY = 120_000;
const TICK = 1_000;
/** In-flight transactions are given so long at stop; then they are cut off. */
const STOP_DEADLINE = 20_000;
const STOP_POLL = 50;
const DEFAULT_POOL = 'default';

/** @throws PosternError `bad_request` for a source address that is none. */
export function startEgress(options: EgressOptions): Egress {
  const { engine, clock, random, resolver } = options;
  const { ips = [], pools = {}, routes = [], port = 25, warmup } = options;
  let routing = options.routing ?? readRouting({ pools: mapPools(pools) }, 'pools');
  const limits = new LimitBook(limitTable(options.limits));
  for (const ip of ips) {
    if (familyOf(ip) === 0)
      throw new PosternError('bad_request', `Source address "${ip}" is not an IP address.`);
  }
  const counters = newCounters();
  const pullers = new Map<string, LanePuller>();
  const stopPulling = new AbortController();
  const hand = new Hand(engine.queue, options.inHand ?? IN_HAND, VISIBILITY);
  const settler = new Settler({
    queue: engine.queue,
    records: engine.records,
    clock,
    log: options.log ?? silentLog,
    settled: (deliveries) => {
      for (const delivery of deliveries) hand.remove(delivery);
      for (const puller of pullers.values()) puller.roomMade(false);
    },
    refused: () => (counters.storageRefused += 1),
  });
  const sources = new Sources({
    leases: engine.leases,
    clock,
    node: options.node,
    ips,
    ehloName: options.ehloName,
    ehloNames: options.ehloNames ?? {},
    localAddresses: options.localAddresses ?? {},
    async taken(source) {
      await keeper?.taken(source.ip ?? '');
      await memory.taken(source);
    },
    lost(source) {
      counters.leasesLost += 1;
      keeper?.lost(source.ip ?? '');
      memory.lost(source);
      traffic.withdraw(source);
    },
    unanswered: () => (counters.leaseFailures += 1),
    async givenUp(source) {
      await Promise.allSettled([keeper?.giveUp(source.ip ?? ''), memory.giveUp(source)]);
    },
  });
  const memory = new ShapingKeeper(engine.leases, clock);
  const keeper =
    warmup &&
    new WarmupKeeper({
      book: warmup,
      leases: engine.leases,
      clock,
      holds: (ip) => sources.byIp(ip)?.usable(clock.now()) ?? false,
      holder: (ip) => sources.byIp(ip)?.holder,
      reports: options.warmupReports,
    });
  const orders = new Orders(options.directives);
  const ways = new Ways(sources, orders, warmup, routing);
  const policy =
    options.hooks &&
    new EgressPolicy(options.hooks, (directive) => {
      orders.raise([directive], []);
      obey();
    });
  const unwatch = [
    options.hooks?.watch(() => traffic.divertAll()),
    // One look for all that change in one go.
    options.directives?.watch(() => {
      if (looking) return;
      looking = true;
      setImmediate(() => {
        looking = false;
        obey();
      });
    }),
  ];
  const listener = new Listener(
    { orders, warmup, onAlert: options.onAlert, ordered: () => obey() },
    options.rules,
  );
  const results = new Results({
    clock,
    random,
    hand,
    settler,
    counters,
    retry: options.retry ?? (() => DEFAULT_RETRY),
    onAttempt: options.onAttempt,
  });
  const destinations = new Destinations({ resolver, clock, routes: new Routes(routes), port });
  const deadlines = options.deadlines ?? DEFAULT_DEADLINES;
  const shared = new SharedLimits(engine.leases, clock, options.node, counters);
  const traffic = new Traffic({
    clock,
    random,
    hand,
    sources,
    destinations,
    tlsMemory: new TlsMemory(),
    limits,
    shared,
    listener,
    policy,
    warmup,
    deadlines,
    counters,
    results,
    open: options.open ?? openSession,
    again: (deliveries) => dispatcher.again(deliveries),
  });
  const dispatcher = new Dispatcher({
    engine,
    clock,
    hand,
    settler,
    destinations,
    counters,
    results,
    orders,
    ways,
    policy,
    traffic,
    laneGroups: options.laneGroups,
  });

  let looking = false;
  /** Follows directives; what waits looks for its way again when they changed. */
  function obey(): void {
    if (!orders.refresh(clock.now())) return;
    if (orders.limitsChanged()) limits.order(orders.limits);
    traffic.divertAll();
  }

  function pull(lane: string): void {
    if (pullers.has(lane) || stopPulling.signal.aborted) return;
    const puller = new LanePuller({
      lane,
      queue: engine.queue,
      clock,
      hand,
      visibility: VISIBILITY,
      signal: stopPulling.signal,
      open: (pool) => sources.mayLease(addressesOf(routing, pool), clock.now()),
      take: (leased, from, visibleUntil) => dispatcher.take(leased, from, visibleUntil),
    });
    pullers.set(lane, puller);
  }

  let keeping = false;
  /** Asks of the storage what it takes its time for: nothing else waits for it. */
  async function keep(): Promise<void> {
    if (keeping) return;
    keeping = true;
    try {
      await hand.extend(clock.now());
      if (options.serves === undefined) for (const { lane } of await engine.queue.lanes()) pull(lane);
    } catch {
      // Storage trouble shows in its own health check; the next tick tries again.
    }
    keeping = false;
  }

  function tick(): void {
    void keep();
    obey();
    traffic.tick();
    for (const puller of pullers.values()) puller.roomMade(true);
    if (!stopPulling.signal.aborted) cancelTick = clock.after(TICK, tick);
  }

  let cancelTick: () => void = () => undefined;
  const started = sources.start().then(() => {
    for (const pool of options.serves ?? new Set([DEFAULT_POOL, ...routing.pools.keys()])) {
      for (const group of LANE_GROUPS) {
        pull(`${pool}:transactional:${group}`);
        pull(`${pool}:bulk:${group}`);
      }
    }
    tick();
  });

  async function stop(): Promise<void> {
    const deadline = clock.now() + STOP_DEADLINE;
    stopPulling.abort();
    await started;
    cancelTick();
    for (const end of unwatch) end?.();
    for (const puller of pullers.values()) puller.stop();
    await dispatcher.stop();
    while (traffic.connections > 0 && clock.now() < deadline) {
      await new Promise<void>((resolve) => void clock.after(STOP_POLL, resolve));
    }
    dispatcher.destroy();
    await Promise.all([...pullers.values()].map((puller) => puller.ended));
    await dispatcher.stop();
    await shared.stop();
    await sources.stop();
    keeper?.stop();
    memory.stop();
  }

  let stopped: Promise<void> | undefined;
  return {
    counters,
    gauges: () => ({
      items: hand.items,
      bytes: hand.bytes,
      connections: traffic.connections,
      sites: traffic.sites.size,
      unsettledFailures: settler.failures,
    }),
    sites: () => siteStates(traffic, clock.now()),
    sharedHeld: () => shared.held(clock.now()),
    waiting: () => waitingByLimit(traffic, clock.now()),
    explain: (query) =>
      explainMail(query, {
        traffic,
        sources,
        orders,
        limits,
        destinations,
        deadlines,
        policy,
        warmup,
        clock,
      }),
    standing(messageId, n) {
      const delivery = hand.find(messageId, n);
      return delivery?.path?.standing(delivery, clock.now());
    },
    setLimits(document) {
      limits.replace(limitTable(document ?? options.limits));
      traffic.divertAll();
    },
    setRouting(document) {
      routing = readRouting(document ?? { pools: mapPools(pools) }, 'routing');
      ways.route(routing);
      traffic.divertAll();
    },
    hasPool: (name) => ways.knows(name),
    setRules(rules) {
      listener.rules = rules;
    },
    sources: () =>
      sources.all.map((source) => ({
        ip: source.ip,
        usable: source.usable(clock.now()),
        trouble: source.trouble,
        connections: source.connections,
      })),
    stop: () => (stopped ??= stop()),
  };
}

/** From where mail of a pool's lane may leave; undefined: from anywhere, because tenants have pools of their own. */
function addressesOf({ pools, splits }: RoutingTable, pool: string): readonly string[] | undefined {
  const parted = splits.size > 0 || [...pools.values()].some(({ dedicatedTo }) => dedicatedTo !== undefined);
  return parted ? undefined : pools.get(pool)?.ips.map(({ ip }) => ip);
}

function mapPools(pools: Readonly<Record<string, readonly string[]>>): object {
  return Object.fromEntries(Object.entries(pools).map(([name, ips]) => [name, { ips }]));
}
