/**
 * Rows: an item for each, in one table. `v` is a value that was written, `+name` the counters that were added to; `n`
 * is the version, `e` the time of expiry in ms, which is exact where TTL is late by days.
 *
 * A batch of deltas is cut into parts of one transaction each, in the order of its rows; each writes the item that
 * remembers it, so that a part counts once, whichever part a crash or a throttled call came after.
 */
import type { TransactWriteItem } from '@aws-sdk/client-dynamodb';
import { PosternError } from '../../errors.ts';
import type { Clock, Random } from '../../time.ts';
import type { Rows } from '../ports.ts';
import {
  BATCH_MEMORY,
  COUNTED,
  checkDeltas,
  checkKeys,
  checkQuery,
  checkRows,
  KEY_BYTES,
  type NewRow,
  notCounters,
  type Row,
  type RowDelta,
  type RowKey,
  type RowQuery,
  rowConflict,
} from '../rows.ts';
import { type Item, type Key, keyOf, number, numberOf, text, ttlOf } from './attributes.ts';
import type { Tables } from './tables.ts';

const TABLE = 'rows';
const FIRST = '\0';
/** The highest code point, as often as a key holds it: no key is behind it. */
const LAST = '\u{10ffff}'.repeat(KEY_BYTES / 4);
/** Writes of a transaction beside the one that remembers it (DynamoDB: 100). */
const PART = 99;
/** Counters of one update (DynamoDB: an expression of 4 KB). */
const COUNTERS = 100;
/** Start of the name of a counter's attribute. */
const COUNTER = '+';
/** How often a part is begun anew because a row of it had expired. */
const TRIES = 3;
const LIVE = '(attribute_not_exists(e) OR e > :now)';

export class AwsRows implements Rows {
  readonly #tables: Tables;
  readonly #clock: Clock;
  readonly #random: Random;

  constructor({ tables, clock, random }: { tables: Tables; clock: Clock; random: Random }) {
    this.#tables = tables;
    this.#clock = clock;
    this.#random = random;
  }

