/**
 * The outcome feed: one SQS queue. `functions/outcomes` drains it; `feed` reads it for a process that does the
 * same without Lambda. Outcomes come at least once and nearly in order.
 *
 * A reader's cursor counts what this process has received. What it has not yet passed stays in the queue, and
 * comes again, here or elsewhere, when its time is over.
 */
import { PosternError } from '../../errors.ts';
import type { Log } from '../../log.ts';
import type { Clock } from '../../time.ts';
import type { Outcome } from '../items.ts';
import type { FeedPage } from '../ports.ts';
import type { Lanes, Outgoing } from './lanes.ts';
import { joinOutcomes, readOutcomes } from './outcome-message.ts';
import { OUTCOME_QUEUE } from './schema.ts';
import { sqsJson } from './sqs-json.ts';

/** Maximum size of the outcomes in one message: below one billed request, and small enough to repeat, bytes. */
const MESSAGE_BYTES = 60_000;
/** Time that a reader has for received outcomes, ms. */
const VISIBILITY = 300_000;
const RECEIVE = 10;
const TRIES = 3;

interface Received {
  receipt: string;
  /** When other readers may receive it. */
  until: number;
  outcomes: { cursor: number; outcome: Outcome }[];
}

export class Feed {
  readonly #lanes: Lanes;
  readonly #clock: Clock;
  readonly #log: Pick<Log, 'error'>;
  #received: Received[] = [];
  #cursor = 0;

  constructor(lanes: Lanes, clock: Clock, log: Pick<Log, 'error'>) {
    this.#lanes = lanes;
    this.#clock = clock;
    this.#log = log;
  }

  /** Durable when it resolves. */
  async emit(outcomes: readonly Outcome[]): Promise<void> {
    if (outcomes.length === 0) return;
    let left: readonly Outgoing[] = packs(outcomes).map((text) => ({ text, delay: 0 }));
    // Outcomes of a cut-off request may then come twice; consumers tolerate that.
    for (let tries = 0; left.length > 0; tries += 1) {
      if (tries === TRIES)
        throw new PosternError('storage_unavailable', 'SQS closes every connection. Try again.');
      left = await this.#lanes.send(OUTCOME_QUEUE, left);
    }
  }

  async read(after: number, max: number): Promise<FeedPage> {
    await this.#pass(after);
    let ahead = this.#after(after);
    while (ahead.length < max && (await this.#receive())) ahead = this.#after(after);
    const page = ahead.slice(0, max);
    return {
      cursor: page.at(-1)?.cursor ?? after,
      outcomes: page.map(({ outcome }) => outcome),
      places: page.map(({ cursor }) => cursor),
    };
  }

  get end(): number {
    return this.#cursor;
  }

  #after(cursor: number): Received['outcomes'] {
    return this.#received.flatMap(({ outcomes }) => outcomes.filter((one) => one.cursor > cursor));
  }

  /** Deletes the outcomes that the reader has passed, and drops those that others may have received by now. */
  async #pass(cursor: number): Promise<void> {
    const now = this.#clock.now();
    const passed: Received[] = [];
    const kept: Received[] = [];
    for (const one of this.#received) {
      if (one.outcomes.every((outcome) => outcome.cursor <= cursor)) passed.push(one);
      else if (one.until > now) kept.push(one);
    }
    this.#received = kept;
    const receipts = passed.map(({ receipt }) => receipt);
    if (receipts.length > 0) await this.#lanes.remove(OUTCOME_QUEUE, receipts);
  }

  /** @returns whether any outcome came. */
  async #receive(): Promise<boolean> {
    const until = this.#clock.now() + VISIBILITY;
    const messages = await this.#lanes.receive(OUTCOME_QUEUE, RECEIVE, VISIBILITY, 0);
    let any = false;
    for (const { Body, MessageId, ReceiptHandle } of messages) {
      let outcomes: Outcome[];
      try {
        outcomes = readOutcomes(Body!);
      } catch (error) {
        // It stays: a newer version reads it, or after ten times the alarm of the dead-letter queue reports it.
        this.#log.error('outcomes refused', { sqsMessageId: MessageId, error });
        continue;
      }
      any = true;
      this.#received.push({
        receipt: ReceiptHandle!,
        until,
        outcomes: outcomes.map((outcome) => ({ cursor: this.#next(), outcome })),
      });
    }
    return any;
  }

  /** Grows, over restarts too, so that an old cursor passes nothing that it has not seen. */
  #next(): number {
    this.#cursor = Math.max(this.#cursor + 1, this.#clock.now() * 1000);
    return this.#cursor;
  }
}

/** Splits outcomes into bodies of messages, each as full as possible. */
function packs(outcomes: readonly Outcome[]): string[] {
  const bodies: string[] = [];
  let pack: string[] = [];
  let size = 0;
  for (const outcome of outcomes) {
    const text = sqsJson(outcome);
    if (pack.length > 0 && size + text.length > MESSAGE_BYTES) {
      bodies.push(joinOutcomes(pack));
      pack = [];
      size = 0;
    }
    pack.push(text);
    size += text.length;
  }
  bodies.push(joinOutcomes(pack));
  return bodies;
}
