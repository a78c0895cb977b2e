/**
 * Configuration documents that change while Postern runs: every change is a version with its author, and any of
 * the last fifty can be brought back.
 *
 * ```
 *  put ─► validate ─► archive the version that is current ─► replace it ─► validate ─► running ─► listeners
 *             └─ refused with path and reason                 (watch)         └─ what ran goes on running
 * ```
 * The archive is written first, and a version never changes: whatever dies in between, or is overtaken by
 * another writer, the archive only says again what it said. Removing a document is a version too.
 */
import type { Config } from '../engine/ports.ts';
import { PosternError } from '../errors.ts';
import type { Clock } from '../time.ts';
import type { ConfigKind } from './config-kinds.ts';
import { Mirror } from './document-cache.ts';
import { checkName, quote } from './names.ts';

/** A version of a document. */
export interface DocumentVersion {
  readonly kind: string;
  readonly name: string;
  readonly version: number;
  /** When it was stored, ms, and by which access key. */
  readonly at: number;
  readonly by: string;
  /** Absent: with this version the document was removed. */
  readonly value?: unknown;
}

/** Who changes a document, and which version he believes to be current (0: none was ever stored). */
export interface Change {
  by: string;
  expect?: number;
}

export interface Documents {
  readonly kinds: readonly string[];
  /** Documents of a kind that are in force, by name. The same map until one changes. */
  running(kind: string): ReadonlyMap<string, unknown>;
  /** Calls back after each change of `running(kind)`, by whatever process; must not throw. Returns an unsubscriber. */
  watch(kind: string, listener: () => void): () => void;
  /** The latest version, and why it is not in force although it was stored. @throws `not_found` for the kind. */
  get(kind: string, name: string): (DocumentVersion & { problems?: readonly string[] }) | undefined;
  /** The latest versions of all documents of a kind. */
  list(kind: string): DocumentVersion[];
  /**
   * Durable and in force when it resolves.
   * @throws `bad_request` with path and reason, `config_conflict`, `not_found`, the storage group.
   */
  put(kind: string, name: string, value: unknown, change: Change): Promise<DocumentVersion>;
  /** @throws `config_conflict`, `not_found`, the storage group. */
  remove(kind: string, name: string, change: Change): Promise<DocumentVersion>;
  /** Newest first, the current one included. @throws `not_found`, the storage group. */
  history(kind: string, name: string): Promise<DocumentVersion[]>;
  /** Makes an earlier version (the one before, when none is named) the newest. @throws as `put`. */
  rollBack(kind: string, name: string, version: number | undefined, change: Change): Promise<DocumentVersion>;
  close(): void;
}

interface Stored {
  at: number;
  by: string;
  value?: unknown;
}

/** Versions of a document that are kept beside the current one. */
const HISTORY = 50;
const HISTORY_KIND = 'config-history';
/** Bytes of a document; the AWS engine's store ends at 400 KB. */
const MAX_BYTES = 256 * 1024;
/** Problems told of one document. */
const MAX_PROBLEMS = 20;

/** One kind: what is stored, and what of it runs. */
class Shelf {
  readonly kind: ConfigKind;
  readonly mirror: Mirror<Stored>;
  readonly listeners = new Set<() => void>();
  /** Stored, and not fit to run. */
  readonly problems = new Map<string, readonly string[]>();
  running: ReadonlyMap<string, unknown> = new Map();

  constructor(kind: ConfigKind, config: Config, clock: Clock) {
    this.kind = kind;
    this.mirror = new Mirror<Stored>(config, storedKind(kind.name), clock, (name, stored) =>
      this.#apply(name, stored),
    );
  }

  validate(name: string, value: unknown): readonly string[] {
    return this.kind.validate(value, name).slice(0, MAX_PROBLEMS);
  }

  #apply(name: string, stored: Stored | undefined): void {
    const problems = stored?.value === undefined ? [] : this.validate(name, stored.value);
    if (problems.length > 0) {
      this.problems.set(name, problems);
      return;
    }
    this.problems.delete(name);
    const running = new Map(this.running);
    if (stored?.value === undefined) running.delete(name);
    else running.set(name, stored.value);
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
  const { config, clock, kinds } = options;
  const shelves = new Map(kinds.map((kind) => [kind.name, new Shelf(kind, config, clock)]));
  const byStoredKind = new Map([...shelves].map(([kind, shelf]) => [storedKind(kind), shelf]));

  function shelfOf(kind: string): Shelf {
    const shelf = shelves.get(kind);
    if (shelf !== undefined) return shelf;
    throw new PosternError(
      'not_found',
      `There is no kind of document ${quote(kind)}; there are ${[...shelves.keys()].join(', ')}.`,
    );
  }

