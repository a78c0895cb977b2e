/** The link to the storage thread: which calls share a batch, and which bring one about. */
import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import { afterEach, beforeEach, describe, it, mock } from 'node:test';
import { Link, type StoreThread } from '../../lib/engine/embedded/link.ts';
import type { Batch, OperationName } from '../../lib/engine/embedded/protocol.ts';

/** Longer than any test takes. */
const LONG = 60_000;

class FakeThread extends EventEmitter implements StoreThread {
  readonly batches: OperationName[][] = [];

  postMessage(batch: Batch): void {
    this.batches.push(batch.names);
  }

  /** Answers the batch under way. */
  answer(): void {
    const values = this.batches.at(-1)!.map(() => undefined);
    this.emit('message', { values, regions: [...values.map(() => 0), 0], later: [] });
  }
}

const turn = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve));

describe('the link to the storage thread', () => {
  // A timer that is left over would keep the process.
  beforeEach(() => mock.timers.enable({ apis: ['setTimeout'] }));
  afterEach(() => mock.timers.reset());

  const open = (interval: number) => {
    const thread = new FakeThread();
    const link = new Link(thread, undefined, interval);
    return {
      thread,
      read: () => link.send('waiting', null, [], () => {}),
      settle: () => link.send('settle', [], [], () => {}),
    };
  };

  it('posts what one turn brings together, and the next batch after the answer', async () => {
    const { thread, read } = open(LONG);
    read();
    read();
    assert.deepEqual(thread.batches, []);
    await turn();
    read();
    await turn();
    assert.deepEqual(thread.batches, [['waiting', 'waiting']]);
    thread.answer();
    await turn();
    assert.deepEqual(thread.batches, [['waiting', 'waiting'], ['waiting']]);
  });

  it('keeps the ends of leases for the next batch of others, and wakes no thread for them', async () => {
    const { thread, read, settle } = open(LONG);
    read();
    await turn();
    settle();
    thread.answer();
    await turn();
    settle();
    await turn();
    assert.equal(thread.batches.length, 1);
    read();
    await turn();
    assert.deepEqual(thread.batches[1], ['settle', 'settle', 'waiting']);
    thread.answer();
    settle();
    await turn();
    assert.equal(thread.batches.length, 2);
  });

  it('holds the ends of leases up for its interval alone', async () => {
    const { thread, read, settle } = open(0);
    read();
    await turn();
    thread.answer();
    settle();
    await turn();
    assert.deepEqual(thread.batches, [['waiting'], ['settle']]);
  });

  it('posts an end of a lease at once when there was no batch for long', async () => {
    const { thread, settle } = open(8);
    // The clock of the process began long ago, the last batch never was.
    settle();
    await turn();
    assert.deepEqual(thread.batches, [['settle']]);
  });

  it('waits after a batch of many calls, whatever is waited for', async () => {
    const { thread, read } = open(LONG);
    for (let n = 0; n < LONG; n += 1) read();
    await turn();
    thread.answer();
    read();
    await turn();
    assert.equal(thread.batches.length, 1);
  });
});
