/**
 * One lane: a ring of shelves (tenants) that have something ready, and the callers that wait for it. Each
 * turn takes one delivery of each tenant, whatever their backlogs.
 */
import type { PosternError } from '../../errors.ts';
import type { Held, Shelf } from './tenant-queue.ts';

export interface Waiter {
  max: number;
  /** Answers, with nothing at the end of the wait. */
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
  /** Shelves with something ready, the next one first; those before `#first` have had their turn. */
  #ring: Shelf[] = [];
  #first = 0;
  #waiters: Waiter[] = [];

  constructor(name: string) {
    this.name = name;
  }

  activate(shelf: Shelf): void {
    if (shelf.active) return;
    shelf.active = true;
    this.#ring.push(shelf);
  }

  wait(waiter: Waiter): void {
    this.#waiters.push(waiter);
  }

  /** A caller waits no more. */
  leave(waiter: Waiter): void {
    waiter.done = true;
    this.#waiters = this.#waiters.filter((other) => other !== waiter);
  }

  /** Every caller that waits gets this error. */
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
   * @param load called with the shelves whose turn it is and of which nothing is in memory. Taking the others
   *   first would be unfair to them, so the callers wait; `serve` is to be called again when they are loaded.
   */
  serve(take: (shelf: Shelf) => Held | undefined, load: (dry: Shelf[]) => void): void {
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

  #dry(max: number): Shelf[] {
    const dry: Shelf[] = [];
    const end = Math.min(this.#ring.length, this.#first + max);
    for (let i = this.#first; i < end; i++) {
      const shelf = this.#ring[i]!;
      if (shelf.inMemory === 0 && shelf.onDisk) dry.push(shelf);
    }
    return dry;
  }

  #take(max: number, take: (shelf: Shelf) => Held | undefined): Held[] {
    const taken: Held[] = [];
    let passes = this.#ring.length - this.#first;
    while (taken.length < max && passes > 0 && this.#first < this.#ring.length) {
      const shelf = this.#ring[this.#first]!;
      if (shelf.inMemory === 0 && shelf.onDisk) break;
      this.#first += 1;
      const held = take(shelf);
      if (held) {
        taken.push(held);
        passes = this.#ring.length - this.#first + 1;
      } else passes -= 1;
      if (shelf.inMemory > 0 || shelf.onDisk) this.#ring.push(shelf);
      else shelf.active = false;
    }
    if (this.#first > 256 && this.#first * 2 > this.#ring.length) {
      this.#ring = this.#ring.slice(this.#first);
      this.#first = 0;
    }
    return taken;
  }
}
