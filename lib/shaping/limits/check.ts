/**
 * Parses a document of limits (`document.ts`) into rules. Unknown, out-of-bounds or contradictory values are refused
 * with their path and the reason.
 */
import { isIP } from 'node:net';
import ipaddr from 'ipaddr.js';
import { readChoice, readList, readMap, readNumber, readObject, readText, refuse } from '../../document.ts';
import { readIp } from '../../ip.ts';
import { canonicalDomain } from '../../mail/domain.ts';
import { checkRetrySchedule } from '../../outcome/retry.ts';
import { DAY, HOUR, SECOND } from '../../time.ts';
import { readSpan } from '../../units.ts';
import { readProvider } from '../providers.ts';
import { type Rate, readRate } from '../rate.ts';
import type { LimitSet } from './document.ts';
import {
  COUNTED_APART,
  DEADLINES,
  FAMILY_ORDERS,
  type LimitMatch,
  type LimitName,
  type LimitRule,
  type Limits,
  type LimitTable,
  QUALIFIERS,
  type Qualifier,
  type SharedLimit,
  TLS_POLICIES,
} from './limit.ts';

const LAYERS = ['default', 'route', 'providers', 'sites', 'domains', 'shared'] as const;
const PLACES = ['provider', 'site', 'domain'] as const;
const EACH = ['tenant', 'campaign', 'ip', 'pool', 'domain', 'provider', 'site'] as const;
const SHARED = ['rate', 'quota', 'concurrency'] as const;
const UNLIMITED = 'unlimited';

/** Bounds of spans, ms. */
/** Below, a slow peer's acceptance goes unread and its mail is sent twice (RFC 1047). */
const LEAST_DATA_END = 30 * SECOND;

type Read<T> = (value: unknown, path: string) => T;

const whole =
  (min: number, max: number): Read<number> =>
  (value, path) =>
    readNumber(value, path, { min, max, integer: true });

const span =
  (min: number, max: number): Read<number> =>
  (value, path) => {
    const length = readSpan(value);
    if (length === undefined)
      refuse(path, `${JSON.stringify(value)} is not a length of time; write 90s, 30m, 2h or 1d.`);
    if (length < min || length > max) {
      refuse(path, `${value as string} is out of bounds; give ${min / SECOND}s to ${max / SECOND}s.`);
    }
    return length;
  };

const rate: Read<Rate | undefined> = (value, path) => {
  if (value === UNLIMITED) return undefined;
  return (
    readRate(value) ??
    refuse(path, `${JSON.stringify(value)} is not a rate; write 10/s, 1/min, 500/h, 10000/d or ${UNLIMITED}.`)
  );
};

/** Parser of each limit. */
const READERS: { readonly [L in LimitName]: Read<Limits[L]> } = {
  connections: whole(1, 10_000),
  providerConnections: whole(1, 10_000),
  ipConnections: whole(1, 60_000),
  connectionRate: rate,
  messageRate: rate,
  concurrency: whole(1, 100_000),
  messagesPerConnection: whole(1, 1_000_000),
  recipientsPerConnection: whole(1, 1_000_000),
  idle: span(SECOND, HOUR),
  deadlines: (value, path) => {
    const given = readObject(value, path, DEADLINES);
    return Object.fromEntries(
      Object.entries(given).map(([name, one]) => {
        const least = name === 'dataEnd' ? LEAST_DATA_END : SECOND;
        return [name, span(least, HOUR)(one, `${path}.${name}`)];
      }),
    );
  },
  tls: (value, path) => readChoice(value, path, TLS_POLICIES),
  retry: (value, path) => {
    const { delays, jitter = 0.1 } = readObject(value, path, ['delays', 'jitter']);
    return checkRetrySchedule(
      { delays: readList(delays, `${path}.delays`, span(SECOND, 7 * DAY)), jitter },
      path,
    );
  },
  maxAge: span(60 * SECOND, 14 * DAY),
  prohibitedMx: (value, path) => readList(value, path, readProhibited),
  addressFamilies: (value, path) => readChoice(value, path, FAMILY_ORDERS),
  bulkReserve: (value, path) => readNumber(value, path, { min: 0, max: 0.5 }),
  deadAfter: whole(1, 100),
};
const NAMES = Object.keys(READERS) as LimitName[];

