/**
 * What the node holds: every delivery between its lease and the durable end of that lease. Bounded in number
 * and bytes, so that memory stays flat however much is queued, and kept visible to no other node while held.
 */
import type { Queue } from '../engine/ports.ts';
import type { Delivery } from './delivery.ts';

export interface InFlightLimits {
  items: number;
  bytes: number;
}

/** Bulk mail leaves this share of the room to transactional mail. */
const RESERVED = 0.2;

export class InFlight {
  readonly limits: InFlightLimits;
  readonly #queue: Queue;
  readonly #visibility: number;
  /** In the order of their leases' ends: what was leased or extended last stands last. */
  readonly #deliveries = new Set<Delivery>();
  /** Deliveries held. */
  items = 0;
  #bytes = 0;

  /** @param visibility milliseconds of a lease and of each extension. */
  constructor(queue: Queue, limits: InFlightLimits, visibility: number) {
    this.#queue = queue;
    this.limits = limits;
    this.#visibility = visibility;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** All deliveries held. */
  all(): Iterable<Delivery> {
    return this.#deliveries;
  }

  /** Deliveries for which there is room, of a class and of an expected size. */
  room(bulk: boolean, bytesEach: number): number {
    const share = bulk ? 1 - RESERVED : 1;
    const byItems = this.limits.items * share - this.#deliveries.size;
    const byBytes = (this.limits.bytes * share - this.#bytes) / Math.max(1, bytesEach);
    // One message may be larger than all the room; an empty hand takes it all the same.
    if (this.#deliveries.size === 0) return Math.max(1, Math.floor(Math.min(byItems, byBytes)));
    return Math.max(0, Math.floor(Math.min(byItems, byBytes)));
  }

  /** A delivery in hand. The search is linear: for requests of a person, not for the way of a message. */
  find(messageId: string, n: number): Delivery | undefined {
    for (const delivery of this.#deliveries) {
      if (delivery.item.messageId === messageId && delivery.item.n === n) return delivery;
    }
    return undefined;
  }

  add(delivery: Delivery): void {
    this.#deliveries.add(delivery);
    this.items += 1;
    this.#bytes += delivery.size;
    delivery.lane.held += 1;
  }

  remove(delivery: Delivery): void {
    if (!this.#deliveries.delete(delivery)) return;
    this.items -= 1;
    this.#bytes -= delivery.size;
    delivery.lane.held -= 1;
    delivery.slot?.leave(delivery);
  }

  /**
   * Prolongs leases of which less than half is left. A failure is not the end: the next call tries again. A lease
   * that ran out is not prolonged: another node may have the delivery, and it is not begun here any more.
   */
  async extend(now: number): Promise<void> {
    const due: Delivery[] = [];
    for (const delivery of this.#deliveries) {
      if (delivery.visibleUntil - now > this.#visibility / 2) break;
      if (delivery.visibleUntil <= now) continue;
      due.push(delivery);
    }
    if (due.length === 0) return;
    await this.#queue.extend(
      due.map((delivery) => delivery.leased),
      this.#visibility,
    );
    for (const delivery of due) {
      if (!this.#deliveries.delete(delivery)) continue;
      delivery.visibleUntil = now + this.#visibility;
      this.#deliveries.add(delivery);
    }
  }
}
