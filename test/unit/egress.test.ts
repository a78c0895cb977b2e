import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import type { Answer, Resolver } from '../../egress-node/dns/resolver.ts';
import { startEgress } from '../../egress-node/egress/egress.ts';
import type { Egress, EgressOptions } from '../../egress-node/egress/types.ts';
import type { RecipientResult } from '../../egress-node/smtp/types.ts';
import type { QueueItem } from '../../lib/engine/items.ts';
import { PosternError } from '../../lib/errors.ts';
import type { LimitEntry } from '../../lib/shaping/limits/check.ts';
import { seededRandom, TestClock } from '../support/clock.ts';
import { FakeEngine, FakeSession, queueItem, settle } from '../support/egress-fakes.ts';

/** Answers by `TYPE name`; `undefined` is NXDOMAIN. */
type Zone = Record<string, unknown[] | 'fails' | 'empty'>;

function fakeResolver(zone: Zone): Resolver {
  return {
    resolve: async (name: string, type: string) => {
      const expiresAt = Number.POSITIVE_INFINITY;
      const entry = zone[`${type} ${name}`];
      if (entry === 'fails') return { kind: 'failed', text: `${type} of ${name}: SERVFAIL`, expiresAt };
      if (entry === undefined) return { kind: name in zone ? 'empty' : 'no_domain', expiresAt };
      if (entry === 'empty') return { kind: 'empty', expiresAt };
      return { kind: 'found', records: entry, expiresAt } as Answer<never>;
    },
  } as Resolver;
}

let clock: TestClock;
let engine: FakeEngine;
let sessions: FakeSession[];
let egress: Egress;
let zone: Zone;
/** Pipelining depth of the sessions that are opened. */
let depth: number;

const MX_OF_EXAMPLE: Zone = {
  'MX example.test': [{ preference: 10, exchange: 'mx1.example.test' }],
  'A mx1.example.test': ['8.8.8.1'],
};

function limits(change: LimitEntry): EgressOptions['limits'] {
  return { default: { messageRate: 'unlimited', ...change } };
}

function start(options: Partial<EgressOptions> = {}): Egress {
  egress = startEgress({
    engine: engine.engine(),
    resolver: fakeResolver(zone),
    clock,
    random: seededRandom(1),
    node: 'node-1',
    limits: limits({}),
    ehloName: 'out.sender.test',
    open: (session) => {
      const fake = new FakeSession(session, clock, depth);
      sessions.push(fake);
      return fake;
    },
    ...options,
  });
  return egress;
}

function enqueue(change: Partial<QueueItem> = {}, receives = 1): QueueItem {
  const item = queueItem(clock.now(), change);
  engine.enqueue(item, receives);
  return item;
}

/** Moves time on in steps, letting what is not on the clock run between them. */
async function pass(ms: number, step = 1000): Promise<void> {
  for (let left = ms; left > 0; left -= step) {
    clock.advance(Math.min(step, left));
    await settle();
  }
}

beforeEach(() => {
  clock = new TestClock();
  engine = new FakeEngine(clock);
  sessions = [];
  zone = { ...MX_OF_EXAMPLE };
  depth = 1;
});

afterEach(async () => {
  const stopped = egress.stop();
  await settle();
  for (const session of sessions) if (session.state !== 'closed') session.destroy();
  await pass(21_000);
  await stopped;
});

