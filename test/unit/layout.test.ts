/** Rules for the whole source that no linter checks. */
import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

const ROOT = join(import.meta.dirname, '..', '..');
const DECLARED = /^(?:export )?(?:declare )?(?:abstract )?(?:type|interface|class)\s+([A-Za-z_$][\w$]*)/gm;

test('no type name is declared twice', () => {
  const declared = new Map<string, string[]>();
  const files = globSync(['lib/**/*.{ts,tsx}', 'functions/**/*.ts', 'egress-node/**/*.ts'], { cwd: ROOT });
  for (const file of files) {
    const names = new Set(
      Array.from(readFileSync(join(ROOT, file), 'utf8').matchAll(DECLARED), ([, name]) => name!),
    );
    for (const name of names) declared.set(name, [...(declared.get(name) ?? []), file]);
  }
  assert.ok(declared.size > 500, 'it reads the source');
  const twice = [...declared].filter(([, places]) => places.length > 1).map(([name]) => name);
  assert.deepEqual(
    twice.map((name) => `${name}: ${declared.get(name)!.join(', ')}`),
    [],
  );
});

test('a day and an hour in milliseconds are written once', () => {
  const files = globSync(['{lib,functions,egress-node,bench}/**/*.{ts,tsx}'], { cwd: ROOT });
  const written = /(?<![\d_])(?:86_?400_?000|3_?600_?000)(?![\d_])|24 \* 3_?600 \* 1_?000/;
  assert.ok(files.length > 400, 'it reads the source');
  assert.deepEqual(
    files.filter((file) => written.test(readFileSync(join(ROOT, file), 'utf8'))),
    [],
    'lib/time.ts has DAY and HOUR',
  );
});
