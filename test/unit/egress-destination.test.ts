/** The host and address that egress connects to, and its reaction when they cannot be reached. */
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { DAY, HOUR } from '../../lib/time.ts';
import { EXAMPLE, TestEgress, type Zone, zoneResolver } from '../support/egress.ts';
import type { FakeSession } from '../support/egress-fakes.ts';
import { settled } from '../support/engine.ts';

let node: TestEgress;
let zone: Zone;

beforeEach(() => {
  zone = { ...EXAMPLE };
  node = new TestEgress(zoneResolver(zone));
});

afterEach(() => node.stop());

describe('a destination', () => {
  const outcomes = () =>
    node.engine.settlements.map((each) =>
      each.kind === 'release' ? each.reason.code : `${each.kind} ${each.attempt.reason}`,
    );

  it('without domain, with null MX, with failing DNS, with private addresses: each has its own reason', async () => {
    Object.assign(zone, {
      'MX null.test': [{ preference: 0, exchange: '' }],
      'MX broken.test': 'fails',
      'MX inside.test': [{ preference: 10, exchange: 'mx.inside.test' }],
      'A mx.inside.test': ['127.0.0.1', '10.0.0.1'],
      'AAAA mx.inside.test': ['fd00:ec2::254'],
    });
    node.start();
    for (const domain of ['gone.test', 'null.test', 'broken.test', 'inside.test']) {
      node.enqueue({ domain });
      await settled();
    }
    node.clock.advance(60_000);
    node.enqueue({ domain: 'gone.test' });
    await settled();
    assert.deepEqual(outcomes(), [
      'defer dns_unconfirmed',
      'end dns_null_mx',
      'defer dns_failure',
      'end mx_prohibited',
      'end dns_no_domain',
    ]);
    assert.equal(node.sessions.length, 0);
  });

  it('is shared by all domains with the same hosts, on one connection', async () => {
    zone['MX other.test'] = zone['MX example.test']!;
    node.start();
    node.enqueue();
    await settled();
    node.sessions[0]!.opened();
    node.sessions[0]!.finish();
    node.enqueue({ domain: 'other.test' });
    await settled();
    assert.equal(node.sessions.length, 1);
    assert.equal(node.sessions[0]!.seen.length, 2);
  });

  it('that fails on its best host is tried on the next, and defers with the last fault', async () => {
    zone['MX example.test'] = [
      { preference: 20, exchange: 'mx2.example.test' },
      { preference: 10, exchange: 'mx1.example.test' },
    ];
    zone['A mx2.example.test'] = ['8.8.8.2'];
    node.start();
    node.enqueue();
    await settled();
    node.sessions[0]!.end('connect_failed', 'connect');
    await settled();
    assert.deepEqual(
      node.sessions.map((session) => session.options.host),
      ['mx1.example.test', 'mx2.example.test'],
    );
    node.sessions[1]!.opened();
    node.sessions[1]!.finish();
    await settled();
    assert.deepEqual(outcomes(), ['end delivered']);
  });

  it('with hosts of several providers has the provider of its site in the record', async () => {
    zone['MX example.test'] = [
      { preference: 10, exchange: 'aspmx.l.google.com' },
      { preference: 20, exchange: 'mx2.example.test' },
    ];
    zone['A aspmx.l.google.com'] = ['8.8.8.3'];
    zone['A mx2.example.test'] = ['8.8.8.2'];
    node.start();
    node.enqueue();
    await settled();
    node.sessions[0]!.opened();
    node.sessions[0]!.finish();
    await settled();
    const { mx, provider } = node.engine.of('end')[0]!.attempt;
    assert.deepEqual([mx!.host, provider], ['aspmx.l.google.com', 'other']);
  });

  it('that is down defers waiting mail, requeues new mail, and is probed by one connection', async () => {
    node.start();
    node.enqueue();
    node.enqueue();
    await settled();
    node.sessions[0]!.end('connect_failed', 'connect');
    await settled();
    assert.deepEqual(outcomes(), ['defer connect_failed', 'defer connect_failed']);
    assert.deepEqual(node.engine.of('defer')[0]!.attempt.mx, {
      host: 'mx1.example.test',
      address: '8.8.8.1',
      port: 25,
    });
    node.enqueue();
    await settled();
    const [back] = node.engine.of('release');
    assert.equal(back!.reason.code, 'connect_failed');
    assert.match(back!.reason.text, /mx1\.example\.test \[8\.8\.8\.1\]/);
    assert.ok(back!.until > node.clock.now() + 13_000 && back!.until < node.clock.now() + 18_000);
    assert.equal(node.egress.sites()[0]!.reason!.code, 'connect_failed');
    await node.pass(17_000);
    for (let i = 0; i < 200; i += 1) node.enqueue();
    await settled();
    assert.equal(node.sessions.length, 2, 'one probe');
    node.sessions[1]!.opened();
    node.enqueue();
    await settled();
    assert.equal(node.sessions.length, 2, 'the window grows slowly after the probe');
    node.sessions[1]!.finish();
    await node.pass(1000);
    assert.equal(node.sessions.length, 3);
    assert.notEqual(node.egress.sites()[0]!.reason?.code, 'connect_failed');
  });

  it('that greets with 554 refuses the host, not the recipient', async () => {
    node.start();
    node.enqueue();
    await settled();
    node.sessions[0]!.end('peer_permanent', 'greeting', { code: 554, lines: ['go away'] });
    await settled();
    assert.deepEqual(outcomes(), ['defer peer_temporary']);
  });

  /** The latest session; enqueues a message when no session is open. */
  async function connect(item: Parameters<TestEgress['enqueue']>[0] = {}): Promise<FakeSession> {
    node.enqueue(item);
    await settled();
    return node.sessions.at(-1)!;
  }
  const TLS = { protocol: 'TLSv1.3', cipher: 'TLS_AES_128_GCM_SHA256', verified: false };

  it('gets plaintext for a day when TLS failed three times, a minute apart, but not where TLS is required', async () => {
    node.start();
    for (const _ of [1, 2, 3]) {
      const session = await connect();
      assert.equal(session.options.tls, 'opportunistic');
      session.end('tls_failed', 'tls', undefined, true);
      await settled();
      if (node.sessions.at(-1) === session) await node.pass(120_000, 10_000);
      for (const other of node.sessions.filter((one) => one.state === 'opening' && one.options.tls !== 'off'))
        other.end('connect_failed', 'connect');
    }
    const clear = node.sessions.at(-1)!;
    assert.equal(clear.options.tls, 'off');
    clear.opened();
    while (clear.taken.length > 0) clear.finish();
    clear.quit();
    assert.ok(outcomes().includes('defer tls_failed'), 'the attempts before show what happened');
    const required = await connect({ requireTls: true });
    assert.equal(required.options.tls, 'required');
  });

  it('never gets plaintext after resets, timeouts and 421 in the handshake', async () => {
    node.start();
    for (let i = 0; i < 6; i += 1) {
      const session = await connect();
      assert.equal(session.options.tls, 'opportunistic');
      if (i % 2 === 0) session.end('tls_failed', 'tls');
      else session.end('peer_temporary', 'starttls', { code: 421, lines: ['not now'] });
      await node.pass(HOUR, 600_000);
      for (const other of node.sessions)
        if (other.state === 'opening') other.end('connect_failed', 'connect');
      await node.pass(HOUR, 600_000);
    }
    assert.ok(node.sessions.every((session) => session.options.tls === 'opportunistic'));
  });

  it('that has used TLS gets no plaintext for three days, after any failure', async () => {
    node.start();
    const first = await connect();
    first.tls = TLS;
    first.opened();
    first.finish();
    first.quit();
    for (let i = 0; i < 4; i += 1) {
      const session = await connect();
      assert.equal(session.options.tls, 'required');
      session.end('tls_failed', 'tls', undefined, true);
      await node.pass(HOUR, 600_000);
      for (const other of node.sessions)
        if (other.state === 'opening') other.end('connect_failed', 'connect');
    }
    await node.pass(3 * DAY, HOUR);
    for (const other of node.sessions) if (other.state === 'opening') other.end('connect_failed', 'connect');
    await node.pass(DAY, HOUR);
    assert.equal((await connect()).options.tls, 'opportunistic');
  });

  it('that requires STARTTLS by 530 gets it at once, without counting an attempt', async () => {
    node.start();
    const clear = await connect();
    clear.opened();
    clear.finish({
      kind: 'refused',
      phase: 'mail',
      reply: { code: 530, enhanced: '5.7.0', lines: ['Must issue a STARTTLS command first'] },
    });
    await settled();
    assert.deepEqual(outcomes(), []);
    const secure = node.sessions.at(-1)!;
    assert.notEqual(secure, clear);
    assert.equal(secure.options.tls, 'required');
    secure.tls = TLS;
    secure.opened();
    secure.finish();
    await settled();
    assert.deepEqual(outcomes(), ['end delivered']);
  });

  it('given by a static route may be private, and needs no DNS', async () => {
    node.start({
      routes: [
        { domain: '*', host: '127.0.0.1', port: 2525 },
        { domain: 'A.test', host: '::1', port: 26 },
      ],
    });
    node.enqueue({ domain: 'any.test' });
    node.enqueue({ domain: 'a.test' });
    await settled();
    assert.deepEqual(node.sessions.map(({ options }) => `${options.address} ${options.port}`).sort(), [
      '127.0.0.1 2525',
      '::1 26',
    ]);
  });

  it('may be an address literal', async () => {
    node.start({ port: 2500 });
    for (const domain of ['[8.8.4.4]', '[IPv6:2001:4860:4860::8888]', '[10.0.0.1]']) node.enqueue({ domain });
    await settled();
    assert.deepEqual(
      node.sessions.map(({ options }) => `${options.address} ${options.port}`),
      ['8.8.4.4 2500', '2001:4860:4860::8888 2500'],
    );
    assert.deepEqual(outcomes(), ['end mx_prohibited']);
  });
});
