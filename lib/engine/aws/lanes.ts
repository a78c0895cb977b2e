/**
 * The queues: SQS as the rest of the engine uses it, ten messages a request.
 *
 * SQS did not accept an entry that it refuses within a batch: it is sent again. A request whose answer is lost may
 * have been accepted: the error of `send` has `open` set, and its caller decides.
 */
import {
  type BatchResultErrorEntry,
  ChangeMessageVisibilityBatchCommand,
  DeleteMessageBatchCommand,
  GetQueueAttributesCommand,
  type Message,
  ReceiveMessageCommand,
  SendMessageBatchCommand,
} from '@aws-sdk/client-sqs';
import { PosternError } from '../../errors.ts';
import type { LaneDepth } from '../ports.ts';
import { type Clients, didNothing, errorName, isRefusal, isThrottle, storageError } from './clients.ts';
import { chunks, each, type Pacing, pause, unlessAborted } from './concurrency.ts';
import { SQS_BATCH, SQS_BYTES, sqsRequests } from './placement.ts';
import { isUnheard } from './sockets.ts';

export interface Outgoing {
  text: string;
  /** Tenant: SQS shares a queue fairly between the groups of its messages. */
  group?: string;
  /** Delay before it can be received, at most 900, s. Not for a FIFO queue. */
  delay: number;
  /** Id by which a FIFO queue drops a repeat within five minutes. */
  once?: string;
}

/** Thrown by `send`. */
export class SendError extends PosternError {
  /** Whether some of the messages may have been accepted. */
  readonly open: boolean;

  constructor(error: PosternError, open: boolean) {
    super(error.code, error.message, { cause: error.cause });
    this.open = open;
  }
}

/** Longest `DelaySeconds` of SQS. */
export const LONGEST_DELAY = 900;
/** Maximum visibility time of SQS, s. */
const LONGEST_VISIBILITY = 43_200;
const LONGEST_POLL = 20;
const WIDTH = 8;
/** Maximum tries of throttled requests: about three seconds. */
const TRIES = 7;

export class Lanes {
  readonly #clients: Clients;
  readonly #prefix: string;
  readonly #pacing: Pacing;

  /** @param prefix start of each queue's URL. */
  constructor(clients: Clients, prefix: string, pacing: Pacing) {
    this.#clients = clients;
    this.#prefix = prefix;
    this.#pacing = pacing;
  }

