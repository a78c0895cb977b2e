/** Limits of mail streams and of connections, in egress. */
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { type Directives, openDirectives } from '../../lib/control/directives.ts';
import type { EgressOptions } from '../../lib/egress/types.ts';
import type { HolderReport } from '../../lib/shaping/division/terms.ts';
import { limitTable } from '../../lib/shaping/limits/table.ts';
import { addressesOfAll, limits, refused, TestEgress } from '../support/egress.ts';
import { settled, TestConfig } from '../support/engine.ts';
import { division } from '../support/shares.ts';

let node: TestEgress;
let directives: Directives;
let addresses: string[];

/** The division of the quota `daily` on the day on which tests begin. */
const DAILY = 'divide/quota/daily/2026-01-01';

/** Other nodes have used so much of the quota. */
function used(count: number): Promise<void> {
  return node.engine.others.leases.saveCheckpoint(DAILY, division({ gone: [count] }));
}

/** Another node has so many messages under way of the shared concurrency `acme`. */
function anotherNode(running: number): Promise<void> {
  const { leases } = node.engine.others;
  const report: HolderReport = {
    count: 1,
    start: 0,
    node: 'other',
    grant: 0,
    held: running,
    used: running,
    want: running,
    pace: 0,
    ages: [],
  };
  return leases.report('divide/permits/acme', 'other', 1, report);
}

async function start(options: Partial<EgressOptions> = {}): Promise<void> {
  node.start({ directives, ...options });
  await node.bound();
}

beforeEach(async () => {
  addresses = ['8.8.8.1'];
  node = new TestEgress(addressesOfAll(addresses));
  directives = await openDirectives({ config: new TestConfig(), clock: node.clock });
});

afterEach(async () => {
  await node.stop();
  await directives.close();
});

