/**
 * Resolves names at the configured servers, caches answers for their TTL, and separates "there is none" (which can be
 * permanent) from "no server gave an answer" (temporary, law 5).
 */
import type { DecodedPacket, Answer as DnsRecord } from 'dns-packet';
import { TtlCache } from '../cache.ts';
import { FailureStreak, type Health } from '../failure-streak.ts';
import type { Clock } from '../time.ts';
import { QueryAdmission } from './admission.ts';
import { type DnsServer, exchange, isAuthentic, RCODE, type RecordType, rcodeOf } from './exchange.ts';

export interface MxRecord {
  preference: number;
  /** Lower case, without trailing dot; empty for the null MX (RFC 7505). */
  exchange: string;
}

/** The parsed form of each record type. TXT: the strings of one record, joined (RFC 7208 §3.3). */
export interface DnsRecords {
  A: string;
  AAAA: string;
  MX: MxRecord;
  /** Lower case, without trailing dot. */
  PTR: string;
  TXT: string;
}

/**
 * The result of a query. All are valid until `expiresAt`. `authentic`: the server validated every step of it by DNSSEC;
 * worth as much as the way to that server.
 */
export type Answer<R> =
  | { kind: 'found'; records: R[]; expiresAt: number; authentic?: true }
  /** The name exists, records of this type do not (NODATA). */
  | { kind: 'empty'; expiresAt: number; authentic?: true }
  /** The name does not exist (NXDOMAIN). */
  | { kind: 'no_domain'; expiresAt: number; authentic?: true }
  /** Timeout, SERVFAIL, REFUSED, an invalid response: the answer is unknown. */
  | { kind: 'failed'; text: string; expiresAt: number };

export interface Resolver {
  /**
   * Answers from the cache or a server.
   * @param anew queries in spite of the cache, and requires the agreement of every server on "there is none".
   */
  resolve<T extends RecordType>(name: string, type: T, anew?: boolean): Promise<Answer<DnsRecords[T]>>;
  /** Whether any server answers, judged from recent queries. */
  health(): Health;
}

export interface ResolverOptions {
  servers: DnsServer[];
  clock: Clock;
  /** Deadline of each try, over the servers in turn, ms. */
  timeouts?: readonly number[];
  /** Maximum size of cached answers, octets. */
  cacheOctets?: number;
}

/** Failing response codes by number (RFC 1035 §4.1.1). */
const RCODE_NAMES: Readonly<Record<number, string>> = {
  1: 'FORMERR',
  2: 'SERVFAIL',
  4: 'NOTIMP',
  5: 'REFUSED',
};
/** A lost datagram costs one second, and a slow recursion still gets its answer on the third try. */
const TIMEOUTS = [1_000, 3_000, 5_000];
const MAX_ALIASES = 8;
/** Maximum number of records of one answer: no honest name needs more, and a hostile one could send thousands. */
const MAX_RECORDS = 100;
const CACHE_OCTETS = 32 * 1024 * 1024;
/** Overhead of an answer and of a record beside their text, octets. */
const ANSWER_OCTETS = 300;
const RECORD_OCTETS = 80;
const MAX_TTL = 86_400;
/** Maximum TTL of negative answers, above which their SOA is ignored (RFC 2308 §5), s. */
const MAX_NEGATIVE_TTL = 3600;
const DEFAULT_NEGATIVE_TTL = 60;
/** Number of names in a row without an answer after which DNS counts as down. */
const MIN_FAILED = 5;
/** A name that every recursive server can resolve, and that does not go away. */
const PROBE = 'a.root-servers.net';
/** Cache time of failures, s: otherwise every delivery to a broken domain would query again (RFC 9520 §3.2). */
const FAILURE_TTL = 10;

export function createResolver(options: ResolverOptions): Resolver {
  return new CachingResolver(options);
}

