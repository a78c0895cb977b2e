/** The flags of V8 are the same wherever the standalone process is started. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { it } from 'node:test';
import { V8_FLAGS } from '../../lib/v8-flags.ts';

const ROOT = join(import.meta.dirname, '..', '..');
const read = (file: string): string => readFileSync(join(ROOT, file), 'utf8');

/** Flags of V8 in a command: what follows `node` but its own `--import`. */
const flagsIn = (command: string): string[] => command.match(/--(?!import)[a-z0-9-]+=\d+/g) ?? [];

it('V8 is started with the same flags by npm, systemd and the container', () => {
  const { scripts } = JSON.parse(read('package.json')) as { scripts: { start: string } };
  const unit = /^ExecStart=(.*)$/m.exec(read('lib/deploy/systemd/postern.service'))?.[1];
  const container = /^ENTRYPOINT (.*)$/m.exec(read('Containerfile'))?.[1];
  for (const command of [scripts.start, unit, container]) assert.deepEqual(flagsIn(command!), V8_FLAGS);
});

it('this version of V8 knows the flags', () => {
  const { status, stderr } = spawnSync(process.execPath, [...V8_FLAGS, '-e', ''], { encoding: 'utf8' });
  assert.equal(stderr, '');
  assert.equal(status, 0);
});
