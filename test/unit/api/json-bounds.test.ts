import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { boundJson } from '../../../lib/http/json-bounds.ts';

const bound = (json: string): void => boundJson(Buffer.from(json));
const nested = (depth: number): string => `${'['.repeat(depth)}"${'x'.repeat(20_000)}"${']'.repeat(depth)}`;

test('64 levels are accepted, 65 are not', () => {
  bound(nested(64));
  assert.throws(() => bound(nested(65)), { code: 'malformed_request', message: /64 levels/ });
});

test('200,000 structural characters are accepted, one more is not', () => {
  const members = (commas: number): string => `[${Array.from({ length: commas + 1 }, () => '0').join()}]`;
  bound(members(199_999));
  assert.throws(() => bound(members(200_000)), { code: 'malformed_request', message: /too many members/ });
});

test('the contents of strings do not count', () => {
  bound(JSON.stringify({ html: '[{,:"\\'.repeat(300_000) }));
});

test('bombs of 10 MB are refused, open or closed', () => {
  for (const piece of ['[', '{"a":', '[[],', '"a",'])
    assert.throws(() => bound(piece.repeat(10_000_000 / piece.length)), { code: 'malformed_request' });
});

test('no JSON of a common shape is refused', () => {
  fc.assert(
    fc.property(fc.json({ maxDepth: 20 }), (json) => {
      bound(json.padEnd(20_000, ' '));
    }),
    { seed: 20261120, numRuns: 300 },
  );
});
