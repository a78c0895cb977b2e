import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import type { Engine, Leases } from '../../lib/engine/ports.ts';
import type { LimitDocument } from '../../lib/shaping/limits/document.ts';
import { Pacer, paceOf, readRate } from '../../lib/shaping/rate.ts';
import {
  LEARNT_TTL,
  readShaping,
  type SiteMemory,
  shapingName,
  worthKeeping,
  writeShaping,
} from '../../lib/shaping/site-memory.ts';
import { HOUR } from '../../lib/time.ts';
import { TestClock } from '../support/clock.ts';
import { addressesOfAll, TestEgress } from '../support/egress.ts';
import { settled, TestEngine } from '../support/engine.ts';

const IP = '127.0.0.1';
const NOW = Date.UTC(2026, 0, 1);

const resolver = addressesOfAll(['8.8.8.1']);

/** The engine whose leases the nodes share, on a clock of its own. */
let clock: TestClock;
let shared: Engine;
let nodes: Node[];

/** One egress node: its own queue and clock, so that it can die by its clock standing still. */
class Node extends TestEgress {
  alive = true;

  constructor(name: string, limits: LimitDocument, leases: Leases = shared.leases) {
    super(resolver, clock.now());
    this.start({ engine: { ...this.engine.engine(), leases }, node: name, ips: [IP], limits });
    nodes.push(this);
  }

  get usable(): boolean {
    return this.egress.sources()[0]!.usable;
  }

  /** Messages that peers have accepted. */
  get sent(): number {
    return this.sessions.reduce((sum, { seen }) => sum + seen.length, 0);
  }

  send(domain = 'example.test'): void {
    this.enqueue({ domain, expiresAt: clock.now() + 100 * HOUR });
  }

  /** Every peer accepts the connection and its messages. */
  serve(): void {
    for (const session of this.sessions) {
      if (session.state === 'opening') session.opened();
      while (session.taken.length > 0) session.finish();
    }
  }
}

/** Lets time pass for the engine and for the live nodes. */
async function pass(ms: number, step = 1000): Promise<void> {
  for (let left = ms; left > 0; left -= step) {
    clock.advance(Math.min(step, left));
    for (const node of nodes) if (node.alive) node.clock.advance(Math.min(step, left));
    await settled();
  }
}

async function until(done: () => boolean): Promise<void> {
  for (let i = 0; i < 1000 && !done(); i += 1) await settled();
  assert.ok(done());
}

async function takeOver(limits: LimitDocument): Promise<Node> {
  const node = new Node(`node-${nodes.length + 1}`, limits);
  for (let i = 0; i < 15 && !node.usable; i += 1) await pass(1000);
  assert.ok(node.usable, 'within 15 s of the death of the one before');
  return node;
}

async function stop(node: Node): Promise<void> {
  const stopped = node.egress.stop();
  await settled();
  for (const session of node.sessions) session.destroy();
  for (let over = false; !over; ) {
    await Promise.race([stopped.then(() => (over = true)), settled()]);
    node.clock.advance(50);
  }
  node.alive = false;
}

beforeEach(() => {
  clock = new TestClock(NOW);
  nodes = [];
  shared = new TestEngine(clock).others;
});

afterEach(async () => {
  for (const node of nodes) await stop(node);
  await shared.close();
});

const daily: LimitDocument = { default: { messageRate: '24/d' } };

