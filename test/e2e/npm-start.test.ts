/** `npm start` as an operator uses it: signals, the first key, and the errors of a failed start. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { connect } from 'node:tls';
import { generate } from 'selfsigned';
import { describeFailure } from '../../egress-node/service/failure.ts';

const ROOT = join(import.meta.dirname, '..', '..');
let directory: string;

before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'postern-npm-'));
});
after(() => rm(directory, { recursive: true }));

function environment(more: NodeJS.ProcessEnv = {}): NodeJS.ProcessEnv {
  return {
    ...process.env,
    POSTERN_DATA: join(directory, 'data'),
    POSTERN_API: '127.0.0.1:0',
    POSTERN_SUBMISSION: '127.0.0.1:0',
    POSTERN_INBOUND: '127.0.0.1:0',
    ...more,
  };
}

/** The output of a process. */
class Output {
  text = '';
  readonly #child: ChildProcess;
  #arrived = (): void => {};

  constructor(child: ChildProcess) {
    this.#child = child;
    for (const stream of [child.stdout!, child.stderr!]) {
      stream.setEncoding('utf8').on('data', (chunk: string) => {
        this.text += chunk;
        this.#arrived();
      });
    }
  }

  /** Resolves when the output matches. */
  async has(pattern: RegExp): Promise<RegExpExecArray> {
    for (;;) {
      const match = pattern.exec(this.text);
      if (match) return match;
      if (this.#child.exitCode !== null) throw new Error(`It ended without ${pattern}: ${this.text}`);
      await new Promise<void>((resolve) => {
        this.#arrived = resolve;
        this.#child.once('exit', () => resolve());
      });
    }
  }
}

/** Starts the service without npm. */
function main(more: NodeJS.ProcessEnv, cwd = ROOT): { child: ChildProcess; output: Output } {
  const child = spawn(process.execPath, [join(ROOT, 'egress-node', 'main.ts')], {
    cwd,
    env: environment(more),
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  return { child, output: new Output(child) };
}

/** A supervisor signals npm, and npm the shell between: the service must be what that shell has become. */
test('npm start runs the service, and a signal to npm stops it cleanly', async () => {
  const npm = spawn('npm', ['start'], { cwd: ROOT, env: environment(), stdio: ['ignore', 'pipe', 'pipe'] });
  const output = new Output(npm);
  await output.has(/Postern is ready/);
  npm.kill('SIGTERM');
  // A pipe ends when the last process that could write to it has ended.
  await Promise.all([once(npm.stdout, 'end'), once(npm.stderr, 'end')]);
  assert.match(output.text, /"message":"stopping","signal":"SIGTERM"/);
});

test('the first key is shown by the first successful start, and not lost by a failed one', async () => {
  const data = join(directory, 'first');
  const blocker = createServer().listen(0, '127.0.0.1');
  await once(blocker, 'listening');
  const { port } = blocker.address() as AddressInfo;
  const taken = main({ POSTERN_DATA: data, POSTERN_API: `127.0.0.1:${port}` });
  assert.deepEqual(await once(taken.child, 'close'), [1, null]);
  assert.match(taken.output.text, new RegExp(`postern: 127\\.0\\.0\\.1:${port} is in use\\.`));
  assert.doesNotMatch(taken.output.text, /AWS_SECRET_ACCESS_KEY|\n\s+at /);
  blocker.close();

  const { child, output } = main({ POSTERN_DATA: data });
  await output.has(/export AWS_SECRET_ACCESS_KEY=\S{40}\n/);
  assert.match(output.text, /AWS_DEFAULT_REGION=us-east-1/);
  child.kill('SIGTERM');
  await once(child, 'exit');
});

test('SIGHUP reloads the certificate and postern.config.ts, and names the settings that need a restart', async () => {
  const cwd = join(directory, 'reload');
  const [key, cert] = ['key.pem', 'cert.pem'].map((name) => join(directory, name)) as [string, string];
  const install = async (name: string): Promise<void> => {
    const made = await generate([{ name: 'commonName', value: name }], { keySize: 2048 });
    await Promise.all([writeFile(key, made.private), writeFile(cert, made.cert)]);
  };
  const configure = (more: object): Promise<void> =>
    writeFile(
      join(cwd, 'postern.config.ts'),
      `export default ${JSON.stringify({ tls: { key, cert }, submissionTls: { host: '127.0.0.1', port: 0 }, ...more })};`,
    );
  await mkdir(cwd);
  await install('one.example');
  await configure({});
  const { child, output } = main({ POSTERN_DATA: join(directory, 'reload-data') }, cwd);
  const [, port] = await output.has(/smtps:\/\/127\.0\.0\.1:(\d+)/);
  const served = async (): Promise<unknown> => {
    const socket = connect({ port: Number(port), host: '127.0.0.1', rejectUnauthorized: false });
    await once(socket, 'secureConnect');
    const { subject } = socket.getPeerCertificate();
    socket.destroy();
    return subject.CN;
  };
  await output.has(/Postern is ready/);
  assert.equal(await served(), 'one.example');

  await install('two.example');
  await configure({ retrySeconds: [7], logLevel: 'debug', hostname: 'other.example' });
  child.kill('SIGHUP');
  const [, applied, pending] = await output.has(
    /"message":"reloaded".*"applied":\[([^\]]*)\],"needRestart":\[([^\]]*)\]/,
  );
  assert.deepEqual(applied!.split(',').sort(), ['"logLevel"', '"retrySeconds"']);
  assert.equal(pending, '"hostname"');
  assert.equal(await served(), 'two.example');

  await writeFile(cert, 'half a certificate');
  child.kill('SIGHUP');
  await output.has(/not reloaded; what ran before goes on.*cert\.pem/);
  assert.equal(await served(), 'two.example');
  child.kill('SIGTERM');
  assert.deepEqual(await once(child, 'exit'), [0, null]);
});

describe('a failed start gives its reason in one sentence', { concurrency: 2 }, () => {
  const cases: [title: string, more: NodeJS.ProcessEnv, sentence: RegExp][] = [
    [
      'the data directory is in a file system that takes no files',
      { POSTERN_DATA: '/proc/postern/data' },
      /^postern: POSTERN_DATA: \/proc\/postern\/data cannot be written: .*Name a directory/,
    ],
    [
      'the data directory is beneath a file',
      { POSTERN_DATA: join(ROOT, 'package.json', 'data') },
      /^postern: POSTERN_DATA: .*a part of the path is a file/,
    ],
    [
      'the host lacks the address to listen on',
      { POSTERN_API: '192.0.2.1:8025' },
      /^postern: This host has no address 192\.0\.2\.1, so that nothing can listen on 192\.0\.2\.1:8025\./m,
    ],
    [
      'the name to listen on is no name',
      { POSTERN_API: 'nowhere.invalid:8025' },
      /^postern: "nowhere\.invalid" is not the name of an address of this host\./m,
    ],
  ];
  for (const [title, more, sentence] of cases) {
    test(title, async () => {
      const { child, output } = main({ POSTERN_DATA: await mkdtemp(join(directory, 'fails-')), ...more });
      assert.deepEqual(await once(child, 'close'), [1, null]);
      assert.match(output.text, sentence);
      assert.doesNotMatch(output.text, /\n\s+at /, 'and shows no stack');
    });
  }
});

test('an error of the operating system is explained', () => {
  const refused = (code: string): Error =>
    Object.assign(new Error(code), { code, syscall: 'listen', address: '0.0.0.0', port: 25 });
  assert.match(describeFailure(refused('EACCES')), /may not listen on port 25\..*cap_net_bind_service/);
  assert.match(describeFailure(refused('EADDRINUSE')), /0\.0\.0\.0:25 is in use/);
  const unforeseen = new TypeError('x is not a function');
  assert.equal(describeFailure(unforeseen), unforeseen.stack);
});

test('a source address that is not the host’s shows in the banner', async () => {
  const { child, output } = main({
    POSTERN_DATA: join(directory, 'foreign'),
    POSTERN_EGRESS_IPS: '127.0.0.1,192.0.2.7',
  });
  await output.has(/Postern is ready/);
  await output.has(/192\.0\.2\.7 is not an address of this host: no mail leaves from it/);
  assert.doesNotMatch(output.text, /127\.0\.0\.1 is not/);
  child.kill('SIGTERM');
  await once(child, 'exit');
});
