/**
 * All that is ready, in memory: lanes, tenant queues, and the deliveries under lease. Leases live here alone; a
 * lease writes nothing. After a restart everything that was leased is simply ready again.
 *
 * ```
 *            take                    settle: end, defer, release until later
 *   ready ─────────► leased ───────────────────────────► settling ──► gone
 *     ▲                │ visibility over, release at once     │
 *     └────────────────┴──────────────────────────────────────┘ the write failed
 * ```
 */
import { asPosternError, type PosternError } from '../../errors.ts';
import type { Clock } from '../../time.ts';
import type { QueueItem } from '../items.ts';
import type { QueueDepth } from '../ports.ts';
import { BodyBytes } from './body-bytes.ts';
import { readJson } from './json.ts';
import { Lane } from './lane.ts';
import type { Link } from './link.ts';
import type { LaterCount, LoadReply, Opened } from './protocol.ts';
import { PER_MS, SPAN } from './store/schema.ts';
import { Budget, type Held, type ReadyInput, TenantQueue } from './tenant-queue.ts';

/** Bytes of ready deliveries kept in memory. */
export const BUDGET = 24 << 20;

/** Rows of one load, and how few may be left in memory before the next one begins. */
const LOAD_ROWS = 256;
const LOAD_AHEAD = 128;

/** Most bytes of one load, so that other calls do not wait long for the storage thread. */
const LOAD_BYTES = 2 << 20;

/** Ended leases are looked for no more often than this, ms. */
const SWEEP = 50;

export class Ready {
  readonly #link: Link;
  readonly #clock: Clock;
  readonly #budget = new Budget(BUDGET);
  readonly #lanes = new Map<string, Lane>();
  readonly #tenantQueues = new Map<number, TenantQueue>();
  readonly #leased = new Map<number, Held>();
  readonly #touched = new Set<Lane>();
  /** Deliveries that wait for a time, by lane and tenant. */
  readonly #later = new Map<string, LaterCount>();
  /** Messages that are being cancelled: their deliveries are not leased meanwhile. */
  readonly #withheld = new Map<string, number>();
  /** Why no more deliveries are handed out. */
  stopped: PosternError | undefined;
  #cancelSweep: (() => void) | undefined;
  #sweepAt = Number.POSITIVE_INFINITY;

