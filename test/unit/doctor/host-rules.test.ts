/** Every rule for a host at its edge: real DNS, real sockets, a real time server. */
import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, beforeEach, test } from 'node:test';
import { createResolver } from '../../../lib/dns/resolver.ts';
import { CATALOGUE } from '../../../lib/doctor/catalogue.ts';
import type { HealthFinding } from '../../../lib/doctor/finding.ts';
import { gatherAddress, reverseName } from '../../../lib/doctor/gather/addresses.ts';
import { gatherBlocklist } from '../../../lib/doctor/gather/blocklists.ts';
import { clockOffset } from '../../../lib/doctor/gather/clock.ts';
import { LookUps } from '../../../lib/doctor/gather/look-ups.ts';
import { probeOutward } from '../../../lib/doctor/gather/outward.ts';
import { defaultSource, gatherDisk, gatherLimits, isOwnAddress } from '../../../lib/doctor/gather/system.ts';
import { OwnFaults } from '../../../lib/doctor/own-faults.ts';
import { type AddressFacts, addressFindings } from '../../../lib/doctor/rules/addresses.ts';
import { blocklistFindings } from '../../../lib/doctor/rules/blocklists.ts';
import {
  certificateFindings,
  clockFindings,
  diskFindings,
  limitFindings,
} from '../../../lib/doctor/rules/host.ts';
import { faultFindings, queueFindings } from '../../../lib/doctor/rules/mail.ts';
import { deliveryFindings, outwardFindings } from '../../../lib/doctor/rules/outward.ts';
import { resolverFindings } from '../../../lib/doctor/rules/resolver.ts';
import type { Attempt } from '../../../lib/engine/items.ts';
import { DAY, HOUR, MINUTE, systemClock } from '../../../lib/time.ts';
import { TestClock } from '../../support/clock.ts';
import { a, aaaa, startDnsServer, type TestDnsServer, type ZoneEntry } from '../../support/dns-server.ts';
import { txt } from '../../support/doctor.ts';

let dns: TestDnsServer;
before(async () => {
  dns = await startDnsServer();
});
after(() => dns.close());
beforeEach(() => dns.zone.clear());

const seen = new Set<string>();
/** Ids in alphabetical order; every id is noted. */
function ids(findings: readonly HealthFinding[]): string[] {
  for (const { id } of findings) seen.add(id);
  return findings.map(({ id }) => id).sort();
}

function lookUps(): LookUps {
  const servers = [{ address: '127.0.0.1', port: dns.port }];
  return new LookUps({
    resolver: createResolver({ servers, clock: systemClock, timeouts: [500] }),
    clock: systemClock,
  });
}

const pointer = (name: string): ZoneEntry => ({ answers: [{ type: 'PTR', data: name }] });
const IP = '8.8.4.4';
const PTR = 'PTR 4.4.8.8.in-addr.arpa';

async function address(facts: Partial<Parameters<typeof gatherAddress>[0]> = {}): Promise<string[]> {
  return ids(
    addressFindings(await gatherAddress({ ip: IP, ehlo: 'mail.test', local: true, ...facts }, lookUps())),
  );
}

test('PTR: none, one that leads elsewhere or nowhere, a generic one, and EHLO', async () => {
  assert.deepEqual(await address({ ehlo: undefined }), ['ptr.missing']);
  dns.zone.set(PTR, pointer('mail.test'));
  assert.deepEqual(await address(), ['ehlo.unresolved', 'ptr.unconfirmed']);
  dns.zone.set('A mail.test', a('8.8.4.5'));
  assert.deepEqual(await address(), ['ehlo.unresolved', 'ptr.unconfirmed']);
  dns.zone.set('A mail.test', a('8.8.4.5', IP));
  assert.deepEqual(await address(), []);
  dns.zone.set('A out.test', a(IP));
  assert.deepEqual(await address({ ehlo: 'out.test' }), ['ehlo.mismatch']);
  // One of several names that leads back is enough.
  dns.zone.set(PTR, {
    answers: [
      { type: 'PTR', data: 'old.test' },
      { type: 'PTR', data: 'mail.test' },
    ],
  });
  assert.deepEqual(await address(), []);
  for (const name of [
    '8-8-4-4.isp.test',
    'host.4.4.8.8.isp.test',
    'dsl12.isp.test',
    'ec2-1.compute-1.amazonaws.com',
  ]) {
    dns.zone.set(PTR, pointer(name));
    dns.zone.set(`A ${name}`, a(IP));
    assert.deepEqual(await address({ ehlo: name }), ['ptr.generic'], name);
  }
  dns.zone.set(PTR, { rcode: 2 });
  assert.deepEqual(await address(), ['dns.unanswered']);
  assert.deepEqual(await address({ ip: '10.0.0.1' }), ['address.private']);
  assert.deepEqual(await address({ ip: '10.0.0.1', local: false }), ['address.not-here', 'address.private']);
});

