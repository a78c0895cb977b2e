/**
 * The resolver: asks the configured servers, keeps what they say for as long as they say, and tells "there is
 * none" (permanent) from "it could not be found out" (temporary, law 5).
 */
import type { DecodedPacket, Answer as DnsRecord } from 'dns-packet';
import { TtlCache } from '../cache.ts';
import type { Clock } from '../time.ts';
import { type DnsServer, exchange, RCODE, type RecordType, rcodeOf } from './exchange.ts';

export interface MxRecord {
  preference: number;
  /** Lower case, without trailing dot; empty for the null MX (RFC 7505). */
  exchange: string;
}

/** What each record type is read as. TXT: the strings of one record, joined (RFC 7208 §3.3). */
export interface Records {
  A: string;
  AAAA: string;
  MX: MxRecord;
  TXT: string;
}

/** What came of a question. All are true until `expiresAt`. */
export type Answer<R> =
  | { kind: 'found'; records: R[]; expiresAt: number }
  /** The name exists, records of this type do not (NODATA). */
  | { kind: 'empty'; expiresAt: number }
  /** The name does not exist (NXDOMAIN). */
  | { kind: 'no_domain'; expiresAt: number }
  /** Timeout, SERVFAIL, REFUSED, nonsense: nothing is known. */
  | { kind: 'failed'; text: string; expiresAt: number };

export interface Resolver {
  resolve<T extends RecordType>(name: string, type: T): Promise<Answer<Records[T]>>;
}

export interface ResolverOptions {
  servers: DnsServer[];
  clock: Clock;
  /** Milliseconds for one try. */
  timeout?: number;
  /** Tries in all, over the servers in turn. */
  tries?: number;
  /** Answers kept. */
  cacheSize?: number;
}

/** Failing response codes by number (RFC 1035 §4.1.1). */
const RCODE_NAMES: Readonly<Record<number, string>> = {
  1: 'FORMERR',
  2: 'SERVFAIL',
  4: 'NOTIMP',
  5: 'REFUSED',
};
const MAX_ALIASES = 8;
/** Records of one answer that are kept: no honest name needs more, and a hostile one could send thousands. */
const MAX_RECORDS = 100;
/** Sockets open at once; further questions wait for their turn. */
const MAX_EXCHANGES = 500;
const MAX_TTL = 86_400;
/** Negative answers are kept so long at most, whatever their SOA says (RFC 2308 §5). */
const MAX_NEGATIVE_TTL = 3600;
const DEFAULT_NEGATIVE_TTL = 60;
/** Failures are kept too, or every delivery to a broken domain would ask again (RFC 9520 §3.2). */
const FAILURE_TTL = 10;

