/** What egress does with a body whose memory the engine has freed. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { discard } from '../../lib/discard.ts';
import { Delivery } from '../../lib/egress/delivery.ts';
import { InFlight } from '../../lib/egress/in-flight.ts';
import type { Queue } from '../../lib/engine/ports.ts';
import { Outbox } from '../../lib/smtp/outbox.ts';
import { readPeer } from '../../lib/smtp/peer.ts';
import { Pipeline } from '../../lib/smtp/pipeline.ts';
import { TestClock } from '../support/clock.ts';
import { queueItem } from '../support/egress-fakes.ts';

const clock = new TestClock();
const lane = {
  pool: 'default',
  class: 'bulk' as const,
  shared: false,
  held: 0,
  overflowed() {},
  tried() {},
  putBack() {},
};

function delivery(size: number): Delivery {
  const bytes = Buffer.alloc(size, 'x');
  return new Delivery({ item: queueItem(clock.now()), bytes, receives: 1, receipt: undefined }, lane, 0);
}

test('what the node holds is counted off by the size that was counted on', () => {
  const inFlight = new InFlight(undefined as unknown as Queue, { items: 10, bytes: 1e6 }, 120_000);
  const held = delivery(200_000);
  inFlight.add(held);
  assert.equal(inFlight.bytes, held.bytes.length);
  discard(held.bytes);
  inFlight.remove(held);
  assert.equal(inFlight.bytes, 0);
});

for (const size of [1_000, 200_000])
  test(`a body of ${size} octets that is freed while it goes out never ends as a shorter message`, () => {
    const item = delivery(size);
    const outbox = new Outbox(undefined);
    const pipeline = new Pipeline(
      { clock, maxTransactions: 1, next: () => item, done() {} } as never,
      readPeer(new Map([['PIPELINING', '']])),
      outbox,
    );
    pipeline.fill(true);
    for (const code of [250, 250, 354]) pipeline.answer({ code, lines: [''] });
    if (size > 64 * 1024) pipeline.fill(true);
    outbox.take();
    (item.bytes.buffer as ArrayBuffer).transfer(0);
    assert.throws(() => pipeline.fill(true), { code: 'internal' });
  });