describe('a delivery', () => {
  it('goes to the checked address of its MX and ends with a whole record', async () => {
    const attempts: string[] = [];
    start({ onAttempt: (item, attempt) => attempts.push(`${item.recipient} ${attempt.state}`) });
    const item = enqueue();
    await settle();
    const { options } = sessions[0]!;
    assert.equal(options.address, '8.8.8.1');
    assert.equal(options.port, 25);
    assert.equal(options.host, 'mx1.example.test');
    assert.equal(options.tls, 'opportunistic');
    assert.equal(options.ehloName, 'out.sender.test');
    sessions[0]!.tls = { protocol: 'TLSv1.3', cipher: 'TLS_AES_128_GCM_SHA256', verified: false };
    sessions[0]!.opened();
    clock.advance(5);
    sessions[0]!.finish();
    await settle();
    assert.deepEqual(
      engine.of('end').map(({ leased, state, attempt }) => ({ item: leased.item, state, attempt })),
      [
        {
          item,
          state: 'delivered',
          attempt: {
            at: clock.now(),
            duration: 0,
            ip: undefined,
            mx: { host: 'mx1.example.test', address: '8.8.8.1', port: 25 },
            tls: { protocol: 'TLSv1.3', cipher: 'TLS_AES_128_GCM_SHA256', verified: false },
            replies: [{ phase: 'body', code: 250, text: 'OK' }],
            state: 'delivered',
            reason: 'delivered',
            text: engine.of('end')[0]!.attempt.text,
            uncertain: undefined,
            until: undefined,
          },
        },
      ],
    );
    assert.deepEqual(attempts, [`${item.recipient} delivered`]);
    assert.equal(egress.counters.delivered, 1);
    assert.equal(egress.counters.providers.get('other')!.delivered, 1);
    assert.equal(egress.gauges().items, 0);
  });

  it('is deferred by the schedule of its configuration set, then expires', async () => {
    start({ retry: (set) => ({ delays: [set === 'slow' ? 50_000 : 1_000], jitter: 0 }) });
    const reply = { code: 451, enhanced: '4.7.1', lines: ['later'] };
    const greylisted: Partial<RecipientResult> = { kind: 'refused', phase: 'rcpt', reply };
    enqueue({ configurationSet: 'slow', expiresAt: clock.now() + 60_000 });
    await settle();
    sessions[0]!.opened();
    sessions[0]!.finish(greylisted);
    await settle();
    const [deferred] = engine.of('defer');
    assert.equal(deferred!.until, clock.now() + 50_000);
    assert.equal(deferred!.attempt.until, deferred!.until);
    assert.equal(deferred!.attempt.reason, 'peer_temporary');
    enqueue({ configurationSet: 'slow', attempts: 1, expiresAt: clock.now() + 50_000 });
    await settle();
    sessions[0]!.finish(greylisted);
    await settle();
    const [expired] = engine.of('end');
    assert.equal(expired!.state, 'expired');
    assert.equal(expired!.attempt.reason, 'expired');
    assert.match(expired!.attempt.text, /The last attempt: .*later/);
    assert.equal(expired!.attempt.until, undefined);
  });

  it('that comes after its time ends without an attempt', async () => {
    start();
    enqueue({ expiresAt: clock.now(), reason: { code: 'dns_failure', text: 'no answer' } });
    await settle();
    assert.equal(sessions.length, 0);
    assert.equal(engine.of('end')[0]!.state, 'expired');
    assert.match(engine.of('end')[0]!.attempt.text, /because: no answer/);
  });

  it('whose reply was never read is tried again, and marked', async () => {
    start();
    enqueue();
    await settle();
    sessions[0]!.opened();
    sessions[0]!.finish({ kind: 'uncertain', phase: 'body', code: 'uncertain', text: 'lost' });
    await settle();
    assert.equal(engine.of('defer')[0]!.attempt.uncertain, true);
    assert.equal(egress.counters.uncertain, 1);
    assert.equal(egress.counters.deferred, 1);
  });

  it('handed out before is sent unless its record says that it ended', async () => {
    start();
    const done = queueItem(clock.now());
    engine.states.set(`${done.messageId}/0`, 'bounced');
    engine.enqueue(done, 2);
    const open = enqueue({}, 2);
    await settle();
    assert.equal(engine.of('end')[0]!.state, 'bounced');
    assert.equal(engine.of('end')[0]!.leased.item, done);
    sessions[0]!.opened();
    assert.deepEqual(sessions[0]!.seen, [open.recipient]);
    assert.equal(egress.counters.superseded, 1);
  });

  it('whose connection broke before an answer goes by another, three times in all', async () => {
    start();
    enqueue();
    await settle();
    for (let i = 0; i < 3; i += 1) {
      sessions[i]!.opened();
      assert.equal(engine.settlements.length, 0);
      sessions[i]!.end('connection_lost', 'mail');
      await settle();
    }
    assert.equal(sessions.length, 3);
    assert.equal(engine.of('defer')[0]!.attempt.reason, 'connection_lost');
  });

  it('is settled again and again while the storage fails', async () => {
    start();
    engine.settleErrors.push(
      new PosternError('storage_unavailable', 'disk'),
      new PosternError('storage_full', 'disk'),
    );
    enqueue();
    await settle();
    sessions[0]!.opened();
    sessions[0]!.finish();
    await settle();
    assert.equal(engine.settlements.length, 0);
    assert.equal(egress.gauges().items, 1);
    await pass(1000, 500);
    assert.equal(engine.of('end').length, 1);
    assert.equal(egress.gauges().items, 0);
  });

  it('stays visible to nobody else while it is in hand', async () => {
    start();
    const item = enqueue();
    await settle();
    await pass(200_000, 10_000);
    assert.ok(engine.extended.length >= 2);
    assert.equal(engine.extended[0]!.item, item);
    sessions[0]!.opened();
    assert.deepEqual(sessions[0]!.seen, [item.recipient]);
  });
});

