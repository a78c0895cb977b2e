/**
 * Egress: leases deliveries from their lanes, brings them to the mailbox providers within every limit, and settles
 * each with the queue. It moves bytes: it never parses a message.
 */
import type { RuleSet } from '../automation/compile.ts';
import { PosternError } from '../errors.ts';
import { familyOf } from '../ip.ts';
import type { SharedHeld, WaitingFigure } from '../observe/limit-figures.ts';
import { DEFAULT_POOL, type PoolUser } from '../routing/pools.ts';
import type { RoutingTable } from '../routing/router.ts';
import type { ExplainQuery, MailExplanation } from '../shaping/explain.ts';
import type { MailInHand } from '../shaping/held-mail.ts';
import type { LimitTable } from '../shaping/limits/limit.ts';
import { LANE_GROUPS } from '../shaping/providers.ts';
import type { ForgottenLessons } from '../shaping/site-memory.ts';
import { hostsOf } from '../shaping/sites.ts';
import { DEFAULT_DEADLINES } from '../smtp/deadlines.ts';
import type { Counters } from './counters.ts';
import type { WaitStatus } from './delivery.ts';
import { EgressParts, VISIBILITY } from './egress-parts.ts';
import { explainMail } from './explain.ts';
import { heldMail } from './held-mail.ts';
import { waitingByLimit } from './queue-metrics.ts';
import { siteStates } from './site-states.ts';
import type { Egress, EgressOptions, SiteState } from './types.ts';

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
  readonly #options: EgressOptions;
  readonly #parts: EgressParts;
  #startLimits: LimitTable;
  readonly #started: Promise<void>;
  readonly #unwatch: ((() => void) | undefined)[];
  #stopped: Promise<void> | undefined;
  #cancelTick: () => void = () => undefined;
  #maintaining = false;

  constructor(options: EgressOptions) {
    const { clock, hooks, directives, forgotten, engine } = options;
    this.#options = options;
    this.#parts = new EgressParts(options);
    this.#startLimits = this.#parts.startLimits;
    this.#parts.lanes.start({
      queue: engine.queue,
      clock,
      inFlight: this.#parts.inFlight,
      visibility: VISIBILITY,
      selector: this.#parts.selector,
      dispatcher: this.#parts.dispatcher,
    });
    this.#unwatch = [
      hooks?.watch(() => this.#parts.routeAnew()),
      directives?.watch(() => this.#parts.refreshSoon()),
      forgotten?.watch((site) => void this.forget(site)),
    ];
    this.#started = this.#parts.sources.start().then(() => this.#begin());
  }

  get counters(): Counters {
    return this.#parts.counters;
  }

  // — time —

  #begin(): void {
    for (const pool of this.#options.serves ?? new Set([DEFAULT_POOL, ...this.#parts.selector.pools])) {
      for (const group of LANE_GROUPS) {
        this.#parts.lanes.add(`${pool}:transactional:${group}`);
        this.#parts.lanes.add(`${pool}:bulk:${group}`);
      }
    }
    this.#tick();
  }

  #tick(): void {
    void this.#maintain();
    this.#parts.applyDirectives();
    this.#parts.queues.tick();
    this.#parts.lanes.roomMade(true);
    if (!this.#parts.lanes.stopped) this.#cancelTick = this.#options.clock.after(TICK, () => this.#tick());
  }

  /** Extends leases and looks for new lanes: nothing waits for the storage's answers. */
  async #maintain(): Promise<void> {
    if (this.#maintaining) return;
    this.#maintaining = true;
    const { engine, clock, serves } = this.#options;
    try {
      await this.#parts.inFlight.extend(clock.now());
      if (serves === undefined)
        for (const { lane } of await engine.queue.lanes()) this.#parts.lanes.add(lane);
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
    this.#parts.lanes.stop();
    await this.#started;
    this.#cancelTick();
    for (const end of this.#unwatch) end?.();
    await this.#parts.dispatcher.stop();
    while (this.#parts.queues.connections > 0 && clock.now() < deadline) {
      await new Promise<void>((resolve) => void clock.after(STOP_POLL, resolve));
    }
    this.#parts.dispatcher.destroy();
    await this.#parts.lanes.ended();
    await this.#parts.dispatcher.stop();
    await this.#parts.shared.stop();
    await this.#parts.sources.stop();
    this.#parts.warmupCheckpoints?.stop();
    this.#parts.shapingCheckpoints.stop();
  }

  // — what it shows —

  gauges(): ReturnType<Egress['gauges']> {
    return {
      items: this.#parts.inFlight.items,
      bytes: this.#parts.inFlight.bytes,
      connections: this.#parts.queues.connections,
      sites: this.#parts.queues.sites.size,
      unsettledFailures: this.#parts.settler.failures,
    };
  }

  sites(): SiteState[] {
    return siteStates(this.#parts.queues, this.#options.clock.now());
  }

  sharedHeld(): SharedHeld {
    return this.#parts.shared.held(this.#options.clock.now());
  }

  waiting(): WaitingFigure[] {
    return waitingByLimit(this.#parts.queues, this.#options.clock.now());
  }

  explain(query: ExplainQuery): Promise<MailExplanation[]> {
    const { clock, warmup, deadlines = DEFAULT_DEADLINES } = this.#options;
    return explainMail(query, {
      queues: this.#parts.queues,
      sources: this.#parts.sources,
      directives: this.#parts.directives,
      selector: this.#parts.selector,
      limits: this.#parts.limits,
      destinations: this.#parts.destinations,
      policy: this.#parts.policy,
      deadlines,
      warmup,
      clock,
    });
  }

  held(): MailInHand {
    const { inFlight, queues } = this.#parts;
    return heldMail(inFlight.all(), queues, this.#options.clock.now());
  }

  waitStatus(messageId: string, n: number): WaitStatus | undefined {
    const delivery = this.#parts.inFlight.find(messageId, n);
    return delivery?.slot?.waitStatus(delivery, this.#options.clock.now());
  }

  laneRest(lane: string): WaitStatus | undefined {
    return this.#parts.lanes.rest(lane);
  }

  sources(): ReturnType<Egress['sources']> {
    const now = this.#options.clock.now();
    return this.#parts.sources.all.map((source) => ({
      ip: source.ip,
      ehloName: source.ehloName,
      usable: source.usable(now),
      trouble: source.trouble,
      connections: source.connections.open,
    }));
  }

  // — what may be set while it runs —

  forget(site: string): ForgottenLessons {
    const { clock, directives, port = 25 } = this.#options;
    const now = clock.now();
    this.#parts.observer.state.forgetSite(site);
    const raised = (directives?.list() ?? []).filter(
      (one) => 'rule' in one.origin && one.match.site === site,
    );
    this.#parts.raise(
      [],
      raised.map(({ id }) => id),
    );
    const known = this.#parts.queues.sites.get(site);
    const hosts = hostsOf(site).filter((host) => {
      const tls = this.#parts.tlsFallback.forget(host, now);
      return this.#parts.client.forget(host, known?.address.port ?? port) || tls;
    });
    return { sources: this.#parts.queues.forgetLessons(site), hosts };
  }

  setLimits(table: LimitTable | undefined): void {
    this.#parts.limits.replace(table ?? this.#startLimits);
    this.#parts.routeAnew();
  }

  setStartLimits(table: LimitTable): void {
    const inForce = this.#parts.limits.uses(this.#startLimits);
    this.#startLimits = table;
    if (inForce) this.setLimits(undefined);
  }

  setRouting(table: RoutingTable | undefined): void {
    this.#parts.selector.setTable(table ?? this.#parts.startRouting);
    this.#parts.routeAnew();
  }

  hasPool(name: string, sender?: PoolUser): boolean {
    return this.#parts.selector.hasPool(name, sender);
  }

  setRules(rules: RuleSet | undefined): void {
    this.#parts.observer.rules = rules;
  }
}
