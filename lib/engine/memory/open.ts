/**
 * The memory engine: every port for one process, and nothing on a disk. It is the embedded engine's code over a
 * database without a file, in the thread of its caller, so that a test or a trial needs no directory, no other thread
 * and no time. What it holds ends with it.
 */
import { EventEmitter } from 'node:events';
import type { Clock } from '../../time.ts';
import { Link, type StoreThread } from '../embedded/link.ts';
import { engineOver } from '../embedded/open.ts';
import type { Batch } from '../embedded/protocol.ts';
import { IN_MEMORY } from '../embedded/store/schema.ts';
import { Store } from '../embedded/store/store.ts';
import type { Engine } from '../ports.ts';
import { memoryFiles } from './files.ts';

export interface MemoryOptions {
  clock: Clock;
  /** Names of the operator's buckets. Absent: there are none. */
  buckets?: readonly string[];
}

export function openMemory({ clock, buckets = [] }: MemoryOptions): Engine {
  const store = new Store({ directory: IN_MEMORY, minimumFree: 0 });
  const files = memoryFiles(() => clock.now(), buckets);
  return engineOver(
    { link: new Link(new OwnThread(store), undefined, 0), opened: store.opened },
    clock,
    files,
  );
}

/** Runs the store in this thread, and answers in a later turn as another thread would. */
class OwnThread extends EventEmitter implements StoreThread {
  readonly #store: Store;

  constructor(store: Store) {
    super();
    this.#store = store;
  }

  postMessage(value: unknown): void {
    if (value === 'close') {
      this.#store.close();
      setImmediate(() => this.emit('exit', 0));
    } else {
      // Nothing is shared with the caller, as with another thread.
      const answer = structuredClone(this.#store.run(value as Batch));
      queueMicrotask(() => this.emit('message', answer));
    }
  }
}
