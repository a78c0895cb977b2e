/** Idempotency keys: the first call with a key, and its answer. */
import { createHash } from 'node:crypto';
import type { Clock } from '../../time.ts';
import type { IdempotencyClaim } from '../ports.ts';
import { bytes, type Item, type Key, number, text, ttlOf } from './attributes.ts';
import { isDenied } from './clients.ts';
import { decodeRecord, encodeRecord } from './record-codec.ts';
import type { Tables } from './tables.ts';

/** The content of a call's claim besides its digest. */
export interface FirstAnswer {
  response: string;
  ids: string[];
}

/** The call that owns a key. */
export interface Claim extends FirstAnswer {
  digest: string;
}

export class Claims {
  readonly #tables: Tables;
  readonly #clock: Clock;

  constructor(tables: Tables, clock: Clock) {
    this.#tables = tables;
    this.#clock = clock;
  }

  /** Eventually consistent, at half the cost: {@link make} finds for certain what this misses. */
  async find(key: string): Promise<Claim | undefined> {
    const item = await this.#tables.get('records', claimKey(key), false);
    return item && readClaim(item, this.#clock.now());
  }

  /**
   * Claims the key for a call whose messages have these ids. The same nonce may do it again.
   * @returns the first call with this key, if there was one.
   */
  async make(claim: IdempotencyClaim, ids: string[], nonce: string): Promise<Claim | undefined> {
    const now = this.#clock.now();
    const first: FirstAnswer = { response: claim.response, ids };
    const { done, item } = await this.#tables.update('records', claimKey(claim.key), {
      update: 'SET d = :d, f = :f, e = :e, nonce = :nonce, #ttl = :ttl',
      condition: 'attribute_not_exists(pk) OR e <= :now OR nonce = :nonce',
      names: { '#ttl': 'ttl' },
      values: {
        ':d': text(claim.digest),
        ':f': bytes(encodeRecord(first)),
        ':e': number(claim.expiresAt),
        ':nonce': text(nonce),
        ':ttl': ttlOf(claim.expiresAt),
        ':now': number(now),
      },
    });
    return done || !item ? undefined : readClaim(item, now);
  }

  /**
   * Deletes the claim of a call that certainly sent nothing. When that write fails, the claim stays, and the repeated
   * call finishes the first one's work.
   * @throws when the role of this process lacks the right.
   */
  async takeBack(key: string, nonce: string): Promise<void> {
    const ended = { update: 'SET e = :e', condition: 'nonce = :nonce' };
    const values = { ':e': number(0), ':nonce': text(nonce) };
    await this.#tables.update('records', claimKey(key), { ...ended, values }).catch((error: unknown) => {
      if (isDenied(error)) throw error;
    });
  }
}

/** Callers choose keys of any length and content; the table bounds both. */
function claimKey(key: string): Key {
  return { pk: `c#${createHash('sha256').update(key).digest('base64url')}`, sk: 'c' };
}

function readClaim(item: Item, now: number): Claim | undefined {
  if (Number(item.e!.N) <= now) return undefined;
  return { digest: item.d!.S!, ...decodeRecord<FirstAnswer>(item.f!.B!, 'an idempotency claim') };
}
