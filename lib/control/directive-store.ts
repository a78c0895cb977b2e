/**
 * Directives in memory and in the store. Directives that rules raise or lift take effect here at once, and in the
 * store, and by it on every other node, within a second:
 *
 * ```
 *  operator ──► orders ──► mirror ────┐
 *                                     ├─ the longest of them ──► index ──► match
 *  rule ──► rules ──────► mirror ─────┤
 *    │        ▲                       │
 *    └────────┼─────────► raised ─────┘
 *             └── once a second: what is new, lifted, or longer by an eighth of its time
 * ```
 * Orders and what rules raise are documents of two kinds, so that a node, which raises and lifts, can be kept from
 * what people have ordered (lib/stacks/permissions.ts).
 *
 * So a rule that every reply of a storm fires costs one write, and eight more while its time lasts.
 */
import { createHash } from 'node:crypto';
import type { Directive } from '../directives/directive.ts';
import { DirectiveIndex } from '../directives/index.ts';
import type { Config } from '../engine/ports.ts';
import { PosternError } from '../errors.ts';
import type { Clock } from '../time.ts';
import { DocumentMirror } from './document-mirror.ts';

/** A stored directive. */
export interface StoredDirective extends Directive {
  /** When it was first ordered or raised, ms. */
  readonly at: number;
  /** How often a rule raised it, as of the last write. */
  readonly raised?: number;
}

type Shown = (id: string, directive: StoredDirective | undefined) => void;

/** Kinds of documents: what people and the protection of tenants order, and what the rules of nodes raise. */
const KINDS = { orders: 'directive', rules: 'rule-directive' } as const;
export type DirectiveKind = keyof typeof KINDS;
/** Delay from a change by a rule to its write, ms. */
const FLUSH = 1_000;
/** Maximum number of writes under way. */
const PARALLEL = 16;
/** Interval between sweeps for expired directives, how long these are kept, ms, and how many one sweep removes. */
const SWEEP = 60_000;
const KEEP = 600_000;
const SWEEP_MAX = 500;
/**
 * Maximum length of an id: rules name sites in their ids, sites may have many hosts, and keys of documents are
 * bounded.
 */
const MAX_ID = 255;

export class DirectiveStore {
  readonly index = new DirectiveIndex();
  readonly #config: Config;
  readonly #clock: Clock;
  readonly #mirrors: Readonly<Record<DirectiveKind, DocumentMirror<StoredDirective>>>;
  readonly #sweeps: readonly DirectiveKind[];
  /** Directives that rules raised, until the store has them for as long. */
  readonly #raised = new Map<string, StoredDirective>();
  /** Changes that the store does not have yet. */
  readonly #unwritten = new Map<string, 'create' | 'update' | 'delete'>();
  readonly #shown: Shown;
  readonly #unwatch: (() => void)[];
  #cancelFlush: (() => void) | undefined;
  #cancelSweep: () => void = () => undefined;
  #flushing: Promise<void> = Promise.resolve();
  #closed = false;

  /**
   * @param sweeps kinds whose expired directives this process removes.
   * @param shown called for each directive that takes effect or changes, with undefined for one that ends.
   */
  constructor(config: Config, clock: Clock, sweeps: readonly DirectiveKind[], shown: Shown) {
    this.#config = config;
    this.#clock = clock;
    this.#shown = shown;
    this.#sweeps = sweeps;
    this.#mirrors = {
      orders: new DocumentMirror<StoredDirective>(config, KINDS.orders, clock, (id) => this.#show(id)),
      rules: new DocumentMirror<StoredDirective>(config, KINDS.rules, clock, (id, stored) =>
        this.#follow(id, stored),
      ),
    };
    this.#unwatch = Object.values(this.#mirrors).map((mirror) => mirror.watch());
  }

