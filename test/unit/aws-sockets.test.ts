/** Connections to AWS: which may carry a send, and which requests wait for a connection. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http';
import { type AddressInfo, createServer as createTcpServer, type Socket } from 'node:net';
import { after, describe, test } from 'node:test';
import { createClients } from '../../lib/engine/aws/clients.ts';
import { Lanes } from '../../lib/engine/aws/lanes.ts';
import { isUnheard, keepSockets } from '../../lib/engine/aws/sockets.ts';
import { TestClock } from '../support/clock.ts';

const closing: (() => unknown)[] = [];
after(async () => {
  for (const close of closing.reverse()) await close();
});

async function serve(answer: (request: IncomingMessage, response: ServerResponse) => void) {
  const server = createServer(answer).listen(0, '127.0.0.1');
  await once(server, 'listening');
  let connections = 0;
  server.on('connection', () => (connections += 1));
  closing.push(() => {
    server.closeAllConnections();
    server.close();
  });
  return { port: (server.address() as AddressInfo).port, connections: () => connections };
}

/** One request; resolves when its answer is read, and its connection idle again. */
async function get(port: number, agent: ReturnType<typeof keepSockets>['httpAgent']): Promise<void> {
  const [response] = (await once(request({ port, agent, host: '127.0.0.1' }).end(), 'response')) as [
    IncomingMessage,
  ];
  response.resume();
  await once(response, 'close');
  await new Promise((resolve) => setImmediate(resolve));
}

describe('keep-alive connections', () => {
  test('are reused, and dropped before a send after 4 s idle', async () => {
    let now = 0;
    const { httpAgent, dropIdle } = keepSockets(10, () => now);
    closing.push(() => httpAgent.destroy());
    const { port, connections } = await serve((_, response) => response.end('ok'));
    await get(port, httpAgent);
    now += 4_000;
    dropIdle();
    await get(port, httpAgent);
    assert.equal(connections(), 1, 'four seconds after its last use');
    now += 4_001;
    dropIdle();
    await get(port, httpAgent);
    assert.equal(connections(), 2, 'more than four seconds after its last use');
  });

  test('a reset before any byte of an answer means "not received" on a reused connection only', async () => {
    let sockets: Socket[] = [];
    let reset = false;
    const server = createTcpServer((socket) => {
      sockets.push(socket);
      socket.on('error', () => {});
      socket.on('data', () => {
        if (reset) socket.resetAndDestroy();
        else socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
      });
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    closing.push(() => server.close());
    const { port } = server.address() as AddressInfo;
    const { httpAgent } = keepSockets(10, () => 0);
    closing.push(() => httpAgent.destroy());
    const failed = async (): Promise<unknown> =>
      get(port, httpAgent).then(
        () => undefined,
        (error: unknown) => error,
      );
    assert.equal(await failed(), undefined);
    reset = true;
    const used = await failed();
    assert.equal((used as NodeJS.ErrnoException).code, 'ECONNRESET');
    assert.equal(isUnheard(used), true);
    const fresh = await failed();
    assert.equal((fresh as NodeJS.ErrnoException).code, 'ECONNRESET');
    assert.equal(isUnheard(fresh), false, 'the request may have been received');
    reset = false;
    sockets = [];
    assert.equal(await failed(), undefined);
    // A partial answer counts as a lost answer.
    sockets[0]!.removeAllListeners('data').on('data', () => {
      sockets[0]!.write('HTTP/1.1 200 OK\r\nContent-', () => sockets[0]!.destroy());
    });
    assert.equal(isUnheard(await failed()), false);
  });
});

test('long polls of 300 lanes leave connections for settlements', async () => {
  let polls = 0;
  let polled: () => void = () => {};
  const all = new Promise<void>((resolve) => (polled = resolve));
  const { port } = await serve((incoming, response) => {
    if (String(incoming.headers['x-amz-target']).endsWith('ReceiveMessage')) {
      polls += 1;
      if (polls === 300) polled();
      return;
    }
    response.setHeader('content-type', 'application/x-amz-json-1.0');
    response.end('{"Successful":[{"Id":"0"}],"Failed":[]}');
  });
  const endpoint = `http://127.0.0.1:${port}`;
  const credentials = { accessKeyId: 'test', secretAccessKey: 'test' };
  const clients = createClients({ region: 'us-east-1', credentials, endpoints: { sqs: endpoint } }, () => 0);
  closing.push(() => clients.destroy());
  const lanes = new Lanes(clients, `${endpoint}/`, { clock: new TestClock(), random: Math.random });
  const stop = new AbortController();
  const polling = Array.from({ length: 300 }, (_, n) =>
    lanes.receive(`lane-${n}`, 10, 1_000, 20, stop.signal),
  );
  await all;
  await lanes.remove('lane-0', ['receipt']);
  stop.abort();
  await Promise.all(polling);
});
