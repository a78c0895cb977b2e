/** A message for a quick site waits for the packet of another's body, rather than take a packet of its own. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { SessionOptions } from '../../lib/smtp/types.ts';
import { EXAMPLE, limits, TestEgress, zoneResolver } from '../support/egress.ts';
import { FakeSession } from '../support/egress-fakes.ts';
import { settled } from '../support/engine.ts';

/** A session whose body goes out when the test says so; with it goes the next envelope. */
class PipeliningSession extends FakeSession {
  readonly #node: TestEgress;

  constructor(options: SessionOptions, node: TestEgress, ms: number, pipelining: boolean) {
    const done: SessionOptions['done'] = (transaction, result) =>
      options.done(transaction, { ...result, startedAt: result.endedAt - ms });
    super({ ...options, done }, node.clock);
    this.#node = node;
    if (pipelining) this.extensions.set('PIPELINING', '');
  }

  sendBody(): void {
    const transaction = this.options.next(this.#node.clock.now());
    if (transaction === undefined) return;
    this.taken.push(transaction);
    this.seen.push(transaction.recipients[0]!);
  }
}

/** Two connections that have carried forty messages, each of which took `ms`. */
async function twoConnections({ ms = 20, pipelining = true, most = 1_000 } = {}) {
  const node = new TestEgress(zoneResolver(EXAMPLE));
  const sessions: PipeliningSession[] = [];
  node.start({
    limits: limits({ connections: 2, messagesPerConnection: most }),
    open(options) {
      const session = new PipeliningSession(options, node, ms, pipelining);
      sessions.push(session);
      return session;
    },
  });
  await settled();
  for (let i = 0; i < 40; i += 1) node.enqueue();
  await settled();
  for (const session of sessions) session.opened();
  while (sessions.some(({ taken }) => taken.length > 0))
    for (const session of sessions) if (session.taken.length > 0) session.finish();
  await settled();
  assert.equal(sessions.length, 2);
  const send = async (): Promise<string> => {
    const item = node.enqueue();
    await settled();
    return item.recipient;
  };
  const first = async (): Promise<{ leader: PipeliningSession; other: PipeliningSession }> => {
    await send();
    const [leader, other] = [...sessions].sort((a, b) => b.taken.length - a.taken.length);
    assert.deepEqual([leader!.taken.length, other!.taken.length], [1, 0]);
    return { leader: leader!, other: other! };
  };
  return { node, send, first };
}

describe('a message behind one whose body is about to go', () => {
  it('goes with that body where the site is quick', async () => {
    const { node, send, first } = await twoConnections();
    const { leader, other } = await first();
    await send();
    assert.deepEqual([leader.taken.length, other.taken.length], [1, 0]);
    leader.sendBody();
    assert.equal(leader.taken.length, 2);
    // Nothing more goes with this body, and the first of the others needs a packet of its own.
    await send();
    assert.equal(other.taken.length, 1);
    await node.stop();
  });

  it('goes over another connection at once where the site is slow, or reads no envelope ahead', async () => {
    for (const options of [{ ms: 400 }, { pipelining: false }]) {
      const { node, send, first } = await twoConnections(options);
      const { leader, other } = await first();
      await send();
      assert.deepEqual([leader.taken.length, other.taken.length], [1, 1]);
      await node.stop();
    }
  });

  it('goes over another connection within a second where that body does not go', async () => {
    const { node, send, first } = await twoConnections();
    const { leader, other } = await first();
    await send();
    await node.pass(1_000);
    assert.deepEqual([leader.taken.length, other.taken.length], [1, 1]);
    await node.stop();
  });

  it('goes over another connection at once where that body is the last of its connection', async () => {
    const { node, send, first } = await twoConnections({ most: 21 });
    const { leader, other } = await first();
    assert.equal(leader.seen.length, 21);
    await send();
    assert.deepEqual([leader.taken.length, other.taken.length], [1, 1]);
    await node.stop();
  });

  it('goes over another connection when the first is lost', async () => {
    const { node, send, first } = await twoConnections();
    const { leader, other } = await first();
    const behind = await send();
    leader.end('connection_lost', 'mail');
    assert.equal(other.taken.length, 1);
    other.sendBody();
    assert.equal(other.taken.length, 2);
    assert.ok(other.seen.includes(behind));
    await node.stop();
  });
});
