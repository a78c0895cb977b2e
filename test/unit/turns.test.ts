/** Work that comes in bulk, spread over turns of the event loop. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Turns } from '../../lib/turns.ts';

/** Pieces of work of 1 ms by a clock that only they move, and what the event loop did between them. */
function workshop() {
  let now = 0;
  const order: string[] = [];
  const turns = new Turns(() => now);
  const work = async (name: string): Promise<void> => {
    const turn = turns.next();
    if (turn) await turn;
    // As the pipeline: what waits for nothing comes in several microtasks.
    await Promise.resolve();
    await Promise.resolve();
    now += 1;
    order.push(name);
  };
  return { order, work };
}

/** Marks each turn of the event loop until all is done. */
async function observed(order: string[], pieces: Promise<void>[]): Promise<void> {
  let done = false;
  const mark = (): void => {
    order.push('|');
    if (!done) setImmediate(mark);
  };
  setImmediate(mark);
  await Promise.all(pieces);
  done = true;
}

test('after 3 ms of work the event loop turns, and the rest follows in its order', async () => {
  const { order, work } = workshop();
  // One after the other, as sockets bring them in one poll of the event loop.
  for (const name of ['a', 'b', 'c']) await work(name);
  await observed(
    order,
    ['d', 'e', 'f', 'g', 'h', 'i', 'j'].map((name) => work(name)),
  );
  assert.deepEqual(order.join('').replace(/^abc\|?/, ''), 'def|ghi|j');
});

test('what comes later stands behind what waits, and a piece longer than a slice has a turn of its own', async () => {
  let now = 0;
  const order: string[] = [];
  const turns = new Turns(() => now);
  const work = async (name: string, ms: number): Promise<void> => {
    await turns.next();
    now += ms;
    order.push(name);
  };
  await work('long', 100);
  const waiting = [work('first', 5), work('second', 1)];
  const mark = setImmediate(() => order.push('|'));
  await new Promise((done) => setImmediate(done));
  await Promise.all([...waiting, work('third', 1)]);
  clearImmediate(mark);
  assert.equal(order.join(' '), 'long first | second third');
});

test('a call of several messages stands behind the others after each of its own', async () => {
  const { order, work } = workshop();
  for (const name of ['a', 'b', 'c']) await work(name);
  const call = async (name: string): Promise<void> => {
    for (const piece of [1, 2, 3]) await work(`${name}${piece}`);
  };
  await Promise.all([call('x'), work('y'), call('z')]);
  assert.equal(order.slice(3).join(' '), 'x1 y z1 x2 z2 x3 z3');
});

test('work in a later turn of the event loop does not wait', async () => {
  const { order, work } = workshop();
  for (const name of ['a', 'b', 'c']) await work(name);
  await new Promise((done) => setImmediate(done));
  const last = work('d');
  for (let i = 0; i < 8; i += 1) await Promise.resolve();
  assert.equal(order.join(''), 'abcd');
  await last;
});
