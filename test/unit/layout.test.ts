/** What holds of the source as a whole and no linter checks. */
import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

const ROOT = join(import.meta.dirname, '..', '..');
const DECLARED = /^(?:export )?(?:declare )?(?:abstract )?(?:type|interface|class)\s+([A-Za-z_$][\w$]*)/gm;

/** Names that still stand for two things. */
const LEFT: readonly string[] = [
  'Accept',
  'Address',
  'Admission',
  'Answer',
  'Config',
  'Connection',
  'ConnectionLimits',
  'Counter',
  'Destination',
  'Directives',
  'Documents',
  'Edit',
  'Entry',
  'Fault',
  'Fetch',
  'Fields',
  'Intake',
  'Leases',
  'Ledger',
  'Log',
  'Names',
  'Node',
  'Objects',
  'Outbox',
  'Peer',
  'Pipeline',
  'PoolSetting',
  'Prepared',
  'Receipt',
  'Records',
  'Report',
  'Route',
  'Row',
  'SourceAddress',
  'Stage',
  'Step',
  'Submission',
  'Suppressions',
  'Target',
  'Value',
  'Verdict',
  'Waiter',
];

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
    twice.filter((name) => !LEFT.includes(name)).map((name) => `${name}: ${declared.get(name)!.join(', ')}`),
    [],
  );
  assert.deepEqual(
    LEFT.filter((name) => !twice.includes(name)),
    [],
    'done: take these out of the list',
  );
});
