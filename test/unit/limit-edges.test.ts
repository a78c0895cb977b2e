/**
 * Every limit at its edge, in egress: mail exactly at it goes, one more waits, ends or is refused. Each by every
 * layer that may set it.
 */
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import type { Resolver } from '../../lib/dns/resolver.ts';
import type { Egress } from '../../lib/egress/types.ts';
import type { QueueItem } from '../../lib/engine/items.ts';
import type { LimitDocument, LimitSet } from '../../lib/shaping/limits/document.ts';
import { DEADLINES, type LimitName } from '../../lib/shaping/limits/limit.ts';
import { DEFAULT_DEADLINES } from '../../lib/smtp/deadlines.ts';
import { HOUR, MINUTE } from '../../lib/time.ts';
import type { TestClock } from '../support/clock.ts';
import { refused, TestEgress } from '../support/egress.ts';
import type { FakeSession } from '../support/egress-fakes.ts';
import { settled, type TestEngine } from '../support/engine.ts';

/** A day of which the last 10 s are left. */
const START = Date.UTC(2026, 0, 1, 23, 59, 50);
const IP = '127.0.0.1';

/** A match for all mail of these tests: one tenant and one IP. */
const LAYERS = {
  pool: { pool: 'default' },
  ip: { ip: IP },
  tenant: { tenant: 'main' },
  class: { class: 'transactional' },
} as const;
type Layer = keyof typeof LAYERS;
const ALL = Object.keys(LAYERS) as Layer[];

let node: TestEgress;
let clock: TestClock;
let engine: TestEngine;
let sessions: FakeSession[];
let egress: Egress;
let addresses: string[];

const resolver = {
  resolve: async (name: string, type: string) => {
    const expiresAt = Number.POSITIVE_INFINITY;
    if (name.startsWith('lost')) return { kind: 'failed', text: 'SERVFAIL', expiresAt: 0 };
    if (type === 'MX')
      return { kind: 'found', records: [{ preference: 10, exchange: `mx.${name}` }], expiresAt };
    const records = addresses.filter((address) => address.includes(':') === (type === 'AAAA'));
    if (addresses.length === 0) return { kind: 'failed', text: 'SERVFAIL', expiresAt: 0 };
    return records.length === 0 ? { kind: 'empty', expiresAt } : { kind: 'found', records, expiresAt };
  },
} as unknown as Resolver;

async function start(limits: LimitDocument, ips: string[] = [IP]): Promise<void> {
  egress = node.start({ ips, limits });
  // The kernel reports whether the address can be bound.
  while (!egress.sources().every(({ usable }) => usable)) await settled();
}

function send(count: number, change: Partial<QueueItem> = {}): void {
  for (let i = 0; i < count; i += 1) node.enqueue(change);
}

/** Lets time pass; connections open and mail is sent within the limits. @param accept the peer answers at once. */
async function pass(ms: number, { step = 1000, accept = false } = {}): Promise<void> {
  await settled();
  for (let left = ms; ; left -= step) {
    for (const session of [...sessions]) {
      if (session.state === 'opening') session.opened();
      while (accept && session.taken.length > 0) session.finish();
    }
    await settled();
    if (left <= 0) return;
    clock.advance(Math.min(step, left));
    await settled();
  }
}

const open = (): FakeSession[] => sessions.filter(({ state }) => state !== 'closed');
const underWay = (): number => sessions.reduce((sum, { taken }) => sum + taken.length, 0);
const begun = (): number => sessions.reduce((sum, { seen }) => sum + seen.length, 0);
const finishOne = (): void => sessions.find(({ taken }) => taken.length > 0)!.finish();
const later = refused(451, 'later');

beforeEach(() => {
  node = new TestEgress(resolver, START);
  ({ clock, engine, sessions } = node);
  addresses = ['8.8.8.1'];
});

afterEach(() => node.stop());

/** Two connections stay open with any backlog; another opens when one of them ends. */
async function twoConnections(): Promise<void> {
  await pass(5000);
  assert.equal(open().length, 2);
  const { length } = sessions;
  open()[0]!.end('connection_lost', 'mail');
  await pass(1000);
  assert.deepEqual([open().length, sessions.length], [2, length + 1]);
}

/** The third of a rate of two a minute comes a minute after the first, and no millisecond sooner. */
async function twoAMinute(slack = 0): Promise<void> {
  await pass(MINUTE - 1, { accept: true });
  assert.equal(begun(), 2);
  await pass(1 + slack, { step: 1, accept: true });
  assert.equal(begun(), 3);
}

