/** The authoritative server of one zone, asked by the resolver of this project and by hand. */
import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { connect } from 'node:net';
import { after, before, describe, test } from 'node:test';
import { type DecodedPacket, decode, encode, type Packet, type Question } from 'dns-packet';
import { createResolver } from '../../lib/dns/resolver.ts';
import { SourceRate } from '../../lib/dns/source-rate.ts';
import { respond, truncated, type Zone } from '../../lib/dns/zone.ts';
import { zoneHead, zoneLine } from '../../lib/dns/zone-file.ts';
import { startZoneServer, type ZoneServer } from '../../lib/dns/zone-server.ts';
import { SECOND, systemClock } from '../../lib/time.ts';
import { seededRandom, TestClock } from '../support/clock.ts';

const NAME = 'dkim.mail.example.net';
const KEY = `v=DKIM1; k=rsa; p=${'A'.repeat(392)}`;
const TOKEN = 'abcdefghijklmnopqrstuvwxyz234567';
const LONGEST = `v=DKIM1; k=rsa; p=${'B'.repeat(4_000)}`;

const zone: Zone = {
  name: NAME,
  server: 'mail.example.net',
  serial: () => 7,
  async find(label) {
    if (label === 'broken') throw new Error('The store is away.');
    return { token: KEY, [TOKEN]: KEY, longest: LONGEST }[label];
  },
};

type Asked = Omit<Partial<Packet>, 'type'> & { name: string; type?: string; class?: string };

function message({ name, type = 'TXT', class: kind = 'IN', ...packet }: Asked): Buffer {
  const question = { name, type, class: kind } as unknown as Question;
  return encode({ type: 'query', id: 77, questions: [question], ...packet });
}

const EDNS = { type: 'OPT', name: '.', udpPayloadSize: 4_096, extendedRcode: 0, ednsVersion: 0 };
const opt = (more: object = {}) => ({ additionals: [{ ...EDNS, flags: 0, options: [], ...more } as never] });

async function ask(asked: Asked, transport: 'udp' | 'tcp' = 'udp'): Promise<DecodedPacket> {
  return decode((await respond(message(asked), zone, transport))!);
}

const rcode = ({ flags = 0 }: DecodedPacket) => flags & 15;
const text = ({ answers = [] }: DecodedPacket) =>
  answers.map((one) => (one.type === 'TXT' ? Buffer.concat(one.data as Buffer[]).toString() : one.type));

describe('a question about the zone', () => {
  test('gets the record, whatever the case of the name, which comes back as it was asked', async () => {
    const name = `ToKeN.${NAME.toUpperCase()}`;
    const answer = await ask({ name, ...opt() });
    assert.deepEqual(
      [rcode(answer), answer.flag_aa, answer.flag_ra, answer.flag_tc],
      [0, true, false, false],
    );
    assert.deepEqual(text(answer), [KEY]);
    assert.equal(answer.id, 77);
    assert.equal(answer.questions![0]!.name, name);
    assert.equal(answer.answers![0]!.name, name);
    assert.equal((answer.answers![0] as { ttl: number }).ttl, 3_600);
    assert.deepEqual(text(await ask({ name, type: 'ANY', ...opt() })), [KEY]);
  });

  test('about another type is NODATA, about another name NXDOMAIN, each with SOA', async () => {
    for (const [name, type, code] of [
      [`token.${NAME}`, 'A', 0],
      [NAME, 'TXT', 0],
      [`none.${NAME}`, 'TXT', 3],
      [`a.token.${NAME}`, 'TXT', 3],
    ] as const) {
      const answer = await ask({ name, type });
      assert.equal(rcode(answer), code, name);
      assert.deepEqual(answer.answers, []);
      const [soa] = answer.authorities as [{ type: string; name: string; ttl: number; data: object }];
      assert.deepEqual([soa.type, soa.name, soa.ttl], ['SOA', NAME, 60]);
      assert.deepEqual(soa.data, {
        mname: 'mail.example.net',
        rname: `hostmaster.${NAME}`,
        serial: 7,
        refresh: 3_600,
        retry: 600,
        expire: 604_800,
        minimum: 60,
      });
    }
  });

  test('about its apex gets SOA and NS', async () => {
    const soa = await ask({ name: NAME, type: 'SOA' });
    assert.deepEqual(
      soa.answers!.map(({ type, name }) => [type, name]),
      [['SOA', NAME]],
    );
    const ns = await ask({ name: NAME, type: 'NS' });
    assert.deepEqual(
      ns.answers!.map((one) => (one as { data: unknown }).data),
      ['mail.example.net'],
    );
  });

  test('is SERVFAIL while the store is away', async () => {
    assert.equal(rcode(await ask({ name: `broken.${NAME}` })), 2);
  });
});

