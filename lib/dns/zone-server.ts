/**
 * An authoritative name server for one zone, over UDP and TCP on one port (RFC 7766). Its input is any stranger's:
 * datagrams are bounded in rate (source-rate.ts) and in what is under way, connections in number, time and questions.
 */
import { createSocket, type Socket as Datagrams, type RemoteInfo } from 'node:dgram';
import { once } from 'node:events';
import { type AddressInfo, createServer, isIPv6, type Server, type Socket } from 'node:net';
import type { Clock } from '../time.ts';
import { SourceRate } from './source-rate.ts';
import { respond, truncated, type Zone } from './zone.ts';

export interface ZoneServerOptions {
  listen: { host: string; port: number };
  zone: Zone;
  clock: Clock;
}

export interface ZoneServer {
  address: AddressInfo;
  close(): Promise<void>;
}

/** Longest question that is read, octets: a name, EDNS and a few options. */
const MAX_QUESTION = 1_024;
/** Datagrams whose answer is being looked up; those beyond are dropped, and asked again. */
const MAX_PENDING = 500;
const MAX_CONNECTIONS = 200;
const MAX_OF_ONE = 10;
/** Time without a question after which a connection ends (RFC 7766 §6.2.3), ms, and its most questions. */
const IDLE = 10_000;
const MAX_QUESTIONS = 100;

/** @throws the operating system's error for an address that cannot be bound. */
export async function startZoneServer(options: ZoneServerOptions): Promise<ZoneServer> {
  const { host, port } = options.listen;
  const tcp = createServer();
  tcp.listen(port, host);
  await once(tcp, 'listening');
  const address = tcp.address() as AddressInfo;
  const udp = createSocket(isIPv6(address.address) ? 'udp6' : 'udp4');
  try {
    udp.bind(address.port, address.address);
    await once(udp, 'listening');
  } catch (error) {
    tcp.close();
    udp.close();
    throw error;
  }
  serveDatagrams(udp, options);
  const sockets = serveConnections(tcp, options);
  return {
    address,
    async close() {
      const closed = [once(tcp, 'close'), once(udp, 'close')];
      tcp.close();
      udp.close();
      for (const socket of sockets) socket.destroy();
      await Promise.all(closed);
    },
  };
}

function serveDatagrams(udp: Datagrams, { zone, clock }: ZoneServerOptions): void {
  const rate = new SourceRate(clock);
  let pending = 0;
  let isOpen = true;
  udp.on('close', () => {
    isOpen = false;
  });
  // An answer that cannot be sent is asked for again.
  udp.on('error', () => {});
  const answerTo = async (message: Buffer, { address, port }: RemoteInfo): Promise<void> => {
    if (message.length > MAX_QUESTION || pending >= MAX_PENDING || port === 0) return;
    const ruling = rate.rule(address);
    if (ruling === 'drop') return;
    pending += 1;
    try {
      const answer = ruling === 'truncate' ? truncated(message) : await respond(message, zone, 'udp');
      if (answer && isOpen) udp.send(answer, port, address, () => {});
    } finally {
      pending -= 1;
    }
  };
  udp.on('message', (message, peer) => void answerTo(message, peer));
}

/** @returns the open connections. */
function serveConnections(tcp: Server, { zone, clock }: ZoneServerOptions): ReadonlySet<Socket> {
  const open = new Set<Socket>();
  const byAddress = new Map<string, number>();
  // A connection that cannot be taken in, for want of descriptors, is tried again by its peer.
  tcp.on('error', () => {});
  tcp.on('connection', (socket) => {
    const { remoteAddress: address = '' } = socket;
    const ofOne = byAddress.get(address) ?? 0;
    socket.on('error', () => {});
    if (open.size >= MAX_CONNECTIONS || ofOne >= MAX_OF_ONE) {
      socket.destroy();
      return;
    }
    open.add(socket);
    byAddress.set(address, ofOne + 1);
    socket.once('close', () => {
      open.delete(socket);
      const left = (byAddress.get(address) ?? 1) - 1;
      if (left > 0) byAddress.set(address, left);
      else byAddress.delete(address);
    });
    void serve(socket, zone, clock);
  });
  return open;
}

/** Answers the questions of a connection, one after the other. */
async function serve(socket: Socket, zone: Zone, clock: Clock): Promise<void> {
  let cancel = clock.after(IDLE, () => socket.destroy());
  socket.once('close', () => cancel());
  let received: Buffer = Buffer.alloc(0);
  let questions = 0;
  try {
    for await (const chunk of socket as AsyncIterable<Buffer>) {
      received = received.length === 0 ? chunk : Buffer.concat([received, chunk]);
      while (received.length >= 2 && received.length >= 2 + received.readUInt16BE(0)) {
        const length = received.readUInt16BE(0);
        questions += 1;
        if (length > MAX_QUESTION || questions > MAX_QUESTIONS) return void socket.destroy();
        const answer = await respond(received.subarray(2, 2 + length), zone, 'tcp');
        received = received.subarray(2 + length);
        if (!answer) return void socket.destroy();
        // A peer that does not read its answers keeps no more than one of them.
        if (!socket.write(framed(answer))) await once(socket, 'drain');
        cancel();
        cancel = clock.after(IDLE, () => socket.destroy());
      }
      if (received.length >= 2 && received.readUInt16BE(0) > MAX_QUESTION) return void socket.destroy();
    }
    socket.end();
  } catch {
    // The peer is gone.
    socket.destroy();
  }
}

/** A message as it travels over TCP (RFC 1035 §4.2.2). */
function framed(message: Buffer): Buffer {
  const length = Buffer.alloc(2);
  length.writeUInt16BE(message.length);
  return Buffer.concat([length, message]);
}
