/** Warm-up plans, pools, lanes and routes in egress, also when they change at run time. */
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { CONFIG_KINDS } from '../../lib/control/config-kinds.ts';
import { type Directives, openDirectives } from '../../lib/control/directives.ts';
import { openDocuments } from '../../lib/control/documents.ts';
import { followDocuments } from '../../lib/egress/live-configuration.ts';
import type { EgressOptions } from '../../lib/egress/types.ts';
import { readRouting } from '../../lib/routing/router.ts';
import { WarmupBook } from '../../lib/warmup/book.ts';
import { readPlan } from '../../lib/warmup/plan.ts';
import { addressesOfAll, limits, TestEgress } from '../support/egress.ts';
import { settled, TestConfig } from '../support/engine.ts';

let node: TestEgress;
let directives: Directives;

async function start(options: Partial<EgressOptions> = {}): Promise<void> {
  node.start({ directives, ...options });
  await node.bound();
}

const reasons = () => node.engine.of('release').map(({ reason }) => reason.code);

beforeEach(async () => {
  node = new TestEgress(addressesOfAll(['8.8.8.1']));
  directives = await openDirectives({ config: new TestConfig(), clock: node.clock });
});

afterEach(async () => {
  await node.stop();
  await directives.close();
});

describe('warm-up', () => {
  const book = (days: { days: number; messages: number }[], ...ips: string[]): WarmupBook => {
    const warmup = new WarmupBook();
    for (const ip of ips) warmup.setPlan(ip, readPlan({ schedule: days }, ip));
    return warmup;
  };

  it('sends within the budget by a warming IP, the rest by warm IPs, and saves before it sends', async () => {
    const warmup = book([{ days: 1, messages: 3 }], '127.0.0.1');
    await start({ ips: ['127.0.0.1', '127.0.0.2'], warmup });
    const seen: string[] = [];
    for (let round = 0; round < 60; round += 1) {
      if (round < 40 && round % 2 === 0) node.enqueue();
      for (const session of node.sessions) {
        if (session.state === 'opening') session.opened();
        while (session.taken.length > 0) {
          seen.push(session.options.localAddress!);
          session.finish();
        }
      }
      await node.pass(100, 100);
    }
    assert.equal(seen.length, 20);
    assert.equal(seen.filter((ip) => ip === '127.0.0.1').length, 3);
    assert.ok(await node.engine.others.leases.checkpoint('warmup:127.0.0.1'));
  });

  it('requeues mail beyond every budget with the reason, until there is budget', async () => {
    const warmup = book([{ days: 1, messages: 1 }], '127.0.0.1');
    await start({ ips: ['127.0.0.1'], warmup });
    node.enqueue();
    await node.pass(3000, 100);
    node.enqueue();
    await settled();
    node.sessions[0]!.opened();
    node.sessions[0]!.finish();
    await node.pass(3000, 100);
    for (let i = 0; i < 3; i += 1) node.enqueue();
    await node.pass(2000, 100);
    const back = node.engine.of('release').filter(({ reason }) => reason.code === 'warmup_limit');
    assert.ok(back.length >= 3, reasons().join());
    assert.match(back.at(-1)!.reason.text, /127\.0\.0\.1 warms up at other: 1 of 1 messages today/);
    const [explained] = await node.egress.explain({ domain: 'example.test' });
    assert.equal(explained!.binding!.limit, 'warm-up');
    const wait = back.at(-1)!.until - node.clock.now();
    assert.ok(wait > 0 && wait <= 61_000, `${wait}: a plan that is changed is not noticed tomorrow only`);
  });
});

describe('routing', () => {
  const relay = { ips: ['127.0.0.1'], smarthost: '127.0.0.1:2525' };

  it('sends a share of a pool to a smarthost, and none of the mail of a tenant that stays', async () => {
    const split = { from: 'default', to: [{ pool: 'relay', percent: 100 }], stays: { tenants: ['acme'] } };
    const routing = readRouting(
      { pools: { default: { ips: ['127.0.0.1'] }, relay }, splits: [split] },
      'routing',
    );
    await start({ ips: ['127.0.0.1'], routing });
    node.enqueue();
    node.enqueue({ tenant: 'acme' });
    await settled();
    assert.deepEqual(new Set(node.sessions.map(({ options }) => options.port)), new Set([25, 2525]));
  });

  it('sends by a smarthost from the address that the host chooses', async () => {
    const routing = readRouting(
      { pools: { default: { ips: ['default'], smarthost: '127.0.0.1:2525' } } },
      'routing',
    );
    await start({ routing });
    node.enqueue();
    await settled();
    assert.equal(node.sessions[0]!.options.port, 2525);
  });

  it('follows a directive to a smarthost, and from one', async () => {
    const pools = { default: { ips: ['127.0.0.1'] }, relay };
    await start({ ips: ['127.0.0.1'], routing: readRouting({ pools }, 'routing') });
    const reroute = (pool: string) =>
      directives.order({ match: {}, action: { kind: 'reroute', pool }, reason: 'test' }, { operator: 'x' });
    await reroute('relay');
    node.enqueue();
    await settled();
    assert.deepEqual(
      node.sessions.map(({ options }) => options.port),
      [2525],
    );
    const split = { from: 'default', to: [{ pool: 'relay', percent: 100 }] };
    node.egress.setRouting(readRouting({ pools, splits: [split] }, 'routing'));
    await reroute('default');
    node.enqueue({ domain: 'other.test' });
    await settled();
    assert.deepEqual(
      node.sessions.map(({ options }) => options.port),
      [2525, 25],
    );
  });
});

