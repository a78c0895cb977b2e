/**
 * Egress: leases deliveries from their lanes, brings them to the mailbox providers within every limit, and
 * tells the queue what became of each. It moves bytes: it never parses a message.
 */
import { PosternError } from '../errors.ts';
import { familyOf } from '../ip.ts';
import { silentLog } from '../log.ts';
import { DEFAULT_RETRY } from '../outcome/retry.ts';
import { DEFAULT_POOL } from '../routing/pools.ts';
import { type RoutingTable, readRouting } from '../routing/router.ts';
import { LimitBook } from '../shaping/limits/book.ts';
import { limitTable } from '../shaping/limits/table.ts';
import { LANE_GROUPS } from '../shaping/providers.ts';
import { DEFAULT_DEADLINES } from '../smtp/deadlines.ts';
import { openSession } from '../smtp/session.ts';
import { newCounters } from './counters.ts';
import { Destinations } from './destination.ts';
import { DirectiveView } from './directive-view.ts';
import { Dispatcher } from './dispatcher.ts';
import { explainMail } from './explain.ts';
import { InFlight, type InFlightLimits } from './in-flight.ts';
import { LaneConsumer } from './lane-consumer.ts';
import { EgressPolicy } from './policy.ts';
import { waitingByLimit } from './queue-metrics.ts';
import { QueueManager } from './queues.ts';
import { ReplyObserver } from './reply-observer.ts';
import { Results } from './results.ts';
import { Routes } from './routes.ts';
import { Settler } from './settler.ts';
import { ShapingCheckpoints } from './shaping-checkpoints.ts';
import { SharedLimits } from './shared-limits.ts';
import { siteStates } from './site-states.ts';
import { SourceLeases } from './source-leases.ts';
import { SourceSelector } from './source-selection.ts';
import { TlsFallback } from './tls-fallback.ts';
import type { Egress, EgressOptions } from './types.ts';
import { WarmupCheckpoints } from './warmup-checkpoints.ts';

const IN_HAND: InFlightLimits = { items: 2_000, bytes: 48 * 1024 * 1024 };
const VISIBILITY = 120_000;
const TICK = 1_000;
/** In-flight transactions are given so long at stop; then they are cut off. */
const STOP_DEADLINE = 20_000;
const STOP_POLL = 50;