describe('a destination', () => {
  const outcomes = () =>
    engine.settlements.map((each) =>
      each.kind === 'release' ? each.reason.code : `${each.kind} ${each.attempt.reason}`,
    );

  it('without domain, with null MX, with failing DNS, with private addresses: each its own reason', async () => {
    Object.assign(zone, {
      'MX null.test': [{ preference: 0, exchange: '' }],
      'MX broken.test': 'fails',
      'MX inside.test': [{ preference: 10, exchange: 'mx.inside.test' }],
      'A mx.inside.test': ['127.0.0.1', '10.0.0.1'],
      'AAAA mx.inside.test': ['fd00:ec2::254'],
    });
    start();
    for (const domain of ['gone.test', 'null.test', 'broken.test', 'inside.test']) {
      enqueue({ domain });
      await settle();
    }
    assert.deepEqual(outcomes(), [
      'end dns_no_domain',
      'end dns_null_mx',
      'defer dns_failure',
      'end mx_prohibited',
    ]);
    assert.equal(sessions.length, 0);
  });

  it('is shared by all domains with the same hosts, on one connection', async () => {
    zone['MX other.test'] = zone['MX example.test']!;
    start();
    enqueue();
    await settle();
    sessions[0]!.opened();
    sessions[0]!.finish();
    enqueue({ domain: 'other.test' });
    await settle();
    assert.equal(sessions.length, 1);
    assert.equal(sessions[0]!.seen.length, 2);
  });

  it('that fails on its best host is reached by the next, and defers with the last fault', async () => {
    zone['MX example.test'] = [
      { preference: 20, exchange: 'mx2.example.test' },
      { preference: 10, exchange: 'mx1.example.test' },
    ];
    zone['A mx2.example.test'] = ['8.8.8.2'];
    start();
    enqueue();
    await settle();
    sessions[0]!.end('connect_failed', 'connect');
    await settle();
    assert.deepEqual(
      sessions.map((session) => session.options.host),
      ['mx1.example.test', 'mx2.example.test'],
    );
    sessions[1]!.opened();
    sessions[1]!.finish();
    await settle();
    assert.deepEqual(outcomes(), ['end delivered']);
  });

  it('that cannot be reached defers what waited, puts back what comes, and is probed by one connection', async () => {
    start();
    enqueue();
    enqueue();
    await settle();
    sessions[0]!.end('connect_failed', 'connect');
    await settle();
    assert.deepEqual(outcomes(), ['defer connect_failed', 'defer connect_failed']);
    assert.deepEqual(engine.of('defer')[0]!.attempt.mx, {
      host: 'mx1.example.test',
      address: '8.8.8.1',
      port: 25,
    });
    enqueue();
    await settle();
    const [back] = engine.of('release');
    assert.equal(back!.reason.code, 'connect_failed');
    assert.match(back!.reason.text, /mx1\.example\.test \[8\.8\.8\.1\]/);
    assert.ok(back!.until > clock.now() + 13_000 && back!.until < clock.now() + 18_000);
    assert.equal(egress.sites()[0]!.reason!.code, 'connect_failed');
    await pass(17_000);
    for (let i = 0; i < 200; i += 1) enqueue();
    await settle();
    assert.equal(sessions.length, 2, 'one probe');
    sessions[1]!.opened();
    enqueue();
    await settle();
    assert.equal(sessions.length, 2, 'it works again, and is trusted slowly');
    sessions[1]!.finish();
    await pass(1000);
    assert.equal(sessions.length, 3);
    assert.notEqual(egress.sites()[0]!.reason?.code, 'connect_failed');
  });

  it('that greets with 554 refuses the host, not the recipient', async () => {
    start();
    enqueue();
    await settle();
    sessions[0]!.end('peer_permanent', 'greeting', { code: 554, lines: ['go away'] });
    await settle();
    assert.deepEqual(outcomes(), ['defer peer_temporary']);
  });

  it('with broken TLS is spoken to in clear at once and for three days, but not where TLS is required', async () => {
    start();
    enqueue();
    await settle();
    sessions[0]!.end('tls_failed', 'tls');
    await settle();
    assert.equal(sessions[1]!.options.tls, 'off');
    sessions[1]!.opened();
    sessions[1]!.finish();
    sessions[1]!.quit();
    enqueue({ requireTls: true });
    await settle();
    assert.equal(sessions[2]!.options.tls, 'required');
    sessions[2]!.end('tls_failed', 'tls');
    await settle();
    assert.deepEqual(outcomes(), ['end delivered', 'defer tls_failed']);
    await pass(3 * 86_400_000 - 5_000, 3_600_000);
    enqueue();
    await settle();
    assert.equal(sessions[3]!.options.tls, 'off');
    sessions[3]!.opened();
    sessions[3]!.finish();
    sessions[3]!.quit();
    await pass(5_000);
    enqueue();
    await settle();
    assert.equal(sessions[4]!.options.tls, 'opportunistic');
  });

  it('given by a static route may be private, and needs no DNS', async () => {
    start({
      routes: [
        { domain: '*', host: '127.0.0.1', port: 2525 },
        { domain: 'A.test', host: '::1', port: 26 },
      ],
    });
    enqueue({ domain: 'any.test' });
    enqueue({ domain: 'a.test' });
    await settle();
    assert.deepEqual(sessions.map(({ options }) => `${options.address} ${options.port}`).sort(), [
      '127.0.0.1 2525',
      '::1 26',
    ]);
  });

  it('may be an address literal', async () => {
    start({ port: 2500 });
    for (const domain of ['[8.8.4.4]', '[IPv6:2001:4860:4860::8888]', '[10.0.0.1]']) enqueue({ domain });
    await settle();
    assert.deepEqual(
      sessions.map(({ options }) => `${options.address} ${options.port}`),
      ['8.8.4.4 2500', '2001:4860:4860::8888 2500'],
    );
    assert.deepEqual(outcomes(), ['end mx_prohibited']);
  });
});