describe('what is not of the zone', () => {
  test('is refused, and nothing is looked up or asked elsewhere', async () => {
    const strict = { ...zone, find: () => assert.fail('looked up') };
    for (const asked of [
      { name: 'example.com' },
      { name: '.' },
      { name: 'net', type: 'NS' },
      { name: `evil${NAME}` },
      { name: `token.${NAME}.evil.example` },
      { name: NAME, type: 'AXFR' },
      { name: NAME, type: 'IXFR' },
      { name: `token.${NAME}`, class: 'CH' },
    ]) {
      const answer = decode((await respond(message(asked), strict, 'tcp'))!);
      assert.deepEqual([rcode(answer), answer.flag_aa], [5, false], JSON.stringify(asked));
      assert.deepEqual([answer.answers, answer.authorities], [[], []]);
    }
  });

  test('is no answer: a response is dropped, so that no two servers answer each other', async () => {
    assert.equal(await respond(encode({ type: 'response', id: 1 }), zone, 'udp'), undefined);
    for (let length = 0; length < 12; length += 1)
      assert.equal(await respond(Buffer.alloc(length), zone, 'udp'), undefined);
  });

  test('as another operation is NOTIMP, and several questions or none are FORMERR', async () => {
    const update = message({ name: NAME });
    update.writeUInt16BE(5 << 11, 2);
    assert.equal(rcode(decode((await respond(update, zone, 'udp'))!)), 4);
    for (const count of [0, 2, 65_535]) {
      const many = message({ name: NAME });
      many.writeUInt16BE(count, 4);
      const answer = (await respond(many, zone, 'udp'))!;
      assert.deepEqual([rcode(decode(answer)), answer.length], [1, 12]);
    }
  });

  test('with a dot, NUL or broken text within a label is no name of the zone', async () => {
    const odd = (label: string, rest: string): Buffer => {
      const plain = message({ name: `x.${rest}` });
      const bytes = Buffer.from(label, 'latin1');
      return Buffer.concat([plain.subarray(0, 12), Buffer.from([bytes.length]), bytes, plain.subarray(14)]);
    };
    for (const [label, rest] of [
      // One label, whose text together with the others reads as a name that there is.
      ['token.dkim', 'mail.example.net'],
      ['tok\0en', NAME],
      ['tok\xffen', NAME],
    ] as const) {
      const answer = decode((await respond(odd(label, rest), zone, 'udp'))!);
      assert.notEqual(rcode(answer), 0, label);
      assert.deepEqual(answer.answers, []);
    }
  });
});

