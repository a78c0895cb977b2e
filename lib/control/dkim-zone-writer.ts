/**
 * Brings a zone elsewhere up to what is stored (dkim-records.ts): for a process that runs now and then, and can do
 * nothing else.
 */
import { characterStrings, RECORD_TTL } from '../dns/zone.ts';
import type { HostedZone } from '../engine/hosted-zone.ts';
import type { Config } from '../engine/ports.ts';
import type { Clock } from '../time.ts';
import { CHANGE_KIND, RECORD_KIND, type StoredDkimChange, type StoredDkimRecord } from './dkim-records.ts';

export interface ZoneWriterOptions {
  config: Pick<Config, 'list' | 'getAll' | 'delete'>;
  zone: HostedZone;
  /** As `dkim.mail.example.com`. */
  name: string;
  clock: Clock;
  /** Since the epoch, ms: no other part is begun after it. */
  until: number;
}

/** Changes that are written at one time. */
const PART = 100;

/**
 * Writes what was noted as changed. A note goes when its record is in the zone as it is stored then: of two writers at one
 * time the slower one, which may have written what is old by now, looks once more and mends it.
 * @returns the number of records that were written or removed. @throws PosternError of the storage group.
 */
export async function writeDkimZone({
  config,
  zone,
  name,
  clock,
  until,
}: ZoneWriterOptions): Promise<number> {
  let written = 0;
  /** Tokens whose records were changed while they were written. */
  let overtaken: string[] = [];
  do {
    const notes = await config.list(CHANGE_KIND, { max: PART });
    const tokens = [
      ...new Set([...overtaken, ...notes.map(({ value }) => (value as StoredDkimChange).token)]),
    ];
    if (tokens.length === 0) break;
    const texts = await read(config, tokens);
    const records = tokens.map((token) => {
      const text = texts.get(token);
      return { name: `${token}.${name}`, strings: text === undefined ? undefined : characterStrings(text) };
    });
    await zone.write(records, RECORD_TTL);
    written += records.length;
    const now = await read(config, tokens);
    overtaken = tokens.filter((token) => now.get(token) !== texts.get(token));
    for (const { key, value } of notes)
      if (!overtaken.includes((value as StoredDkimChange).token)) await config.delete(CHANGE_KIND, key);
  } while (clock.now() < until);
  return written;
}

async function read(
  config: Pick<Config, 'getAll'>,
  tokens: readonly string[],
): Promise<Map<string, string | undefined>> {
  const documents = await config.getAll(RECORD_KIND, tokens);
  return new Map(
    tokens.map((token, at) => [token, (documents[at]?.value as StoredDkimRecord | undefined)?.value]),
  );
}
