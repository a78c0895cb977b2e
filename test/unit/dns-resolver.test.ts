import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, beforeEach, test } from 'node:test';
import { createResolver } from '../../lib/dns/resolver.ts';
import { dnsServers } from '../../lib/dns/servers.ts';
import type { Clock } from '../../lib/time.ts';
import { systemClock } from '../../lib/time.ts';
import { TestClock } from '../support/clock.ts';
import { a, mx, startDnsServer, type TestDnsServer } from '../support/dns-server.ts';

let server: TestDnsServer;
let shift = 0;
/** Real timers, since the sockets are real, and a date that the test moves. */
const clock: Clock = { now: () => Date.now() + shift, after: systemClock.after };

before(async () => {
  server = await startDnsServer();
});
after(() => server.close());
beforeEach(() => {
  server.zone.clear();
  server.questions.length = 0;
  shift = 0;
});

function resolver(options: { timeouts?: number[]; cacheOctets?: number } = {}) {
  return createResolver({ servers: dnsServers(server.endpoint), clock, ...options });
}

test('reads MX, A, AAAA and TXT records', async () => {
  server.zone.set('MX example.test', mx([10, 'MX1.Example.test'], [20, 'mx2.example.test']));
  server.zone.set('A mx1.example.test', a('192.0.2.1', '192.0.2.2'));
  server.zone.set('AAAA mx1.example.test', { answers: [{ type: 'AAAA', data: '2001:db8::1' }] });
  server.zone.set('TXT example.test', { answers: [{ type: 'TXT', data: ['v=spf1 ', '-all'] }] });
  const dns = resolver();
  const found = await dns.resolve('Example.TEST', 'MX');
  assert.deepEqual(found.kind === 'found' && found.records, [
    { preference: 10, exchange: 'mx1.example.test' },
    { preference: 20, exchange: 'mx2.example.test' },
  ]);
  const v4 = await dns.resolve('mx1.example.test', 'A');
  assert.deepEqual(v4.kind === 'found' && v4.records, ['192.0.2.1', '192.0.2.2']);
  const v6 = await dns.resolve('mx1.example.test', 'AAAA');
  assert.deepEqual(v6.kind === 'found' && v6.records, ['2001:db8::1']);
  const txt = await dns.resolve('example.test', 'TXT');
  assert.deepEqual(txt.kind === 'found' && txt.records, ['v=spf1 -all']);
});

test('reads PTR records, and tells which answers the server validated', async () => {
  server.zone.set('PTR 1.2.0.192.in-addr.arpa', { answers: [{ type: 'PTR', data: 'Mail.Example.test' }] });
  server.zone.set('A signed.test', { ...a('192.0.2.1'), authentic: true });
  server.zone.set('TXT signed.test', { authentic: true });
  const dns = resolver();
  const pointer = await dns.resolve('1.2.0.192.in-addr.arpa', 'PTR');
  assert.deepEqual(pointer.kind === 'found' && pointer.records, ['mail.example.test']);
  const authentic = async (name: string, type: 'A' | 'TXT'): Promise<unknown> => {
    const answer = await dns.resolve(name, type);
    return answer.kind !== 'failed' && answer.authentic;
  };
  assert.equal(await authentic('signed.test', 'A'), true);
  assert.equal(await authentic('signed.test', 'TXT'), true);
  // A chain of aliases is as authentic as its weakest answer.
  server.zone.set('A alias.test', { answers: [{ type: 'CNAME', data: 'signed.test' }] });
  assert.equal(await authentic('alias.test', 'A'), undefined);
  assert.equal(pointer.kind === 'found' && pointer.authentic, undefined);
});

test('reads a null MX as an empty name', async () => {
  server.zone.set('MX null.test', mx([0, '.']));
  const answer = await resolver().resolve('null.test', 'MX');
  assert.deepEqual(answer.kind === 'found' && answer.records, [{ preference: 0, exchange: '' }]);
});

test('keeps an answer for its TTL to the millisecond, and no longer', async () => {
  server.zone.set('A host.test', { answers: [{ type: 'A', data: '192.0.2.1', ttl: 60 }] });
  const dns = resolver();
  const first = await dns.resolve('host.test', 'A');
  assert.equal(await dns.resolve('host.test', 'A'), first);
  assert.equal(server.questions.length, 1);
  shift = first.expiresAt - Date.now() + 1;
  await dns.resolve('host.test', 'A');
  assert.equal(server.questions.length, 2);
});