test('PTR of an IPv6 address', async () => {
  const ip = '2001:4860:4860::8844';
  assert.equal(reverseName(ip), '4.4.8.8.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.6.8.4.0.6.8.4.1.0.0.2.ip6.arpa');
  dns.zone.set(`PTR ${reverseName(ip)}`, pointer('mail.test'));
  dns.zone.set('AAAA mail.test', aaaa('2001:4860:4860:0::8844'));
  assert.deepEqual(await address({ ip }), []);
  const facts: AddressFacts = {
    ip,
    pointers: [],
    confirmed: [],
    ehlo: { name: 'mail.test', leadsHere: undefined },
  };
  assert.deepEqual(addressFindings(facts)[0]?.record, { name: ip, type: 'PTR', value: 'mail.test' });
});

test('blocklists: the test entry, listings, refusals, and lists that answer for anything', async () => {
  const list = 'bl.test';
  const found = async () => blocklistFindings(await gatherBlocklist(list, [IP, '10.0.0.1'], lookUps()));
  assert.deepEqual(ids(await found()), ['blocklist.unusable']);
  dns.zone.set(`A 2.0.0.127.${list}`, a('127.0.0.2'));
  assert.deepEqual(ids(await found()), []);
  dns.zone.set(`A 4.4.8.8.${list}`, a('127.0.0.4'));
  dns.zone.set(`TXT 4.4.8.8.${list}`, txt('see https://bl.test/8.8.4.4'));
  const [listed] = await found();
  assert.equal(listed?.id, 'blocklist.listed');
  assert.match(listed.text, /8\.8\.4\.4 is listed by bl\.test \(127\.0\.0\.4\): see https:/);
  ids([listed]);
  // A private address is not asked for.
  assert.equal(dns.questions.filter((one) => one.includes('1.0.0.10.')).length, 0);
  // 127.255.255.x refuses: for the test entry, and for an address.
  dns.zone.set(`A 4.4.8.8.${list}`, a('127.255.255.254'));
  assert.deepEqual(ids(await found()), ['blocklist.refused']);
  dns.zone.set(`A 2.0.0.127.${list}`, a('127.255.255.255'));
  assert.deepEqual(ids(await found()), ['blocklist.refused']);
  // A parked domain answers for anything, a dead one for nothing.
  dns.zone.set(`A 2.0.0.127.${list}`, a('192.0.2.1'));
  dns.zone.set(`A 4.4.8.8.${list}`, a('192.0.2.1'));
  assert.deepEqual(ids(await found()), ['blocklist.unusable']);
  dns.zone.set(`A 2.0.0.127.${list}`, a('127.0.0.2'));
  dns.zone.set(`A 1.0.0.127.${list}`, a('127.0.0.2'));
  assert.deepEqual(ids(await found()), ['blocklist.unusable']);
  // An answer outside 127.0.0.0/8 lists nothing; no answer neither.
  dns.zone.delete(`A 1.0.0.127.${list}`);
  assert.deepEqual(ids(await found()), []);
  dns.zone.set(`A 4.4.8.8.${list}`, { rcode: 2 });
  assert.deepEqual(ids(await found()), []);
});

