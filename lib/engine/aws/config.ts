/**
 * The config port: an item for each document, and a log of changes (`change-log.ts`).
 *
 * A change writes the document and its row of the log in one transaction, so that no change is ever missed. A process
 * reads the end of the log every second.
 */
import type { TransactWriteItem } from '@aws-sdk/client-dynamodb';
import { PosternError } from '../../errors.ts';
import type { Log } from '../../log.ts';
import type { Config, ConfigChange, ConfigListener, Document, DocumentQuery } from '../ports.ts';
import { type Item, keyOf, number, numberOf, text } from './attributes.ts';
import { ChangeLog } from './change-log.ts';
import { type Pacing, pause } from './concurrency.ts';
import type { Tables } from './tables.ts';

const POLL = 900;
/** Age up to which a check is current, ms: while it is polled, it always is. */
const FRESH = 1_000;
const TRIES = 12;
/** Sorts behind every key: the highest code point. */
const LAST = '\u{10ffff}';

export class AwsConfig implements Config {
  readonly #tables: Tables;
  readonly #pacing: Pacing;
  readonly #log: Pick<Log, 'warn'>;
  readonly #changes: ChangeLog;
  readonly #listeners = new Set<ConfigListener>();
  /** The check under way, and when the last finished one began. */
  #looking: Promise<void> | undefined;
  #lookedAt = Number.NEGATIVE_INFINITY;
  /** Resolves when the listeners have handled all announced changes. */
  #told: Promise<unknown> = Promise.resolve();
  #cancel: (() => void) | undefined;
  #closed = false;

  constructor(tables: Tables, pacing: Pacing, log: Pick<Log, 'warn'>) {
    this.#tables = tables;
    this.#pacing = pacing;
    this.#log = log;
    this.#changes = new ChangeLog(tables, pacing.clock);
  }

  async get(kind: string, key: string): Promise<Document | undefined> {
    const item = await this.#tables.get('config', { pk: kind, sk: key });
    return item && documentOf(item);
  }

  async getAll(kind: string, keys: readonly string[]): Promise<(Document | undefined)[]> {
    const wanted = [...new Set(keys)].map((key) => ({ pk: kind, sk: key }));
    const items = await this.#tables.getAll('config', wanted);
    const found = new Map(items.map((item) => [item.sk!.S!, documentOf(item)]));
    return keys.map((key) => found.get(key));
  }

  async list(kind: string, { prefix = '', after, max }: DocumentQuery = {}): Promise<Document[]> {
    const first = prefix === '' ? '\0' : prefix;
    // A key between two others in UTF-16 may not be so in UTF-8, the order of the store.
    const isBehind = after !== undefined && Buffer.compare(Buffer.from(after), Buffer.from(first)) >= 0;
    const limit = max !== undefined && isBehind ? max + 1 : max;
    const range = { from: isBehind ? after : first, to: `${prefix}${LAST}`, limit };
    if (isBehind && !after.startsWith(prefix)) return [];
    const items = await this.#tables.query('config', kind, range);
    const behind = items.filter((item) => item.sk!.S !== after);
    return behind.slice(0, max ?? behind.length).map(documentOf);
  }

  count(kind: string, prefix: string): Promise<number> {
    return this.#tables.countAll('config', kind, prefix, `${prefix}${LAST}`);
  }