test('a TTL of 0 is not kept, but questions at the same time share one query', async () => {
  server.zone.set('A host.test', { answers: [{ type: 'A', data: '192.0.2.1', ttl: 0 }] });
  const dns = resolver();
  await Promise.all([
    dns.resolve('host.test', 'A'),
    dns.resolve('HOST.test', 'A'),
    dns.resolve('host.test', 'A'),
  ]);
  assert.equal(server.questions.length, 1);
  await dns.resolve('host.test', 'A');
  assert.equal(server.questions.length, 2);
});

test('NXDOMAIN and NODATA are different answers, cached for the time of the SOA', async () => {
  server.zone.set('MX gone.test', { rcode: 3, soa: { ttl: 900, minimum: 30 } });
  server.zone.set('MX empty.test', { soa: { ttl: 20, minimum: 900 } });
  server.zone.set('MX bare.test', { rcode: 3 });
  const dns = resolver();
  const start = Date.now();
  const gone = await dns.resolve('gone.test', 'MX');
  const empty = await dns.resolve('empty.test', 'MX');
  const bare = await dns.resolve('bare.test', 'MX');
  assert.deepEqual([gone.kind, empty.kind, bare.kind], ['no_domain', 'empty', 'no_domain']);
  assert.equal(Math.round((gone.expiresAt - start) / 10_000), 3);
  assert.equal(Math.round((empty.expiresAt - start) / 10_000), 2);
  assert.equal(Math.round((bare.expiresAt - start) / 10_000), 6);
  await dns.resolve('gone.test', 'MX');
  assert.equal(server.questions.length, 3);
});

test('SERVFAIL and REFUSED are failures, retried, and cached only briefly', async () => {
  server.zone.set('MX broken.test', { rcode: 2 });
  server.zone.set('MX refused.test', { rcode: 5 });
  const dns = resolver({ timeouts: [1000, 1000] });
  const broken = await dns.resolve('broken.test', 'MX');
  assert.equal(broken.kind, 'failed');
  assert.match(
    broken.kind === 'failed' ? broken.text : '',
    /MX of broken\.test: 127\.0\.0\.1 answered SERVFAIL/,
  );
  assert.equal(server.questions.length, 2);
  assert.match(JSON.stringify(await dns.resolve('refused.test', 'MX')), /REFUSED/);
  await dns.resolve('broken.test', 'MX');
  assert.equal(server.questions.length, 4);
  shift = 10_001;
  await dns.resolve('broken.test', 'MX');
  assert.equal(server.questions.length, 6);
});

test('no answer is a failure after every try', async () => {
  server.zone.set('A silent.test', { silent: true });
  const answer = await resolver({ timeouts: [20, 20, 20] }).resolve('silent.test', 'A');
  assert.match(answer.kind === 'failed' ? answer.text : '', /no answer in time/);
  assert.equal(server.questions.length, 3);
});

test('a closed port is a failure, and the next server is queried', async () => {
  const closed = await startDnsServer();
  await closed.close();
  server.zone.set('A host.test', a('192.0.2.1'));
  const dns = createResolver({
    servers: [...dnsServers(closed.endpoint), ...dnsServers(server.endpoint)],
    clock,
    timeouts: [500, 500],
  });
  assert.equal((await dns.resolve('host.test', 'A')).kind, 'found');
});

test('a truncated response is repeated over TCP', async () => {
  const many = Array.from({ length: 250 }, (_, i) => `192.0.2.${i}`);
  server.zone.set('A many.test', { ...a(...many), truncated: true });
  const answer = await resolver().resolve('many.test', 'A');
  assert.deepEqual(server.questions, ['udp A many.test', 'tcp A many.test']);
  assert.equal(
    answer.kind === 'found' && answer.records.length,
    100,
    'and keeps a bounded number of records',
  );
});

test('a forged response is ignored: another id, question or type, or an invalid message', async () => {
  /** Each forgery carries an address of its own, so that the answer shows which one was accepted. */
  server.zone.set('A host.test', {
    ...a('192.0.2.1'),
    before: (response) => {
      const forge = (last: number, change: (bytes: Buffer) => void): Buffer => {
        const bytes = Buffer.from(response);
        bytes[bytes.length - 1] = last;
        change(bytes);
        return bytes;
      };
      return [
        forge(66, (bytes) => bytes.writeUInt16BE((bytes.readUInt16BE(0) + 1) & 0xffff, 0)),
        forge(67, (bytes) => bytes.write('x', 13)),
        forge(68, (bytes) => bytes.writeUInt16BE(16, 12 + 'host.test'.length + 2)),
        forge(69, (bytes) => bytes.writeUInt8(bytes.readUInt8(2) & 0x7f, 2)),
        Buffer.from('nonsense'),
        Buffer.alloc(0),
      ];
    },
  });
  const answer = await resolver().resolve('host.test', 'A');
  assert.deepEqual(answer.kind === 'found' && answer.records, ['192.0.2.1']);
});

