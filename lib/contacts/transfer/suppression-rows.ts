/**
 * Rows of suppression lists:
 *
 * | file | rows |
 * |---|---|
 * | SES's CSV, without a header | `ann@example.net,BOUNCE`; for removal the address alone |
 * | SES's JSON lines | `{"emailAddress":"ann@example.net","reason":"BOUNCE"}` |
 * | addresses, one a line (PowerMTA's suppression lists) | listed for the reason that the call names |
 * | PowerMTA's accounting file, with its header | `type` b or rb with `bounceCat` bad-mailbox, bad-domain or inactive-mailbox: BOUNCE; `type` f: COMPLAINT; all others ask for nothing |
 * | what `export` writes, CSV or JSON lines | as they were |
 *
 * An entry with a time is as old as it says: a newer one on the list stays.
 */
import {
  MAX_WHY,
  SUPPRESSION_REASONS,
  type Suppression,
  type SuppressionReason,
} from '../../engine/suppression.ts';
import { PosternError } from '../../errors.ts';
import { listedAddress, type SuppressionDeps } from '../suppression-list.ts';
import { type Columns, columnsOf, isHeader } from './columns.ts';
import { fieldsOf } from './csv.ts';
import type { RowTarget } from './import.ts';

export const IMPORT_FORMATS = ['csv', 'jsonl'] as const;
export type ImportFormat = (typeof IMPORT_FORMATS)[number];

export interface SuppressionImport {
  tenant: string;
  format: ImportFormat;
  action: 'put' | 'delete';
  /** Of rows that name none; absent: they are invalid. */
  reason?: SuppressionReason;
  /** For a person: who imports, as `Imported with the key AKIA…`. */
  origin: string;
}

/** A row that asks for an entry, or, without a reason, for nothing. */
interface SuppressionLine {
  address: string;
  reason?: SuppressionReason;
  at?: number;
  why?: string;
  messageId?: string;
  feedbackId?: string;
}

export function suppressionTarget(
  deps: Pick<SuppressionDeps, 'engine' | 'clock'>,
  options: SuppressionImport,
): RowTarget<SuppressionLine> {
  const { tenant, format, action, origin } = options;
  const { engine, clock } = deps;
  const read = format === 'csv' ? csvReader(options) : jsonReader(options);
  return {
    read: (text) => read(text),
    keyOf: ({ address }) => address.toLowerCase(),
    async store({ address: given, reason, ...row }, line) {
      const now = clock.now();
      const at = row.at ?? now;
      const address = listedAddress(given);
      if (action === 'delete') {
        if (await engine.suppressions.remove(tenant, address, now)) return true;
        throw new PosternError('not_found', `${address} is not on the list.`);
      }
      if (at > now) throw new PosternError('bad_request', `${new Date(at).toISOString()} is in the future.`);
      if (!reason) return false;
      const why = (row.why ?? `${origin}, line ${line}.`).slice(0, MAX_WHY);
      const entry: Suppression = { ...row, tenant, address, reason, at, why };
      return engine.suppressions.put(entry);
    },
  };
}

type ReadRow = (text: string) => SuppressionLine | undefined;

function csvReader({ action, reason }: SuppressionImport): ReadRow {
  let names: readonly string[] | undefined;
  return (text) => {
    const fields = fieldsOf(text);
    if (!fields) throw bad('A quote is not closed, or text follows it.');
    if (names === undefined) {
      names = isHeader(fields) ? fields : ['address', 'reason'];
      if (isHeader(fields)) return undefined;
    }
    return rowOf(columnsOf(names, fields), action, reason);
  };
}

function jsonReader({ action, reason }: SuppressionImport): ReadRow {
  return (text) => {
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch {
      throw bad('The line is not a JSON object: each line holds one, whole.');
    }
    if (typeof value !== 'object' || value === null || Array.isArray(value))
      throw bad('The line is not a JSON object: each line holds one, whole.');
    const columns: [string, string][] = [];
    for (const [name, member] of Object.entries(value)) {
      if (member === null) continue;
      if (typeof member !== 'string') throw bad(`${name.slice(0, 40)} must be a string.`);
      columns.push([name.toLowerCase() === 'emailaddress' ? 'address' : name.toLowerCase(), member]);
    }
    return rowOf(Object.fromEntries(columns), action, reason);
  };
}

/** @throws `bad_request` that says what is missing or wrong. */
function rowOf(columns: Columns, action: 'put' | 'delete', fallback?: SuppressionReason): SuppressionLine {
  const { address = '', why, messageid: messageId, feedbackid: feedbackId } = columns;
  if (address === '') throw bad('The address is missing.');
  if (action === 'delete') return { address };
  const row = {
    address,
    at: timeOf(columns.at || columns.timelogged),
    why: why || columns.dsndiag || undefined,
    messageId: messageId || undefined,
    feedbackId: feedbackId || undefined,
  };
  if (columns.reason) return { ...row, reason: reasonOf(columns.reason) };
  if (columns.type !== undefined) return { ...row, reason: accountingReason(columns) };
  if (fallback) return { ...row, reason: fallback };
  throw bad(`The reason is missing: ${SUPPRESSION_REASONS.join(' or ')}.`);
}

/** PowerMTA: which bounces are the recipient's. Others speak of the sender, or pass. */
const HARD_CATEGORIES: ReadonlySet<string> = new Set(['bad-mailbox', 'bad-domain', 'inactive-mailbox']);

function accountingReason({ type, bouncecat }: Columns): SuppressionReason | undefined {
  switch (type!.toLowerCase()) {
    case 'b':
    case 'bounce':
    case 'rb':
    case 'rbounce':
      return HARD_CATEGORIES.has(bouncecat?.toLowerCase() ?? '') ? 'BOUNCE' : undefined;
    case 'f':
    case 'fbl':
    case 'feedback':
      return 'COMPLAINT';
    default:
      return undefined;
  }
}

function reasonOf(text: string): SuppressionReason {
  const reason = SUPPRESSION_REASONS.find((one) => one === text.toUpperCase());
  if (reason) return reason;
  throw bad(`The reason ${JSON.stringify(text.slice(0, 40))} must be ${SUPPRESSION_REASONS.join(' or ')}.`);
}

/** RFC 3339, PowerMTA's `2026-01-31 12:00:00+0100`, or seconds since the epoch. */
function timeOf(text: string | undefined): number | undefined {
  if (!text) return undefined;
  if (/^\d{9,10}$/.test(text)) return Number(text) * 1000;
  const parts = /^(\d{4}-\d\d-\d\d)[ T](\d\d:\d\d:\d\d(?:\.\d{1,9})?)(Z|[+-]\d\d:?\d\d)$/i.exec(text);
  const [, day, hour, zone = ''] = parts ?? [];
  const time = Date.parse(`${day}T${hour}${zone.replace(/^([+-]\d\d)(\d\d)$/, '$1:$2')}`);
  if (Number.isFinite(time)) return time;
  throw bad(`The time ${JSON.stringify(text.slice(0, 40))} must be as 2026-01-31T12:00:00Z.`);
}

function bad(why: string): PosternError {
  return new PosternError('bad_request', why);
}
