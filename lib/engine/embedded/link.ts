/**
 * The event loop's end of the storage thread: gathers calls into batches, one batch under way at a time, so
 * that everything that arrives while a commit is being synced shares the next one (group commit).
 *
 * A call fails with the storage error that the thread reports. When the thread dies, every call that waits
 * and every later one fails with `storage_unavailable`: nothing was promised to their callers.
 */
import type { EventEmitter } from 'node:events';
import { Worker } from 'node:worker_threads';
import { PosternError } from '../../errors.ts';
import { pack } from './pack.ts';
import type {
  Argument,
  Batch,
  BatchAnswer,
  Greeting,
  LaterCount,
  Opened,
  OperationName,
  OperationResult,
  StoreOptions,
} from './protocol.ts';

/**
 * Calls in a batch from which on the next batch waits: one millisecond from it for each of its calls, up to
 * `CROWD_INTERVAL`. A batch wakes two threads, writes ten pages and syncs, however little it holds, some 500 µs of CPU
 * in all: with many callers fewer and fuller ones save more than anything within them could. Where calls come more
 * seldom than one a millisecond, the wait shrinks to nothing; a caller that is alone never waits.
 */
const CROWD = 4;
const CROWD_INTERVAL = 8;

/**
 * The end of a lease waits for the batch of others, `CROWD_INTERVAL` at most: nobody waits for it, and what a peer answered
 * is in the settlement journal. Else half of the batches would hold a settlement or two.
 */
const PATIENT: OperationName = 'settle';

/**
 * Bytes of a buffer that both threads use for batch after batch: one of its own for each would be zeroed, mapped and
 * collected again for it, which costs more than the copy, and waits as garbage by the dozen of megabytes. A batch, or an
 * answer, that does not fit has one of its own. A load is 2 MB and the body that passes it.
 */
const SHARED_BYTES = 3 << 20;

type Done = (error: PosternError | undefined, value: unknown) => void;

/** Where the store runs: a thread (`store/worker.ts`), or this one (`lib/engine/memory`). */
export interface StoreThread extends EventEmitter {
  postMessage(value: unknown, transfer?: readonly ArrayBuffer[]): void;
}

export class Link {
  readonly #worker: StoreThread;
  readonly #crowdInterval: number;
  #names: OperationName[] = [];
  #arguments: unknown[] = [];
  #regions: number[] = [];
  #bytes: Uint8Array[] = [];
  #size = 0;
  /** Bytes of the batch under way, then of its answer. Absent: none are shared. */
  readonly #shared: Buffer | undefined;
  #done: Done[] = [];
  #underWay: Done[] | undefined;
  /** When the next batch is to be posted; none is scheduled: never. */
  #dueAt = Number.POSITIVE_INFINITY;
  #timer: NodeJS.Timeout | undefined;
  /** Whether a caller waits for what the next batch holds. */
  #awaited = false;
  #postedCalls = 0;
  #postedAt = 0;
  #broken: PosternError | undefined;
  #closing = false;
  /** Called with the counts that a batch changed, before its results are handed over. */
  onLater: (counts: readonly LaterCount[]) => void = () => {};
  /** Called after all results of a batch were handed over. */
  afterBatch: () => void = () => {};
  /** Called once when the thread can no longer be used. */
  onBroken: (reason: PosternError) => void = () => {};

