import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { test } from 'node:test';
import { pathToFileURL } from 'node:url';

const SERVICE = pathToFileURL(join(import.meta.dirname, '..', '..', 'egress-node', 'service', 'service.ts'));

/** A service that tells its parent what happens, and starts when it is told to. @param work in place of `start`. */
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

/** What it says next. Rejects when it ends instead. */
async function said(child: ChildProcess): Promise<unknown> {
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

test('a signal while a service starts stops it in good order when it has started', async () => {
  const child = service(`
    await say('starting');
    await once(process, 'message');
    return { stop: () => say('stopped') };`);
  assert.equal(await said(child), 'starting');
  child.kill('SIGTERM');
  assert.equal(await said(child), 'stopping');
  const exited = once(child, 'exit');
  child.send('go on');
  assert.equal(await said(child), 'stopped');
  assert.deepEqual(await exited, [0, null]);
});

test('a service that does not stop is ended in its time, though nothing keeps it', async () => {
  const child = service(
    `
    await say('starting');
    process.channel.unref();
    const server = setInterval(() => undefined, 60_000);
    return { stop: () => new Promise(() => clearInterval(server)) };`,
    100,
  );
  assert.equal(await said(child), 'starting');
  child.kill('SIGTERM');
  assert.deepEqual(await once(child, 'exit'), [1, null]);
});

test('SIGHUP reloads, before a start has ended too, and a reload that fails ends nothing', async () => {
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
  assert.equal(await said(child), 'starting');
  child.kill('SIGHUP');
  child.send('go on');
  assert.equal(await said(child), 'reload 1');
  for (const n of [2, 3]) {
    child.kill('SIGHUP');
    assert.equal(await said(child), `reload ${n}`);
  }
  child.kill('SIGTERM');
  assert.equal(await said(child), 'stopping');
  assert.equal(await said(child), 'stopped');
});

test('SIGHUP leaves a service without settings that can change running', async () => {
  const child = service(`
    setInterval(() => undefined, 60_000);
    await say('starting');
    return { stop: () => say('stopped') };`);
  assert.equal(await said(child), 'starting');
  child.kill('SIGHUP');
  assert.equal(await said(child), 'nothing to reload: settings are read at the start');
  child.kill('SIGTERM');
  assert.equal(await said(child), 'stopping');
  assert.equal(await said(child), 'stopped');
});
