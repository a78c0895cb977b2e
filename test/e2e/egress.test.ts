/** Egress with its real parts: the embedded engine, the SMTP client, DNS over sockets, `smtp-server` as the peer. */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { SMTPServer, type SMTPServerOptions } from 'smtp-server';
import { createResolver } from '../../lib/dns/resolver.ts';
import { dnsServers } from '../../lib/dns/servers.ts';
import { startEgress } from '../../lib/egress/egress.ts';
import type { Egress, EgressOptions } from '../../lib/egress/types.ts';
import { openEmbedded } from '../../lib/engine/embedded/open.ts';
import type { DeliveryRecord, MessageRecord, QueueItem } from '../../lib/engine/items.ts';
import type { Engine } from '../../lib/engine/ports.ts';
import { HOUR, systemClock } from '../../lib/time.ts';
import { a, mx, startDnsServer, type TestDnsServer } from '../support/dns-server.ts';

const BODY = Buffer.from('From: a@sender.test\r\nSubject: dots\r\n\r\n.one\r\n..two\r\n.\r\nend\r\n');

interface Received {
  from: string;
  to: string[];
  bytes: Buffer;
}

let directory: string;
let engine: Engine;
let dns: TestDnsServer;
let egress: Egress | undefined;
let closing: (() => Promise<void>)[];

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'postern-egress-'));
  engine = await openEmbedded({ directory, clock: systemClock, minimumFree: 0 });
  dns = await startDnsServer();
  closing = [];
});

afterEach(async () => {
  await egress?.stop();
  egress = undefined;
  await engine.close();
  for (const close of closing) await close();
  await dns.close();
  await rm(directory, { recursive: true });
});

/** A peer on loopback that keeps the messages it accepts. */
async function startPeer(options: SMTPServerOptions = {}): Promise<{ port: number; received: Received[] }> {
  const received: Received[] = [];
  const server = new SMTPServer({
    authOptional: true,
    disabledCommands: ['AUTH', 'STARTTLS'],
    onData(stream, session, callback) {
      const chunks: Buffer[] = [];
      stream.on('data', (chunk: Buffer) => chunks.push(chunk));
      stream.on('end', () => {
        const { mailFrom, rcptTo } = session.envelope;
        received.push({
          from: mailFrom === false ? '' : mailFrom.address,
          to: rcptTo.map(({ address }) => address),
          bytes: Buffer.concat(chunks),
        });
        callback();
      });
    },
    ...options,
  });
  server.on('error', () => undefined);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  closing.push(() => new Promise((resolve) => server.close(() => resolve())));
  return { port: (server.server.address() as AddressInfo).port, received };
}

function start(options: Partial<EgressOptions>): Egress {
  egress = startEgress({
    engine,
    resolver: createResolver({
      servers: dnsServers(dns.endpoint),
      clock: systemClock,
      timeouts: [500, 500, 500],
    }),
    clock: systemClock,
    random: Math.random,
    node: 'test',
    ehloName: 'out.sender.test',
    ...options,
  });
  return egress;
}

let serial = 0;

/** Admits a message to one recipient. @returns its id. */
async function admit(recipient: string, change: Partial<QueueItem> = {}): Promise<string> {
  const now = Date.now();
  serial += 1;
  const id = `message-${serial}`;
  const record: MessageRecord = {
    v: 1,
    id,
    tenant: 'main',
    keyId: 'key',
    door: 'smtp',
    sourceIp: '127.0.0.1',
    acceptedAt: now,
    expiresAt: now + HOUR,
    source: 'a@sender.test',
    fromDomain: 'sender.test',
    tags: {},
    class: 'transactional',
    pool: 'default',
    size: BODY.length,
    recipients: [recipient],
    commonHeaders: { from: ['a@sender.test'], messageId: id },
  };
  const item: QueueItem = {
    v: 1,
    messageId: id,
    n: 0,
    tenant: 'main',
    lane: 'default:transactional:other',
    mailFrom: 'bounce@sender.test',
    recipient,
    domain: recipient.slice(recipient.lastIndexOf('@') + 1),
    eightBit: false,
    smtpUtf8: false,
    requireTls: false,
    acceptedAt: now,
    expiresAt: record.expiresAt,
    attempts: 0,
    due: now,
    ...change,
  };
  await engine.queue.admit([{ record, body: BODY, deliveries: [item] }]);
  return id;
}

