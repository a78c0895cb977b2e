/**
 * One kind of configuration document, read by key when it is needed: a process holds what it uses, however many
 * there are.
 *
 * ```
 *  get ──► held, and not announced as changed? ──► the value, or that there is none
 *             └─ no ──► store, one read for all who ask ──► held
 *  changed ──► held no more; a read under way is answered, and not kept
 * ```
 * The config port announces a change by any process within about a second, so what is held is at most that old. An
 * entry ends after a minute besides: a change whose announcement is lost, because a writer's clock is wrong, is late
 * and not lost.
 */
import { Cache } from '../cache.ts';
import type { Config, Document, DocumentQuery } from '../engine/ports.ts';
import { type Clock, MINUTE } from '../time.ts';
import { alreadyExists, asStored, freeze, type HeldDocument, isConflict, UPDATE_TRIES } from './document.ts';

/** How long an entry is used without being read again, ms. */
const LONGEST = MINUTE;
/** Absent keys in memory. They are apart from documents: who makes keys up evicts no document. */
const ABSENT = 10_000;
/** Memory of an entry beside its document, as characters of JSON. */
const OVERHEAD = 200;

interface ReadDocument<T> extends HeldDocument<T> {
  readonly readAt: number;
  readonly weight: number;
}

export class DocumentCache<T extends object> {
  readonly kind: string;
  /** Called when a document may be another than before, for who keeps what follows from it. */
  onChange?: () => void;
  readonly #config: Config;
  readonly #clock: Clock;
  readonly #held: Cache<string, ReadDocument<T>>;
  /** When each key was found to have no document. */
  readonly #absent = new Cache<string, number>(ABSENT);
  readonly #reading = new Map<string, Promise<HeldDocument<T> | undefined>>();
  /** The last update of each key that is under way. */
  readonly #turns = new Map<string, Promise<unknown>>();

  /** @param capacity the most that is held, characters of JSON. */
  constructor(config: Config, kind: string, clock: Clock, capacity: number) {
    this.#config = config;
    this.kind = kind;
    this.#clock = clock;
    this.#held = new Cache(capacity, ({ weight }) => weight);
  }

