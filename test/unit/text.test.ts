import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { cleanText } from '../../lib/text.ts';

test('clean text keeps printable characters and loses those that stores, queues and terminals cannot hold', () => {
  assert.equal(cleanText('Grüße, 日本語, 😀, tilde~'), 'Grüße, 日本語, 😀, tilde~');
  assert.equal(cleanText('a\0b\tc\nd\x1b[31m\x7f\x85\u2028\u2029'), 'a�b�c�d�[31m����');
  assert.equal(cleanText('\ufffe\uffff\ufdd0\ufdef\u{1fffe}\u{10ffff}'), '������');
  assert.equal(cleanText('\ud800x\udc00\ud83d\ude00\ud83d'), '�x�😀�');
});

test('clean text is in XML 1.0 and well-formed, and cleaning it again changes nothing', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 200 }), (text) => {
      const clean = cleanText(text);
      assert.doesNotMatch(clean, /[^\x20-\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}]/u);
      assert.ok(clean.isWellFormed());
      assert.equal(cleanText(clean), clean);
      assert.equal(clean.length <= text.length, true);
    }),
    { seed: 1, numRuns: 2000 },
  );
});
