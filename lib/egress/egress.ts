/**
 * Egress: leases deliveries from their lanes, brings them to the mailbox providers within every limit, and
 * tells the queue what became of each. It moves bytes: it never parses a message.
 */
import type { RuleSet } from '../automation/compile.ts';
import type { Directive } from '../directives/directive.ts';
import { PosternError } from '../errors.ts';
import { familyOf } from '../ip.ts';
import { silentLog } from '../log.ts';
import type { SharedHeld, WaitingFigure } from '../observe/limit-figures.ts';
import { DEFAULT_POOL, type PoolUser, poolDocument } from '../routing/pools.ts';
import { type RoutingTable, readRouting } from '../routing/router.ts';
import type { ExplainQuery, MailExplanation } from '../shaping/explain.ts';
import { LimitBook } from '../shaping/limits/book.ts';
import type { LimitTable } from '../shaping/limits/limit.ts';
import { limitTable } from '../shaping/limits/table.ts';
import { LANE_GROUPS } from '../shaping/providers.ts';
import type { ForgottenLessons } from '../shaping/site-memory.ts';
import { hostsOf } from '../shaping/sites.ts';
import { createSmtpClient, type SmtpClient } from '../smtp/client.ts';
import { DEFAULT_DEADLINES } from '../smtp/deadlines.ts';
import { AttemptRecorder } from './attempt.ts';
import { newCounters } from './counters.ts';
import type { WaitStatus } from './delivery.ts';
import { Destinations } from './destination.ts';
import { DirectiveView } from './directive-view.ts';
import { Dispatcher } from './dispatcher.ts';
import { explainMail } from './explain.ts';
import { InFlight, type InFlightLimits } from './in-flight.ts';
import { LaneConsumers } from './lane-consumer.ts';
import { EgressPolicy } from './policy.ts';
import { waitingByLimit } from './queue-metrics.ts';
import { QueueManager } from './queues.ts';
import { ReplyObserver } from './reply-observer.ts';
import { Routes } from './routes.ts';
import { Settler } from './settler.ts';
import { ShapingCheckpoints } from './shaping-checkpoints.ts';
import { SharedLimits } from './shared-limits.ts';
import { siteStates } from './site-states.ts';
import { SourceLeases } from './source-leases.ts';
import { SourceSelector } from './source-selection.ts';
import { TlsFallback } from './tls-fallback.ts';
import type { Egress, EgressOptions, SiteState } from './types.ts';
import { WarmupCheckpoints } from './warmup-checkpoints.ts';

const IN_FLIGHT: InFlightLimits = { items: 2_000, bytes: 48 * 1024 * 1024 };
const VISIBILITY = 120_000;
const TICK = 1_000;
/** Time for in-flight transactions at stop, ms; then they are cut off. */
const STOP_DEADLINE = 20_000;
const STOP_POLL = 50;

/** @throws PosternError `bad_request` for a source address that is none. */
export function startEgress(options: EgressOptions): Egress {
  for (const ip of options.ips ?? []) {
    if (familyOf(ip) === 0)
      throw new PosternError('bad_request', `Source address "${ip}" is not an IP address.`);
  }
  return new EgressNode(options);
}

class EgressNode implements Egress {
  readonly counters = newCounters();
  readonly #options: EgressOptions;
  #startLimits: LimitTable;
  readonly #startRouting: RoutingTable;
  readonly #limits: LimitBook;
  readonly #inFlight: InFlight;
  readonly #settler: Settler;
  readonly #sources: SourceLeases;
  readonly #shapingCheckpoints: ShapingCheckpoints;
  readonly #warmupCheckpoints: WarmupCheckpoints | undefined;
  readonly #shared: SharedLimits;
  readonly #directives: DirectiveView;
  readonly #selector: SourceSelector;
  readonly #policy: EgressPolicy | undefined;
  readonly #observer: ReplyObserver;
  readonly #destinations: Destinations;
  readonly #queues: QueueManager;
  readonly #tlsFallback = new TlsFallback();
  readonly #client: Pick<SmtpClient, 'open' | 'forget'>;
  readonly #dispatcher: Dispatcher;
  readonly #lanes = new LaneConsumers();
  readonly #started: Promise<void>;
  readonly #unwatch: ((() => void) | undefined)[];
  #stopped: Promise<void> | undefined;
  #cancelTick: () => void = () => undefined;
  #refreshQueued = false;
  #maintaining = false;