describe('limits of mail streams', () => {
  it('a tenant’s rate lets other mail pass, and mail far behind it is requeued with the rule in its reason', async () => {
    await start({ limits: limits({ for: [{ tenant: 'slow', messageRate: '1/min' }] }) });
    for (let i = 0; i < 10; i += 1) node.enqueue({ tenant: 'slow' });
    for (let i = 0; i < 3; i += 1) node.enqueue({ tenant: 'quick', recipient: `quick${i}@example.test` });
    await settled();
    node.sessions[0]!.opened();
    for (let i = 0; i < 4; i += 1) node.sessions[0]!.finish();
    await settled();
    assert.equal(node.sessions[0]!.seen.length, 4);
    assert.equal(node.sessions[0]!.seen.filter((name) => name.startsWith('quick')).length, 3);
    const [back] = node.engine.of('release');
    assert.equal(back!.reason.code, 'sender_limit');
    assert.match(
      back!.reason.text,
      /4 more of the same mail|limited to 1\/min \(limits\.default\.for\[0\]\)/,
    );
  });

  it('a shared limit lets out exactly what the engine grants', async () => {
    await used(998);
    await start({
      limits: limits({}, { shared: { daily: { match: { tenant: 'main' }, quota: '1000/d' } } }),
    });
    for (let i = 0; i < 4; i += 1) node.enqueue();
    await settled();
    await node.pass(1000, 20);
    node.sessions[0]!.opened();
    for (let i = 0; i < 4 && node.sessions[0]!.taken.length > 0; i += 1) {
      node.sessions[0]!.finish();
      await node.pass(100, 20);
    }
    await node.pass(3000, 100);
    assert.equal(node.sessions[0]!.seen.length, 2);
    const { bucketRequests, bucketsEmpty, bucketFailures } = node.egress.counters;
    assert.ok(bucketsEmpty > 0 && bucketRequests > bucketsEmpty);
    assert.equal(bucketFailures, 0);
  });

  it('a spent daily quota holds mail until midnight, with rechecks before', async () => {
    const midnight = Date.UTC(2026, 0, 2);
    await used(1000);
    await start({
      limits: limits({}, { shared: { daily: { match: { tenant: 'main' }, quota: '1000/d' } } }),
    });
    for (let i = 0; i < 10; i += 1) node.enqueue();
    await node.pass(2000, 20);
    node.enqueue();
    await settled();
    const { until, reason } = node.engine.of('release').at(-1)!;
    assert.ok(until < node.clock.now() + 120_000, 'the quota may be raised');
    assert.equal(reason.until, midnight);
    const [explained] = await node.egress.explain({ domain: 'example.test', tenant: 'main' });
    assert.equal(explained!.nextAt, midnight);
  });

  it('a shared concurrency holds over all sites, and waiting mail of any site goes when one ends', async () => {
    await start({
      limits: limits({}, { shared: { acme: { match: { tenant: 'main' }, concurrency: 2 } } }),
    });
    for (const domain of ['a.test', 'b.test', 'c.test']) {
      node.enqueue({ domain });
      node.enqueue({ domain });
    }
    await settled();
    for (const session of node.sessions) session.opened();
    await node.pass(1000, 20);
    const underWay = (): number => node.sessions.reduce((sum, { taken }) => sum + taken.length, 0);
    assert.equal(underWay(), 2);
    const [explained] = await node.egress.explain({ domain: 'a.test', tenant: 'main' });
    assert.equal(explained!.binding?.limit, 'shared acme');
    assert.equal(explained!.binding?.used, '2 under way of 2 that this node holds');
    const idle = node.sessions.findIndex(({ taken }) => taken.length === 0);
    for (let done = 0; done < 6; done += 1) {
      node.sessions.find(({ taken }) => taken.length > 0)!.finish();
      await node.pass(20, 20);
      if (done === 0) assert.equal(node.sessions[idle]!.taken.length, 1, 'who waited longest is next');
      assert.ok(underWay() <= 2 && underWay() >= Math.min(1, 5 - done), `${underWay()} after ${done + 1}`);
    }
    assert.equal(node.engine.of('end').length, 6);
    await node.pass(62_000, 500);
    assert.deepEqual(
      await node.engine.others.leases.reports('divide/permits/acme'),
      [],
      'nothing is kept unused',
    );
  });

  it('a shared concurrency held by other nodes lets nothing out, and explain shows it', async () => {
    await anotherNode(2);
    await start({
      limits: limits({}, { shared: { acme: { match: { tenant: 'main' }, concurrency: 2 } } }),
    });
    node.enqueue();
    await settled();
    node.sessions[0]?.opened();
    await node.pass(3000, 100);
    assert.equal(node.sessions.flatMap(({ seen }) => seen).length, 0);
    const [explained] = await node.egress.explain({ domain: 'example.test', tenant: 'main' });
    assert.equal(explained!.binding?.used, '0 under way of 0 that this node holds');
    assert.ok(node.egress.counters.bucketsEmpty > 0);
    await node.engine.others.leases.forget('divide/permits/acme', 'other', 1);
    await node.pass(4000, 100);
    for (const session of node.sessions) if (session.state === 'opening') session.opened();
    await node.pass(2000, 100);
    assert.equal(node.sessions.flatMap(({ seen }) => seen).length, 1);
  });

  it('a domain’s connection limit holds within that of the site', async () => {
    await start({
      limits: limits({}, { domains: { 'example.test': { messagesPerConnection: 3, idle: '7s' } } }),
    });
    node.enqueue();
    await settled();
    assert.equal(node.sessions[0]!.options.maxTransactions, 3);
    assert.equal(node.sessions[0]!.options.idle, 7000);
  });

  it('a shorter maximum age ends deliveries sooner', async () => {
    await start({ limits: limits({}, { domains: { 'example.test': { maxAge: '1h' } } }) });
    node.enqueue({ acceptedAt: node.clock.now() - 3_600_001 });
    await settled();
    assert.equal(node.engine.of('end')[0]!.state, 'expired');
  });
});