/** The record of a delivery once `done` is true of it, checked at each turn of the event loop. */
async function record(id: string, done: (delivery: DeliveryRecord) => boolean): Promise<DeliveryRecord> {
  for (;;) {
    const [delivery] = await engine.records.deliveries(id);
    if (delivery !== undefined && done(delivery)) return delivery;
    await new Promise<void>((resolve) => setImmediate(resolve));
  }
}

const ended = ({ state }: DeliveryRecord) => ['delivered', 'bounced', 'expired'].includes(state);

describe('egress', { timeout: 20_000 }, () => {
  it('delivers the exact bytes and records the attempt', async () => {
    const peer = await startPeer();
    start({ routes: [{ domain: '*', host: '127.0.0.1', port: peer.port }] });
    const delivery = await record(await admit('user@example.test'), ended);
    assert.deepEqual(peer.received, [{ from: 'bounce@sender.test', to: ['user@example.test'], bytes: BODY }]);
    const [attempt] = delivery.attempts;
    assert.equal(delivery.state, 'delivered');
    assert.deepEqual(attempt!.mx, { host: '127.0.0.1', address: '127.0.0.1', port: peer.port });
    assert.equal(attempt!.ip, '127.0.0.1');
    assert.deepEqual(
      attempt!.replies.map(({ code }) => code),
      [250, 250, 354, 250],
    );
    assert.equal(egress!.gauges().items, 0);
  });

  it('retries after a temporary refusal and then delivers', async () => {
    let refusals = 1;
    const peer = await startPeer({
      onRcptTo(_address, _session, callback) {
        refusals -= 1;
        if (refusals < 0) callback();
        else callback(Object.assign(new Error('greylisted'), { responseCode: 451 }));
      },
    });
    start({
      routes: [{ domain: '*', host: '127.0.0.1', port: peer.port }],
      retry: () => ({ delays: [20], jitter: 0 }),
    });
    const delivery = await record(await admit('user@example.test'), ended);
    assert.deepEqual(
      delivery.attempts.map(({ state, reason }) => `${state} ${reason}`),
      ['deferred peer_temporary', 'delivered delivered'],
    );
    assert.match(delivery.attempts[0]!.text, /451.*greylisted/);
    assert.equal(peer.received.length, 1);
  });

  it('tries the next address when the first refuses the connection', async () => {
    const peer = await startPeer();
    // 127.0.0.9 is this host too, but its port is closed.
    dns.zone.set('A relay.test', a('127.0.0.9', '127.0.0.1'));
    start({ routes: [{ domain: '*', host: 'relay.test', port: peer.port }] });
    for (let i = 0; i < 4; i += 1) {
      const delivery = await record(await admit(`user${i}@example.test`), ended);
      assert.equal(delivery.attempts.length, 1);
      assert.equal(delivery.attempts[0]!.mx!.address, '127.0.0.1');
    }
  });

  it("says of mail that was tried and of mail that waits in the peer's words why its site takes none", async () => {
    const server = createServer((socket) => {
      socket.on('error', () => undefined);
      socket.end('554 5.7.1 No mail from 192.0.2.1, see https://peer.test\r\n');
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    closing.push(() => new Promise((resolve) => server.close(() => resolve())));
    start({ routes: [{ domain: '*', host: '127.0.0.1', port: (server.address() as AddressInfo).port }] });
    const words = /554 5\.7\.1 No mail from 192\.0\.2\.1, see https:\/\/peer\.test/;
    const tried = await record(await admit('user@example.test'), ({ attempts }) => attempts.length > 0);
    assert.match(tried.attempts[0]!.text, words);
    const waits = await record(await admit('other@example.test'), ({ text }) => words.test(text));
    assert.deepEqual([waits.attempts.length, waits.reason], [0, tried.reason]);
    assert.match(egress!.sites()[0]!.reason!.text, words);
  });

  it('ends mail that is undeliverable by DNS, without a connection', async () => {
    dns.zone.set('MX null.test', mx([0, '.']));
    dns.zone.set('MX inside.test', mx([10, 'mx.inside.test']));
    dns.zone.set('A mx.inside.test', a('127.0.0.1'));
    dns.zone.set('A implicit.test', a('192.168.0.1'));
    dns.zone.set('MX broken.test', { rcode: 2 });
    start({});
    const reasons: string[] = [];
    for (const domain of ['null.test', 'inside.test', 'implicit.test', 'gone.test', 'broken.test']) {
      const delivery = await record(await admit(`user@${domain}`), ({ attempts }) => attempts.length > 0);
      reasons.push(`${delivery.state} ${delivery.reason}`);
    }
    assert.deepEqual(reasons, [
      'bounced dns_null_mx',
      'bounced mx_prohibited',
      'bounced mx_prohibited',
      'deferred dns_unconfirmed',
      'deferred dns_failure',
    ]);
  });

  it('never sends mail that requires TLS in plaintext', async () => {
    const peer = await startPeer();
    start({ routes: [{ domain: '*', host: '127.0.0.1', port: peer.port }] });
    const id = await admit('user@example.test', { requireTls: true });
    const delivery = await record(id, ({ attempts }) => attempts.length > 0);
    assert.equal(delivery.reason, 'tls_required');
    assert.ok(delivery.until! > Date.now());
    const clear = await record(await admit('other@example.test'), ended);
    assert.equal(clear.state, 'delivered', 'the same site takes what does not');
    assert.equal(peer.received.length, 1);
  });

  it('uses TLS where the peer offers it', async () => {
    const peer = await startPeer({ disabledCommands: ['AUTH'] });
    start({ routes: [{ domain: '*', host: '127.0.0.1', port: peer.port }] });
    const required = await record(
      await admit('user@example.test', { requireTls: true }),
      ({ attempts }) => attempts.length > 0,
    );
    const opportunistic = await record(await admit('other@example.test'), ended);
    assert.match(opportunistic.attempts[0]!.tls!.protocol, /^TLS/);
    assert.equal(opportunistic.state, 'delivered');
    assert.equal(required.state, 'delivered');
  });

  it('delivers each of many exactly once, over few connections', async () => {
    let connections = 0;
    const peer = await startPeer({
      onConnect(_session, callback) {
        connections += 1;
        callback();
      },
    });
    start({ routes: [{ domain: '*', host: '127.0.0.1', port: peer.port }] });
    const ids = await Promise.all(Array.from({ length: 500 }, (_, i) => admit(`user${i}@d${i % 20}.test`)));
    for (const id of ids) await record(id, ended);
    assert.equal(new Set(peer.received.map(({ to }) => to[0])).size, 500);
    assert.equal(peer.received.length, 500);
    assert.ok(connections <= 20);
  });

  it('requeues its mail at stop, and delivers it after the next start', async () => {
    const held: (() => void)[] = [];
    const peer = await startPeer({
      onMailFrom(_address, _session, callback) {
        if (held.length < 100) held.push(() => callback());
        else callback();
      },
    });
    const routes = [{ domain: '*', host: '127.0.0.1', port: peer.port }];
    start({ routes });
    const ids = await Promise.all(Array.from({ length: 50 }, (_, i) => admit(`user${i}@example.test`)));
    while (held.length === 0) await new Promise<void>((resolve) => setImmediate(resolve));
    const stopped = egress!.stop();
    const letGo = setInterval(() => {
      for (const release of held.splice(0)) release();
    }, 5);
    await stopped;
    const lanes = await engine.queue.lanes();
    assert.equal(
      lanes.reduce((sum, lane) => sum + lane.leased, 0),
      0,
      'nothing is leased any more',
    );
    start({ routes });
    for (const id of ids) await record(id, ended);
    clearInterval(letGo);
    assert.equal(peer.received.length, 50);
  });
});

describe('a peer that accepts only some messages over one connection', () => {
  /** @param refuse the reply to MAIL, by the messages accepted over the connection; undefined: MAIL is accepted. */
  async function startScripted(
    refuse: (accepted: number, connection: number) => string | undefined,
    phase: 'MAIL' | 'RCPT' = 'MAIL',
  ): Promise<{ port: number; accepted: () => number }> {
    let total = 0;
    let connections = 0;
    const sockets = new Set<Socket>();
    const server = createServer((socket) => {
      sockets.add(socket);
      connections += 1;
      const connection = connections;
      let accepted = 0;
      let inBody = false;
      let rest = '';
      socket.on('error', () => undefined);
      socket.write('220 peer\r\n');
      socket.on('data', (data: Buffer) => {
        const lines = (rest + data.toString('latin1')).split('\r\n');
        rest = lines.pop()!;
        for (const line of lines) {
          const command = line.slice(0, 4).toUpperCase();
          const refusal = command === phase && !inBody ? refuse(accepted, connection) : undefined;
          if (inBody) {
            if (line !== '.') continue;
            inBody = false;
            accepted += 1;
            total += 1;
            socket.write('250 2.0.0 taken\r\n');
          } else if (refusal !== undefined) {
            socket.write(`${refusal}\r\n`);
            if (refusal.startsWith('421')) socket.end();
          } else if (command === 'EHLO') socket.write('250-peer\r\n250 PIPELINING\r\n');
          else if (command === 'DATA') {
            inBody = true;
            socket.write('354 go on\r\n');
          } else if (command === 'QUIT') socket.end('221 bye\r\n');
          else socket.write('250 OK\r\n');
        }
      });
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    closing.push(async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    });
    return { port: (server.address() as AddressInfo).port, accepted: () => total };
  }

  async function sendAll(port: number, count: number): Promise<DeliveryRecord[]> {
    const { length } = closing;
    assert.equal(length, 1);
    start({ routes: [{ domain: '*', host: '127.0.0.1', port }] });
    const ids = await Promise.all(Array.from({ length: count }, (_, i) => admit(`user${i}@limited.test`)));
    return Promise.all(
      ids.map((id) => record(id, ({ state, attempts }) => state === 'delivered' || attempts.length > 0)),
    );
  }

  const TOO_MANY = '421 4.7.0 too many messages in this connection';

  for (const n of [1, 5]) {
    it(`gets ${n} over each, and all 60 are delivered at their first attempt`, async () => {
      const { port, accepted } = await startScripted((taken) => (taken >= n ? TOO_MANY : undefined));
      const deliveries = await sendAll(port, 60);
      assert.deepEqual(
        deliveries.map(({ state, attempts }) => `${state} ${attempts.length}`),
        Array.from({ length: 60 }, () => 'delivered 1'),
      );
      assert.equal(accepted(), 60);
      const explained = await egress!.explain({ domain: 'limited.test' });
      const learnt = explained[0]!.lines.filter(({ origin }) => origin === 'learnt');
      assert.equal(learnt.find(({ limit }) => limit === 'messagesPerConnection')!.value, `${n}`);
      assert.equal(
        learnt.find(({ limit }) => limit === 'messageRate'),
        undefined,
        'the rate is left alone',
      );
    });
  }

  it('and leaves the connection open with 452 gets the next message over another', async () => {
    const { port } = await startScripted((taken) => (taken >= 3 ? '452 4.5.3 Too many messages' : undefined));
    const deliveries = await sendAll(port, 20);
    assert.ok(deliveries.every(({ state, attempts }) => state === 'delivered' && attempts.length === 1));
  });

  it('after a test on the first connection, as postscreen does, gets the message on the next one', async () => {
    const seen = new Set<number>();
    const { port } = await startScripted((_taken, connection) => {
      seen.add(connection);
      return seen.size === 1 ? '450 4.3.2 Service currently unavailable' : undefined;
    }, 'RCPT');
    const deliveries = await sendAll(port, 3);
    assert.ok(deliveries.every(({ state, attempts }) => state === 'delivered' && attempts.length === 1));
  });
});