  constructor(options: EgressOptions) {
    const { engine, clock, random, resolver, hooks, routes = [], port = 25 } = options;
    const { counters } = this;
    this.#options = options;
    this.#startLimits = limitTable(options.limits);
    this.#startRouting =
      options.routing ?? readRouting({ pools: poolDocument(options.pools ?? {}) }, 'pools');
    this.#limits = new LimitBook(this.#startLimits);
    this.#inFlight = new InFlight(engine.queue, options.inHand ?? IN_FLIGHT, VISIBILITY);
    this.#settler = new Settler({
      queue: engine.queue,
      records: engine.records,
      clock,
      log: options.log ?? silentLog,
      inFlight: this.#inFlight,
      lanes: this.#lanes,
      refused: () => (counters.storageRefused += 1),
    });
    const { open, forgetHost = () => false, forgotten } = options;
    this.#client = open === undefined ? createSmtpClient(clock) : { open, forget: forgetHost };
    this.#shapingCheckpoints = new ShapingCheckpoints(
      engine.leases,
      clock,
      (site) => forgotten?.at(site) ?? 0,
    );
    this.#sources = this.#openSources();
    this.#warmupCheckpoints = this.#openWarmup();
    this.#shared = new SharedLimits(engine.leases, clock, options.node, counters);
    this.#directives = new DirectiveView(options.directives);
    this.#selector = new SourceSelector(this.#sources, this.#directives, options.warmup, this.#startRouting);
    this.#policy = hooks && new EgressPolicy(hooks, (directive) => this.#raise([directive], []));
    this.#observer = new ReplyObserver(
      { raise: (raise, lift) => this.#raise(raise, lift), warmup: options.warmup, onAlert: options.onAlert },
      options.rules,
    );
    this.#destinations = new Destinations({ resolver, clock, routes: new Routes(routes), port });
    const parts = {
      clock,
      random,
      counters,
      inFlight: this.#inFlight,
      settler: this.#settler,
      destinations: this.#destinations,
      policy: this.#policy,
      retry: options.retry,
      onAttempt: options.onAttempt,
    };
    const results = new AttemptRecorder(parts);
    this.#queues = new QueueManager({
      ...parts,
      results,
      sources: this.#sources,
      tlsFallback: this.#tlsFallback,
      limits: this.#limits,
      shared: this.#shared,
      observer: this.#observer,
      warmup: options.warmup,
      deadlines: options.deadlines ?? DEFAULT_DEADLINES,
      open: this.#client.open,
      redispatch: (deliveries) => this.#dispatcher.redispatch(deliveries),
    });
    const { laneGroups } = options;
    const ways = { selector: this.#selector, queues: this.#queues, laneGroups };
    this.#dispatcher = new Dispatcher({ ...parts, ...ways, engine, results });
    this.#lanes.start({
      queue: engine.queue,
      clock,
      inFlight: this.#inFlight,
      visibility: VISIBILITY,
      selector: this.#selector,
      dispatcher: this.#dispatcher,
    });
    this.#unwatch = [
      hooks?.watch(() => this.#queues.requeueAll()),
      options.directives?.watch(() => this.#refreshSoon()),
      forgotten?.watch((site) => void this.forget(site)),
    ];
    this.#started = this.#sources.start().then(() => this.#begin());
  }

  #openSources(): SourceLeases {
    const { engine, clock, node, ips = [], ehloName, ehloNames = {}, localAddresses = {} } = this.#options;
    return new SourceLeases({
      leases: engine.leases,
      clock,
      node,
      ips,
      ehloName,
      ehloNames,
      localAddresses,
      onAcquired: async (source) => {
        await this.#warmupCheckpoints?.acquired(source.ip ?? '');
        await this.#shapingCheckpoints.acquired(source);
      },
      onLost: (source) => {
        this.counters.leasesLost += 1;
        this.#warmupCheckpoints?.lost(source.ip ?? '');
        this.#shapingCheckpoints.lost(source);
        this.#queues.closeSource(source);
      },
      onRenewalFailed: () => (this.counters.leaseFailures += 1),
      onRelease: async (source) => {
        const warmup = this.#warmupCheckpoints?.release(source.ip ?? '');
        await Promise.allSettled([warmup, this.#shapingCheckpoints.release(source)]);
      },
    });
  }

  #openWarmup(): WarmupCheckpoints | undefined {
    const { engine, clock, warmup, warmupReports } = this.#options;
    if (warmup === undefined) return undefined;
    return new WarmupCheckpoints({
      book: warmup,
      leases: engine.leases,
      clock,
      holds: (ip) => this.#sources.byIp(ip)?.usable(clock.now()) ?? false,
      holder: (ip) => this.#sources.byIp(ip)?.holder,
      reports: warmupReports,
    });
  }

  // — directives —

  #raise(raise: readonly Directive[], lift: readonly string[]): void {
    this.#directives.raise(raise, lift);
    this.#applyDirectives();
  }

  /** Applies directive changes and routes queued deliveries anew. */
  #applyDirectives(): void {
    if (!this.#directives.refresh(this.#options.clock.now())) return;
    if (this.#directives.limitsChanged()) this.#limits.order(this.#directives.limits);
    this.#queues.requeueAll();
  }

  /** Applies all directives that change within one turn of the event loop at once. */
  #refreshSoon(): void {
    if (this.#refreshQueued) return;
    this.#refreshQueued = true;
    setImmediate(() => {
      this.#refreshQueued = false;
      this.#applyDirectives();
    });
  }

  // — time —

  #begin(): void {
    for (const pool of this.#options.serves ?? new Set([DEFAULT_POOL, ...this.#selector.pools])) {
      for (const group of LANE_GROUPS) {
        this.#lanes.add(`${pool}:transactional:${group}`);
        this.#lanes.add(`${pool}:bulk:${group}`);
      }
    }
    this.#tick();
  }

  #tick(): void {
    void this.#maintain();
    this.#applyDirectives();
    this.#queues.tick();
    this.#lanes.roomMade(true);
    if (!this.#lanes.stopped) this.#cancelTick = this.#options.clock.after(TICK, () => this.#tick());
  }

  /** Extends leases and looks for new lanes: nothing waits for the storage's answers. */
  async #maintain(): Promise<void> {
    if (this.#maintaining) return;
    this.#maintaining = true;
    const { engine, clock, serves } = this.#options;
    try {
      await this.#inFlight.extend(clock.now());
      if (serves === undefined) for (const { lane } of await engine.queue.lanes()) this.#lanes.add(lane);
    } catch {
      // Storage trouble shows in its own health check; the next tick tries again.
    }
    this.#maintaining = false;
  }

  stop(): Promise<void> {
    return (this.#stopped ??= this.#stop());
  }

  async #stop(): Promise<void> {
    const { clock } = this.#options;
    const deadline = clock.now() + STOP_DEADLINE;
    this.#lanes.stop();
    await this.#started;
    this.#cancelTick();
    for (const end of this.#unwatch) end?.();
    await this.#dispatcher.stop();
    while (this.#queues.connections > 0 && clock.now() < deadline) {
      await new Promise<void>((resolve) => void clock.after(STOP_POLL, resolve));
    }
    this.#dispatcher.destroy();
    await this.#lanes.ended();
    await this.#dispatcher.stop();
    await this.#shared.stop();
    await this.#sources.stop();
    this.#warmupCheckpoints?.stop();
    this.#shapingCheckpoints.stop();
  }

  // — what it shows —

  gauges(): ReturnType<Egress['gauges']> {
    return {
      items: this.#inFlight.items,
      bytes: this.#inFlight.bytes,
      connections: this.#queues.connections,
      sites: this.#queues.sites.size,
      unsettledFailures: this.#settler.failures,
    };
  }

  sites(): SiteState[] {
    return siteStates(this.#queues, this.#options.clock.now());
  }

  sharedHeld(): SharedHeld {
    return this.#shared.held(this.#options.clock.now());
  }

  waiting(): WaitingFigure[] {
    return waitingByLimit(this.#queues, this.#options.clock.now());
  }

  explain(query: ExplainQuery): Promise<MailExplanation[]> {
    const { clock, warmup, deadlines = DEFAULT_DEADLINES } = this.#options;
    return explainMail(query, {
      queues: this.#queues,
      sources: this.#sources,
      directives: this.#directives,
      selector: this.#selector,
      limits: this.#limits,
      destinations: this.#destinations,
      policy: this.#policy,
      deadlines,
      warmup,
      clock,
    });
  }

  waitStatus(messageId: string, n: number): WaitStatus | undefined {
    const delivery = this.#inFlight.find(messageId, n);
    return delivery?.slot?.waitStatus(delivery, this.#options.clock.now());
  }

  sources(): ReturnType<Egress['sources']> {
    const now = this.#options.clock.now();
    return this.#sources.all.map((source) => ({
      ip: source.ip,
      usable: source.usable(now),
      trouble: source.trouble,
      connections: source.connections.open,
    }));
  }

  // — what may be set while it runs —

  forget(site: string): ForgottenLessons {
    const { clock, directives, port = 25 } = this.#options;
    const now = clock.now();
    this.#observer.state.forgetSite(site);
    const raised = (directives?.list() ?? []).filter(
      (one) => 'rule' in one.origin && one.match.site === site,
    );
    this.#raise(
      [],
      raised.map(({ id }) => id),
    );
    const known = this.#queues.sites.get(site);
    const hosts = hostsOf(site).filter((host) => {
      const tls = this.#tlsFallback.forget(host, now);
      return this.#client.forget(host, known?.address.port ?? port) || tls;
    });
    return { sources: this.#queues.forgetLessons(site), hosts };
  }

  setLimits(table: LimitTable | undefined): void {
    this.#limits.replace(table ?? this.#startLimits);
    this.#queues.requeueAll();
  }

  setStartLimits(table: LimitTable): void {
    const inForce = this.#limits.uses(this.#startLimits);
    this.#startLimits = table;
    if (inForce) this.setLimits(undefined);
  }

  setRouting(table: RoutingTable | undefined): void {
    this.#selector.setTable(table ?? this.#startRouting);
    this.#queues.requeueAll();
  }

  hasPool(name: string, sender?: PoolUser): boolean {
    return this.#selector.hasPool(name, sender);
  }

  setRules(rules: RuleSet | undefined): void {
    this.#observer.rules = rules;
  }
}
