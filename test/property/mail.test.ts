import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { PosternError } from '../../lib/errors.ts';
import {
  formatAddress,
  parseAddress,
  parseAddressList,
  parseEnvelopeAddress,
} from '../../lib/mail/address.ts';
import { relaxedField } from '../../lib/mail/dkim.ts';
import { decodeWords, encodeWords } from '../../lib/mail/encoded-words.ts';
import { fieldValue, makeField, parseMessage, serialise } from '../../lib/mail/message.ts';
import { newMessageId } from '../../lib/mail/message-id.ts';
import { createReturnPaths } from '../../lib/mail/return-path.ts';
import { sanitise } from '../../lib/mail/sanitise.ts';
import { takeSesHeaders } from '../../lib/mail/ses-headers.ts';
import { relaxedText } from '../support/messages.ts';

const SETTINGS = { seed: 5322, numRuns: 3000 };

/** Runs the function and returns its error when it is a PosternError; any other error fails the test. */
function attempt<T>(run: () => T): T | PosternError {
  try {
    return run();
  } catch (error) {
    assert.ok(error instanceof PosternError, String(error));
    return error;
  }
}

const join = (pieces: string[]): string => pieces.join('');
const addressPiece = fc.oneof(
  fc.constantFrom(...'<>@,:;()"\\[]. \t'.split('')),
  fc.constantFrom(
    'a',
    'b.example',
    'x@y.example',
    '=?utf-8?q?',
    '?=',
    'é',
    '用户',
    '\r\n',
    '\0',
    '127.1',
    'xn--',
  ),
  fc.string({ unit: 'binary', maxLength: 3 }),
);
const addressText = fc.array(addressPiece, { maxLength: 14 }).map(join);

test('an address parsed is the same when its envelope form or its header form is parsed again', () => {
  fc.assert(
    fc.property(addressText, (text) => {
      for (const parse of [parseAddress, parseEnvelopeAddress]) {
        const a = attempt(() => parse(text));
        if (a instanceof PosternError) continue;
        assert.ok(Buffer.byteLength(a.address) <= 254);
        assert.doesNotMatch(a.address, /[\u0000-\u001f\u007f]/);
        assert.match(a.domain, /^(?:[a-z0-9.-]+|\[[\w:.]+\])$/);
        assert.equal(a.utf8, /[^\x00-\x7f]/.test(a.local));
        assert.deepEqual(parseEnvelopeAddress(a.address), { ...a, name: '' });
        assert.deepEqual(parseAddress(formatAddress({ ...a, name: '' })), { ...a, name: '' });
      }
    }),
    SETTINGS,
  );
});

test('a list is parsed into addresses that make the same list', () => {
  fc.assert(
    fc.property(addressText, (text) => {
      const list = attempt(() => parseAddressList(text));
      if (list instanceof PosternError) return;
      const bare = list.map((a) => ({ ...a, name: '' }));
      assert.deepEqual(parseAddressList(bare.map(formatAddress).join(', ')), bare);
    }),
    SETTINGS,
  );
});

test('a quoted local part of any characters keeps them', () => {
  const local = fc.string({
    unit: fc.constantFrom(...'ab@<>,;:()[]\\". é'.split('')),
    minLength: 1,
    maxLength: 30,
  });
  fc.assert(
    fc.property(local, (text) => {
      const a = parseAddress(`"${text.replace(/["\\]/g, '\\$&')}"@b.example`);
      assert.equal(a.local, text);
      assert.equal(parseEnvelopeAddress(a.address).local, text);
    }),
    SETTINGS,
  );
});

test('a display name passes through a header unchanged and adds no line to it', () => {
  const name = fc
    .string({ unit: 'grapheme', maxLength: 60 })
    .map((s) => s.replace(/[\p{C}\p{Z}]+/gu, ' ').trim());
  fc.assert(
    fc.property(name, (text) => {
      const a = { ...parseAddress('a@b.example'), name: text };
      const f = makeField('To', formatAddress(a));
      assert.doesNotMatch(f.raw.replace(/\r\n(?=[ \t][^ \t])/g, ''), /[\r\n]/);
      const unfolded = f.raw.slice(4).replaceAll('\r\n', '');
      assert.equal(parseAddress(unfolded).name, text);
    }),
    SETTINGS,
  );
});

test('encoded words carry any text, and any text can be decoded', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme', minLength: 1 }), addressText, (text, noise) => {
      const encoded = encodeWords(text);
      assert.match(encoded, /^[!-~ ]*$/);
      for (const word of encoded.split(' ')) assert.ok(word.length <= 75);
      assert.equal(decodeWords(encoded), text.replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]/g, ' '));
      assert.equal(typeof decodeWords(noise), 'string');
    }),
    SETTINGS,
  );
});

const bytePiece = fc.oneof(
  fc.constantFrom(
    '\r\n',
    '\r',
    '\n',
    '\0',
    '.',
    ' ',
    '\t',
    ':',
    'A: 1',
    'From: a@b.example',
    '\r\n\r\n',
    '\r\n ',
  ),
  fc.constantFrom('x'.repeat(997), `${'w '.repeat(600)}`, 'é€', '\xa0', '\x80'.repeat(1100)),
  fc.constantFrom('X-SES-TENANT: t', 'X-SES-MESSAGE-TAGS: a=b', 'Bcc: x'),
  fc.string({ unit: 'binary-ascii', maxLength: 5 }),
);
const messageBytes = fc
  .array(bytePiece, { maxLength: 20 })
  .map((pieces) => Buffer.from(pieces.join(''), 'latin1'));