describe('lanes', () => {
  it('learn the provider of a domain from deliveries, but not from static routes', async () => {
    const found: [string, string][] = [];
    const routes = [{ domain: 'routed.google.com', host: '127.0.0.1', port: 2525 }];
    await start({ laneGroups: { found: (...all) => void found.push(all) }, routes });
    node.enqueue({ domain: 'google.com' });
    node.enqueue({ domain: 'example.test' });
    node.enqueue({ domain: 'routed.google.com' });
    await settled();
    assert.deepEqual(found, [
      ['google.com', 'google'],
      ['example.test', 'other'],
    ]);
  });

  it('exist for the pools of the routing document as soon as it is applied', async () => {
    await start({ ips: ['127.0.0.1'], pools: { old: ['127.0.0.1'] } });
    const pools = () => ['default', 'old', 'vip'].map((name) => node.egress.hasPool(name));
    assert.deepEqual(pools(), [true, true, false]);
    node.egress.setRouting(readRouting({ pools: { vip: { ips: ['127.0.0.1'] } } }, 'routing'));
    assert.deepEqual(pools(), [true, false, true]);
  });
});

describe('explain', () => {
  it('names every limit with its value and rule, and what is unknown', async () => {
    await start({ ips: ['127.0.0.1'], limits: limits({ for: [{ tenant: 'acme', messageRate: '7/s' }] }) });
    const [explained] = await node.egress.explain({ domain: 'example.test', tenant: 'acme' });
    assert.equal(explained!.site, 'mx.example.test');
    assert.equal(explained!.ip, '127.0.0.1');
    assert.equal(explained!.binding, undefined);
    assert.equal(explained!.nextAt, node.clock.now());
    const lines = new Map(explained!.lines.map(({ limit, origin, value }) => [`${limit} ${origin}`, value]));
    assert.equal(lines.get('connections built-in.default'), '10');
    assert.equal(lines.get('messageRate limits.default'), 'unlimited');
    assert.equal(lines.get('messageRate of tenant=acme limits.default.for[0]'), '7/s');
    assert.equal(lines.get('deadlines.dataEnd SMTP client'), '600s');
    assert.ok(explained!.lines.every(({ origin }) => origin !== ''));
    await assert.rejects(node.egress.explain({}), /Name a domain or a site/);
    await assert.rejects(node.egress.explain({ site: 'nowhere' }), /Nothing was sent to the site nowhere/);
    await assert.rejects(
      node.egress.explain({ domain: 'example.test', ip: '192.0.2.1' }),
      /no source address/,
    );
  });

  it('lists the addresses of the mail’s own pool and of those that it overflows to, and of no other', async () => {
    const routing = readRouting(
      {
        pools: {
          default: { ips: ['127.0.0.1'], overflow: 'spare' },
          spare: { ips: ['127.0.0.2'] },
          acme: { ips: ['127.0.0.3'], dedicatedTo: { tenants: ['acme'] } },
        },
      },
      'routing',
    );
    await start({ ips: ['127.0.0.1', '127.0.0.2', '127.0.0.3'], routing });
    const from = async (query: object): Promise<(string | undefined)[]> =>
      (await node.egress.explain({ domain: 'example.test', ...query })).map(({ ip }) => ip);
    assert.deepEqual(await from({}), ['127.0.0.1', '127.0.0.2']);
    assert.deepEqual(await from({ pool: 'spare' }), ['127.0.0.2']);
    assert.deepEqual(await from({ tenant: 'acme' }), ['127.0.0.3']);
    assert.deepEqual(await from({ ip: '127.0.0.3' }), ['127.0.0.3'], 'by the pool that has it');
    await assert.rejects(from({ pool: 'spare', ip: '127.0.0.1' }), /127\.0\.0\.1 is not in pool "spare"/);
  });
});

describe('documents that change at run time', () => {
  it('are applied', async () => {
    const documents = await openDocuments({
      config: new TestConfig(),
      clock: node.clock,
      kinds: CONFIG_KINDS,
    });
    const put = (kind: string, value: unknown) => documents.put(kind, 'default', value, { by: 'x' });
    await put('limits', { default: { messagesPerConnection: 7 } });
    const warmup = new WarmupBook();
    const problems: string[] = [];
    await start({ ips: ['127.0.0.1', '127.0.0.2'], warmup });
    const stop = followDocuments(node.egress, documents, warmup, (kind, error) =>
      problems.push(`${kind} ${error.message}`),
    );
    node.enqueue();
    await settled();
    assert.equal(node.sessions[0]!.options.maxTransactions, 7);
    await put('routing', { pools: { default: { ips: ['127.0.0.2'] } } });
    await put('warmup', { '127.0.0.2': { schedule: [{ days: 1, messages: 1000 }] } });
    assert.deepEqual(warmup.ips(), ['127.0.0.2']);
    await node.pass(500, 100);
    node.enqueue({ domain: 'other.test' });
    await node.pass(2000, 100);
    node.enqueue({ domain: 'other.test' });
    await settled();
    assert.equal(
      node.sessions.at(-1)!.options.localAddress,
      '127.0.0.2',
      'its state was read when the plan came',
    );
    assert.deepEqual(problems, []);
    await put('warmup', {});
    assert.deepEqual(warmup.ips(), []);
    stop();
    await put('warmup', { '127.0.0.2': {} });
    assert.deepEqual(warmup.ips(), [], 'followed no longer');
  });
});
