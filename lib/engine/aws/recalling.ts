/**
 * Brings parked deliveries back: rows of the ledger that wait for a site which was reached. They are ordinary rows, and
 * leave at their due time whatever happens here; the index `parked` finds those of a site.
 *
 * ```
 *  claim of the site ──► rows from the index ──► copies to their lanes ──► rows deleted
 *                                                          ▲ [sent]
 * ```
 * **[sent]** The rows are sent again, by the next recall or at their time. As everywhere in the ledger, the claim of the
 * delivery lets one of two equal copies through. The claim of the site holds for some seconds, is not given back, and only
 * saves requests: nodes that reach a site at the same moment would send each copy many times.
 */
import { randomBytes } from 'node:crypto';
import type { Log } from '../../log.ts';
import type { Clock } from '../../time.ts';
import { number, text, ttlOf } from './attributes.ts';
import { moveRows, readableRows } from './ledger-rows.ts';
import { type CopyOutbox, type Parcel, SITE_PARTS, siteKey } from './outbox.ts';
import { RECALL_PREFIX } from './schema.ts';
import type { Tables } from './tables.ts';

interface RecallingParts {
  tables: Tables;
  outbox: CopyOutbox;
  clock: Clock;
  log: Pick<Log, 'error'>;
}

/** How long other processes leave a site to the one that recalled it last, ms: longer than it pauses between two calls. */
const CLAIM = 30_000;

export class Recalling {
  readonly #parts: RecallingParts;
  readonly #by = randomBytes(9).toString('base64url');

  constructor(parts: RecallingParts) {
    this.#parts = parts;
  }

  async recall(site: string, max: number): Promise<{ recalled: number; more: boolean }> {
    if (!(await this.#claim(site))) return { recalled: 0, more: true };
    const { tables, clock, log } = this.#parts;
    let recalled = 0;
    let read = 0;
    for (let part = 0; part < SITE_PARTS && read < max; part += 1) {
      const rows = await tables.queryParked(siteKey(site, part), max - read);
      read += rows.length;
      const now = clock.now();
      const found = readableRows(rows, log);
      await moveRows(
        found.map(({ row, parcel }) => ({ row, parcel: recalledAt(parcel, now) })),
        this.#parts,
      );
      recalled += found.length;
    }
    return { recalled, more: read === max };
  }

  async #claim(site: string): Promise<boolean> {
    const now = this.#parts.clock.now();
    const key = { pk: `${RECALL_PREFIX}${site}`, sk: '!claim' };
    const { done } = await this.#parts.tables.update('ledger', key, {
      update: 'SET b = :b, e = :e, #ttl = :ttl',
      condition: 'attribute_not_exists(pk) OR e < :now OR b = :b',
      names: { '#ttl': 'ttl' },
      values: {
        ':b': text(this.#by),
        ':e': number(now + CLAIM),
        ':now': number(now),
        ':ttl': ttlOf(now + CLAIM),
      },
    });
    return done;
  }
}

function recalledAt(parcel: Parcel, now: number): Parcel {
  const { envelope } = parcel;
  const item = { ...envelope.item, due: now, recalled: now, site: undefined };
  return { ...parcel, due: now, envelope: { ...envelope, item } };
}
