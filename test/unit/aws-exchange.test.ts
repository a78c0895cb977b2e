import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { after, before, describe, it } from 'node:test';
import { didNothing } from '../../lib/engine/aws/clients.ts';
import { HttpExchange } from '../../lib/engine/aws/exchange.ts';
import { isUnheard, keepSockets } from '../../lib/engine/aws/sockets.ts';

const WHOLE = Buffer.from('0123456789'.repeat(20_000));

describe('exchange', () => {
  let server: Server;
  let port: number;
  const sockets = new Set<Socket>();

  before(async () => {
    server = createServer((request, response) => {
      const { url } = request;
      request.resume();
      if (url === '/silent') return;
      if (url === '/cut') {
        response.writeHead(200, { 'content-length': 10 });
        response.write('half', () => request.socket.resetAndDestroy());
        return;
      }
      if (url === '/stalled') {
        response.writeHead(200, { 'content-length': 10 });
        response.write('half');
        return;
      }
      response.writeHead(url === '/refused' ? 400 : 200, { 'X-Amzn-RequestId': 'r1' });
      if (url === '/whole')
        for (let at = 0; at < WHOLE.length; at += 9_000) response.write(WHOLE.subarray(at, at + 9_000));
      response.end(url === '/refused' ? '{"__type":"Refused"}' : '');
    });
    server.on('connection', (socket) => sockets.add(socket));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    ({ port } = server.address() as AddressInfo);
  });
  after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });

  const exchange = (deadlines = { connection: 2_000, answer: 8_000 }, most = 4) =>
    new HttpExchange(
      keepSockets(most, () => performance.now()),
      deadlines,
    );
  const request = (path: string, at = port) => ({
    protocol: 'http:',
    hostname: '127.0.0.1',
    port: at,
    path,
    method: 'POST',
    headers: { 'content-type': 'application/x-amz-json-1.0' },
    body: Buffer.from('{}'),
  });

  it('gives the whole answer, with its status and its headers in lower case', async () => {
    const client = exchange();
    const { response } = await client.handle(request('/whole'));
    assert.equal(response.statusCode, 200);
    assert.equal(response.headers['x-amzn-requestid'], 'r1');
    assert.ok(response.body.equals(WHOLE));
    const refused = await client.handle(request('/refused'));
    assert.equal(refused.response.statusCode, 400);
    assert.equal(refused.response.body.toString(), '{"__type":"Refused"}');
    assert.equal((await client.handle(request('/empty'))).response.body.length, 0);
    client.destroy();
  });

  it('ends a request whose answer is not whole in time, before and after its head', async () => {
    const client = exchange({ connection: 20, answer: 40 });
    for (const path of ['/silent', '/stalled']) {
      await assert.rejects(client.handle(request(path)), (error: Error) => {
        assert.equal(error.name, 'TimeoutError');
        assert.equal(didNothing(error), false, 'its request may have been done');
        return true;
      });
    }
    client.destroy();
  });

  it('ends a request for which there is no connection in time', async () => {
    const client = exchange({ connection: 30, answer: 8_000 }, 1);
    let ended = false;
    const holds = client.handle(request('/silent')).catch(() => (ended = true));
    await assert.rejects(client.handle(request('/whole')), /No connection was there within 30 ms/);
    assert.equal(ended, false, 'the only connection is still taken');
    client.destroy();
    await holds;
  });

  it('reports an answer that is cut off as one that may be tried again, and keeps the code of others', async () => {
    const client = exchange();
    await assert.rejects(client.handle(request('/cut')), { name: 'TimeoutError' });
    const closed = createServer().listen(0, '127.0.0.1');
    await once(closed, 'listening');
    const free = (closed.address() as AddressInfo).port;
    closed.close();
    await once(closed, 'close');
    await assert.rejects(client.handle(request('/whole', free)), (error: NodeJS.ErrnoException) => {
      assert.equal(error.code, 'ECONNREFUSED');
      return didNothing(error);
    });
    client.destroy();
  });

  it('keeps what tells a connection that was closed while it was idle', async () => {
    const client = exchange();
    await client.handle(request('/whole'));
    for (const socket of sockets) socket.resetAndDestroy();
    sockets.clear();
    await assert.rejects(client.handle(request('/whole')), (error) => isUnheard(error));
    client.destroy();
  });
});
