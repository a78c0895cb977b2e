/** The `postern` command against a real service: what an operator does, and what goes wrong. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough, Readable } from 'node:stream';
import { after, before, describe, test } from 'node:test';
import type { Standalone } from '../../egress-node/standalone/standalone.ts';
import type { Surroundings } from '../../lib/cli/context.ts';
import { run } from '../../lib/cli/program.ts';
import { StandaloneSite } from '../support/standalone.ts';

const BIN = join(import.meta.dirname, '..', '..', 'lib', 'cli', 'bin.js');

let site: StandaloneSite;
let service: Standalone;
let directory: string;
let env: Record<string, string>;

before(async () => {
  site = await StandaloneSite.open();
  service = await site.start();
  directory = await mkdtemp(join(tmpdir(), 'postern-cli-e2e-'));
  const { id, secret } = service.firstKey!.key;
  env = {
    PATH: process.env.PATH!,
    HOME: directory,
    POSTERN_URL: `http://${service.listening.api}`,
    POSTERN_KEY: `${id}.${secret}`,
  };
});
after(async () => {
  await service.stop();
  await site.close();
  await rm(directory, { recursive: true });
});

interface Ran {
  code: number;
  out: string;
  err: string;
}

/** Runs the command in this process, as a program that reads its output would. */
async function postern(
  args: string[],
  { input = '', more = {} }: { input?: string; more?: object } = {},
): Promise<Ran> {
  const ran: Ran = { code: 0, out: '', err: '' };
  const around: Surroundings = {
    env: { ...env, ...more },
    input: Readable.from(input === '' ? [] : [Buffer.from(input)]),
    out: { write: (text) => (ran.out += text) },
    err: { write: (text) => (ran.err += text) },
    now: () => Date.now(),
    signal: new AbortController().signal,
  };
  ran.code = await run(args, around, '0.0.0');
  return ran;
}

/** As JSON, which must succeed. */
async function json(...args: string[]) {
  const { code, out, err } = await postern([...args, '--json', '--yes']);
  assert.equal(code, 0, err);
  return JSON.parse(out);
}

