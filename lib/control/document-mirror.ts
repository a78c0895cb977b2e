/**
 * One kind of configuration document, all of it held in memory and kept equal to the store: for kinds that are needed
 * at every message and are few, however many tenants there are.
 *
 * Reads are synchronous. A write goes to the store first and into memory when the store has it, so a caller that
 * awaited a write reads it back. Changes of other processes arrive through `changed`, which reads the document again:
 *
 * ```
 *  changed(key) ──► get ──┬─ nothing written meanwhile ──► memory = what was read
 *                         └─ written or changed meanwhile ► read again (else an old read would undo a new write)
 * ```
 */
import { isDeepStrictEqual } from 'node:util';
import type { Config, Document } from '../engine/ports.ts';
import type { Clock } from '../time.ts';
import { alreadyExists, asStored, freeze, type HeldDocument, isConflict, UPDATE_TRIES } from './document.ts';

/** Documents per page while the mirror is loaded. */
const PAGE = 500;
/** Delay until a failed refresh is tried again, ms. */
const REFRESH_RETRY = 1_000;

export class DocumentMirror<T extends object> {
  readonly kind: string;
  readonly #config: Config;
  readonly #clock: Clock;
  readonly #applied: (key: string, value: T | undefined, read: unknown) => void;
  readonly #entries = new Map<string, HeldDocument<T>>();
  /** Keys being read again, and whether the value of that read may be stale already. */
  readonly #refreshing = new Map<string, { stale: boolean; done: Promise<void> }>();
  /** Writes under way, by key. */
  readonly #writing = new Map<string, Promise<unknown>>();
  readonly #retries = new Set<() => void>();
  /** Keys that changed while the cache was loaded: the page that was read may be older than the change. */
  #overtaken: Set<string> | undefined = new Set();
  /** Ends when all documents were read that were to be read again. */
  #reloaded: Promise<void> = Promise.resolve();
  #sorted: T[] | undefined;
  #closed = false;

  /**
   * @param applied called once for each version of a document that came into memory or, with undefined, left it.
   * `read` is the value that `replace` received with it. Must not throw.
   */
  constructor(
    config: Config,
    kind: string,
    clock: Clock,
    applied: (key: string, value: T | undefined, read: unknown) => void = () => undefined,
  ) {
    this.#config = config;
    this.kind = kind;
    this.#clock = clock;
    this.#applied = applied;
  }

  /** Reads every document of the kind. Call it after subscribing to changes, so that none is missed. */
  async load(): Promise<void> {
    // From here on changes are announced: only then no value read below is older than the first announced change.
    await this.#config.catchUp();
    await this.#readAll();
  }

  get(key: string): T | undefined {
    return this.#entries.get(key)?.value;
  }

  /** The version in memory; 0 for a document that does not exist. */
  version(key: string): number {
    return this.#entries.get(key)?.version ?? 0;
  }

