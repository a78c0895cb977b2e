/** A delivery on its way through egress to its settlement, and the effect of a stop on it. */
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { PosternError } from '../../lib/errors.ts';
import type { RecipientResult } from '../../lib/smtp/types.ts';
import { EXAMPLE, limits, TestEgress, zoneResolver } from '../support/egress.ts';
import { settled } from '../support/engine.ts';

let node: TestEgress;

beforeEach(() => {
  node = new TestEgress(zoneResolver(EXAMPLE));
});

afterEach(() => node.stop());

describe('a delivery', () => {
  it('goes to the checked address of its MX and ends with a complete record', async () => {
    const attempts: string[] = [];
    node.start({ onAttempt: (item, attempt) => attempts.push(`${item.recipient} ${attempt.state}`) });
    const item = node.enqueue();
    await settled();
    const { options } = node.sessions[0]!;
    assert.equal(options.address, '8.8.8.1');
    assert.equal(options.port, 25);
    assert.equal(options.host, 'mx1.example.test');
    assert.equal(options.tls, 'opportunistic');
    assert.equal(options.ehloName, 'out.sender.test');
    node.sessions[0]!.tls = { protocol: 'TLSv1.3', cipher: 'TLS_AES_128_GCM_SHA256', verified: false };
    node.sessions[0]!.opened();
    node.clock.advance(5);
    node.sessions[0]!.finish();
    await settled();
    assert.deepEqual(
      node.engine.of('end').map(({ leased, state, attempt }) => ({ item: leased.item, state, attempt })),
      [
        {
          item,
          state: 'delivered',
          attempt: {
            at: node.clock.now(),
            duration: 0,
            ip: undefined,
            mx: { host: 'mx1.example.test', address: '8.8.8.1', port: 25 },
            provider: undefined,
            tls: { protocol: 'TLSv1.3', cipher: 'TLS_AES_128_GCM_SHA256', verified: false },
            replies: [{ phase: 'body', code: 250, text: 'OK' }],
            state: 'delivered',
            reason: 'delivered',
            text: node.engine.of('end')[0]!.attempt.text,
            uncertain: undefined,
            until: undefined,
          },
        },
      ],
    );
    assert.deepEqual(attempts, [`${item.recipient} delivered`]);
    assert.equal(node.egress.counters.delivered, 1);
    assert.equal(node.egress.counters.providers.get('other')!.delivered, 1);
    assert.equal(node.egress.gauges().items, 0);
  });

  it('is deferred by the schedule of its configuration set, then expires', async () => {
    node.start({ retry: (set) => ({ delays: [set === 'slow' ? 50_000 : 1_000], jitter: 0 }) });
    const reply = { code: 451, enhanced: '4.7.1', lines: ['later'] };
    const greylisted: Partial<RecipientResult> = { kind: 'refused', phase: 'rcpt', reply };
    node.enqueue({ configurationSet: 'slow', expiresAt: node.clock.now() + 60_000 });
    await settled();
    node.sessions[0]!.opened();
    node.sessions[0]!.finish(greylisted);
    await settled();
    const [deferred] = node.engine.of('defer');
    assert.equal(deferred!.until, node.clock.now() + 50_000);
    assert.equal(deferred!.attempt.until, deferred!.until);
    assert.equal(deferred!.attempt.reason, 'peer_temporary');
    node.enqueue({ configurationSet: 'slow', attempts: 1, expiresAt: node.clock.now() + 50_000 });
    await settled();
    node.sessions[0]!.finish(greylisted);
    await settled();
    const [expired] = node.engine.of('end');
    assert.equal(expired!.state, 'expired');
    assert.equal(expired!.attempt.reason, 'expired');
    assert.match(expired!.attempt.text, /The last attempt: .*later/);
    assert.equal(expired!.attempt.until, undefined);
  });

  it('leased after its expiry ends without an attempt', async () => {
    node.start();
    node.enqueue({ expiresAt: node.clock.now(), reason: { code: 'dns_failure', text: 'no answer' } });
    await settled();
    assert.equal(node.sessions.length, 0);
    assert.equal(node.engine.of('end')[0]!.state, 'expired');
    assert.match(node.engine.of('end')[0]!.attempt.text, /because: no answer/);
  });

  it('whose reply was never read is retried, and marked', async () => {
    node.start();
    node.enqueue();
    await settled();
    node.sessions[0]!.opened();
    node.sessions[0]!.finish({ kind: 'uncertain', phase: 'body', code: 'uncertain', text: 'lost' });
    await settled();
    assert.equal(node.engine.of('defer')[0]!.attempt.uncertain, true);
    assert.equal(node.egress.counters.uncertain, 1);
    assert.equal(node.egress.counters.deferred, 1);
  });

  it('leased before is sent, unless its record shows an end', async () => {
    const { queue } = node.engine.others;
    const done = node.enqueue();
    const open = node.enqueue();
    node.engine.states.set(`${done.messageId}/0`, 'bounced');
    await settled();
    await queue.lease({ lane: done.lane, max: 2, visibility: 1, wait: 0 });
    node.clock.advance(1);
    node.start();
    await settled();
    assert.equal(node.engine.of('end')[0]!.state, 'bounced');
    assert.equal(node.engine.of('end')[0]!.leased.item, done);
    node.sessions[0]!.opened();
    assert.deepEqual(node.sessions[0]!.seen, [open.recipient]);
    assert.equal(node.egress.counters.superseded, 1);
  });

  it('whose connection breaks before an answer is tried on another connection, three times in all', async () => {
    node.start();
    node.enqueue();
    await settled();
    for (let i = 0; i < 3; i += 1) {
      node.sessions[i]!.opened();
      assert.equal(node.engine.settlements.length, 0);
      node.sessions[i]!.end('connection_lost', 'mail');
      await settled();
    }
    assert.equal(node.sessions.length, 3);
    assert.equal(node.engine.of('defer')[0]!.attempt.reason, 'connection_lost');
  });

  it('is settled repeatedly while the storage fails', async () => {
    node.start();
    node.engine.settleErrors.push(
      new PosternError('storage_unavailable', 'disk'),
      new PosternError('storage_full', 'disk'),
    );
    node.enqueue();
    await settled();
    node.sessions[0]!.opened();
    node.sessions[0]!.finish();
    await settled();
    assert.equal(node.engine.settlements.length, 0);
    assert.equal(node.egress.gauges().items, 1);
    await node.pass(1000, 500);
    assert.equal(node.engine.of('end').length, 1);
    assert.equal(node.egress.gauges().items, 0);
  });

  it('stays leased while it is in flight', async () => {
    node.start();
    const item = node.enqueue();
    await settled();
    await node.pass(200_000, 10_000);
    assert.ok(node.engine.extended.length >= 2);
    assert.equal(node.engine.extended[0]!.item, item);
    node.sessions[0]!.opened();
    assert.deepEqual(node.sessions[0]!.seen, [item.recipient]);
  });
});

