/**
 * Ends leases in batches: what ends within one turn of the event loop, or while the last batch is being
 * written, goes to the queue in one call. What the peer answered is never dropped: while the storage fails,
 * settlements wait here and are tried again.
 */
import type { Outcome } from '../engine/items.ts';
import type { Queue, Records, Settlement } from '../engine/ports.ts';
import { asPosternError } from '../errors.ts';
import type { Clock } from '../time.ts';
import type { Delivery } from './delivery.ts';

interface Entry {
  delivery: Delivery;
  settlement: Settlement;
}

const RETRY = 500;

export class Settler {
  readonly #queue: Queue;
  readonly #records: Records;
  readonly #clock: Clock;
  readonly #settled: (deliveries: Delivery[]) => void;
  #pending: Entry[] = [];
  #reports: Outcome[] = [];
  #running = false;
  #idle: (() => void)[] = [];
  /** Calls that the storage refused. */
  failures = 0;

  /** @param settled is told of deliveries whose lease has ended durably. */
  constructor(queue: Queue, records: Records, clock: Clock, settled: (deliveries: Delivery[]) => void) {
    this.#queue = queue;
    this.#records = records;
    this.#clock = clock;
    this.#settled = settled;
  }

  push(delivery: Delivery, settlement: Settlement): void {
    this.#pending.push({ delivery, settlement });
    this.#start();
  }

  /** Outcomes to be recorded beside the attempts (the simulator's later reports), after what is pending. */
  report(outcomes: Outcome[]): void {
    this.#reports.push(...outcomes);
    this.#start();
  }

  /** Resolves when nothing is pending. */
  async drained(): Promise<void> {
    if (!this.#running) return;
    await new Promise<void>((resolve) => this.#idle.push(resolve));
  }

  #start(): void {
    if (this.#running) return;
    this.#running = true;
    setImmediate(() => void this.#run());
  }

  async #run(): Promise<void> {
    while (this.#pending.length > 0 || this.#reports.length > 0) {
      const batch = this.#pending;
      const reports = this.#reports;
      this.#pending = [];
      this.#reports = [];
      if (batch.length > 0) await this.#settle(batch);
      if (reports.length > 0) await this.#insist(() => this.#records.append(reports));
    }
    this.#running = false;
    for (const resolve of this.#idle.splice(0)) resolve();
  }

  async #settle(batch: Entry[]): Promise<void> {
    const written = await this.#insist(() => this.#queue.settle(batch.map((entry) => entry.settlement)));
    if (written || batch.length === 1) this.#settled(batch.map((entry) => entry.delivery));
    // One that the engine will never take must not hold up the others.
    else for (const entry of batch) await this.#settle([entry]);
  }

  /** @returns false when the engine refused for another reason than the state of its storage. */
  async #insist(write: () => Promise<void>): Promise<boolean> {
    for (;;) {
      try {
        await write();
        return true;
      } catch (error) {
        this.failures += 1;
        if (asPosternError(error).code === 'internal') return false;
        await new Promise<void>((resolve) => void this.#clock.after(RETRY, resolve));
      }
    }
  }
}
