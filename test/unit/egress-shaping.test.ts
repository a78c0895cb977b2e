import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import type { Resolver } from '../../egress-node/dns/resolver.ts';
import { startEgress } from '../../egress-node/egress/egress.ts';
import { followDocuments } from '../../egress-node/egress/live-configuration.ts';
import type { Egress, EgressOptions } from '../../egress-node/egress/types.ts';
import type { RecipientResult } from '../../egress-node/smtp/types.ts';
import { type Directives, openDirectives } from '../../lib/control/directives.ts';
import type { QueueItem } from '../../lib/engine/items.ts';
import { compileRules } from '../../lib/shaping/automation/compile.ts';
import type { Alert } from '../../lib/shaping/automation/evaluate.ts';
import type { LimitDocument, LimitEntry } from '../../lib/shaping/limits/check.ts';
import { readRouting } from '../../lib/shaping/routing/router.ts';
import { WarmupBook } from '../../lib/shaping/warmup/book.ts';
import { readPlan } from '../../lib/shaping/warmup/plan.ts';
import { seededRandom, TestClock } from '../support/clock.ts';
import { FakeEngine, FakeSession, queueItem, settle } from '../support/egress-fakes.ts';
import { MemoryConfig } from '../support/memory-config.ts';

let clock: TestClock;
let engine: FakeEngine;
let sessions: FakeSession[];
let egress: Egress;
let directives: Directives;
let alerts: Alert[];
let addresses: string[];

const resolver = {
  resolve: async (name: string, type: string) => {
    const expiresAt = Number.POSITIVE_INFINITY;
    if (type === 'MX')
      return { kind: 'found', records: [{ preference: 10, exchange: `mx.${name}` }], expiresAt };
    const wanted = addresses.filter((address) => address.includes(':') === (type === 'AAAA'));
    return wanted.length === 0 ? { kind: 'empty', expiresAt } : { kind: 'found', records: wanted, expiresAt };
  },
} as unknown as Resolver;

/** Limits without a message rate but for what is given. */
function limits(change: LimitEntry, more: Omit<LimitDocument, 'default'> = {}): LimitDocument {
  return { default: { messageRate: 'unlimited', ...change }, ...more };
}

async function start(options: Partial<EgressOptions> = {}): Promise<void> {
  egress = startEgress({
    engine: engine.engine(),
    resolver,
    clock,
    random: seededRandom(1),
    node: 'node-1',
    limits: limits({}),
    ehloName: 'out.sender.test',
    directives,
    onAlert: (alert) => alerts.push(alert),
    open(session) {
      const fake = new FakeSession(session, clock);
      sessions.push(fake);
      return fake;
    },
    ...options,
  });
  await until(() => egress.sources().every(({ usable, trouble }) => usable || !trouble.includes('yet')));
}

/** What is waited for is the kernel's answer (can the address be bound), not a time. */
async function until(done: () => boolean): Promise<void> {
  for (let i = 0; i < 10_000 && !done(); i += 1) await new Promise<void>((resolve) => setImmediate(resolve));
  await settle();
}

function enqueue(change: Partial<QueueItem> = {}): QueueItem {
  const item = queueItem(clock.now(), change);
  engine.enqueue(item);
  return item;
}

async function pass(ms: number, step = 1000): Promise<void> {
  for (let left = ms; left > 0; left -= step) {
    clock.advance(Math.min(step, left));
    await settle();
  }
}

const refused = (code: number, text: string, enhanced?: string): Partial<RecipientResult> => ({
  kind: 'refused',
  phase: 'rcpt',
  reply: { code, enhanced, lines: [text] },
});
const reasons = () => engine.of('release').map(({ reason }) => reason.code);

beforeEach(async () => {
  clock = new TestClock();
  engine = new FakeEngine(clock);
  sessions = [];
  alerts = [];
  addresses = ['8.8.8.1'];
  directives = await openDirectives({ config: new MemoryConfig(), clock });
});