describe('fairness and limits', () => {
  it('transactional goes first, then each tenant in turn', async () => {
    start({ limits: limits({ connections: 1 }) });
    const lane = (name: string) => `default:${name}:other`;
    for (let i = 0; i < 3; i += 1)
      enqueue({ lane: lane('bulk'), tenant: 'big', recipient: `big${i}@example.test` });
    enqueue({ lane: lane('bulk'), tenant: 'small', recipient: 'small@example.test' });
    enqueue({ lane: lane('transactional'), tenant: 'big', recipient: 'urgent@example.test' });
    await settle();
    sessions[0]!.opened();
    for (let i = 0; i < 5; i += 1) sessions[0]!.finish();
    assert.deepEqual(
      sessions[0]!.seen.map((address) => address.split('@')[0]),
      ['urgent', 'big0', 'small', 'big1', 'big2'],
    );
  });

  it('connections grow with the backlog up to the limit, at the connection rate', async () => {
    start({ limits: limits({ connections: 4, connectionRate: '60/min' }) });
    enqueue();
    await settle();
    assert.equal(sessions.length, 1);
    for (let i = 0; i < 300; i += 1) enqueue();
    await settle();
    assert.equal(sessions.length, 4);
    for (const session of sessions) session.end('quit', 'quit');
    await settle();
    assert.equal(sessions.length, 5, 'a tenth of a minute may come at once');
    await pass(1000, 100);
    assert.equal(sessions.length, 6);
    await pass(2000, 100);
    assert.equal(sessions.length, 8);
  });

  it('messages are paced, also below a second', async () => {
    start({ limits: limits({ messageRate: '10/s', connections: 1 }) });
    for (let i = 0; i < 30; i += 1) enqueue();
    await settle();
    sessions[0]!.opened();
    const taken: number[] = [];
    for (let i = 0; i < 20; i += 1) {
      while (sessions[0]!.taken.length > 0) sessions[0]!.finish();
      taken.push(sessions[0]!.seen.length);
      await pass(101, 101);
    }
    assert.deepEqual(
      taken,
      Array.from({ length: 20 }, (_, i) => i + 1),
    );
  });

  it('a connection ends after its messages and another takes over', async () => {
    start({ limits: limits({ messagesPerConnection: 2, connections: 1 }) });
    for (let i = 0; i < 3; i += 1) enqueue();
    await settle();
    assert.equal(sessions[0]!.options.maxTransactions, 2);
    sessions[0]!.opened();
    sessions[0]!.finish();
    sessions[0]!.finish();
    assert.equal(sessions[0]!.state, 'closed');
    await pass(1000);
    sessions[1]!.opened();
    assert.equal(sessions[1]!.seen.length, 1);
  });

  it('the limit of a provider holds over its sites; an idle connection gives way', async () => {
    for (const name of ['one', 'two']) {
      zone[`MX ${name}.test`] = [{ preference: 10, exchange: `${name}.mail.protection.outlook.com` }];
      zone[`A ${name}.mail.protection.outlook.com`] = ['8.8.8.8'];
    }
    start({ limits: { providers: { office365: { providerConnections: 1 } } } });
    enqueue({ domain: 'one.test' });
    await settle();
    sessions[0]!.opened();
    enqueue({ domain: 'two.test' });
    await settle();
    assert.equal(sessions.length, 1);
    sessions[0]!.finish();
    await settle();
    await pass(1000);
    assert.equal(sessions[0]!.state, 'closed');
    assert.equal(sessions[1]!.options.host, 'two.mail.protection.outlook.com');
  });

  it('a slow site holds its share of the room; the rest is put back and others go on', async () => {
    zone['MX fast.test'] = [{ preference: 10, exchange: 'mx.fast.test' }];
    zone['A mx.fast.test'] = ['8.8.8.3'];
    start({ inHand: { items: 100, bytes: 1 << 20 } });
    for (let i = 0; i < 500; i += 1) enqueue();
    const other = enqueue({ domain: 'fast.test' });
    for (let i = 0; i < 30; i += 1) await pass(1000);
    assert.ok(egress.gauges().items <= 100);
    assert.equal(engine.queued, 0, 'all of the lane was looked at');
    const released = engine.of('release');
    assert.ok(released.length > 400);
    assert.ok(released.every((each) => each.reason.code === 'site_limit' && each.until > 0));
    const fast = sessions.find((session) => session.options.host === 'mx.fast.test')!;
    fast.opened();
    assert.deepEqual(fast.seen, [other.recipient]);
  });

  it('a slow site puts bulk mail back to make room for transactional mail', async () => {
    start({ inHand: { items: 100, bytes: 1 << 20 } });
    for (let i = 0; i < 500; i += 1) enqueue({ lane: 'default:bulk:other' });
    for (let i = 0; i < 30; i += 1) await pass(1000);
    const before = engine.of('release').length;
    const urgent = enqueue();
    for (let i = 0; i < 5; i += 1) await pass(1000);
    const back = engine.of('release').slice(before);
    assert.ok(back.length > 0);
    assert.ok(back.every(({ leased }) => leased.item.messageId !== urgent.messageId));
    sessions[0]!.opened();
    assert.deepEqual(sessions[0]!.seen, [urgent.recipient]);
  });

  it('holds no more than its bytes', async () => {
    start({ inHand: { items: 1000, bytes: 100_000 } });
    for (let i = 0; i < 200; i += 1) engine.enqueue(queueItem(clock.now()), 1, Buffer.alloc(10_000));
    for (let i = 0; i < 10; i += 1) await pass(1000);
    // What was leased before the first size was known may go beyond.
    assert.ok(egress.gauges().bytes <= 100_000, `${egress.gauges().bytes}`);
  });

  it('a few deliveries do not wait behind one slow transaction', async () => {
    start();
    enqueue();
    await settle();
    sessions[0]!.opened();
    enqueue();
    await settle();
    await pass(1000);
    assert.equal(sessions.length, 2);
  });
});