describe('the mailbox simulator', () => {
  it('answers without a connection, and sends its complaint later', async () => {
    node.start();
    const domain = 'simulator.amazonses.com';
    for (const local of ['success+a', 'bounce', 'complaint+x', 'ooto', 'suppressionlist']) {
      node.enqueue({ domain, recipient: `${local}@${domain}` });
    }
    await settled();
    assert.equal(node.sessions.length, 0);
    assert.deepEqual(
      node.engine.of('end').map(({ state, attempt }) => `${state} ${attempt.reason}`),
      [
        'delivered delivered',
        'bounced peer_permanent',
        'delivered delivered',
        'delivered delivered',
        'bounced suppressed',
      ],
    );
    assert.equal(node.egress.counters.autoReplies, 1);
    await node.pass(1000);
    assert.deepEqual(
      node.engine.reports.map(({ kind, messageId }) => [kind, messageId]),
      [['complaint', node.engine.of('end')[2]!.leased.item.messageId]],
    );
  });
});

describe('stop', () => {
  it('lets the current transaction end, requeues the rest at once and releases the leases', async () => {
    node.start({ limits: limits({ connections: 1 }), ips: ['127.0.0.1'] });
    await node.bound();
    const under = node.enqueue();
    const waiting = node.enqueue();
    await settled();
    node.sessions[0]!.opened();
    const stopped = node.egress.stop();
    await settled();
    const [back] = node.engine.of('release');
    assert.equal(back!.leased.item, waiting);
    assert.equal(back!.until, 0);
    assert.equal(back!.reason.code, 'shutting_down');
    node.sessions[0]!.finish();
    node.sessions[0]!.end('quit', 'quit');
    await node.pass(100, 50);
    await stopped;
    assert.equal(node.engine.of('end')[0]!.leased.item, under);
    assert.equal(node.egress.gauges().items, 0);
    const { leases } = node.engine.others;
    assert.ok(await leases.acquire('egress-ip:127.0.0.1', 'node-2', 1000), 'its lease is free');
    assert.equal(node.engine.leases.at(-1)!.signal!.aborted, true);
  });

  it('cuts off transactions that do not end in time', async () => {
    node.start();
    node.enqueue();
    await settled();
    node.sessions[0]!.opened();
    const stopped = node.egress.stop();
    await node.pass(20_100, 50);
    await stopped;
    assert.equal(node.sessions[0]!.state, 'closed');
    assert.equal(node.engine.settlements.length, 1);
  });
});