test('port 25: a greeting, silence, another protocol, a closed port', async () => {
  let greet: (socket: Socket) => void = () => {};
  const commands: string[] = [];
  const server = createServer((socket) => {
    socket.on('data', (data) => commands.push(data.toString()));
    socket.on('error', () => {});
    greet(socket);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const target = { address: '127.0.0.1', port };
  const probe = (clock = systemClock) => probeOutward(target, '127.0.0.1', clock);
  greet = (socket) => socket.write('220 mx.test ESMTP\r\n');
  assert.equal(await probe(), undefined);
  greet = (socket) => socket.end('554 5.7.1 go away\r\n');
  assert.equal(await probe(), undefined);
  greet = (socket) => socket.end('HTTP/1.1 400 Bad Request\r\n');
  assert.match((await probe())!, /does not speak SMTP/);
  greet = (socket) => socket.destroy();
  assert.match((await probe())!, /closed before a greeting|ECONNRESET/);
  const clock = new TestClock();
  const reached = new Promise<void>((done) => {
    greet = () => done();
  });
  const silent = probe(clock as typeof systemClock);
  await reached;
  clock.advance(10_000);
  assert.equal(await silent, 'no greeting within 10 s');
  server.close();
  await once(server, 'close');
  assert.match((await probe())!, /ECONNREFUSED/);
  assert.match((await probeOutward(target, '192.0.2.1', systemClock))!, /EADDRNOTAVAIL|EINVAL/);
  assert.ok(commands.includes('QUIT\r\n'));

  const [blocked, ...rest] = outwardFindings({
    target: 'mx.test:25',
    probes: [{ ip: IP, problem: 'no greeting' }, { ip: '8.8.8.8' }],
  });
  assert.deepEqual(
    [blocked?.id, blocked?.command, rest],
    ['outward.blocked', 'nc -vz -s 8.8.4.4 mx.test 25', []],
  );
  ids([blocked!]);
  assert.deepEqual(ids(deliveryFindings({})), []);
  assert.deepEqual(ids(deliveryFindings({ dns: 'x', smtp: 'y' })), [
    'outward.delivery-down',
    'resolver.down',
  ]);
});

test('the resolver: a public one in any spelling, and one that does not validate', () => {
  const found = (servers: string[], validates: boolean | undefined = true) =>
    ids(resolverFindings({ servers, validates }));
  assert.deepEqual(found(['127.0.0.1', '10.0.0.2']), []);
  assert.deepEqual(found(['10.0.0.2', '8.8.8.8']), ['resolver.public']);
  assert.deepEqual(found(['2606:4700:4700:0:0:0:0:1111'], undefined), ['resolver.public']);
  assert.deepEqual(found(['127.0.0.1'], false), ['resolver.not-validating']);
});

test('the certificate: 21 days, the day itself, another name, self-signed', () => {
  const now = Date.UTC(2026, 10, 29);
  const found = (expires: number, more = {}) =>
    ids(
      certificateFindings({
        now,
        expires,
        selfSigned: false,
        coversHost: true,
        hostname: 'mail.test',
        ...more,
      }),
    );
  assert.deepEqual(found(now + 21 * DAY), []);
  assert.deepEqual(found(now + 21 * DAY - 1), ['certificate.expiring']);
  assert.deepEqual(found(now + 1), ['certificate.expiring']);
  assert.deepEqual(found(now), ['certificate.expired']);
  assert.deepEqual(found(now + 90 * DAY, { coversHost: false }), ['certificate.name']);
  assert.deepEqual(found(now + 90 * DAY, { coversHost: false, selfSigned: true }), [
    'certificate.self-signed',
  ]);
});

test('the clock: an offset by a real SNTP exchange, forged and silent servers', async () => {
  const server = createSocket('udp4');
  let reply: (request: Buffer) => Buffer | undefined = () => undefined;
  server.on('message', (request, peer) => {
    const answer = reply(request);
    if (answer) server.send(answer, peer.port, peer.address);
  });
  server.bind(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  const at =
    (ms: number, { stratum = 2, mode = 0x24 } = {}) =>
    (request: Buffer) => {
      const answer = Buffer.alloc(48);
      answer[0] = mode;
      answer[1] = stratum;
      request.copy(answer, 24, 40, 48);
      for (const offset of [32, 40]) {
        answer.writeUInt32BE(Math.floor(ms / 1000) + 2_208_988_800, offset);
        answer.writeUInt32BE(Math.floor(((ms % 1000) / 1000) * 2 ** 32), offset + 4);
      }
      return answer;
    };
  const clock = new TestClock(Date.UTC(2026, 10, 29, 12, 0, 0, 250));
  reply = at(clock.now() - 90_000);
  assert.equal(await clockOffset('127.0.0.1', clock, port), 90_000);
  reply = at(clock.now() + 1_500);
  assert.equal(await clockOffset('127.0.0.1', clock, port), -1_500);
  reply = at(clock.now(), { stratum: 0 });
  assert.match(String(await clockOffset('127.0.0.1', clock, port)), /not synchronised/);
  const asked = new Promise<void>((done) => {
    // An answer to another request is no answer.
    reply = (request) => {
      setImmediate(done);
      return at(clock.now())(Buffer.alloc(request.length));
    };
  });
  const silent = clockOffset('127.0.0.1', clock, port);
  await asked;
  clock.advance(3_000);
  assert.equal(await silent, 'no answer within 3 s');
  server.close();

  const found = (offset: number | string) => ids(clockFindings({ server: 'ntp.test', offset }));
  assert.deepEqual(
    [found(5_000), found(-5_000), found(5_001), found(-5_001)],
    [[], [], ['clock.off'], ['clock.off']],
  );
  assert.deepEqual(found('no answer'), ['clock.unknown']);
});

test('the disk: ten per cent, two gigabytes, inodes, a store that refuses', async () => {
  const GB = 1024 ** 3;
  const disk = { path: '/data', total: 100 * GB, free: 50 * GB, inodes: 1000, freeInodes: 900 };
  const found = (more = {}) => ids(diskFindings({ ...disk, ...more }));
  assert.deepEqual(found(), []);
  assert.deepEqual([found({ free: 10 * GB }), found({ free: 10 * GB - 1 })], [[], ['disk.low']]);
  assert.deepEqual(
    [found({ total: 4 * GB, free: 2 * GB }), found({ total: 4 * GB, free: 2 * GB - 1 })],
    [[], ['disk.low']],
  );
  assert.deepEqual(
    [found({ freeInodes: 100 }), found({ freeInodes: 99 }), found({ inodes: 0, freeInodes: 0 })],
    [[], ['disk.low'], []],
  );
  assert.deepEqual(found({ refuses: 'New mail is refused: 5 bytes are free on the disk.' }), ['disk.full']);
  const own = await gatherDisk(tmpdir(), undefined);
  assert.ok(own.total >= own.free && own.free > 0);
});

test('limits of the process and of the kernel, read as the kernel writes them', async () => {
  assert.deepEqual(limitFindings({}), []);
  assert.deepEqual(
    ids(limitFindings({ openFiles: 16_384, localPorts: 28_000, backlog: 512, tracked: 80, maxTracked: 100 })),
    [],
  );
  assert.deepEqual(
    ids(limitFindings({ openFiles: 16_383, localPorts: 27_999, backlog: 511, tracked: 81, maxTracked: 100 })),
    ['limits.backlog', 'limits.conntrack', 'limits.files', 'limits.ports'],
  );
  const proc = mkdtempSync(join(tmpdir(), 'postern-proc-'));
  const write = (path: string, text: string): void => {
    mkdirSync(join(proc, path, '..'), { recursive: true });
    writeFileSync(join(proc, path), text);
  };
  write(
    'self/limits',
    'Limit  Soft Limit  Hard Limit  Units\nMax open files            1024                 4096                 files\n',
  );
  write('sys/net/ipv4/ip_local_port_range', '32768\t60999\n');
  write('sys/net/core/somaxconn', '4096\n');
  write('sys/net/netfilter/nf_conntrack_count', 'junk\n');
  const limits = await gatherLimits(proc);
  assert.deepEqual(limits, {
    openFiles: 1024,
    localPorts: 28_232,
    backlog: 4096,
    tracked: undefined,
    maxTracked: undefined,
  });
  write('self/limits', 'Max open files            unlimited            unlimited            files\n');
  assert.equal((await gatherLimits(proc)).openFiles, Number.POSITIVE_INFINITY);
  rmSync(proc, { recursive: true });
  assert.deepEqual(limitFindings(await gatherLimits('/nowhere')), []);
  assert.equal(await isOwnAddress('127.0.0.1'), true);
  assert.equal(await isOwnAddress('192.0.2.1'), false);
  const source = await defaultSource();
  assert.ok(source === undefined || !source.startsWith('127.'));
});

test('the age of queues, by class', () => {
  const now = Date.UTC(2026, 10, 29);
  const found = (lane: string, age: number, ready = 1) =>
    ids(queueFindings({ now, lanes: [{ lane, ready, oldest: now - age }] }));
  assert.deepEqual(found('default:transactional:google', 15 * MINUTE), []);
  assert.deepEqual(found('default:transactional:google', 15 * MINUTE + 1), ['queue.old']);
  assert.deepEqual(found('default:transactional:google', DAY, 0), []);
  assert.deepEqual(found('default:bulk:google', 6 * HOUR), []);
  assert.deepEqual(found('default:bulk:google', 6 * HOUR + 1), ['queue.old']);
  assert.deepEqual(queueFindings({ now, lanes: [{ lane: 'a:bulk:other', ready: 5 }] }), []);
  // Ten thousand tenants in a lane are one finding, and the oldest twenty lanes are told apart.
  const lanes = Array.from({ length: 10_000 }, (_, n) => ({
    lane: `p${n % 30}:bulk:other`,
    ready: 1,
    oldest: now - DAY - n,
  }));
  const many = queueFindings({ now, lanes });
  assert.equal(many.length, 20);
  assert.match(many[0]!.text, /^33[34] bulk deliveries of pool p9 /);
});

test('refusals for a fault of this side are counted for a day, those of recipients never', () => {
  const clock = new TestClock();
  const faults = new OwnFaults(clock);
  const refused = (code: number, text: string, ip = IP): Attempt => ({
    at: clock.now(),
    duration: 1,
    ip,
    mx: { host: 'gmail-smtp-in.l.google.com', address: '192.0.2.1', port: 25 },
    replies: [{ phase: 'rcpt', code, text }],
    phase: 'rcpt',
    state: code < 500 ? 'deferred' : 'bounced',
    reason: 'peer',
    text: `${code} ${text}`,
  });
  const PTR_REFUSAL = '5.7.25 The IP address sending this message does not have a PTR record setup';
  for (let n = 0; n < 4; n += 1) faults.note(refused(550, PTR_REFUSAL));
  for (let n = 0; n < 9; n += 1)
    faults.note(refused(550, '5.1.1 The email account that you tried to reach does not exist'));
  assert.deepEqual(faults.list(), []);
  faults.note(refused(550, PTR_REFUSAL));
  const [fault, ...rest] = faults.list();
  assert.deepEqual(
    [fault?.cause, fault?.count, fault?.ip, fault?.provider, rest],
    ['ptr_required', 5, IP, 'google', []],
  );
  assert.deepEqual(ids(faultFindings([fault!])), ['bounces.infrastructure']);
  clock.advance(DAY - HOUR);
  assert.equal(faults.list()[0]?.count, 5);
  clock.advance(HOUR);
  assert.deepEqual(faults.list(), []);
  // Addresses without end take no memory without end.
  for (let n = 0; n < 1_000; n += 1)
    for (let k = 0; k < 5; k += 1) faults.note(refused(550, PTR_REFUSAL, `8.8.${n >> 8}.${n & 255}`));
  assert.equal(faults.list().length, 200);
});

test('every finding about a host was found by a test above', () => {
  const host =
    /^(?:outward|address|ptr|ehlo|resolver|blocklist|certificate|clock|disk|limits|queue|bounces)\./;
  assert.deepEqual(
    Object.keys(CATALOGUE).filter((id) => host.test(id) && !seen.has(id)),
    [],
  );
});
