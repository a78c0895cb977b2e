/**
 * Attacks a running standalone through its SMTP listeners and measures the cost: memory above idle, and how long
 * another client waits. Run by hand: `npm run bench:smtp-flood`.
 *
 * 1. Dot-stuffed lines that never end, over 150 connections from three addresses.
 * 2. 2,000 connections that send NOOP, from 40 addresses, 1,000 to each listener.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { isMainThread, Worker, workerData } from 'node:worker_threads';
import { V8_FLAGS } from '../lib/v8-flags.ts';

const { values } = parseArgs({ options: { seconds: { type: 'string', default: '20' } } });
const SECONDS = Number(values.seconds);
const [API, SUBMISSION, INBOUND] = [24_801, 24_802, 24_803];
const MB = 1024 * 1024;

async function residentMemory(server: ChildProcess): Promise<number> {
  const status = await readFile(`/proc/${server.pid}/status`, 'utf8');
  return (Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) * 1024) / MB;
}

const wait = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Connects and waits for the greeting. @returns the time taken, ms, or undefined without a greeting. */
async function greet(port: number, localAddress: string): Promise<number | undefined> {
  const started = performance.now();
  const socket = connect({ port, host: '127.0.0.1', localAddress });
  socket.setTimeout(5000, () => socket.destroy());
  try {
    // A socket that closes without an error emits nothing that `once` of its data would end with.
    const closed = once(socket, 'close').then(() => undefined);
    const [greeting] = (await Promise.race([once(socket, 'data'), closed])) ?? [];
    if (!(greeting instanceof Buffer)) return undefined;
    return greeting.toString().startsWith('220 ') ? performance.now() - started : undefined;
  } catch {
    return undefined;
  } finally {
    socket.destroy();
  }
}

function open(port: number, localAddress: string, onReply: (socket: Socket, text: string) => void): Socket {
  const socket = connect({ port, host: '127.0.0.1', localAddress });
  socket.on('error', () => undefined);
  socket.on('data', (chunk) => onReply(socket, chunk.toString()));
  return socket;
}

/** The attack runs in a thread of its own, so that it does not delay the other client. */
function attack(kind: 'flood' | 'idlers'): Worker {
  return new Worker(new URL(import.meta.url), { workerData: kind });
}

function flood(): void {
  const lines = Buffer.from('..\r\n'.repeat(16_384));
  for (let i = 0; i < 150; i++) {
    open(INBOUND, `127.0.0.${2 + (i % 3)}`, (socket, text) => {
      if (text.startsWith('220 ')) socket.write('EHLO a\r\nMAIL FROM:<>\r\nRCPT TO:<postmaster>\r\nDATA\r\n');
      if (!text.includes('354 ')) return;
      const pour = (): void => {
        while (!socket.destroyed && socket.write(lines));
      };
      socket.on('drain', pour);
      pour();
    });
  }
}

function idle(): void {
  for (let i = 0; i < 2000; i++) {
    const socket = open(i % 2 === 0 ? INBOUND : SUBMISSION, `127.0.0.${2 + (i % 40)}`, () => undefined);
    const timer = setInterval(() => socket.write('NOOP\r\n'), 15_000);
    socket.on('close', () => clearInterval(timer));
  }
}

/** Watches memory and another client while the attack runs. */
async function watch(name: string, server: ChildProcess, idle: number): Promise<void> {
  let most = 0;
  const waits: number[] = [];
  let refused = 0;
  for (
    const end = performance.now() + SECONDS * 1000;
    performance.now() < end && server.exitCode === null;
    await wait(250)
  ) {
    most = Math.max(most, await residentMemory(server));
    for (const port of [INBOUND, SUBMISSION]) {
      const waited = await greet(port, '127.0.0.200');
      if (waited === undefined) refused += 1;
      else waits.push(waited);
    }
  }
  waits.sort((a, b) => a - b);
  const slowest = waits.at(-1)?.toFixed(0) ?? '-';
  console.log(
    `${name}: ${(most - idle).toFixed(0)} MB above idle; another client: ${waits.length} greeted ` +
      `(slowest ${slowest} ms), ${refused} not; process ${server.exitCode === null ? 'alive' : 'DEAD'}`,
  );
}

async function main(): Promise<void> {
  const data = await mkdtemp(join(tmpdir(), 'postern-flood-'));
  const server = spawn(process.execPath, [...V8_FLAGS, '--max-old-space-size=1024', 'egress-node/main.ts'], {
    env: {
      ...process.env,
      POSTERN_DATA: data,
      POSTERN_API: `127.0.0.1:${API}`,
      POSTERN_SUBMISSION: `127.0.0.1:${SUBMISSION}`,
      POSTERN_INBOUND: `127.0.0.1:${INBOUND}`,
    },
    stdio: 'ignore',
  });
  try {
    while (server.exitCode === null && (await greet(INBOUND, '127.0.0.1')) === undefined) await wait(200);
    await wait(2000);
    const before = await residentMemory(server);
    console.log(`idle: ${before.toFixed(0)} MB`);

    const flood = attack('flood');
    await watch('dot-stuffed lines without end', server, before);
    await flood.terminate();
    await wait(1000);
    const idlers = attack('idlers');
    await watch('2,000 idle connections', server, before);
    await idlers.terminate();
  } finally {
    server.kill('SIGTERM');
    if (server.exitCode === null) await once(server, 'exit');
    await rm(data, { recursive: true });
  }
}

if (isMainThread) await main();
else if (workerData === 'flood') flood();
else idle();