  /**
   * Sends messages, durable when it resolves, except those that it returns: messages of requests that were cut off on
   * a connection that had been idle, which SQS has hardly ever accepted. The caller sends them again.
   * @throws SendError
   */
  async send<T extends Outgoing>(queue: string, messages: readonly T[]): Promise<T[]> {
    let taken = 0;
    const cut: T[] = [];
    this.#clients.dropIdle();
    try {
      await each(batches(messages), WIDTH, async (batch) => {
        cut.push(...(await this.#sendBatch(queue, batch)));
        taken += 1;
      });
      return cut;
    } catch (error) {
      const open = taken > 0 || !(error instanceof SendError) || error.open;
      throw new SendError(storageError(`The queue ${queue} takes nothing`, error), open);
    }
  }

  /** Receives at most ten messages. @param wait time of long polling, s. */
  async receive(
    queue: string,
    max: number,
    visibility: number,
    wait: number,
    signal?: AbortSignal,
  ): Promise<Message[]> {
    const command = new ReceiveMessageCommand({
      QueueUrl: this.#url(queue),
      MaxNumberOfMessages: Math.min(max, SQS_BATCH),
      VisibilityTimeout: Math.min(LONGEST_VISIBILITY, Math.max(1, Math.ceil(visibility / 1000))),
      WaitTimeSeconds: Math.min(LONGEST_POLL, Math.max(0, wait)),
      MessageSystemAttributeNames: ['ApproximateReceiveCount', 'SentTimestamp'],
    });
    const answer = this.#clients.poller.send(command).then(
      ({ Messages = [] }) => Messages,
      (error: unknown) => {
        throw storageError(`The queue ${queue} cannot be read`, error);
      },
    );
    const messages = signal ? await unlessAborted(answer, signal) : await answer;
    if (messages) return messages;
    // SQS goes on polling for us: messages that it finds would be hidden from all for the visibility time. When that
    // fails, they stay hidden for their visibility time, and then come again.
    answer
      .then((late) =>
        this.hide(
          queue,
          late.map(({ ReceiptHandle }) => ReceiptHandle!),
          0,
        ),
      )
      .catch(() => {});
    return [];
  }

  /** Deletes messages. One whose receipt has expired stays: it comes again and is found to have ended. */
  async remove(queue: string, receipts: readonly string[]): Promise<void> {
    await this.#inBatches(queue, receipts, async (QueueUrl, part) => {
      const Entries = part.map((ReceiptHandle, at) => ({ Id: String(at), ReceiptHandle }));
      return this.#clients.sqs.send(new DeleteMessageBatchCommand({ QueueUrl, Entries }));
    });
  }

  /** Makes messages visible again in `seconds` from now. @returns the expired receipts. */
  async hide(queue: string, receipts: readonly string[], seconds: number): Promise<string[]> {
    const VisibilityTimeout = Math.min(LONGEST_VISIBILITY, Math.max(0, Math.ceil(seconds)));
    return this.#inBatches(queue, receipts, async (QueueUrl, part) => {
      const Entries = part.map((ReceiptHandle, at) => ({ Id: String(at), ReceiptHandle, VisibilityTimeout }));
      return this.#clients.sqs.send(new ChangeMessageVisibilityBatchCommand({ QueueUrl, Entries }));
    });
  }

  /** SQS's approximate counts. */
  async depth(queue: string): Promise<Omit<LaneDepth, 'lane'> & { delayed: number }> {
    const names = [
      'ApproximateNumberOfMessages',
      'ApproximateNumberOfMessagesNotVisible',
      'ApproximateNumberOfMessagesDelayed',
    ] as const;
    try {
      const command = new GetQueueAttributesCommand({
        QueueUrl: this.#url(queue),
        AttributeNames: [...names],
      });
      const { Attributes = {} } = await this.#clients.sqs.send(command);
      const [ready, leased, delayed] = names.map((name) => Number(Attributes[name] ?? 0));
      return { ready: ready!, leased: leased!, delayed: delayed! };
    } catch (error) {
      throw storageError(`The queue ${queue} cannot be read`, error);
    }
  }

  #url(queue: string): string {
    return `${this.#prefix}${queue}`;
  }

  /** @returns messages of a request that was cut off. */
  async #sendBatch<T extends Outgoing>(queue: string, batch: readonly T[]): Promise<readonly T[]> {
    let left = batch;
    for (let tries = 0; ; tries += 1) {
      const Entries = left.map(({ text, group, delay, once }, at) => ({
        Id: String(at),
        MessageBody: text,
        ...(once === undefined ? { DelaySeconds: delay } : { MessageDeduplicationId: once }),
        ...(group !== undefined && { MessageGroupId: group }),
      }));
      let failed: BatchResultErrorEntry[];
      try {
        const command = new SendMessageBatchCommand({ QueueUrl: this.#url(queue), Entries });
        failed = (await this.#clients.sender.send(command)).Failed ?? [];
        if (failed.length === 0) return [];
      } catch (error) {
        if (isUnheard(error)) return left;
        if (isThrottle(error) && tries < TRIES) {
          await pause(this.#pacing, tries);
          continue;
        }
        const open = left.length < batch.length || !didNothing(error);
        throw new SendError(storageError(`The queue ${queue} takes nothing`, error), open);
      }
      const first = failed.find(({ SenderFault }) => SenderFault) ?? failed[0]!;
      if (tries === TRIES || failed.some(({ SenderFault }) => SenderFault)) {
        const text = `The queue ${queue} refuses a message: ${first.Code}: ${first.Message}`;
        throw new SendError(
          new PosternError(isRefusal(first.Code) ? 'storage_refused' : 'storage_unavailable', text),
          failed.length < left.length || left.length < batch.length,
        );
      }
      left = failed.map(({ Id }) => left[Number(Id)]!);
      await pause(this.#pacing, tries);
    }
  }

  /** Deletes or hides; failures other than an expired receipt are tried again. @returns the expired ones. */
  async #inBatches(
    queue: string,
    receipts: readonly string[],
    request: (url: string, part: string[]) => Promise<{ Failed?: BatchResultErrorEntry[] }>,
  ): Promise<string[]> {
    const expired: string[] = [];
    await each(chunks(receipts, SQS_BATCH), WIDTH, async (receiptsOfBatch) => {
      let part = receiptsOfBatch;
      for (let tries = 0; part.length > 0; tries += 1) {
        if (tries > 0) await pause(this.#pacing, tries);
        try {
          const { Failed = [] } = await request(this.#url(queue), part);
          const handle = ({ Id }: BatchResultErrorEntry): string => part[Number(Id)]!;
          expired.push(...Failed.filter(({ SenderFault }) => SenderFault).map(handle));
          part = Failed.filter(({ SenderFault }) => !SenderFault).map(handle);
        } catch (error) {
          if (errorName(error) === 'ReceiptHandleIsInvalid') {
            expired.push(...part);
            return;
          }
          if (!isThrottle(error)) throw storageError(`The queue ${queue} cannot be used`, error);
        }
        if (tries === TRIES && part.length > 0) {
          throw new PosternError('storage_unavailable', `The queue ${queue} is throttled. Wait.`);
        }
      }
    });
    return expired;
  }
}

/**
 * Batches of ten at most, and of 1 MiB at most; of fewer, where the last ones would begin another 64 KiB that SQS
 * bills as a request.
 */
export function batches<T extends Pick<Outgoing, 'text'>>(messages: readonly T[]): T[][] {
  const sizes = messages.map(({ text }) => Buffer.byteLength(text));
  const parts: T[][] = [];
  for (let from = 0; from < messages.length; ) {
    let best = from + 1;
    let least = Number.POSITIVE_INFINITY;
    let size = 0;
    for (let to = from + 1; to <= Math.min(messages.length, from + SQS_BATCH); to += 1) {
      size += sizes[to - 1]!;
      if (size > SQS_BYTES && to > from + 1) break;
      const requests = sqsRequests(size) / (to - from);
      if (requests > least) continue;
      least = requests;
      best = to;
    }
    parts.push(messages.slice(from, best));
    from = best;
  }
  return parts;
}
