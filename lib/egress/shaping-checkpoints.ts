/**
 * Keeps what was learnt of sites on storage (`lib/shaping/site-memory.ts`), under the IP that it was learnt with:
 * the next owner of the IP neither goes on against a provider that has just throttled it, nor exceeds a limit by
 * beginning to count anew.
 */
import type { Leases } from '../engine/ports.ts';
import { readShaping, shapingName } from '../shaping/site-memory.ts';
import type { Clock } from '../time.ts';
import type { SourceAddress } from './source-address.ts';

/** How often it is looked whether something was learnt, ms: so much of it a crash forgets. */
const PERIOD = 5_000;

export class ShapingCheckpoints {
  readonly #leases: Leases;
  readonly #clock: Clock;
  readonly #forgotten: (site: string) => number;
  /** What is on storage of each source that is in use, as JSON. */
  readonly #written = new Map<SourceAddress, string>();
  readonly #saving = new Map<SourceAddress, Promise<void>>();
  #cancel: () => void;

  /** @param forgotten when a site was last to be forgotten, ms; 0 for never. */
  constructor(leases: Leases, clock: Clock, forgotten: (site: string) => number) {
    this.#leases = leases;
    this.#clock = clock;
    this.#forgotten = forgotten;
    this.#cancel = clock.after(PERIOD, () => this.#watch());
  }

  /**
   * A source is about to be used. That it is in use is on storage before anything leaves from it.
   * @throws PosternError of the storage group: then it must not be used.
   */
  async acquired(source: SourceAddress): Promise<void> {
    const stored = await this.#leases.checkpoint(nameOf(source), source.holder);
    source.resume(readShaping(stored, source.name), this.#clock.now(), this.#forgotten);
    await this.#save(source, false);
  }

  /** A source is used no more, and another node may have it. */
  lost(source: SourceAddress): void {
    this.#written.delete(source);
  }

  /** A source is about to be given up: nothing is sent from it any more. */
  async release(source: SourceAddress): Promise<void> {
    const known = this.#written.delete(source);
    await this.#saving.get(source);
    // Past the end of its lease it is another's to write.
    if (known && source.mayGoOn(this.#clock.now())) await this.#save(source, true);
  }

  stop(): void {
    this.#cancel();
  }

  #watch(): void {
    const now = this.#clock.now();
    for (const [source, written] of this.#written) {
      if (!source.usable(now) || this.#saving.has(source)) continue;
      if (JSON.stringify(source.checkpoint(now, false)) === written) continue;
      const saving = this.#save(source, false)
        // What is on storage is older, and safe; the next look tries again.
        .catch(() => undefined)
        .finally(() => this.#saving.delete(source));
      this.#saving.set(source, saving);
    }
    this.#cancel = this.#clock.after(PERIOD, () => this.#watch());
  }

  async #save(source: SourceAddress, last: boolean): Promise<void> {
    const checkpoint = source.checkpoint(this.#clock.now(), last);
    await this.#leases.saveCheckpoint(nameOf(source), checkpoint, source.holder);
    if (!last) this.#written.set(source, JSON.stringify(checkpoint));
  }
}

/** The host's default address has no name outside this host. */
function nameOf(source: SourceAddress): string {
  return shapingName(source.name);
}