  constructor(link: Link, clock: Clock, opened: Opened) {
    this.#link = link;
    this.#clock = clock;
    for (const { id, lane, tenant, next, count, first = 0 } of opened.tenantQueues) {
      const last = id * SPAN + next - 1;
      const tenantQueue = new TenantQueue(lane, tenant, id * SPAN, this.#budget, {
        ready: count,
        last,
        suspect: opened.clean ? 0 : last,
        acceptedAt: Math.floor(first / PER_MS),
      });
      this.#tenantQueues.set(id, tenantQueue);
      this.lane(lane).ready += count;
      this.lane(lane).activate(tenantQueue);
    }
    this.#count(opened.later);
    link.onLater = (counts) => this.#count(counts);
    link.afterBatch = () => this.serveTouched();
    link.onBroken = (reason) => this.stop(reason);
  }

  get lanes(): Iterable<Lane> {
    return this.#lanes.values();
  }

  get leasedCount(): number {
    return this.#leased.size;
  }

  lane(name: string): Lane {
    let lane = this.#lanes.get(name);
    if (!lane) {
      lane = new Lane(name);
      this.#lanes.set(name, lane);
    }
    return lane;
  }

  /** A row became ready. With `input`, it may stay in memory. */
  arrive(laneName: string, tenant: string, key: number, input?: ReadyInput): void {
    const lane = this.lane(laneName);
    const id = Math.floor(key / SPAN);
    let tenantQueue = this.#tenantQueues.get(id);
    if (!tenantQueue) {
      const stored = { ready: 0, last: key - 1, suspect: 0, acceptedAt: this.#clock.now() };
      tenantQueue = new TenantQueue(laneName, tenant, key - 1, this.#budget, stored);
      this.#tenantQueues.set(id, tenantQueue);
    }
    if (input) tenantQueue.arrive(input);
    else tenantQueue.last = key;
    tenantQueue.ready += 1;
    lane.ready += 1;
    lane.activate(tenantQueue);
    this.#touched.add(lane);
  }

  /** Serves the lanes in which something changed. */
  serveTouched(): void {
    if (this.#touched.size === 0) return;
    const touched = [...this.#touched];
    this.#touched.clear();
    for (const lane of touched) this.serve(lane);
  }

  serve(lane: Lane): void {
    lane.serve(
      (tenantQueue) => this.#take(lane, tenantQueue),
      (dry) => {
        for (const tenantQueue of dry) this.#load(tenantQueue, lane);
      },
    );
  }

  /** Begins the lease of a delivery that was taken. */
  lease(held: Held, visibility: number): void {
    held.place = 'leased';
    held.receives += 1;
    this.#leased.set(held.key, held);
    this.extend(held, visibility);
  }

  extend(held: Held, visibility: number): void {
    held.until = this.#clock.now() + visibility;
    if (held.until < this.#sweepAt) this.#sweepFrom(held.until);
  }

  /** The end of a delivery is being written. */
  settling(held: Held): void {
    const lane = this.lane(held.tenantQueue.lane);
    if (held.place === 'ready') {
      held.tenantQueue.remove(held.key);
      held.tenantQueue.out += 1;
      held.tenantQueue.ready -= 1;
      lane.ready -= 1;
      lane.leased += 1;
    }
    held.place = 'settling';
  }

  /** The delivery left the queue. */
  gone(held: Held): void {
    held.leave();
    held.tenantQueue.out -= 1;
    this.#leased.delete(held.key);
    this.lane(held.tenantQueue.lane).leased -= 1;
    this.#discard(held.tenantQueue);
  }

  /** The lease ended without result: ready again, at the front of its tenant queue. */
  takeBack(held: Held): void {
    const lane = this.lane(held.tenantQueue.lane);
    this.#leased.delete(held.key);
    held.tenantQueue.takeBack(held);
    held.tenantQueue.ready += 1;
    lane.leased -= 1;
    lane.ready += 1;
    lane.activate(held.tenantQueue);
    this.#touched.add(lane);
  }

  /** The end could not be written: leased as before, until its time is over. */
  unsettled(held: Held): void {
    held.place = 'leased';
    this.#leased.set(held.key, held);
    this.extend(held, Math.max(0, held.until - this.#clock.now()));
  }

  /** Keys of the deliveries of a message that are leased; until `restore` no other is handed out. */
  withhold(messageId: string): number[] {
    this.#withheld.set(messageId, (this.#withheld.get(messageId) ?? 0) + 1);
    return [...this.#leased.values()]
      .filter((held) => held.item.messageId === messageId)
      .map((held) => held.key);
  }

  /** Ends `withhold`; the deliveries with these keys are cancelled. */
  restore(messageId: string, cancelled: number[]): void {
    const left = this.#withheld.get(messageId)! - 1;
    if (left === 0) this.#withheld.delete(messageId);
    else this.#withheld.set(messageId, left);
    for (const key of cancelled) {
      const tenantQueue = this.#tenantQueues.get(Math.floor(key / SPAN));
      if (!tenantQueue) continue;
      tenantQueue.remove(key)?.leave();
      tenantQueue.ready -= 1;
      this.lane(tenantQueue.lane).ready -= 1;
    }
    for (const lane of this.#lanes.values()) this.#touched.add(lane);
    this.serveTouched();
  }

  /** Places (`n`) of a message under lease. */
  attempting(messageId: string): Set<number> {
    const places = new Set<number>();
    for (const held of this.#leased.values()) if (held.item.messageId === messageId) places.add(held.n);
    return places;
  }

  /** What waits, by lane and tenant. */
  depths(): QueueDepth[] {
    const depths = new Map<string, QueueDepth>();
    const depthOf = (lane: string, tenant: string): QueueDepth => {
      const name = `${lane}\0${tenant}`;
      let depth = depths.get(name);
      if (depth === undefined) depths.set(name, (depth = { lane, tenant, ready: 0, leased: 0, later: 0 }));
      return depth;
    };
    // A pair of lane and tenant may have a second queue.
    for (const { lane, tenant, ready, out, oldest } of this.#tenantQueues.values()) {
      if (ready + out === 0) continue;
      const depth = depthOf(lane, tenant);
      depth.ready += ready;
      depth.leased += out;
      if (oldest !== undefined) depth.oldest = Math.min(depth.oldest ?? oldest, oldest);
    }
    for (const [lane, tenant, count] of this.#later.values()) depthOf(lane, tenant).later = count;
    return [...depths.values()];
  }

  /** Stops all hand-outs, for this reason. */
  stop(reason: PosternError): void {
    this.#cancelSweep?.();
    this.#sweepAt = Number.NEGATIVE_INFINITY;
    this.stopped ??= reason;
    for (const lane of this.#lanes.values()) lane.fail(reason);
  }

  #count(counts: readonly LaterCount[]): void {
    for (const later of counts) {
      const [lane, tenant, count] = later;
      const name = `${lane}\0${tenant}`;
      if (count > 0) this.#later.set(name, later);
      else this.#later.delete(name);
    }
  }

  #take(lane: Lane, tenantQueue: TenantQueue): Held | undefined {
    const held = tenantQueue.take(
      (other) => this.#withheld.size > 0 && this.#withheld.has(other.item.messageId),
    );
    if (held) {
      tenantQueue.ready -= 1;
      lane.ready -= 1;
      lane.leased += 1;
    }
    if (tenantQueue.onDisk) {
      if (tenantQueue.inMemory < LOAD_AHEAD) this.#load(tenantQueue, lane);
    }
    return held;
  }

  /** Drops an empty tenant queue, so that a tenant who sent once costs no memory for ever. */
  #discard(tenantQueue: TenantQueue): void {
    if (tenantQueue.out > 0 || tenantQueue.inMemory > 0 || tenantQueue.onDisk || tenantQueue.active) return;
    this.#tenantQueues.delete(Math.floor(tenantQueue.last / SPAN));
  }

  #load(tenantQueue: TenantQueue, lane: Lane): void {
    if (tenantQueue.loading) return;
    // Ahead of need only as far as the budget goes; in need at least one row.
    const bytes = Math.min(LOAD_BYTES, tenantQueue.room);
    if (bytes <= 0 && tenantQueue.inMemory > 0) return;
    tenantQueue.loading = true;
    const call = {
      after: tenantQueue.loaded,
      to: tenantQueue.last,
      max: bytes > 0 ? LOAD_ROWS : 1,
      bytes: Math.max(1, bytes),
    };
    this.#link.send('load', call, [], (error, reply) => {
      tenantQueue.loading = false;
      // An unreadable delivery is reported to the waiting callers; the next lease tries again.
      const failure = error ?? this.#loaded(tenantQueue, reply);
      if (failure) lane.fail(failure);
      this.#touched.add(lane);
    });
  }

  #loaded(tenantQueue: TenantQueue, { rows, to, bytes }: LoadReply): PosternError | undefined {
    let at = 0;
    for (const [key, message, n, share, json, length] of rows) {
      // A copy: a slice would keep the whole load in memory as long as one delivery of it waits.
      const body = Buffer.allocUnsafeSlow(length);
      bytes?.copy(body, 0, at, at + length);
      at += length;
      let item: QueueItem;
      try {
        item = readJson(json, 'a queue item');
      } catch (error) {
        return asPosternError(error);
      }
      tenantQueue.append({ key, message, n, share, item, body: new BodyBytes(body) });
    }
    tenantQueue.loaded = to;
    return undefined;
  }

  #sweepFrom(at: number): void {
    this.#cancelSweep?.();
    this.#sweepAt = at;
    this.#cancelSweep = this.#clock.after(at - this.#clock.now(), () => this.#sweep());
  }

  #sweep(): void {
    const now = this.#clock.now();
    let next = Number.POSITIVE_INFINITY;
    for (const held of this.#leased.values()) {
      if (held.place !== 'leased') continue;
      if (held.until <= now) {
        held.lapsed = true;
        this.takeBack(held);
      } else if (held.until < next) next = held.until;
    }
    this.#sweepAt = Number.POSITIVE_INFINITY;
    if (next < Number.POSITIVE_INFINITY) this.#sweepFrom(Math.max(next, now + SWEEP));
    this.serveTouched();
  }
}
