/** Directives of operators and of reply rules, applied to mail in egress. */
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { compileRules } from '../../lib/automation/compile.ts';
import type { Alert } from '../../lib/automation/evaluate.ts';
import { type Directives, openDirectives } from '../../lib/control/directives.ts';
import type { EgressOptions } from '../../lib/egress/types.ts';
import { addressesOfAll, limits, refused, TestEgress } from '../support/egress.ts';
import { settled, TestConfig } from '../support/engine.ts';

let node: TestEgress;
let directives: Directives;
let alerts: Alert[];

async function start(options: Partial<EgressOptions> = {}): Promise<void> {
  node.start({ directives, onAlert: (alert) => alerts.push(alert), ...options });
  await node.bound();
}

const reasons = () => node.engine.of('release').map(({ reason }) => reason.code);

beforeEach(async () => {
  alerts = [];
  node = new TestEgress(addressesOfAll(['8.8.8.1']));
  directives = await openDirectives({ config: new TestConfig(), clock: node.clock });
});

afterEach(async () => {
  await node.stop();
  await directives.close();
});

describe('directives', () => {
  it('suspend waiting mail within 2 s, name their operator, and release it when they are removed', async () => {
    await start({ limits: limits({ connections: 1 }) });
    for (let i = 0; i < 3; i += 1) node.enqueue();
    await settled();
    node.sessions[0]!.opened();
    const order = { match: { domain: 'example.test' }, action: { kind: 'suspend' }, reason: 'maintenance' };
    const { id } = await directives.order(order, { operator: 'AKIAOPS' });
    await settled();
    assert.deepEqual(reasons(), ['suspended', 'suspended']);
    assert.match(
      node.engine.of('release')[0]!.reason.text,
      /maintenance \(directive suspend-.* for domain example\.test, by an administrator/,
    );
    const [explained] = await node.egress.explain({ domain: 'example.test' });
    assert.equal(explained!.binding!.limit, 'suspend');
    node.sessions[0]!.finish();
    await directives.remove(id);
    await node.pass(1000);
    node.enqueue();
    await settled();
    assert.equal(node.sessions[0]!.taken.length, 1);
  });

  it('that suspend mail let its lane rest, with their reason, and their end lets it go at once', async () => {
    await start();
    const order = { match: {}, action: { kind: 'suspend' }, reason: 'maintenance' };
    const { id } = await directives.order(order, { operator: 'AKIAOPS' });
    await node.pass(7_200_000, 60_000);
    const now = node.clock.now();
    // Of many domains: a lane of many providers rests for no single one.
    for (let i = 0; i < 30_000; i += 1) {
      const domain = `${i % 20}.example.test`;
      node.enqueue({ messageId: `m${i}`, domain, recipient: `bob@${domain}` });
    }
    for (let i = 0; i < 20; i += 1) await settled();
    const waits = node.engine.of('release').map(({ until }) => until - now);
    assert.ok(waits.length >= 20 && waits.length <= 2_000, `${waits.length} looked at`);
    assert.ok(
      waits.slice(0, 20).every((wait) => wait <= 2_000),
      'the first are looked at again within two seconds',
    );
    const latest = Math.max(...waits);
    assert.ok(latest <= 610_000, `${latest}`);
    await node.pass(60_000, 500);
    const more = node.engine.of('release').length - waits.length;
    assert.ok(more >= 3 && more <= 20, `${more} put back in a minute`);
    const rest = node.egress.laneRest('default:transactional:other')!;
    assert.equal(rest.code, 'suspended');
    assert.match(rest.text, /maintenance/);
    assert.ok(rest.until >= node.clock.now());
    assert.equal(node.sessions.length, 0);
    await directives.remove(id);
    await node.pass(1_000, 100);
    assert.ok(node.sessions.length > 0);
    assert.equal(node.egress.laneRest('default:transactional:other'), undefined);
  });

  it('that lift a limit release the mail that waited for it at once', async () => {
    await start({ limits: limits({ connections: 1 }) });
    const order = {
      match: { domain: 'example.test' },
      action: { kind: 'limit', limits: { messagesPerSecond: 0.01 } },
      reason: 'slow',
    };
    const site = { ...order, match: { site: 'mx.example.test' } };
    const { id } = await directives.order(site, { operator: 'x' });
    const items = [node.enqueue({ messageId: 'm1' }), node.enqueue({ messageId: 'm2' })];
    await settled();
    node.sessions[0]!.opened();
    node.sessions[0]!.finish();
    await node.pass(3000);
    assert.equal(node.sessions[0]!.taken.length, 0);
    const status = node.egress.waitStatus(items[1]!.messageId, items[1]!.n);
    assert.equal(status?.code, 'site_limit');
    assert.match(status.text, new RegExp(`^The limit is 36/h \\(messageRate, directive ${id}\\)`));
    assert.ok(status.until > node.clock.now() + 90_000);
    await directives.remove(id);
    await node.pass(1000);
    assert.equal(node.sessions[0]!.taken.length, 1);
    assert.equal(node.egress.waitStatus(items[1]!.messageId, items[1]!.n), undefined, 'it is under way');
  });

  it('that suspend an IP at a site send its mail by another IP', async () => {
    await start({ ips: ['127.0.0.1', '127.0.0.2'] });
    await directives.order(
      { match: { ip: '127.0.0.1', site: 'mx.example.test' }, action: { kind: 'suspend' }, reason: 'blocked' },
      { operator: 'x' },
    );
    await node.pass(1000);
    for (let i = 0; i < 4; i += 1) node.enqueue();
    await settled();
    assert.ok(node.sessions.length > 0);
    assert.ok(node.sessions.every(({ options }) => options.localAddress === '127.0.0.2'));
  });

  it('match an IP by its public address, not by its address on the host', async () => {
    const localAddresses = { '203.0.113.5': '127.0.0.1', '203.0.113.6': '127.0.0.2' };
    await start({ ips: Object.keys(localAddresses), localAddresses });
    await directives.order(
      { match: { ip: '203.0.113.5' }, action: { kind: 'suspend' }, reason: 'blocked' },
      { operator: 'x' },
    );
    await node.pass(1000);
    node.enqueue();
    await settled();
    assert.equal(node.sessions[0]!.options.localAddress, '127.0.0.2');
    node.sessions[0]!.opened();
    node.sessions[0]!.finish();
    await settled();
    assert.equal(node.engine.of('end')[0]!.attempt.ip, '203.0.113.6');
  });

  it('bounce, reroute and limit', async () => {
    await start({
      ips: ['127.0.0.1', '127.0.0.2'],
      pools: { default: ['127.0.0.1'], clean: ['127.0.0.2'] },
    });
    const order = (match: object, action: object) =>
      directives.order({ match, action, reason: 'test' }, { operator: 'x' });
    await order({ tenant: 'gone' }, { kind: 'bounce' });
    await order({ tenant: 'moved' }, { kind: 'reroute', pool: 'clean' });
    await order({ provider: 'other' }, { kind: 'limit', limits: { messagesPerConnection: 2 } });
    await node.pass(1000);
    node.enqueue({ tenant: 'gone' });
    node.enqueue({ tenant: 'moved' });
    await settled();
    const [ended] = node.engine.of('end');
    assert.equal(ended!.state, 'bounced');
    assert.equal(ended!.attempt.reason, 'stopped_by_directive');
    assert.equal(node.sessions.length, 1);
    assert.equal(node.sessions[0]!.options.localAddress, '127.0.0.2');
    assert.equal(node.sessions[0]!.options.maxTransactions, 2);
  });
});

describe('automation', () => {
  const rules = compileRules([
    {
      id: 'test.block',
      reason: 'Blocked for now.',
      match: { code: 421, text: 'blocked for now' },
      action: ['suspend', 'alert'],
      duration: '10m',
      samples: [],
    },
  ]);

  it('suspends on a reply, names rule and reply, and alerts', async () => {
    await start({ rules, limits: limits({ connections: 1 }) });
    for (let i = 0; i < 5; i += 1) node.enqueue();
    await settled();
    node.sessions[0]!.opened();
    node.sessions[0]!.finish(refused(421, 'you are blocked for now'));
    await settled();
    await node.pass(1000);
    assert.ok(reasons().includes('suspended'));
    const back = node.engine.of('release').find(({ reason }) => reason.code === 'suspended')!;
    assert.match(
      back.reason.text,
      /Blocked for now\. .*rule test\.block, after "421 you are blocked for now"/,
    );
    assert.equal(alerts.length, 1);
    assert.equal(directives.list()[0]!.match.ip, 'default');
  });

  it('acts on a reply in the greeting', async () => {
    await start({ rules });
    node.enqueue();
    await settled();
    node.sessions[0]!.end('peer_temporary', 'greeting', { code: 421, lines: ['blocked for now'] });
    await settled();
    assert.equal(directives.list().length, 1);
  });

  it('applies the retry time that a reply names', async () => {
    await start({ rules });
    node.enqueue();
    await settled();
    node.sessions[0]!.opened();
    node.sessions[0]!.finish(refused(451, 'Greylisted, try again in 40 minutes'));
    await settled();
    const [deferred] = node.engine.of('defer');
    assert.equal(deferred!.until, node.clock.now() + 40 * 60_000);
  });
});
