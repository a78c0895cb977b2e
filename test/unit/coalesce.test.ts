import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { test } from 'node:test';
import { coalesceWrites } from '../../lib/smtp-server/coalesce.ts';

/** Both ends of a connection, the server's end gathering its writes. */
async function pair(): Promise<{ server: Socket; client: Socket; close: () => void }> {
  const listener = createServer();
  listener.listen(0, '127.0.0.1');
  await once(listener, 'listening');
  const client = connect((listener.address() as { port: number }).port, '127.0.0.1');
  const [server] = (await once(listener, 'connection')) as [Socket];
  coalesceWrites(server);
  return {
    server,
    client,
    close() {
      client.destroy();
      server.destroy();
      listener.close();
    },
  };
}

test('writes of one turn arrive in one piece, in order', async () => {
  const { server, client, close } = await pair();
  server.write('250 a\r\n');
  server.write('250 b\r\n');
  server.write('354 c\r\n');
  assert.equal(server.writableCorked, 1);
  const [chunk] = (await once(client, 'data')) as [Buffer];
  assert.equal(chunk.toString(), '250 a\r\n250 b\r\n354 c\r\n');
  assert.equal(server.writableCorked, 0);
  close();
});

test('the 220 of STARTTLS and the writes before it are sent at once', async () => {
  const { server, client, close } = await pair();
  server.write('250 a\r\n');
  server.write('220 Ready to start TLS\r\n');
  assert.equal(server.writableLength, 0);
  let text = '';
  client.on('data', (chunk) => {
    text += chunk.toString();
  });
  await once(client, 'data');
  while (!text.includes('TLS')) await once(client, 'data');
  assert.equal(text, '250 a\r\n220 Ready to start TLS\r\n');
  close();
});

test('buffered writes are sent when the socket ends', async () => {
  const { server, client, close } = await pair();
  server.write('250 a\r\n');
  server.end('221 bye\r\n');
  let text = '';
  client.on('data', (chunk) => {
    text += chunk.toString();
  });
  await once(client, 'end');
  assert.equal(text, '250 a\r\n221 bye\r\n');
  close();
});
