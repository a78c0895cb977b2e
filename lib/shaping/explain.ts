/**
 * Explains mail on its way from an IP to a site: the effective value of every limit, the rule that set it, its use,
 * the binding limit, and when the next message may go. It is a view of the constraints that each owner of limits
 * yields, and of the limits that delay nothing.
 */

import { type Constraint, firstWaiting, longestWait } from './constraint.ts';
import type { LimitName } from './limits/limit.ts';
import type { ConnectionClass, MailLimits } from './limits/terms.ts';

/** The current state of one limit. */
export interface LimitLine {
  limit: string;
  /** Value in the notation of documents. */
  value: string;
  /** The rule that set it; `learnt` when the destination's replies did, `SMTP client` for its own. */
  origin: string;
  /** How far it is used: `7 of 10 open`. */
  used?: string;
  /** How long no further message may go, ms; absent: it does not bind. */
  wait?: number;
}

export interface Explanation {
  lines: LimitLine[];
  /** The limit for which it waits, the same that the reason of a message names; absent when none does. */
  binding?: LimitLine;
  /** When the next message may go, since the epoch, ms. */
  nextAt: number;
}

/** The explained mail: its owner and destination. */
export interface ExplainQuery {
  /** Recipient domain, lower case A-label; or a site with earlier mail, by its name. */
  domain?: string;
  site?: string;
  /** Restricts the explanation to this IP. */
  ip?: string;
  pool?: string;
  tenant?: string;
  campaign?: string;
  class?: 'transactional' | 'bulk';
}

/** The limits of mail from one source address. */
export interface MailExplanation extends Explanation {
  site: string;
  provider: string;
  /** Absent: the host's default address. */
  ip?: string;
  /** Deliveries in memory that wait for a connection from this IP to the site. */
  waiting: number;
}

export interface ExplainInput {
  now: number;
  /** Constraints on the mail, from every owner of limits, the cause first. */
  constraints: readonly Constraint[];
  /** Limits of the connections of this mail. */
  connectionClass: ConnectionClass;
  mailLimits: MailLimits | undefined;
  /** The SMTP client's deadlines, where no rule sets another, ms. */
  deadlines: Readonly<Record<string, number>>;
}

export function explain(input: ExplainInput): Explanation {
  const { now, constraints, connectionClass } = input;
  const lines = constraints.map(lineOf);
  const first = firstWaiting(constraints);
  if (connectionClass.name !== '')
    lines.push(line(connectionClass, 'connections', connectionClass.limits.connections));
  lines.push(...plainLines(input));
  return { lines, binding: first && lineOf(first), nextAt: now + longestWait(constraints) };
}

/** Limits that delay nothing, but decide how mail is sent. */
function plainLines({ connectionClass, mailLimits, deadlines }: ExplainInput): LimitLine[] {
  const { limits, origins } = connectionClass;
  const lines = [
    line(connectionClass, 'messagesPerConnection', limits.messagesPerConnection),
    line(connectionClass, 'recipientsPerConnection', limits.recipientsPerConnection),
    line(connectionClass, 'idle', `${limits.idle / 1000}s`),
    line(connectionClass, 'tls', limits.tls),
    line(connectionClass, 'addressFamilies', limits.addressFamilies),
    line(connectionClass, 'prohibitedMx', limits.prohibitedMx.join(', ') || 'none'),
    line(connectionClass, 'bulkReserve', limits.bulkReserve),
    line(connectionClass, 'deadAfter', limits.deadAfter),
  ];
  const retry = mailLimits?.retry ?? limits.retry;
  lines.push({
    limit: 'retry',
    value: retry?.delays.map((ms) => `${ms / 1000}s`).join(', ') ?? 'as the configuration set says',
    origin: mailLimits?.origins.retry ?? origins.retry ?? 'configuration set',
  });
  const maxAge = mailLimits?.maxAge ?? limits.maxAge;
  lines.push({
    limit: 'maxAge',
    value: maxAge === undefined ? 'as the message says' : `${maxAge / 1000}s`,
    origin: mailLimits?.origins.maxAge ?? origins.maxAge ?? 'message',
  });
  for (const [name, ms] of Object.entries({ ...deadlines, ...limits.deadlines })) {
    const origin = name in limits.deadlines ? (origins.deadlines ?? '') : 'SMTP client';
    lines.push({ limit: `deadlines.${name}`, value: `${ms / 1000}s`, origin });
  }
  return lines;
}

function lineOf({ limit, value, origin, used, wait }: Constraint): LimitLine {
  const one: LimitLine = { limit, value, origin };
  if (used !== undefined) one.used = used;
  if (wait > 0) one.wait = wait;
  return one;
}

function line({ origins }: ConnectionClass, limit: LimitName, value: string | number): LimitLine {
  return { limit, value: `${value}`, origin: origins[limit] ?? 'built-in' };
}
