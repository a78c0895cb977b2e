/** The config port. One process owns the store, so changes are announced in memory, after their commit. */
import { PosternError } from '../../errors.ts';
import type { Config, ConfigListener, Document, DocumentQuery } from '../ports.ts';
import { readJson } from './json.ts';
import type { Link } from './link.ts';
import type { StoredDocument } from './protocol.ts';

/** Documents of one list when the caller names no number. */
const ALL = Number.MAX_SAFE_INTEGER;

export class EmbeddedConfig implements Config {
  readonly #link: Link;
  readonly #listeners = new Set<ConfigListener>();

  constructor(link: Link) {
    this.#link = link;
  }

  async get(kind: string, key: string): Promise<Document | undefined> {
    const stored = await this.#link.call('getDocument', { kind, key });
    return stored && toDocument(stored);
  }

  async getAll(kind: string, keys: readonly string[]): Promise<(Document | undefined)[]> {
    const stored = await this.#link.call('getDocuments', { kind, keys });
    return stored.map((one) => one && toDocument(one));
  }

  async list(kind: string, query: DocumentQuery = {}): Promise<Document[]> {
    const { prefix = '', after = '', max = ALL } = query;
    return (await this.#link.call('listDocuments', { kind, prefix, after, max })).map(toDocument);
  }

  count(kind: string, prefix: string): Promise<number> {
    return this.#link.call('countDocuments', { kind, prefix });
  }

  async put(kind: string, key: string, value: unknown, expect?: number): Promise<number> {
    const version = await this.#link.call('putDocument', { kind, key, value: JSON.stringify(value), expect });
    if (version === 0) {
      throw new PosternError(
        'config_conflict',
        `${kind} ${key} is not at version ${expect}: someone else changed it. Read it again and repeat the change.`,
      );
    }
    this.#announce(kind, key);
    return version;
  }

  async delete(kind: string, key: string): Promise<boolean> {
    const existed = await this.#link.call('deleteDocument', { kind, key });
    if (existed) this.#announce(kind, key);
    return existed;
  }

  watch(listener: ConfigListener): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** No other process changes anything, and what this one changes it announces. */
  catchUp(): Promise<void> {
    return Promise.resolve();
  }

  #announce(kind: string, key: string): void {
    for (const listener of this.#listeners) void listener({ kind, key });
  }
}

function toDocument({ kind, key, value, version }: StoredDocument): Document {
  return { kind, key, value: readJson(value, `the ${kind} ${key}`), version };
}
