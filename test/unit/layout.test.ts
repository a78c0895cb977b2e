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
