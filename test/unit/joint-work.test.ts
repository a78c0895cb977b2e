import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { JointWork } from '../../lib/engine/aws/joint-work.ts';
import { TestClock } from '../support/clock.ts';

const WAIT = 5;

/** Work that a test ends, with the lists that it was given. */
function start(fails: (list: readonly number[]) => boolean = () => false) {
  const calls: number[][] = [];
  const ends: (() => void)[] = [];
  const clock = new TestClock();
  const work = new JointWork<number>({
    work: async (list) => {
      calls.push([...list]);
      await new Promise<void>((resolve) => ends.push(resolve));
      if (fails(list)) throw new Error(`not ${list.join()}`);
    },
    clock,
    wait: WAIT,
    enough: 4,
  });
  const turn = () => new Promise((resolve) => setImmediate(resolve));
  const end = async (): Promise<void> => {
    ends.shift()!();
    await turn();
  };
  return { work, calls, end, clock };
}

describe('joint work', () => {
  it('takes what comes within the wait of the first call in one', async () => {
    const { work, calls, end, clock } = start();
    const done: number[] = [];
    void work.run([1]).then(() => done.push(1));
    clock.advance(WAIT - 1);
    void work.run([2, 2]).then(() => done.push(2));
    assert.deepEqual(calls, []);
    clock.advance(1);
    assert.deepEqual(calls, [[1, 2, 2]]);
    void work.run([3]).then(() => done.push(3));
    clock.advance(WAIT);
    assert.deepEqual(calls[1], [3], 'the first call holds up no other');
    await end();
    assert.deepEqual(done, [1, 2]);
    await end();
    assert.deepEqual(done, [1, 2, 3]);
  });

  it('begins at once with enough, and waits anew for what comes then', async () => {
    const { work, calls, end, clock } = start();
    void work.run([1, 1]);
    void work.run([2]);
    assert.deepEqual(calls, []);
    void work.run([3]);
    assert.deepEqual(calls, [[1, 1, 2, 3]]);
    clock.advance(WAIT - 1);
    void work.run([4]);
    clock.advance(1);
    assert.equal(calls.length, 1, 'the wait of the first call is over');
    clock.advance(WAIT - 1);
    assert.deepEqual(calls[1], [4]);
    void work.run([5, 5, 5, 5, 5]);
    assert.deepEqual(calls[2], [5, 5, 5, 5, 5]);
    for (let i = 0; i < 3; i += 1) await end();
  });

  it('gives an error to the caller whose part fails, and to no other', async () => {
    const { work, calls, end, clock } = start((list) => list.includes(3));
    const results: string[] = [];
    for (const n of [2, 3, 4]) {
      void work.run([n]).then(
        () => results.push(`${n} done`),
        (error: Error) => results.push(`${n} ${error.message}`),
      );
    }
    clock.advance(WAIT);
    for (let i = 0; i < 4; i += 1) await end();
    assert.deepEqual(calls, [[2, 3, 4], [2], [3], [4]]);
    assert.deepEqual(results, ['2 done', '3 not 3', '4 done']);
    void work.run([5]);
    clock.advance(WAIT);
    await end();
    assert.equal(calls.length, 5);
  });
});
