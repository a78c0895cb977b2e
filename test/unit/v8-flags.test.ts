/** The flags of V8, and the number of threads, are the same wherever the standalone process is started. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { it } from 'node:test';
import { V8_FLAGS } from '../../lib/v8-flags.ts';

const ROOT = join(import.meta.dirname, '..', '..');
const read = (file: string): string => readFileSync(join(ROOT, file), 'utf8');

/** Flags of V8 in a command: what follows `node` but its own `--import`. */
const flagsIn = (command: string): string[] => command.match(/--(?!import)[a-z0-9-]+=\d+/g) ?? [];

const { scripts } = JSON.parse(read('package.json')) as { scripts: { start: string } };
const unit = read('lib/deploy/systemd/postern.service');
const container = read('Containerfile');
const commands: Record<string, string> = {
  npm: scripts.start,
  systemd: /^ExecStart=(.*)$/m.exec(unit)![1]!,
  container: /^ENTRYPOINT (.*)$/m.exec(container)![1]!.replaceAll(/"|,(?= )|[[\]]/g, ''),
};

for (const [name, command] of Object.entries(commands))
  it(`${name} starts V8 with the flags, and a thread of libuv for each core`, () => {
    assert.deepEqual(flagsIn(command), V8_FLAGS);
    assert.match(command, / --require \.\/egress-node\/threads\.cjs /);
  });

it('npm, systemd and the container set one arena of malloc', () => {
  for (const text of [scripts.start, unit, container]) assert.match(text, /MALLOC_ARENA_MAX=1/);
});

it('libuv makes a thread for each core, unless the environment sets another number', () => {
  const count = `require('node:crypto').pbkdf2('x', 'y', 1, 8, 'sha1', () => {
    const { readdirSync, readFileSync } = require('node:fs');
    const name = (id) => readFileSync('/proc/self/task/' + id + '/comm', 'utf8').trim();
    console.log(readdirSync('/proc/self/task').filter((id) => name(id) === 'libuv-worker').length);
  })`;
  const threads = (size?: string): number => {
    const env = { ...process.env, UV_THREADPOOL_SIZE: size };
    const run = ['--require', './egress-node/threads.cjs', '-e', count];
    return Number(spawnSync(process.execPath, run, { encoding: 'utf8', env, cwd: ROOT }).stdout);
  };
  assert.equal(threads(), availableParallelism());
  assert.equal(threads('7'), 7);
});

it('this version of V8 knows the flags', () => {
  const { status, stderr } = spawnSync(process.execPath, [...V8_FLAGS, '-e', ''], { encoding: 'utf8' });
  assert.equal(stderr, '');
  assert.equal(status, 0);
});