describe('the size of an answer', () => {
  test('over UDP is 512 octets, what EDNS allows, and 1,232 at most; else it is cut, and empty', async () => {
    const name = `${TOKEN}.${NAME}`;
    const cut = await ask({ name });
    assert.deepEqual([cut.flag_tc, cut.answers], [true, []]);
    for (const [size, isCut] of [
      [1, true],
      [513, true],
      [1_232, false],
      [65_535, false],
    ] as const) {
      const answer = (await respond(message({ name, ...opt({ udpPayloadSize: size }) }), zone, 'udp'))!;
      assert.equal(decode(answer).flag_tc, isCut, String(size));
      assert.ok(answer.length <= Math.max(512, Math.min(size, 1_232)));
    }
    const long = { name: `longest.${NAME}`, ...opt({ udpPayloadSize: 65_535 }) };
    assert.equal((await ask(long)).flag_tc, true);
    const whole = await ask(long, 'tcp');
    assert.deepEqual([whole.flag_tc, text(whole)], [false, [LONGEST]]);
  });

  test('has EDNS where the question has it, with its DO bit, and not in another version', async () => {
    assert.deepEqual((await ask({ name: NAME })).additionals, []);
    const [own] = (await ask({ name: NAME, ...opt({ flags: 0x8000 }) })).additionals as unknown[] as Record<
      string,
      unknown
    >[];
    const { udpPayloadSize, ednsVersion, flag_do, options } = own!;
    assert.deepEqual([udpPayloadSize, ednsVersion, flag_do, options], [1_232, 0, true, []]);
    const answer = await ask({ name: `token.${NAME}`, ...opt({ ednsVersion: 1 }) });
    assert.deepEqual(
      [rcode(answer), (answer.additionals![0] as { extendedRcode: number }).extendedRcode],
      [0, 1],
    );
    assert.deepEqual(answer.answers, []);
  });

  test('that says "ask over TCP" is no longer than the question', () => {
    const asked = message({ name: `token.${NAME}` });
    const answer = truncated(asked)!;
    assert.equal(answer.length, asked.length);
    assert.equal(decode(answer).flag_tc, true);
    assert.equal(truncated(encode({ type: 'response', id: 1 })), undefined);
    assert.equal(truncated(Buffer.alloc(5)), undefined);
  });
});

test('no datagram of random or damaged octets gets more than a short answer, or breaks it', async () => {
  const random = seededRandom(35);
  const good = message({ name: `token.${NAME}`, ...opt() });
  for (let n = 0; n < 5_000; n += 1) {
    const octets = n % 2 === 0 ? Buffer.from(good) : Buffer.alloc(Math.floor(random() * 200));
    if (n % 2 === 1) for (let at = 0; at < octets.length; at += 1) octets[at] = random() * 256;
    else
      for (let flips = 0; flips < 4; flips += 1)
        octets[Math.floor(random() * octets.length)] = random() * 256;
    const cut = octets.subarray(0, Math.ceil(random() * octets.length));
    for (const one of [octets, cut]) {
      const answer = await respond(one, zone, 'udp');
      assert.ok(answer === undefined || answer.length <= 1_232);
    }
  }
});

describe('the rate of a network', () => {
  test('is 20 a second after 100 at once; beyond, every second question is told to use TCP', () => {
    const clock = new TestClock();
    const rate = new SourceRate(clock);
    const rule = (n: number, address = '192.0.2.1') => Array.from({ length: n }, () => rate.rule(address));
    assert.ok(rule(100).every((one) => one === 'answer'));
    assert.deepEqual(rule(4, '192.0.2.200'), ['truncate', 'drop', 'truncate', 'drop'], 'its neighbour, too');
    assert.deepEqual(rule(1, '192.0.3.1'), ['answer']);
    assert.deepEqual(rule(1, '::ffff:192.0.2.9'), ['truncate'], 'the same network, written otherwise');
    clock.advance(SECOND);
    assert.equal(rule(30).filter((one) => one === 'answer').length, 20);
    assert.ok(rule(100, '2001:db8:0:1::1').every((one) => one === 'answer'));
    assert.deepEqual(rule(1, '2001:db8:0:ff::2'), ['truncate']);
    assert.deepEqual(rule(1, '2001:db8:0:100::2'), ['answer']);
  });
});