describe('source addresses', () => {
  it('are used in turn, by pool, with their EHLO names', async () => {
    start({
      ips: ['127.0.0.1', '127.0.0.2', '127.0.0.3'],
      pools: { marketing: ['127.0.0.3'] },
      ehloNames: { '127.0.0.3': 'm.sender.test' },
    });
    await waitUntil(() => engine.owners.size === 3);
    enqueue();
    enqueue();
    enqueue({ lane: 'marketing:bulk:other' });
    await settle();
    assert.deepEqual(sessions.map(({ options }) => `${options.localAddress} ${options.ehloName}`).sort(), [
      '127.0.0.1 out.sender.test',
      '127.0.0.2 out.sender.test',
      '127.0.0.3 m.sender.test',
    ]);
  });

  it('that another node owns leave the mail to that node', async () => {
    engine.owners.set('egress-ip:127.0.0.1', 'node-2');
    start({ ips: ['127.0.0.1', '192.0.2.9'] });
    await waitUntil(() => egress.sources().every((source) => !source.trouble.includes('yet')));
    enqueue();
    await pass(5_000);
    assert.equal(engine.queued, 1);
    assert.match(egress.sources()[0]!.trouble, /Another node holds the lease of 127\.0\.0\.1\./);
  });

  it('that this host does not have send nothing, and the mail says why it waits', async () => {
    start({ ips: ['192.0.2.9'] });
    await waitUntil(() => egress.sources().every((source) => !source.trouble.includes('yet')));
    enqueue();
    await settle();
    assert.equal(sessions.length, 0);
    const [release] = engine.of('release');
    assert.equal(release!.reason.code, 'no_source_ip');
    assert.match(release!.reason.text, /192\.0\.2\.9: this host does not/);
  });
});

