/** The file of an export: CSV with a header, or a JSON object a line. */
import { csvLine, inert } from '../contacts/transfer/csv.ts';
import type { ExportFormat } from './export-jobs.ts';

/** Values by the names of columns; every row of a file has the same. */
export type ExportRow = Readonly<Record<string, string>>;

/** Characters that are given on at one time. */
const PIECE = 64 * 1024;

export async function* fileOf(
  rows: AsyncIterable<ExportRow>,
  columns: readonly string[] | undefined,
  format: ExportFormat,
): AsyncGenerator<string> {
  let header = format === 'CSV' ? columns : undefined;
  let piece = header ? csvLine(header) : '';
  for await (const row of rows) {
    if (format === 'JSON') piece += `${JSON.stringify(row)}\n`;
    else {
      if (!header) piece += csvLine((header = Object.keys(row)));
      piece += csvLine(header.map((name) => inert(row[name] ?? '')));
    }
    if (piece.length < PIECE) continue;
    yield piece;
    piece = '';
  }
  if (piece !== '') yield piece;
}
