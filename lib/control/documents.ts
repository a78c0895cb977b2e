/**
 * Configuration documents that change while Postern runs: every change is a version with its author, and any of the
 * last fifty can be restored.
 *
 * ```
 *  put ─► validate ─► archive the version that is current ─► replace it ─► validate ─► running ─► listeners
 *             └─ refused with path and reason                 (watch)         └─ what ran goes on running
 * ```
 * The archive is written first, and a version never changes: if a writer crashes in between, or is overtaken by
 * another writer, the archive only repeats a version that it has. Removing a document is a version too.
 */
import type { Config } from '../engine/ports.ts';
import { PosternError } from '../errors.ts';
import type { Clock } from '../time.ts';
import type { ConfigKind } from './config-kinds.ts';
import { DocumentMirror } from './document-mirror.ts';
import { checkName, quote } from './names.ts';

/** A version of a document. */
export interface DocumentVersion {
  readonly kind: string;
  readonly name: string;
  readonly version: number;
  /** When the version was stored, ms, and by which access key. */
  readonly at: number;
  readonly by: string;
  /** Absent: this version removed the document. */
  readonly value?: unknown;
}

/** The author of a change, and the version that must be current (0: none was ever stored). */
export interface DocumentChange {
  by: string;
  expect?: number;
}

export interface Documents {
  readonly kinds: readonly string[];
  /** The reader's result for a document in force; undefined when there is none. The same object until it changes. */
  read<T>(kind: ConfigKind<T>, name: string): T | undefined;
  /** Documents of a kind that are in force, by name. The same map until one changes. */
  running(kind: string): ReadonlyMap<string, unknown>;
  /**
   * Calls the listener after each change of `running(kind)` by any process; it must not throw. Returns an
   * unsubscriber.
   */
  watch(kind: string, listener: () => void): () => void;
  /** The latest version, and why it is not in force although it was stored. @throws `not_found` for the kind. */
  get(kind: string, name: string): (DocumentVersion & { problems?: readonly string[] }) | undefined;
  /** The latest versions of all documents of a kind. */
  list(kind: string): DocumentVersion[];
  /**
   * Stores a version, durable and in force when it resolves.
   * @throws `bad_request` with path and reason, `config_conflict`, `not_found`, the storage group.
   */
  put(kind: string, name: string, value: unknown, change: DocumentChange): Promise<DocumentVersion>;
  /** Removes a document. @throws `config_conflict`, `not_found`, the storage group. */
  remove(kind: string, name: string, change: DocumentChange): Promise<DocumentVersion>;
  /** All kept versions, newest first, the current one included. @throws `not_found`, the storage group. */
  history(kind: string, name: string): Promise<DocumentVersion[]>;
  /** Makes an earlier version (the one before, when none is named) the newest. @throws as `put`. */
  rollBack(
    kind: string,
    name: string,
    version: number | undefined,
    change: DocumentChange,
  ): Promise<DocumentVersion>;
  close(): void;
}

interface Stored {
  at: number;
  by: string;
  value?: unknown;
}

/** Maximum number of versions that are kept beside the current one. */
const HISTORY = 50;
const HISTORY_KIND = 'config-history';
/** Maximum size of a document, bytes; the AWS engine's store ends at 400 KB. */
const MAX_BYTES = 256 * 1024;

/** The documents of one kind: those that are stored, and those of them that are in force. */
class DocumentKind {
  readonly kind: ConfigKind;
  readonly cache: DocumentMirror<Stored>;
  readonly listeners = new Set<() => void>();
  /** Why a stored document is not in force, by name. */
  readonly problems = new Map<string, string>();
  running: ReadonlyMap<string, unknown> = new Map();
  /** Results of the readers for the documents in force, by name. */
  readonly read = new Map<string, unknown>();

  constructor(kind: ConfigKind, config: Config, clock: Clock) {
    this.kind = kind;
    this.cache = new DocumentMirror<Stored>(config, storedKind(kind.name), clock, (name, stored, read) =>
      this.#apply(name, stored, read),
    );
  }

  /** @param read the result that `put` has already; undefined for a document of another process. */
  #apply(name: string, stored: Stored | undefined, read: unknown): void {
    const running = new Map(this.running);
    if (stored?.value === undefined) {
      running.delete(name);
      this.read.delete(name);
    } else {
      try {
        this.read.set(name, read ?? this.kind.read(stored.value, name));
      } catch (error) {
        if (!(error instanceof PosternError && error.code === 'bad_request')) throw error;
        this.problems.set(name, error.message);
        return;
      }
      running.set(name, stored.value);
    }
    this.problems.delete(name);
    this.running = running;
    for (const listener of this.listeners) listener();
  }
}

/** @throws PosternError of the storage group. */
export async function openDocuments(options: {
  config: Config;
  clock: Clock;
  kinds: readonly ConfigKind[];
}): Promise<Documents> {
  const documents = new VersionedDocuments(options.config, options.clock, options.kinds);
  try {
    await documents.load();
  } catch (error) {
    documents.close();
    throw error;
  }
  return documents;
}

class VersionedDocuments implements Documents {
  readonly kinds: readonly string[];
  readonly #config: Config;
  readonly #clock: Clock;
  readonly #byKind: ReadonlyMap<string, DocumentKind>;
  readonly #unwatch: () => void;

  constructor(config: Config, clock: Clock, kinds: readonly ConfigKind[]) {
    this.#config = config;
    this.#clock = clock;
    this.kinds = kinds.map(({ name }) => name);
    this.#byKind = new Map(kinds.map((kind) => [kind.name, new DocumentKind(kind, config, clock)]));
    const caches = [...this.#byKind.values()].map(({ cache }) => cache.watch());
    this.#unwatch = () => {
      for (const unwatch of caches) unwatch();
    };
  }