describe('the mailbox simulator', () => {
  it('answers without a connection, and complains later', async () => {
    start();
    const domain = 'simulator.amazonses.com';
    for (const local of ['success+a', 'bounce', 'complaint+x', 'ooto', 'suppressionlist']) {
      enqueue({ domain, recipient: `${local}@${domain}` });
    }
    await settle();
    assert.equal(sessions.length, 0);
    assert.deepEqual(
      engine.of('end').map(({ state, attempt }) => `${state} ${attempt.reason}`),
      [
        'delivered delivered',
        'bounced peer_permanent',
        'delivered delivered',
        'delivered delivered',
        'bounced suppressed',
      ],
    );
    assert.equal(egress.counters.autoReplies, 1);
    await pass(1000);
    assert.deepEqual(
      engine.reports.map(({ kind, messageId }) => [kind, messageId]),
      [['complaint', engine.of('end')[2]!.leased.item.messageId]],
    );
  });
});

describe('stop', () => {
  it('lets the transaction under way end, puts the rest back at once and gives the leases back', async () => {
    start({ limits: limits({ connections: 1 }), ips: ['127.0.0.1'] });
    await waitUntil(() => engine.owners.size === 1);
    const under = enqueue();
    const waiting = enqueue();
    await settle();
    sessions[0]!.opened();
    const stopped = egress.stop();
    await settle();
    const [back] = engine.of('release');
    assert.equal(back!.leased.item, waiting);
    assert.equal(back!.until, 0);
    assert.equal(back!.reason.code, 'shutting_down');
    sessions[0]!.finish();
    sessions[0]!.end('quit', 'quit');
    await pass(100, 50);
    await stopped;
    assert.equal(engine.of('end')[0]!.leased.item, under);
    assert.equal(egress.gauges().items, 0);
    assert.equal(engine.owners.size, 0);
    assert.equal(engine.leases.at(-1)!.signal!.aborted, true);
  });

  it('cuts off what does not end in its time', async () => {
    start();
    enqueue();
    await settle();
    sessions[0]!.opened();
    const stopped = egress.stop();
    await pass(20_100, 50);
    await stopped;
    assert.equal(sessions[0]!.state, 'closed');
    assert.equal(engine.settlements.length, 1);
  });
});

async function waitUntil(done: () => boolean): Promise<void> {
  // What is waited for is the kernel's answer, not a time: bounded by turns of the event loop.
  for (let i = 0; i < 10_000 && !done(); i += 1) await new Promise<void>((resolve) => setImmediate(resolve));
  await settle();
}
