/**
 * Sends from two IPs to a few sites through the real limiters, ready queues and shares, on a simulated
 * clock whose timers fire late, over three nodes that divide the shared limits; and checks at each send that no
 * limit is exceeded in the window that ends with it.
 */
import assert from 'node:assert/strict';
import { Divider } from '../../lib/shaping/division/divider.ts';
import type { Holding } from '../../lib/shaping/division/holding.ts';
import type { HolderReport } from '../../lib/shaping/division/terms.ts';
import { LimitBook } from '../../lib/shaping/limits/book.ts';
import { limitTable } from '../../lib/shaping/limits/table.ts';
import type { Mail, MailLimits, PathKey } from '../../lib/shaping/limits/terms.ts';
import { PathLimiter } from '../../lib/shaping/path-limiter.ts';
import type { Rate } from '../../lib/shaping/rate.ts';
import { type Queued, ReadyQueue } from '../../lib/shaping/ready-queue.ts';
import { SharedBucket, type ShareHost } from '../../lib/shaping/shared-bucket.ts';
import { SharedPermits } from '../../lib/shaping/shared-permits.ts';
import type { SharedParts, StreamLimiter } from '../../lib/shaping/stream-limiter.ts';
import { DAY } from '../../lib/time.ts';
import { seededRandom } from './clock.ts';

const TENANTS = ['a', 'b', 'c', 'd'];
/** Tenants whose transactional mail has no binding limit of its own. */
const FREE_TENANTS = ['c', 'd'];
const NODES = 3;
const DOCUMENT = {
  default: {
    messageRate: '200/s',
    concurrency: 12,
    connectionRate: '600/min',
    for: [
      { tenant: '*', messageRate: '90/s' },
      { tenant: 'a', messageRate: '20/s', concurrency: 3 },
      { class: 'bulk', messageRate: '2000/min' },
    ],
  },
  sites: { slow: { messageRate: '30/s' }, hourly: { messageRate: '40000/h' } },
  shared: {
    all: { match: { tenant: 'b' }, rate: '1800/min' },
    each: { each: ['tenant', 'site'], match: { class: 'bulk' }, quota: '100000/d' },
    flight: { match: { class: 'bulk' }, concurrency: 4 },
  },
};

/** Holds the times of the last sends of one limit, and throws when the limit is exceeded. */
class Window {
  readonly #times: Float64Array;
  readonly #rate: Rate;
  readonly #name: string;
  #at = 0;

  constructor(name: string, rate: Rate) {
    this.#name = name;
    this.#rate = rate;
    this.#times = new Float64Array(rate.count).fill(Number.NEGATIVE_INFINITY);
  }

  count(now: number): void {
    const oldest = this.#times[this.#at]!;
    assert.ok(
      now - oldest >= this.#rate.per,
      `${this.#name}: more than ${this.#rate.text} in the ${this.#rate.per} ms before ${now}`,
    );
    this.#times[this.#at] = now;
    this.#at = (this.#at + 1) % this.#times.length;
  }
}

class Item implements Queued<Item> {
  next: Item | undefined = undefined;
  readonly mail: Mail;
  readonly stream: StreamLimiter | undefined;
  readonly bulk: boolean;
  readonly tenant: string;

  constructor(mail: Mail, stream: StreamLimiter | undefined) {
    this.mail = mail;
    this.stream = stream;
    this.bulk = mail.class === 'bulk';
    this.tenant = mail.tenant;
  }
}

/** One (IP, site) of one node. */
interface SimulatedPath {
  node: number;
  place: PathKey;
  limiter: PathLimiter;
  queue: ReadyQueue<Item>;
  /** Ends of the messages under path. */
  ends: { at: number; item: Item }[];
  wakeAt: number;
}

/** Shared limits of a few nodes: each request, the division and its answer take their time, and some are lost. */
class Divisions {
  readonly #divisions = new Map<string, { divider: Divider; reports: Map<string, HolderReport> }>();
  readonly #holdings: Holding[] = [];
  readonly #later: (delay: number, act: () => void) => void;
  readonly #random: () => number;
  readonly #now: () => number;

  constructor(now: () => number, random: () => number, later: (delay: number, act: () => void) => void) {
    this.#now = now;
    this.#random = random;
    this.#later = later;
  }

