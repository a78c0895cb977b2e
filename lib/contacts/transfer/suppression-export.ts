/** Suppression lists as files, a page at a time: CSV with a header, or JSON lines. `import` takes both back. */
import type { Suppression } from '../../engine/suppression.ts';
import { pageOfList, type SuppressionDeps } from '../suppression-list.ts';
import { csvLine, inert } from './csv.ts';
import type { ImportFormat } from './suppression-rows.ts';

const PAGE = 1000;
const HEADER = ['address', 'reason', 'since', 'at', 'why', 'messageId', 'feedbackId'];

type ListRange = Pick<Parameters<typeof pageOfList>[1], 'tenant' | 'reasons' | 'from' | 'before' | 'token'>;
type ExportDeps = Pick<SuppressionDeps, 'engine'>;

/** The entries of a list by reason and time, a page at a time. @throws PosternError of the storage group. */
export async function* exportList(
  deps: ExportDeps,
  range: ListRange,
  format: ImportFormat,
): AsyncGenerator<string> {
  let { token } = range;
  let first = true;
  do {
    const page = await exportPage(deps, { ...range, token }, format, PAGE, first);
    first = false;
    token = page.token;
    yield page.text;
  } while (token !== undefined);
}

/** Up to `max` entries, and the token of the rest. */
export async function exportPage(
  deps: ExportDeps,
  range: ListRange,
  format: ImportFormat,
  max: number,
  header = true,
): Promise<{ text: string; token?: string }> {
  const { entries, token } = await pageOfList(deps, { ...range, max });
  const lines = entries.map(format === 'csv' ? csvOf : jsonOf);
  return { text: (format === 'csv' && header ? csvLine(HEADER) : '') + lines.join(''), token };
}

function csvOf(entry: Suppression): string {
  const { address, reason, since, at, why = '', messageId, feedbackId } = shown(entry);
  return csvLine([address, reason, since, at, inert(why), messageId, feedbackId]);
}

function jsonOf(entry: Suppression): string {
  const { address: emailAddress, ...rest } = shown(entry);
  return `${JSON.stringify({ emailAddress, ...rest })}\n`;
}

function shown({ address, reason, at, since = at, why, messageId, feedbackId }: Suppression) {
  const [first, last] = [new Date(since).toISOString(), new Date(at).toISOString()];
  return { address, reason, since: first, at: last, why, messageId, feedbackId };
}