/** Two are under way with any backlog; another begins when one of them ends. */
async function twoUnderWay(): Promise<void> {
  send(100);
  await pass(3000, { step: 20 });
  assert.deepEqual([underWay(), begun()], [2, 2]);
  finishOne();
  await pass(1000, { step: 20 });
  assert.deepEqual([underWay(), begun()], [2, 3]);
}

/** Two messages go over each connection, the third by another. */
async function twoOnEach(): Promise<void> {
  send(3);
  await pass(3000, { accept: true });
  assert.deepEqual(
    sessions.map(({ seen }) => seen.length),
    [2, 1],
  );
}

interface Edge {
  limit: LimitName;
  set: LimitSet;
  /** Layers that may set it; absent: all. */
  by?: Layer[];
  /** The binding limit in the figures, once the limit has held. */
  binds?: string;
  prove: () => Promise<void>;
}

const EDGES: Edge[] = [
  {
    limit: 'connections',
    set: { connections: 2 },
    binds: 'connections',
    async prove() {
      send(200);
      await twoConnections();
    },
  },
  {
    limit: 'providerConnections',
    set: { providerConnections: 2 },
    binds: 'providerConnections',
    by: ['pool', 'ip'],
    async prove() {
      for (const domain of ['a.test', 'b.test', 'c.test']) send(50, { domain });
      send(1, { domain: 'google.com' });
      await pass(5000);
      const others = () => open().filter(({ options }) => options.host !== 'mx.google.com');
      assert.deepEqual([others().length, open().length], [2, 3], 'another provider is another count');
      others()[0]!.end('connection_lost', 'mail');
      await pass(1000);
      assert.equal(others().length, 2);
    },
  },
  {
    limit: 'ipConnections',
    set: { ipConnections: 2 },
    binds: 'ipConnections',
    by: ['pool', 'ip'],
    async prove() {
      for (const domain of ['a.test', 'google.com', 'b.test']) send(50, { domain });
      await twoConnections();
    },
  },
  {
    limit: 'connectionRate',
    set: { connectionRate: '2/min' },
    async prove() {
      send(200);
      await pass(MINUTE - 1);
      assert.equal(sessions.length, 2);
      await pass(1);
      assert.equal(sessions.length, 3);
    },
  },
  {
    limit: 'messageRate',
    set: { messageRate: '2/min' },
    binds: 'messageRate',
    async prove() {
      send(4);
      await twoAMinute();
    },
  },
  { limit: 'concurrency', set: { concurrency: 2 }, binds: 'concurrency', prove: twoUnderWay },
  { limit: 'messagesPerConnection', set: { messagesPerConnection: 2 }, prove: twoOnEach },
  { limit: 'recipientsPerConnection', set: { recipientsPerConnection: 2 }, prove: twoOnEach },
  {
    // Tests of the SMTP client prove this to the millisecond; so with deadlines.
    limit: 'idle',
    set: { idle: '7s' },
    async prove() {
      send(1);
      await pass(0);
      assert.equal(sessions[0]!.options.idle, 7000);
    },
  },
  ...DEADLINES.map(
    (name): Edge => ({
      limit: 'deadlines',
      set: { deadlines: { [name]: '31s' } },
      async prove() {
        send(1);
        await pass(0);
        assert.deepEqual(sessions[0]!.options.deadlines, { ...DEFAULT_DEADLINES, [name]: 31_000 });
      },
    }),
  ),
  {
    limit: 'maxAge',
    set: { maxAge: '1h' },
    async prove() {
      send(1, { acceptedAt: clock.now() - HOUR + 1 });
      await pass(0);
      assert.equal(begun(), 1);
      send(1, { acceptedAt: clock.now() - HOUR });
      await pass(0);
      assert.equal(begun(), 1);
      assert.equal(engine.of('end')[0]!.state, 'expired');
    },
  },
  {
    limit: 'tls',
    set: { tls: 'required' },
    async prove() {
      send(1);
      await settled();
      for (const session of sessions) session.end('tls_failed', 'tls');
      await pass(0);
      assert.ok(sessions.every(({ options }) => options.tls === 'required'));
      assert.deepEqual([begun(), engine.of('defer').length], [0, 1]);
    },
  },
  {
    limit: 'tls',
    set: { tls: 'opportunistic' },
    async prove() {
      // In clear only once three handshakes, a minute apart, have proved that the host cannot speak TLS.
      for (let i = 0; i < 3; i += 1) {
        send(1);
        await settled();
        sessions.at(-1)!.end('tls_failed', 'tls', undefined, true);
        await node.pass(MINUTE);
      }
      assert.deepEqual(
        sessions.map(({ options }) => options.tls),
        ['opportunistic', 'opportunistic', 'opportunistic', 'off'],
      );
    },
  },
  {
    limit: 'tls',
    set: { tls: 'off' },
    async prove() {
      send(1);
      await pass(0);
      send(1, { requireTls: true });
      await pass(0);
      assert.deepEqual(
        sessions.map(({ options }) => options.tls),
        ['off', 'required'],
      );
    },
  },
  {
    limit: 'retry',
    set: { retry: { delays: ['7m', '1h'], jitter: 0 } },
    async prove() {
      for (const attempts of [0, 1, 2]) {
        send(1, { attempts });
        await pass(0);
        sessions.at(-1)!.finish(later);
        await settled();
      }
      assert.deepEqual(
        engine.of('defer').map(({ until }) => until - clock.now()),
        [7 * MINUTE, 60 * MINUTE, 60 * MINUTE],
      );
    },
  },
  {
    limit: 'prohibitedMx',
    set: { prohibitedMx: ['8.8.8.0/31'] },
    async prove() {
      send(1);
      await pass(0);
      assert.equal(engine.of('end')[0]!.attempt.reason, 'mx_prohibited');
      addresses = ['8.8.8.2'];
      send(1, { domain: 'next.test' });
      await pass(0);
      assert.equal(sessions.length, 1);
      assert.equal(sessions[0]!.options.address, '8.8.8.2');
    },
  },
  {
    limit: 'addressFamilies',
    set: { addressFamilies: 'ipv6' },
    async prove() {
      addresses = ['8.8.8.1', '2001:4860:4860::8888'];
      send(1);
      await pass(0);
      assert.equal(sessions.length, 0, 'its IP reaches IPv4 alone');
      assert.equal(engine.of('release')[0]!.reason.code, 'connect_failed');
    },
  },
  {
    limit: 'bulkReserve',
    set: { connections: 1, bulkReserve: 0.25 },
    by: ['pool', 'ip', 'tenant'],
    async prove() {
      send(40);
      send(40, { lane: 'default:bulk:other', recipient: 'bulk@example.test' });
      await pass(0);
      for (let i = 0; i < 15; i += 1) finishOne();
      const bulk = sessions[0]!.seen.filter((recipient) => recipient.startsWith('bulk'));
      assert.deepEqual([bulk.length, begun()], [4, 16]);
    },
  },
  {
    limit: 'deadAfter',
    set: { deadAfter: 2 },
    async prove() {
      send(1);
      await settled();
      sessions[0]!.end('connect_failed', 'connect');
      clock.advance(1000);
      await settled();
      assert.deepEqual([sessions.length, engine.of('defer').length], [2, 0]);
      sessions[1]!.end('connect_failed', 'connect');
      clock.advance(1000);
      await settled();
      assert.deepEqual([sessions.length, engine.of('defer').length], [2, 1]);
    },
  },
];

