/** A service for a look at it: Postern on data of its own, and in place of the internet a sink that takes all mail. */
import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { SMTPServer } from 'smtp-server';
import { V8_FLAGS } from '../v8-flags.ts';
import { CliError, EXIT } from './exit.ts';
import type { Profile } from './profile.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
/** Time for the first start, ms: it makes keys and a certificate. */
const PATIENCE = 30_000;

export interface DemoService {
  profile: Profile;
  directory: string;
  stop(): Promise<void>;
}

/**
 * @param port of the API; another one where it is taken.
 * @param arrived called with each message that reaches the sink.
 * @throws CliError
 */
export async function startDemo(port: number, arrived: (message: Buffer) => void): Promise<DemoService> {
  const sink = await startSink(arrived);
  const directory = await mkdtemp(join(tmpdir(), 'postern-demo-'));
  const id = `AKIADEMO${randomBytes(6).toString('hex').toUpperCase()}`;
  const secret = randomBytes(30).toString('base64');
  const api = `127.0.0.1:${(await isFree(port)) ? port : 0}`;
  const process_ = spawn(process.execPath, [...V8_FLAGS, join(ROOT, 'egress-node', 'main.ts')], {
    cwd: directory,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: {
      ...process.env,
      POSTERN_DATA: join(directory, 'data'),
      POSTERN_API: api,
      POSTERN_SUBMISSION: '127.0.0.1:0',
      POSTERN_INBOUND: '127.0.0.1:0',
      POSTERN_ROUTES: `*=127.0.0.1:${(sink.server.address() as AddressInfo).port}`,
      POSTERN_ACCESS_KEY_ID: id,
      POSTERN_SECRET_ACCESS_KEY: secret,
    },
  });
  const stop = async (): Promise<void> => {
    if (process_.exitCode === null && process_.signalCode === null) {
      const gone = once(process_, 'exit');
      process_.kill('SIGTERM');
      await gone;
    }
    await new Promise<void>((resolve) => sink.close(() => resolve()));
    await rm(directory, { recursive: true, force: true });
  };
  try {
    const url = await urlOf(process_);
    return { profile: { url, key: `${id}.${secret}` }, directory, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** The URL of the API, from what the service prints when it is ready. */
async function urlOf(process_: ChildProcess): Promise<string> {
  let printed = '';
  let complaints = '';
  process_.stderr!.on('data', (chunk) => {
    complaints = (complaints + chunk).slice(-2_000);
  });
  const url = new Promise<string>((resolve, reject) => {
    process_.stdout!.on('data', (chunk) => {
      printed += chunk;
      const found = /API\s+(https?:\/\/\S+)/.exec(printed)?.[1];
      if (found !== undefined) resolve(found);
    });
    process_.once('exit', () => reject(failed(complaints)));
    setTimeout(() => reject(failed('it was not ready within 30 s')), PATIENCE).unref();
  });
  return url;
}

function failed(why: string): CliError {
  return new CliError(EXIT.failed, `Postern does not start: ${why.trim().split('\n').at(-1) ?? ''}`);
}

async function startSink(arrived: (message: Buffer) => void): Promise<SMTPServer> {
  const sink = new SMTPServer({
    banner: 'Postern demo sink',
    disabledCommands: ['AUTH', 'STARTTLS'],
    disableReverseLookup: true,
    logger: false,
    onData(stream, _session, callback) {
      const chunks: Buffer[] = [];
      stream.on('data', (chunk: Buffer) => chunks.push(chunk));
      stream.on('end', () => {
        arrived(Buffer.concat(chunks));
        callback();
      });
    },
  });
  // A peer that goes away in the middle is no fault of the sink.
  sink.on('error', () => undefined);
  sink.listen(0, '127.0.0.1');
  await once(sink.server, 'listening');
  return sink;
}

async function isFree(port: number): Promise<boolean> {
  const probe = createServer();
  return new Promise((resolve) => {
    probe.once('error', () => resolve(false));
    probe.listen(port, '127.0.0.1', () => probe.close(() => resolve(true)));
  });
}
