/** A Postern of its own for a benchmark: the real process, a fresh data directory, everything routed to a sink. */
import { type ChildProcess, fork, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { V8_FLAGS } from '../../lib/v8-flags.ts';
import { type Credentials, signedPost } from './sign.ts';

const ROOT = join(import.meta.dirname, '..', '..');

export interface BenchPostern {
  pid: number;
  /** First start of the process, ms since the epoch. */
  startedAt: number;
  api: { host: string; port: number };
  submission: { host: string; port: number };
  inbound: { host: string; port: number };
  credentials: Credentials;
  directory: string;
  /** A signed call of the SES v2 API. @throws when it is not answered with 200. */
  call(path: string, body: unknown): Promise<unknown>;
  /** A gauge of `/metrics`. */
  metric(name: string): Promise<number>;
  /** Ends the process: SIGTERM, and waits. */
  stop(): Promise<void>;
  /** SIGKILL, and waits. */
  kill(): Promise<void>;
  /** Starts again on the same data directory after `kill` or `stop`. */
  start(): Promise<void>;
  /** Stops and removes the data. */
  dispose(): Promise<void>;
}

/** A port that was free a moment ago. */
async function freePort(): Promise<number> {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, 'close');
  return port;
}

export async function startPostern(options: {
  routes: string;
  environment?: NodeJS.ProcessEnv;
  nodeArguments?: string[];
  /** Command that runs the process, with its arguments. */
  wrapper?: string[];
  /** Sending domain; an identity with an RSA-2048 key is made for it. */
  domain?: string;
  /** Fills the data directory before the first start. */
  fill?: (dataDirectory: string) => Promise<void>;
}): Promise<BenchPostern> {
  const directory = await mkdtemp(join(tmpdir(), 'postern-bench-'));
  const [apiPort, submissionPort, inboundPort] = [await freePort(), await freePort(), await freePort()];
  const credentials: Credentials = {
    accessKeyId: 'AKIABENCHBENCHBENCHB',
    secretAccessKey: 'benchbenchbenchbenchbenchbenchbenchbench',
    region: 'us-east-1',
  };
  let child: ChildProcess | undefined;
  const api = { host: '127.0.0.1', port: apiPort };

  const postern: BenchPostern = {
    pid: 0,
    startedAt: 0,
    api,
    submission: { host: '127.0.0.1', port: submissionPort },
    inbound: { host: '127.0.0.1', port: inboundPort },
    credentials,
    directory,
    async start() {
      const [command, ...given] = [...(options.wrapper ?? []), process.execPath];
      child = spawn(
        command!,
        [
          ...given,
          `--require=${join(ROOT, 'egress-node', 'threads.cjs')}`,
          ...V8_FLAGS,
          ...(options.nodeArguments ?? []),
          join(ROOT, 'egress-node', 'main.ts'),
        ],
        {
          cwd: directory,
          stdio: ['ignore', 'pipe', 'inherit'],
          env: {
            ...process.env,
            POSTERN_DATA: join(directory, 'data'),
            POSTERN_API: `127.0.0.1:${apiPort}`,
            POSTERN_SUBMISSION: `127.0.0.1:${submissionPort}`,
            POSTERN_INBOUND: `127.0.0.1:${inboundPort}`,
            POSTERN_ACCESS_KEY_ID: credentials.accessKeyId,
            POSTERN_SECRET_ACCESS_KEY: credentials.secretAccessKey,
            POSTERN_RELAY_FROM: '127.0.0.1/32',
            POSTERN_ROUTES: options.routes,
            POSTERN_VERIFY_IDENTITIES: 'off',
            // As `npm start` runs it.
            MALLOC_ARENA_MAX: '1',
            ...options.environment,
          },
        },
      );
      child.stdout?.resume();
      postern.pid = child.pid!;
      const ended = once(child, 'exit').then(([code]) => {
        throw new Error(`Postern ended with ${String(code)} before it was ready`);
      });
      const ready = (async () => {
        for (;;) {
          try {
            const answer = await fetch(`http://127.0.0.1:${apiPort}/healthz`);
            await answer.body?.cancel();
            if (answer.ok) return;
          } catch {}
          await new Promise((done) => setTimeout(done, 20));
        }
      })();
      ended.catch(() => {});
      await Promise.race([ready, ended]);
    },
    async call(path, body) {
      const text = JSON.stringify(body);
      const request = signedPost(
        credentials,
        `127.0.0.1:${apiPort}`,
        path,
        Buffer.from(text),
        crypto.randomUUID(),
      );
      const head = request.subarray(0, request.indexOf('\r\n\r\n')).toString().split('\r\n').slice(1);
      const headers = head.map(
        (line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 2)] as [string, string],
      );
      const answer = await fetch(`http://127.0.0.1:${apiPort}${path}`, {
        method: 'POST',
        headers: headers.filter(([name]) => name !== 'host' && name !== 'content-length'),
        body: text,
      });
      const value = await answer.text();
      if (!answer.ok) throw new Error(`${path}: ${answer.status} ${value}`);
      return JSON.parse(value);
    },
    async metric(name) {
      const text = await (await fetch(`http://127.0.0.1:${apiPort}/metrics`)).text();
      const line = text.split('\n').find((one) => one.startsWith(`${name} `) || one.startsWith(`${name}{`));
      return line ? Number(line.slice(line.lastIndexOf(' ') + 1)) : Number.NaN;
    },
    async stop() {
      if (!child || child.exitCode !== null || child.signalCode !== null) return;
      child.kill('SIGTERM');
      await once(child, 'exit');
    },
    async kill() {
      if (!child || child.exitCode !== null || child.signalCode !== null) return;
      child.kill('SIGKILL');
      await once(child, 'exit');
    },
    async dispose() {
      await postern.stop();
      await rm(directory, { recursive: true, force: true });
    },
  };
  await options.fill?.(join(directory, 'data'));
  postern.startedAt = Date.now();
  await postern.start();
  await postern.call('/v2/email/identities', { EmailIdentity: options.domain ?? 'bench.example' });
  return postern;
}

export interface BenchSink {
  pid: number;
  port: number;
  /** Resolves with the time at which the sink had taken `count` messages in all. */
  reached(count: number): Promise<number>;
  count(): Promise<number>;
  /** Messages with a signature; 0 unless it was started with `countSigned`. */
  signed(): Promise<number>;
  close(): void;
}

/** The sink in a process of its own. */
export async function startSinkProcess({
  chunking = true,
  countSigned = false,
  tls = false,
  host = '127.0.0.1',
} = {}): Promise<BenchSink> {
  const child = fork(join(import.meta.dirname, 'sink.ts'), [
    ...(chunking ? [] : ['--no-chunking']),
    ...(countSigned ? ['--count-signed'] : []),
    ...(tls ? ['--tls'] : []),
    `--host=${host}`,
  ]);
  const [{ port }] = (await once(child, 'message')) as [{ port: number }];
  const answer = async (key: string): Promise<Record<string, number>> => {
    for (;;) {
      const [message] = (await once(child, 'message')) as [Record<string, number>];
      if (key in message) return message;
    }
  };
  return {
    pid: child.pid!,
    port,
    async reached(count) {
      child.send({ expect: count });
      return (await answer('reached')).at!;
    },
    async count() {
      child.send({ count: true });
      return (await answer('count')).count!;
    },
    async signed() {
      child.send({ signed: true });
      return (await answer('signed')).signed!;
    },
    close: () => child.disconnect(),
  };
}
