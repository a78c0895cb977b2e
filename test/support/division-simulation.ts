/**
 * Nodes that share one limit, in virtual time: the real shares over the real leases of the AWS engine, each node with a
 * clock of its own. Counts at each message whether the limit holds.
 */
import assert from 'node:assert/strict';
import { SharedLimits } from '../../lib/egress/shared-limits.ts';
import { AwsLeases } from '../../lib/engine/aws/lease-table.ts';
import type { SharedLimit } from '../../lib/shaping/limits/limit.ts';
import type { MailLimits } from '../../lib/shaping/limits/terms.ts';
import type { SharedBucket } from '../../lib/shaping/shared-bucket.ts';
import type { SharedPermits } from '../../lib/shaping/shared-permits.ts';
import { MINUTE } from '../../lib/time.ts';
import { seededRandom } from './clock.ts';
import { VirtualTables } from './virtual-tables.ts';
import { VirtualProcess, VirtualTime } from './virtual-time.ts';

/** Since the epoch, ms. */
const BEGIN = Date.UTC(2026, 0, 1, 6);
/** A node looks for mail at least this often, ms. */
const LOOK = 1_000;
/** Duration of messages, ms. */
const LONGEST = 400;

export interface DivisionOptions {
  limit: Partial<SharedLimit>;
  seed?: number;
  /** Round trip of storage, ms. */
  trip?: number;
  /** Share of requests that are lost or late. */
  lost?: number;
  /** Differences of clocks, at most, ms. */
  skew?: number;
  /** Duration of messages, ms, at most. */
  longest?: number;
}

/** A node that shares the limit. */
export interface SharingNode {
  readonly process: VirtualProcess;
  readonly shared: SharedLimits;
  /** Messages a second that it has to send. */
  load: number;
  sent: number;
  /** Messages under way. */
  running: number;
}

const counts = () => ({
  leasesLost: 0,
  leaseFailures: 0,
  bucketRequests: 0,
  bucketsEmpty: 0,
  bucketFailures: 0,
  storageRefused: 0,
});

export class DivisionSimulation {
  readonly time = new VirtualTime();
  readonly tables: VirtualTables;
  readonly nodes: SharingNode[] = [];
  readonly random: () => number;
  readonly #limit: SharedLimit;
  readonly #options: DivisionOptions;
  /** Times of the last messages, as many as the limit lets out in its window. */
  readonly #window: Float64Array;
  readonly #span: number;
  #at = 0;
  sent = 0;
  running = 0;
  most = 0;
  #names = 0;

  constructor(options: DivisionOptions) {
    this.#options = options;
    this.random = seededRandom(options.seed ?? 1);
    this.time.now = BEGIN;
    const { trip = 6, lost = 0 } = options;
    this.tables = new VirtualTables({ time: this.time, random: this.random, trip, lost });
    this.#limit = { name: 'all', match: {}, each: [], ...options.limit };
    const { rate } = this.#limit;
    this.#span = Math.max(rate?.per ?? 0, MINUTE);
    const units = rate === undefined ? 1 : Math.floor((rate.count * this.#span) / rate.per);
    this.#window = new Float64Array(units).fill(Number.NEGATIVE_INFINITY);
  }

  /** @param load messages a second that it has to send. @param name the same as before for one that is started again. */
  start(load: number, name = `node-${(this.#names += 1)}`): SharingNode {
    const process = new VirtualProcess(this.time, (this.random() - 0.5) * 2 * (this.#options.skew ?? 0));
    const { clock } = process;
    const leases = new AwsLeases({ tables: this.tables.of(process), clock, steady: () => process.now });
    const shared = new SharedLimits({ leases, clock, random: this.random, node: name, counts: counts() });
    const { buckets, permits } = shared.partsOf({
      shared: [{ key: 'all', limit: this.#limit }],
    } as unknown as MailLimits);
    const node: SharingNode = { process, shared, load, sent: 0, running: 0 };
    this.nodes.push(node);
    const tick = (): void => {
      shared.tick(clock.now());
      clock.after(1_000, tick);
    };
    clock.after(this.random() * 1_000, tick);
    if (buckets[0] !== undefined) this.#send(node, buckets[0]);
    else this.#work(node, permits[0]!);
    return node;
  }

  #send(node: SharingNode, bucket: SharedBucket): void {
    const { clock } = node.process;
    const look = (): void => {
      if (node.load === 0) {
        clock.after(LOOK, look);
        return;
      }
      const now = clock.now();
      const wait = bucket.wait(now);
      if (wait > 0) {
        clock.after(Math.min(LOOK, Math.ceil(wait)), look);
        return;
      }
      bucket.take(now);
      node.sent += 1;
      this.#count();
      clock.after(1_000 / node.load, look);
    };
    clock.after(this.random() * 100, look);
  }

  #count(): void {
    this.sent += 1;
    const { quota, rate } = this.#limit;
    if (quota !== undefined) assert.ok(this.sent <= quota.count, `${this.sent} of ${quota.count}`);
    if (rate === undefined) return;
    const { now } = this.time;
    const oldest = this.#window[this.#at]!;
    assert.ok(
      now - oldest >= this.#span,
      `${rate.text} exceeded: as many in ${now - oldest} ms, after ${this.sent}`,
    );
    this.#window[this.#at] = now;
    this.#at = (this.#at + 1) % this.#window.length;
  }

  #work(node: SharingNode, permits: SharedPermits): void {
    const { clock } = node.process;
    const { longest = LONGEST } = this.#options;
    const look = (): void => {
      while (node.load > 0 && permits.free(clock.now(), node)) {
        permits.begun(node, clock.now());
        node.sent += 1;
        this.sent += 1;
        node.running += 1;
        this.running += 1;
        this.most = Math.max(this.most, this.running);
        assert.ok(this.running <= this.#limit.concurrency!, `${this.running} under way`);
        let over = false;
        const end = (): void => {
          if (over) return;
          over = true;
          node.running -= 1;
          this.running -= 1;
        };
        const length = 1 + this.random() * longest;
        // The peer is done with it, whatever became of the node.
        this.time.after(length, end);
        clock.after(length, () => {
          end();
          permits.ended(clock.now());
          look();
        });
      }
      if (node.load > 0) permits.park({ bulk: false, wake: () => lookSoon() }, node);
    };
    let looking = false;
    const lookSoon = (): true => {
      if (looking) return true;
      looking = true;
      clock.after(0, () => {
        looking = false;
        look();
      });
      return true;
    };
    const again = (): void => {
      look();
      clock.after(LOOK, again);
    };
    clock.after(this.random() * 100, again);
  }

  kill(node: SharingNode): void {
    node.process.alive = false;
    this.nodes.splice(this.nodes.indexOf(node), 1);
  }

  /** It gives back what it holds, and is gone. */
  async stop(node: SharingNode): Promise<void> {
    node.load = 0;
    await this.time.run(this.#options.longest ?? LONGEST);
    node.process.run(() => void node.shared.stop());
    await this.time.run(5_000);
    this.kill(node);
  }

  /** Messages of all nodes in the next time, a second. */
  async rate(ms: number): Promise<number> {
    const before = this.sent;
    await this.time.run(ms);
    return ((this.sent - before) * 1_000) / ms;
  }
}
