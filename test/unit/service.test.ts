import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { test } from 'node:test';
import { pathToFileURL } from 'node:url';

const SERVICE = pathToFileURL(join(import.meta.dirname, '..', '..', 'egress-node', 'service', 'service.ts'));

/** A service that reports to its parent. @param work the body of `start`. */
function service(work: string, drain = 60_000): ChildProcess {
  const code = `
    import { once } from 'node:events';
    import { runService } from '${SERVICE.href}';
    const say = (what) => new Promise((done) => process.send(what, done));
    const log = { info: say, error: () => undefined };
    await runService(async () => { ${work} }, { log, drain: ${drain} });`;
  const args = ['--input-type=module', '--eval', code];
  return spawn(process.execPath, args, { stdio: ['ignore', 'inherit', 'ignore', 'ipc'] });
}

/** The next message of the service. Rejects when the service ends instead. */
async function next(child: ChildProcess): Promise<unknown> {
  const ended = new AbortController();
  const end = (code: number | null, signal: string | null) =>
    ended.abort(new Error(`It ended, with ${code ?? signal}.`));
  child.once('exit', end);
  try {
    const [message] = (await once(child, 'message', { signal: ended.signal })) as unknown[];
    return message;
  } finally {
    child.off('exit', end);
  }
}

test('a signal during the start stops the service cleanly once it has started', async () => {
  const child = service(`
    await say('starting');
    await once(process, 'message');
    return { stop: () => say('stopped') };`);
  assert.equal(await next(child), 'starting');
  child.kill('SIGTERM');
  assert.equal(await next(child), 'stopping');
  const exited = once(child, 'exit');
  child.send('go on');
  assert.equal(await next(child), 'stopped');
  assert.deepEqual(await exited, [0, null]);
});

test('a service that does not stop is ended after the drain time, with an empty event loop too', async () => {
  const child = service(
    `
    await say('starting');
    process.channel.unref();
    const server = setInterval(() => undefined, 60_000);
    return { stop: () => new Promise(() => clearInterval(server)) };`,
    100,
  );
  assert.equal(await next(child), 'starting');
  child.kill('SIGTERM');
  assert.deepEqual(await once(child, 'exit'), [1, null]);
});

test('SIGHUP reloads, also during the start, and a failed reload ends nothing', async () => {
  const child = service(`
    await say('starting');
    await once(process, 'message');
    setInterval(() => undefined, 60_000);
    let reloads = 0;
    return {
      async reload() {
        await say('reload ' + ++reloads);
        if (reloads === 2) throw new Error('no such file');
      },
      stop: () => say('stopped'),
    };`);
  assert.equal(await next(child), 'starting');
  child.kill('SIGHUP');
  child.send('go on');
  assert.equal(await next(child), 'reload 1');
  for (const n of [2, 3]) {
    child.kill('SIGHUP');
    assert.equal(await next(child), `reload ${n}`);
  }
  child.kill('SIGTERM');
  assert.equal(await next(child), 'stopping');
  assert.equal(await next(child), 'stopped');
});

test('SIGHUP leaves a service without reload running', async () => {
  const child = service(`
    setInterval(() => undefined, 60_000);
    await say('starting');
    return { stop: () => say('stopped') };`);
  assert.equal(await next(child), 'starting');
  child.kill('SIGHUP');
  assert.equal(await next(child), 'nothing to reload: settings are read at the start');
  child.kill('SIGTERM');
  assert.equal(await next(child), 'stopping');
  assert.equal(await next(child), 'stopped');
});
