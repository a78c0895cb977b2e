import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { ERRORS, type ErrorEntry } from '../../lib/errors.ts';
import { errorsPage } from '../../lib/outcome/errors-page.ts';
import { REASONS, type ReasonEntry } from '../../lib/outcome/reasons.ts';

function checkReply({ smtp, enhanced, temporary, action }: ErrorEntry | ReasonEntry): void {
  assert.ok(smtp >= 400 && smtp < 600);
  assert.match(enhanced, /^[45]\.\d{1,3}\.\d{1,3}$/);
  assert.equal(enhanced[0], String(smtp)[0], 'the classes of both codes differ');
  assert.equal(temporary, smtp < 500);
  assert.match(action, /^[A-Z].*\.$/, 'what to do is a sentence');
}

for (const [code, entry] of Object.entries(ERRORS) as [string, ErrorEntry][]) {
  test(`error ${code}: reply and enhanced code agree, and the action is a sentence`, () => {
    checkReply(entry);
    assert.ok(entry.http >= 400 && entry.http < 600);
  });
}

for (const [code, entry] of Object.entries(REASONS) as [string, ReasonEntry][]) {
  test(`reason ${code}: reply and enhanced code agree, and the action is a sentence`, () =>
    checkReply(entry));
}

test('errors.md agrees with the tables of errors, reasons and causes (npm run errors writes it)', () => {
  assert.equal(readFileSync(new URL('../../lib/errors.md', import.meta.url), 'utf8'), errorsPage());
});

test('every code is used outside of its table', () => {
  const root = new URL('../../', import.meta.url);
  const sources = ['lib', 'functions', 'egress-node'].flatMap((room) =>
    readdirSync(new URL(`${room}/`, root), { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.ts') && !/^(?:errors|outcome\/reasons)\.ts$/.test(name))
      .map((name) => readFileSync(new URL(`${room}/${name}`, root), 'utf8')),
  );
  const text = sources.join('\n');
  const unused = [...Object.keys(ERRORS), ...Object.keys(REASONS)].filter(
    (code) => !text.includes(`'${code}'`),
  );
  assert.deepEqual(unused, []);
});
