import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { MAX_LINE, MAX_LINES, MAX_REPLY, ReplyParser, replyText } from '../../lib/smtp/reply.ts';
import type { SmtpReply } from '../../lib/smtp/types.ts';

const RUNS = { seed: 5321, numRuns: 2000 };

interface Outcome {
  replies: SmtpReply[];
  fault: string | undefined;
}

/** Parses bytes in these chunks. Each chunk is wiped after use, as a reused buffer is. */
function parse(chunks: Uint8Array[]): Outcome {
  const parser = new ReplyParser();
  const replies: SmtpReply[] = [];
  for (const chunk of chunks) {
    const copy = Buffer.from(chunk);
    parser.push(copy);
    for (let reply = parser.next(); reply; reply = parser.next()) replies.push(reply);
    copy.fill(0);
  }
  return { replies, fault: parser.fault };
}

function cutAt(bytes: Buffer, places: number[]): Buffer[] {
  const ends = [...new Set(places.map((place) => place % (bytes.length + 1)))].sort((a, b) => a - b);
  return [0, ...ends].map((start, i) => bytes.subarray(start, ends[i] ?? bytes.length));
}

/** Bytes as an attacker might choose them: near the grammar, and far from it. */
const hostile = fc
  .array(
    fc.oneof(
      fc.constantFrom(
        '250',
        '354',
        '421',
        '550-',
        '250 ok',
        '2.1.0 ',
        '250-5.7.1 x',
        '\r\n',
        '\n',
        '\r',
        '\0',
        '-',
        ' ',
      ),
      fc.string({ unit: 'binary', maxLength: 12 }),
      fc.constantFrom('x'.repeat(MAX_LINE), '250-more\r\n'.repeat(MAX_LINES), '\x1b[31m'),
    ),
    { maxLength: 40 },
  )
  .map((parts) => Buffer.from(parts.join('')));

const legal = fc.record({
  code: fc.integer({ min: 200, max: 599 }),
  lines: fc.array(fc.stringMatching(/^[ -~]{0,60}$/), { minLength: 1, maxLength: 8 }),
});

function write(reply: { code: number; lines: string[] }): string {
  const last = reply.lines.length - 1;
  return reply.lines.map((line, i) => `${reply.code}${i === last ? ' ' : '-'}${line}\r\n`).join('');
}

test('no bytes of a peer make the parser throw, and chunking makes no difference', () => {
  fc.assert(
    fc.property(hostile, fc.array(fc.nat(), { maxLength: 12 }), (bytes, places) => {
      const whole = parse([bytes]);
      assert.deepEqual(parse(cutAt(bytes, places)), whole);
      for (const reply of whole.replies) {
        assert.ok(reply.code >= 100 && reply.code <= 599);
        assert.ok(reply.lines.length <= MAX_LINES);
        assert.doesNotMatch(replyText(reply), /[\x00-\x1f\x7f-\x9f]/);
      }
    }),
    RUNS,
  );
});

test('every legal reply is parsed back in any chunks', () => {
  fc.assert(
    fc.property(
      fc.array(legal, { maxLength: 6 }),
      fc.array(fc.nat(), { maxLength: 12 }),
      (replies, places) => {
        const bytes = Buffer.from(replies.map(write).join(''));
        const { replies: read, fault } = parse(cutAt(bytes, places));
        assert.equal(fault, undefined);
        assert.deepEqual(
          read.map((reply) => reply.code),
          replies.map((reply) => reply.code),
        );
        read.forEach((reply, i) => {
          const { lines } = replies[i]!;
          reply.lines.forEach((line, n) => {
            assert.ok(lines[n]!.endsWith(line));
          });
          assert.equal(reply.lines.length, lines.length);
        });
      },
    ),
    RUNS,
  );
});

test('the limits hold at their edge', () => {
  const line = (octets: number): Buffer => Buffer.from(`250 ${'x'.repeat(octets - 6)}\r\n`);
  assert.equal(parse([line(MAX_LINE)]).replies.length, 1);
  assert.match(parse([line(MAX_LINE + 1)]).fault!, /line is longer/);
  const drip = [...line(MAX_LINE)].map((octet) => Buffer.of(octet));
  assert.equal(parse(drip).replies.length, 1);
  assert.match(parse([Buffer.from('x'.repeat(MAX_LINE))]).fault!, /line is longer/);

  const many = (lines: number): Buffer => Buffer.from(`${'250-x\r\n'.repeat(lines - 1)}250 x\r\n`);
  assert.equal(parse([many(MAX_LINES)]).replies.length, 1);
  assert.match(parse([many(MAX_LINES + 1)]).fault!, /more than 100 lines/);

  const long = Buffer.from(`250-${'x'.repeat(1018)}\r\n`.repeat(MAX_REPLY / 1024));
  assert.equal(parse([long]).fault, undefined);
  assert.match(parse([long, Buffer.from('250 x\r\n')]).fault!, /reply is longer/);
});

test('only an enhanced code is cut from the text', () => {
  const [reply] = parse([Buffer.from('550-5.1.1 no\r\n550 5.1.1 such user\r\n')]).replies;
  assert.deepEqual(reply, { code: 550, enhanced: '5.1.1', lines: ['no', 'such user'] });
  assert.equal(replyText(reply!), '5.1.1 no such user');
  const read = (text: string): SmtpReply => parse([Buffer.from(text)]).replies[0]!;
  assert.equal(read('250 2.0.0\r\n').enhanced, '2.0.0');
  assert.deepEqual(read('250\r\n').lines, ['']);
  assert.equal(read('250 1.2.3.4 hello\r\n').enhanced, undefined);
  assert.equal(read('250 3.1.1 hello\r\n').enhanced, undefined);
  assert.deepEqual(read('550 \x1b[2J<b>\x07\r\n').lines, ['\ufffd[2J<b>\ufffd']);
});
