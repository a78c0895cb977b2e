/** The order and pace of mail, and the share of the room that a slow site may hold. */
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { EXAMPLE, limits, TestEgress, type Zone, zoneResolver } from '../support/egress.ts';
import { queueItem } from '../support/egress-fakes.ts';
import { settled } from '../support/engine.ts';

let node: TestEgress;
let zone: Zone;

beforeEach(() => {
  zone = { ...EXAMPLE };
  node = new TestEgress(zoneResolver(zone));
});

afterEach(() => node.stop());

describe('fairness and limits', () => {
  it('transactional goes first, then each tenant in turn', async () => {
    node.start({ limits: limits({ connections: 1 }) });
    const lane = (name: string) => `default:${name}:other`;
    for (let i = 0; i < 3; i += 1)
      node.enqueue({ lane: lane('bulk'), tenant: 'big', recipient: `big${i}@example.test` });
    node.enqueue({ lane: lane('bulk'), tenant: 'small', recipient: 'small@example.test' });
    node.enqueue({ lane: lane('transactional'), tenant: 'big', recipient: 'urgent@example.test' });
    await settled();
    node.sessions[0]!.opened();
    for (let i = 0; i < 5; i += 1) node.sessions[0]!.finish();
    assert.deepEqual(
      node.sessions[0]!.seen.map((address) => address.split('@')[0]),
      ['urgent', 'big0', 'small', 'big1', 'big2'],
    );
  });

  it('connections grow with the backlog to their limit, at the connection rate', async () => {
    node.start({ limits: limits({ connections: 4, connectionRate: '60/min' }) });
    node.enqueue();
    await settled();
    assert.equal(node.sessions.length, 1);
    for (let i = 0; i < 300; i += 1) node.enqueue();
    await settled();
    assert.equal(node.sessions.length, 4);
    for (const session of node.sessions) session.end('quit', 'quit');
    await settled();
    assert.equal(node.sessions.length, 5, 'a tenth of a minute may come at once');
    await node.pass(1000, 100);
    assert.equal(node.sessions.length, 6);
    await node.pass(2000, 100);
    assert.equal(node.sessions.length, 8);
  });

  it('messages are paced, also at more than one a second', async () => {
    node.start({ limits: limits({ messageRate: '10/s', connections: 1 }) });
    for (let i = 0; i < 30; i += 1) node.enqueue();
    await settled();
    node.sessions[0]!.opened();
    const taken: number[] = [];
    for (let i = 0; i < 20; i += 1) {
      while (node.sessions[0]!.taken.length > 0) node.sessions[0]!.finish();
      taken.push(node.sessions[0]!.seen.length);
      await node.pass(101, 101);
    }
    assert.deepEqual(
      taken,
      Array.from({ length: 20 }, (_, i) => i + 1),
    );
  });

  it('a connection ends after its maximum of messages and another takes over', async () => {
    node.start({ limits: limits({ messagesPerConnection: 2, connections: 1 }) });
    for (let i = 0; i < 3; i += 1) node.enqueue();
    await settled();
    assert.equal(node.sessions[0]!.options.maxTransactions, 2);
    node.sessions[0]!.opened();
    node.sessions[0]!.finish();
    node.sessions[0]!.finish();
    assert.equal(node.sessions[0]!.state, 'closed');
    await node.pass(1000);
    node.sessions[1]!.opened();
    assert.equal(node.sessions[1]!.seen.length, 1);
  });

  it('the limit of a provider holds over all its sites; an idle connection closes for a waiting site', async () => {
    for (const name of ['one', 'two']) {
      zone[`MX ${name}.test`] = [{ preference: 10, exchange: `${name}.mail.protection.outlook.com` }];
      zone[`A ${name}.mail.protection.outlook.com`] = ['8.8.8.8'];
    }
    node.start({ limits: { providers: { office365: { providerConnections: 1 } } } });
    node.enqueue({ domain: 'one.test' });
    await settled();
    node.sessions[0]!.opened();
    node.enqueue({ domain: 'two.test' });
    await settled();
    assert.equal(node.sessions.length, 1);
    node.sessions[0]!.finish();
    await settled();
    await node.pass(1000);
    assert.equal(node.sessions[0]!.state, 'closed');
    assert.equal(node.sessions[1]!.options.host, 'two.mail.protection.outlook.com');
  });

  it('a slow site holds its share of the room; the rest is requeued and other sites go on', async () => {
    zone['MX fast.test'] = [{ preference: 10, exchange: 'mx.fast.test' }];
    zone['A mx.fast.test'] = ['8.8.8.3'];
    node.start({ inHand: { items: 100, bytes: 1 << 20 } });
    for (let i = 0; i < 500; i += 1) node.enqueue();
    const other = node.enqueue({ domain: 'fast.test' });
    for (let i = 0; i < 30; i += 1) await node.pass(1000);
    assert.ok(node.egress.gauges().items <= 100);
    const released = node.engine.of('release');
    const looked = new Set(released.map(({ leased }) => leased.item.messageId));
    assert.ok(looked.size >= 400, 'all of the lane was looked at');
    assert.ok(released.every((each) => each.reason.code === 'site_limit' && each.until > 0));
    const fast = node.sessions.find((session) => session.options.host === 'mx.fast.test')!;
    fast.opened();
    assert.deepEqual(fast.seen, [other.recipient]);
  });

  it('a slow site requeues bulk mail to make room for transactional mail', async () => {
    node.start({ inHand: { items: 100, bytes: 1 << 20 } });
    for (let i = 0; i < 500; i += 1) node.enqueue({ lane: 'default:bulk:other' });
    for (let i = 0; i < 30; i += 1) await node.pass(1000);
    const before = node.engine.of('release').length;
    const urgent = node.enqueue();
    for (let i = 0; i < 5; i += 1) await node.pass(1000);
    const back = node.engine.of('release').slice(before);
    assert.ok(back.length > 0);
    assert.ok(back.every(({ leased }) => leased.item.messageId !== urgent.messageId));
    node.sessions[0]!.opened();
    assert.deepEqual(node.sessions[0]!.seen, [urgent.recipient]);
  });

  it('egress holds no more than its limit of bytes', async () => {
    node.start({ inHand: { items: 1000, bytes: 100_000 } });
    for (let i = 0; i < 200; i += 1) node.engine.enqueue(queueItem(node.clock.now()), Buffer.alloc(10_000));
    for (let i = 0; i < 10; i += 1) await node.pass(1000);
    // Mail leased before the first size was known may exceed the limit.
    assert.ok(node.egress.gauges().bytes <= 100_000, `${node.egress.gauges().bytes}`);
  });

  it('a few deliveries do not wait behind one slow transaction', async () => {
    node.start();
    node.enqueue();
    await settled();
    node.sessions[0]!.opened();
    node.enqueue();
    await settled();
    await node.pass(1000);
    assert.equal(node.sessions.length, 2);
  });
});