afterEach(async () => {
  const stopped = egress.stop();
  await settle();
  for (const session of sessions) if (session.state !== 'closed') session.destroy();
  await pass(21_000);
  await stopped;
  await directives.close();
});

describe('limits of some mail', () => {
  it('a tenant’s own rate lets others pass, and what is far behind is put back with the rule that says so', async () => {
    await start({ limits: limits({ for: [{ tenant: 'slow', messageRate: '1/min' }] }) });
    for (let i = 0; i < 10; i += 1) enqueue({ tenant: 'slow' });
    for (let i = 0; i < 3; i += 1) enqueue({ tenant: 'quick', recipient: `quick${i}@example.test` });
    await settle();
    sessions[0]!.opened();
    for (let i = 0; i < 4; i += 1) sessions[0]!.finish();
    await settle();
    assert.equal(sessions[0]!.seen.length, 4);
    assert.equal(sessions[0]!.seen.filter((name) => name.startsWith('quick')).length, 3);
    const [back] = engine.of('release');
    assert.equal(back!.reason.code, 'sender_limit');
    assert.match(
      back!.reason.text,
      /4 more of the same mail|limited to 1\/min \(limits\.default\.for\[0\]\)/,
    );
  });

  it('a shared limit lets go what the engine grants, and no more', async () => {
    engine.buckets.set('quota/daily/2026-01-01', 2);
    await start({
      limits: limits({}, { shared: { daily: { match: { tenant: 'main' }, quota: '1000/d' } } }),
    });
    for (let i = 0; i < 4; i += 1) enqueue();
    await settle();
    await pass(1000, 20);
    sessions[0]!.opened();
    for (let i = 0; i < 4 && sessions[0]!.taken.length > 0; i += 1) {
      sessions[0]!.finish();
      await pass(100, 20);
    }
    assert.equal(sessions[0]!.seen.length, 2);
    const { bucketRequests, bucketsEmpty, bucketFailures } = egress.counters;
    assert.ok(bucketsEmpty > 0 && bucketRequests > bucketsEmpty);
    assert.equal(bucketFailures, 0);
  });

  it('a shared concurrency holds over all sites, and what waits anywhere goes when one ends', async () => {
    await start({
      limits: limits({}, { shared: { acme: { match: { tenant: 'main' }, concurrency: 2 } } }),
    });
    for (const domain of ['a.test', 'b.test', 'c.test']) {
      enqueue({ domain });
      enqueue({ domain });
    }
    await settle();
    for (const session of sessions) session.opened();
    await pass(1000, 20);
    const underWay = (): number => sessions.reduce((sum, { taken }) => sum + taken.length, 0);
    assert.equal(underWay(), 2);
    const [explained] = await egress.explain({ domain: 'a.test', tenant: 'main' });
    assert.equal(explained!.binding?.limit, 'shared acme');
    assert.equal(explained!.binding?.used, '2 under way of 2 that this node holds');
    const idle = sessions.findIndex(({ taken }) => taken.length === 0);
    for (let done = 0; done < 6; done += 1) {
      sessions.find(({ taken }) => taken.length > 0)!.finish();
      await pass(20, 20);
      if (done === 0) assert.equal(sessions[idle]!.taken.length, 1, 'who waited longest is next');
      assert.ok(underWay() <= 2 && underWay() >= Math.min(1, 5 - done), `${underWay()} after ${done + 1}`);
    }
    assert.equal(engine.of('end').length, 6);
    await pass(12_000);
    assert.deepEqual(
      engine.permits.get('permits/acme')!.map(({ held }) => held),
      [0],
      'what is not used is given back',
    );
  });

  it('a shared concurrency of which others hold all lets nothing go, and says so', async () => {
    engine.permits.set('permits/acme', [{ owner: 'other', held: 2, want: 2 }]);
    await start({
      limits: limits({}, { shared: { acme: { match: { tenant: 'main' }, concurrency: 2 } } }),
    });
    enqueue();
    await settle();
    sessions[0]?.opened();
    await pass(3000, 100);
    assert.equal(sessions.flatMap(({ seen }) => seen).length, 0);
    const [explained] = await egress.explain({ domain: 'example.test', tenant: 'main' });
    assert.equal(explained!.binding?.used, '0 under way of 0 that this node holds');
    assert.ok(egress.counters.bucketsEmpty > 0);
    engine.permits.set('permits/acme', []);
    await pass(2000, 100);
    for (const session of sessions) if (session.state === 'opening') session.opened();
    await pass(2000, 100);
    assert.equal(sessions.flatMap(({ seen }) => seen).length, 1);
  });

  it('a domain’s own connections are its own, within those of the site', async () => {
    await start({
      limits: limits({}, { domains: { 'example.test': { messagesPerConnection: 3, idle: '7s' } } }),
    });
    enqueue();
    await settle();
    assert.equal(sessions[0]!.options.maxTransactions, 3);
    assert.equal(sessions[0]!.options.idle, 7000);
  });

  it('an age of their own ends deliveries sooner', async () => {
    await start({ limits: limits({}, { domains: { 'example.test': { maxAge: '1h' } } }) });
    enqueue({ acceptedAt: clock.now() - 3_600_001 });
    await settle();
    assert.equal(engine.of('end')[0]!.state, 'expired');
  });
});