test('an answer from another socket than the server’s is ignored', async () => {
  server.zone.set('A host.test', {
    ...a('192.0.2.1'),
    stranger: (response) => {
      const bytes = Buffer.from(response);
      bytes[bytes.length - 1] = 66;
      return bytes;
    },
  });
  const answer = await resolver().resolve('host.test', 'A');
  assert.deepEqual(answer.kind === 'found' && answer.records, ['192.0.2.1']);
});

test('follows aliases within the answer and, where it stops, by a further query', async () => {
  server.zone.set('A www.test', {
    answers: [
      { type: 'CNAME', data: 'edge.test', ttl: 40 },
      { type: 'CNAME', name: 'edge.test', data: 'host.test', ttl: 300 },
      { type: 'A', name: 'host.test', data: '192.0.2.7' },
      { type: 'A', name: 'stray.test', data: '192.0.2.66' },
    ],
  });
  server.zone.set('A half.test', { answers: [{ type: 'CNAME', data: 'host.test' }] });
  server.zone.set('A host.test', a('192.0.2.7'));
  const dns = resolver();
  const start = Date.now();
  const whole = await dns.resolve('www.test', 'A');
  assert.deepEqual(whole.kind === 'found' && whole.records, ['192.0.2.7']);
  assert.equal(Math.round((whole.expiresAt - start) / 10_000), 4, 'the shortest TTL of the chain');
  const half = await dns.resolve('half.test', 'A');
  assert.deepEqual(half.kind === 'found' && half.records, ['192.0.2.7']);
});

test('follows 8 aliases; refuses 9, and a loop', async () => {
  const chain = (length: number) => ({
    answers: [
      ...Array.from({ length }, (_, i) => ({
        type: 'CNAME' as const,
        name: i === 0 ? `c${length}.test` : `n${i}.test`,
        data: `n${i + 1}.test`,
      })),
      { type: 'A' as const, name: `n${length}.test`, data: '192.0.2.1' },
    ],
  });
  server.zone.set('A c8.test', chain(8));
  server.zone.set('A c9.test', chain(9));
  server.zone.set('A loop.test', { answers: [{ type: 'CNAME', data: 'loop.test' }] });
  const dns = resolver();
  assert.equal((await dns.resolve('c8.test', 'A')).kind, 'found');
  assert.equal((await dns.resolve('c9.test', 'A')).kind, 'failed');
  assert.equal((await dns.resolve('loop.test', 'A')).kind, 'failed');
});

test('an invalid name does not exist, without a query', async () => {
  const dns = resolver();
  for (const name of ['', 'a..b', `${'x'.repeat(64)}.test`, `${'x.'.repeat(127)}test`]) {
    assert.equal((await dns.resolve(name, 'MX')).kind, 'no_domain', name);
  }
  assert.deepEqual(server.questions, []);
});

test('the cache is bounded in octets and drops the least recently used answers', async () => {
  for (const n of [1, 2, 3]) server.zone.set(`A h${n}.test`, a('192.0.2.1'));
  const hosts = Array.from({ length: 40 }, (_, n): [number, string] => [n, `${'x'.repeat(60)}${n}.test`]);
  server.zone.set('MX big.test', { ...mx(...hosts), truncated: true });
  const dns = resolver({ cacheOctets: 1_000 });
  for (const n of [1, 2, 3, 3, 2, 1]) await dns.resolve(`h${n}.test`, 'A');
  assert.equal(server.questions.length, 4, 'three small answers do not fit, two do');
  for (let i = 0; i < 2; i += 1) await dns.resolve('big.test', 'MX');
  assert.equal(
    server.questions.filter((one) => one.startsWith('udp MX')).length,
    2,
    'an oversized one is not kept',
  );
  await dns.resolve('h1.test', 'A');
  assert.equal(server.questions.filter((one) => one.startsWith('udp A')).length, 4, 'and pushes nothing out');
});

test('a burst of 1,000 names reaches the server in portions that its socket buffer holds', async () => {
  for (let n = 0; n < 1000; n += 1) server.zone.set(`A h${n}.test`, a('192.0.2.1'));
  // The server reads nothing before the burst has gone out.
  let asked = 0;
  const dns = createResolver({
    servers: dnsServers(server.endpoint),
    clock: {
      now: clock.now,
      after(delay, task) {
        if (delay === 1_000) asked += 1;
        return clock.after(delay, task);
      },
    },
  });
  const answers = Array.from({ length: 1000 }, (_, n) => dns.resolve(`h${n}.test`, 'A'));
  await Promise.resolve().then(() => undefined);
  await new Promise(setImmediate);
  assert.ok(asked <= 100, `${asked} questions at once`);
  assert.ok((await Promise.all(answers)).every((answer) => answer.kind === 'found'));
  assert.equal(server.questions.length, 1000, 'no query was sent twice');
});