/** The name of a set of MX hosts. */
const SITE = /^[\x21-\x7e]{1,255}$/;
const HOST = /^(?=.{1,253}$)[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*$/;

function readProhibited(value: unknown, path: string): string {
  const text = readText(value, path).toLowerCase();
  if (isIP(text) !== 0) return readIp(text, path);
  if (ipaddr.isValidCIDR(text) || HOST.test(text)) return text;
  return refuse(
    path,
    `${JSON.stringify(value)} is neither a host, nor an address, nor a network as 192.0.2.0/24.`,
  );
}

/**
 * @param name name of the document in messages and explanations.
 * @throws PosternError `bad_request`.
 */
export function readLimits(document: unknown, name: string): LimitTable {
  const given = readObject(document, name, LAYERS);
  const rules: LimitRule[] = [];
  const layer = (value: unknown, path: string, match: LimitMatch): void => {
    if (value !== undefined) rules.push(...readEntry(value, path, match));
  };
  layer(given.default, `${name}.default`, {});
  layer(given.route, `${name}.route`, { route: true });
  for (const place of PLACES) {
    const entries = given[`${place}s`];
    if (entries === undefined) continue;
    readMap(entries, `${name}.${place}s`, (entry, path, key) => {
      readPlace(place, key, path);
      layer(entry, path, { [place]: key });
    });
  }
  const shared =
    given.shared === undefined ? [] : [...readMap(given.shared, `${name}.shared`, readShared).values()];
  return { rules, shared };
}

/** Refuses a name that no destination has, because its limit would never apply. */
function readPlace(place: (typeof PLACES)[number], name: string, path: string): string {
  if (name !== name.toLowerCase()) refuse(path, 'is written in capitals; names are in lower case.');
  if (place === 'provider') return readProvider(name, path);
  if (place === 'site') {
    return SITE.test(name) ? name : refuse(path, 'has blanks, or characters that do not print.');
  }
  let canonical: string;
  try {
    canonical = canonicalDomain(name);
  } catch (error) {
    return refuse(path, (error as Error).message);
  }
  return canonical === name ? name : refuse(path, `is known as ${canonical}; write it so.`);
}

function readEntry(value: unknown, path: string, place: LimitMatch): LimitRule[] {
  const { for: exceptions, ...plain } = readObject(value, path, [...NAMES, 'for']);
  const rules = [readRule(plain, path, place)];
  const seen = new Map<string, string>();
  for (const rule of exceptions === undefined
    ? []
    : readList(exceptions, `${path}.for`, (one, at) => readException(one, at, place))) {
    const scope = QUALIFIERS.map((name) => rule.match[name] ?? '').join();
    const before = seen.get(scope);
    if (before !== undefined) refuse(rule.origin, `speaks of the same mail as ${before}; write one of them.`);
    seen.set(scope, rule.origin);
    rules.push(rule);
  }
  return rules;
}

function readException(value: unknown, path: string, place: LimitMatch): LimitRule {
  const given = readObject(value, path, [...NAMES, ...QUALIFIERS]);
  const match: Record<string, unknown> = { ...place };
  const set: LimitSet = Object.fromEntries(
    Object.entries(given).filter(([name]) => !(QUALIFIERS as readonly string[]).includes(name)),
  );
  for (const name of QUALIFIERS)
    if (given[name] !== undefined) match[name] = readQualifier(name, given[name], path);
  if (Object.keys(match).length === Object.keys(place).length) {
    refuse(path, `names no mail; give at least one of ${QUALIFIERS.join(', ')}.`);
  }
  return readRule(set, path, match as LimitMatch);
}

function readQualifier(name: Qualifier, value: unknown, path: string): string {
  const at = `${path}.${name}`;
  if (name === 'class') return readChoice(value, at, ['transactional', 'bulk']);
  const text = readText(value, at);
  if (text === '*' && (name === 'ip' || name === 'pool')) {
    refuse(at, `every ${name} counts by itself anyway; leave it out.`);
  }
  if (name === 'ip') return readIp(text, at);
  return text;
}

function readRule(given: LimitSet, path: string, match: LimitMatch): LimitRule {
  const set: Partial<Record<LimitName, unknown>> = {};
  for (const [name, value] of Object.entries(given)) {
    set[name as LimitName] = READERS[name as LimitName](value, `${path}.${name}`);
  }
  const rule: LimitRule = { match, set: set as Partial<Limits>, origin: path };
  checkPlace(rule, path);
  checkContradictions(rule.set, path);
  return rule;
}

/** Whether a limit can apply at its place. */
function checkPlace({ match, set }: LimitRule, path: string): void {
  const each = Object.entries(match).find(([, value]) => value === '*')?.[0];
  const singles = match.class !== undefined || match.tenant !== undefined || match.campaign !== undefined;
  const particular = match.site !== undefined || match.domain !== undefined || match.route;
  for (const name of Object.keys(set) as LimitName[]) {
    const at = `${path}.${name}`;
    if (each !== undefined && !COUNTED_APART.has(name)) {
      refuse(
        at,
        `belongs to a connection, and ${each} "*" would give each its own; only ${[...COUNTED_APART].join(', ')} are counted so.`,
      );
    }
    if ((name === 'ipConnections' || name === 'providerConnections') && singles) {
      refuse(
        at,
        'counts the connections of an IP for all mail; for some mail set connections or a shared limit.',
      );
    }
    if (name === 'bulkReserve' && match.class !== undefined) {
      refuse(at, 'divides what both classes get; set it without a class.');
    }
    if (name === 'ipConnections' && (particular || match.provider !== undefined)) {
      refuse(at, 'counts the connections of an IP to everywhere; set it in default.');
    }
    if (name === 'providerConnections' && particular) {
      refuse(at, 'counts the connections to all sites of a provider; set it in default or for the provider.');
    }
  }
}

/** Refuses a rule in which one limit makes another void. */
function checkContradictions(set: Partial<Limits>, path: string): void {
  const notOver = (small: LimitName, large: LimitName, why: string): void => {
    const [a, b] = [set[small], set[large]];
    if (typeof a === 'number' && typeof b === 'number' && a > b) {
      refuse(`${path}.${small}`, `${a} contradicts ${large} ${b}: ${why}.`);
    }
  };
  notOver('connections', 'providerConnections', 'a site is part of its provider');
  notOver('connections', 'ipConnections', 'they are part of those of the IP');
  notOver('providerConnections', 'ipConnections', 'they are part of those of the IP');
  notOver('messagesPerConnection', 'recipientsPerConnection', 'each message has a recipient');
  const first = set.retry?.delays[0];
  if (first !== undefined && set.maxAge !== undefined && first >= set.maxAge) {
    refuse(`${path}.retry`, 'its first delay is not shorter than maxAge: nothing would ever be tried again.');
  }
}

function readSharedMember(name: keyof LimitMatch, value: unknown, path: string): string {
  if (name === 'class') return readChoice(value, path, ['transactional', 'bulk']);
  const text = readText(value, path);
  if (name === 'ip') return readIp(text, path);
  return name === 'provider' || name === 'site' || name === 'domain' ? readPlace(name, text, path) : text;
}

function readShared(value: unknown, path: string, name: string): SharedLimit {
  const given = readObject(value, path, ['match', 'each', ...SHARED]);
  const match: Record<string, unknown> = {};
  const members = readObject(given.match ?? {}, `${path}.match`, [...PLACES, ...QUALIFIERS]);
  for (const [key, member] of Object.entries(members)) {
    const at = `${path}.match.${key}`;
    if (member === '*') refuse(at, 'is no value; to count each by itself, name it in each.');
    match[key] = readSharedMember(key as keyof LimitMatch, member, at);
  }
  const each =
    given.each === undefined
      ? []
      : readList(given.each, `${path}.each`, (one, at) => readChoice(one, at, EACH));
  for (const one of each)
    if (match[one] !== undefined) refuse(`${path}.each`, `match already names one ${one}.`);
  if (SHARED.filter((one) => given[one] !== undefined).length !== 1) {
    refuse(path, `gives several or none of ${SHARED.join(', ')}; a shared limit has one of them.`);
  }
  const shared = { name, match: match as LimitMatch, each: [...new Set(each)].sort() };
  if (given.concurrency !== undefined) {
    return { ...shared, concurrency: READERS.concurrency(given.concurrency, `${path}.concurrency`) };
  }
  if (given.quota === undefined) {
    const paced = rate(given.rate, `${path}.rate`);
    return paced === undefined
      ? refuse(`${path}.rate`, 'unlimited is no limit.')
      : { ...shared, rate: paced };
  }
  const quota = readRate(given.quota);
  if (quota === undefined || quota.per < HOUR) {
    refuse(`${path}.quota`, `${JSON.stringify(given.quota)} is not a quota; write 1000/h or 50000/d.`);
  }
  return { ...shared, quota: { count: quota.count, per: quota.per === HOUR ? 'hour' : 'day' } };
}
