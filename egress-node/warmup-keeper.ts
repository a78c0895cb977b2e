/**
 * Keeps the warm-up of this node's IPs on storage: reads it when an IP's lease is taken, writes what is let out
 * before it is sent, and hands it over exactly when the IP is given up.
 */
import type { Leases } from '../lib/engine/ports.ts';
import type { WarmupBook } from '../lib/shaping/warmup/book.ts';
import { checkpointName } from '../lib/shaping/warmup/checkpoint.ts';
import type { Clock } from '../lib/time.ts';

/** How often what is to be saved is looked for: budgets are let out only as they are saved, ms. */
const PERIOD = 100;

export class WarmupKeeper {
  readonly #book: WarmupBook;
  readonly #leases: Leases;
  readonly #clock: Clock;
  /** Whether an IP's lease is held here now. */
  readonly #holds: (ip: string) => boolean;
  readonly #saving = new Map<string, Promise<void>>();
  /** IPs whose state was read, or is being read. */
  readonly #read = new Set<string>();
  #cancel: () => void = () => undefined;

  constructor(book: WarmupBook, leases: Leases, clock: Clock, holds: (ip: string) => boolean) {
    this.#book = book;
    this.#leases = leases;
    this.#clock = clock;
    this.#holds = holds;
    this.#watch();
  }

  /**
   * The lease of an IP was taken.
   * @throws PosternError of the storage group: its warm-up state cannot be read, and it goes on to wait.
   */
  async taken(ip: string): Promise<void> {
    if (!this.#book.ips().includes(ip) || this.#read.has(ip)) return;
    this.#read.add(ip);
    try {
      this.#book.restore(ip, await this.#leases.checkpoint(checkpointName(ip)));
    } catch (error) {
      this.#read.delete(ip);
      throw error;
    }
  }

  /** The lease of an IP is lost: whoever has it now writes its state. */
  lost(ip: string): void {
    this.#read.delete(ip);
    this.#book.close(ip);
  }

  /** An IP is about to be given up: writes what it sent. */
  async giveUp(ip: string): Promise<void> {
    await this.#saving.get(ip);
    this.#read.delete(ip);
    const last = this.#book.close(ip);
    if (last !== undefined) await this.#leases.saveCheckpoint(checkpointName(ip), last);
  }

  stop(): void {
    this.#cancel();
  }

  #watch(): void {
    this.#follow();
    for (const ip of this.#book.unsaved()) {
      if (!this.#holds(ip) || this.#saving.has(ip)) continue;
      const saving = this.#save(ip).finally(() => this.#saving.delete(ip));
      this.#saving.set(ip, saving);
    }
    this.#cancel = this.#clock.after(PERIOD, () => this.#watch());
  }

  /** Plans come and go while leases are held. */
  #follow(): void {
    const planned = this.#book.ips();
    for (const ip of this.#read) if (!planned.includes(ip)) this.#read.delete(ip);
    for (const ip of planned) {
      // Unread for now, it waits; the next look tries again.
      if (this.#holds(ip) && !this.#read.has(ip)) void this.taken(ip).catch(() => undefined);
    }
  }

  async #save(ip: string): Promise<void> {
    try {
      await this.#leases.saveCheckpoint(checkpointName(ip), this.#book.checkpoint(ip));
      this.#book.saved(ip);
    } catch {
      // Nothing of it is let out; the next look tries again.
      this.#book.notSaved(ip);
    }
  }
}
