/**
 * What several viewers are shown alike, made once for all of them: kept for a short time, with one making under way at a
 * time, so that a hundred open pages ask the store no more than one does. Beside a full queue every read waits for the
 * commit that is under way.
 *
 * What a view may see is part of the key: what one tenant is shown is never given to another.
 */
import { Cache } from '../cache.ts';
import { type Clock, SECOND } from '../time.ts';
import type { SignedInKey } from './page.ts';

/** Most things that are kept: four of each of some sixty tenants whose pages are open, of some 50 KB each. */
export const ENTRIES = 256;
/** For how long after its age a thing is still shown while the next is made, ms. */
export const GRACE = 3 * SECOND;

interface SharedEntry {
  /** What was made last, and when its making began. */
  made?: { value: unknown; at: number };
  underWay?: Promise<unknown>;
}

export class Shared {
  readonly #clock: Clock;
  #entries = new Cache<string, SharedEntry>(ENTRIES);

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Entries that are kept. */
  get size(): number {
    return this.#entries.size;
  }

  /**
   * What was made within `age` ms, else what `make` makes. A failure is not kept, and is not given to others: they try
   * with their own key.
   * @param grace time after its age, ms, in which it is still given while the next is made; 0: never.
   */
  async of<T>(key: string, age: number, make: () => Promise<T>, grace = 0): Promise<T> {
    const entry = this.#entryOf(key);
    const { made, underWay } = entry;
    const old = made === undefined ? Number.POSITIVE_INFINITY : this.#clock.now() - made.at;
    if (old < age) return made!.value as T;
    if (old < age + grace) {
      // Whoever asks when its grace is over is told of a failure.
      if (!underWay) this.#make(entry, make).catch(() => {});
      return made!.value as T;
    }
    if (!underWay) return this.#make(entry, make);
    try {
      return (await underWay) as T;
    } catch {
      return make();
    }
  }

  /** Forgets everything: something was changed, and whoever changed it is to see that. */
  clear(): void {
    // What is under way began before the change: it must not be kept either.
    this.#entries = new Cache(ENTRIES);
  }

  #entryOf(key: string): SharedEntry {
    let entry = this.#entries.get(key);
    if (!entry) this.#entries.set(key, (entry = {}));
    return entry;
  }

  async #make<T>(entry: SharedEntry, make: () => Promise<T>): Promise<T> {
    const at = this.#clock.now();
    const underWay = make();
    entry.underWay = underWay;
    try {
      const value = await underWay;
      entry.made = { value, at };
      return value;
    } finally {
      entry.underWay = undefined;
    }
  }
}

/** Names what a key may see. A restricted key shares nothing, because another of its tenant may see more. */
export function viewOf({ id, tenant, admin, scopes, networks, identities, expiresAt }: SignedInKey): string {
  const restricted = [scopes, networks, identities, expiresAt].some((one) => one !== undefined);
  return JSON.stringify([admin, tenant, restricted ? id : null]);
}