  /** @throws PosternError of the storage group. */
  async get(key: string): Promise<T | undefined> {
    const known = this.#known(key);
    return (known === undefined ? await this.#read(key) : known)?.value;
  }

  /**
   * Reads many documents, in one batch.
   * @returns them in the order of the keys. @throws PosternError of the storage group.
   */
  async getAll(keys: readonly string[]): Promise<(T | undefined)[]> {
    const known = keys.map((key) => this.#known(key));
    const unknown = new Set(keys.filter((_, at) => known[at] === undefined));
    if (unknown.size > 0) this.#readAll([...unknown].filter((key) => !this.#reading.has(key)));
    const read = new Map<string, HeldDocument<T> | undefined>();
    await Promise.all(Array.from(unknown, async (key) => read.set(key, await this.#reading.get(key))));
    return keys.map((key, at) => (known[at] === undefined ? read.get(key) : known[at])?.value);
  }

  /** Reads documents in the order of keys, from the store. @throws PosternError of the storage group. */
  async list(query?: DocumentQuery): Promise<T[]> {
    const found = await this.#config.list(this.kind, query);
    return found.map(({ value }) => freeze(value as T));
  }

  /**
   * Stores a document that must not exist yet.
   * @param what the document, for the message. @throws `already_exists`, the storage group.
   */
  async create(key: string, value: T, what: string): Promise<T> {
    try {
      return await this.#put(key, value, 0);
    } catch (error) {
      if (!isConflict(error)) throw error;
      throw alreadyExists(what);
    }
  }

  /** Stores a document that may or may not exist. @throws PosternError of the storage group. */
  async set(key: string, value: T): Promise<void> {
    await this.#put(key, value);
  }

  /**
   * Changes a document by optimistic concurrency: `change` receives a copy and may run again on a newer one. Updates of
   * this process take turns: of those that all read one version only one could store its change, and the more calls
   * come, the more would be refused.
   * @param absent what to change where there is no document; absent: nothing.
   * @returns the stored document, or undefined when it does not exist.
   * @throws `config_conflict` when other processes were first each time; the storage group.
   */
  async update(key: string, change: (value: T) => T, absent?: T): Promise<T | undefined> {
    const before = this.#turns.get(key);
    const update = (): Promise<T | undefined> => this.#update(key, change, absent);
    // Whether the one before failed is told to its own caller.
    const turn = before === undefined ? update() : before.then(update, update);
    this.#turns.set(key, turn);
    try {
      return await turn;
    } finally {
      if (this.#turns.get(key) === turn) this.#turns.delete(key);
    }
  }

  /** @returns whether it existed. @throws PosternError of the storage group. */
  async delete(key: string): Promise<boolean> {
    try {
      return await this.#config.delete(this.kind, key);
    } finally {
      this.changed(key);
    }
  }

  /** Forgets a document; without a key all of them. */
  changed(key?: string): void {
    this.onChange?.();
    if (key === undefined) {
      this.#held.clear();
      this.#absent.clear();
      this.#reading.clear();
      return;
    }
    this.#held.delete(key);
    this.#absent.delete(key);
    this.#reading.delete(key);
  }

  /** The document in memory, null for none there; undefined: it has to be read. */
  #known(key: string): HeldDocument<T> | null | undefined {
    // No engine has a document without a key.
    if (key === '') return null;
    const entry = this.#held.get(key);
    if (entry !== undefined) return this.#isFresh(entry.readAt) ? entry : undefined;
    const readAt = this.#absent.get(key);
    return readAt !== undefined && this.#isFresh(readAt) ? null : undefined;
  }

  #isFresh(readAt: number): boolean {
    const age = this.#clock.now() - readAt;
    return age >= 0 && age < LONGEST;
  }

  #read(key: string): Promise<HeldDocument<T> | undefined> {
    const running = this.#reading.get(key);
    if (running) return running;
    return this.#follow(key, this.#config.get(this.kind, key));
  }

  /** Begins to read documents: `#reading` has the answers. */
  #readAll(keys: readonly string[]): void {
    if (keys.length === 1) void this.#read(keys[0]!);
    if (keys.length < 2) return;
    const documents = this.#config.getAll(this.kind, keys);
    const documentAt = async (at: number): Promise<Document | undefined> => (await documents)[at];
    for (const [at, key] of keys.entries()) void this.#follow(key, documentAt(at));
  }

  /** Keeps the answer of a read, unless the document was changed meanwhile. */
  #follow(key: string, answer: Promise<Document | undefined>): Promise<HeldDocument<T> | undefined> {
    const readAt = this.#clock.now();
    const reading = answer
      .then((document) => {
        const isCurrent = this.#reading.get(key) === reading;
        if (document === undefined) {
          if (isCurrent) this.#absent.set(key, readAt);
          return undefined;
        }
        const { version } = document;
        const value = freeze(document.value as T);
        if (isCurrent) {
          const weight = OVERHEAD + key.length + JSON.stringify(value).length;
          this.#held.set(key, { value, version, readAt, weight });
        }
        return { value, version };
      })
      .finally(() => {
        if (this.#reading.get(key) === reading) this.#reading.delete(key);
      });
    this.#reading.set(key, reading);
    return reading;
  }

  async #update(key: string, change: (value: T) => T, absent: T | undefined): Promise<T | undefined> {
    for (let tries = 1; ; tries += 1) {
      const held = this.#known(key) ?? (await this.#read(key));
      const before = held?.value ?? absent;
      if (before === undefined) return undefined;
      try {
        return await this.#put(key, change(structuredClone(before)), held?.version ?? 0);
      } catch (error) {
        if (!isConflict(error) || tries === UPDATE_TRIES) throw error;
      }
    }
  }

  async #put(key: string, given: T, expect?: number): Promise<T> {
    const value = asStored(given);
    try {
      await this.#config.put(this.kind, key, value, expect);
    } finally {
      // Also when it failed: the answer may be lost, and the change made.
      this.changed(key);
    }
    return value;
  }
}
