/**
 * Finds rows of the ledger by tenant, campaign, domain, pool and provider group, and moves them into their lanes
 * before they are due. No index serves such a search: rows are read shard by shard.
 */
import type { Log } from '../../log.ts';
import type { Clock } from '../../time.ts';
import type { QueueItem } from '../items.ts';
import type { WaitingFigures, WaitingMatch } from '../ports.ts';
import { each } from './concurrency.ts';
import { type MovableRow, moveRows, readableRows } from './ledger-rows.ts';
import { type CopyOutbox, SHARDS, shardKey } from './outbox.ts';
import type { Tables } from './tables.ts';

interface MatchingParts {
  tables: Tables;
  outbox: CopyOutbox;
  clock: Clock;
  log: Pick<Log, 'error'>;
}

const ROWS = 1_000;
/** Maximum number of pages of a shard that one count reads: 128,000 rows in all. */
const COUNTED_PAGES = 2;
const WIDTH = 8;

export class LedgerMatching {
  readonly #parts: MatchingParts;

  constructor(parts: MatchingParts) {
    this.#parts = parts;
  }

  async count(match: WaitingMatch): Promise<WaitingFigures> {
    let deferred = 0;
    let complete = true;
    await this.#eachShard(async (pk) => {
      let pages = 0;
      for await (const found of this.#pages(pk, match)) {
        deferred += found.length;
        pages += 1;
        if (pages < COUNTED_PAGES) continue;
        complete = false;
        break;
      }
    });
    return { deferred, complete };
  }

  async hasten(match: WaitingMatch): Promise<number> {
    const { clock } = this.#parts;
    let moved = 0;
    await this.#eachShard(async (pk) => {
      for await (const found of this.#pages(pk, match)) {
        if (found.length === 0) continue;
        const due = clock.now();
        await moveRows(
          found.map(({ row, parcel }) => ({ row, parcel: { ...parcel, due } })),
          this.#parts,
        );
        moved += found.length;
      }
    });
    return moved;
  }

  async #eachShard(work: (pk: string) => Promise<void>): Promise<void> {
    await each(
      Array.from({ length: SHARDS }, (_, shard) => shardKey(shard)),
      WIDTH,
      work,
    );
  }

  /** The matching rows of a shard, a page at a time. */
  async *#pages(pk: string, match: WaitingMatch): AsyncGenerator<MovableRow[]> {
    const { tables, log } = this.#parts;
    let from = '0';
    for (;;) {
      const rows = await tables.query('ledger', pk, { from, to: '9~', limit: ROWS });
      yield readableRows(rows, log).filter(({ parcel }) => agrees(parcel.envelope.item, match));
      if (rows.length < ROWS) return;
      from = `${rows.at(-1)!.sk!.S!}!`;
    }
  }
}

/** A delivery that its sender scheduled has no reason yet, and keeps its time. */
function agrees(item: QueueItem, match: WaitingMatch): boolean {
  const [pool, , group] = item.lane.split(':');
  const facts: WaitingMatch = {
    tenant: item.tenant,
    campaign: item.campaign,
    domain: item.domain,
    pool,
    group,
  };
  if (item.reason === undefined) return false;
  return Object.entries(match).every(
    ([name, value]) => value === undefined || facts[name as keyof WaitingMatch] === value,
  );
}
