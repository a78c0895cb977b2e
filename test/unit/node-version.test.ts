import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

const ROOT = join(import.meta.dirname, '..', '..');
const GUARD = join(ROOT, 'egress-node', 'node-version.js');

/** Runs the guard as if this were another Node. */
function under(version: string): { status: number | null; stderr: string } {
  const pretend = `Object.defineProperty(process.versions, 'node', { value: '${version}' }); await import(${JSON.stringify(GUARD)});`;
  const { status, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', pretend], {
    encoding: 'utf8',
  });
  return { status, stderr };
}

test('an older Node gets a message with the remedy before it loads a file that it cannot parse', () => {
  const { status, stderr } = under('20.20.2');
  assert.equal(status, 1);
  assert.match(stderr, /^postern: this is Node 20\.20\.2, and Postern needs Node 24\. .*npm rebuild node/);
  assert.deepEqual(under('24.0.0'), { status: 0, stderr: '' });
});

test('the guard runs before start, demo and sink, and a production install brings the required Node', () => {
  const { scripts, optionalDependencies } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as {
    scripts: Record<string, string>;
    optionalDependencies: Record<string, string>;
  };
  for (const name of ['start', 'demo', 'sink']) {
    assert.match(scripts[name]!, /node --import \.\/egress-node\/node-version\.js /, name);
  }
  assert.match(optionalDependencies.node!, /^24\./);
});
