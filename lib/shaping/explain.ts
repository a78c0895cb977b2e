/**
 * Why mail waits: for some mail on its way from an IP to a site the effective value of every limit, the rule that
 * set it, how far it is used, which limit is the binding one, and when the next message may go. Pure: it reads
 * the same state that decides.
 */

import type { LimitName, SharedLimit } from './limits/limit.ts';
import type { MailLimits, Resolved } from './limits/terms.ts';
import type { PathLimiter } from './path-limiter.ts';
import type { Rate } from './rate.ts';
import type { StreamLimiter } from './stream-limiter.ts';

/** One limit as it stands. */
export interface LimitLine {
  limit: string;
  /** As one would write it. */
  value: string;
  /** The rule that set it; `learnt` for what the destination's replies say, `SMTP client` for its own. */
  origin: string;
  /** How far it is used: `7 of 10 open`. */
  used?: string;
  /** Milliseconds for which it lets no further message go; absent: it does not stand in the way. */
  wait?: number;
}

export interface Explanation {
  lines: LimitLine[];
  /** The limit that keeps the next message longest; absent when nothing does. */
  binding?: LimitLine;
  /** When the next message may go, ms since the epoch. */
  nextAt: number;
}

/** Whose mail is asked about, and to where. */
export interface ExplainQuery {
  /** Recipient domain, lower case A-label; or a site that was sent to, by its name. */
  domain?: string;
  site?: string;
  /** Only from this IP. */
  ip?: string;
  pool?: string;
  tenant?: string;
  campaign?: string;
  class?: 'transactional' | 'bulk';
}

/** What holds for some mail from one source address. */
export interface MailExplanation extends Explanation {
  site: string;
  provider: string;
  /** Absent: the host's default address. */
  ip?: string;
  /** Deliveries in hand that wait for a connection from this IP to the site. */
  waiting: number;
}

/** What stands in the way besides limits: back-off, directives, warm-up, a missing lease. */
export interface Obstacle {
  limit: string;
  value: string;
  origin: string;
  /** ms since the epoch. */
  until: number;
}

export interface ExplainInput {
  now: number;
  /** Limits of the (IP, site), and of the connections of this mail. */
  own: Resolved;
  connectionClass: Resolved;
  mailLimits: MailLimits | undefined;
  /** Absent: nothing has gone there yet. */
  limiter: PathLimiter | undefined;
  stream: StreamLimiter | undefined;
  /** Connections of the IP, in all and to the provider. */
  ipConnections: number;
  providerConnections: number;
  /** The SMTP client's deadlines, where no rule sets another; ms. */
  deadlines: Readonly<Record<string, number>>;
  obstacles: readonly Obstacle[];
}

/** When a connection will close is not known; it is looked at again in so long, ms. */
const CONNECTION_WAIT = 1_000;

export function explain(input: ExplainInput): Explanation {
  const { now, limiter, obstacles } = input;
  const lines = [...connectionLines(input), ...messageLines(input), ...plainLines(input)];
  for (const { limit, value, origin, until } of obstacles) {
    lines.push(waiting({ limit, value, origin }, until - now));
  }
  if (limiter?.messageRate.held) lines.push(...learntRate(limiter, now));
  let binding: LimitLine | undefined;
  for (const line of lines) if ((line.wait ?? 0) > (binding?.wait ?? 0)) binding = line;
  return { lines, binding, nextAt: now + (binding?.wait ?? 0) };
}

function connectionLines({ now, own, connectionClass, limiter, ...input }: ExplainInput): LimitLine[] {
  const { limits, origins } = own;
  const open = limiter?.connections ?? 0;
  const window = limiter?.concurrency.window(limits.connections) ?? limits.connections;
  const full = (used: number, most: number): number => (used >= most ? CONNECTION_WAIT : 0);
  const { ipConnections, providerConnections } = input;
  const lines: LimitLine[] = [
    { ...line(own, 'connections', `${limits.connections}`), used: `${open} of ${limits.connections} open` },
    {
      limit: 'connections',
      value: `${window}`,
      origin: 'learnt',
      used: `${open} of ${window} open`,
    },
    waiting(
      {
        ...line(own, 'providerConnections', `${limits.providerConnections}`),
        used: `${providerConnections} of ${limits.providerConnections} open`,
      },
      open === 0 ? full(providerConnections, limits.providerConnections) : 0,
    ),
    waiting(
      {
        ...line(own, 'ipConnections', `${limits.ipConnections}`),
        used: `${ipConnections} of ${limits.ipConnections} open`,
      },
      open === 0 ? full(ipConnections, limits.ipConnections) : 0,
    ),
    waiting(
      line(own, 'connectionRate', rateText(limits.connectionRate)),
      open === 0 ? (limiter?.connectWait(now, own) ?? 0) : 0,
    ),
  ];
  if (
    connectionClass.limits.connections !== limits.connections ||
    connectionClass.origins.connections !== origins.connections
  ) {
    lines.push(line(connectionClass, 'connections', `${connectionClass.limits.connections}`));
  }
  return lines;
}