describe('a limit per day', () => {
  it('goes on after an orderly hand-over of an IP', async () => {
    const first = new Node('node-1', daily);
    await until(() => first.usable);
    first.send();
    await pass(1000);
    first.serve();
    await pass(600_000, 5_000);
    await stop(first);
    const second = await takeOver(daily);
    const [bound] = await second.egress.explain({ domain: 'example.test' });
    assert.deepEqual(
      [bound!.binding!.limit, bound!.binding!.value],
      ['messageRate', '24/d'],
      'before any mail',
    );
    second.send();
    second.send('another.test');
    await pass(1000);
    second.serve();
    assert.equal(second.sent, 1, 'only to the site that nothing was sent to');
    await pass(HOUR - 640_000, 5_000);
    second.serve();
    assert.equal(second.sent, 1);
    await pass(60_000);
    second.serve();
    assert.equal(second.sent, 2, 'an hour after the one before');
  });

  it('is not exceeded after a death: the dead node counts as having used all of it', async () => {
    const limits = { ...daily, domains: { 'other.test': { messageRate: '48/d' } } };
    const first = new Node('node-1', limits);
    await until(() => first.usable);
    for (const domain of ['example.test', 'other.test']) first.send(domain);
    await pass(1000);
    first.serve();
    assert.equal(first.sent, 2);
    first.alive = false;
    const second = await takeOver(limits);
    for (const domain of ['example.test', 'other.test', 'another.test']) second.send(domain);
    await pass(HOUR - 5_000, 5_000);
    second.serve();
    assert.equal(second.sent, 0);
    await pass(10_000);
    second.serve();
    assert.equal(second.sent, 3, 'the limit of the site holds beside that of its domain');
    const [back] = second.engine.of('release');
    assert.equal(back!.reason.code, 'sender_limit', 'a limit of the mail’s own puts it back');
    assert.ok(back!.until - clock.now() < HOUR / 2);
  });

  it('survives an orderly stop of the node in between', async () => {
    const first = new Node('node-1', daily);
    await until(() => first.usable);
    first.send();
    await pass(1000);
    first.serve();
    first.alive = false;
    await stop(await takeOver(daily));
    const third = await takeOver(daily);
    third.send();
    await pass(HOUR - 60_000, 5_000);
    third.serve();
    assert.equal(third.sent, 0);
    await pass(60_000);
    third.serve();
    assert.equal(third.sent, 1);
  });

  it('of connections for some mail goes on too', async () => {
    const own: LimitDocument = { default: { for: [{ tenant: 'main', connectionRate: '24/d' }] } };
    const first = new Node('node-1', own);
    await until(() => first.usable);
    first.send();
    await pass(1000);
    first.serve();
    assert.equal(first.sessions.length, 1);
    await stop(first);
    const second = await takeOver(own);
    second.send();
    await pass(HOUR - 60_000, 5_000);
    assert.equal(second.sessions.length, 0);
    await pass(60_000);
    assert.equal(second.sessions.length, 1);
  });

  it('is kept when the idle site is removed', async () => {
    const node = new Node('node-1', daily);
    await until(() => node.usable);
    node.send();
    await pass(1000);
    node.serve();
    for (const session of node.sessions) session.quit();
    await pass(1_200_000, 5_000);
    assert.equal(node.egress.gauges().sites, 1);
    node.send();
    await pass(5_000);
    node.serve();
    assert.equal(node.sent, 1);
  });
});

describe('what was learnt of a site', () => {
  const limits: LimitDocument = { default: { messageRate: '10/s', connections: 1 } };

  it('a lower rate holds for the node that takes over the IP', async () => {
    const first = new Node('node-1', limits);
    await until(() => first.usable);
    for (let i = 0; i < 40; i += 1) first.send();
    await pass(1000, 50);
    for (let i = 0; i < 60; i += 1) {
      first.serve();
      await pass(50, 50);
    }
    for (let i = 0; i < 20 && first.sessions[0]!.taken.length === 0; i += 1) await pass(50, 50);
    first.sessions[0]!.finish({
      kind: 'refused',
      phase: 'rcpt',
      reply: { code: 451, enhanced: '4.7.0', lines: ['Too many messages, slow down'] },
    });
    await pass(10_000);
    first.alive = false;
    const second = await takeOver(limits);
    second.send();
    await pass(1000);
    second.serve();
    const [explained] = await second.egress.explain({ domain: 'example.test' });
    const learnt = explained!.lines.find(
      ({ limit, origin }) => limit === 'messageRate' && origin === 'learnt',
    );
    assert.ok(learnt, 'not the ten a second of the limit');
  });

  it('a back-off holds for the node that takes over the IP', async () => {
    const first = new Node('node-1', limits);
    await until(() => first.usable);
    first.send();
    await pass(1000);
    first.sessions[0]!.end('connect_failed', 'connect');
    for (let i = 0; i < 10 && first.egress.sites()[0]?.reason === undefined; i += 1) {
      await pass(1000);
      for (const session of first.sessions) session.end('connect_failed', 'connect');
    }
    const { reason } = first.egress.sites()[0]!;
    assert.ok(reason !== undefined && reason.until > clock.now() + 5_000);
    await pass(5_000);
    await stop(first);
    const second = await takeOver(limits);
    second.send();
    await pass(500, 100);
    assert.equal(second.sessions.length, 0);
    assert.equal(second.engine.of('release')[0]!.reason.code, 'connect_failed');
    await pass(Math.ceil(reason.until - clock.now()) + 1000);
    second.send();
    await pass(1000);
    assert.equal(second.sessions.length, 1, 'one connection probes');
    second.serve();
    assert.equal(second.sent, 1);
  });

  it('makes an IP wait until its use is saved', async () => {
    let down = true;
    const { leases } = shared;
    const failing: Leases = {
      acquire: (...call) => leases.acquire(...call),
      release: (...call) => leases.release(...call),
      holder: (...call) => leases.holder(...call),
      report: (...call) => leases.report(...call),
      reports: (...call) => leases.reports(...call),
      forget: (...call) => leases.forget(...call),
      checkpoint: (name) => leases.checkpoint(name),
      saveCheckpoint: (...call) =>
        down ? Promise.reject(new Error('no answer')) : leases.saveCheckpoint(...call),
    };
    const node = new Node('node-1', limits, failing);
    await until(() => node.egress.sources()[0]!.trouble.includes('no answer'));
    await pass(3_000);
    assert.equal(node.usable, false);
    down = false;
    await pass(2_000);
    assert.equal(node.usable, true);
    const stored = readShaping(await shared.leases.checkpoint(shapingName(IP)), IP);
    assert.equal(stored!.closed, false);
  });
});