  host(node: string): ShareHost {
    return {
      holder: () => ({ node, start: 0, holder: `${node}/${this.#holdings.length}` }),
      ask: (holding, granted = () => {}) => this.#ask(holding, granted),
    };
  }

  /** Once a second. */
  tick(): void {
    for (const holding of this.#holdings) this.#ask(holding, () => {});
  }

  #ask(holding: Holding, granted: (now: number) => void): void {
    if (!this.#holdings.includes(holding)) this.#holdings.push(holding);
    const sentAt = this.#now();
    const report = holding.reportDue(sentAt) ? holding.report(sentAt) : undefined;
    const trip = (): number => 1 + Math.floor(this.#random() * 30);
    const [arrives, answered] = [this.#random() >= 0.005, this.#random() >= 0.005];
    this.#later(trip(), () => {
      const now = this.#now();
      let division = this.#divisions.get(holding.name);
      if (division === undefined) {
        division = { divider: new Divider(holding.span, undefined, now), reports: new Map() };
        this.#divisions.set(holding.name, division);
      }
      const { divider, reports } = division;
      if (arrives && report !== undefined) reports.set(holding.holder, report);
      divider.divide(reports, holding.limit, now, now);
      const stored = divider.stored(false);
      this.#later(trip(), () => {
        if (!arrives || !answered) holding.failed();
        else if (report !== undefined) holding.reported(sentAt);
        if (arrives && answered && holding.apply(stored, this.#now())) granted(this.#now());
      });
    });
  }
}

export interface LimitSimulation {
  /** Messages begun. */
  sends: number;
  /** Simulated time, s. */
  seconds: number;
  /** Used share of the binding limit of a site with a backlog. */
  use: number;
}

/** @throws AssertionError as soon as a limit is exceeded. */
export function simulateLimits(options: { sends: number; seed: number }): LimitSimulation {
  const random = seededRandom(options.seed);
  const book = new LimitBook(limitTable(DOCUMENT));
  const windows = new Map<string, Window>();
  const count = (name: string, rate: Rate | undefined, now: number): void => {
    if (rate === undefined) return;
    let window = windows.get(name);
    if (window === undefined) windows.set(name, (window = new Window(name, rate)));
    window.count(now);
  };
  let now = Date.UTC(2026, 0, 1);
  const begun = now;
  /** Grants on their way back. */
  const grants: { at: number; give: () => void }[] = [];
  const divisions = new Divisions(
    () => now,
    random,
    (delay, give) => grants.push({ at: now + delay, give }),
  );
  const hosts = Array.from({ length: NODES }, (_, node) => divisions.host(`node-${node}`));
  const buckets = Array.from({ length: NODES }, () => new Map<string, SharedBucket>());
  const permitsOf = Array.from({ length: NODES }, () => new Map<string, SharedPermits>());
  const partsOf =
    (node: number) =>
    (mailLimits: MailLimits): SharedParts => {
      const parts = { buckets: [] as SharedBucket[], permits: [] as SharedPermits[] };
      for (const { key, limit } of mailLimits.shared) {
        if (limit.concurrency !== undefined) {
          let permits = permitsOf[node]!.get(key);
          if (permits === undefined) {
            permitsOf[node]!.set(key, (permits = new SharedPermits(key, limit, hosts[node]!, now)));
          }
          parts.permits.push(permits);
          continue;
        }
        let bucket = buckets[node]!.get(key);
        if (bucket === undefined)
          buckets[node]!.set(key, (bucket = new SharedBucket(key, limit, hosts[node]!, now)));
        parts.buckets.push(bucket);
      }
      return parts;
    };
  const paths: SimulatedPath[] = [];
  for (let node = 0; node < NODES; node += 1) {
    for (const site of ['fast', 'slow', 'hourly']) {
      const place = { provider: 'other', site, routed: false, ip: `192.0.2.${node + 1}`, pool: 'default' };
      const queue = new ReadyQueue<Item>(() => {
        path.wakeAt = now;
      });
      const path: SimulatedPath = { node, place, limiter: new PathLimiter(), queue, ends: [], wakeAt: 0 };
      paths.push(path);
    }
  }
  const quotas = new Map<string, number>();
  let sends = 0;

  function feed(path: SimulatedPath): void {
    // There is always sendable mail beside the mail that waits for its own limits.
    while (path.queue.ready < 50 && path.queue.size < 800) {
      const free = path.queue.size >= 400;
      const tenants = free ? FREE_TENANTS : TENANTS;
      const mail: Mail = {
        domain: 'x.test',
        tenant: tenants[Math.floor(random() * tenants.length)]!,
        class: free || random() < 0.3 ? 'transactional' : 'bulk',
      };
      const { mailLimits } = book.at(path.place).of(mail);
      path.queue.push(new Item(mail, mailLimits && path.limiter.stream(mailLimits, partsOf(path.node))));
    }
  }

  function send(path: SimulatedPath): boolean {
    const { own } = book.at(path.place);
    const wait = path.limiter.messageWait(now, own);
    if (wait > 0) {
      path.wakeAt = now + Math.ceil(wait);
      return false;
    }
    let item = path.queue.take(now, 0.1);
    if (item === undefined) {
      // All queued mail waits for its own limits; more arrives.
      feed(path);
      item = path.queue.take(now, 0.1);
    }
    if (item === undefined) {
      path.wakeAt = Math.ceil(path.queue.nextAt);
      return false;
    }
    path.limiter.messageStarted(now, own);
    item.stream?.started(now);
    sends += 1;
    check(path, item);
    // One site is slow enough that its concurrency is the binding limit.
    const longest = path.place.site === 'fast' ? 500 : 100;
    path.ends.push({ at: now + 5 + Math.floor(random() * longest), item });
    return true;
  }

  const running = new Map<string, number>();
  /** Counts the messages under way independently of the limiters. */
  function underWay(name: string, change: number): number {
    const left = (running.get(name) ?? 0) + change;
    running.set(name, left);
    return left;
  }

  function check({ place }: SimulatedPath, { stream }: Item): void {
    const at = `${place.ip} ${place.site}`;
    const { limits } = book.at(place).own;
    count(at, limits.messageRate, now);
    assert.ok(underWay(at, 1) <= limits.concurrency, `${at}: more than ${limits.concurrency} under way`);
    for (const { rule } of stream?.counted ?? []) {
      const name = `${at} ${rule.key}`;
      count(name, rule.rate, now);
      assert.ok(underWay(name, 1) <= rule.concurrency, `${name}: more than ${rule.concurrency} under way`);
    }
    for (const { key, limit } of stream?.permits ?? []) {
      assert.ok(underWay(`shared ${key}`, 1) <= limit.concurrency!, `${key}: more than ${limit.concurrency}`);
    }
    for (const { key, limit } of stream?.buckets ?? []) {
      if (limit.rate !== undefined) count(`shared ${key}`, limit.rate, now);
      else {
        const name = `${key} ${Math.floor(now / DAY)}`;
        const used = (quotas.get(name) ?? 0) + 1;
        quotas.set(name, used);
        assert.ok(used <= limit.quota!.count, `${name}: ${used}`);
      }
    }
  }

  let slow = 0;
  let tickAt = now;
  while (sends < options.sends) {
    if (now >= tickAt) {
      divisions.tick();
      for (const all of permitsOf) for (const permits of all.values()) permits.tick(now);
      tickAt = now + 1000;
    }
    let next = tickAt;
    for (let i = grants.length - 1; i >= 0; i -= 1) {
      const grant = grants[i]!;
      if (grant.at <= now) {
        grants.splice(i, 1);
        grant.give();
      } else next = Math.min(next, grant.at);
    }
    for (const path of paths) {
      let ended = false;
      path.ends = path.ends.filter(({ at, item }) => {
        if (at > now) {
          next = Math.min(next, at);
          return true;
        }
        path.limiter.running -= 1;
        item.stream?.ended(now);
        for (const { key } of item.stream?.permits ?? []) underWay(`shared ${key}`, -1);
        const name = `${path.place.ip} ${path.place.site}`;
        underWay(name, -1);
        for (const { rule } of item.stream?.counted ?? []) underWay(`${name} ${rule.key}`, -1);
        ended = true;
        return false;
      });
      if (ended || path.wakeAt <= now) {
        feed(path);
        while (sends < options.sends && send(path))
          if (path.place.site === 'slow' && path.node === 0) slow += 1;
      }
      next = Math.min(next, path.wakeAt);
    }
    // Timers fire on time, or a few milliseconds late.
    now = Math.max(now + 1, next + (random() < 0.3 ? Math.floor(random() * 4) : 0));
  }
  const seconds = (now - begun) / 1000;
  return { sends, seconds, use: slow / (30 * seconds) };
}
