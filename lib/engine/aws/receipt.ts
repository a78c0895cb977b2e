/** Leases of this process: their receipts, and the deliveries under lease here. */
import type { LeasedItem } from '../ports.ts';
import type { Note } from '../settlement-journal.ts';
import type { Copy } from './deliveries.ts';
import type { BodyPlace } from './envelope.ts';

/** Proof of a lease of one copy. */
export interface Receipt {
  copy: Copy;
  queue: string;
  /** SQS's receipt handle. */
  handle: string;
  /** Whether the delivery had no item when it was handed out. */
  fresh: boolean;
  /** Nonce of the claim, when the delivery was claimed for this lease. */
  nonce?: string;
  at?: BodyPlace;
  /** When the lease ends, by this process's steady clock. */
  until: number;
  /** Progress of its end; a settlement that failed half-way continues from there. */
  done: {
    recorded: boolean;
    /** Whether another lease had written before: this copy only has to be dropped. */
    lost: boolean;
    put: boolean;
    /** Whether a put failed and may have succeeded all the same. */
    mayBePut: boolean;
    emitted: boolean;
  };
  /** Its end in the settlement journal. */
  note?: Note;
}

/** The progress of an end that has not begun. */
export function freshDone(): Receipt['done'] {
  return { recorded: false, lost: false, put: false, mayBePut: false, emitted: false };
}

export function receiptOf(leased: LeasedItem): Receipt {
  return leased.receipt as Receipt;
}

/** Deliveries under lease in this process. */
export class LeasedHere {
  readonly #receipts = new Map<string, Map<number, Receipt>>();

  add(receipt: Receipt): void {
    const { messageId, n } = receipt.copy.item;
    let places = this.#receipts.get(messageId);
    if (!places) this.#receipts.set(messageId, (places = new Map()));
    places.set(n, receipt);
  }

  remove(receipt: Receipt): void {
    const { messageId, n } = receipt.copy.item;
    const places = this.#receipts.get(messageId);
    if (places?.get(n) !== receipt) return;
    places.delete(n);
    if (places.size === 0) this.#receipts.delete(messageId);
  }

  /** Indices (`n`) of a message's deliveries under lease at `now` of the steady clock. */
  places(messageId: string, now: number): Set<number> {
    const places = new Set<number>();
    for (const [n, { until }] of this.#receipts.get(messageId) ?? []) if (until > now) places.add(n);
    return places;
  }
}
