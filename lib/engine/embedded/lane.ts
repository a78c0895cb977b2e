/**
 * One lane: a ring of tenant queues (tenants) with ready deliveries, and the callers that wait for one. Each turn
 * takes one delivery of each tenant, independent of their backlogs.
 */
import type { PosternError } from '../../errors.ts';
import type { Held, TenantQueue } from './tenant-queue.ts';

export interface WaitingLease {
  max: number;
  /** Answers the caller, with nothing at the end of the wait. */
  resolve(taken: Held[]): void;
  reject(error: PosternError): void;
  /** Does not wait for arrivals: answers as soon as nothing is being loaded. */
  impatient: boolean;
  done: boolean;
}

export class Lane {
  readonly name: string;
  /** Deliveries that are ready, in memory or on disk. */
  ready = 0;
  leased = 0;
  /** Tenant queues with something ready, the next one first; those before `#first` have had their turn. */
  #ring: TenantQueue[] = [];
  #first = 0;
  #waiters: WaitingLease[] = [];

  constructor(name: string) {
    this.name = name;
  }

  activate(tenantQueue: TenantQueue): void {
    if (tenantQueue.active) return;
    tenantQueue.active = true;
    this.#ring.push(tenantQueue);
  }

  wait(waiter: WaitingLease): void {
    this.#waiters.push(waiter);
  }

  /** Removes a waiting caller. */
  leave(waiter: WaitingLease): void {
    waiter.done = true;
    this.#waiters = this.#waiters.filter((other) => other !== waiter);
  }

  /** Fails every waiting caller with this error. */
  fail(error: PosternError): void {
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const waiter of waiters) {
      if (waiter.done) continue;
      waiter.done = true;
      waiter.reject(error);
    }
  }

  /**
   * Serves waiting callers in their order, as far as it goes.
   * @param load called with the tenant queues whose turn it is and of which nothing is in memory. Taking the others
   *   first would be unfair to them, so the callers wait; `serve` is to be called again when they are loaded.
   */
  serve(take: (tenantQueue: TenantQueue) => Held | undefined, load: (dry: TenantQueue[]) => void): void {
    while (this.#waiters.length > 0) {
      const waiter = this.#waiters[0]!;
      if (waiter.done) {
        this.#waiters.shift();
        continue;
      }
      const dry = this.#dry(waiter.max);
      if (dry.length > 0) {
        load(dry);
        return;
      }
      const taken = this.#take(waiter.max, take);
      if (taken.length > 0 || waiter.impatient) {
        this.#waiters.shift();
        waiter.done = true;
        waiter.resolve(taken);
        continue;
      }
      // Nothing is ready for this one, nor for those behind it; but the impatient get their answer.
      const rest = this.#waiters;
      this.#waiters = rest.filter((other) => !other.impatient && !other.done);
      for (const other of rest) {
        if (!other.impatient || other.done) continue;
        other.done = true;
        other.resolve([]);
      }
      return;
    }
  }

  #dry(max: number): TenantQueue[] {
    const dry: TenantQueue[] = [];
    const end = Math.min(this.#ring.length, this.#first + max);
    for (let i = this.#first; i < end; i++) {
      const tenantQueue = this.#ring[i]!;
      if (tenantQueue.inMemory === 0 && tenantQueue.onDisk) dry.push(tenantQueue);
    }
    return dry;
  }

  #take(max: number, take: (tenantQueue: TenantQueue) => Held | undefined): Held[] {
    const taken: Held[] = [];
    let passes = this.#ring.length - this.#first;
    while (taken.length < max && passes > 0 && this.#first < this.#ring.length) {
      const tenantQueue = this.#ring[this.#first]!;
      if (tenantQueue.inMemory === 0 && tenantQueue.onDisk) break;
      this.#first += 1;
      const held = take(tenantQueue);
      if (held) {
        taken.push(held);
        passes = this.#ring.length - this.#first + 1;
      } else passes -= 1;
      if (tenantQueue.inMemory > 0 || tenantQueue.onDisk) this.#ring.push(tenantQueue);
      else tenantQueue.active = false;
    }
    if (this.#first > 256 && this.#first * 2 > this.#ring.length) {
      this.#ring = this.#ring.slice(this.#first);
      this.#first = 0;
    }
    return taken;
  }
}