test('a sanitised message has lines of at most 998 octets and stays as it is when sanitised again', () => {
  fc.assert(
    fc.property(messageBytes, (bytes) => {
      const clean = attempt(() => sanitise(bytes, 'normalise'));
      if (clean instanceof PosternError) return assert.equal(clean.code, 'invalid_header');
      const text = clean.toString('latin1');
      assert.ok(text.endsWith('\r\n'));
      for (const line of text.split('\r\n')) {
        assert.doesNotMatch(line, /[\r\n\0]/);
        assert.ok(line.length <= 998);
      }
      assert.equal(sanitise(clean, 'refuse'), clean);
      const refused = attempt(() => sanitise(bytes, 'refuse'));
      const stray = /\r(?!\n)|(?<!\r)\n|\0/.test(bytes.toString('latin1'));
      assert.equal(refused instanceof PosternError && refused.code === 'line_break_refused', stray);
    }),
    SETTINGS,
  );
});

test('a parsed message is written back byte for byte', () => {
  fc.assert(
    fc.property(messageBytes, (bytes) => {
      const parsed = attempt(() => parseMessage(sanitise(bytes, 'normalise')));
      if (parsed instanceof PosternError) return;
      const whole = serialise(parsed.fields, parsed.body);
      const again = parseMessage(whole);
      assert.deepEqual(again.fields, parsed.fields);
      assert.deepEqual(again.body, parsed.body);
      for (const f of parsed.fields) {
        assert.doesNotMatch(fieldValue(f), /[\r\n]/);
        assert.doesNotMatch(relaxedField(f), /[\t]| {2}|\r\n./);
      }
      const taken = attempt(() => takeSesHeaders(parsed.fields));
      if (taken instanceof PosternError) return;
      assert.ok(!taken.fields.some((f) => /^(?:x-ses-|bcc$|return-path$)/.test(f.name)));
    }),
    SETTINGS,
  );
});

test('raw bytes are parsed or refused with a clear error', () => {
  fc.assert(
    fc.property(messageBytes, (bytes) => {
      const parsed = attempt(() => parseMessage(bytes));
      if (parsed instanceof PosternError) return;
      for (const f of parsed.fields) assert.doesNotMatch(f.raw.replace(/\r\n(?=[ \t])/g, ''), /[\r\n\0]/);
    }),
    SETTINGS,
  );
});

test('the relaxed body is the one of RFC 6376 §3.4.4, step by step', () => {
  const body = fc
    .array(fc.constantFrom(' ', ' ', '\t', 'a', 'b', '\r\n', '\r\n', '\xa0', '.'), { maxLength: 40 })
    .map((pieces) => pieces.join(''));
  fc.assert(
    fc.property(body, (text) => {
      const lines = text.split('\r\n').map((line) => line.replace(/[ \t]+$/, '').replace(/[ \t]+/g, ' '));
      while (lines.length && lines.at(-1) === '') lines.pop();
      const expected = lines.map((line) => `${line}\r\n`).join('');
      assert.equal(relaxedText(Buffer.from(text, 'latin1')), expected);
    }),
    SETTINGS,
  );
});

test('a made field keeps its value, in lines of at most 998 octets', () => {
  const value = fc.array(
    fc.constantFrom('word', ' ', '  ', '\t', 'x'.repeat(60), 'y'.repeat(900), 'é', '€'),
    {
      maxLength: 30,
    },
  );
  fc.assert(
    fc.property(value, fc.constantFrom('Subject', 'To', 'X'), (pieces, name) => {
      const text = pieces.join('');
      const f = attempt(() => makeField(name, text));
      if (f instanceof PosternError) return;
      assert.equal(fieldValue(f), text.replaceAll('\t', f.raw.includes('=?') ? ' ' : '\t').trim());
      for (const line of f.raw.split('\r\n')) {
        assert.ok(line.length <= 998);
        assert.match(line, /[^ \t]/);
      }
    }),
    SETTINGS,
  );
});

test('a return path names its delivery, and no other text names one', () => {
  const paths = createReturnPaths(Buffer.from('a secret of the installation'));
  const time = fc.integer({ min: 0, max: 4e12 });
  fc.assert(
    fc.property(time, fc.nat(65_535), fc.nat(56), fc.string(), (now, n, at, noise) => {
      const id = newMessageId(now);
      const address = paths.make(id, n, 'b.example', now + 1);
      assert.deepEqual(paths.read(address, now), { messageId: id, n });
      const other = address[at] === 'c' ? 'd' : 'c';
      assert.equal(paths.read(address.slice(0, at) + other + address.slice(at + 1), now), undefined);
      assert.equal(paths.read(noise, now), undefined);
      assert.equal(paths.read(`b${noise}@b.example`, now), undefined);
    }),
    { ...SETTINGS, numRuns: 1000 },
  );
});
