/**
 * A broker for tests that speaks AMQP 0-9-1 with the client's own codec, and does what the test tells it: it knows users,
 * vhosts, exchanges and bindings, confirms, returns, and closes channels as RabbitMQ does.
 */
import { once } from 'node:events';
import { createRequire } from 'node:module';
import type { AddressInfo } from 'node:net';
import { createServer, type Socket } from 'node:net';
import { dirname, join } from 'node:path';

const resolve = createRequire(import.meta.url);
// biome-ignore lint/suspicious/noExplicitAny: the codec of the client has no types
const codec: any = resolve(join(dirname(resolve.resolve('amqplib')), 'lib', 'defs.js'));

const METHOD = 1;
const HEADER = 2;
const BODY = 3;
const FRAME_END = 0xce;

export interface AmqpPeer {
  url(options?: { password?: string; vhost?: string }): string;
  /** Events that were confirmed: their ids and their text. */
  taken: { id: string; text: string; persistent: boolean }[];
  exchanges: Set<string>;
  /** Routing keys that a queue is bound for. */
  bound: Set<string>;
  /** Whether publishes are read and never confirmed. */
  silent: boolean;
  connections: number;
  /** Cuts every connection, as a broker does that is killed. */
  cut(): void;
  close(): Promise<void>;
}

export async function startAmqpPeer(): Promise<AmqpPeer> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    peer.connections += 1;
    socket.on('close', () => sockets.delete(socket));
    socket.on('error', () => {});
    serve(socket, peer);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const peer: AmqpPeer = {
    url: ({ password = 'right', vhost = '' } = {}) => `amqp://user:${password}@127.0.0.1:${port}${vhost}`,
    taken: [],
    exchanges: new Set(['mail']),
    bound: new Set(['events']),
    silent: false,
    connections: 0,
    cut() {
      for (const socket of sockets) socket.destroy();
    },
    async close() {
      peer.cut();
      server.close();
      await once(server, 'close');
    },
  };
  return peer;
}

interface Publishing {
  exchange: string;
  routingKey: string;
  header?: Buffer;
  left: number;
  body: Buffer[];
}

function serve(socket: Socket, peer: AmqpPeer): void {
  let received = Buffer.alloc(0);
  let greeted = false;
  const publishing = new Map<number, Publishing>();
  const tags = new Map<number, number>();
  /** Closed channels: what still comes for them is ignored (AMQP 0-9-1 §2.2.10). */
  const closed = new Set<number>();
  const say = (id: number, channel: number, fields: object): void =>
    void socket.write(codec.encodeMethod(id, channel, fields));
  const hang = (replyCode: number, replyText: string, channel = 0): void =>
    say(channel === 0 ? codec.ConnectionClose : codec.ChannelClose, channel, {
      replyCode,
      replyText,
      classId: 0,
      methodId: 0,
    });

  function method(channel: number, payload: Buffer): void {
    const id = payload.readUInt32BE(0);
    const fields = codec.decode(id, payload.subarray(4));
    switch (id) {
      case codec.ConnectionStartOk:
        if (String(fields.response).includes('right')) {
          say(codec.ConnectionTune, 0, { channelMax: 0, frameMax: 131_072, heartbeat: 0 });
        } else hang(403, 'ACCESS_REFUSED - Login was refused');
        break;
      case codec.ConnectionOpen:
        if (fields.virtualHost === '/') say(codec.ConnectionOpenOk, 0, {});
        else hang(530, 'NOT_ALLOWED - vhost not found');
        break;
      case codec.ChannelOpen:
        closed.delete(channel);
        tags.delete(channel);
        say(codec.ChannelOpenOk, channel, {});
        break;
      case codec.ConfirmSelect:
        say(codec.ConfirmSelectOk, channel, {});
        break;
      case codec.BasicPublish:
        publishing.set(channel, { ...fields, left: 0, body: [] });
        break;
      case codec.ConnectionClose:
        say(codec.ConnectionCloseOk, 0, {});
        break;
    }
  }

  function published(channel: number, { exchange, routingKey, header, body }: Publishing): void {
    const deliveryTag = (tags.get(channel) ?? 0) + 1;
    tags.set(channel, deliveryTag);
    if (peer.silent || closed.has(channel)) return;
    if (!peer.exchanges.has(exchange)) {
      closed.add(channel);
      hang(404, `NOT_FOUND - no exchange '${exchange}' in vhost '/'`, channel);
      return;
    }
    const bytes = Buffer.concat(body);
    if (peer.bound.has(routingKey)) {
      const properties = codec.decode(codec.BasicProperties, header!.subarray(12));
      const { messageId: id, deliveryMode } = properties;
      peer.taken.push({ id, text: bytes.toString('utf8'), persistent: deliveryMode === 2 });
    } else {
      say(codec.BasicReturn, channel, { replyCode: 312, replyText: 'NO_ROUTE', exchange, routingKey });
      socket.write(frame(HEADER, channel, header!));
      socket.write(frame(BODY, channel, bytes));
    }
    say(codec.BasicAck, channel, { deliveryTag, multiple: false });
  }

  socket.on('data', (data) => {
    received = Buffer.concat([received, data as Buffer]);
    if (!greeted) {
      if (received.length < 8) return;
      greeted = true;
      received = received.subarray(8);
      say(codec.ConnectionStart, 0, {
        versionMajor: 0,
        versionMinor: 9,
        serverProperties: { capabilities: { publisher_confirms: true } },
        mechanisms: Buffer.from('PLAIN'),
        locales: Buffer.from('en_US'),
      });
    }
    while (received.length >= 8 && received.length >= 8 + received.readUInt32BE(3)) {
      const size = received.readUInt32BE(3);
      const [type, channel] = [received[0], received.readUInt16BE(1)];
      const payload = received.subarray(7, 7 + size);
      received = received.subarray(8 + size);
      const one = publishing.get(channel);
      if (type === METHOD) method(channel, payload);
      else if (type === HEADER && one) {
        one.header = Buffer.from(payload);
        one.left = Number(payload.readBigUInt64BE(4));
      } else if (type === BODY && one) {
        one.body.push(Buffer.from(payload));
        one.left -= size;
      }
      if (type !== METHOD && one?.left === 0) {
        publishing.delete(channel);
        published(channel, one);
      }
    }
  });
}

function frame(type: number, channel: number, payload: Buffer): Buffer {
  const head = Buffer.alloc(7);
  head[0] = type;
  head.writeUInt16BE(channel, 1);
  head.writeUInt32BE(payload.length, 3);
  return Buffer.concat([head, payload, Buffer.from([FRAME_END])]);
}