describe('a server', () => {
  let server: ZoneServer;
  before(async () => {
    server = await startZoneServer({ listen: { host: '127.0.0.1', port: 0 }, zone, clock: systemClock });
  });
  after(() => server.close());

  test('answers a resolver, over TCP too where an answer was cut', async () => {
    const { address, port } = server.address;
    const resolver = createResolver({ servers: [{ address, port }], clock: systemClock });
    for (const [label, value] of [
      ['token', KEY],
      ['longest', LONGEST],
    ] as const) {
      const answer = await resolver.resolve(`${label}.${NAME}`, 'TXT');
      assert.equal(answer.kind, 'found');
      assert.deepEqual(answer.kind === 'found' && answer.records, [value]);
    }
    assert.equal((await resolver.resolve(`none.${NAME}`, 'TXT')).kind, 'no_domain');
    assert.equal((await resolver.resolve(`token.${NAME}`, 'A')).kind, 'empty');
  });

  test('answers several questions of one connection, also in pieces, and none that is too long', async () => {
    const socket = connect(server.address.port, '127.0.0.1');
    const question = message({ name: `token.${NAME}` });
    const framed = Buffer.concat([Buffer.from([0, question.length]), question]);
    const received: Buffer[] = [];
    socket.on('data', (chunk: Buffer) => received.push(chunk));
    socket.write(Buffer.concat([framed, framed]));
    for (const octet of framed) socket.write(Buffer.from([octet]));
    const size = () => received.reduce((sum, { length }) => sum + length, 0);
    const expected = 3 * (2 + (await respond(question, zone, 'tcp'))!.length);
    while (size() < expected) await once(socket, 'data');
    assert.equal(size(), expected);
    socket.write(Buffer.from([0xff, 0xff]));
    await once(socket, 'close');
  });

  test('ends a connection with what is no question, and goes on', async () => {
    for (const octets of [Buffer.from([0, 3, 1, 2, 3]), Buffer.from([0, 0])]) {
      const socket = connect(server.address.port, '127.0.0.1');
      socket.write(octets);
      socket.resume();
      await once(socket, 'close');
    }
    const udp = createSocket('udp4');
    udp.send(Buffer.from('nonsense'), server.address.port, '127.0.0.1');
    udp.send(message({ name: `none.${NAME}` }), server.address.port, '127.0.0.1');
    const [answer] = (await once(udp, 'message')) as [Buffer];
    assert.equal(rcode(decode(answer)), 3);
    udp.close();
  });

  test('takes ten connections of one address, and releases their places', async () => {
    const open = Array.from({ length: 10 }, () => connect(server.address.port, '127.0.0.1'));
    await Promise.all(open.map((socket) => once(socket, 'connect')));
    const refused = connect(server.address.port, '127.0.0.1');
    refused.on('error', () => {});
    refused.resume();
    await once(refused, 'close');
    for (const socket of open) socket.destroy();
    for (const socket of open) if (!socket.closed) await once(socket, 'close');
    const question = message({ name: NAME, type: 'SOA' });
    // The places are free when the server has seen the ends.
    for (let answered = false; !answered; ) {
      const socket = connect(server.address.port, '127.0.0.1');
      socket.on('error', () => {});
      socket.write(Buffer.concat([Buffer.from([0, question.length]), question]));
      const [chunk] = (await Promise.race([once(socket, 'data'), once(socket, 'close')])) as [unknown];
      answered = Buffer.isBuffer(chunk);
      socket.destroy();
    }
  });
});

describe('the zone as a file', () => {
  test('is a master file, with a server of its own or without', () => {
    const head = zoneHead({ name: NAME, server: 'mail.example.net', serial: 7 });
    assert.equal(
      head,
      `$ORIGIN ${NAME}.\n$TTL 3600\n@ IN SOA mail.example.net. hostmaster.${NAME}. ( 7 3600 600 604800 60 )\n@ IN NS mail.example.net.\n`,
    );
    assert.equal(zoneHead({ name: NAME, serial: 7 }), `$ORIGIN ${NAME}.\n$TTL 3600\n`);
    assert.equal(zoneLine('token', KEY), `token IN TXT "${KEY.slice(0, 255)}" "${KEY.slice(255)}"\n`);
    assert.equal(zoneLine('x', 'a"b\\c'), 'x IN TXT "a\\"b\\\\c"\n');
  });
});