describe('limits of connections', () => {
  it('TLS as required, deadlines, and no prohibited host', async () => {
    const site = { tls: 'required', deadlines: { greeting: '30s' }, prohibitedMx: ['8.8.0.0/16'] };
    addresses = ['8.8.8.1', '9.9.9.9'];
    await start({ limits: limits({}, { sites: { 'mx.example.test': site } }) });
    enqueue();
    await settle();
    const { options } = sessions[0]!;
    assert.equal(options.tls, 'required');
    assert.equal(options.deadlines.greeting, 30_000);
    assert.equal(options.deadlines.rcpt, 300_000);
    assert.equal(options.address, '9.9.9.9');
  });

  it('a site all of whose hosts are prohibited gets nothing', async () => {
    await start({ limits: limits({ prohibitedMx: ['example.test'] }) });
    enqueue();
    await settle();
    assert.equal(engine.of('end')[0]!.attempt.reason, 'mx_prohibited');
  });

  it('the order of address families', async () => {
    addresses = ['8.8.8.1', '2001:4860:4860::8888'];
    await start({ limits: limits({ addressFamilies: 'ipv6-first' }) });
    enqueue();
    await settle();
    assert.equal(sessions[0]!.options.address, '2001:4860:4860::8888');
  });

  it('that change while running hold for the next message', async () => {
    await start();
    enqueue();
    await settle();
    sessions[0]!.opened();
    sessions[0]!.finish();
    egress.setLimits(limits({ messageRate: '1/h' }));
    assert.throws(() => egress.setLimits({ default: { connections: -1 } }), /limits\.default\.connections/);
    for (let i = 0; i < 3; i += 1) enqueue();
    await settle();
    assert.equal(sessions[0]!.seen.length, 2);
    await pass(2000);
    assert.equal(sessions[0]!.seen.length, 2);
    const [explained] = await egress.explain({ domain: 'example.test' });
    sessions[0]!.finish();
    assert.equal(explained!.binding?.limit, 'messageRate');
    assert.equal(explained!.binding?.value, '1/h');
    assert.equal(explained!.binding?.origin, 'limits.default');
    assert.equal(explained!.waiting, 2);
    assert.ok(explained!.nextAt > clock.now() + 3_590_000);
    assert.equal(egress.sites()[0]!.reason!.code, 'site_limit');
    assert.match(egress.sites()[0]!.reason!.text, /1\/h \(messageRate, limits\.default\)/);
  });

  it('that a throttling reply asks for lower the rate, and say so', async () => {
    await start({ limits: limits({ messageRate: '100/s', connections: 1, messagesPerConnection: 10_000 }) });
    for (let i = 0; i < 400; i += 1) enqueue();
    await settle();
    sessions[0]!.opened();
    for (let i = 0; i < 100; i += 1) {
      while (sessions[0]!.taken.length > 0) sessions[0]!.finish();
      await pass(20, 20);
    }
    for (let i = 0; i < 50 && sessions[0]!.taken.length === 0; i += 1) await pass(1, 1);
    sessions[0]!.finish(refused(451, 'Too many messages, slow down', '4.7.0'));
    await settle();
    const before = sessions[0]!.seen.length;
    for (let i = 0; i < 50; i += 1) {
      while (sessions[0]!.taken.length > 0) sessions[0]!.finish();
      await pass(20, 20);
    }
    const second = sessions[0]!.seen.length - before;
    assert.ok(second >= 75 && second <= 95, `${second} in a second, of 100 before`);
    const [explained] = await egress.explain({ domain: 'example.test' });
    assert.ok(explained!.lines.some(({ limit, origin }) => limit === 'messageRate' && origin === 'learnt'));
  });
});

