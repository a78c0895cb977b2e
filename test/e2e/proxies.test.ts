/** The service behind HAProxy and NGINX, with the examples of lib/deploy as they are but for their ports. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { type AddressInfo, connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { Standalone } from '../../egress-node/standalone/standalone.ts';
import { type Log, silentLog } from '../../lib/log.ts';
import { StandaloneSite } from '../support/standalone.ts';

const EXAMPLES = join(import.meta.dirname, '..', '..', 'lib', 'deploy', 'proxies');
/** The client's own address: the proxy connects from another one. */
const CLIENT = '127.0.0.5';
const PROXY = '127.0.0.1';

const absent = (tool: string): string | false =>
  spawnSync(tool, ['-v']).error ? `${tool} is not installed here` : false;
const PROXIES = [
  {
    tool: 'haproxy',
    file: 'haproxy.cfg',
    args: (path: string) => ['-db', '-f', path],
    ports: { api: 18_443, submission: 18_587, inbound: 18_025 },
  },
  {
    tool: 'nginx',
    file: 'nginx.conf',
    args: (path: string) => ['-g', 'daemon off;', '-c', path],
    ports: { api: 19_443, submission: 19_587, inbound: 19_025 },
  },
] as const;

let site: StandaloneSite;
let service: Standalone;
let folder: string;
const logged: { text: string; fields: Record<string, unknown> | undefined }[] = [];

before(async () => {
  site = await StandaloneSite.open();
  const note = (text: string, fields?: Record<string, unknown>): void => void logged.push({ text, fields });
  const log: Log = { ...silentLog, warn: note };
  service = await site.start({ POSTERN_PROXY_FROM: `${PROXY}/32`, POSTERN_RELAY_FROM: `${PROXY}/32` }, log);
  folder = mkdtempSync(join(tmpdir(), 'postern-proxies-'));
});
after(async () => {
  await service.stop();
  await site.close();
  rmSync(folder, { recursive: true, force: true });
});

async function freePort(): Promise<number> {
  const server = createServer().listen(0, PROXY);
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => void server.close(resolve));
  return port;
}

/** Starts a proxy with its example. @returns its ports, and how it ends. */
async function start(
  proxy: (typeof PROXIES)[number],
): Promise<{ ports: Record<'api' | 'submission' | 'inbound', number>; stop(): Promise<void> }> {
  const { api, submission, inbound } = service.listening;
  let text = readFileSync(join(EXAMPLES, proxy.file), 'utf8')
    .replaceAll('127.0.0.1:8025', api)
    .replaceAll('127.0.0.1:1587', submission)
    .replaceAll('127.0.0.1:1025', inbound)
    .replace('/tmp/postern-nginx.pid', join(folder, 'nginx.pid'));
  const ports = { api: 0, submission: 0, inbound: 0 };
  for (const name of ['api', 'submission', 'inbound'] as const) {
    ports[name] = await freePort();
    text = text.replace(`127.0.0.1:${proxy.ports[name]}`, `127.0.0.1:${ports[name]}`);
  }
  const path = join(folder, proxy.file);
  writeFileSync(path, text);
  const child: ChildProcess = spawn(proxy.tool, proxy.args(path), { stdio: 'ignore' });
  const exited = once(child, 'exit');
  for (let n = 0; n < 250; n += 1) if (await canConnect(ports.api)) break;
  return {
    ports,
    async stop() {
      child.kill('SIGTERM');
      await exited;
    },
  };
}

async function canConnect(port: number): Promise<boolean> {
  const socket = connect(port, PROXY);
  try {
    await once(socket, 'connect');
    return true;
  } catch {
    await new Promise((resolve) => setTimeout(resolve, 20));
    return false;
  } finally {
    socket.destroy();
  }
}

/** Sends lines, each after the reply to the one before. @returns the replies. */
async function dialogue(port: number, lines: readonly string[]): Promise<string[]> {
  const socket = connect({ port, host: PROXY, localAddress: CLIENT });
  const replies: string[] = [];
  let text = '';
  const reply = async (): Promise<void> => {
    for (;;) {
      const end = /^\d{3} .*\r\n/m.exec(text);
      if (end) {
        replies.push(text.slice(0, end.index + end[0].length));
        text = text.slice(end.index + end[0].length);
        return;
      }
      text += String((await once(socket, 'data'))[0]);
    }
  };
  await reply();
  for (const line of lines) {
    socket.write(`${line}\r\n`);
    await reply();
  }
  socket.destroy();
  return replies;
}

for (const proxy of PROXIES) {
  test(`behind ${proxy.tool} every listener sees the client`, { skip: absent(proxy.tool) }, async () => {
    const { ports, stop } = await start(proxy);
    try {
      logged.length = 0;
      const login = Buffer.from('\0someone\0wrong').toString('base64');
      const replies = await dialogue(ports.submission, ['EHLO client.example', `AUTH PLAIN ${login}`]);
      assert.match(replies.at(-1)!, /^535 /);
      const refused = logged.find(({ text }) => text === 'login refused');
      assert.equal(refused?.fields?.address, CLIENT);
      // The proxy's own address may submit without login, and a client behind it may not.
      const [, , mail] = await dialogue(ports.submission, [
        'EHLO client.example',
        'MAIL FROM:<a@example.com>',
      ]);
      assert.match(mail!, /^530 /);
      const [greeting] = await dialogue(ports.inbound, ['EHLO client.example']);
      assert.match(greeting!, /^220 /);
      const live = request({
        port: ports.api,
        host: PROXY,
        localAddress: CLIENT,
        path: '/healthz/live',
        agent: false,
      });
      live.end();
      const [answer] = (await once(live, 'response')) as [{ statusCode: number; resume(): void }];
      answer.resume();
      assert.equal(answer.statusCode, 200);
    } finally {
      await stop();
    }
  });
}

test('a proxy that sends no header is refused', async () => {
  const [host = '', port] = service.listening.submission.split(':');
  const socket = connect({ host, port: Number(port), localAddress: PROXY });
  socket.write('EHLO client.example\r\n');
  await once(socket, 'close');
  assert.ok(logged.some(({ text, fields }) => /no PROXY header/.test(text) && fields?.proxy === PROXY));
});
