/**
 * The memory engine for tests: with a record of its calls, and the faults that a test sets. An engine
 * holds no thread, file or timer of the process, so a test may leave it open.
 */
import { openMemory } from '../../lib/engine/memory/open.ts';
import type { Config, ConfigListener, Document } from '../../lib/engine/ports.ts';
import { PosternError } from '../../lib/errors.ts';
import { TestClock } from './clock.ts';

/** Calls of all engines of this process so far. */
let calls = 0;

/** Turns without a call after which only clocks are left to wait for. The memory engine answers in one. */
const QUIET = 10;

/** A port whose calls `settled` counts. */
function counted<T extends object>(port: T): T {
  return new Proxy(port, {
    get: (target, name) => {
      const member: unknown = Reflect.get(target, name);
      if (typeof member !== 'function') return member;
      return (...given: unknown[]): unknown => {
        calls += 1;
        return member.apply(target, given);
      };
    },
  });
}

/** Runs all work that waits for no clock, that of engines included. */
export async function settled(): Promise<void> {
  for (let quiet = 0, turns = 0; quiet < QUIET; turns += 1) {
    if (turns === 100_000)
      throw new Error('The engines are called again and again, without any time passing.');
    const before = calls;
    await new Promise<void>((resolve) => setImmediate(resolve));
    quiet = calls === before ? quiet + 1 : 0;
  }
}

/** The config port of a memory engine. */
export class TestConfig implements Config {
  readonly #config = counted(openMemory({ clock: new TestClock() }).config);
  readonly #kinds = new Set<string>();
  /** Makes calls fail as those of an unavailable store. */
  failing = false;
  /** Makes writes alone fail. */
  failingWrites = false;
  /** Awaited by each `get` between its read and its answer. */
  delayGet: (() => Promise<void>) | undefined;
  /** Calls of `put`. */
  writes = 0;
  /** Listeners that are subscribed. */
  watchers = 0;

  async get(kind: string, key: string): Promise<Document | undefined> {
    this.#reach();
    const { delayGet } = this;
    const document = await this.#config.get(kind, key);
    await delayGet?.();
    return document;
  }

  async list(kind: string, options?: { after?: string; max?: number }): Promise<Document[]> {
    this.#reach();
    return this.#config.list(kind, options);
  }

  async put(kind: string, key: string, value: unknown, expect?: number): Promise<number> {
    this.writes += 1;
    this.#reach(this.failingWrites);
    this.#kinds.add(kind);
    return this.#config.put(kind, key, value, expect);
  }

  async delete(kind: string, key: string): Promise<boolean> {
    this.#reach(this.failingWrites);
    return this.#config.delete(kind, key);
  }

  watch(listener: ConfigListener): () => void {
    const leave = this.#config.watch(listener);
    this.watchers += 1;
    return () => {
      this.watchers -= 1;
      leave();
    };
  }

  async catchUp(): Promise<void> {
    this.#reach();
    await this.#config.catchUp();
  }

  /** All stored documents, as text. */
  async dump(): Promise<string> {
    const stored = await Promise.all(Array.from(this.#kinds, (kind) => this.#config.list(kind)));
    return stored
      .flat()
      .map(({ kind, key, value }) => `${kind} ${key} ${JSON.stringify(value)}`)
      .join('\n');
  }

  #reach(failing = false): void {
    if (this.failing || failing) throw new PosternError('storage_unavailable', 'The store is away.');
  }
}