class CachingResolver implements Resolver {
  readonly #servers: readonly DnsServer[];
  readonly #clock: Clock;
  readonly #timeouts: readonly number[];
  readonly #cache: TtlCache<Answer<unknown>>;
  readonly #inFlight = new Map<string, Promise<Answer<unknown>>>();
  readonly #admission: QueryAdmission;
  readonly #streak = new FailureStreak(
    MIN_FAILED,
    (last) => `No name server answered for the last ${MIN_FAILED} names. The last: ${last}`,
  );
  /** Index of the first server to query: the one that answered last, so that a dead one delays no second query. */
  #preferred = 0;

  constructor({ servers, clock, timeouts = TIMEOUTS, cacheOctets = CACHE_OCTETS }: ResolverOptions) {
    this.#servers = servers;
    this.#clock = clock;
    this.#timeouts = timeouts;
    this.#cache = new TtlCache<Answer<unknown>>(cacheOctets);
    this.#admission = new QueryAdmission(clock);
  }

  resolve<T extends RecordType>(name: string, type: T, anew = false): Promise<Answer<DnsRecords[T]>> {
    const asked = name.toLowerCase();
    const key = `${type} ${asked}`;
    const known = anew ? undefined : this.#cache.get(key, this.#clock.now());
    if (known !== undefined) return Promise.resolve(known as Answer<DnsRecords[T]>);
    const shared = anew ? `anew ${key}` : key;
    let answer = this.#inFlight.get(shared);
    if (answer === undefined) {
      answer = (anew ? this.#everywhere(asked, type) : this.#lookup(asked, type, 0)).then((result) => {
        this.#inFlight.delete(shared);
        this.#keep(key, result);
        return result;
      });
      this.#inFlight.set(shared, answer);
    }
    return answer as Promise<Answer<DnsRecords[T]>>;
  }

  health(): Health {
    this.#probe();
    return this.#streak.health();
  }

  /** Queries every server in turn until one has the name. */
  async #everywhere(name: string, type: RecordType): Promise<Answer<unknown>> {
    let negative: Answer<unknown> | undefined;
    let failed: Answer<unknown> | undefined;
    for (let skip = 0; skip < this.#servers.length; skip += 1) {
      const answer = await this.#lookup(name, type, skip);
      if (answer.kind === 'found') return answer;
      if (answer.kind === 'failed') failed ??= answer;
      else negative ??= answer;
    }
    return negative ?? failed!;
  }

  async #lookup(name: string, type: RecordType, skip: number): Promise<Answer<unknown>> {
    const now = this.#clock.now();
    const failed = (text: string): Answer<unknown> => ({
      kind: 'failed',
      text: `${type} of ${name}: ${text}`,
      expiresAt: this.#clock.now() + FAILURE_TTL * 1000,
    });
    if (!isQueryable(name)) return { kind: 'no_domain', expiresAt: now + DEFAULT_NEGATIVE_TTL * 1000 };
    let target = name;
    let ttl = MAX_TTL;
    let aliases = 0;
    let authentic = true;
    for (;;) {
      const response = await this.#ask(target, type, skip);
      if (typeof response === 'string') return failed(response);
      authentic &&= isAuthentic(response);
      // A recursive server puts the whole chain of aliases into one answer; one that does not is queried again.
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
        const expiresAt = this.#clock.now() + ttl * 1000;
        return { kind: 'found', records: values, expiresAt, ...(authentic && { authentic }) };
      }
      const noName = rcodeOf(response) === RCODE.noName;
      const soa = response.authorities?.find((record) => record.type === 'SOA');
      if (noName || target === asked || soa !== undefined) {
        const negative =
          soa?.type === 'SOA' ? Math.min(soa.ttl ?? 0, soa.data.minimum ?? 0) : DEFAULT_NEGATIVE_TTL;
        return {
          kind: noName ? 'no_domain' : 'empty',
          expiresAt: this.#clock.now() + Math.min(ttl, negative, MAX_NEGATIVE_TTL) * 1000,
          ...(authentic && { authentic }),
        };
      }
      if (!isQueryable(target)) return failed(`the alias "${target.slice(0, 80)}" is no host name`);
    }
  }

  /** Queries servers until one gives a definite answer. @param skip number of servers skipped. */
  async #ask(name: string, type: RecordType, skip: number): Promise<DecodedPacket | string> {
    const leave = await this.#admission.enter();
    const first = this.#preferred + skip;
    let failure = '';
    try {
      for (const [attempt, timeout] of this.#timeouts.entries()) {
        const index = (first + attempt) % this.#servers.length;
        const server = this.#servers[index]!;
        try {
          const response = await exchange(server, name, type, timeout, this.#clock);
          const rcode = rcodeOf(response);
          if (rcode === RCODE.noError || rcode === RCODE.noName) {
            if (attempt > 0) this.#preferred = index;
            this.#streak.succeeded();
            return response;
          }
          failure = `${server.address} answered ${RCODE_NAMES[rcode] ?? `RCODE ${rcode}`}`;
        } catch (error) {
          failure = `${server.address}: ${(error as Error).message}`;
        }
      }
      if (name !== PROBE) this.#streak.failed(name, failure);
      this.#probe();
      return failure;
    } finally {
      leave();
    }
  }

  #keep(key: string, answer: Answer<unknown>): void {
    if (answer.expiresAt > this.#clock.now())
      this.#cache.set(key, answer, answer.expiresAt, octetsOf(answer) + 2 * key.length);
  }

  /** While DNS seems down: several names may be broken at once, and without mail there would be no query. */
  #probe(): void {
    if (!this.#streak.health().ok && !this.#inFlight.has(`anew A ${PROBE}`))
      void this.resolve(PROBE, 'A', true);
  }
}

/** Weight of an answer in the cache: about its size in memory, octets. */
function octetsOf(answer: Answer<unknown>): number {
  if (answer.kind !== 'found') return ANSWER_OCTETS + (answer.kind === 'failed' ? answer.text.length : 0);
  return (answer as Answer<string | MxRecord> & { kind: 'found' }).records.reduce(
    (sum, record) => sum + RECORD_OCTETS + 2 * (typeof record === 'string' ? record : record.exchange).length,
    ANSWER_OCTETS,
  );
}

/** Whether a name fits into a query at all (RFC 1035 §2.3.4). */
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
    case 'PTR':
      return record.data.toLowerCase();
    case 'TXT':
      return Buffer.concat([record.data].flat().map((part) => Buffer.from(part))).toString('utf8');
    default:
      return (record as { data: unknown }).data;
  }
}