  /**
   * @param worker a store that is open.
   * @param shared the buffer that the store has been given.
   * @param crowdInterval 0 where a commit wakes no thread and syncs no disk, so that gathering saves nothing.
   */
  constructor(worker: StoreThread, shared?: SharedArrayBuffer, crowdInterval = CROWD_INTERVAL) {
    this.#worker = worker;
    this.#shared = shared && Buffer.from(shared);
    this.#crowdInterval = crowdInterval;
    worker.on('message', (answer: BatchAnswer) => this.#receive(answer));
    worker.on('error', (error) => this.#fail(`The storage thread died: ${error.message}`, error));
    worker.on('exit', (code) => this.#fail(`The storage thread ended with code ${code}.`));
  }

  /** Starts the storage thread and waits until the store is open. @throws its PosternError. */
  static async open(options: Omit<StoreOptions, 'shared'>): Promise<{ link: Link; opened: Opened }> {
    const shared = new SharedArrayBuffer(SHARED_BYTES);
    const worker = new Worker(new URL('./store/worker.ts', import.meta.url), {
      workerData: { ...options, shared } satisfies StoreOptions,
      // What a batch makes is garbage when it is answered. A small nursery costs no time and keeps it small.
      resourceLimits: { maxYoungGenerationSizeMb: 8 },
    });
    const greeting = await new Promise<Greeting>((resolve, reject) => {
      worker.once('message', (message: Greeting) => {
        worker.off('error', reject);
        resolve(message);
      });
      worker.once('error', reject);
    }).catch((error: Error) => {
      const text = `The storage thread cannot start: ${error.message}`;
      throw new PosternError('storage_unavailable', text, { cause: error });
    });
    if ('fault' in greeting) {
      await worker.terminate();
      throw new PosternError(greeting.fault.code, greeting.fault.message);
    }
    return { link: new Link(worker, shared), opened: greeting.opened };
  }

  /** Why the thread can no longer be used, if so. */
  get broken(): PosternError | undefined {
    return this.#broken;
  }

  /** Resolves with the durable result of a call, which has no bytes. */
  call<K extends OperationName>(
    name: K,
    argument: Argument<K>,
    bytes?: Uint8Array,
  ): Promise<OperationResult<K>> {
    return new Promise((resolve, reject) => {
      this.send(name, argument, bytes ? [bytes] : [], (error, value) =>
        error ? reject(error) : resolve(value),
      );
    });
  }

  /**
   * As `call`, for hot paths and results with bytes: `done` runs before anything of a later call of the same batch, and
   * must have copied the bytes when it returns.
   */
  send<K extends OperationName>(
    name: K,
    argument: Argument<K>,
    bytes: readonly Uint8Array[],
    done: (error: PosternError | undefined, value: OperationResult<K>) => void,
  ): void {
    if (this.#broken) {
      done(this.#broken, undefined as never);
      return;
    }
    this.#names.push(name);
    this.#arguments.push(argument);
    this.#regions.push(this.#size);
    for (const piece of bytes) {
      this.#bytes.push(piece);
      this.#size += piece.byteLength;
    }
    this.#done.push(done as Done);
    this.#awaited ||= name !== PATIENT;
    this.#schedule();
  }

  /** Posts what waits, as soon as the thread is free; a little later when many calls come, or nobody waits. */
  #schedule(): void {
    if (this.#underWay || this.#names.length === 0) return;
    const at = this.#postedAt + this.#interval();
    if (at >= this.#dueAt) return;
    this.#dueAt = at;
    clearTimeout(this.#timer);
    const wait = at - performance.now();
    if (wait >= 1) {
      this.#timer = setTimeout(this.#postDue, wait);
      return;
    }
    this.#dueAt = Number.NEGATIVE_INFINITY;
    // After the poll phase, not in a microtask: what all sockets of this turn bring shares one sync.
    setImmediate(this.#postDue);
  }

  /** Time from the last batch to the next one, ms. */
  #interval(): number {
    if (!this.#awaited) return this.#crowdInterval;
    return this.#postedCalls < CROWD ? 0 : Math.min(this.#postedCalls, this.#crowdInterval);
  }

  readonly #postDue = (): void => {
    this.#dueAt = Number.POSITIVE_INFINITY;
    if (!this.#underWay) this.#post();
  };

  /** Closes the file and ends the thread. The caller has waited for its calls. */
  async close(): Promise<void> {
    if (this.#broken) return;
    this.#closing = true;
    const exited = new Promise((resolve) => this.#worker.once('exit', resolve));
    this.#worker.postMessage('close');
    await exited;
  }

  #post(): void {
    if (this.#names.length === 0 || this.#broken) return;
    const size = this.#size;
    const batch: Batch = { names: this.#names, arguments: this.#arguments, regions: this.#regions, size };
    const transfer: ArrayBuffer[] = [];
    if (size > 0) {
      let packed = this.#shared;
      if (packed === undefined || size > packed.byteLength) {
        batch.bytes = new ArrayBuffer(size);
        transfer.push(batch.bytes);
        packed = Buffer.from(batch.bytes);
      }
      pack(this.#bytes, packed);
    }
    this.#underWay = this.#done;
    this.#postedCalls = this.#names.length;
    this.#postedAt = performance.now();
    this.#names = [];
    this.#arguments = [];
    this.#regions = [];
    this.#bytes = [];
    this.#size = 0;
    this.#done = [];
    this.#awaited = false;
    this.#worker.postMessage(batch, transfer);
  }

  #receive(answer: BatchAnswer): void {
    const done = this.#underWay ?? [];
    this.#underWay = undefined;
    this.#schedule();
    if (answer.later.length > 0) this.onLater(answer.later);
    const bytes = answer.bytes ? Buffer.from(answer.bytes) : this.#shared;
    for (let i = 0; i < done.length; i++) {
      const fault = answer.faults?.[i];
      const value = answer.values[i];
      if (fault) {
        const cause = fault.directory && new Error(`The data directory is ${fault.directory}.`);
        done[i]!(new PosternError(fault.code, fault.message, { cause }), undefined);
        continue;
      }
      const begin = answer.regions[i]!;
      const end = answer.regions[i + 1]!;
      if (end > begin) (value as { bytes: Buffer }).bytes = bytes!.subarray(begin, end);
      done[i]!(undefined, value);
    }
    this.afterBatch();
  }

  #fail(message: string, cause?: Error): void {
    if (this.#broken) return;
    this.#broken = new PosternError(
      this.#closing ? 'shutting_down' : 'storage_unavailable',
      this.#closing
        ? 'The store is closed.'
        : `${message} Restart Postern; nothing that was accepted is lost.`,
      { cause },
    );
    const waiting = [...(this.#underWay ?? []), ...this.#done];
    this.#underWay = undefined;
    this.#done = [];
    for (const done of waiting) done(this.#broken, undefined);
    this.onBroken(this.#broken);
  }
}
