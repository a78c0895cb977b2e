/** What egress is given, and what it shows: its contract with the processes that run it. */

import type { RuleSet } from '../automation/compile.ts';
import type { Alert } from '../automation/evaluate.ts';
import type { ForgottenSites } from '../control/forgotten-sites.ts';
import type { LaneGroups } from '../control/lane-groups.ts';
import type { WarmupReports } from '../control/warmup-reports.ts';
import type { Resolver } from '../dns/resolver.ts';
import type { Attempt, QueueItem } from '../engine/items.ts';
import type { Engine } from '../engine/ports.ts';
import type { Log } from '../log.ts';
import type { SharedHeld, WaitingFigure } from '../observe/limit-figures.ts';
import type { RetrySchedule } from '../outcome/retry.ts';
import type { Hooks } from '../policy/open.ts';
import type { PoolSetting, PoolUser } from '../routing/pools.ts';
import type { RoutingTable } from '../routing/router.ts';
import type { ExplainQuery, MailExplanation } from '../shaping/explain.ts';
import type { MailInHand } from '../shaping/held-mail.ts';
import type { LimitDocument } from '../shaping/limits/document.ts';
import type { LimitTable } from '../shaping/limits/limit.ts';
import type { ForgottenLessons } from '../shaping/site-memory.ts';
import type { SmtpClient } from '../smtp/client.ts';
import type { SmtpDeadlines } from '../smtp/types.ts';
import type { Clock, Random } from '../time.ts';
import type { WarmupBook } from '../warmup/book.ts';
import type { Counters } from './counters.ts';
import type { WaitStatus } from './delivery.ts';
import type { ActiveDirectives } from './directive-view.ts';
import type { InFlightLimits } from './in-flight.ts';
import type { Route } from './routes.ts';

export interface EgressOptions {
  engine: Engine;
  resolver: Resolver;
  clock: Clock;
  random: Random;
  /** Name of this node: it holds the leases of the source IPs, and is the same after a restart. */
  node: string;
  /** Name for EHLO: that of the PTR record of the source address. */
  ehloName: string;
  /** EHLO name by source IP, where it differs. */
  ehloNames?: Readonly<Record<string, string>>;
  /** Source addresses (POSTERN_EGRESS_IPS); none: the host's default. */
  ips?: readonly string[];
  /** Address of this host by source IP, where the network translates it (an Elastic IP). */
  localAddresses?: Readonly<Record<string, string>>;
  /** Source addresses by pool; a pool without an entry uses all. */
  pools?: Readonly<Record<string, PoolSetting>>;
  /** Pools whose lanes are served; absent: `default`, those that have addresses, and every lane that is found. */
  serves?: readonly string[];
  /** Other nodes serve other pools: mail that a directive sends on to one of theirs goes into its lanes. */
  othersServe?: boolean;
  /** Destination port (POSTERN_SMTP_PORT). */
  port?: number;
  /** Static routes (POSTERN_ROUTES). */
  routes?: readonly Route[];
  /** Limits over the built-in ones. */
  limits?: LimitDocument;
  deadlines?: SmtpDeadlines;
  /** Pools and splits as a checked document; in place of `pools`. */
  routing?: RoutingTable;
  /** Budgets of IPs that warm up. */
  warmup?: WarmupBook;
  /** Complaints and late bounces about mail of these IPs. */
  warmupReports?: WarmupReports;
  /** What operators and rules order. */
  directives?: ActiveDirectives;
  /** Rules of automation, compiled; what they find is raised among the directives. */
  rules?: RuleSet;
  /** The policy in TypeScript; absent: this process runs none. */
  hooks?: Hooks;
  /** Called with alerts that rules give. Must not throw. */
  onAlert?: (alert: Alert) => void;
  /** Called with the provider of a domain's hosts, so that more of it waits in the lane of its provider. */
  laneGroups?: Pick<LaneGroups, 'found'>;
  /** The retry schedule of a configuration set. */
  retry?: (configurationSet: string | undefined, tenant: string) => RetrySchedule;
  /** What may be held at once. */
  inHand?: InFlightLimits;
  /** Called with every attempt, for logs. Must not throw. */
  onAttempt?: (item: QueueItem, attempt: Attempt) => void;
  /** Where settlements go that the storage refuses for good. Default: nowhere. */
  log?: Pick<Log, 'error'>;
  /** Opens SMTP sessions; another one than the real in tests. */
  open?: SmtpClient['open'];
  /** Forgets how a host is spoken to, with an `open` that remembers it. */
  forgetHost?: SmtpClient['forget'];
  /** Orders to forget sites. */
  forgotten?: Pick<ForgottenSites, 'at' | 'watch'>;
}

/** A site as seen by an operator: what waits for it here, and why. */
export interface SiteState {
  site: string;
  provider: string;
  ip: string | undefined;
  requireTls: boolean;
  /** Deliveries that wait here for a connection. */
  waiting: number;
  /** Connections open or being opened. */
  connections: number;
  /** Attempts a second, lately. */
  rate: number;
  /** Connection faults in a row. */
  failures: number;
  /** Why nothing is sent now, and until when. */
  reason?: { code: string; text: string; until: number };
}

export interface Egress {
  readonly counters: Counters;
  /** What is in hand and open at this moment. */
  gauges(): { items: number; bytes: number; connections: number; sites: number; unsettledFailures: number };
  sites(): SiteState[];
  /** What it holds of shared limits, and what binds the mail that waits for a connection. */
  sharedHeld(): SharedHeld;
  waiting(): WaitingFigure[];
  /**
   * Why mail waits: every limit that holds for it, which rule set it, and which one is binding now.
   * @throws PosternError `bad_request` when the query names neither a domain nor a site.
   */
  explain(query: ExplainQuery): Promise<MailExplanation[]>;
  /** What this node has in hand, by where it goes and whose it is. */
  held(): MailInHand;
  /** Why a delivery that this node has in hand waits; undefined when it is under way, or not here. */
  waitStatus(messageId: string, n: number): WaitStatus | undefined;
  /** Why nothing is leased from a lane, and until when its mail is kept; undefined: it is leased. */
  laneRest(lane: string): WaitStatus | undefined;
  /**
   * Replaces the limits, with undefined by those that it was started with; what has been counted goes on being
   * counted.
   */
  setLimits(table: LimitTable | undefined): void;
  /** Replaces the limits that it was started with, in force only while no others are set. */
  setStartLimits(table: LimitTable): void;
  /** Replaces pools and splits; undefined: those that it was started with. */
  setRouting(table: RoutingTable | undefined): void;
  /** Whether a pool exists, in the document or since the start, and is open to a sender, if one is named. */
  hasPool(name: string, sender?: PoolUser): boolean;
  /** Replaces the rules of automation. */
  setRules(rules: RuleSet | undefined): void;
  /**
   * Forgets what was learnt of a site, from replies and faults, on every source address of this process, and how its
   * hosts are spoken to. What was sent goes on being counted. Ends what rules have raised for it.
   */
  forget(site: string): ForgottenLessons;
  /** The source addresses and whether mail may leave from them. */
  sources(): {
    ip: string | undefined;
    ehloName: string;
    usable: boolean;
    trouble: string;
    connections: number;
  }[];
  /** In-flight transactions end, all else goes back into the queue. Resolves when all of it is durable. */
  stop(): Promise<void>;
}
