/**
 * The config port: one item for each document, and one that counts changes.
 *
 * A change writes the document and the count in one transaction, so that no change is ever missed. The count's
 * item holds the latest changes too; a process reads that one small item every second (half a read unit: some
 * fifteen cents a month), and only looks further when it has grown.
 */
import type { TransactWriteItem } from '@aws-sdk/client-dynamodb';
import { PosternError } from '../../errors.ts';
import type { Log } from '../../log.ts';
import type { Config, ConfigListener, Document, DocumentQuery } from '../ports.ts';
import { type Item, type Key, keyOf, number, numberOf, text } from './attributes.ts';
import { type Pacing, pause } from './concurrency.ts';
import type { Tables } from './tables.ts';

type ConfigChange = { kind: string; key: string };

/** Begins with a character that no kind of document begins with. */
const CHANGES: Key = { pk: '!', sk: 'changes' };
/** Changes kept in the count's item, whose size stays below one read unit. */
const KEPT = 30;
const KEPT_BYTES = 3_000;
const POLL = 900;
/** Age up to which a check is current, ms: while it is polled, it always is. */
const FRESH = 1_000;
const TRIES = 12;
/** Sorts behind every key: the highest code point. */
const LAST = '\u{10ffff}';

interface Changes {
  count: number;
  recent: ConfigChange[];
}

export class AwsConfig implements Config {
  readonly #tables: Tables;
  readonly #pacing: Pacing;
  readonly #log: Pick<Log, 'warn'>;
  readonly #listeners = new Set<ConfigListener>();
  /** Counts of this process's own changes, which were announced at once. */
  readonly #own = new Set<number>();
  #seen: number | undefined;
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
    let version = 0;
    await this.#change(kind, key, (current, table) => {
      const held = current?.version ?? 0;
      if (expect !== undefined && expect !== held) throw conflict(kind, key, expect);
      version = held + 1;
      return {
        Put: {
          TableName: table,
          Item: {
            pk: text(kind),
            sk: text(key),
            v: text(JSON.stringify(value)),
            n: number(version),
          },
          ...unchanged(held),
        },
      };
    });
    return version;
  }

  async delete(kind: string, key: string): Promise<boolean> {
    return this.#change(kind, key, (current, table) => {
      if (!current) return undefined;
      return {
        Delete: { TableName: table, Key: keyOf({ pk: kind, sk: key }), ...unchanged(current.version) },
      };
    });
  }

  watch(listener: ConfigListener): () => void {
    this.#listeners.add(listener);
    if (!this.#cancel && !this.#closed) void this.#poll();
    return () => {
      this.#listeners.delete(listener);
      if (this.#listeners.size > 0) return;
      this.#cancel?.();
      this.#cancel = undefined;
      this.#seen = undefined;
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

  /**
   * Writes a document with the count of changes.
   * @param write builds the write from the current document; undefined when there is nothing to do.
   */
  async #change(
    kind: string,
    key: string,
    write: (current: Document | undefined, table: string) => TransactWriteItem | undefined,
  ): Promise<boolean> {
    for (let tries = 0; tries < TRIES; tries += 1) {
      if (tries > 0) await pause(this.#pacing, tries);
      const [current, changes] = await Promise.all([this.get(kind, key), this.#changes()]);
      const count = changes.count + 1;
      if (!write(current, '')) return false;
      const result = await this.#tables.transact('config', (table) => [
        write(current, table)!,
        { Put: { TableName: table, Item: changesItem(changes, { kind, key }), ...unchanged(changes.count) } },
      ]);
      if (result !== 'done') continue;
      this.#own.add(count);
      this.#tell({ kind, key });
      return true;
    }
    throw new PosternError(
      'storage_unavailable',
      `${kind} ${key} cannot be written: too many changes at one time. Try again.`,
    );
  }

  async #changes(consistent = true): Promise<Changes> {
    const item = await this.#tables.get('config', CHANGES, consistent);
    return item
      ? { count: numberOf(item.n), recent: JSON.parse(item.v!.S!) as ConfigChange[] }
      : { count: 0, recent: [] };
  }

  #isWatched(): boolean {
    return !this.#closed && this.#listeners.size > 0;
  }

  async #poll(): Promise<void> {
    const begun = () => {};
    this.#cancel = begun;
    try {
      // It may be half a second behind: a change that the first check misses is then announced twice.
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
    const changes = await this.#changes(consistent);
    if (!this.#isWatched()) return;
    if (this.#seen !== undefined && changes.count > this.#seen) await this.#announce(changes, this.#seen);
    this.#seen = Math.max(this.#seen ?? 0, changes.count);
    for (const own of this.#own) if (own <= this.#seen) this.#own.delete(own);
    this.#lookedAt = began;
  }

  /** Announces all changes since; every document, when there are more than the count's item holds. */
  async #announce({ count, recent }: Changes, seen: number): Promise<void> {
    const missed = count - seen;
    const changed =
      missed <= recent.length
        ? recent.slice(-missed).filter((_, at) => !this.#own.has(seen + 1 + at))
        : (await this.#tables.allKeys('config'))
            .filter(({ pk }) => pk !== CHANGES.pk)
            .map(({ pk, sk }) => ({ kind: pk, key: sk }));
    for (const change of changed) this.#tell(change);
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

function changesItem({ count, recent }: Changes, change: ConfigChange): Item {
  const kept = [...recent, change].slice(-KEPT);
  while (kept.length > 1 && JSON.stringify(kept).length > KEPT_BYTES) kept.shift();
  return {
    pk: text(CHANGES.pk),
    sk: text(CHANGES.sk),
    n: number(count + 1),
    v: text(JSON.stringify(kept)),
  };
}

function conflict(kind: string, key: string, expect: number): PosternError {
  return new PosternError(
    'config_conflict',
    `${kind} ${key} is not at version ${expect}: someone else changed it. Read it again and repeat the change.`,
  );
}
