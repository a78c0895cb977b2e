import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { PosternError } from '../../lib/errors.ts';
import { compose } from '../../lib/mail/compose.ts';
import { parseMessage } from '../../lib/mail/message.ts';
import { checkMimeLimits } from '../../lib/mail/mime-limits.ts';

const check = (text: string): void => checkMimeLimits(parseMessage(Buffer.from(text, 'latin1')));
const rejected = (text: string, words: RegExp) =>
  assert.throws(() => check(text), { code: 'message_rejected', message: words });

const multipart = (boundary: string, parts: string[]): string =>
  `Content-Type: multipart/mixed; boundary="${boundary}"\r\n\r\n` +
  `${parts.map((part) => `--${boundary}\r\n${part}\r\n`).join('')}--${boundary}--\r\n`;
const leaf = 'Content-Type: text/plain\r\n\r\nx';
const flat = (count: number): string =>
  multipart(
    'b',
    Array.from({ length: count }, () => leaf),
  );

function nested(depth: number): string {
  let entity = leaf;
  for (let level = 0; level < depth; level++) entity = multipart(`level-${level}-`, [entity]);
  return entity;
}

test('500 parts are accepted; 501 and 10,000 are refused', () => {
  check(flat(500));
  rejected(flat(501), /more than 500 MIME parts/);
  rejected(flat(10_000), /more than 500 MIME parts/);
  check(
    multipart(
      'o',
      [flat(249), flat(248)].map((inner) => inner),
    ),
  );
  rejected(multipart('o', [flat(249), flat(250)]), /more than 500/);
});

test('parts 30 deep are accepted; 31 and 10,000 are refused', () => {
  check(nested(30));
  rejected(nested(31), /nested over 30 deep/);
  rejected(nested(10_000), /nested over 30 deep/);
});

test('an attached message adds one level of depth', () => {
  const chain = (length: number) =>
    `${'Content-Type: message/rfc822\r\n\r\n'.repeat(length)}Subject: x\r\n\r\ny`;
  check(chain(30));
  rejected(chain(31), /nested over 30 deep/);
  rejected(chain(100_000), /nested over 30 deep/);
});

test('the parts agree with those of other parsers', () => {
  const parts = (body: string, boundary = 'b') =>
    `content-type:\r\n multipart/mixed;\r\n\tcharset=x; BOUNDARY = ${boundary}\r\n\r\n${body}`;
  rejected(parts('preamble\r\n--b\r\n\r\nx'.padEnd(20) + '\r\n--b \t\r\n\r\nx'.repeat(500)), /500/);
  rejected(parts('--a"b\r\n\r\nx\r\n'.repeat(501), '"a\\"b"'), /500/);
  check(parts('--bc\r\n\r\nx\r\n'.repeat(501))); // another boundary that begins with this one
  check(parts(`--b--\r\n${'--b\r\n\r\nx\r\n'.repeat(501)}`)); // an epilogue
  check(`Content-Type: text/plain; boundary=b\r\n\r\n${'--b\r\n\r\n'.repeat(501)}`);
  check(`Content-Type: multipart/mixed\r\n\r\n${'--b\r\n\r\n'.repeat(501)}`);
  check('Subject: x\r\n\r\n');
});

test('a message that parsers split in different ways is rejected', () => {
  rejected(
    'Content-Type: text/plain\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n',
    /Duplicate header/,
  );
  rejected(
    multipart('b', ['Content-Type: text/plain\r\ncontent-type : multipart/mixed\r\n\r\n']),
    /two Content-Type/,
  );
  rejected('Content-Type: multipart/mixed; boundary*0="a"; boundary*1="b"\r\n\r\n', /in pieces/);
});

test('the check takes linear time for bodies made to be slow', () => {
  const size = 4_000_000;
  const fill = (piece: string) => piece.repeat(size / piece.length);
  for (const piece of ['\r\n--', '\r\n--b', '--b', '\r\n', '-', '\r\n--b--x', '\r\n\r\n']) {
    const body = `${nested(25).replace('\r\n\r\nx', `\r\n\r\n${fill(piece)}`)}`;
    check(body);
    check(`Content-Type: multipart/mixed; boundary=${'b'.repeat(70)}\r\n\r\n${fill(piece)}`);
  }
  // 400 parts, each of which announces parts that never come.
  const part = `Content-Type: multipart/mixed; boundary="never"\r\n\r\n${'y'.repeat(10_000)}`;
  check(
    multipart(
      'b',
      Array.from({ length: 400 }, () => part),
    ),
  );
});

test('composed messages are always within the limits', () => {
  const content = Buffer.from('x');
  const attachments = Array.from({ length: 20 }, (_, i) => ({
    content,
    inline: i % 2 === 0,
    contentId: `c${i}`,
  }));
  checkMimeLimits(
    compose(
      { from: 'a@example.com', subject: 's', text: 't', html: '<p>', attachments },
      { messageId: 'm', date: 0 },
    ),
  );
});

test('any body is accepted or refused with a clear error', () => {
  const scrap = fc.constantFrom(
    ...['--', 'b', '\r\n', '\r\n\r\n', '\r\n--b', '\r\n--b--', '\r\n--c', ' ', 'x', '"', ';', '\\', 'é'],
    ...['Content-Type: ', 'multipart/mixed', '; boundary=', 'message/rfc822', 'boundary="c"', 'boundary*0='],
  );
  const text = fc.array(scrap, { maxLength: 40 }).map((scraps) => scraps.join(''));
  fc.assert(
    fc.property(text, text, (type, body) => {
      const field = { name: 'content-type', raw: `Content-Type: multipart/mixed; boundary=b${type}` };
      try {
        checkMimeLimits({ fields: [field], body: Buffer.from(body, 'latin1') });
      } catch (error) {
        assert.ok(error instanceof PosternError);
        assert.equal(error.code, 'message_rejected');
      }
    }),
    { seed: 20261121, numRuns: 5000 },
  );
});
