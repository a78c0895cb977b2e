/**
 * The deliveries that wait for a connection: transactional before bulk, and within a class one of each tenant
 * in turn, so that a tenant with a thousand here does not delay another's one. Each operation is O(1).
 */
import type { Delivery } from './delivery.ts';

/** First in, first out, of one tenant and class; a member of a ring while it is not empty. */
interface TenantQueue {
  tenant: string;
  head: Delivery | undefined;
  tail: Delivery | undefined;
  following: TenantQueue;
  preceding: TenantQueue;
}

/** Round-robin over tenants. `turn` is the queue that gives next. */
class TenantRing {
  readonly #queues = new Map<string, TenantQueue>();
  #turn: TenantQueue | undefined;

  push(delivery: Delivery): void {
    const queue = this.#queueOf(delivery);
    delivery.next = undefined;
    if (queue.tail === undefined) queue.head = delivery;
    else queue.tail.next = delivery;
    queue.tail = delivery;
  }

  pushFront(delivery: Delivery): void {
    const queue = this.#queueOf(delivery);
    delivery.next = queue.head;
    queue.head = delivery;
    queue.tail ??= delivery;
    this.#turn = queue;
  }

  take(): Delivery | undefined {
    const queue = this.#turn;
    if (queue === undefined) return undefined;
    const delivery = queue.head!;
    queue.head = delivery.next;
    delivery.next = undefined;
    if (queue.head === undefined) this.#remove(queue);
    else this.#turn = queue.following;
    return delivery;
  }

  #queueOf(delivery: Delivery): TenantQueue {
    const { tenant } = delivery.item;
    const known = this.#queues.get(tenant);
    if (known !== undefined) return known;
    const queue = { tenant, head: undefined, tail: undefined } as unknown as TenantQueue;
    const turn = this.#turn;
    if (turn === undefined) {
      queue.following = queue;
      queue.preceding = queue;
      this.#turn = queue;
    } else {
      // At the end of the round: just before the one whose turn it is.
      queue.following = turn;
      queue.preceding = turn.preceding;
      turn.preceding.following = queue;
      turn.preceding = queue;
    }
    this.#queues.set(tenant, queue);
    return queue;
  }

  #remove(queue: TenantQueue): void {
    this.#queues.delete(queue.tenant);
    this.#turn = queue.following === queue ? undefined : queue.following;
    queue.preceding.following = queue.following;
    queue.following.preceding = queue.preceding;
  }
}

export class ReadyQueue {
  readonly #transactional = new TenantRing();
  readonly #bulk = new TenantRing();
  #size = 0;

  get size(): number {
    return this.#size;
  }

  push(delivery: Delivery): void {
    this.#size += 1;
    this.#ringOf(delivery).push(delivery);
  }

  /** Puts back what was taken and not sent: it is its tenant's turn again. */
  pushFront(delivery: Delivery): void {
    this.#size += 1;
    this.#ringOf(delivery).pushFront(delivery);
  }

  take(): Delivery | undefined {
    return this.#count(this.#transactional.take() ?? this.#bulk.take());
  }

  /** Takes what can best wait: bulk first. */
  takeLeastUrgent(): Delivery | undefined {
    return this.#count(this.#bulk.take() ?? this.#transactional.take());
  }

  #count(delivery: Delivery | undefined): Delivery | undefined {
    if (delivery !== undefined) this.#size -= 1;
    return delivery;
  }

  #ringOf(delivery: Delivery): TenantRing {
    return delivery.lane.class === 'transactional' ? this.#transactional : this.#bulk;
  }
}