describe('a memory of sites', () => {
  const down = {
    tls: false,
    failures: 2,
    until: NOW + 60_000,
    code: 'connect_failed',
    text: 'x'.repeat(999),
  };
  const memory: SiteMemory = { at: NOW, window: 2, down, message: NOW + HOUR, connection: NOW + 10 };

  it('is kept while it matters; times of pacers only at the end', () => {
    assert.deepEqual(Object.keys(worthKeeping(memory, NOW, false)!), ['at', 'window', 'down']);
    assert.equal(worthKeeping(memory, NOW, false)!.down!.text.length, 200);
    assert.deepEqual(Object.keys(worthKeeping(memory, NOW, true)!), ['at', 'window', 'down', 'message']);
    assert.equal(worthKeeping(memory, NOW + LEARNT_TTL, false), undefined);
    assert.equal(worthKeeping({ at: 0, counters: { a: NOW } }, NOW, true), undefined);
    assert.deepEqual(worthKeeping({ at: 0, counters: { a: NOW, b: NOW + HOUR } }, NOW, true), {
      at: 0,
      counters: { b: NOW + HOUR },
    });
  });

  it('is bounded: the latest entries come first, and a truncated one is marked incomplete', () => {
    const rows = Array.from({ length: 5_000 }, (_, i) => ({
      site: `mx${i}.example`,
      at: NOW + i,
      window: 1,
    }));
    const open = writeShaping(IP, rows, 0, false);
    assert.ok(JSON.stringify(open).length < 8_200);
    assert.equal(open.sites[0]!.site, 'mx4999.example');
    assert.equal(writeShaping(IP, rows, 0, true).closed, false);
    assert.equal(writeShaping(IP, rows.slice(0, 100), 0, true).closed, true);
  });

  it('that cannot be read counts as incomplete', () => {
    assert.equal(readShaping(undefined, IP), undefined);
    const good = writeShaping(IP, [{ site: 'mx', ...memory }], 0, true);
    assert.deepEqual(readShaping(JSON.parse(JSON.stringify(good)), IP), good);
    const [row] = good.sites;
    for (const bad of [
      null,
      5,
      'x',
      { ...good, v: 2 },
      { ...good, ip: '127.0.0.2' },
      { ...good, closed: 1 },
      { ...good, unknown: null },
      { ...good, sites: {} },
      { ...good, sites: [null] },
      { ...good, sites: [{ ...row, at: '0' }] },
      { ...good, sites: [{ ...row, window: -1 }] },
      { ...good, sites: [{ ...row, rate: null }] },
      { ...good, sites: [{ ...row, rate: { ceiling: 1 } }] },
      { ...good, sites: [{ ...row, down: { tls: 1 } }] },
      { ...good, sites: [{ ...row, counters: null }] },
      { ...good, sites: [{ ...row, counters: { a: 'x' } }] },
    ]) {
      const read = readShaping(bad, IP);
      assert.deepEqual(read, { v: 1, ip: IP, closed: false, unknown: 0, sites: [] }, JSON.stringify(bad));
    }
  });

  it('gives a pacer of unknown past a whole interval of wait, and none without a rate', () => {
    const pace = paceOf(readRate('24/d'));
    const pacer = new Pacer(0, NOW);
    assert.equal(pacer.wait(NOW, paceOf(undefined)), 0);
    assert.equal(Math.round(pacer.wait(NOW, pace) / 1000), 3600);
    assert.equal(new Pacer(NOW + 2 * HOUR, NOW).wait(NOW, pace), 2 * HOUR - 4);
    assert.equal(new Pacer().wait(NOW, pace), 0);
  });
});
