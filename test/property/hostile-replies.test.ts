/** Any bytes as the reply of a peer, through a whole delivery on both engines with durable storage. */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import fc from 'fast-check';
import { startEgress } from '../../lib/egress/egress.ts';
import { openAws } from '../../lib/engine/aws/open.ts';
import { openEmbedded } from '../../lib/engine/embedded/open.ts';
import type { Engine } from '../../lib/engine/ports.ts';
import { FINAL_STATES } from '../../lib/engine/states.ts';
import { cleanText } from '../../lib/text.ts';
import { systemClock } from '../../lib/time.ts';
import { mail } from '../contract/harness.ts';
import { startTestAws, withLanes } from '../support/aws.ts';
import { addressesOfAll } from '../support/egress.ts';

const LANE = 'default:transactional:other';

/** Octets that some decoder, queue, terminal or table cannot bear. */
const KNOWN = [
  'ef bf bf', // U+FFFF
  'ef bf be', // U+FFFE
  'ef b7 90', // U+FDD0, a noncharacter
  'f0 9f bf bf', // U+1FFFF, a noncharacter beyond the BMP
  'f4 90 80 80', // beyond U+10FFFF
  'ed a0 80', // a lone surrogate
  'ed a0 bd ed b8 80', // a pair of surrogates, each in UTF-8
  'c0 80', // an overlong NUL
  '00',
  '1b 5b 33 31 6d',
  '0b 0c 85 0d 20',
  'e2 80 a8',
  'f0 9f 98 80', // an emoji
  '22 5c 7b 7d',
].map((hex) => Buffer.from(hex.replaceAll(' ', ''), 'hex'));

const text = fc.oneof(
  fc.uint8Array({ maxLength: 60 }),
  fc.string({ unit: 'binary', maxLength: 60 }).map((value) => Buffer.from(value)),
  fc.array(fc.constantFrom(...KNOWN), { maxLength: 10 }).map((parts) => Buffer.concat(parts)),
);
/** Complete replies: an invalid one closes its connection, and enough of those close the site for all (`test/wire`). */
const code = fc.constantFrom('250 ', '450 4.2.2 ', '450 ', '550 ', '550 5.1.1 ', '550-5.7.1 x\r\n550 ');
const reply = fc
  .tuple(code, text)
  .map(([start, rest]) =>
    Buffer.concat([Buffer.from(start), Buffer.from(rest).filter((byte) => byte !== 10), Buffer.from('\r\n')]),
  );
const REPLIES = [
  ...KNOWN.map((bytes) => Buffer.concat([Buffer.from('550 5.1.1 no '), bytes, Buffer.from('\r\n')])),
  ...fc.sample(reply, { seed: 1047, numRuns: 60 }),
];

/** A peer that answers RCPT TO:<`n`@…> by the reply `n`, and takes the body of what it let in. */
const peer = createServer((socket) => {
  socket.on('error', () => socket.destroy());
  socket.write('220 peer.test\r\n');
  let held = '';
  let inBody = false;
  socket.on('data', (chunk: Buffer) => {
    held += chunk.toString('latin1');
    for (let end = held.indexOf('\r\n'); end >= 0; end = held.indexOf('\r\n')) {
      const line = held.slice(0, end);
      held = held.slice(end + 2);
      if (inBody) {
        if (line !== '.') continue;
        inBody = false;
        socket.write('250 2.0.0 taken\r\n');
      } else if (line.startsWith('RCPT'))
        socket.write(REPLIES[Number(/<(\d+)@/.exec(line)?.[1])] ?? '250 ok\r\n');
      else if (line.startsWith('DATA')) {
        inBody = true;
        socket.write('354 go on\r\n');
      } else if (line.startsWith('QUIT')) socket.end('221 bye\r\n');
      else socket.write('250 ok\r\n');
    }
  });
});

const closing: (() => unknown)[] = [];
before(() => new Promise<void>((resolve) => peer.listen(0, '127.0.0.1', resolve)));
after(async () => {
  for (const close of closing.reverse()) await close();
  peer.close();
});

async function embedded(): Promise<Engine> {
  const directory = await mkdtemp(join(tmpdir(), 'postern-replies-'));
  closing.push(() => rm(directory, { recursive: true }));
  return openEmbedded({ directory, clock: systemClock, minimumFree: 0 });
}

async function aws(): Promise<Engine> {
  const test = await startTestAws([LANE]);
  closing.push(() => test.stop());
  return openAws({ resources: test.resources, client: withLanes(test), clock: systemClock });
}

for (const [name, open] of Object.entries({ embedded, aws })) {
  test(`${name}: no reply of a peer stops other settlements, and each reply is stored as clean text`, async () => {
    const engine = await open();
    closing.push(() => engine.close());
    const { port } = peer.address() as AddressInfo;
    // Each has a domain of its own, so that no refusal holds up another.
    const messages = [...REPLIES.keys(), 999].map((n) =>
      mail(Date.now(), { lane: LANE, recipients: [`${n}@r${n}.test`] }),
    );
    const ids = messages.map(({ record }) => record.id);
    await engine.queue.admit(messages);
    const logged: unknown[] = [];
    const egress = startEgress({
      engine,
      resolver: addressesOfAll([]),
      clock: systemClock,
      random: Math.random,
      node: 'node',
      ehloName: 'out.sender.test',
      limits: { default: { messageRate: 'unlimited' } },
      routes: [{ domain: '*', host: '127.0.0.1', port }],
      log: { error: (message, fields) => void logged.push([message, fields]) },
    });
    const settled = async (): Promise<boolean> => {
      const all = await Promise.all(ids.map((id) => engine.records.deliveries(id)));
      return all.every(([one]) => one && (FINAL_STATES.has(one.state) || one.attempts.length > 0));
    };
    try {
      for (let tries = 0; !(await settled()); tries += 1) {
        assert.ok(tries < 200, 'some delivery was never settled');
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    } finally {
      await egress.stop();
    }
    assert.equal(egress.gauges().unsettledFailures, 0);
    assert.deepEqual(logged, []);
    for (const id of ids) {
      const [delivery] = await engine.records.deliveries(id);
      for (const { text: reason, replies } of delivery!.attempts)
        for (const one of [reason, ...replies.map((each) => each.text)]) assert.equal(one, cleanText(one));
    }
    assert.equal(await engine.records.state(ids.at(-1)!, 0), 'delivered');
  });
}