/** The real process. */
function started(args: string[], more: Record<string, string> = {}) {
  return spawn(process.execPath, [BIN, ...args], {
    env: { ...env, ...more },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
}

/** What a process printed, when it has ended. The service is in this process, which must not wait for another. */
async function ended(child: ChildProcess): Promise<Ran & { failed: boolean }> {
  const ran = { code: 0, out: '', err: '', failed: false };
  child.stdout!.on('data', (chunk) => (ran.out += chunk));
  child.stderr!.on('data', (chunk) => (ran.err += chunk));
  await new Promise<void>((resolve) => {
    child.on('error', () => {
      ran.failed = true;
      resolve();
    });
    child.on('close', (code) => {
      ran.code = code ?? -1;
      resolve();
    });
  });
  return ran;
}

describe('first steps', () => {
  test('a message is sent, found and explained', async () => {
    const added = await postern(['domain', 'add', 'example.com']);
    assert.equal(added.code, 0, added.err);
    assert.match(added.out, /_domainkey\.example\.com\. (TXT|CNAME) /);
    const sent = await postern(['send', 'bob@example.net', '--from', 'ann@example.com', '--wait', '20'], {
      input: 'Hello from the command line.\n',
    });
    assert.deepEqual([sent.code, /^bob@example\.net {2}delivered/.test(sent.out)], [0, true], sent.err);
    assert.match(site.received('bob@example.net')!.raw.toString(), /Hello from the command line\./);
    const { messages } = await json('search', 'bob@example.net');
    assert.equal(messages.length, 1);
    const shown = await postern(['message', messages[0].id]);
    assert.match(shown.out, /bob@example\.net {2}delivered[\s\S]*body +250 /);
    const explained = await postern(['explain', 'example.net']);
    assert.match(explained.out, /Binds +nothing[\s\S]*LIMIT +VALUE/);
  });

  test('a profile is kept, after its key was tried', async () => {
    const more = { POSTERN_KEY: '', POSTERN_URL: '', POSTERN_CONFIG: join(directory, 'config.json') };
    const wrong = await postern(['login', '--url', env.POSTERN_URL!], { input: 'AKIANOBODY.secret', more });
    assert.equal(wrong.code, 4);
    const kept = await postern(['login', '--url', env.POSTERN_URL!, '--profile', 'eu'], {
      input: env.POSTERN_KEY!,
      more,
    });
    assert.deepEqual([kept.code, /of an administrator/.test(kept.err)], [0, true], kept.err);
    const self = await postern(['keys', 'self', '--json'], { more });
    assert.equal(JSON.parse(self.out).admin, true);
    assert.match((await postern(['profiles'], { more })).out, /\* +eu /);
  });
});

describe('steering', () => {
  test('mail is paused, seen to wait, and released', async () => {
    const preview = await postern(['pause', '--tenant', 'default', '--preview']);
    assert.match(preview.out, /^tenant=default: \d+ queued, \d+ deferred/);
    const unasked = await postern(['pause', '--tenant', 'default']);
    assert.deepEqual([unasked.code, /Add --yes/.test(unasked.err)], [2, true]);
    const { id, waiting } = await json('pause', '--tenant', 'default', '--reason', 'A test', '--until', '1h');
    assert.equal(waiting.complete, true);
    await json('send', 'carl@example.net', '--from', 'ann@example.com', '--text', 'x');
    assert.match((await postern(['directives'])).out, /suspend +tenant=default/);
    for (let tries = 0; ; tries += 1) {
      const { total } = await json('queue', '--tenant', 'default');
      if (total.ready + total.later + total.inHand > 0) break;
      assert.ok(tries < 100, 'the message is not seen to wait');
    }
    assert.equal((await postern(['resume', '--tenant', 'default'])).out, `${id}  ended\n`);
    assert.ok((await json('retry', '--tenant', 'default')).hastened >= 0);
    const none = await postern(['resume', '--tenant', 'default']);
    assert.deepEqual([none.code, /No pause has exactly the match tenant=default/.test(none.err)], [1, true]);
    assert.equal((await json('forget', 'mx.example.test')).site, 'mx.example.test');
  });

  test('limits are changed, looked back at and rolled back', async () => {
    const refused = await postern(['limits', 'set', 'providers/gogle/messageRate=10/s', '--yes']);
    assert.deepEqual([refused.code, /limits\.providers\.gogle/.test(refused.err)], [1, true]);
    assert.equal((await json('limits', 'set', 'providers/google/messageRate=10/s')).version, 1);
    const file = join(directory, 'limits.json');
    await writeFile(file, '{"providers": {"google": {"messageRate": "20/s"}}}');
    assert.equal((await json('limits', 'set', file)).version, 2);
    assert.match((await postern(['limits', 'set', file])).err, /Nothing changes/);
    assert.match((await postern(['limits', 'history'])).out, /2 .*providers\/google\/messageRate/);
    assert.equal(
      (await postern(['limits', 'diff'])).out,
      '- providers/google/messageRate: "10/s"\n+ providers/google/messageRate: "20/s"\n',
    );
    assert.equal((await json('limits', 'rollback')).value.providers.google.messageRate, '10/s');
    await writeFile(file, '{');
    assert.equal((await postern(['limits', 'set', file])).code, 2);
    assert.equal((await postern(['limits', 'set', join(directory, 'none.json')])).code, 2);
  });

  test('tenants, keys, addresses and figures are seen', async () => {
    const made = await json('tenants', 'create', 'shop', '--key', '--domain', 'shop.example');
    assert.equal(made.key.tenant, 'shop');
    const more = { POSTERN_KEY: made.key.bearer };
    const refused = await postern(['ips'], { more });
    assert.deepEqual([refused.code, /administrator's key/.test(refused.err)], [4, true]);
    assert.equal((await postern(['queue'], { more })).code, 0);
    assert.match((await postern(['tenants', 'show', 'shop'])).out, /Sending +ENABLED/);
    assert.match((await postern(['ips'])).out, /^IP +[\s\S]*default/);
    assert.match((await postern(['stats', '--by', 'provider'])).out, /DEFERRED/);
    assert.match((await postern(['keys', 'list'])).out, /shop/);
    const last = await postern(['keys', 'revoke', env.POSTERN_KEY!.split('.')[0]!, '--yes']);
    assert.deepEqual([last.code, /last/.test(last.err)], [1, true], last.err);
  });
});

test('another product is read, its traffic shared, and both taken back', async () => {
  const file = join(directory, 'main.cf');
  await writeFile(file, 'smtp_destination_concurrency_limit = 5\n');
  const read = await postern(['import', 'postfix', file], { more: { POSTERN_KEY: '' } });
  assert.deepEqual([read.code, /Nothing was changed/.test(read.err)], [0, true], read.err);
  assert.equal((await postern(['import', 'postfix', join(directory, 'none')])).code, 2);
  const applied = await postern(['import', 'postfix', file, '--apply', '--yes']);
  assert.equal(applied.code, 0, applied.err);
  assert.equal((await json('limits', 'get')).value.default.connections, 5);
  assert.equal((await postern(['split', '101', '--yes'])).code, 2);
  assert.equal((await postern(['split', '5', '--relay', 'old.example.com:25', '--yes'])).code, 0);
  assert.match((await postern(['split'])).out, /5 % by Postern, 95 % by old\.example\.com:25/);
  assert.equal((await postern(['split', 'end', '--yes'])).code, 0);
});

test('a suppression list goes out as it came in, and a wrong import is taken back', async () => {
  const file = join(directory, 'list.csv');
  const rows = Array.from({ length: 300 }, (_, n) => `user${n}@example.net,BOUNCE`);
  await writeFile(file, `address,reason\n${rows.join('\n')}\nno address,BOUNCE\n`);
  const from = new Date().toISOString();
  const loaded = await postern(['suppression', 'import', file]);
  assert.equal(loaded.code, 0, loaded.err);
  assert.match(loaded.err, /line 302: /);
  const copy = join(directory, 'copy.csv');
  await postern(['suppression', 'export', copy]);
  assert.equal((await readFile(copy, 'utf8')).trim().split('\n').length, 301);
  const again = await postern(['suppression', 'export', '--format', 'jsonl']);
  assert.equal(again.out.trim().split('\n').length, 300);
  assert.match((await postern(['suppression', 'show', 'USER7@example.net'])).out, /Reason +BOUNCE/);
  await json('suppression', 'undo', '--from', from);
  assert.equal((await postern(['suppression', 'show', 'user7@example.net'])).code, 1);
});

test('a running store is backed up and restored', async () => {
  const made = await json('backup');
  assert.deepEqual([made.state, made.bytes > 0], ['done', true]);
  assert.match((await postern(['backup', '--list'])).out, /done/);
  const copy = join(directory, 'restored');
  const restored = await postern(['restore', made.directory, '--data', copy]);
  assert.equal(restored.code, 0, restored.err);
  assert.match(restored.err, /All sending is paused[\s\S]*postern resume suspend-/);
  const again = await postern(['restore', made.directory, '--data', copy]);
  assert.deepEqual([again.code, /is not empty/.test(again.err)], [1, true]);
  const { bearer } = await json('keys', 'create', '--tenant', 'other');
  assert.equal((await postern(['backup'], { more: { POSTERN_KEY: bearer } })).code, 4);
});

describe('the process', () => {
  test('follows events until Ctrl-C', async () => {
    const child = started(['events', '--follow', '--type', 'DELIVERY', '--json']);
    let printed = '';
    child.stdout.setEncoding('utf8');
    // Sent until the stream is open: it begins with what happens from then on.
    while (printed === '') {
      const arrived = once(child.stdout, 'data');
      await json('send', 'dora@example.net', '--from', 'ann@example.com', '--text', 'x', '--wait', '20');
      const timer = new PassThrough();
      setTimeout(() => timer.end(), 200);
      const [first] = await Promise.race([arrived, once(timer, 'finish').then(() => [''])]);
      printed += first;
    }
    assert.equal(JSON.parse(printed.split('\n')[0]!).type, 'DELIVERY');
    const over = once(child, 'exit');
    child.kill('SIGINT');
    assert.deepEqual(await over, [130, null]);
  });

  test('ends quietly when its reader goes away, and clearly when the service is away', async () => {
    const { id } = service.firstKey!.key;
    const piped = await ended(
      spawn('sh', ['-c', `"${process.execPath}" "${BIN}" keys list --json | true`], { env }),
    );
    assert.equal(piped.err, '');
    const away = await postern(['queue'], { more: { POSTERN_URL: 'http://127.0.0.1:1' } });
    assert.deepEqual(
      [away.code, /cannot be reached: .*\n {2}Is it running/.test(away.err)],
      [3, true],
      away.err,
    );
    const stranger = await postern(['queue'], { more: { POSTERN_URL: `${env.POSTERN_URL}/t` } });
    assert.deepEqual([stranger.code, /is not Postern/.test(stranger.err)], [1, true], stranger.err);
    const revoked = await postern(['queue'], { more: { POSTERN_KEY: `${id}.wrong` } });
    assert.deepEqual([revoked.code, /postern login/.test(revoked.err)], [4, true]);
  });

  test('asks on a terminal, and hides a key', async (context) => {
    const asked = async (args: string, question: RegExp, answer: string) => {
      const terminal = spawn('script', ['-qec', `exec "${process.execPath}" "${BIN}" ${args}`, '/dev/null'], {
        env: { ...env, TERM: 'xterm', POSTERN_CONFIG: join(directory, 'asked.json') },
      });
      let seen = '';
      terminal.stdout.on('data', (chunk) => {
        if (!question.test(seen) && question.test((seen += chunk))) terminal.stdin.write(answer);
      });
      return ended(terminal);
    };
    const no = await asked('pause --tenant default', /Go on\? \[y\/N\]/, 'n\r');
    if (no.failed) return context.skip('script is not installed');
    assert.deepEqual([no.code, /Nothing was changed/.test(no.out)], [1, true], no.out);
    assert.equal((await asked('pause --tenant default', /Go on\? \[y\/N\]/, '\x03')).code, 130);
    const kept = await asked(`login --url ${env.POSTERN_URL}`, /not shown\): /, `${env.POSTERN_KEY}\r`);
    assert.equal(kept.code, 0, kept.out);
    assert.ok(!kept.out.includes(env.POSTERN_KEY!.split('.')[1]!), kept.out);
  });

  test('draws top on a terminal of 40 columns, and gives the terminal back', async (context) => {
    const command = `stty cols 40 rows 12; exec "${process.execPath}" "${BIN}" top --interval 1`;
    const terminal = spawn('script', ['-qec', command, '/dev/null'], {
      env: { ...env, TERM: 'xterm', NO_COLOR: '1' },
    });
    // Pressed when the first screen is there: before, the terminal would echo it.
    terminal.stdout.once('data', () => terminal.stdin.write('pq'));
    const { code, out, failed } = await ended(terminal);
    if (failed) return context.skip('script is not installed');
    assert.equal(code, 0, out);
    assert.ok(out.startsWith('\x1b[?1049h\x1b[?25l'), JSON.stringify(out.slice(0, 80)));
    assert.ok(out.trimEnd().endsWith('\x1b[?25h\x1b[?1049l'), JSON.stringify(out.slice(-80)));
    assert.doesNotMatch(out, /\x1b\[\d*m/, 'colours, though NO_COLOR is set');
  });
});
