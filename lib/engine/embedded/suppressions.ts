/**
 * The suppression lists. Nearly every recipient is on none, which memory answers: a filter of the listed addresses is
 * built when the store is opened, and every newly listed address joins it first.
 */
import type { SuppressionQuery, Suppressions } from '../ports.ts';
import {
  SUPPRESSION_REASONS,
  type Suppression,
  type SuppressionReason,
  suppressionKey,
} from '../suppression.ts';
import { KeyFilter } from './key-filter.ts';
import type { Link } from './link.ts';

export class EmbeddedSuppressions implements Suppressions {
  readonly #link: Link;
  readonly #listed: KeyFilter;

  constructor(link: Link, listed: Uint32Array) {
    this.#link = link;
    this.#listed = new KeyFilter(listed);
  }

  find(
    addresses: readonly Pick<Suppression, 'tenant' | 'address'>[],
  ): (Suppression | undefined)[] | Promise<(Suppression | undefined)[]> {
    const found = new Array<Suppression | undefined>(addresses.length).fill(undefined);
    const places: number[] = [];
    const keys: [tenant: string, key: string][] = [];
    for (const [place, { tenant, address }] of addresses.entries()) {
      const key = suppressionKey(address);
      if (!this.#listed.has(tenant, key)) continue;
      places.push(place);
      keys.push([tenant, key]);
    }
    return keys.length === 0 ? found : this.#read(keys, places, found);
  }

  /** Reads entries, and puts each at its place. */
  async #read(
    keys: [tenant: string, key: string][],
    places: readonly number[],
    found: (Suppression | undefined)[],
  ): Promise<(Suppression | undefined)[]> {
    const entries = await this.#link.call('findSuppressions', keys);
    for (const [i, place] of places.entries()) found[place] = entries[i];
    return found;
  }

  put(entry: Suppression): Promise<boolean> {
    const key = suppressionKey(entry.address);
    this.#listed.add(entry.tenant, key);
    return this.#link.call('putSuppression', { key, entry });
  }

  remove(tenant: string, address: string, at: number, reason?: SuppressionReason): Promise<boolean> {
    return this.#link.call('removeSuppression', { tenant, key: suppressionKey(address), at, reason });
  }

  async list(query: SuppressionQuery): Promise<Suppression[]> {
    const { tenant, reasons = SUPPRESSION_REASONS, from = 0, before = Number.MAX_SAFE_INTEGER, max } = query;
    const { after } = query;
    const found: Suppression[] = [];
    for (const reason of SUPPRESSION_REASONS) {
      if (!reasons.includes(reason) || (after && reason < after.reason)) continue;
      if (found.length >= max) break;
      const behind = after?.reason === reason && after.at >= from ? after : undefined;
      const page = await this.#link.call('listSuppressions', {
        tenant,
        reason,
        from: behind?.at ?? from,
        before,
        after: behind ? suppressionKey(behind.address) : '',
        max: max - found.length,
      });
      found.push(...page);
    }
    return found;
  }
}
