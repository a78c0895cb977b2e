/**
 * Leases from one lane, as much as can be sent soon and not more. Bounds beside the room in hand:
 *
 * - A lease begins small and doubles while the lane fills every lease, so that an empty lane's long
 *   poll reserves little and a first lease of huge messages is a small one.
 * - The lane's budget. When deliveries are put back for want of room at their destinations, it shrinks
 *   to what was kept: from then on the lane leases what it gets rid of. It grows again slowly, to look for
 *   other destinations behind those that are full.
 * - The brake (`lane-brake.ts`): of a lane whose mail cannot leave nothing is leased.
 */
import type { MessageClass } from '../engine/items.ts';
import type { LeasedItem, Queue } from '../engine/ports.ts';
import type { Clock } from '../time.ts';
import { afterInput } from '../turns.ts';
import type { LaneUsage, WaitStatus } from './delivery.ts';
import type { InFlight } from './in-flight.ts';
import { LaneBrake } from './lane-brake.ts';

const FIRST_BATCH = 32;
const LARGEST_BATCH = 500;
/**
 * What is brought to its sites in one turn of the event loop, 1 or 2 ms of work: meanwhile no reply is read, and what was
 * answered and not read is sent again when the process is killed.
 */
const PORTION = 32;
/** A lane with so much in hand waits until a worthwhile lease has room. */
const WORTHWHILE = 32;
/** What SQS offers at most: at rest, each poll is all that a lane costs. It ends with the first message, or at stop. */
const LONG_POLL = 20_000;
const STORAGE_RETRY = 1_000;
const SMALLEST_BUDGET = 64;
/** Growth of the budget, deliveries a second. */
const EXPLORATION = 200;
/** Assumed until the first message was seen, bytes. */
const USUAL_SIZE = 16_384;

export interface LaneConsumerOptions {
  queue: Queue;
  clock: Clock;
  inFlight: InFlight;
  /** Length of a lease, ms. */
  visibility: number;
  signal: AbortSignal;
  /** Whether mail of a pool may leave from here now; checked again at each `roomMade`. */
  selector: { mayLease(pool: string, now: number): boolean };
  /** Takes what was leased. */
  dispatcher: { take(leased: LeasedItem[], lane: LaneUsage, visibleUntil: number): void };
}

/** Domains, or sites, whose mail must have come back before a lane of many providers rests. */
const MANY_DOMAINS = 10;

export class LaneConsumer implements LaneUsage {
  readonly pool: string;
  readonly class: MessageClass;
  readonly shared: boolean;
  held = 0;
  readonly #options: LaneConsumerOptions & { lane: string };
  #batch = FIRST_BATCH;
  #budget: number;
  #grownAt: number;
  readonly #brake: LaneBrake;
  /** Moving average of message sizes. */
  #size = USUAL_SIZE;
  #wake: (() => void) | undefined;
  #impatient = false;
  /** Resolves when the lane leases no more. */
  readonly ended: Promise<void>;

  constructor(options: LaneConsumerOptions & { lane: string }) {
    const [pool, messageClass, group] = options.lane.split(':');
    this.shared = group === 'other';
    this.#brake = new LaneBrake(this.shared ? MANY_DOMAINS : 1);
    this.pool = pool!;
    this.class = messageClass === 'transactional' ? 'transactional' : 'bulk';
    this.#options = options;
    this.#budget = options.inFlight.limits.items;
    this.#grownAt = options.clock.now();
    this.ended = this.#pull();
  }

