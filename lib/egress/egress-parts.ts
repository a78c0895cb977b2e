/**
 * The parts of egress and how they are connected; `egress.ts` runs and shows them. Some need each other, as dispatcher
 * and queues do: each reaches the other only when a call comes, once all of them are there.
 */
import type { Directive } from '../directives/directive.ts';
import { silentLog } from '../log.ts';
import { poolDocument } from '../routing/pools.ts';
import { type RoutingTable, readRouting } from '../routing/router.ts';
import { LimitBook } from '../shaping/limits/book.ts';
import type { LimitTable } from '../shaping/limits/limit.ts';
import { limitTable } from '../shaping/limits/table.ts';
import { createSmtpClient, type SmtpClient } from '../smtp/client.ts';
import { DEFAULT_DEADLINES } from '../smtp/deadlines.ts';
import { AttemptRecorder } from './attempt.ts';
import { newCounters } from './counters.ts';
import { Destinations } from './destination.ts';
import { DirectiveView } from './directive-view.ts';
import { Dispatcher } from './dispatcher.ts';
import { InFlight, type InFlightLimits } from './in-flight.ts';
import { LaneConsumers } from './lane-consumer.ts';
import { EgressPolicy } from './policy.ts';
import { QueueManager } from './queues.ts';
import { ReplyObserver } from './reply-observer.ts';
import { Routes } from './routes.ts';
import { Settler } from './settler.ts';
import { ShapingCheckpoints } from './shaping-checkpoints.ts';
import { SharedLimits } from './shared-limits.ts';
import { SourceLeases } from './source-leases.ts';
import { SourceSelector } from './source-selection.ts';
import { TlsFallback } from './tls-fallback.ts';
import type { EgressOptions } from './types.ts';
import { WarmupCheckpoints } from './warmup-checkpoints.ts';

/** The 30 nodes of a cell hold half of the 120,000 messages that a queue of SQS may have in flight. */
const IN_FLIGHT: InFlightLimits = { items: 2_000, bytes: 48 * 1024 * 1024 };
/** How long what is leased from a lane is this node's, ms. */
export const VISIBILITY = 120_000;

export class EgressParts {
  readonly counters = newCounters();
  readonly #options: EgressOptions;
  readonly startLimits: LimitTable;
  readonly startRouting: RoutingTable;
  readonly limits: LimitBook;
  readonly inFlight: InFlight;
  readonly settler: Settler;
  readonly sources: SourceLeases;
  readonly shapingCheckpoints: ShapingCheckpoints;
  readonly warmupCheckpoints: WarmupCheckpoints | undefined;
  readonly shared: SharedLimits;
  readonly directives: DirectiveView;
  readonly selector: SourceSelector;
  readonly policy: EgressPolicy | undefined;
  readonly observer: ReplyObserver;
  readonly destinations: Destinations;
  readonly queues: QueueManager;
  readonly tlsFallback = new TlsFallback();
  readonly client: Pick<SmtpClient, 'open' | 'forget'>;
  readonly dispatcher: Dispatcher;
  readonly lanes = new LaneConsumers();
  #refreshQueued = false;

  constructor(options: EgressOptions) {
    const { engine, clock, random, resolver, hooks, routes = [], port = 25 } = options;
    const { counters } = this;
    this.#options = options;
    this.startLimits = limitTable(options.limits);
    this.startRouting = options.routing ?? readRouting({ pools: poolDocument(options.pools ?? {}) }, 'pools');
    this.limits = new LimitBook(this.startLimits);
    this.inFlight = new InFlight(engine.queue, options.inHand ?? IN_FLIGHT, VISIBILITY);
    this.settler = new Settler({
      queue: engine.queue,
      records: engine.records,
      clock,
      log: options.log ?? silentLog,
      inFlight: this.inFlight,
      lanes: this.lanes,
      refused: () => (counters.storageRefused += 1),
    });
    const { open, forgetHost = () => false, forgotten } = options;
    this.client = open === undefined ? createSmtpClient(clock) : { open, forget: forgetHost };
    this.shapingCheckpoints = new ShapingCheckpoints(
      engine.leases,
      clock,
      (site) => forgotten?.at(site) ?? 0,
    );
    this.sources = this.#openSources();
    this.warmupCheckpoints = this.#openWarmup();
    this.shared = new SharedLimits({
      leases: engine.leases,
      clock,
      random,
      node: options.node,
      counts: counters,
    });
    this.directives = new DirectiveView(options.directives);
    this.selector = new SourceSelector(
      this.sources,
      this.directives,
      options.warmup,
      this.startRouting,
      options.othersServe ?? false,
    );
    this.policy = hooks && new EgressPolicy(hooks, (directive) => this.raise([directive], []));
    this.observer = new ReplyObserver(
      { raise: (raise, lift) => this.raise(raise, lift), warmup: options.warmup, onAlert: options.onAlert },
      options.rules,
    );
    this.destinations = new Destinations({ resolver, clock, routes: new Routes(routes), port });
    const parts = {
      clock,
      random,
      counters,
      inFlight: this.inFlight,
      settler: this.settler,
      destinations: this.destinations,
      policy: this.policy,
      retry: options.retry,
      onAttempt: options.onAttempt,
    };
    const results = new AttemptRecorder(parts);
    this.queues = new QueueManager({
      ...parts,
      ledger: engine.ledger,
      results,
      sources: this.sources,
      tlsFallback: this.tlsFallback,
      limits: this.limits,
      shared: this.shared,
      observer: this.observer,
      warmup: options.warmup,
      deadlines: options.deadlines ?? DEFAULT_DEADLINES,
      open: this.client.open,
      redispatch: (deliveries) => this.dispatcher.redispatch(deliveries),
    });
    const { laneGroups } = options;
    const ways = { selector: this.selector, queues: this.queues, laneGroups };
    this.dispatcher = new Dispatcher({ ...parts, ...ways, engine, results });
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
        await this.warmupCheckpoints?.acquired(source.ip ?? '');
        await this.shapingCheckpoints.acquired(source);
        this.lanes.release();
      },
      onLost: (source) => {
        this.counters.leasesLost += 1;
        this.warmupCheckpoints?.lost(source.ip ?? '');
        this.shapingCheckpoints.lost(source);
        this.queues.closeSource(source);
      },
      onRenewalFailed: () => (this.counters.leaseFailures += 1),
      onRelease: async (source) => {
        const warmup = this.warmupCheckpoints?.release(source.ip ?? '');
        await Promise.allSettled([warmup, this.shapingCheckpoints.release(source)]);
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
      holds: (ip) => this.sources.byIp(ip)?.usable(clock.now()) ?? false,
      holder: (ip) => this.sources.byIp(ip)?.holder,
      reports: warmupReports,
    });
  }

  // — directives —

  raise(raise: readonly Directive[], lift: readonly string[]): void {
    this.directives.raise(raise, lift);
    this.applyDirectives();
  }

  /** Applies directive changes and routes queued deliveries anew. */
  applyDirectives(): void {
    if (!this.directives.refresh(this.#options.clock.now())) return;
    if (this.directives.limitsChanged()) this.limits.order(this.directives.limits);
    this.routeAnew();
  }

  /** Routes anew all mail that waits, and leases what rests in its lane: what keeps it may have changed. */
  routeAnew(): void {
    this.queues.requeueAll();
    this.lanes.release();
  }

  /** Applies all directives that change within one turn of the event loop at once. */
  refreshSoon(): void {
    if (this.#refreshQueued) return;
    this.#refreshQueued = true;
    setImmediate(() => {
      this.#refreshQueued = false;
      this.applyDirectives();
    });
  }
}