  function latest(shelf: Shelf, name: string): DocumentVersion | undefined {
    const stored = shelf.mirror.get(name);
    return stored && { kind: shelf.kind.name, name, version: shelf.mirror.version(name), ...stored };
  }

  async function store(
    shelf: Shelf,
    name: string,
    stored: Stored,
    expect?: number,
  ): Promise<DocumentVersion> {
    const { mirror, kind } = shelf;
    const before = latest(shelf, name);
    const version = before?.version ?? 0;
    if (expect !== undefined && expect !== version) {
      throw new PosternError(
        'config_conflict',
        `${kind.name}/${name} is at version ${version}, not ${expect}.`,
      );
    }
    if (before !== undefined) await config.put(HISTORY_KIND, historyKey(before), before);
    await mirror.replace(name, stored, version);
    if (version > HISTORY) {
      await config.delete(HISTORY_KIND, historyKey({ kind: kind.name, name, version: version - HISTORY }));
    }
    return latest(shelf, name)!;
  }

  async function put(kind: string, name: string, value: unknown, { by, expect }: Change) {
    const shelf = shelfOf(kind);
    checkName('document', name);
    const bytes = Buffer.byteLength(JSON.stringify(value));
    if (bytes > MAX_BYTES) {
      throw new PosternError('bad_request', `${kind}/${name} has ${bytes} bytes; it may have ${MAX_BYTES}.`);
    }
    const problems = shelf.validate(name, value);
    if (problems.length > 0) {
      throw new PosternError('bad_request', `${kind}/${name} is refused. ${problems.join('; ')}`);
    }
    return store(shelf, name, { value, at: clock.now(), by }, expect);
  }

  async function remove(kind: string, name: string, { by, expect }: Change): Promise<DocumentVersion> {
    const shelf = shelfOf(kind);
    if (latest(shelf, name)?.value === undefined) throw missing(kind, name);
    return store(shelf, name, { at: clock.now(), by }, expect);
  }

  async function history(kind: string, name: string): Promise<DocumentVersion[]> {
    const current = latest(shelfOf(kind), name);
    if (current === undefined) throw missing(kind, name);
    const prefix = `${kind}/${name}/`;
    const archived = await config.list(HISTORY_KIND, { after: prefix, max: HISTORY + 2 });
    const versions = archived
      .filter(({ key }) => key.startsWith(prefix))
      .map(({ value }) => value as DocumentVersion)
      .filter(({ version }) => version < current.version);
    return [current, ...versions.reverse()];
  }

  const unwatch = config.watch(({ kind, key }) => byStoredKind.get(kind)?.mirror.changed(key));
  const close = (): void => {
    unwatch();
    for (const { mirror } of shelves.values()) mirror.close();
  };
  try {
    for (const { mirror } of shelves.values()) await mirror.load();
  } catch (error) {
    close();
    throw error;
  }

  return {
    kinds: [...shelves.keys()],
    running: (kind) => shelfOf(kind).running,
    watch(kind, listener) {
      const { listeners } = shelfOf(kind);
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    get(kind, name) {
      const shelf = shelfOf(kind);
      const found = latest(shelf, name);
      const problems = shelf.problems.get(name);
      return found && problems ? { ...found, problems } : found;
    },
    list(kind) {
      const shelf = shelfOf(kind);
      return shelf.mirror.keys().map((name) => latest(shelf, name)!);
    },
    put,
    remove,
    history,
    async rollBack(kind, name, version, change) {
      const [current, ...earlier] = await history(kind, name);
      const target = version === undefined ? earlier[0] : earlier.find((one) => one.version === version);
      if (target === undefined) {
        const kept = earlier.map((one) => one.version).join(', ') || 'none';
        throw new PosternError(
          'not_found',
          `${kind}/${name} is at version ${current!.version} and has no earlier version ${version ?? ''}. Kept: ${kept}.`,
        );
      }
      if (target.value === undefined) return remove(kind, name, change);
      return put(kind, name, target.value, change);
    },
    close,
  };
}

function missing(kind: string, name: string): PosternError {
  return new PosternError('not_found', `There is no ${kind}/${quote(name).slice(1, -1)}.`);
}

/** Apart from the kinds of other documents, whatever a kind is called. */
function storedKind(kind: string): string {
  return `config-${kind}`;
}

/** In the order of versions. */
function historyKey({ kind, name, version }: { kind: string; name: string; version: number }): string {
  return `${kind}/${name}/${String(version).padStart(10, '0')}`;
}
