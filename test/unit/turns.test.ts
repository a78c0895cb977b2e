/** Work that comes in bulk, spread over turns of the event loop. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MessageChannel } from 'node:worker_threads';
import { afterInput, Turns } from '../../lib/turns.ts';

/** Pieces of work of 1 ms by a clock that only they move, and what the event loop did between them. */
function workshop() {
  let now = 0;
  const order: string[] = [];
  const turns = new Turns(() => now);
  const work = async (name: string): Promise<void> => {
    await turns.next();
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
  await observed(
    order,
    ['a', 'b', 'c', 'd', 'e', 'f', 'g'].map((name) => work(name)),
  );
  assert.deepEqual(order.join('').replace(/^\|/, ''), 'abc|def|g');
});

test('no work is done before all that has arrived is read, and what is written leaves before it', async () => {
  const { order, work } = workshop();
  // Sockets are read in one phase of the event loop, each by a callback of its own.
  const sockets = await Promise.all(
    ['x', 'y'].map(async (name) => {
      const { port1, port2 } = new MessageChannel();
      const read = new Promise<void>((resolve) => {
        port1.once('message', () => {
          order.push(name);
          void work(`work of ${name}`).then(resolve);
          afterInput(() => order.push(`reply to ${name}`));
        });
      });
      port2.postMessage('');
      return { port1, read };
    }),
  );
  for (const { port1, read } of sockets) {
    await read;
    port1.close();
  }
  assert.equal(order.join(', '), 'x, y, reply to x, reply to y, work of x, work of y');
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
  const waiting = [work('long', 100), work('first', 5), work('second', 1)];
  await observed(order, [...waiting, work('third', 1)]);
  assert.equal(order.join(' ').replace(/^\| /, ''), 'long | first | second third');
});

test('a call of several messages stands behind the others after each of its own', async () => {
  const { order, work } = workshop();
  const call = async (name: string): Promise<void> => {
    for (const piece of [1, 2, 3]) await work(`${name}${piece}`);
  };
  await Promise.all([call('x'), work('y'), call('z')]);
  assert.equal(order.join(' '), 'x1 y z1 x2 z2 x3 z3');
});

test('small pieces do not wait until they have taken 3 ms of a turn, and then stand behind what waits', async () => {
  let now = 0;
  const turns = new Turns(() => now);
  const isPutOff = (): boolean => turns.nextSmall() !== undefined;
  assert.equal(isPutOff(), false);
  now += 2.9;
  assert.equal(isPutOff(), false);
  now += 0.1;
  assert.deepEqual([isPutOff(), isPutOff()], [true, true]);
  // What was put off is due, and nothing else.
  for (let n = 0; n < 2; n += 1) await new Promise((done) => setImmediate(done));
  assert.equal(isPutOff(), false);
});
