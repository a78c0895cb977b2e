/**
 * What is published in the zone of Easy DKIM: the TXT record of each token, a document of its own, which the
 * answerer, the zone file and the function that writes the zone on AWS read.
 *
 * ```
 *  new key:  record ──► change ──► identity            zone writer:  change ──► record as it is now ──► zone ──► no change
 * ```
 * A record is stored before the identity whose key it is: a crash between the two leaves a record for nobody, which is
 * collected. Where the zone is elsewhere (Route 53), each write is noted under a name of its own, so that a writer that
 * has finished one does not cross out the next.
 */
import { randomUUID } from 'node:crypto';
import type { Config } from '../engine/ports.ts';
import type { Clock } from '../time.ts';
import { DocumentCache } from './document-cache.ts';
import type { DkimZone, Page } from './types.ts';

/** Kinds of the documents, which roles on AWS are given by name. */
export const RECORD_KIND = 'dkim-record';
export const CHANGE_KIND = 'dkim-change';

export interface StoredDkimRecord {
  token: string;
  /** Identity whose token it is. */
  identity: string;
  /** Text of the TXT record. */
  value: string;
  /** Since when no identity has the token, ms. */
  orphanSince?: number;
}

/** A record that the zone elsewhere does not have yet, or has no more. */
export interface StoredDkimChange {
  token: string;
}

/** Records in memory, characters of JSON: some two thousand of 2,048 bits. */
const CAPACITY = 2 << 20;

/** The zone, as the settings name it. */
export interface DkimZoneOptions {
  /** As `dkim.mail.example.com`. */
  name: string;
  /** Whether it is elsewhere, and written by a process of its own. */
  elsewhere: boolean;
}

export class DkimRecords implements DkimZone {
  readonly name: string;
  readonly isElsewhere: boolean;
  readonly cache: DocumentCache<StoredDkimRecord>;
  readonly #config: Config;

  constructor(config: Config, clock: Clock, { name, elsewhere }: DkimZoneOptions) {
    this.name = name;
    this.cache = new DocumentCache(config, RECORD_KIND, clock, CAPACITY);
    this.#config = config;
    this.isElsewhere = elsewhere;
  }

  async find(token: string): Promise<string | undefined> {
    return (await this.cache.get(token))?.value;
  }

  list(page?: Page): Promise<StoredDkimRecord[]> {
    return this.cache.list(page);
  }

  /** Publishes a key under tokens, in place of what is there. @throws PosternError of the storage group. */
  async publish(tokens: readonly string[], identity: string, value: string): Promise<void> {
    await Promise.all(
      tokens.map(async (token) => {
        await this.cache.set(token, { token, identity, value });
        await this.#note(token);
      }),
    );
  }

  /** @throws PosternError of the storage group. */
  async remove(token: string): Promise<void> {
    await this.cache.delete(token);
    await this.#note(token);
  }

  async #note(token: string): Promise<void> {
    if (!this.isElsewhere) return;
    const change: StoredDkimChange = { token };
    await this.#config.put(CHANGE_KIND, `${token}/${randomUUID()}`, change, 0);
  }
}
