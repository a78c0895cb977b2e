/**
 * Defines every limit, its unit, and for what mail a rule sets it. `check.ts` validates rules; `book.ts` decides
 * which one wins.
 */
import type { RetrySchedule } from '../../outcome/retry.ts';
import type { Rate } from '../rate.ts';

/** Deadlines of the SMTP dialogue that may be set, ms (RFC 5321 §4.5.3.2). */
export const DEADLINES = [
  'connect',
  'greeting',
  'ehlo',
  'starttls',
  'mail',
  'rcpt',
  'dataInit',
  'dataBlock',
  'dataEnd',
  'quit',
] as const;
export type Deadline = (typeof DEADLINES)[number];

/**
 * `opportunistic`: encrypted if the peer supports it, with a memory of three days if it does not. `required`:
 * encrypted or not at all. `off`: in clear, unless the message itself requires TLS.
 */
export const TLS_POLICIES = ['opportunistic', 'required', 'off'] as const;
export type TlsPolicy = (typeof TLS_POLICIES)[number];

/** The order in which the address families of a host are tried, or the only one. */
export const FAMILY_ORDERS = ['ipv4-first', 'ipv6-first', 'ipv4', 'ipv6'] as const;
export type FamilyOrder = (typeof FAMILY_ORDERS)[number];

/** The limits of one site from one source IP, all of them. */
export interface Limits {
  /** Connections open at once. */
  readonly connections: number;
  /** Connections open at once from one source IP to all sites of the provider together. */
  readonly providerConnections: number;
  /** Connections open at once from one source IP to everywhere. */
  readonly ipConnections: number;
  /** Connections begun; undefined: unlimited. */
  readonly connectionRate: Rate | undefined;
  /** Messages begun; undefined: unlimited. */
  readonly messageRate: Rate | undefined;
  /** Messages under way at once. */
  readonly concurrency: number;
  readonly messagesPerConnection: number;
  /** Envelope recipients over one connection; a delivery has one. */
  readonly recipientsPerConnection: number;
  /** How long a connection without work stays open, ms. */
  readonly idle: number;
  /** Deadlines that are set here; the rest are the SMTP client's own. */
  readonly deadlines: { readonly [D in Deadline]?: number };
  readonly tls: TlsPolicy;
  /** When to try again; undefined: the configuration set's schedule. */
  readonly retry: RetrySchedule | undefined;
  /** Age at which deliveries expire, ms; undefined: the message's own. */
  readonly maxAge: number | undefined;
  /** MX hosts (by suffix of whole labels) and networks (CIDR) that are never connected to. */
  readonly prohibitedMx: readonly string[];
  readonly addressFamilies: FamilyOrder;
  /** Share of the messages that bulk mail gets while transactional mail waits too, 0 to 0.5. */
  readonly bulkReserve: number;
  /** Faults of whole cohorts in a row (of as many connections as there were) after which a site is left alone. */
  readonly deadAfter: number;
}

export type LimitName = keyof Limits;

/**
 * Limits that are counted for the mail that a rule names, beside those of the place; any other gives it connections
 * of its own.
 */
export const COUNTED_APART: ReadonlySet<LimitName> = new Set<LimitName>([
  'messageRate',
  'concurrency',
  'retry',
  'maxAge',
]);

/** Dimensions of mail that a rule may name. Absent: all mail. */
export const QUALIFIERS = ['pool', 'ip', 'class', 'tenant', 'campaign'] as const;
export type Qualifier = (typeof QUALIFIERS)[number];

/**
 * A rule: the limits of some mail. Its layer is the most particular place that it names (`default`, `provider` or
 * `route`, `site`, `domain`), and in a layer a rule that names mail overrides one that does not.
 *
 * The limits of a rule without tenant, campaign, class and domain are counted for an (IP, site). With one of these,
 * message rate and concurrency are counted for that mail alone, at each (IP, site), beside the limits of the site;
 * any other limit gives that mail connections of its own.
 */
export interface LimitMatch {
  readonly provider?: string;
  /** Destinations named by a static route: the operator's own hosts, which no stranger's limit protects. */
  readonly route?: true;
  readonly site?: string;
  /** Recipient domain; `*`: each domain separately. */
  readonly domain?: string;
  readonly pool?: string;
  readonly ip?: string;
  readonly class?: 'transactional' | 'bulk';
  /** Tenant; `*`: each tenant separately. */
  readonly tenant?: string;
  /** Campaign; `*`: each campaign separately. */
  readonly campaign?: string;
}

export interface LimitRule {
  readonly match: LimitMatch;
  readonly set: Partial<Limits>;
  /** Position of the rule, for a person: `limits.rules[3]`, `directive x`. */
  readonly origin: string;
  /** Whether it can only lower other rules: a directive. */
  readonly atMost?: boolean;
}

/**
 * A named limit that is counted once, over all IPs and nodes, which divide it among them (`../division`). With `each` there is one for every value of these: every tenant's own. It has one of `rate`, `quota` and
 * `concurrency`.
 */
export interface SharedLimit {
  readonly name: string;
  readonly match: LimitMatch;
  readonly each: readonly ('tenant' | 'campaign' | 'ip' | 'pool' | 'domain' | 'provider' | 'site')[];
  /** Paced. */
  readonly rate?: Rate;
  /** Messages in each calendar hour or day (UTC), at any pace. */
  readonly quota?: { readonly count: number; readonly per: 'hour' | 'day' };
  /** Maximum number of messages under way. */
  readonly concurrency?: number;
}

/** A checked document of limits. */
export interface LimitTable {
  readonly rules: readonly LimitRule[];
  readonly shared: readonly SharedLimit[];
}

/**
 * The number of connections for a backlog: one for the first message, close to `limit` when a hundred wait (`limit *
 * (1 - e^(-0.023 * backlog))`), never more than there are messages.
 */
export function connectionsWanted(limit: number, backlog: number): number {
  return Math.min(backlog, Math.ceil(limit * (1 - Math.exp(-0.023 * backlog))));
}