describe('limits that hold before a site is known', () => {
  const document: LimitDocument = {
    default: { retry: { delays: ['7m'], jitter: 0 }, for: [{ tenant: 'main', maxAge: '1h' }] },
    providers: { other: { retry: { delays: ['9m'], jitter: 0 } } },
    domains: { 'lost.test': { retry: { delays: ['8m'], jitter: 0 } } },
  };
  const untils = () => engine.of('defer').map(({ until }) => until - clock.now());

  it('are those of default and of the domain', async () => {
    await start(document);
    send(1, { domain: 'lost-too.test' });
    send(1, { domain: 'lost.test' });
    await settled();
    assert.deepEqual(untils(), [7 * MINUTE, 8 * MINUTE]);
  });

  it('include those of the provider when only addresses are not found', async () => {
    addresses = [];
    await start(document);
    send(1);
    await settled();
    assert.deepEqual(untils(), [9 * MINUTE]);
  });

  it('end mail that is too old, or would be at its next attempt', async () => {
    await start(document);
    send(1, { domain: 'lost.test', acceptedAt: clock.now() - 60 * MINUTE });
    send(1, { domain: 'lost.test', acceptedAt: clock.now() - 52 * MINUTE });
    send(1, { domain: 'lost.test', acceptedAt: clock.now() - 52 * MINUTE + 1 });
    await settled();
    assert.deepEqual(
      engine.of('end').map(({ state }) => state),
      ['expired', 'expired'],
    );
    assert.deepEqual(untils(), [8 * MINUTE]);
  });
});