  async load(): Promise<void> {
    await Promise.all([this.#mirrors.orders.load(), this.#mirrors.rules.load()]);
    this.#cancelSweep = this.#clock.after(SWEEP, () => void this.#sweep());
  }

  get(id: string): StoredDirective | undefined {
    return this.index.get(storedId(id)) as StoredDirective | undefined;
  }

  all(): StoredDirective[] {
    return this.index.all() as StoredDirective[];
  }

  /** Stores an order, in force and durable when it resolves. */
  async put(directive: StoredDirective): Promise<StoredDirective> {
    await this.#mirrors.orders.set(directive.id, directive);
    return this.get(directive.id) ?? directive;
  }

  /** Removes a directive from memory and store. @returns whether it existed. */
  async remove(id: string): Promise<boolean> {
    const known = this.get(id) !== undefined;
    this.#raised.delete(id);
    this.#unwritten.delete(id);
    const existed = await Promise.all([this.#mirrors.orders.delete(id), this.#mirrors.rules.delete(id)]);
    return existed.includes(true) || known;
  }

  /** Raises a rule's directive, in force at once. */
  raise(directive: Directive): void {
    const id = storedId(directive.id);
    const now = this.#clock.now();
    const before = this.get(id);
    const running = before !== undefined && endOf(before) > now;
    const raised: StoredDirective = {
      ...directive,
      id,
      // The same object, so that a comparison shows that only the end has changed.
      action: before !== undefined && sameAction(before, directive) ? before.action : directive.action,
      until: running && endOf(before) > endOf(directive) ? before.until : directive.until,
      at: running ? before.at : now,
      raised: (running ? (before.raised ?? 0) : 0) + 1,
    };
    this.#raised.set(id, raised);
    const stored = this.#mirrors.rules.get(id);
    if (stored === undefined) this.#write(id, 'create');
    else if (this.#unwritten.has(id) || worthWriting(stored, raised, now)) this.#write(id, 'update');
    this.#show(id);
  }

  /** Lifts a rule's directive at once. */
  lift(given: string): void {
    const id = storedId(given);
    this.#raised.delete(id);
    if (this.#mirrors.rules.get(id) === undefined) this.#unwritten.delete(id);
    else this.#write(id, 'delete');
    this.#show(id);
  }

  /** Resolves when the changes of rules are in the store, or could not be stored. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const end of this.#unwatch) end();
    this.#cancelSweep();
    this.#cancelFlush?.();
    await this.#flushing;
    await this.#flush();
    for (const mirror of Object.values(this.#mirrors)) mirror.close();
  }

  #follow(id: string, stored: StoredDirective | undefined): void {
    const raised = this.#raised.get(id);
    if (stored === undefined) {
      // Another writer removed it. A directive raised anew since then stays.
      if (this.#unwritten.get(id) !== 'create') {
        this.#raised.delete(id);
        this.#unwritten.delete(id);
      }
    } else if (raised !== undefined && endOf(stored) >= endOf(raised)) this.#raised.delete(id);
    this.#show(id);
  }

  /** Updates the index with the stored and the raised directive. */
  #show(id: string): void {
    const { orders, rules } = this.#mirrors;
    const ordered = orders.get(id);
    const ruled = this.#raised.get(id) ?? (this.#unwritten.get(id) === 'delete' ? undefined : rules.get(id));
    const directive = endOf(ordered) >= endOf(ruled) ? ordered : ruled;
    if (directive === undefined) this.index.delete(id);
    else this.index.set(directive);
    this.#shown(id, directive);
  }

  #write(id: string, what: 'create' | 'update' | 'delete'): void {
    this.#unwritten.set(id, what);
    if (this.#closed || this.#cancelFlush !== undefined) return;
    this.#cancelFlush = this.#clock.after(FLUSH, () => {
      this.#flushing = this.#flush();
    });
  }

  async #flush(): Promise<void> {
    const unwritten = [...this.#unwritten];
    this.#unwritten.clear();
    const writer = async (): Promise<void> => {
      for (let next = unwritten.pop(); next !== undefined; next = unwritten.pop())
        await this.#settle(...next);
    };
    await Promise.all(Array.from({ length: PARALLEL }, writer));
    this.#cancelFlush = undefined;
    for (const [id, what] of this.#unwritten) this.#write(id, what);
  }

  async #settle(id: string, what: 'create' | 'update' | 'delete'): Promise<void> {
    const raised = this.#raised.get(id);
    try {
      const { rules } = this.#mirrors;
      if (what === 'delete') await rules.delete(id);
      else if (raised === undefined) return;
      else if (rules.get(id) === undefined && what === 'create')
        await rules.create(id, raised, `Directive ${id}`);
      else await rules.update(id, (stored) => (endOf(stored) > endOf(raised) ? stored : raised));
    } catch (error) {
      // The store is away, or another node was first: it stays in force here and is written with the next change.
      const exists = error instanceof PosternError && error.code === 'already_exists';
      if (exists) void this.#mirrors.rules.changed(id);
      if (!this.#unwritten.has(id)) this.#unwritten.set(id, exists ? 'update' : what);
    }
  }

  /** Removes directives that expired a while ago. */
  async #sweep(): Promise<void> {
    const over = this.#clock.now() - KEEP;
    try {
      for (const kind of this.#sweeps) await this.#sweepKind(kind, over);
    } catch {
      // The store is away: expired directives have no effect, and are removed later.
    }
    if (!this.#closed) this.#cancelSweep = this.#clock.after(SWEEP, () => void this.#sweep());
  }

  async #sweepKind(kind: DirectiveKind, over: number): Promise<void> {
    const mirror = this.#mirrors[kind];
    let removed = 0;
    for (const { id } of mirror.all()) {
      if (endOf(mirror.get(id)) > over || endOf(this.#raised.get(id)) > over) continue;
      // Another node may have prolonged it a moment ago.
      const document = await this.#config.get(KINDS[kind], id);
      if (document !== undefined && endOf(document.value as StoredDirective) > over) continue;
      if (kind === 'rules') this.#raised.delete(id);
      await mirror.delete(id);
      if ((removed += 1) === SWEEP_MAX) return;
    }
  }
}

/** The id under which a rule's directive is stored: its own unless that is too long. */
function storedId(id: string): string {
  if (id.length <= MAX_ID) return id;
  const digest = createHash('sha256').update(id).digest('hex').slice(0, 32);
  return `${id.slice(0, MAX_ID - digest.length - 1)}~${digest}`;
}

function endOf(directive: Directive | undefined): number {
  if (directive === undefined) return Number.NEGATIVE_INFINITY;
  return directive.until ?? Number.POSITIVE_INFINITY;
}

/** Whether the store would lag behind by more than an eighth of the remaining time, or by another action. */
function worthWriting(stored: Directive, raised: Directive, now: number): boolean {
  const left = endOf(raised) - now;
  if (endOf(stored) < now + (left * 7) / 8) return true;
  return !sameAction(stored, raised);
}

function sameAction(one: Directive, other: Directive): boolean {
  return one.action === other.action || JSON.stringify(one.action) === JSON.stringify(other.action);
}