  /** There may be room now. @param impatient takes a small lease too, rather than wait for a larger one. */
  roomMade(impatient: boolean): void {
    if (this.#wake === undefined) return;
    this.#impatient = impatient;
    if (this.#leaseSize() > 0) this.#resume();
  }

  /** `count` deliveries of the last lease had to be put back. */
  overflowed(count: number): void {
    this.#budget = Math.max(SMALLEST_BUDGET, Math.min(this.#budget, this.held - count));
  }

  tried(): void {
    this.#brake.moved();
  }

  putBack(to: string, why: WaitStatus): void {
    this.#brake.putBack(to, why, this.#options.clock.now());
  }

  /** Ends a rest: what kept its mail may have changed. */
  release(): void {
    this.#brake.moved();
    this.roomMade(true);
  }

  /** Why the lane rests, and until when; undefined: it does not. */
  get rest(): WaitStatus | undefined {
    return this.#brake.status(this.#options.clock.now());
  }

  stop(): void {
    this.#resume();
  }

  #resume(): void {
    this.#wake?.();
    this.#wake = undefined;
  }

  /** How much to lease now; 0 to wait. */
  #leaseSize(): number {
    const { inFlight, clock, selector } = this.#options;
    const now = clock.now();
    if (!selector.mayLease(this.pool, now)) return 0;
    if (this.#budget < inFlight.limits.items) {
      this.#budget = Math.min(
        inFlight.limits.items,
        this.#budget + ((now - this.#grownAt) * EXPLORATION) / 1000,
      );
    }
    this.#grownAt = now;
    const room = inFlight.room(this.class === 'bulk', this.#size);
    const brake = this.#brake.room(this.held, now);
    if (brake <= 1) return brake;
    const size = Math.floor(Math.min(room, this.#budget - this.held, this.#batch));
    return size < WORTHWHILE && this.held >= WORTHWHILE && !this.#impatient ? 0 : Math.max(0, size);
  }

  async #pull(): Promise<void> {
    const { lane, queue, clock, visibility, signal, dispatcher } = this.#options;
    while (!signal.aborted) {
      const max = this.#leaseSize();
      this.#impatient = false;
      if (max === 0) {
        await new Promise<void>((resolve) => (this.#wake = resolve));
        continue;
      }
      // From before the long poll: on the safe side, whenever in it the lease began.
      const visibleUntil = clock.now() + visibility;
      let leased: LeasedItem[];
      try {
        leased = await queue.lease({ lane, max, wait: LONG_POLL, visibility, signal });
      } catch {
        // A failure of storage, or the end of waiting at stop; the loop's condition distinguishes them.
        if (!signal.aborted) await new Promise<void>((resolve) => void clock.after(STORAGE_RETRY, resolve));
        continue;
      }
      this.#batch = leased.length < max ? FIRST_BATCH : Math.min(LARGEST_BATCH, this.#batch * 2);
      for (const { bytes } of leased) this.#size += (bytes.length - this.#size) / 16;
      for (let at = 0; at < leased.length; at += PORTION) {
        await new Promise<void>(afterInput);
        dispatcher.take(leased.slice(at, at + PORTION), this, visibleUntil);
      }
    }
  }
}

/** The consumers of all lanes of a node. */
export class LaneConsumers {
  #options: Omit<LaneConsumerOptions, 'signal'> | undefined;
  readonly #byLane = new Map<string, LaneConsumer>();
  readonly #stop = new AbortController();

  get stopped(): boolean {
    return this.#stop.signal.aborted;
  }

  /** Consumes the lanes that are added from now on. */
  start(options: Omit<LaneConsumerOptions, 'signal'>): void {
    this.#options = options;
  }

  /** Consumes a lane. */
  add(lane: string): void {
    if (this.#byLane.has(lane) || this.stopped || this.#options === undefined) return;
    this.#byLane.set(lane, new LaneConsumer({ ...this.#options, lane, signal: this.#stop.signal }));
  }

  roomMade(impatient: boolean): void {
    for (const consumer of this.#byLane.values()) consumer.roomMade(impatient);
  }

  /** Ends the rest of every lane: directives or pools have changed. */
  release(): void {
    for (const consumer of this.#byLane.values()) consumer.release();
  }

  /** Why a lane rests, and until when; undefined: it does not. */
  rest(lane: string): WaitStatus | undefined {
    return this.#byLane.get(lane)?.rest;
  }

  /** The lanes that rest. */
  *resting(): Iterable<{ lane: string; status: WaitStatus }> {
    for (const [lane, { rest: status }] of this.#byLane) if (status !== undefined) yield { lane, status };
  }

  /** Leases no more. */
  stop(): void {
    this.#stop.abort();
    for (const consumer of this.#byLane.values()) consumer.stop();
  }

  /** Resolves when no lane is being leased from. */
  async ended(): Promise<void> {
    await Promise.all(Array.from(this.#byLane.values(), (consumer) => consumer.ended));
  }
}
