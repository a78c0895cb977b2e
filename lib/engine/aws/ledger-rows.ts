/**
 * Rows of the ledger that go to their lanes before they are due. Moving is safe to repeat: a row that was sent and not
 * deleted is sent again, and the claim of the delivery lets one of two equal copies through.
 */
import type { Log } from '../../log.ts';
import type { Item } from './attributes.ts';
import { type CopyOutbox, type Parcel, parcelOf } from './outbox.ts';
import type { Tables } from './tables.ts';

/** A row, and the copy that it holds. */
export interface MovableRow {
  row: Item;
  parcel: Parcel;
}

/** The rows that this version reads; others stay for a newer one, and are logged. */
export function readableRows(rows: readonly Item[], log: Pick<Log, 'error'>): MovableRow[] {
  const readable: MovableRow[] = [];
  for (const row of rows) {
    try {
      readable.push({ row, parcel: parcelOf(row) });
    } catch (error) {
      log.error('row of the ledger passed over', { error });
    }
  }
  return readable;
}

/** Sends the copies to their lanes, then deletes the rows. @throws SendError: all rows stay. */
export async function moveRows(
  rows: readonly MovableRow[],
  { tables, outbox }: { tables: Tables; outbox: CopyOutbox },
): Promise<void> {
  await outbox.toLanes(rows.map(({ parcel }) => parcel));
  await tables.deleteAll(
    'ledger',
    rows.map(({ row: { pk, sk } }) => ({ pk: pk!.S!, sk: sk!.S! })),
  );
}