  keys(): string[] {
    return [...this.#entries.keys()].sort();
  }

  /** Every document in the order of keys. The array is shared: do not change it. */
  all(): readonly T[] {
    this.#sorted ??= [...this.#entries]
      .sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))
      .map(([, entry]) => entry.value);
    return this.#sorted;
  }

  /**
   * Stores a document that must not exist yet.
   * @param what the document, for the message. @throws `already_exists`
   */
  async create(key: string, value: T, what: string): Promise<T> {
    try {
      return await this.#put(key, value, 0);
    } catch (error) {
      if (!isConflict(error)) throw error;
      throw alreadyExists(what);
    }
  }

  /**
   * Stores a document in place of the version `expect` (0: it must not exist yet).
   * @param read result of the document's reader, passed on to `applied`.
   * @throws `config_conflict` when another version is current.
   */
  async replace(key: string, value: T, expect: number, read?: unknown): Promise<void> {
    await this.#put(key, value, expect, read);
  }

  /** Stores a document that may or may not exist. */
  async set(key: string, value: T): Promise<void> {
    await this.#put(key, value, undefined);
  }

  /**
   * Changes a document by optimistic concurrency: `change` receives a copy and may run again on a newer one.
   * @returns the stored document, or undefined when it does not exist.
   * @throws `config_conflict` when other writers were first each time.
   */
  async update(key: string, change: (value: T) => T): Promise<T | undefined> {
    for (let tries = 1; ; tries += 1) {
      const entry = this.#entries.get(key);
      if (!entry) return undefined;
      try {
        return await this.#put(key, change(structuredClone(entry.value)), entry.version);
      } catch (error) {
        if (!isConflict(error) || tries === UPDATE_TRIES) throw error;
        this.#apply(key, await this.#config.get(this.kind, key));
      }
    }
  }

  async delete(key: string): Promise<boolean> {
    const existed = await this.#config.delete(this.kind, key);
    this.#apply(key, undefined);
    return existed;
  }

  /** Reads what changed, one document or, without a key, the whole kind. Resolves when it is in memory, or cannot be read now: then it is tried again. */
  changed(key?: string): Promise<void> {
    if (key === undefined) return this.#reload();
    this.#overtaken?.add(key);
    const running = this.#refreshing.get(key);
    if (running) {
      running.stale = true;
      return running.done;
    }
    const state = { stale: false, done: Promise.resolve() };
    this.#refreshing.set(key, state);
    state.done = this.#refresh(key, state);
    return state.done;
  }

  /** Follows the changes of the kind. @returns an unsubscriber. */
  watch(): () => void {
    return this.#config.watch(({ kind, key }) =>
      kind === undefined ? this.changed() : kind === this.kind ? this.changed(key) : undefined,
    );
  }

  close(): void {
    this.#closed = true;
    for (const cancel of this.#retries) cancel();
    this.#retries.clear();
  }

  async #put(key: string, given: T, expect: number | undefined, read?: unknown): Promise<T> {
    const value = asStored(given);
    const writing = this.#config.put(this.kind, key, value, expect);
    this.#writing.set(key, writing);
    try {
      const version = await writing;
      this.#apply(key, { kind: this.kind, key, value, version }, read);
    } finally {
      if (this.#writing.get(key) === writing) this.#writing.delete(key);
    }
    return value;
  }

  #apply(key: string, document: Document | undefined, read?: unknown): void {
    const running = this.#refreshing.get(key);
    if (running) running.stale = true;
    const known = this.#entries.get(key);
    // A process is notified of its own writes, too. A deleted key begins with version 1 again.
    if (known !== undefined && known.version === document?.version) {
      if (isDeepStrictEqual(known.value, document.value)) return;
    }
    this.#sorted = undefined;
    if (!document) this.#entries.delete(key);
    else this.#entries.set(key, { value: freeze(document.value as T), version: document.version });
    this.#applied(key, this.get(key), read);
  }

  async #readAll(): Promise<void> {
    this.#overtaken ??= new Set();
    const gone = new Set(this.#entries.keys());
    for (let after: string | undefined; ; ) {
      const page = await this.#config.list(this.kind, { after, max: PAGE });
      if (this.#closed) return;
      for (const document of page) {
        gone.delete(document.key);
        if (!this.#overtaken.has(document.key)) this.#apply(document.key, document);
      }
      after = page.at(-1)?.key;
      if (page.length < PAGE) break;
    }
    for (const key of gone) if (!this.#overtaken.has(key)) this.#apply(key, undefined);
    this.#overtaken = undefined;
  }

  #reload(): Promise<void> {
    this.#reloaded = this.#reloaded.then(async () => {
      try {
        await this.#readAll();
      } catch {
        this.#overtaken = undefined;
        this.#later(() => this.#reload());
      }
    });
    return this.#reloaded;
  }

  /** The store is away: what is in memory stays in force, and what changed is fetched when the store is back. */
  #later(again: () => Promise<void>): void {
    if (this.#closed) return;
    const cancel = this.#clock.after(REFRESH_RETRY, () => {
      this.#retries.delete(cancel);
      void again();
    });
    this.#retries.add(cancel);
  }

  async #refresh(key: string, state: { stale: boolean }): Promise<void> {
    try {
      for (;;) {
        // The answer of a write by this process brings the document with its reader's result.
        await this.#writing.get(key)?.catch(() => undefined);
        state.stale = false;
        const document = await this.#config.get(this.kind, key);
        if (this.#closed) return;
        if (state.stale) continue;
        this.#refreshing.delete(key);
        this.#apply(key, document);
        return;
      }
    } catch {
      this.#refreshing.delete(key);
      this.#later(() => this.changed(key));
    }
  }
}
