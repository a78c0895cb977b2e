/**
 * When keys were last used, so that one that nobody uses is found and revoked. A use is remembered in memory, and written
 * beside the work, never before it:
 *
 * ```
 *  request ──► proven ──► within an hour of the last one that counted ── nothing
 *                └─ else ──► waits ── some seconds, at random ──► one write for all keys that wait
 *  kind key-use │ partition  used │ key  AKIA… │ {"at": 1767225600000}
 * ```
 * So each process writes a key once an hour, and the time that is shown is up to an hour old. A write that fails is tried
 * again, and fails no request.
 */
import { Cache } from '../cache.ts';
import type { Rows } from '../engine/ports.ts';
import { ROW_CALL } from '../engine/rows.ts';
import { type Clock, DAY, HOUR, MINUTE, type Random } from '../time.ts';

/** Kind of the rows: services that authenticate write no key. */
export const KEY_USE_ROWS = 'key-use';
const PARTITION = 'used';
/** Keys remembered, and at most waiting, in one process. */
const KEYS = 20_000;
/** From the last use, until its row goes: none is left of a revoked key. */
const KEPT = 400 * DAY;

export interface KeyUseOptions {
  rows: Pick<Rows, 'get' | 'put'>;
  clock: Clock;
  random: Random;
}

export class KeyUse {
  readonly #options: KeyUseOptions;
  /** The uses that counted, by id, ms. */
  readonly #noted = new Cache<string, number>(KEYS);
  readonly #waiting = new Map<string, number>();
  #cancel: (() => void) | undefined;
  #failed = false;
  #writing: Promise<void> = Promise.resolve();

  constructor(options: KeyUseOptions) {
    this.#options = options;
  }

  /** Remembers that a key is used now. */
  note(id: string): void {
    const now = this.#options.clock.now();
    const before = this.#noted.get(id);
    if (before !== undefined && now - before < HOUR) return;
    // While the store is away, what waits is bounded.
    if (this.#waiting.size >= KEYS) return;
    this.#noted.set(id, now);
    this.#waiting.set(id, now);
    this.#arm();
  }

  /**
   * Writes what waits, unless the last write failed: for a function, which may be stopped for ever behind its answer.
   * Never throws.
   */
  async flush(): Promise<void> {
    if (this.#waiting.size > 0 && !this.#failed) this.#begin();
    await this.#writing;
  }

  /** Writes what waits, and ends. Never throws. */
  async close(): Promise<void> {
    if (this.#waiting.size > 0) this.#begin();
    await this.#writing;
    this.#cancel?.();
  }

  /**
   * When each key was last used, ms; undefined: not in 400 days. Of those that were used here within the hour the store is
   * asked nothing: it has them no more exactly, and a key that asks for itself does so with each page of the console.
   * @throws PosternError of the storage group.
   */
  async last(keys: readonly { id: string; createdAt: number }[]): Promise<(number | undefined)[]> {
    const since = this.#options.clock.now() - HOUR;
    const written = await this.#written(keys.filter(({ id }) => (this.#noted.get(id) ?? 0) <= since));
    return keys.map(({ id, createdAt }) => {
      const last = Math.max(written.get(id) ?? 0, this.#noted.get(id) ?? 0);
      // An id that was revoked and brought again is another key.
      return last >= createdAt && last > 0 ? last : undefined;
    });
  }

  async #written(keys: readonly { id: string }[]): Promise<Map<string, number>> {
    const found = new Map<string, number>();
    for (let from = 0; from < keys.length; from += ROW_CALL) {
      const names = keys.slice(from, from + ROW_CALL).map(({ id }) => nameOf(id));
      const rows = await this.#options.rows.get(names);
      for (const row of rows) if (row) found.set(row.key, (row.value as { at: number }).at);
    }
    return found;
  }

  #arm(): void {
    const { clock, random } = this.#options;
    this.#cancel ??= clock.after(random() * MINUTE, () => this.#begin());
  }

  #begin(): void {
    this.#cancel?.();
    this.#cancel = undefined;
    this.#writing = this.#writing.then(() => this.#write());
  }

  async #write(): Promise<void> {
    const batch = [...this.#waiting];
    this.#waiting.clear();
    try {
      for (let from = 0; from < batch.length; from += ROW_CALL) {
        const some = batch.slice(from, from + ROW_CALL);
        await this.#options.rows.put(
          some.map(([id, at]) => ({ ...nameOf(id), value: { at }, expiresAt: at + KEPT })),
        );
      }
      this.#failed = false;
    } catch {
      // The store's own failures are reported by those who cannot do without it.
      this.#failed = true;
      for (const [id, at] of batch) if (!this.#waiting.has(id)) this.#waiting.set(id, at);
      this.#arm();
    }
  }
}

function nameOf(id: string): { kind: string; partition: string; key: string } {
  return { kind: KEY_USE_ROWS, partition: PARTITION, key: id };
}
