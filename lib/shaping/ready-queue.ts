/**
 * The deliveries that wait for a connection: transactional before bulk, with a share for bulk; within a class one of
 * each tenant in turn, so that a tenant with a million here does not delay another's one. Mail that its own limits
 * hold back steps aside until they let it go. Each operation is O(1), apart from lines that step back in.
 *
 * ```
 *  class ─► ring of tenants ─► ring of a tenant's lines (one for each flow) ─► first in, first out
 *                                  │ its flow must wait        ▲
 *                                  └──► aside, until a time ───┘ or until it is called: one has ended
 * ```
 */
import { Heap } from '../heap.ts';
import type { Parking } from './counter.ts';
import type { Waiter } from './shared-permits.ts';
import type { StreamLimiter } from './stream-limiter.ts';

/** An element of the queue. */
export interface Queued<T> {
  readonly tenant: string;
  readonly bulk: boolean;
  readonly stream: StreamLimiter | undefined;
  /** Next of its line. */
  next: T | undefined;
}

/** First in, first out, of one tenant, class and flow. */
interface Line<T> {
  readonly stream: StreamLimiter | undefined;
  readonly tenant: Tenant<T>;
  head: T | undefined;
  tail: T | undefined;
  size: number;
  /** Whether it stands aside. */
  aside: boolean;
  /** The bound that calls it back, when it does not stand aside for a fixed time. */
  parked: Parking | undefined;
  readonly waiter: Waiter;
}

/** A tenant's lines that may go; a member of the ring while it has any. */
interface Tenant<T> {
  readonly name: string;
  readonly ring: Ring<T>;
  /** By flow. */
  readonly lines: Map<StreamLimiter | undefined, Line<T>>;
  /** Lines with mail that do not stand aside, the next one first. */
  ready: Line<T>[];
  following: Tenant<T>;
  preceding: Tenant<T>;
}

interface Ring<T> {
  readonly tenants: Map<string, Tenant<T>>;
  turn: Tenant<T> | undefined;
}

/** Sums of shares fall short of a whole by rounding. */
const FUDGE = 1e-9;

export class ReadyQueue<T extends Queued<T>> {
  readonly #transactional: Ring<T> = { tenants: new Map(), turn: undefined };
  readonly #bulk: Ring<T> = { tenants: new Map(), turn: undefined };
  /** Lines that stand aside until a time: a binary heap, earliest first. */
  readonly #aside = new Heap<{ line: Line<T>; until: number }>((a, b) => a.until < b.until);
  #size = 0;
  #standing = 0;
  /** Share that bulk has earned by letting transactional mail pass. */
  #earned = 0;
  readonly #called: () => void;

  /** @param called runs when mail that stood aside may go; it must defer its work until the caller has finished. */
  constructor(called: () => void = () => undefined) {
    this.#called = called;
  }

  /** Number of waiting elements. */
  get size(): number {
    return this.#size;
  }

  /** Number of elements that do not stand aside. */
  get ready(): number {
    return this.#size - this.#standing;
  }

  /** When the first line steps back in; `Infinity` when none waits for a time. */
  get nextAt(): number {
    return this.#aside.first?.until ?? Number.POSITIVE_INFINITY;
  }

  /** Number of elements that stand aside, by stream. */
  *aside(): Iterable<{ stream: StreamLimiter; count: number }> {
    for (const { tenants } of [this.#transactional, this.#bulk]) {
      for (const { lines } of tenants.values()) {
        for (const { stream, aside, size } of lines.values())
          if (aside && stream) yield { stream, count: size };
      }
    }
  }

  /** Tenants with waiting mail, those with transactional mail first. */
  *tenants(): Iterable<string> {
    yield* this.#transactional.tenants.keys();
    yield* this.#bulk.tenants.keys();
  }

  push(item: T): void {
    const line = this.#lineOf(item);
    item.next = undefined;
    if (line.tail === undefined) line.head = item;
    else line.tail.next = item;
    line.tail = item;
    this.#grown(line, false);
  }

  /** Puts back an element that was taken and not sent: it is its tenant's turn again. */
  pushFront(item: T): void {
    const line = this.#lineOf(item);
    item.next = line.head;
    line.head = item;
    line.tail ??= item;
    this.#grown(line, true);
  }

  /**
   * Takes the next element that may go.
   * @param bulkReserve share of bulk while both classes wait, 0 to 1.
   */
  take(now: number, bulkReserve: number): T | undefined {
    if (this.#aside.first !== undefined) this.#stepIn(now);
    if (this.#transactional.turn !== undefined && this.#bulk.turn !== undefined) {
      this.#earned += bulkReserve;
      if (this.#earned + FUDGE >= 1) {
        this.#earned -= 1;
        return this.#from(this.#bulk, now) ?? this.#from(this.#transactional, now);
      }
    }
    return this.#from(this.#transactional, now) ?? this.#from(this.#bulk, now);
  }

  /** Takes the element that can best wait, even if it may not go: bulk first. */
  takeLeastUrgent(): T | undefined {
    return this.takeBulk() ?? this.#any(this.#transactional);
  }

  /** Takes bulk mail, even if it may not go. */
  takeBulk(): T | undefined {
    return this.#any(this.#bulk);
  }

  /** Removes all elements that `chosen` accepts. */
  remove(chosen: (item: T) => boolean): T[] {
    const all: T[] = [];
    for (let item = this.takeLeastUrgent(); item !== undefined; item = this.takeLeastUrgent()) all.push(item);
    const removed: T[] = [];
    for (const item of all) {
      if (chosen(item)) removed.push(item);
      else this.push(item);
    }
    return removed;
  }

  #from(ring: Ring<T>, now: number): T | undefined {
    for (let tenant = ring.turn; tenant !== undefined; tenant = ring.turn) {
      const line = tenant.ready[0]!;
      const wait = line.stream === undefined ? 0 : line.stream.wait(now);
      if (wait > 0) {
        this.#stepAside(line, now, wait);
        continue;
      }
      ring.turn = tenant.following;
      if (tenant.ready.length > 1) tenant.ready.push(tenant.ready.shift()!);
      return this.#shift(line);
    }
    return undefined;
  }

  #any(ring: Ring<T>): T | undefined {
    if (ring.turn !== undefined) return this.#shift(ring.turn.ready[0]!);
    for (const tenant of ring.tenants.values()) {
      for (const line of tenant.lines.values()) if (line.size > 0) return this.#shift(line);
    }
    return undefined;
  }

