/** A mail server beside which Postern is measured: it signs by DKIM, keeps what it accepted on disk, and sends to a sink. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect, createServer } from 'node:net';

export interface RunningPeer {
  host: string;
  port: number;
  /** Processes from which all others of it descend. */
  pids: number[];
  stop(): Promise<void>;
}

export interface Peer {
  name: string;
  /** Why it cannot be measured here, with what to install; undefined when it can. */
  missing(): Promise<string | undefined>;
  /** Starts it in a directory of its own, with all mail going to a port of loopback. */
  start(options: { directory: string; sink: number; key: string; domain: string }): Promise<RunningPeer>;
}

export const SELECTOR = 'bench';

/** A port that was free a moment ago. */
export async function freePort(): Promise<number> {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, 'close');
  return port;
}

/** Waits until a server greets. @throws when it does not within half a minute. */
export async function greets(port: number): Promise<void> {
  const until = performance.now() + 30_000;
  for (;;) {
    const socket = connect(port, '127.0.0.1');
    try {
      const [first] = (await once(socket, 'data')) as [Buffer];
      if (first.toString('latin1').startsWith('220')) return;
    } catch {
      // Not listening yet.
    } finally {
      socket.destroy();
    }
    if (performance.now() > until) throw new Error(`nothing greets at port ${port}`);
    await new Promise((done) => setTimeout(done, 100));
  }
}

/** Runs a command to its end. @throws with what it printed when it fails. */
export async function run(command: string, args: string[], cwd?: string): Promise<string> {
  const child = spawn(command, args, { cwd, stdio: ['ignore', 'pipe', 'pipe'] });
  let out = '';
  child.stdout.on('data', (chunk: Buffer) => (out += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (out += chunk.toString()));
  const [code] = (await once(child, 'close')) as [number | null];
  if (code !== 0) throw new Error(`${command} ${args.join(' ')} ended with ${code}:\n${out}`);
  return out;
}

/** Ends a child and waits for it. */
export async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, 'exit');
  child.kill('SIGTERM');
  await ended;
}
