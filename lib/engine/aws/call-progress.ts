/**
 * How far a call got, for its repeat. What tells is the state of its deliveries: one that ended, was put back, or is held
 * has left its lane, so its copy had been there.
 */
import { type Calls, isComplete, type StoredCall } from './calls.ts';
import { deliveryKey, hasLeft } from './deliveries.ts';
import type { DeliveryTable } from './delivery-table.ts';

/** A delivery, or all of a message whose record is missing. */
export interface DeliveryPlace {
  id: string;
  n: number | 'all';
}

export class CallProgress {
  readonly #calls: Calls;
  readonly #deliveries: DeliveryTable;

  constructor(calls: Calls, deliveries: DeliveryTable) {
    this.#calls = calls;
    this.#deliveries = deliveries;
  }

  /** The answer to a call, if it was made before and nothing of it may be missing. */
  async answer(key: string): Promise<{ digest: string; response: string } | undefined> {
    const first = await this.#calls.find(key);
    if (!first) return this.#calls.findFormer(key);
    const { digest, response } = first.content;
    if (digest === undefined || response === undefined) return undefined;
    return isComplete(first) || (await this.here(first)).length === 0 ? { digest, response } : undefined;
  }

  /** Deliveries of a call that nothing shows to have left their lanes: they wait there, or were never sent. */
  async here(first: StoredCall): Promise<DeliveryPlace[]> {
    const messages = await this.#calls.messagesOf(first);
    const places = messages.flatMap(({ record, settled = [] }) => {
      const over = new Set(settled.map(({ n }) => n));
      return [...record.recipients.keys()].flatMap((n) => (over.has(n) ? [] : [{ id: record.id, n }]));
    });
    const items = await this.#deliveries.getAll(places.map(({ id, n }) => deliveryKey(id, n)));
    const left = new Set(items.filter(hasLeft).map(({ pk, sk }) => `${pk!.S} ${sk!.S}`));
    const found = new Set(messages.map(({ record }) => record.id));
    const missing = (first.content.apart ?? []).filter((id) => !found.has(id));
    return [
      ...places.filter(({ id, n }) => !left.has(`${id} ${deliveryKey(id, n).sk}`)),
      ...missing.map((id) => ({ id, n: 'all' as const })),
    ];
  }
}
