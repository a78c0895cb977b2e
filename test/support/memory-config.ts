import type { Config, ConfigListener, Document } from '../../lib/engine/ports.ts';
import { PosternError } from '../../lib/errors.ts';

/** The config port in memory, held to the contract (`test/contract/memory.test.ts`), with faults of its own. Values pass through JSON, as they do in a store. */
export class MemoryConfig implements Config {
  readonly #documents = new Map<string, { kind: string; key: string; json: string; version: number }>();
  readonly #listeners = new Set<ConfigListener>();
  /** Set to make the next calls fail as a store that is away. */
  failing = false;
  /** Awaited before each `get` answers, with what it read already read. */
  delayGet: (() => Promise<void>) | undefined;

  async get(kind: string, key: string): Promise<Document | undefined> {
    this.#reach();
    const found = this.#documents.get(`${kind}\0${key}`);
    const document = found && { kind, key, value: JSON.parse(found.json) as unknown, version: found.version };
    await this.delayGet?.();
    return document;
  }

  async list(kind: string, options: { after?: string; max?: number } = {}): Promise<Document[]> {
    this.#reach();
    return [...this.#documents.values()]
      .filter(
        (one) => one.kind === kind && (options.after === undefined || byBytes(one.key, options.after) > 0),
      )
      .sort((a, b) => byBytes(a.key, b.key))
      .slice(0, options.max)
      .map(({ key, json, version }) => ({ kind, key, value: JSON.parse(json) as unknown, version }));
  }

  async put(kind: string, key: string, value: unknown, expect?: number): Promise<number> {
    this.#reach();
    const version = this.#documents.get(`${kind}\0${key}`)?.version ?? 0;
    if (expect !== undefined && expect !== version) {
      throw new PosternError('config_conflict', `${kind} ${key} is at version ${version}, not ${expect}.`);
    }
    this.#documents.set(`${kind}\0${key}`, { kind, key, json: JSON.stringify(value), version: version + 1 });
    this.#tell(kind, key);
    return version + 1;
  }

  async delete(kind: string, key: string): Promise<boolean> {
    this.#reach();
    const existed = this.#documents.delete(`${kind}\0${key}`);
    if (existed) this.#tell(kind, key);
    return existed;
  }

  watch(listener: ConfigListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async catchUp(): Promise<void> {
    this.#reach();
  }

  /** Everything that is stored, as text. */
  dump(): string {
    return [...this.#documents.values()].map((one) => `${one.kind} ${one.key} ${one.json}`).join('\n');
  }

  /** Listeners that are subscribed. */
  get watchers(): number {
    return this.#listeners.size;
  }

  #reach(): void {
    if (this.failing) throw new PosternError('storage_unavailable', 'The store is away.');
  }

  #tell(kind: string, key: string): void {
    for (const listener of this.#listeners) void listener({ kind, key });
  }
}

function byBytes(one: string, other: string): number {
  return Buffer.compare(Buffer.from(one), Buffer.from(other));
}