describe('connections with limits of their own', () => {
  const own: LimitDocument = { default: { for: [{ tenant: 'main', connections: 2, tls: 'off' }] } };

  it('are counted once for mail with and without required TLS', async () => {
    await start(own);
    send(100);
    send(100, { requireTls: true });
    await twoConnections();
  });

  it('are closed when idle for other mail, and go first to mail without a connection', async () => {
    await start({ default: { for: [{ tenant: 'main', connections: 1, tls: 'off' }] } });
    send(1, { requireTls: true });
    await pass(0, { accept: true });
    assert.equal(sessions[0]!.state, 'open');
    send(1);
    await pass(0);
    const of = () => open().map(({ options }) => options.tls);
    assert.deepEqual(of(), ['off'], 'the idle one closed at once');
    send(100, { requireTls: true });
    await pass(3000);
    assert.deepEqual(of(), ['off']);
    finishOne();
    await pass(0);
    assert.deepEqual(of(), ['required'], 'and so does one that becomes idle');
    send(1);
    await settled();
    open()[0]!.end('connection_lost', 'mail');
    await pass(0);
    assert.deepEqual(of(), ['off'], 'mail without a connection is first');
  });
});

describe('at its edge and one beyond it,', () => {
  for (const { limit, set, by = ALL, binds, prove } of EDGES) {
    for (const layer of by) {
      it(`${limit} by ${layer}: ${JSON.stringify(set)}`, async () => {
        const own = { ...LAYERS[layer], ...set };
        await start({ default: { messageRate: 'unlimited', connectionRate: 'unlimited', for: [own] } });
        await prove();
        if (binds !== undefined) assert.ok(egress.waiting().some((one) => one.limit === binds));
      });
    }
  }

  for (const layer of ALL) {
    const shared = (limit: object) =>
      start({ default: { messageRate: 'unlimited' }, shared: { x: { match: LAYERS[layer], ...limit } } });

    it(`a shared rate by ${layer}`, async () => {
      await shared({ rate: '2/min' });
      send(4);
      // A unit is free again a 240th of its window late, at most.
      await twoAMinute(MINUTE / 240 + 1);
      assert.deepEqual(egress.waiting(), [{ limit: 'shared rate', provider: 'other', waiting: 1 }]);
    });

    it(`a shared quota by ${layer}`, async () => {
      await shared({ quota: '2/d' });
      send(3);
      await pass(9999, { accept: true });
      assert.equal(begun(), 2);
      assert.deepEqual(egress.waiting(), [{ limit: 'shared quota', provider: 'other', waiting: 1 }]);
      assert.deepEqual(egress.sharedHeld(), { rate: 0, quota: 0, concurrency: 0 });
      await pass(100, { step: 10, accept: true });
      assert.equal(begun(), 3);
    });

    it(`a shared concurrency by ${layer}`, async () => {
      await shared({ concurrency: 2 });
      await twoUnderWay();
      assert.deepEqual(egress.waiting(), [{ limit: 'shared concurrency', provider: 'other', waiting: 97 }]);
      assert.deepEqual(egress.sharedHeld(), { rate: 0, quota: 0, concurrency: 2 });
    });
  }

  for (const [order, families] of Object.entries({
    'ipv4-first': ['8', '2'],
    'ipv6-first': ['2', '8'],
    ipv4: ['8'],
    ipv6: ['2'],
  })) {
    it(`addressFamilies of a tenant: ${order}`, async () => {
      addresses = ['8.8.8.1', '2001:4860:4860::8888'];
      const set = { tenant: 'main', addressFamilies: order };
      await start({ default: { for: [set] } }, []);
      send(1);
      await settled();
      for (let i = 0; i < sessions.length; i += 1) sessions[i]!.end('connect_failed', 'connect');
      await settled();
      assert.deepEqual(
        sessions.map(({ options }) => options.address[0]),
        families,
      );
    });
  }
});