function messageLines({ now, own, limiter, mailLimits, stream }: ExplainInput): LimitLine[] {
  const { limits } = own;
  const running = limiter?.running ?? 0;
  const lines: LimitLine[] = [
    waiting(line(own, 'messageRate', rateText(limits.messageRate)), finite(limiter?.paceWait(now, own) ?? 0)),
    waiting(
      { ...line(own, 'concurrency', `${limits.concurrency}`), used: `${running} under way` },
      running >= limits.concurrency ? CONNECTION_WAIT : 0,
    ),
  ];
  for (const { key, rate, concurrency, origins } of mailLimits?.counters ?? []) {
    const counted = stream?.counted.find(({ rule }) => rule.key === key);
    if (rate !== undefined) {
      const wait = counted?.counter.pacer.wait(now, counted.rule.pace) ?? 0;
      lines.push(
        waiting({ limit: `messageRate of ${key}`, value: rate.text, origin: origins.rate ?? '' }, wait),
      );
    }
    if (concurrency === Number.POSITIVE_INFINITY) continue;
    const under = counted?.counter.running ?? 0;
    const value = {
      limit: `concurrency of ${key}`,
      value: `${concurrency}`,
      origin: origins.concurrency ?? '',
    };
    lines.push(waiting({ ...value, used: `${under} under way` }, under >= concurrency ? CONNECTION_WAIT : 0));
  }
  for (const { key, limit } of mailLimits?.shared ?? []) lines.push(sharedLine(key, limit, stream, now));
  return lines;
}

function sharedLine(
  key: string,
  limit: SharedLimit,
  stream: StreamLimiter | undefined,
  now: number,
): LimitLine {
  const { rate, quota, concurrency, name } = limit;
  const one = { limit: `shared ${key}`, origin: `limits.shared.${name}` };
  if (concurrency === undefined) {
    const value = rate?.text ?? `${quota!.count} a ${quota!.per}`;
    return waiting({ ...one, value }, stream?.buckets.find((each) => each.key === key)?.wait(now) ?? 0);
  }
  const permits = stream?.permits.find((each) => each.key === key);
  const value = `${concurrency} under way`;
  if (permits === undefined) return { ...one, value };
  const held = permits.held(now);
  const used = `${permits.running} under way of ${held} that this node holds`;
  return waiting({ ...one, value, used }, permits.running >= held ? CONNECTION_WAIT : 0);
}

/** Limits that hold nothing back, but decide how mail goes. */
function plainLines({ connectionClass, mailLimits, deadlines }: ExplainInput): LimitLine[] {
  const { limits } = connectionClass;
  const values: [LimitName, string][] = [
    ['messagesPerConnection', `${limits.messagesPerConnection}`],
    ['recipientsPerConnection', `${limits.recipientsPerConnection}`],
    ['idle', `${limits.idle / 1000}s`],
    ['tls', limits.tls],
    ['addressFamilies', limits.addressFamilies],
    ['prohibitedMx', limits.prohibitedMx.length === 0 ? 'none' : limits.prohibitedMx.join(', ')],
    ['bulkReserve', `${limits.bulkReserve}`],
    ['deadAfter', `${limits.deadAfter}`],
  ];
  const lines = values.map(([name, value]) => line(connectionClass, name, value));
  const retry = mailLimits?.retry ?? limits.retry;
  lines.push({
    limit: 'retry',
    value:
      retry === undefined
        ? 'as the configuration set says'
        : retry.delays.map((ms) => `${ms / 1000}s`).join(', '),
    origin: mailLimits?.origins.retry ?? connectionClass.origins.retry ?? 'configuration set',
  });
  const maxAge = mailLimits?.maxAge ?? limits.maxAge;
  lines.push({
    limit: 'maxAge',
    value: maxAge === undefined ? 'as the message says' : `${maxAge / 1000}s`,
    origin: mailLimits?.origins.maxAge ?? connectionClass.origins.maxAge ?? 'message',
  });
  for (const [name, ms] of Object.entries({ ...deadlines, ...limits.deadlines })) {
    const set = name in limits.deadlines;
    const origin = set ? (connectionClass.origins.deadlines ?? '') : 'SMTP client';
    lines.push({ limit: `deadlines.${name}`, value: `${ms / 1000}s`, origin });
  }
  return lines;
}

function learntRate(limiter: PathLimiter, now: number): LimitLine[] {
  const rate = limiter.heldRate ?? limiter.messageRate.rate(now);
  const value = `${rate.toPrecision(3)} a second`;
  return [
    waiting({ limit: 'messageRate', value, origin: 'learnt' }, finite(limiter.messageRate.pausedUntil - now)),
  ];
}

function line({ origins }: Resolved, limit: LimitName, value: string): LimitLine {
  return { limit, value, origin: origins[limit] ?? 'built-in' };
}

function waiting(one: LimitLine, wait: number): LimitLine {
  return wait > 0 ? { ...one, wait } : one;
}

function finite(wait: number): number {
  return wait === Number.POSITIVE_INFINITY ? 0 : Math.max(0, wait);
}

function rateText(rate: Rate | undefined): string {
  return rate?.text ?? 'unlimited';
}
