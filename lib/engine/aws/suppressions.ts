/**
 * The suppression lists: an item for each address, found by tenant and address in one read, and listed by the index.
 * An item without a reason marks an address as removed from the list; TTL deletes it.
 */
import type { SuppressionQuery, Suppressions } from '../ports.ts';
import {
  REMOVAL_MEMORY,
  SUPPRESSION_REASONS,
  type Suppression,
  type SuppressionReason,
  suppressionKey,
} from '../suppression.ts';
import { type Item, type Key, keyOf, number, numberOf, text, ttlOf } from './attributes.ts';
import type { Tables } from './tables.ts';

const TABLE = 'suppressions';

export class AwsSuppressions implements Suppressions {
  readonly #tables: Tables;

  constructor(tables: Tables) {
    this.#tables = tables;
  }

  /** Eventually consistent, at half the cost, and a second old at most. */
  async find(
    addresses: readonly Pick<Suppression, 'tenant' | 'address'>[],
  ): Promise<(Suppression | undefined)[]> {
    const keys = addresses.map(({ tenant, address }) => addressKey(tenant, address));
    const different = new Map(keys.map((key) => [key.pk, key]));
    const found = new Map<string, Suppression>();
    for (const item of await this.#tables.getAll(TABLE, [...different.values()], false)) {
      if (item.r) found.set(item.pk!.S!, entryOf(item));
    }
    return keys.map(({ pk }) => found.get(pk));
  }

  async put({ tenant, address, reason, at, messageId, feedbackId, why }: Suppression): Promise<boolean> {
    const values: Item = {
      ':l': text(listOf(tenant, reason)),
      ':t': number(at),
      ':r': text(reason),
      ':a': text(address),
    };
    // Without `s` an entry of an older version is listed since its first replacement.
    const sets = ['l = :l', 't = :t', 'r = :r', 'a = :a', 's = if_not_exists(s, :t)'];
    const removes = ['#ttl'];
    for (const [name, value] of [
      ['m', messageId],
      ['f', feedbackId],
      ['w', why],
    ] as const) {
      if (value === undefined) removes.push(name);
      else {
        sets.push(`${name} = :${name}`);
        values[`:${name}`] = text(value);
      }
    }
    const { done } = await this.#tables.update(TABLE, addressKey(tenant, address), {
      update: `SET ${sets.join(', ')} REMOVE ${removes.join(', ')}`,
      condition: 'attribute_not_exists(t) OR t <= :t',
      names: { '#ttl': 'ttl' },
      values,
    });
    return done;
  }

  async remove(tenant: string, address: string, at: number, reason?: SuppressionReason): Promise<boolean> {
    const { done } = await this.#tables.update(TABLE, addressKey(tenant, address), {
      update: 'SET t = :t, #ttl = :ttl REMOVE l, r, a, m, f, s, w',
      condition: reason === undefined ? 'attribute_exists(r)' : 'r = :r AND t <= :t',
      names: { '#ttl': 'ttl' },
      values: {
        ':t': number(at),
        ':ttl': ttlOf(at + REMOVAL_MEMORY),
        ...(reason !== undefined && { ':r': text(reason) }),
      },
    });
    return done;
  }

  async list(query: SuppressionQuery): Promise<Suppression[]> {
    const { reasons = SUPPRESSION_REASONS, after, max } = query;
    const found: Suppression[] = [];
    for (const reason of SUPPRESSION_REASONS) {
      if (!reasons.includes(reason) || (after && reason < after.reason)) continue;
      if (found.length >= max) break;
      const behind = after?.reason === reason ? after : undefined;
      found.push(...(await this.#listed(query, reason, max - found.length, behind)));
    }
    return found;
  }

  async #listed(
    { tenant, from: first = 0, before = Number.MAX_SAFE_INTEGER }: SuppressionQuery,
    reason: SuppressionReason,
    limit: number,
    after: SuppressionQuery['after'],
  ): Promise<Suppression[]> {
    const from = Math.max(first, after?.at ?? 0);
    const to = before - 1;
    if (from > to) return [];
    const list = listOf(tenant, reason);
    // The start of a page must lie within the query.
    const start =
      after && after.at === from
        ? { ...keyOf(addressKey(tenant, after.address)), l: text(list), t: number(from) }
        : undefined;
    const items = await this.#tables.queryListed(list, { from, to, limit, after: start });
    return items.map(entryOf);
  }
}

/** A partition of its own for each address: the reads of a large sender meet no limit of one partition. */
function addressKey(tenant: string, address: string): Key {
  return { pk: `${tenant}/${suppressionKey(address)}`, sk: 's' };
}

function listOf(tenant: string, reason: SuppressionReason): string {
  return `${tenant}/${reason}`;
}

function entryOf(item: Item): Suppression {
  const pk = item.pk!.S!;
  return {
    // Names of tenants hold no `/`.
    tenant: pk.slice(0, pk.indexOf('/')),
    address: item.a!.S!,
    reason: item.r!.S as SuppressionReason,
    at: numberOf(item.t),
    since: numberOf(item.s ?? item.t),
    ...(item.w && { why: item.w.S! }),
    ...(item.m && { messageId: item.m.S! }),
    ...(item.f && { feedbackId: item.f.S! }),
  };
}