describe('limits of connections', () => {
  it('TLS, deadlines and prohibited hosts are applied', async () => {
    const site = { tls: 'required', deadlines: { greeting: '30s' }, prohibitedMx: ['8.8.0.0/16'] };
    addresses.splice(0, addresses.length, ...['8.8.8.1', '9.9.9.9']);
    await start({ limits: limits({}, { sites: { 'mx.example.test': site } }) });
    node.enqueue();
    await settled();
    const { options } = node.sessions[0]!;
    assert.equal(options.tls, 'required');
    assert.equal(options.deadlines.greeting, 30_000);
    assert.equal(options.deadlines.rcpt, 300_000);
    assert.equal(options.address, '9.9.9.9');
  });

  it('a site with prohibited hosts only gets no connection', async () => {
    await start({ limits: limits({ prohibitedMx: ['example.test'] }) });
    node.enqueue();
    await settled();
    assert.equal(node.engine.of('end')[0]!.attempt.reason, 'mx_prohibited');
  });

  it('the order of address families is applied', async () => {
    addresses.splice(0, addresses.length, ...['8.8.8.1', '2001:4860:4860::8888']);
    await start({ limits: limits({ addressFamilies: 'ipv6-first' }) });
    node.enqueue();
    await settled();
    assert.equal(node.sessions[0]!.options.address, '2001:4860:4860::8888');
  });

  it('that change at run time hold for the next message', async () => {
    await start();
    node.enqueue();
    await settled();
    node.sessions[0]!.opened();
    node.sessions[0]!.finish();
    node.egress.setLimits(limitTable(limits({ messageRate: '1/h' })));
    for (let i = 0; i < 3; i += 1) node.enqueue();
    await settled();
    assert.equal(node.sessions[0]!.seen.length, 2);
    await node.pass(2000);
    assert.equal(node.sessions[0]!.seen.length, 2);
    const [explained] = await node.egress.explain({ domain: 'example.test' });
    node.sessions[0]!.finish();
    assert.equal(explained!.binding?.limit, 'messageRate');
    assert.equal(explained!.binding?.value, '1/h');
    assert.equal(explained!.binding?.origin, 'limits.default');
    assert.equal(explained!.waiting, 2);
    assert.ok(explained!.nextAt > node.clock.now() + 3_590_000);
    assert.equal(node.egress.sites()[0]!.reason!.code, 'site_limit');
    assert.match(node.egress.sites()[0]!.reason!.text, /1\/h \(messageRate, limits\.default\)/);
  });

  it('learnt from a throttling reply lower the rate, and explain shows them', async () => {
    await start({ limits: limits({ messageRate: '100/s', connections: 1, messagesPerConnection: 10_000 }) });
    for (let i = 0; i < 400; i += 1) node.enqueue();
    await settled();
    node.sessions[0]!.opened();
    for (let i = 0; i < 100; i += 1) {
      while (node.sessions[0]!.taken.length > 0) node.sessions[0]!.finish();
      await node.pass(20, 20);
    }
    for (let i = 0; i < 50 && node.sessions[0]!.taken.length === 0; i += 1) await node.pass(1, 1);
    node.sessions[0]!.finish(refused(451, 'Too many messages, slow down', '4.7.0'));
    await settled();
    const before = node.sessions[0]!.seen.length;
    for (let i = 0; i < 50; i += 1) {
      while (node.sessions[0]!.taken.length > 0) node.sessions[0]!.finish();
      await node.pass(20, 20);
    }
    const second = node.sessions[0]!.seen.length - before;
    assert.ok(second >= 75 && second <= 95, `${second} in a second, of 100 before`);
    while (node.sessions[0]!.taken.length > 0) node.sessions[0]!.finish();
    const [explained] = await node.egress.explain({ domain: 'example.test' });
    const [learnt, own] = ['learnt', 'limits.default'].map((from) =>
      explained!.lines.find(({ limit, origin }) => limit === 'messageRate' && origin === from),
    );
    assert.deepEqual(explained!.binding, learnt, 'the rate that is held, and not the rule');
    assert.ok((own!.wait ?? 0) < learnt!.wait!, `${own!.wait} of the rule, ${learnt!.wait} learnt`);
    const { text } = node.egress.sites()[0]!.reason!;
    assert.match(text, /^The site asked for less: held at \d+(\.\d+)? messages a second/);
    const { mail, paths } = node.egress.held();
    const waiting = mail.filter(({ path }) => path !== undefined).reduce((sum, one) => sum + one.waiting, 0);
    assert.deepEqual([waiting, paths.length], [explained!.waiting, 1]);
    const { binding, nextAt } = paths[0]!.why();
    assert.deepEqual([binding!.origin, nextAt], ['learnt', explained!.nextAt]);
    assert.ok(paths[0]!.limit < 100 && paths[0]!.rate > 50, `${paths[0]!.rate} of ${paths[0]!.limit}`);
  });
});
