/**
 * Claims of idempotent calls, with the answers that their repeats get.
 *
 * ```
 *  claims by seq   ├── span ──┼── span ──┼── span ──►    what expires within the same five minutes, in order of arrival
 *                    places     places     places        in memory: where a claim is, by the hash of its key
 * ```
 * Keys are random, and every call that an SDK makes has one. An index by key would dirty a page of 16 KB for each, which
 * is more than its message takes; and nearly every key that is looked for is new, which memory answers: 11 to 22 bytes a
 * claim. Places are read again when the store is opened. A place whose row was undone with its transaction does no harm:
 * the row itself decides.
 */
import { hash, randomBytes } from 'node:crypto';
import type { DatabaseSync, StatementSync } from 'node:sqlite';
import type { ClaimCall } from '../protocol.ts';
import { CLAIM_PLACES, CLAIM_SPAN } from './schema.ts';

/** Slots of the places of a span that begins. */
const SMALLEST = 256;
/** Of its slots, how many are in use at most. */
const LOAD = 0.75;

interface ClaimRow {
  key: string;
  digest: string;
  expires: number;
  response: string;
}

/** The places of a span's claims: open addressing with linear steps. A place is counted from 1; 0 is an empty slot. */
class ClaimPlaces {
  #hashes = new Int32Array(SMALLEST);
  #places = new Int32Array(SMALLEST);
  #used = 0;
  #last = 0;

  /** @param place greater than those before. */
  add(hash: number, place: number): void {
    this.#last = place;
    this.#used += 1;
    if (this.#used > this.#places.length * LOAD) this.#grow();
    this.#put(hash, place);
  }

  /** The next place that is free. */
  next(): number {
    return this.#last + 1;
  }

  /** What `read` finds at a place with this hash. */
  find<T>(hash: number, read: (place: number) => T | undefined): T | undefined {
    const mask = this.#places.length - 1;
    for (let slot = hash & mask; this.#places[slot] !== 0; slot = (slot + 1) & mask) {
      const found = this.#hashes[slot] === hash ? read(this.#places[slot]!) : undefined;
      if (found !== undefined) return found;
    }
    return undefined;
  }

  #put(hash: number, place: number): void {
    const mask = this.#places.length - 1;
    let slot = hash & mask;
    while (this.#places[slot] !== 0) slot = (slot + 1) & mask;
    this.#hashes[slot] = hash;
    this.#places[slot] = place;
  }

  #grow(): void {
    const [hashes, places] = [this.#hashes, this.#places];
    this.#hashes = new Int32Array(hashes.length * 2);
    this.#places = new Int32Array(places.length * 2);
    for (let slot = 0; slot < places.length; slot++)
      if (places[slot] !== 0) this.#put(hashes[slot]!, places[slot]!);
  }
}

/** Callers choose keys: who can calculate hashes sends keys of one hash, of which each is looked for among all. */
export function secretHash(): (key: string) => number {
  const secret = randomBytes(16).toString('hex');
  return (key) => Number.parseInt(hash('sha256', secret + key).slice(0, 8), 16) | 0;
}

export class ClaimTable {
  readonly #insert: StatementSync;
  readonly #read: StatementSync;
  readonly #delete: StatementSync;
  readonly #spans = new Map<number, ClaimPlaces>();
  readonly #hash: (key: string) => number;
  /** The key that was looked for last: it is the one that is stored next, and its hash costs more than the search. */
  #last: { key: string; hash: number } | undefined;

  /** @param hashOf a key, 32 bits. */
  constructor(db: DatabaseSync, hashOf = secretHash()) {
    this.#hash = hashOf;
    this.#insert = db.prepare(
      'INSERT INTO claims (seq, key, digest, expires, response) VALUES (?, ?, ?, ?, ?)',
    );
    this.#read = db.prepare('SELECT key, digest, expires, response FROM claims WHERE seq = ?');
    this.#delete = db.prepare(
      'DELETE FROM claims WHERE seq IN (SELECT seq FROM claims WHERE seq < ? ORDER BY seq LIMIT ?)',
    );
    const all = db.prepare('SELECT seq, key FROM claims ORDER BY seq');
    all.setReturnArrays(true);
    for (const [seq, key] of all.iterate() as unknown as Iterable<[seq: number, key: string]>)
      this.#span(Math.floor(seq / CLAIM_PLACES)).add(this.#hash(key), seq % CLAIM_PLACES);
  }

  /** The claim of a key that has not expired. */
  find(key: string, now: number): { digest: string; response: string } | undefined {
    const hash = this.#hash(key);
    this.#last = { key, hash };
    for (const [span, places] of this.#spans) {
      const found = places.find(hash, (place) => {
        const row = this.#read.get(span * CLAIM_PLACES + place) as ClaimRow | undefined;
        return row?.key === key && row.expires > now ? row : undefined;
      });
      if (found) return { digest: found.digest, response: found.response };
    }
    return undefined;
  }

  /** Stores a claim whose key has none. */
  add({ key, digest, expiresAt, response }: ClaimCall): void {
    const span = Math.floor(expiresAt / CLAIM_SPAN);
    const places = this.#span(span);
    const place = places.next();
    this.#insert.run(span * CLAIM_PLACES + place, key, digest, expiresAt, response);
    places.add(this.#last?.key === key ? this.#last.hash : this.#hash(key), place);
  }

  /** Removes claims of spans that are over, at most `max`. @returns the number removed. */
  prune(now: number, max: number): number {
    const current = Math.floor(now / CLAIM_SPAN);
    for (const span of this.#spans.keys()) if (span < current) this.#spans.delete(span);
    return Number(this.#delete.run(current * CLAIM_PLACES, max).changes);
  }

  #span(span: number): ClaimPlaces {
    let places = this.#spans.get(span);
    if (!places) this.#spans.set(span, (places = new ClaimPlaces()));
    return places;
  }
}
