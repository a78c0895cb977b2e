/**
 * Ready deliveries as the event loop sees them: the head of each tenant queue (lane and tenant) in memory, the rest
 * on disk behind it.
 *
 * ```
 *   keys of a tenant queue, ascending ─────────────────────────────────────────►
 *   [ returned ][ window ............ ]│ on disk only ............... │
 *     back from     in memory        loaded                         last
 *     a lease
 * ```
 * What was just admitted joins the window straight away (its bytes never come back from the disk) while the
 * window has no gap before it and the budget has room; else it stays on disk and is loaded in its turn.
 */
import type { QueueItem } from '../items.ts';
import type { BodyBytes } from './body-bytes.ts';

/** Bytes that a delivery takes in memory besides its body: item, objects, strings. */
const OVERHEAD = 1024;

export interface ReadyInput {
  key: number;
  message: number;
  n: number;
  /** Deliveries of the message; they share its body. */
  share: number;
  item: QueueItem;
  body: BodyBytes;
}

/**
 * A delivery that is in memory.
 * `ready` in its tenant queue · `leased` · `settling`: its end is being written · `gone`.
 */
export class Held {
  readonly key: number;
  readonly message: number;
  readonly n: number;
  readonly share: number;
  readonly item: QueueItem;
  readonly body: BodyBytes;
  readonly tenantQueue: TenantQueue;
  readonly cost: number;
  receives: number;
  /** End of the lease. */
  until = 0;
  place: 'ready' | 'leased' | 'settling' | 'gone' = 'ready';
  /** A lease of it ran out: its holder may read the body still, so that the collector alone frees it. */
  lapsed = false;

  constructor(input: ReadyInput, tenantQueue: TenantQueue, receives: number) {
    this.key = input.key;
    this.message = input.message;
    this.n = input.n;
    this.share = input.share;
    this.item = input.item;
    this.body = input.body;
    this.tenantQueue = tenantQueue;
    this.cost = OVERHEAD + input.body.bytes.byteLength;
    this.receives = receives;
    input.body.hold();
  }

  /** It is gone, and with the last delivery of its message the body. */
  leave(): void {
    this.place = 'gone';
    if (!this.lapsed) this.body.release();
  }
}

/** Bytes of ready deliveries that may be in memory, over all tenant queues. */
export class Budget {
  readonly #limit: number;
  #used = 0;

  constructor(limit: number) {
    this.#limit = limit;
  }

  /**
   * What a tenant queue that holds `own` bytes may add. A tenant queue may hold as much as is free (the dynamic threshold
   * of shared-buffer switches), so a long queue never takes the room of the next tenant's first message.
   */
  room(own: number): number {
    return this.#limit - this.#used - own;
  }

  change(by: number): void {
    this.#used += by;
  }
}

export class TenantQueue {
  readonly lane: string;
  readonly tenant: string;
  /** Every row up to this key is, or was, in memory. */
  loaded: number;
  /** Highest key of this tenant queue. */
  last: number;
  /** Deliveries that are ready, in memory or on disk. */
  ready: number;
  /** When the last delivery that left, or the first that came, was accepted: of about the age of what is on disk. */
  #acceptedAt: number;
  /** In its lane's ring. */
  active = false;
  loading = false;
  /** Deliveries under lease. */
  out = 0;
  /** Keys up to this were there before this start and may have been sent by the run before. */
  readonly #suspect: number;
  readonly #budget: Budget;
  /** Those before `#head` are taken; a taken one that stayed here would keep its body. */
  #window: (Held | undefined)[] = [];
  #head = 0;
  #returned: Held[] = [];
  #bytes = 0;

  /** @param stored what was ready at the start: the number, the last key, and when the first was accepted. */
  constructor(
    lane: string,
    tenant: string,
    loaded: number,
    budget: Budget,
    stored: { ready: number; last: number; suspect: number; acceptedAt: number },
  ) {
    this.lane = lane;
    this.tenant = tenant;
    this.loaded = loaded;
    this.last = stored.last;
    this.ready = stored.ready;
    this.#suspect = stored.suspect;
    this.#acceptedAt = stored.acceptedAt;
    this.#budget = budget;
  }

  /** When the delivery whose turn is next was accepted; while none is in memory, of the one before it. */
  get oldest(): number | undefined {
    if (this.ready === 0) return undefined;
    const next = this.#returned[0] ?? this.#window[this.#head];
    return next?.item.acceptedAt ?? this.#acceptedAt;
  }

  /** Rows may be on disk that were never in memory. */
  get onDisk(): boolean {
    return this.loaded < this.last;
  }

  /** Deliveries in memory. */
  get inMemory(): number {
    return this.#window.length - this.#head + this.#returned.length;
  }

  /** Bytes that may be loaded now. */
  get room(): number {
    return this.#budget.room(this.#bytes);
  }

  /** A new row. Kept in memory if it may be. */
  arrive(input: ReadyInput): void {
    if (this.ready === 0) this.#acceptedAt = input.item.acceptedAt;
    if (!this.onDisk && this.room > OVERHEAD + input.body.bytes.byteLength) {
      this.#push(new Held(input, this, 0));
      this.loaded = input.key;
    }
    this.last = input.key;
  }

  /** A row read from the disk. */
  append(input: ReadyInput): void {
    this.#push(new Held(input, this, input.key <= this.#suspect ? 1 : 0));
  }

  /** A lease came back: the delivery keeps its place at the front. */
  takeBack(held: Held): void {
    held.place = 'ready';
    this.out -= 1;
    this.#charge(held.cost);
    this.#returned.push(held);
  }

  /** The next delivery, or undefined when none is in memory. `skip`: not this one now. */
  take(skip: (held: Held) => boolean): Held | undefined {
    for (let i = 0; i < this.#returned.length; i++) {
      if (!skip(this.#returned[i]!)) return this.#leave(this.#returned.splice(i, 1)[0]!);
    }
    for (let i = this.#head; i < this.#window.length; i++) {
      if (skip(this.#window[i]!)) continue;
      if (i > this.#head) return this.#leave(this.#window.splice(i, 1)[0]!);
      const held = this.#window[this.#head]!;
      this.#window[this.#head++] = undefined;
      if (this.#head === this.#window.length) {
        this.#window = [];
        this.#head = 0;
      }
      return this.#leave(held);
    }
    return undefined;
  }

  /** Takes out the delivery with this key, if it is in memory (cancelled, or ended by a late settlement). */
  remove(key: number): Held | undefined {
    const same = (held: Held) => held.key === key;
    const returned = this.#returned.findIndex(same);
    const held =
      returned >= 0
        ? this.#returned.splice(returned, 1)[0]
        : this.#window.find((other) => other !== undefined && same(other));
    if (!held) return undefined;
    if (returned < 0) this.#window.splice(this.#window.indexOf(held), 1);
    this.#charge(-held.cost);
    return held;
  }

  #push(held: Held): void {
    if (this.#head > 1024 && this.#head * 2 > this.#window.length) {
      this.#window = this.#window.slice(this.#head);
      this.#head = 0;
    }
    this.#window.push(held);
    this.#charge(held.cost);
  }

  #leave(held: Held): Held {
    this.#charge(-held.cost);
    this.#acceptedAt = held.item.acceptedAt;
    this.out += 1;
    return held;
  }

  #charge(by: number): void {
    this.#bytes += by;
    this.#budget.change(by);
  }
}
