import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, test } from 'node:test';
import type { AmqpTarget } from '../../lib/control/event-destination.ts';
import type { DestinationSender, EventMessage, SendResult } from '../../lib/engine/destinations.ts';
import { createAmqp } from '../../lib/events/amqp.ts';
import { type AmqpPeer, startAmqpPeer } from '../support/amqp-peer.ts';
import { TestClock } from '../support/clock.ts';

let peer: AmqpPeer;
let clock: TestClock;
let amqp: DestinationSender<AmqpTarget>;
let made = 0;

beforeEach(async () => {
  peer = await startAmqpPeer();
  clock = new TestClock();
  amqp = createAmqp(clock);
});
afterEach(async () => {
  await amqp.close?.();
  await peer.close();
});

function events(count: number): EventMessage[] {
  return Array.from({ length: count }, () => {
    const id = `e${made++}`;
    const event = { eventType: 'Send', mail: { tags: { name: ['Grüße'] }, headers: [] } };
    return { id, tenant: 't', messageId: `m-${id}`, at: clock.now(), event, json: JSON.stringify(event) };
  });
}

const send = (change: Partial<AmqpTarget> = {}, count = 3): Promise<SendResult[]> =>
  amqp.send(
    { kind: 'amqp', url: peer.url(), exchange: 'mail', routingKey: 'events', ...change },
    events(count),
  );

/** The one thing that became of all events of a batch. */
async function all(sent: Promise<SendResult[]>): Promise<string> {
  const told = (await sent).map((result) =>
    result.kind === 'taken' ? 'taken' : `${result.kind}: ${result.text}`,
  );
  const [first, ...others] = new Set(told);
  assert.deepEqual(others, []);
  return first!;
}

describe('an AMQP destination', () => {
  test('has taken an event when the broker has confirmed it', async () => {
    assert.equal(await all(send({}, 100)), 'taken');
    assert.equal(peer.taken.length, 100);
    assert.ok(
      peer.taken.every(
        ({ persistent, text }) => persistent && JSON.parse(text).mail.tags.name[0] === 'Grüße',
      ),
    );
    assert.equal(await all(send()), 'taken');
    assert.equal(peer.connections, 1);
  });

  test('has not taken what no queue is bound for', async () => {
    const lost = await all(send({ routingKey: 'nobody' }));
    assert.equal(lost, 'retry: no queue is bound to the exchange mail for nobody');
    peer.bound.add('nobody');
    assert.equal(await all(send({ routingKey: 'nobody' })), 'taken');
  });

  test('whose exchange is missing says so, disturbs no other of its broker, and needs no new connection', async () => {
    const results = await Promise.all([all(send()), all(send({ exchange: 'nowhere' })), all(send())]);
    assert.deepEqual([results[0], results[2]], ['taken', 'taken']);
    assert.match(results[1], /NOT_FOUND - no exchange 'nowhere'/);
    peer.exchanges.add('nowhere');
    assert.equal(await all(send({ exchange: 'nowhere' })), 'taken');
    assert.equal(peer.connections, 1);
  });

  test('with a wrong password or vhost is tried again, with the reason', async () => {
    assert.match(await all(send({ url: peer.url({ password: 'wrong' }) })), /retry: .*ACCESS_REFUSED/);
    assert.match(await all(send({ url: peer.url({ vhost: '/nope' }) })), /retry: .*no such vhost/);
    assert.equal(await all(send()), 'taken');
  });

  test('whose broker restarts is connected to again', async () => {
    assert.equal(await all(send()), 'taken');
    peer.silent = true;
    const cut = all(send());
    while (peer.connections < 1) await new Promise((done) => setImmediate(done));
    await new Promise((done) => setImmediate(done));
    peer.cut();
    assert.match(await cut, /^retry: /);
    peer.silent = false;
    assert.equal(await all(send()), 'taken');
    assert.equal(peer.connections, 2);
  });

  test('whose broker confirms nothing is given up after 15 s, with its connection', async () => {
    assert.equal(await all(send()), 'taken');
    peer.silent = true;
    const waiting = all(send());
    // Two looks at known promises, then the confirms are waited for.
    for (let turn = 0; turn < 20; turn += 1) await new Promise((done) => setImmediate(done));
    clock.advance(15_000);
    assert.equal(await waiting, 'retry: no answer within 15 s');
    peer.silent = false;
    assert.equal(await all(send()), 'taken');
    assert.equal(peer.connections, 2);
  });
});
