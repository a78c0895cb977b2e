/**
 * SQS in virtual time, with its documented limits: ten messages and 1 MiB a batch, 120,000 messages of a standard queue
 * in flight (developer guide, "Amazon SQS message quotas").
 */
import { Heap } from '../../lib/heap.ts';
import type { SimulatedClock } from '../simulate/clock.ts';

export const IN_FLIGHT = 120_000;

interface QueuedMessage {
  id: string;
  body: string;
  sentAt: number;
  visibleAt: number;
  receives: number;
  held: boolean;
  gone: boolean;
}

class VirtualQueue {
  readonly messages = new Heap<QueuedMessage>((a, b) => a.visibleAt < b.visibleAt);
  count = 0;
  held = 0;
  mostHeld = 0;
}

interface Entry {
  Id: string;
  MessageBody: string;
  DelaySeconds?: number;
  ReceiptHandle: string;
  VisibilityTimeout: number;
}

export class VirtualSqs {
  readonly queues = new Map<string, VirtualQueue>();
  readonly #clock: SimulatedClock;
  readonly #receipts = new Map<string, QueuedMessage>();
  #serial = 0;
  requests = 0;

  constructor(clock: SimulatedClock) {
    this.#clock = clock;
  }

  queue(url: string): VirtualQueue {
    const name = url.slice(url.lastIndexOf('/') + 1);
    let found = this.queues.get(name);
    if (!found) this.queues.set(name, (found = new VirtualQueue()));
    return found;
  }

  /** A command without its ending. */
  async call(command: string, input: { QueueUrl: string; Entries: Entry[] }): Promise<object> {
    this.requests += 1;
    const queue = this.queue(input.QueueUrl);
    switch (command) {
      case 'SendMessageBatch':
        return this.#send(queue, input.Entries);
      case 'ReceiveMessage':
        return this.#receive(queue, input as never);
      case 'DeleteMessageBatch':
        return this.#each(input.Entries, (message) => {
          message.gone = true;
          queue.count -= 1;
          this.#free(queue, message);
        });
      case 'ChangeMessageVisibilityBatch':
        return this.#each(input.Entries, (message, { VisibilityTimeout }) => {
          // The old place in the heap is passed over: its time no longer agrees.
          const copy = { ...message, visibleAt: this.#clock.now() + VisibilityTimeout * 1000 };
          this.#replace(queue, message, copy);
        });
      default:
        throw new Error(`${command} is not simulated.`);
    }
  }

  #send(queue: VirtualQueue, entries: Entry[]): object {
    if (entries.length > 10)
      throw Object.assign(new Error('too many'), { name: 'TooManyEntriesInBatchRequest' });
    const now = this.#clock.now();
    for (const { MessageBody: body, DelaySeconds: delay = 0 } of entries) {
      const id = String((this.#serial += 1));
      const visibleAt = now + delay * 1000;
      queue.messages.push({ id, body, sentAt: now, visibleAt, receives: 0, held: false, gone: false });
      queue.count += 1;
    }
    return { Successful: entries, Failed: [] };
  }

  async #receive(
    queue: VirtualQueue,
    input: { MaxNumberOfMessages: number; VisibilityTimeout: number; WaitTimeSeconds: number },
  ): Promise<object> {
    const end = this.#clock.now() + input.WaitTimeSeconds * 1000;
    for (;;) {
      const found = this.#take(queue, input.MaxNumberOfMessages, input.VisibilityTimeout * 1000);
      if (found.length > 0 || this.#clock.now() >= end) return { Messages: found };
      await this.#clock.sleep(Math.min(50, end - this.#clock.now()));
    }
  }

  #take(queue: VirtualQueue, max: number, hidden: number): object[] {
    const now = this.#clock.now();
    const found: object[] = [];
    while (found.length < max) {
      const message = queue.messages.first;
      if (!message || message.visibleAt > now) break;
      queue.messages.pop();
      if (message.gone) continue;
      this.#free(queue, message);
      if (queue.held >= IN_FLIGHT) {
        queue.messages.push(message);
        throw Object.assign(new Error('Too many messages in flight.'), { name: 'OverLimit' });
      }
      message.receives += 1;
      message.held = true;
      message.visibleAt = now + hidden;
      queue.held += 1;
      queue.mostHeld = Math.max(queue.mostHeld, queue.held);
      queue.messages.push(message);
      const handle = `${message.id}/${message.receives}`;
      this.#receipts.set(handle, message);
      found.push({
        MessageId: message.id,
        Body: message.body,
        ReceiptHandle: handle,
        Attributes: {
          ApproximateReceiveCount: String(message.receives),
          SentTimestamp: String(message.sentAt),
        },
      });
    }
    return found;
  }

  #each(entries: Entry[], work: (message: QueuedMessage, entry: Entry) => void): object {
    for (const entry of entries) {
      const message = this.#receipts.get(entry.ReceiptHandle);
      const current = message && entry.ReceiptHandle === `${message.id}/${message.receives}`;
      if (current && !message.gone) work(message, entry);
    }
    return { Failed: [] };
  }

  #replace(queue: VirtualQueue, message: QueuedMessage, copy: QueuedMessage): void {
    message.gone = true;
    queue.messages.push(copy);
    this.#receipts.set(`${copy.id}/${copy.receives}`, copy);
    if (copy.visibleAt <= this.#clock.now()) this.#free(queue, copy);
  }

  #free(queue: VirtualQueue, message: QueuedMessage): void {
    if (!message.held) return;
    message.held = false;
    queue.held -= 1;
  }
}
