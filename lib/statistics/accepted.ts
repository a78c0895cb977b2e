/**
 * Counts what is accepted, of all mail. The feed of outcomes tells of acceptance where mail has a campaign or an event
 * destination asks for it; telling of all would be a write more for each message. So it is summed in memory where mail is
 * admitted, and written every few seconds: a row for each tenant that sent meanwhile, and one for all.
 *
 * A crash loses what was not written: the figure is for people, and no promise hangs on it.
 */
import { randomUUID } from 'node:crypto';
import type { MessageRecord } from '../engine/items.ts';
import type { Queue } from '../engine/ports.ts';
import type { Log } from '../log.ts';
import { FEEDBACK_SENDER } from '../outcome/feedback-mail.ts';
import { type Clock, SECOND } from '../time.ts';
import { type RecorderOptions, StatisticsRecorder } from './recorder.ts';
import { Tally } from './tally.ts';

/** Time between two writes, ms. */
export const ACCEPTED_INTERVAL = 5 * SECOND;

export interface AcceptedCountsOptions {
  rows: RecorderOptions['rows'];
  clock: Clock;
  log: Pick<Log, 'warn'>;
}

export class AcceptedCounts {
  readonly #options: AcceptedCountsOptions;
  readonly #recorder: StatisticsRecorder;
  /** Deliveries by tenant since the last write began. */
  #counts = new Map<string, number>();
  /** What is being written: it is written again under its id until the store has answered. */
  #writing: { id: string; tally: Tally } | undefined;
  #underWay: Promise<void> = Promise.resolve();
  #cancel = (): void => {};
  #stopped = false;

  constructor(options: AcceptedCountsOptions) {
    this.#options = options;
    this.#recorder = new StatisticsRecorder({ rows: options.rows, shards: 1 });
    this.#later();
  }

  /** The queue, counting what it admits. */
  counting(queue: Pick<Queue, 'admit'>): Pick<Queue, 'admit'> {
    return {
      admit: async (messages, claim) => {
        const result = await queue.admit(messages, claim);
        if (result.kind === 'admitted') for (const { record } of messages) this.#note(record);
        return result;
      },
    };
  }

  /** Writes what is not written yet, and ends. Never rejects. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#cancel();
    await this.#underWay;
    await this.#write();
  }

  /** A report of ours is no mail of its sender. */
  #note({ tenant, keyId, recipients }: MessageRecord): void {
    if (keyId === FEEDBACK_SENDER) return;
    this.#counts.set(tenant, (this.#counts.get(tenant) ?? 0) + recipients.length);
  }

  #later(): void {
    this.#cancel = this.#options.clock.after(ACCEPTED_INTERVAL, () => {
      this.#underWay = this.#write().finally(() => {
        if (!this.#stopped) this.#later();
      });
    });
  }

  async #write(): Promise<void> {
    try {
      // What an earlier write did not get through goes first, alone: its id stands for it.
      for (let turn = 0; turn < 2; turn++) {
        this.#writing ??= this.#taken();
        if (!this.#writing) return;
        await this.#recorder.count(this.#writing.id, this.#writing.tally);
        this.#writing = undefined;
      }
    } catch (error) {
      this.#options.log.warn('what was accepted cannot be counted; this is tried again', { error });
    }
  }

  #taken(): { id: string; tally: Tally } | undefined {
    if (this.#counts.size === 0) return undefined;
    const tally = new Tally();
    const now = this.#options.clock.now();
    for (const [tenant, amount] of this.#counts) tally.accepted(tenant, now, amount);
    this.#counts = new Map();
    return { id: `accepted/${randomUUID()}`, tally };
  }
}