  async load(): Promise<void> {
    for (const { cache } of this.#byKind.values()) await cache.load();
  }

  close(): void {
    this.#unwatch();
    for (const { cache } of this.#byKind.values()) cache.close();
  }

  running(kind: string): ReadonlyMap<string, unknown> {
    return this.#kindOf(kind).running;
  }

  read<T>(kind: ConfigKind<T>, name: string): T | undefined {
    return this.#kindOf(kind.name).read.get(name) as T | undefined;
  }

  watch(kind: string, listener: () => void): () => void {
    const { listeners } = this.#kindOf(kind);
    listeners.add(listener);
    return () => void listeners.delete(listener);
  }

  get(kind: string, name: string): ReturnType<Documents['get']> {
    const known = this.#kindOf(kind);
    const found = latest(known, name);
    const problem = known.problems.get(name);
    return found && problem !== undefined ? { ...found, problems: [problem] } : found;
  }

  list(kind: string): DocumentVersion[] {
    const known = this.#kindOf(kind);
    return known.cache.keys().map((name) => latest(known, name)!);
  }

  async put(kind: string, name: string, value: unknown, change: DocumentChange): Promise<DocumentVersion> {
    const known = this.#kindOf(kind);
    checkName('document', name);
    const text = JSON.stringify(value);
    const bytes = Buffer.byteLength(text);
    if (bytes > MAX_BYTES) {
      throw new PosternError('bad_request', `${kind}/${name} has ${bytes} bytes; it may have ${MAX_BYTES}.`);
    }
    const plain: unknown = JSON.parse(text);
    let read: unknown;
    try {
      read = known.kind.read(plain, name);
    } catch (error) {
      if (!(error instanceof PosternError && error.code === 'bad_request')) throw error;
      throw new PosternError('bad_request', `${kind}/${name} is refused. ${error.message}`, { cause: error });
    }
    return this.#store(known, name, { ...this.#stamp(change), value: plain }, change.expect, read);
  }

  async remove(kind: string, name: string, change: DocumentChange): Promise<DocumentVersion> {
    const known = this.#kindOf(kind);
    if (latest(known, name)?.value === undefined) throw missing(kind, name);
    return this.#store(known, name, this.#stamp(change), change.expect);
  }

  async history(kind: string, name: string): Promise<DocumentVersion[]> {
    const current = latest(this.#kindOf(kind), name);
    if (current === undefined) throw missing(kind, name);
    const prefix = `${kind}/${name}/`;
    const archived = await this.#config.list(HISTORY_KIND, { after: prefix, max: HISTORY + 2 });
    const versions = archived
      .filter(({ key }) => key.startsWith(prefix))
      .map(({ value }) => value as DocumentVersion)
      .filter(({ version }) => version < current.version);
    return [current, ...versions.reverse()];
  }

  async rollBack(
    kind: string,
    name: string,
    version: number | undefined,
    change: DocumentChange,
  ): Promise<DocumentVersion> {
    const [current, ...earlier] = await this.history(kind, name);
    const target = version === undefined ? earlier[0] : earlier.find((one) => one.version === version);
    if (target === undefined) {
      const kept = earlier.map((one) => one.version).join(', ') || 'none';
      throw new PosternError(
        'not_found',
        `${kind}/${name} is at version ${current!.version} and has no earlier version ${version ?? ''}. Kept: ${kept}.`,
      );
    }
    if (target.value === undefined) return this.remove(kind, name, change);
    return this.put(kind, name, target.value, change);
  }

  #stamp({ by }: DocumentChange): Stored {
    return { at: this.#clock.now(), by };
  }

  #kindOf(kind: string): DocumentKind {
    const known = this.#byKind.get(kind);
    if (known !== undefined) return known;
    throw new PosternError(
      'not_found',
      `There is no kind of document ${quote(kind)}; there are ${this.kinds.join(', ')}.`,
    );
  }

  /** Archives the current version, then replaces it. */
  async #store(
    known: DocumentKind,
    name: string,
    stored: Stored,
    expect?: number,
    read?: unknown,
  ): Promise<DocumentVersion> {
    const { cache, kind } = known;
    const before = latest(known, name);
    const version = before?.version ?? 0;
    if (expect !== undefined && expect !== version) {
      throw new PosternError(
        'config_conflict',
        `${kind.name}/${name} is at version ${version}, not ${expect}.`,
      );
    }
    if (before !== undefined) await this.#config.put(HISTORY_KIND, historyKey(before), before);
    await cache.replace(name, stored, version, read);
    if (version > HISTORY) {
      const oldest = historyKey({ kind: kind.name, name, version: version - HISTORY });
      await this.#config.delete(HISTORY_KIND, oldest);
    }
    return latest(known, name)!;
  }
}

function latest(known: DocumentKind, name: string): DocumentVersion | undefined {
  const stored = known.cache.get(name);
  return stored && { kind: known.kind.name, name, version: known.cache.version(name), ...stored };
}

function missing(kind: string, name: string): PosternError {
  return new PosternError('not_found', `There is no ${kind}/${quote(name).slice(1, -1)}.`);
}

/** A stored kind that is distinct from the kinds of all other documents. */
export function storedKind(kind: string): string {
  return `config-${kind}`;
}

/** A key that sorts by version. */
function historyKey({ kind, name, version }: { kind: string; name: string; version: number }): string {
  return `${kind}/${name}/${String(version).padStart(10, '0')}`;
}