test('a lost datagram is sent again after 1 s; a slow server gets more time', async () => {
  server.zone.set('A silent.test', { silent: true });
  const fake = new TestClock();
  const dns = createResolver({ servers: dnsServers(server.endpoint), clock: fake });
  const answer = dns.resolve('silent.test', 'A');
  const asked = async (count: number): Promise<void> => {
    while (server.questions.length < count) await new Promise(setImmediate);
  };
  await asked(1);
  fake.advance(999);
  await new Promise(setImmediate);
  assert.equal(server.questions.length, 1);
  fake.advance(1);
  await asked(2);
  fake.advance(3_000);
  await asked(3);
  fake.advance(5_000);
  assert.equal((await answer).kind, 'failed');
});

test('a server that does not answer delays the first query only', async () => {
  const dead = await startDnsServer({ 'A one.test': { silent: true }, 'A two.test': { silent: true } });
  server.zone.set('A one.test', a('192.0.2.1'));
  server.zone.set('A two.test', a('192.0.2.2'));
  const servers = [...dnsServers(dead.endpoint), ...dnsServers(server.endpoint)];
  const dns = createResolver({ servers, clock, timeouts: [20, 1000] });
  assert.equal((await dns.resolve('one.test', 'A')).kind, 'found');
  assert.equal((await dns.resolve('two.test', 'A')).kind, 'found');
  assert.deepEqual(dead.questions, ['udp A one.test']);
  await dead.close();
});

test('in a fresh query, every server must agree that there is no record', async () => {
  const wrong = await startDnsServer();
  server.zone.set('MX host.test', mx([10, 'mx.test']));
  const servers = [...dnsServers(wrong.endpoint), ...dnsServers(server.endpoint)];
  const dns = createResolver({ servers, clock });
  assert.equal((await dns.resolve('host.test', 'MX')).kind, 'no_domain');
  assert.equal((await dns.resolve('host.test', 'MX')).kind, 'no_domain', 'from the cache');
  assert.equal((await dns.resolve('host.test', 'MX', true)).kind, 'found');
  assert.equal((await dns.resolve('host.test', 'MX')).kind, 'found', 'the cache was corrected');
  assert.equal((await dns.resolve('gone.test', 'MX', true)).kind, 'no_domain');
  assert.deepEqual(
    [
      wrong.questions.filter((one) => one.includes('gone')).length,
      server.questions.filter((one) => one.includes('gone')).length,
    ],
    [1, 1],
  );
  await wrong.close();
});

test('DNS is down when five names in a row get no answer, and up with the first answer', async () => {
  server.zone.set('A a.root-servers.net', { rcode: 2 });
  for (const n of [1, 2, 3, 4, 5]) server.zone.set(`MX d${n}.test`, { rcode: 2 });
  const dns = resolver({ timeouts: [1000] });
  for (const n of [1, 2, 3, 4, 4]) await dns.resolve(`d${n}.test`, 'MX');
  assert.deepEqual(dns.health(), { ok: true }, 'four broken domains prove nothing');
  await dns.resolve('d5.test', 'MX');
  assert.match(JSON.stringify(dns.health()), /"ok":false.*SERVFAIL/);
  server.zone.set('A a.root-servers.net', a('198.41.0.4'));
  shift = 10_001;
  while (!dns.health().ok) await new Promise(setImmediate);
});

test('servers come from the setting, from resolv.conf, or default to the local one', () => {
  assert.deepEqual(dnsServers({ host: '192.0.2.53', port: 5353 }), [{ address: '192.0.2.53', port: 5353 }]);
  assert.throws(() => dnsServers({ host: 'ns.example.com', port: 53 }), /give an IP address/);
  const directory = mkdtempSync(join(tmpdir(), 'postern-dns-'));
  try {
    const file = join(directory, 'resolv.conf');
    writeFileSync(
      file,
      '# nameserver 192.0.2.1\nsearch x\nnameserver 192.0.2.2\n nameserver fe80::1%eth0 # c\nnameserver x\nnameserver 192.0.2.3\nnameserver 192.0.2.4\n',
    );
    assert.deepEqual(
      dnsServers(undefined, file).map((one) => one.address),
      ['192.0.2.2', 'fe80::1%eth0', '192.0.2.3'],
    );
    assert.deepEqual(dnsServers(undefined, join(directory, 'none')), [{ address: '127.0.0.1', port: 53 }]);
  } finally {
    rmSync(directory, { recursive: true });
  }
});