describe('directives', () => {
  it('suspend what waits within two seconds, say who ordered it, and let go when they are removed', async () => {
    await start({ limits: limits({ connections: 1 }) });
    for (let i = 0; i < 3; i += 1) enqueue();
    await settle();
    sessions[0]!.opened();
    const order = { match: { domain: 'example.test' }, action: { kind: 'suspend' }, reason: 'maintenance' };
    const { id } = await directives.order(order, { operator: 'AKIAOPS' });
    await pass(2000);
    assert.deepEqual(reasons(), ['suspended', 'suspended']);
    assert.match(
      engine.of('release')[0]!.reason.text,
      /maintenance \(directive suspend-.* for domain example\.test, by AKIAOPS/,
    );
    const [explained] = await egress.explain({ domain: 'example.test' });
    assert.equal(explained!.binding!.limit, 'suspend');
    sessions[0]!.finish();
    await directives.remove(id);
    await pass(1000);
    enqueue();
    await settle();
    assert.equal(sessions[0]!.taken.length, 1);
  });

  it('that close an IP at a site send its mail by another', async () => {
    await start({ ips: ['127.0.0.1', '127.0.0.2'] });
    await directives.order(
      { match: { ip: '127.0.0.1', site: 'mx.example.test' }, action: { kind: 'suspend' }, reason: 'blocked' },
      { operator: 'x' },
    );
    await pass(1000);
    for (let i = 0; i < 4; i += 1) enqueue();
    await settle();
    assert.ok(sessions.length > 0);
    assert.ok(sessions.every(({ options }) => options.localAddress === '127.0.0.2'));
  });

  it('know an IP by its public address, whatever address of the host stands for it', async () => {
    const localAddresses = { '203.0.113.5': '127.0.0.1', '203.0.113.6': '127.0.0.2' };
    await start({ ips: Object.keys(localAddresses), localAddresses });
    await directives.order(
      { match: { ip: '203.0.113.5' }, action: { kind: 'suspend' }, reason: 'blocked' },
      { operator: 'x' },
    );
    await pass(1000);
    enqueue();
    await settle();
    assert.equal(sessions[0]!.options.localAddress, '127.0.0.2');
    sessions[0]!.opened();
    sessions[0]!.finish();
    await settle();
    assert.equal(engine.of('end')[0]!.attempt.ip, '203.0.113.6');
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
    await pass(1000);
    enqueue({ tenant: 'gone' });
    enqueue({ tenant: 'moved' });
    await settle();
    const [ended] = engine.of('end');
    assert.equal(ended!.state, 'bounced');
    assert.equal(ended!.attempt.reason, 'stopped_by_directive');
    assert.equal(sessions.length, 1);
    assert.equal(sessions[0]!.options.localAddress, '127.0.0.2');
    assert.equal(sessions[0]!.options.maxTransactions, 2);
  });
});

describe('lanes', () => {
  it('are taught where mail to a domain goes, but not by static routes', async () => {
    const found: [string, string][] = [];
    const routes = [{ domain: 'routed.google.com', host: '127.0.0.1', port: 2525 }];
    await start({ laneGroups: { found: (...all) => void found.push(all) }, routes });
    enqueue({ domain: 'google.com' });
    enqueue({ domain: 'example.test' });
    enqueue({ domain: 'routed.google.com' });
    await settle();
    assert.deepEqual(found, [
      ['google.com', 'google'],
      ['example.test', 'other'],
    ]);
  });

  it('exist for the pools of the routing document as soon as it is in force', async () => {
    await start({ ips: ['127.0.0.1'], pools: { old: ['127.0.0.1'] } });
    const pools = () => ['default', 'old', 'vip'].map((name) => egress.hasPool(name));
    assert.deepEqual(pools(), [true, true, false]);
    egress.setRouting({ pools: { vip: { ips: ['127.0.0.1'] } } });
    assert.deepEqual(pools(), [true, false, true]);
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

  it('suspends on a reply, names rule and reply, and tells', async () => {
    await start({ rules, limits: limits({ connections: 1 }) });
    for (let i = 0; i < 5; i += 1) enqueue();
    await settle();
    sessions[0]!.opened();
    sessions[0]!.finish(refused(421, 'you are blocked for now'));
    await settle();
    await pass(1000);
    assert.ok(reasons().includes('suspended'));
    const back = engine.of('release').find(({ reason }) => reason.code === 'suspended')!;
    assert.match(
      back.reason.text,
      /Blocked for now\. .*rule test\.block, after "421 you are blocked for now"/,
    );
    assert.equal(alerts.length, 1);
    assert.equal(directives.list()[0]!.match.ip, 'default');
  });

  it('hears what is said at the greeting', async () => {
    await start({ rules });
    enqueue();
    await settle();
    sessions[0]!.end('peer_temporary', 'greeting', { code: 421, lines: ['blocked for now'] });
    await settle();
    assert.equal(directives.list().length, 1);
  });

  it('honours the time that a reply names', async () => {
    await start({ rules });
    enqueue();
    await settle();
    sessions[0]!.opened();
    sessions[0]!.finish(refused(451, 'Greylisted, try again in 40 minutes'));
    await settle();
    const [deferred] = engine.of('defer');
    assert.equal(deferred!.until, clock.now() + 40 * 60_000);
  });
});

describe('warm-up', () => {
  const book = (days: { days: number; messages: number }[], ...ips: string[]): WarmupBook => {
    const warmup = new WarmupBook();
    for (const ip of ips) warmup.setPlan(ip, readPlan({ schedule: days }, ip));
    return warmup;
  };

  it('sends by a warming IP what its budget lets out, the rest by the warm ones, and saves before it sends', async () => {
    const warmup = book([{ days: 1, messages: 3 }], '127.0.0.1');
    await start({ ips: ['127.0.0.1', '127.0.0.2'], warmup });
    const seen: string[] = [];
    for (let round = 0; round < 60; round += 1) {
      if (round < 40 && round % 2 === 0) enqueue();
      for (const session of sessions) {
        if (session.state === 'opening') session.opened();
        while (session.taken.length > 0) {
          seen.push(session.options.localAddress!);
          session.finish();
        }
      }
      await pass(100, 100);
    }
    assert.equal(seen.length, 20);
    assert.equal(seen.filter((ip) => ip === '127.0.0.1').length, 3);
    assert.ok(engine.checkpoints.has('warmup:127.0.0.1'));
  });

  it('puts back what no IP has budget for, until it has, and says so', async () => {
    const warmup = book([{ days: 1, messages: 1 }], '127.0.0.1');
    await start({ ips: ['127.0.0.1'], warmup });
    enqueue();
    await pass(3000, 100);
    enqueue();
    await settle();
    sessions[0]!.opened();
    sessions[0]!.finish();
    await pass(3000, 100);
    for (let i = 0; i < 3; i += 1) enqueue();
    await pass(2000, 100);
    const back = engine.of('release').filter(({ reason }) => reason.code === 'warmup_limit');
    assert.ok(back.length >= 3, reasons().join());
    assert.match(back.at(-1)!.reason.text, /127\.0\.0\.1 warms up at other: 1 of 1 messages today/);
    const [explained] = await egress.explain({ domain: 'example.test' });
    assert.equal(explained!.binding!.limit, 'warm-up');
  });
});

describe('routing', () => {
  it('sends a share of a pool to a smarthost', async () => {
    const routing = readRouting(
      {
        pools: { default: { ips: ['127.0.0.1'] } },
        splits: [{ from: 'default', to: [{ smarthost: '127.0.0.1:2525', percent: 100 }] }],
      },
      'routing',
    );
    await start({ ips: ['127.0.0.1'], routing });
    enqueue();
    await settle();
    assert.equal(sessions[0]!.options.port, 2525);
  });
});

describe('explain', () => {
  it('names every limit with its value and rule, and what it does not know', async () => {
    await start({ ips: ['127.0.0.1'], limits: limits({ for: [{ tenant: 'acme', messageRate: '7/s' }] }) });
    const [explained] = await egress.explain({ domain: 'example.test', tenant: 'acme' });
    assert.equal(explained!.site, 'mx.example.test');
    assert.equal(explained!.ip, '127.0.0.1');
    assert.equal(explained!.binding, undefined);
    assert.equal(explained!.nextAt, clock.now());
    const lines = new Map(explained!.lines.map(({ limit, origin, value }) => [`${limit} ${origin}`, value]));
    assert.equal(lines.get('connections built-in.default'), '10');
    assert.equal(lines.get('messageRate limits.default'), 'unlimited');
    assert.equal(lines.get('messageRate of tenant=acme limits.default.for[0]'), '7/s');
    assert.equal(lines.get('deadlines.dataEnd SMTP client'), '600s');
    assert.ok(explained!.lines.every(({ origin }) => origin !== ''));
    await assert.rejects(egress.explain({}), /Name a domain or a site/);
    await assert.rejects(egress.explain({ site: 'nowhere' }), /Nothing was sent to the site nowhere/);
    await assert.rejects(egress.explain({ domain: 'example.test', ip: '192.0.2.1' }), /no source address/);
  });
});

describe('documents that change while it runs', () => {
  it('are followed; one that cannot be read leaves what is in force, and is told of', async () => {
    const stored = new Map<string, unknown>([['limits', { default: { messagesPerConnection: 7 } }]]);
    const listeners = new Map<string, () => void>();
    const documents = {
      running: (kind: string): ReadonlyMap<string, unknown> =>
        new Map(stored.has(kind) ? [['default', stored.get(kind)]] : []),
      watch(kind: string, listener: () => void) {
        listeners.set(kind, listener);
        return () => void listeners.delete(kind);
      },
    };
    const put = (kind: string, value: unknown): void => {
      stored.set(kind, value);
      listeners.get(kind)!();
    };
    const warmup = new WarmupBook();
    const problems: string[] = [];
    await start({ ips: ['127.0.0.1', '127.0.0.2'], warmup });
    const stop = followDocuments(egress, documents, warmup, (kind, error) =>
      problems.push(`${kind} ${error.message}`),
    );
    enqueue();
    await settle();
    assert.equal(sessions[0]!.options.maxTransactions, 7);
    put('limits', { default: { connections: 'many' } });
    assert.match(problems[0]!, /^limits limits\.default\.connections: "many" is not a whole number/);
    put('routing', { pools: { default: { ips: ['127.0.0.2'] } } });
    put('warmup', { '127.0.0.2': { schedule: [{ days: 1, messages: 1000 }] } });
    assert.deepEqual(warmup.ips(), ['127.0.0.2']);
    await pass(500, 100);
    enqueue({ domain: 'other.test' });
    await pass(2000, 100);
    enqueue({ domain: 'other.test' });
    await settle();
    assert.equal(sessions.at(-1)!.options.localAddress, '127.0.0.2', 'its state was read when the plan came');
    put('automation', { off: ['google.nothing'] });
    assert.match(problems[1]!, /no rule is called "google\.nothing"/);
    put('warmup', {});
    assert.deepEqual(warmup.ips(), []);
    stop();
    assert.equal(listeners.size, 0);
  });
});