  async put(kind: string, key: string, value: unknown, expect?: number): Promise<number> {
    const v = text(JSON.stringify(value));
    for (let tries = 0; tries < TRIES; tries += 1) {
      if (tries > 0) await pause(this.#pacing, tries);
      const held = expect ?? (await this.get(kind, key))?.version ?? 0;
      const item = { pk: text(kind), sk: text(key), v, n: number(held + 1) };
      const isStored = await this.#change(kind, key, (table) => ({
        Put: { TableName: table, Item: item, ...unchanged(held) },
      }));
      if (isStored) return held + 1;
      if (expect !== undefined) throw conflict(kind, key, expect);
    }
    throw contended(kind, key);
  }

  async delete(kind: string, key: string): Promise<boolean> {
    for (let tries = 0; tries < TRIES; tries += 1) {
      if (tries > 0) await pause(this.#pacing, tries);
      const current = await this.get(kind, key);
      if (!current) return false;
      const isGone = await this.#change(kind, key, (table) => ({
        Delete: { TableName: table, Key: keyOf({ pk: kind, sk: key }), ...unchanged(current.version) },
      }));
      if (isGone) return true;
    }
    throw contended(kind, key);
  }

  watch(listener: ConfigListener): () => void {
    this.#listeners.add(listener);
    if (!this.#cancel && !this.#closed) {
      this.#changes.begin();
      // What changed before is in what the listener reads after this.
      this.#lookedAt = this.#pacing.clock.now();
      this.#cancel = this.#pacing.clock.after(POLL, () => void this.#poll());
    }
    return () => {
      this.#listeners.delete(listener);
      if (this.#listeners.size > 0) return;
      this.#cancel?.();
      this.#cancel = undefined;
      this.#changes.end();
      this.#lookedAt = Number.NEGATIVE_INFINITY;
    };
  }

  async catchUp(): Promise<void> {
    const { clock } = this.#pacing;
    const called = clock.now();
    // A check that began before the process was stopped proves nothing about now, even if it ends later.
    const fresh = (): boolean => this.#lookedAt >= called - FRESH && this.#lookedAt <= clock.now();
    while (this.#isWatched() && !fresh()) await this.#look(true);
    await this.#told;
  }

  close(): void {
    this.#closed = true;
    this.#cancel?.();
  }

  /** Writes a document with its row of the log. @returns false when the document's condition does not hold. */
  async #change(kind: string, key: string, write: (table: string) => TransactWriteItem): Promise<boolean> {
    const began = this.#pacing.clock.now();
    const row = this.#changes.row(kind, key);
    const result = await this.#tables.transact('config', (table) => [
      write(table),
      { Put: { TableName: table, Item: row } },
    ]);
    if (result !== 'done') return false;
    this.#tell({ kind, key });
    await this.#changes.stored(kind, key, began);
    return true;
  }

  #isWatched(): boolean {
    return !this.#closed && this.#listeners.size > 0;
  }

  async #poll(): Promise<void> {
    const begun = () => {};
    this.#cancel = begun;
    try {
      // It may be half a second behind: what it misses, the next one finds.
      await this.#look(false);
    } catch (error) {
      this.#log.warn('changes of the configuration cannot be read; tried again', { error });
    }
    // All listeners may have left meanwhile, and another come, for whom polling began anew.
    if (this.#isWatched() && this.#cancel === begun) {
      this.#cancel = this.#pacing.clock.after(POLL, () => void this.#poll());
    }
  }

  /** Checks for changes and announces them. There is one check at a time. */
  #look(consistent: boolean): Promise<void> {
    this.#looking ??= this.#lookOnce(consistent).finally(() => {
      this.#looking = undefined;
    });
    return this.#looking;
  }

  async #lookOnce(consistent: boolean): Promise<void> {
    const began = this.#pacing.clock.now();
    const changes = await this.#changes.read(consistent);
    if (!this.#isWatched()) return;
    for (const change of changes) this.#tell(change);
    this.#lookedAt = began;
  }

  #tell(change: ConfigChange): void {
    this.#told = Promise.all([this.#told, ...Array.from(this.#listeners, (listener) => listener(change))]);
  }
}

function documentOf(item: Item): Document {
  return {
    kind: item.pk!.S!,
    key: item.sk!.S!,
    value: JSON.parse(item.v!.S!),
    version: numberOf(item.n),
  };
}

/** Condition that an item still has a version (0: is not there). */
function unchanged(version: number) {
  return version === 0
    ? { ConditionExpression: 'attribute_not_exists(pk)' }
    : { ConditionExpression: 'n = :n', ExpressionAttributeValues: { ':n': number(version) } };
}

function conflict(kind: string, key: string, expect: number): PosternError {
  return new PosternError(
    'config_conflict',
    `${kind} ${key} is not at version ${expect}: someone else changed it. Read it again and repeat the change.`,
  );
}

function contended(kind: string, key: string): PosternError {
  return new PosternError(
    'storage_unavailable',
    `${kind} ${key} cannot be written: too many changes of it at one time. Try again.`,
  );
}
