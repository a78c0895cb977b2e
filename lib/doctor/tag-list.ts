/** Tag lists, `tag=value; tag=value`: DKIM keys (RFC 6376 §3.2), DMARC, BIMI, MTA-STS and TLS-RPT records. */

/** Tags of one record, at most. */
const MAX_TAGS = 50;

/**
 * Values by tag in the order of the record, without surrounding white space; of a repeated tag the first.
 * @returns undefined for text that is no tag list.
 */
export function readTags(text: string): Map<string, string> | undefined {
  const tags = new Map<string, string>();
  for (const part of text.split(';', MAX_TAGS + 1)) {
    if (part.trim() === '') continue;
    const equals = part.indexOf('=');
    if (equals < 1 || tags.size === MAX_TAGS) return undefined;
    const name = part.slice(0, equals).trim();
    if (!/^[A-Za-z][A-Za-z0-9_]*$/.test(name)) return undefined;
    if (!tags.has(name)) tags.set(name, part.slice(equals + 1).trim());
  }
  return tags;
}

/** The records that begin with a version tag, as `v=DMARC1`: exactly, and followed by the end or a semicolon. */
export function ofVersion(version: string, records: readonly string[]): string[] {
  const begin = new RegExp(`^v\\s*=\\s*${version}\\s*(?:;|$)`);
  return records.filter((record) => begin.test(record));
}
