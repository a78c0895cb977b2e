import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ERRORS, type ErrorEntry } from '../../lib/errors.ts';

for (const [code, entry] of Object.entries(ERRORS) as [string, ErrorEntry][]) {
  test(`${code}: reply, enhanced code and what to do agree`, () => {
    assert.ok(entry.smtp >= 400 && entry.smtp < 600);
    assert.match(entry.enhanced, /^[45]\.\d{1,3}\.\d{1,3}$/);
    assert.equal(entry.enhanced[0], String(entry.smtp)[0], 'the classes of both codes differ');
    assert.equal(entry.temporary, entry.smtp < 500);
    assert.ok(entry.http >= 400 && entry.http < 600);
    assert.match(entry.action, /^[A-Z].*\.$/, 'what to do is a sentence');
  });
}
