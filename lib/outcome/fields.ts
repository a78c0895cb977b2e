/** Reads the field groups of reports (RFC 3464 §2.1, RFC 5965 §3), which strangers write. */

import { cleanText } from '../text.ts';

/** Values by lower case name, unfolded, in order. */
export type Fields = ReadonlyMap<string, readonly string[]>;

const MAX_GROUPS = 50;
const MAX_FIELDS = 200;
const MAX_VALUE = 1000;

/** Splits text into groups of `Name: value` lines, separated by empty lines. Other lines are skipped. */
export function readGroups(text: string): Fields[] {
  const groups: Fields[] = [];
  let fields: Map<string, string[]> | undefined;
  let values: string[] | undefined;
  let count = 0;
  for (const line of text.split(/\r?\n/)) {
    if (groups.length >= MAX_GROUPS || count >= MAX_FIELDS) break;
    if (line.trim() === '') {
      if (fields) groups.push(fields);
      fields = undefined;
    } else if ((line[0] === ' ' || line[0] === '\t') && fields && values) {
      const last = values.length - 1;
      values[last] = `${values[last]} ${line.trim()}`.slice(0, MAX_VALUE);
    } else {
      const colon = line.indexOf(':');
      const name = line.slice(0, colon).trim().toLowerCase();
      if (colon < 1 || !/^[!-9;-~]{1,80}$/.test(name)) continue;
      fields ??= new Map();
      values = fields.get(name) ?? [];
      fields.set(name, values);
      values.push(printable(line.slice(colon + 1).trim()).slice(0, MAX_VALUE));
      count++;
    }
  }
  if (fields && groups.length < MAX_GROUPS) groups.push(fields);
  return groups;
}

/** The first value of a field. */
export function field(fields: Fields | undefined, name: string): string | undefined {
  return fields?.get(name)?.[0];
}

/** Extracts `user@example.com` from `rfc822; user@example.com` or `<user@example.com>`. */
export function addressOf(value: string | undefined): string | undefined {
  if (!value) return undefined;
  const address = value.slice(value.indexOf(';') + 1).trim();
  const bare = address.startsWith('<')
    ? address.slice(1, address.includes('>') ? address.indexOf('>') : undefined)
    : address;
  return bare.includes('@') && bare.length <= 320 && !/\s/.test(bare) ? bare : undefined;
}

/**
 * Replaces each run of controls by a blank, because strangers write the text and it ends in queues, logs and
 * terminals.
 */
export function printable(text: string): string {
  return cleanText(text.replace(/[\p{Cc}\u2028\u2029]+/gu, ' '));
}

/** The addresses in all fields of a name. */
export function addresses(fields: Fields | undefined, name: string): string[] {
  return (fields?.get(name) ?? []).map(addressOf).filter((address) => address !== undefined);
}

/** Parses a date to ms since the epoch; undefined when it is invalid. */
export function time(text: string | undefined): number | undefined {
  const ms = text === undefined ? Number.NaN : Date.parse(text);
  return Number.isNaN(ms) ? undefined : ms;
}
