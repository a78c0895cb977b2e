import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { JointWork } from '../../lib/engine/aws/joint-work.ts';

/** Work that a test ends, with the lists that it was given. */
function start(fails: (list: readonly number[]) => boolean = () => false) {
  const calls: number[][] = [];
  const ends: (() => void)[] = [];
  const work = new JointWork<number>(async (list) => {
    calls.push([...list]);
    await new Promise<void>((resolve) => ends.push(resolve));
    if (fails(list)) throw new Error(`not ${list.join()}`);
  });
  const turn = () => new Promise((resolve) => setImmediate(resolve));
  const end = async (): Promise<void> => {
    ends.shift()!();
    await turn();
  };
  return { work, calls, end };
}

describe('joint work', () => {
  it('takes what comes while a call is under way with the next', async () => {
    const { work, calls, end } = start();
    const done: number[] = [];
    for (const n of [1, 2, 3]) void work.run([n, n]).then(() => done.push(n));
    assert.deepEqual(calls, [[1, 1]]);
    await end();
    assert.deepEqual(done, [1]);
    assert.deepEqual(calls[1], [2, 2, 3, 3]);
    await end();
    assert.deepEqual(done, [1, 2, 3]);
    void work.run([4]);
    assert.deepEqual(calls[2], [4]);
    await end();
  });

  it('gives an error to the caller whose part fails, and to no other', async () => {
    const { work, calls, end } = start((list) => list.includes(3));
    const results: string[] = [];
    for (const n of [1, 2, 3, 4]) {
      void work.run([n]).then(
        () => results.push(`${n} done`),
        (error: Error) => results.push(`${n} ${error.message}`),
      );
    }
    for (let i = 0; i < 5; i += 1) await end();
    assert.deepEqual(calls, [[1], [2, 3, 4], [2], [3], [4]]);
    assert.deepEqual(results, ['1 done', '2 done', '3 not 3', '4 done']);
    void work.run([5]);
    await end();
    assert.equal(calls.length, 6);
  });
});
