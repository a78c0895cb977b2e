/** The PROXY protocol: its headers at every cut, whom it is believed of, and real servers behind it. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer as createHttpServer, type IncomingMessage } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { afterEach, describe, test } from 'node:test';
import { connect as connectTls } from 'node:tls';
import { generate } from 'selfsigned';
import { ProxyProtocol, readProxyHeader } from '../../lib/proxy-protocol.ts';
import { systemClock } from '../../lib/time.ts';
import { TestClock } from '../support/clock.ts';

const SIGN = Buffer.from([0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a]);

/** A header of version 2. */
function v2(command: number, family: number, body: readonly number[], more: readonly number[] = []): Buffer {
  const length = body.length + more.length;
  return Buffer.from([...SIGN, command, family, length >> 8, length & 0xff, ...body, ...more]);
}
const TCP4 = v2(0x21, 0x11, [198, 51, 100, 7, 192, 0, 2, 1, 0x30, 0x39, 0, 25], [4, 0, 1, 0]);
const V1 = Buffer.from('PROXY TCP4 198.51.100.7 192.0.2.1 12345 25\r\n');
const PEER = { address: '198.51.100.7', port: 12_345 };

describe('a header', () => {
  test('is read whole, and awaited while bytes are missing', () => {
    for (const header of [V1, TCP4]) {
      for (let cut = 1; cut < header.length; cut += 1)
        assert.equal(readProxyHeader(header.subarray(0, cut)), 'more', `${cut}`);
      const bytes = Buffer.concat([header, Buffer.from('EHLO x\r\n')]);
      assert.deepEqual(readProxyHeader(bytes), { length: header.length, peer: PEER });
    }
    const six = Buffer.from('PROXY TCP6 2001:DB8:0::1 2001:db8::2 1 2\r\n');
    assert.deepEqual(readProxyHeader(six), { length: six.length, peer: { address: '2001:db8::1', port: 1 } });
  });

  test('of the proxy itself has no peer', () => {
    const unknown = Buffer.from('PROXY UNKNOWN ffff::1 x 1 2\r\n');
    assert.deepEqual(readProxyHeader(unknown), { length: unknown.length });
    assert.deepEqual(readProxyHeader(v2(0x20, 0, [])), { length: 16 });
    assert.deepEqual(readProxyHeader(v2(0x21, 0x31, new Array<number>(216).fill(0))), { length: 232 });
  });

  test('that is malformed is none', () => {
    for (const text of [
      'EHLO x\r\n',
      'PROXY TCP4 198.51.100.7 192.0.2.1 12345\r\n',
      'PROXY TCP4 198.51.100.700 192.0.2.1 1 2\r\n',
      'PROXY TCP4 2001:db8::1 2001:db8::2 1 2\r\n',
      'PROXY TCP4 198.51.100.7 192.0.2.1 99999 25\r\n',
      'PROXY TCP4 198.51.100.7  192.0.2.1 1 2\r\n',
      'PROXY TCP4 198.51.100.7 192.0.2.1 1 2\n'.padEnd(120, 'x'),
      `PROXY ${'x'.repeat(120)}\r\n`,
    ])
      assert.equal(readProxyHeader(Buffer.from(text)), undefined, text);
    const cases = [
      v2(0x11, 0x11, [1, 2]),
      v2(0x22, 0x11, [1, 2]),
      v2(0x21, 0x11, [1, 2]),
      v2(0x21, 0x12, new Array<number>(12).fill(1)),
    ];
    for (const bytes of cases) assert.equal(readProxyHeader(bytes), undefined, bytes.toString('hex'));
    const long = v2(0x21, 0x11, []);
    long.writeUInt16BE(0xffff, 14);
    assert.equal(readProxyHeader(long), undefined);
  });
});

describe('a server', () => {
  let server: Server;
  const sockets: Socket[] = [];
  const refused: string[] = [];

  afterEach(async () => {
    for (const socket of sockets.splice(0)) socket.destroy();
    refused.length = 0;
    await new Promise((resolve) => void server.close(resolve));
  });

  async function listen(started: Server, from: readonly string[], clock = systemClock): Promise<number> {
    server = started;
    new ProxyProtocol({ from, clock, onRefused: (proxy, why) => void refused.push(`${proxy} ${why}`) }).guard(
      server,
    );
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return (server.address() as AddressInfo).port;
  }

  function dial(port: number): Socket {
    const socket = connect(port, '127.0.0.1');
    sockets.push(socket);
    return socket;
  }

  const echo = (): Server =>
    createServer((socket) => {
      socket.on('error', () => undefined);
      socket.on('data', (bytes) =>
        socket.write(`${socket.remoteAddress} ${socket.remotePort} ${bytes.toString()}`),
      );
    });

  for (const [name, header] of [
    ['1', V1],
    ['2', TCP4],
  ] as const) {
    test(`sees the peer of version ${name}, and the bytes behind the header`, async () => {
      const socket = dial(await listen(echo(), ['127.0.0.0/8']));
      socket.write(Buffer.concat([header, Buffer.from('hello')]));
      assert.equal(String((await once(socket, 'data'))[0]), '198.51.100.7 12345 hello');
    });
  }

  test('does not believe a stranger, and demands a header of a proxy', async () => {
    const stranger = dial(await listen(echo(), ['10.0.0.0/8']));
    stranger.write(V1);
    assert.match(String((await once(stranger, 'data'))[0]), /^127\.0\.0\.1 \d+ PROXY TCP4/);
    server.close();
    const proxy = dial(await listen(echo(), ['127.0.0.1/32']));
    proxy.write('EHLO x\r\n');
    await once(proxy, 'close');
    assert.deepEqual(refused, ['127.0.0.1 malformed']);
  });

  test('closes a connection whose header does not come', async () => {
    const clock = new TestClock(0);
    const socket = dial(await listen(echo(), ['127.0.0.1/32'], clock));
    await once(server, 'connection');
    socket.write('PROXY TCP4');
    clock.advance(5_000);
    await once(socket, 'close');
    assert.deepEqual(refused, ['127.0.0.1 missing']);
  });

  test('of HTTP and HTTPS sees the peer too', async () => {
    const answer = (incoming: IncomingMessage, response: { end(text: string): unknown }): void =>
      void response.end(`peer ${incoming.socket.remoteAddress}`);
    const request = 'GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n';
    const plain = dial(await listen(createHttpServer(answer), ['127.0.0.1/32']));
    plain.write(Buffer.concat([TCP4, Buffer.from(request)]));
    assert.match(await all(plain), /peer 198\.51\.100\.7$/);
    server.close();
    const { private: key, cert } = await generate([{ name: 'commonName', value: 'a' }]);
    const port = await listen(createHttpsServer({ key, cert }, answer), ['127.0.0.1/32']);
    const below = dial(port);
    below.write(V1);
    const secure = connectTls({ socket: below, rejectUnauthorized: false });
    secure.write(request);
    assert.match(await all(secure), /peer 198\.51\.100\.7$/);
  });
});

async function all(socket: Socket): Promise<string> {
  let text = '';
  socket.on('data', (bytes) => (text += bytes.toString()));
  await once(socket, 'end');
  return text;
}