  #shift(line: Line<T>): T {
    const item = line.head!;
    line.head = item.next;
    item.next = undefined;
    line.size -= 1;
    if (line.stream !== undefined) line.stream.waiting -= 1;
    this.#size -= 1;
    if (line.aside) this.#standing -= 1;
    if (line.head === undefined) {
      line.tail = undefined;
      this.#close(line);
    }
    return item;
  }

  #lineOf(item: T): Line<T> {
    const ring = item.bulk ? this.#bulk : this.#transactional;
    let tenant = ring.tenants.get(item.tenant);
    if (tenant === undefined) {
      tenant = { name: item.tenant, ring, lines: new Map(), ready: [] } as unknown as Tenant<T>;
      ring.tenants.set(item.tenant, tenant);
    }
    let line = tenant.lines.get(item.stream);
    if (line === undefined) {
      line = this.#newLine(item.stream, tenant, item.bulk);
      tenant.lines.set(item.stream, line);
    }
    return line;
  }

  #newLine(stream: StreamLimiter | undefined, tenant: Tenant<T>, bulk: boolean): Line<T> {
    const line: Line<T> = {
      stream,
      tenant,
      head: undefined,
      tail: undefined,
      size: 0,
      aside: false,
      parked: undefined,
      waiter: { bulk, wake: () => this.#wake(line) },
    };
    return line;
  }

  #grown(line: Line<T>, first: boolean): void {
    const { tenant } = line;
    line.size += 1;
    if (line.stream !== undefined) line.stream.waiting += 1;
    this.#size += 1;
    if (line.aside) {
      this.#standing += 1;
      return;
    }
    if (line.size === 1) this.#admit(line);
    if (!first) return;
    if (tenant.ready.length > 1) tenant.ready = [line, ...tenant.ready.filter((other) => other !== line)];
    tenant.ring.turn = tenant;
  }

  /** Adds a line to its ring. */
  #admit(line: Line<T>): void {
    const { tenant } = line;
    tenant.ready.push(line);
    if (tenant.ready.length > 1) return;
    const { ring } = tenant;
    const { turn } = ring;
    if (turn === undefined) {
      tenant.following = tenant;
      tenant.preceding = tenant;
      ring.turn = tenant;
    } else {
      // At the end of the round: just before the tenant whose turn it is.
      tenant.following = turn;
      tenant.preceding = turn.preceding;
      turn.preceding.following = tenant;
      turn.preceding = tenant;
    }
  }

  /** Removes a line from its ring. */
  #dismiss(line: Line<T>): void {
    const { tenant } = line;
    const { ring, ready } = tenant;
    if (ready[0] === line) ready.shift();
    else ready.splice(ready.indexOf(line), 1);
    if (ready.length > 0) return;
    if (ring.turn === tenant) ring.turn = tenant.following === tenant ? undefined : tenant.following;
    tenant.preceding.following = tenant.following;
    tenant.following.preceding = tenant.preceding;
  }

  /** Deletes an empty line. */
  #close(line: Line<T>): void {
    const { tenant } = line;
    if (line.aside) line.parked?.leave(line.waiter);
    else this.#dismiss(line);
    tenant.lines.delete(line.stream);
    if (tenant.lines.size === 0) tenant.ring.tenants.delete(tenant.name);
  }

  #stepAside(line: Line<T>, now: number, wait: number): void {
    this.#dismiss(line);
    line.aside = true;
    this.#standing += line.size;
    line.parked = wait === Number.POSITIVE_INFINITY ? line.stream!.full(now) : undefined;
    // Never due at once: a line that is due within the grain of the clock would be checked without end.
    if (line.parked === undefined) this.#aside.push({ line, until: now + Math.max(wait, 0.25) });
    else line.parked.park(line.waiter, line.stream!);
  }

  #wake(line: Line<T>): boolean {
    if (!this.#stepBack(line)) return false;
    this.#called();
    return true;
  }

  #stepBack(line: Line<T>): boolean {
    if (!line.aside) return false;
    line.aside = false;
    line.parked = undefined;
    this.#standing -= line.size;
    if (line.size > 0) this.#admit(line);
    return line.size > 0;
  }

  #stepIn(now: number): void {
    for (let next = this.#aside.first; next !== undefined && next.until <= now; next = this.#aside.first) {
      this.#aside.pop();
      this.#stepBack(next.line);
    }
  }
}