  async get(keys: readonly RowKey[]): Promise<(Row | undefined)[]> {
    checkKeys(keys);
    const found = new Map<string, Row>();
    for (const item of await this.#tables.getAll(TABLE, different(keys.map(itemKey)))) {
      if (this.#isLive(item)) found.set(nameOf({ pk: item.pk!.S!, sk: item.sk!.S! }), rowOf(item));
    }
    return keys.map((key) => found.get(nameOf(itemKey(key))));
  }

  async put(rows: readonly NewRow[]): Promise<void> {
    const values = checkRows(rows);
    const items = new Map(
      rows.map((row, at) => [nameOf(itemKey(row)), itemOf(row, values[at]!, this.#version())]),
    );
    await this.#tables.putAll(TABLE, [...items.values()]);
  }

  async change(row: NewRow, expect: number): Promise<number> {
    const [value] = checkRows([row]);
    const version = this.#version();
    const written = await this.#tables.put(
      TABLE,
      itemOf(row, value!, version),
      expect === 0
        ? { condition: 'attribute_not_exists(pk) OR e <= :now', values: { ':now': this.#now() } }
        : { condition: `n = :n AND ${LIVE}`, values: { ':n': number(expect), ':now': this.#now() } },
    );
    if (!written) throw rowConflict(row, expect);
    return version;
  }

  async delete(keys: readonly RowKey[]): Promise<void> {
    checkKeys(keys);
    await this.#tables.deleteAll(TABLE, different(keys.map(itemKey)));
  }

  async query(query: RowQuery): Promise<Row[]> {
    checkQuery(query);
    const { kind, partition, from = FIRST, before = LAST, after, descending = false, max } = query;
    const pk = `${kind}#${partition}`;
    let low = from === '' ? FIRST : from;
    let high = before;
    let last = after;
    const found: Row[] = [];
    for (;;) {
      if (last !== undefined && descending) high = lesser(high, last);
      else if (last !== undefined) low = compare(low, last) > 0 ? low : last;
      if (high === '' || compare(low, high) > 0) return found;
      // The ends of the range are in DynamoDB's answer and not in this one.
      const limit = max - found.length + 2;
      const items = await this.#tables.query(TABLE, pk, { from: low, to: high, limit, descending });
      for (const item of items) {
        const key = item.sk!.S!;
        if (key === query.before || key === last || !this.#isLive(item)) continue;
        found.push(rowOf(item));
        if (found.length === max) return found;
      }
      if (items.length < limit) return found;
      last = items.at(-1)!.sk!.S!;
    }
  }

  async add(batch: string, deltas: readonly RowDelta[]): Promise<boolean> {
    checkDeltas(batch, deltas);
    let counted = deltas.length === 0 && (await this.#addPart(batch, 0, []));
    for (const [at, part] of partsOf(deltas).entries())
      counted = (await this.#addPart(batch, at, part)) || counted;
    return counted;
  }

  /** @returns false when this part was counted before. */
  async #addPart(batch: string, at: number, part: readonly RowDelta[]): Promise<boolean> {
    const now = this.#clock.now();
    const remembered: Item = {
      ...keyOf({ pk: `${COUNTED}#${batch}`, sk: String(at) }),
      e: number(now + BATCH_MEMORY),
      ttl: ttlOf(now + BATCH_MEMORY),
    };
    for (let tries = 0; tries < TRIES; tries += 1) {
      const result = await this.#tables.transact(TABLE, (name) => [
        {
          Put: {
            TableName: name,
            Item: remembered,
            ConditionExpression: 'attribute_not_exists(pk) OR e <= :now',
            ExpressionAttributeValues: { ':now': number(now) },
          },
        },
        ...part.map((delta) => this.#update(name, delta, now)),
      ]);
      if (result === 'done') return true;
      if (result.includes(0)) return false;
      for (const place of result) await this.#clear(part[place - 1]!, now);
    }
    throw new PosternError('storage_unavailable', `The batch ${batch} cannot be counted. Try again.`);
  }

  /** Removes an expired row that TTL has not removed yet. @throws `storage_refused` when it holds no counters. */
  async #clear(row: RowKey, now: number): Promise<void> {
    const key = itemKey(row);
    const values = { ':now': number(now) };
    if (await this.#tables.remove(TABLE, key, { condition: 'e <= :now', values })) return;
    const item = await this.#tables.get(TABLE, key);
    if (item?.v) throw notCounters(row);
  }

  #update(TableName: string, { add, expiresAt, ...row }: RowDelta, now: number): TransactWriteItem {
    const names: Record<string, string> = {};
    const values: Item = { ':n': number(this.#version()), ':now': number(now) };
    const sets = ['n = :n'];
    if (expiresAt !== undefined) {
      sets.push('e = :e', '#ttl = :ttl');
      names['#ttl'] = 'ttl';
      values[':e'] = number(expiresAt);
      values[':ttl'] = ttlOf(expiresAt);
    }
    const adds = Object.entries(add).map(([name, value], at) => {
      names[`#${at}`] = COUNTER + name;
      values[`:${at}`] = number(value);
      return `#${at} :${at}`;
    });
    const update = `SET ${sets.join(', ')}`;
    return {
      Update: {
        TableName,
        Key: keyOf(itemKey(row)),
        UpdateExpression: adds.length > 0 ? `${update} ADD ${adds.join(', ')}` : update,
        ConditionExpression: `attribute_not_exists(v) AND ${LIVE}`,
        ...(Object.keys(names).length > 0 && { ExpressionAttributeNames: names }),
        ExpressionAttributeValues: values,
      },
    };
  }

  #now(): ReturnType<typeof number> {
    return number(this.#clock.now());
  }

  #isLive(item: Item): boolean {
    return !item.e || numberOf(item.e) > this.#clock.now();
  }

  /** A version that no row has had: of the time, and by chance within its millisecond. */
  #version(): number {
    return this.#clock.now() * 1_024 + Math.floor(this.#random() * 1_024);
  }
}

/** A batch in parts, in each of which a row occurs once. */
function partsOf(deltas: readonly RowDelta[]): RowDelta[][] {
  const pieces = deltas.flatMap((delta) => {
    const counters = Object.entries(delta.add).sort(([a], [b]) => compare(a, b));
    const turns: { turn: number; delta: RowDelta }[] = [];
    for (let at = 0; at === 0 || at < counters.length; at += COUNTERS) {
      const add = Object.fromEntries(counters.slice(at, at + COUNTERS));
      turns.push({ turn: at / COUNTERS, delta: { ...delta, add } });
    }
    return turns;
  });
  const named = pieces.map((piece) => ({ ...piece, name: nameOf(itemKey(piece.delta)) }));
  named.sort((a, b) => a.turn - b.turn || compare(a.name, b.name));
  const parts: RowDelta[][] = [];
  let turn = -1;
  for (const piece of named) {
    if (piece.turn !== turn || parts.at(-1)!.length === PART) parts.push([]);
    turn = piece.turn;
    parts.at(-1)!.push(piece.delta);
  }
  return parts;
}

function itemKey({ kind, partition, key }: RowKey): Key {
  return { pk: `${kind}#${partition}`, sk: key };
}

function nameOf({ pk, sk }: Key): string {
  return JSON.stringify([pk, sk]);
}

function different(keys: readonly Key[]): Key[] {
  return [...new Map(keys.map((key) => [nameOf(key), key])).values()];
}

function itemOf(row: NewRow, json: string, version: number): Item {
  return {
    ...keyOf(itemKey(row)),
    v: text(json),
    n: number(version),
    ...(row.expiresAt !== undefined && { e: number(row.expiresAt), ttl: ttlOf(row.expiresAt) }),
  };
}

function rowOf(item: Item): Row {
  const pk = item.pk!.S!;
  const cut = pk.indexOf('#');
  return {
    kind: pk.slice(0, cut),
    partition: pk.slice(cut + 1),
    key: item.sk!.S!,
    value: item.v ? (JSON.parse(item.v.S!) as unknown) : countersOf(item),
    version: numberOf(item.n),
    ...(item.e && { expiresAt: numberOf(item.e) }),
  };
}

function countersOf(item: Item): Record<string, number> {
  return Object.fromEntries(
    Object.entries(item).flatMap(([name, value]) =>
      name.startsWith(COUNTER) ? [[name.slice(COUNTER.length), numberOf(value)]] : [],
    ),
  );
}

/** Order of UTF-8 bytes, which is DynamoDB's. */
function compare(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}

function lesser(a: string, b: string): string {
  return compare(a, b) < 0 ? a : b;
}
