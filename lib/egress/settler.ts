/**
 * Ends leases in batches: what ends within one turn of the event loop, or while `WIDTH` batches are being
 * written, goes to the queue in one call. A process that dies between a final reply and its record would send twice:
 * ends by a reply are noted as soon as it was read (`Queue.note`), before they are settled. What the peer
 * answered is never dropped: while the storage fails, settlements wait here and are tried again.
 *
 * A settlement or outcome that the storage refuses for good is found by halving its batch, so that it holds up
 * nothing else. It is logged whole and counted; the settlement is then written once more without its texts, so
 * that the delivery ends as it did.
 */
import type { Attempt, Outcome } from '../engine/items.ts';
import type { Queue, Records, Settlement } from '../engine/ports.ts';
import { asPosternError, type PosternError } from '../errors.ts';
import type { Log } from '../log.ts';
import type { Clock } from '../time.ts';
import type { Delivery } from './delivery.ts';
import type { InFlight } from './in-flight.ts';

interface Entry {
  delivery: Delivery;
  settlement: Settlement;
}

export interface SettlerParts {
  queue: Queue;
  records: Records;
  clock: Clock;
  log: Pick<Log, 'error'>;
  /** Deliveries whose leases have ended durably are removed from it. */
  inFlight: Pick<InFlight, 'remove'>;
  /** Lanes that wait for room. */
  lanes: { roomMade(impatient: boolean): void };
  /** Called for each settlement and outcome that the storage refused for good. */
  refused: () => void;
}

const RETRY = 500;
/** Batches that are written at a time. */
const WIDTH = 4;
const TEXT_REFUSED = 'The storage refused the texts of this attempt; the log has them (settlement.refused).';

export class Settler {
  readonly #parts: SettlerParts;
  #pending: Entry[] = [];
  #reports: Outcome[] = [];
  /** Ends by a peer's reply that are not noted yet. */
  #answered: Settlement[] = [];
  /** Batches being written. */
  #running = 0;
  /** A batch begins with the end of this turn. */
  #starting = false;
  #idle: (() => void)[] = [];
  /** Calls that the storage refused. */
  failures = 0;

  constructor(parts: SettlerParts) {
    this.#parts = parts;
  }

  push(delivery: Delivery, settlement: Settlement): void {
    this.#pending.push({ delivery, settlement });
    if (settlement.kind === 'end' && settlement.attempt.replies.length > 0) this.#hear(settlement);
    this.#start();
  }

  /** Outcomes to be recorded beside the attempts (the simulator's later reports), after what is pending. */
  report(outcomes: Outcome[]): void {
    this.#reports.push(...outcomes);
    this.#start();
  }

  /** Resolves when nothing is pending. */
  async drained(): Promise<void> {
    if (this.#running === 0 && !this.#starting) return;
    await new Promise<void>((resolve) => this.#idle.push(resolve));
  }

  #start(): void {
    if (this.#starting) return;
    this.#starting = true;
    setImmediate(() => {
      this.#starting = false;
      if (this.#running < WIDTH) void this.#run();
    });
  }

  /** Gathers what one packet brings; other sockets of the same turn may take long. */
  #hear(end: Settlement): void {
    if (this.#answered.length === 0) process.nextTick(() => this.#note());
    this.#answered.push(end);
  }

  /** Writes down what peers have answered; from then on a death of this process repeats none of it. */
  #note(): void {
    if (this.#answered.length === 0) return;
    const answered = this.#answered;
    this.#answered = [];
    this.#parts.queue.note(answered);
  }

  async #run(): Promise<void> {
    this.#running += 1;
    while (this.#pending.length > 0) {
      // What a microtask pushed, as the answer of the policy, may be here before its tick.
      this.#note();
      const batch = this.#pending;
      this.#pending = [];
      await this.#settle(batch);
    }
    // Outcomes come after all that was pending before them.
    while (this.#running === 1 && this.#reports.length > 0) {
      const reports = this.#reports;
      this.#reports = [];
      await this.#append(reports);
    }
    this.#running -= 1;
    if (this.#running > 0 || this.#starting) return;
    for (const resolve of this.#idle.splice(0)) resolve();
  }

  async #settle(batch: Entry[]): Promise<void> {
    const { queue, inFlight, lanes } = this.#parts;
    const settlements = batch.map(({ settlement }) => settlement);
    const refusal = await this.#insist(() => queue.settle(settlements));
    if (refusal && batch.length > 1) for (const half of halves(batch)) await this.#settle(half);
    else {
      if (refusal) await this.#settleWithoutTexts(batch[0]!, refusal);
      for (const { delivery } of batch) inFlight.remove(delivery);
      lanes.roomMade(false);
    }
  }

  async #settleWithoutTexts({ settlement }: Entry, error: PosternError): Promise<void> {
    const { queue, log, refused } = this.#parts;
    const { leased, ...told } = settlement;
    refused();
    log.error('settlement.refused', { item: leased.item, settlement: told, error });
    const again = await this.#insist(() => queue.settle([withoutTexts(settlement)]));
    // Its lease runs out, and the queue hands it out again.
    if (again) log.error('settlement.lost', { item: leased.item, error: again });
  }

  async #append(reports: Outcome[]): Promise<void> {
    const { records, log, refused } = this.#parts;
    const refusal = await this.#insist(() => records.append(reports));
    if (!refusal) return;
    if (reports.length > 1) for (const half of halves(reports)) await this.#append(half);
    else {
      refused();
      log.error('outcome.refused', { outcome: reports[0], error: refusal });
    }
  }

  /** @returns the error, when the same again would fail again. */
  async #insist(write: () => Promise<void>): Promise<PosternError | undefined> {
    for (;;) {
      try {
        await write();
        return undefined;
      } catch (caught) {
        this.failures += 1;
        const error = asPosternError(caught);
        if (error.code === 'internal' || error.code === 'storage_refused') return error;
        await new Promise<void>((resolve) => void this.#parts.clock.after(RETRY, resolve));
      }
    }
  }
}

function halves<T>(list: readonly T[]): [T[], T[]] {
  const middle = list.length >> 1;
  return [list.slice(0, middle), list.slice(middle)];
}

function withoutTexts(settlement: Settlement): Settlement {
  if (settlement.kind === 'release')
    return { ...settlement, reason: { code: settlement.reason.code, text: TEXT_REFUSED } };
  const attempt: Attempt = { ...settlement.attempt, replies: [], text: TEXT_REFUSED };
  return { ...settlement, attempt };
}
