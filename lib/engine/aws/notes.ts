/**
 * Ends of leases in the settlement journal: noted while their replies are fresh, and settled by the next process of
 * the node if this one died before. The note has what `Settling` needs, so that its order, its conditions and its
 * repeats hold: an end counts unless the delivery has ended, or was put back, by another node meanwhile.
 */
import { asPosternError, PosternError } from '../../errors.ts';
import type { Log } from '../../log.ts';
import type { Clock } from '../../time.ts';
import { type Attempt, SCHEMA_VERSION } from '../items.ts';
import type { Settlement } from '../ports.ts';
import { type JournalReading, readJournal, removeJournal, SettlementJournal } from '../settlement-journal.ts';
import type { DeliveryState } from '../states.ts';
import { unlessAborted } from './concurrency.ts';
import type { Copy } from './deliveries.ts';
import { freshDone, type Receipt, receiptOf } from './receipt.ts';

/** Time after which what the storage did not take is settled again, ms. */
const RETRY = 1_000;
/** Ends that are settled in one call. */
const STEP = 100;

interface StoredNote {
  v: number;
  copy: Copy;
  queue: string;
  handle: string;
  state: DeliveryState;
  attempt: Attempt;
}

type FinalEnd = Extract<Settlement, { kind: 'end' }>;

export interface NotesParts {
  /** Directory of the journal, of this process alone. */
  directory: string;
  settle: (settlements: Settlement[]) => Promise<void>;
  clock: Clock;
  log: Pick<Log, 'info' | 'error'>;
}

export class Notes {
  readonly #parts: NotesParts;
  readonly #journal: SettlementJournal;
  readonly #recovered: Promise<true>;
  #closed = false;

  constructor(parts: NotesParts) {
    this.#parts = parts;
    const reading = readJournal(parts.directory);
    this.#journal = new SettlementJournal(parts.directory, parts.log);
    this.#recovered = this.#recover(reading);
  }

  /** Waits until what the process before had noted is settled. @returns false when the signal comes first. */
  async recovered(signal?: AbortSignal): Promise<boolean> {
    return (signal ? await unlessAborted(this.#recovered, signal) : await this.#recovered) ?? false;
  }

  note(ends: readonly Settlement[]): void {
    const noted = ends.filter((one) => one.kind === 'end');
    const notes = this.#journal.note(noted.map(textOf));
    for (const [at, { leased }] of noted.entries()) receiptOf(leased).note = notes[at];
  }

  /** These leases have ended. */
  settled(settlements: readonly Settlement[]): void {
    const receipts = settlements.map(({ leased }) => receiptOf(leased));
    this.#journal.settled(receipts.map(({ note }) => note));
    for (const receipt of receipts) receipt.note = undefined;
  }

  close(): void {
    this.#closed = true;
    this.#journal.close();
  }

  async #recover(reading: JournalReading): Promise<true> {
    const { log } = this.#parts;
    for (const text of reading.damage) log.error('journal.damaged', { text });
    const ends: FinalEnd[] = [];
    for (const note of reading.notes) {
      try {
        ends.push(endOf(note));
      } catch (error) {
        log.error('journal.damaged', { text: 'A note cannot be read: its delivery is sent again.', error });
      }
    }
    for (let at = 0; at < ends.length; at += STEP) await this.#insist(ends.slice(at, at + STEP));
    if (this.#closed) return true;
    if (ends.length > 0) log.info('journal.settled', { deliveries: ends.length });
    try {
      removeJournal(reading);
    } catch (error) {
      // What the next start finds is settled already, and changes nothing.
      log.error('journal.failed', { directory: this.#parts.directory, error });
    }
    return true;
  }

  /** Settles until the storage answers, or the engine is closed. */
  async #insist(ends: readonly FinalEnd[]): Promise<void> {
    const { settle, clock, log } = this.#parts;
    while (!this.#closed) {
      try {
        return await settle([...ends]);
      } catch (caught) {
        const error = asPosternError(caught);
        if (error.code !== 'storage_refused' && error.code !== 'internal') {
          await new Promise<void>((resolve) => void clock.after(RETRY, resolve));
          continue;
        }
        if (ends.length > 1) for (const end of ends) await this.#insist([end]);
        // Its message comes again when its visibility is over.
        else log.error('settlement.lost', { item: ends[0]!.leased.item, error });
        return;
      }
    }
  }
}

function textOf({ leased, state, attempt }: FinalEnd): string {
  const { copy, queue, handle } = receiptOf(leased);
  return JSON.stringify({ v: SCHEMA_VERSION, copy, queue, handle, state, attempt } satisfies StoredNote);
}

/** @throws PosternError `storage_too_new`; SyntaxError, TypeError for what `textOf` did not write. */
function endOf(note: string): FinalEnd {
  const { v, copy, queue, handle, state, attempt } = JSON.parse(note) as StoredNote;
  if (v > SCHEMA_VERSION)
    throw new PosternError('storage_too_new', `A note has schema ${v}. Run a newer version.`);
  // The lease of a process that is gone: it may have run out, and only the condition on the delivery counts.
  const receipt: Receipt = { copy, queue, handle, fresh: false, until: 0, done: freshDone() };
  const leased = { item: copy.item, bytes: Buffer.alloc(0), receives: copy.receives, receipt };
  return { kind: 'end', leased, state, attempt };
}