/** @throws PosternError `bad_request` for a source address that is none. */
export function startEgress(options: EgressOptions): Egress {
  const { engine, clock, random, resolver } = options;
  const { ips = [], pools = {}, routes = [], port = 25, warmup } = options;
  let routing = options.routing ?? readRouting({ pools: mapPools(pools) }, 'pools');
  const ownLimits = limitTable(options.limits);
  const limits = new LimitBook(ownLimits);
  for (const ip of ips) {
    if (familyOf(ip) === 0)
      throw new PosternError('bad_request', `Source address "${ip}" is not an IP address.`);
  }
  const counters = newCounters();
  const consumers = new Map<string, LaneConsumer>();
  const stopConsuming = new AbortController();
  const inFlight = new InFlight(engine.queue, options.inHand ?? IN_HAND, VISIBILITY);
  const settler = new Settler({
    queue: engine.queue,
    records: engine.records,
    clock,
    log: options.log ?? silentLog,
    settled: (deliveries) => {
      for (const delivery of deliveries) inFlight.remove(delivery);
      for (const consumer of consumers.values()) consumer.roomMade(false);
    },
    refused: () => (counters.storageRefused += 1),
  });
  const sources = new SourceLeases({
    leases: engine.leases,
    clock,
    node: options.node,
    ips,
    ehloName: options.ehloName,
    ehloNames: options.ehloNames ?? {},
    localAddresses: options.localAddresses ?? {},
    async onAcquired(source) {
      await warmupCheckpoints?.acquired(source.ip ?? '');
      await shapingCheckpoints.acquired(source);
    },
    onLost(source) {
      counters.leasesLost += 1;
      warmupCheckpoints?.lost(source.ip ?? '');
      shapingCheckpoints.lost(source);
      queues.closeSource(source);
    },
    onRenewalFailed: () => (counters.leaseFailures += 1),
    async onRelease(source) {
      await Promise.allSettled([
        warmupCheckpoints?.release(source.ip ?? ''),
        shapingCheckpoints.release(source),
      ]);
    },
  });
  const shapingCheckpoints = new ShapingCheckpoints(engine.leases, clock);
  const warmupCheckpoints =
    warmup &&
    new WarmupCheckpoints({
      book: warmup,
      leases: engine.leases,
      clock,
      holds: (ip) => sources.byIp(ip)?.usable(clock.now()) ?? false,
      holder: (ip) => sources.byIp(ip)?.holder,
      reports: options.warmupReports,
    });
  const directiveView = new DirectiveView(options.directives);
  const selector = new SourceSelector(sources, directiveView, warmup, routing);
  const policy =
    options.hooks &&
    new EgressPolicy(options.hooks, (directive) => {
      directiveView.raise([directive], []);
      applyDirectives();
    });
  const unwatch = [
    options.hooks?.watch(() => queues.requeueAll()),
    // One look for all that change in one go.
    options.directives?.watch(() => {
      if (refreshQueued) return;
      refreshQueued = true;
      setImmediate(() => {
        refreshQueued = false;
        applyDirectives();
      });
    }),
  ];
  const observer = new ReplyObserver(
    { directiveView, warmup, onAlert: options.onAlert, onDirectivesChanged: () => applyDirectives() },
    options.rules,
  );
  const results = new Results({
    clock,
    random,
    inFlight,
    settler,
    counters,
    retry: options.retry ?? (() => DEFAULT_RETRY),
    onAttempt: options.onAttempt,
  });
  const destinations = new Destinations({ resolver, clock, routes: new Routes(routes), port });
  const deadlines = options.deadlines ?? DEFAULT_DEADLINES;
  const shared = new SharedLimits(engine.leases, clock, options.node, counters);
  const queues = new QueueManager({
    clock,
    random,
    inFlight,
    sources,
    destinations,
    tlsFallback: new TlsFallback(),
    limits,
    shared,
    observer,
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
    inFlight,
    settler,
    destinations,
    counters,
    results,
    directiveView,
    selector,
    policy,
    queues,
    laneGroups: options.laneGroups,
  });

  let refreshQueued = false;
  /** Follows directives; what waits looks for its way again when they changed. */
  function applyDirectives(): void {
    if (!directiveView.refresh(clock.now())) return;
    if (directiveView.limitsChanged()) limits.order(directiveView.limits);
    queues.requeueAll();
  }

  function pull(lane: string): void {
    if (consumers.has(lane) || stopConsuming.signal.aborted) return;
    const consumer = new LaneConsumer({
      lane,
      queue: engine.queue,
      clock,
      inFlight,
      visibility: VISIBILITY,
      signal: stopConsuming.signal,
      open: (pool) => sources.mayLease(addressesOf(routing, pool), clock.now()),
      take: (leased, from, visibleUntil) => dispatcher.take(leased, from, visibleUntil),
    });
    consumers.set(lane, consumer);
  }

  let keeping = false;
  /** Asks of the storage what it takes its time for: nothing else waits for it. */
  async function keep(): Promise<void> {
    if (keeping) return;
    keeping = true;
    try {
      await inFlight.extend(clock.now());
      if (options.serves === undefined) for (const { lane } of await engine.queue.lanes()) pull(lane);
    } catch {
      // Storage trouble shows in its own health check; the next tick tries again.
    }
    keeping = false;
  }

  function tick(): void {
    void keep();
    applyDirectives();
    queues.tick();
    for (const consumer of consumers.values()) consumer.roomMade(true);
    if (!stopConsuming.signal.aborted) cancelTick = clock.after(TICK, tick);
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
    stopConsuming.abort();
    await started;
    cancelTick();
    for (const end of unwatch) end?.();
    for (const consumer of consumers.values()) consumer.stop();
    await dispatcher.stop();
    while (queues.connections > 0 && clock.now() < deadline) {
      await new Promise<void>((resolve) => void clock.after(STOP_POLL, resolve));
    }
    dispatcher.destroy();
    await Promise.all([...consumers.values()].map((consumer) => consumer.ended));
    await dispatcher.stop();
    await shared.stop();
    await sources.stop();
    warmupCheckpoints?.stop();
    shapingCheckpoints.stop();
  }

  let stopped: Promise<void> | undefined;
  return {
    counters,
    gauges: () => ({
      items: inFlight.items,
      bytes: inFlight.bytes,
      connections: queues.connections,
      sites: queues.sites.size,
      unsettledFailures: settler.failures,
    }),
    sites: () => siteStates(queues, clock.now()),
    sharedHeld: () => shared.held(clock.now()),
    waiting: () => waitingByLimit(queues, clock.now()),
    explain: (query) =>
      explainMail(query, {
        queues,
        sources,
        directiveView,
        limits,
        destinations,
        deadlines,
        policy,
        warmup,
        clock,
      }),
    waitStatus(messageId, n) {
      const delivery = inFlight.find(messageId, n);
      return delivery?.path?.waitStatus(delivery, clock.now());
    },
    setLimits(table) {
      limits.replace(table ?? ownLimits);
      queues.requeueAll();
    },
    setRouting(table) {
      routing = table ?? readRouting({ pools: mapPools(pools) }, 'routing');
      selector.setTable(routing);
      queues.requeueAll();
    },
    hasPool: (name) => selector.hasPool(name),
    setRules(rules) {
      observer.rules = rules;
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
