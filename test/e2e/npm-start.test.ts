import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';

/** A supervisor signals npm, and npm the shell between: the service must be what that shell has become. */
test('npm start runs the service, and a signal to npm stops it in good order', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'postern-npm-'));
  const npm = spawn('npm', ['start'], {
    cwd: join(import.meta.dirname, '..', '..'),
    env: {
      ...process.env,
      POSTERN_DATA: directory,
      POSTERN_API: '127.0.0.1:0',
      POSTERN_SUBMISSION: '127.0.0.1:0',
      POSTERN_INBOUND: '127.0.0.1:0',
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  const ready = Promise.withResolvers<void>();
  for (const stream of [npm.stdout, npm.stderr]) {
    stream.setEncoding('utf8').on('data', (chunk: string) => {
      output += chunk;
      if (output.includes('Postern is ready')) ready.resolve();
    });
  }
  await ready.promise;
  npm.kill('SIGTERM');
  // A pipe ends when the last process that could write to it has ended.
  await Promise.all([once(npm.stdout, 'end'), once(npm.stderr, 'end')]);
  assert.match(output, /"message":"stopping","signal":"SIGTERM"/);
  await rm(directory, { recursive: true });
});