export function createResolver(options: ResolverOptions): Resolver {
  const { servers, clock, timeout = 3000, tries = 3 } = options;
  const cache = new TtlCache<Answer<unknown>>(options.cacheSize ?? 50_000);
  const inFlight = new Map<string, Promise<Answer<unknown>>>();
  const waiting: (() => void)[] = [];
  let exchanges = 0;

  /** Asks until a server says something definite. */
  async function ask(name: string, type: RecordType): Promise<DecodedPacket | string> {
    if (exchanges < MAX_EXCHANGES) exchanges += 1;
    else await new Promise<void>((resolve) => waiting.push(resolve));
    let failure = '';
    try {
      for (let attempt = 0; attempt < tries; attempt += 1) {
        const server = servers[attempt % servers.length]!;
        try {
          const response = await exchange(server, name, type, timeout, clock);
          const rcode = rcodeOf(response);
          if (rcode === RCODE.noError || rcode === RCODE.noName) return response;
          failure = `${server.address} answered ${RCODE_NAMES[rcode] ?? `RCODE ${rcode}`}`;
        } catch (error) {
          failure = `${server.address}: ${(error as Error).message}`;
        }
      }
      return failure;
    } finally {
      // Whoever waits takes over the place.
      const next = waiting.shift();
      if (next) next();
      else exchanges -= 1;
    }
  }

  async function lookup(name: string, type: RecordType): Promise<Answer<unknown>> {
    const now = clock.now();
    const failed = (text: string): Answer<unknown> => ({
      kind: 'failed',
      text: `${type} of ${name}: ${text}`,
      expiresAt: clock.now() + FAILURE_TTL * 1000,
    });
    if (!isQueryable(name)) return { kind: 'no_domain', expiresAt: now + DEFAULT_NEGATIVE_TTL * 1000 };
    let target = name;
    let ttl = MAX_TTL;
    let aliases = 0;
    for (;;) {
      const response = await ask(target, type);
      if (typeof response === 'string') return failed(response);
      // A recursive server puts the whole chain of aliases into one answer; one that does not is asked again.
      const records = response.answers ?? [];
      const asked = target;
      for (;;) {
        const alias = records.find((record) => record.type === 'CNAME' && sameName(record.name, target));
        if (alias === undefined || alias.type !== 'CNAME') break;
        if ((aliases += 1) > MAX_ALIASES) return failed(`more than ${MAX_ALIASES} aliases in a row`);
        ttl = Math.min(ttl, alias.ttl ?? 0);
        target = (alias.data as string).toLowerCase();
      }
      const found = records.filter((record) => record.type === type && sameName(record.name, target));
      if (found.length > 0) {
        for (const record of found) ttl = Math.min(ttl, (record as { ttl?: number }).ttl ?? 0);
        const values = found.slice(0, MAX_RECORDS).map((record) => dataOf(record));
        return { kind: 'found', records: values, expiresAt: clock.now() + ttl * 1000 };
      }
      const noName = rcodeOf(response) === RCODE.noName;
      const soa = response.authorities?.find((record) => record.type === 'SOA');
      if (noName || target === asked || soa !== undefined) {
        const negative =
          soa?.type === 'SOA' ? Math.min(soa.ttl ?? 0, soa.data.minimum ?? 0) : DEFAULT_NEGATIVE_TTL;
        return {
          kind: noName ? 'no_domain' : 'empty',
          expiresAt: clock.now() + Math.min(ttl, negative, MAX_NEGATIVE_TTL) * 1000,
        };
      }
      if (!isQueryable(target)) return failed(`the alias "${target.slice(0, 80)}" is no host name`);
    }
  }

  return {
    resolve<T extends RecordType>(name: string, type: T): Promise<Answer<Records[T]>> {
      const asked = name.toLowerCase();
      const key = `${type} ${asked}`;
      const known = cache.get(key, clock.now());
      if (known !== undefined) return Promise.resolve(known as Answer<Records[T]>);
      let answer = inFlight.get(key);
      if (answer === undefined) {
        answer = lookup(asked, type).then((result) => {
          inFlight.delete(key);
          if (result.expiresAt > clock.now()) cache.set(key, result, result.expiresAt);
          return result;
        });
        inFlight.set(key, answer);
      }
      return answer as Promise<Answer<Records[T]>>;
    },
  };
}

/** Whether a name can be put into a question at all (RFC 1035 §2.3.4). */
function isQueryable(name: string): boolean {
  if (name.length === 0 || name.length > 253) return false;
  return name.split('.').every((label) => label.length > 0 && Buffer.byteLength(label) <= 63);
}

function sameName(a: string, b: string): boolean {
  return a.toLowerCase() === b;
}

function dataOf(record: DnsRecord): unknown {
  switch (record.type) {
    case 'MX': {
      const exchange = record.data.exchange.toLowerCase();
      return { preference: record.data.preference ?? 0, exchange: exchange === '.' ? '' : exchange };
    }
    case 'TXT':
      return Buffer.concat([record.data].flat().map((part) => Buffer.from(part))).toString('utf8');
    default:
      return (record as { data: unknown }).data;
  }
}
