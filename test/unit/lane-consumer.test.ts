/** What a lane has leased, on its way to the sites. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { InFlight } from '../../lib/egress/in-flight.ts';
import { LaneConsumer } from '../../lib/egress/lane-consumer.ts';
import type { LeasedItem, Queue } from '../../lib/engine/ports.ts';
import { TestClock } from '../support/clock.ts';

test('a lease goes to its sites 32 deliveries in a turn of the event loop, in order, after a stop too', async () => {
  const stop = new AbortController();
  const leased = Array.from({ length: 65 }, (_, n) => ({ bytes: Buffer.from([n]) })) as LeasedItem[];
  const order: (number | '|')[] = [];
  const mark = (): void => {
    order.push('|');
    if (order.filter((one) => one !== '|').length < 65) setImmediate(mark);
  };
  const consumer = new LaneConsumer({
    lane: 'default:bulk:google',
    queue: {
      lease: () => {
        stop.abort();
        setImmediate(mark);
        return Promise.resolve(leased);
      },
    } as unknown as Queue,
    clock: new TestClock(),
    inFlight: { limits: { items: 500 }, room: () => 500 } as unknown as InFlight,
    visibility: 60_000,
    signal: stop.signal,
    selector: { mayLease: () => true },
    dispatcher: { take: (portion) => void order.push(...portion.map(({ bytes }) => bytes[0]!)) },
  });
  await consumer.ended;
  const turns = order
    .join(' ')
    .split('|')
    .map((turn) => turn.trim())
    .filter((turn) => turn !== '');
  assert.deepEqual(
    turns.map((turn) => turn.split(' ').length),
    [32, 32, 1],
  );
  assert.deepEqual(
    turns.join(' ').split(' ').map(Number),
    Array.from({ length: 65 }, (_, n) => n),
  );
});
