import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MAX_CALL } from '../../lib/accept/call-size.ts';
import type { Submission } from '../../lib/accept/types.ts';
import { createTrackingLinks } from '../../lib/tracking/links.ts';
import { CALLER, openTestAccept, simple, type TestAccept } from '../support/accept.ts';
import { failure } from '../support/control.ts';

const OPTIONS = { door: 'postern', caller: CALLER } as const;
const roomy = { maxMessageBytes: 100 * 1024 * 1024 };

/** Text of exactly `octets` octets in transfer encoding. */
function textOf(octets: number): string {
  const line = `${'x'.repeat(998)}\n`;
  const lines = Math.floor(octets / 1000) - 1;
  return line.repeat(lines) + `${'y'.repeat((octets - lines * 1000) / 2 - 2)}\n`.repeat(2);
}

const text = (octets: number): Submission =>
  simple({ content: { kind: 'simple', subject: 'Big', text: textOf(octets) } });

const many = (count: number, content: Submission['content']): Submission[] =>
  Array.from({ length: count }, (_, n) => simple({ to: [`u${n}@example.net`], content }));

/** A list in a list: each rendering takes more than 115,000 steps. */
const busy = {
  kind: 'template' as const,
  parts: { subject: 'x', text: '{{#each list}}{{#each ../list}}{{/each}}{{/each}}' },
  data: { list: Array.from({ length: 340 }, () => 1) },
};

function refusedCall(t: TestAccept, submissions: Submission[], words: RegExp): Promise<void> {
  return assert
    .rejects(t.accept.submit(submissions, OPTIONS), failure('too_large', words))
    .then(() => assert.equal(t.queue.admissions.length, 0, 'nothing of the call is stored'));
}

test('the messages of a call may have 48 MiB together, and not one octet more', async () => {
  const t = await openTestAccept(roomy);
  const half = MAX_CALL / 2;
  await refusedCall(
    t,
    [text(half), text(half + 2)],
    /50331650 octets or more together; 50331648 is the most/,
  );
  const answer = await t.accept.submit([text(half), text(half)], OPTIONS);
  assert.ok(answer.every((one) => 'messageId' in one));
  const single = await t.accept.submit([text(MAX_CALL + 1000)], OPTIONS);
  assert.ok('messageId' in single[0]!, 'one message has its own limit');
});

test('attachments times recipients are checked before anything is composed', async () => {
  const t = await openTestAccept(roomy);
  t.control.identities.forSender = () => assert.fail('nothing of the call is looked at');
  const attachments = [{ fileName: 'a.bin', content: Buffer.alloc(20 * 1024 * 1024) }];
  const template = { kind: 'template' as const, parts: { subject: 'x', text: 'y' }, data: {}, attachments };
  await refusedCall(t, many(20, template), /20 messages of this call have 559240560 octets/);
});

test('the output of templates counts for the whole call', async () => {
  const signed: string[] = [];
  const links = createTrackingLinks(Buffer.alloc(32, 5));
  const counting = {
    ...links,
    open: (host: string, message: { messageId: string; n?: number }) => {
      signed.push(message.messageId);
      return links.open(host, message);
    },
  };
  const t = await openTestAccept(roomy, undefined, { links: counting, url: 'https://track.example.com' });
  const content = {
    kind: 'template' as const,
    parts: { subject: 'x', text: '{{#each list}}{{@root.filler}}{{/each}}' },
    data: { list: Array.from({ length: 96 }, () => 1), filler: `${'z'.repeat(99)}\n`.repeat(1_000) },
  };
  const submissions = many(20, content).map((one) => ({ ...one, tracking: { opens: true } }));
  await refusedCall(t, submissions, /together/);
  // 9.6 MB each: the sixth passes the limit, and the other fourteen are never rendered.
  assert.equal(signed.length, 6);
});

test('the work of all templates of a call is bounded', async () => {
  const t = await openTestAccept();
  await refusedCall(t, many(300, busy), /templates of this call take more than 30000000 steps together/);
});

test('other calls run between the messages of a large call', async () => {
  const t = await openTestAccept();
  let turns = 0;
  let done = false;
  const turn = (): void => {
    turns++;
    if (!done) setImmediate(turn);
  };
  setImmediate(turn);
  const answer = await t.accept.submit(many(50, busy), OPTIONS);
  done = true;
  assert.equal(answer.filter((one) => 'messageId' in one).length, 50);
  assert.ok(turns >= 12, `${turns} turns of the event loop in 50 renderings of 2 ms`);
});

test('two calls take turns', async () => {
  const t = await openTestAccept();
  const order: string[] = [];
  const admit = t.queue.admit.bind(t.queue);
  t.queue.admit = async (messages, claim) => {
    order.push(String(messages.length));
    return admit(messages, claim);
  };
  await Promise.all([t.accept.submit(many(100, busy), OPTIONS), t.accept.submit(many(6, busy), OPTIONS)]);
  assert.deepEqual(order, ['6', '100']);
});

test('all calls together hold 256 MiB; a call beyond is refused for now', async () => {
  const t = await openTestAccept(roomy);
  const waiting: (() => void)[] = [];
  const admit = t.queue.admit.bind(t.queue);
  t.queue.admit = async (messages, claim) => {
    await new Promise<void>((resolve) => waiting.push(resolve));
    return admit(messages, claim);
  };
  const content = { kind: 'simple' as const, subject: 'Big', text: textOf(64 * 1024 * 1024 - 1024) };
  const held = Array.from({ length: 4 }, () => t.accept.submit([simple({ content })], OPTIONS));
  while (waiting.length < 4) await new Promise((resolve) => setImmediate(resolve));
  await assert.rejects(t.accept.submit([text(8 * 1024)], OPTIONS), failure('throttled', /268435456 octets/));
  for (const go of waiting) go();
  await Promise.all(held);
  t.queue.admit = admit;
  assert.ok('messageId' in (await t.accept.submit([text(8 * 1024)], OPTIONS))[0]!);
});
