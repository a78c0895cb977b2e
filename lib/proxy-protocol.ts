/**
 * The PROXY protocol, versions 1 and 2 (HAProxy's `proxy-protocol.txt`): a proxy in front tells whose connection it
 * passes on, before the connection's first byte. Limits, logs and trust by address then go by the real peer.
 *
 * ```
 *  socket ── not from a proxy that is trusted ─────────────────────────────► the server's own listeners
 *     └─ from one ── header ── whole ─► the socket has the peer's address ─┘
 *                      └─ malformed, or not there in time ─► closed
 * ```
 * A header is believed of trusted proxies alone: anyone else could claim any address. From these it is demanded,
 * because a connection without one would have the proxy's own trust.
 */
import type { Server, Socket } from 'node:net';
import { isIP } from 'node:net';
import ipaddr from 'ipaddr.js';
import { canonicalIp } from './ip.ts';
import type { Clock } from './time.ts';

/** A peer behind a proxy. */
export interface ProxiedPeer {
  readonly address: string;
  readonly port: number;
}

/** A whole header. Without a peer it is of the proxy itself: a health check, or an address family without addresses. */
export interface ProxyHeader {
  readonly length: number;
  readonly peer?: ProxiedPeer;
}

/** Longest header of version 1, with its line end. */
const LONGEST_V1 = 107;
/** Longest header of version 2 that is read: addresses, and what proxies add. */
const LONGEST_V2 = 2048;
const V1 = Buffer.from('PROXY ');
const V2 = Buffer.from([0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a]);
const LINE = /^PROXY (TCP4|TCP6) (\S+) (\S+) (\d{1,5}) (\d{1,5})$/;
/** Time for the header, ms: a proxy sends it with the connection. */
const DEADLINE = 5_000;

/** Parses the start of a connection. @returns `more` while bytes are missing; undefined for what is no header. */
export function readProxyHeader(bytes: Buffer): ProxyHeader | 'more' | undefined {
  if (startsAs(bytes, V2)) return bytes.length < 16 ? 'more' : readV2(bytes);
  if (!startsAs(bytes, V1)) return undefined;
  const end = bytes.indexOf('\r\n');
  if (end < 0) return bytes.length < LONGEST_V1 ? 'more' : undefined;
  if (end + 2 > LONGEST_V1) return undefined;
  const line = bytes.toString('latin1', 0, end);
  if (line === 'PROXY UNKNOWN' || line.startsWith('PROXY UNKNOWN ')) return { length: end + 2 };
  const [, family, source = '', target = '', port] = LINE.exec(line) ?? [];
  const kind = family === 'TCP4' ? 4 : 6;
  if (family === undefined || isIP(source) !== kind || isIP(target) !== kind || Number(port) > 65_535)
    return undefined;
  return { length: end + 2, peer: { address: canonicalIp(source), port: Number(port) } };
}

function startsAs(bytes: Buffer, sign: Buffer): boolean {
  const length = Math.min(bytes.length, sign.length);
  return length > 0 && bytes.subarray(0, length).equals(sign.subarray(0, length));
}

function readV2(bytes: Buffer): ProxyHeader | 'more' | undefined {
  const [command, family] = [bytes[12]!, bytes[13]!];
  const length = 16 + bytes.readUInt16BE(14);
  if (command >> 4 !== 2 || (command & 0xf) > 1 || length > LONGEST_V2) return undefined;
  if (bytes.length < length) return 'more';
  // LOCAL: the proxy's own connection; other families have no address of the internet.
  if ((command & 0xf) === 0 || (family >> 4 !== 1 && family >> 4 !== 2)) return { length };
  const octets = family >> 4 === 1 ? 4 : 16;
  if ((family & 0xf) !== 1 || length < 16 + 2 * octets + 4) return undefined;
  const address = ipaddr.fromByteArray([...bytes.subarray(16, 16 + octets)]).toString();
  return { length, peer: { address: canonicalIp(address), port: bytes.readUInt16BE(16 + 2 * octets) } };
}

export interface ProxyProtocolOptions {
  /** Networks (CIDR) of the proxies. */
  readonly from: readonly string[];
  readonly clock: Clock;
  /** Called for a connection of a proxy that has no right header. */
  readonly onRefused: (proxy: string, why: string) => void;
}

export class ProxyProtocol {
  readonly #options: ProxyProtocolOptions;
  readonly #networks: readonly ReturnType<typeof ipaddr.parseCIDR>[];
  /** Peers of the open sockets, by the address and port of the proxy: a TLS socket has these of the one below it. */
  readonly #peers = new Map<string, ProxiedPeer>();

  constructor(options: ProxyProtocolOptions) {
    this.#options = options;
    this.#networks = options.from.map((network) => ipaddr.parseCIDR(network));
  }

  /** Stands before the connection listeners that `server` has now. */
  guard(server: Server): void {
    if (this.#networks.length === 0) return;
    const accept = server.listeners('connection') as ((socket: Socket) => void)[];
    server.removeAllListeners('connection');
    server.on('connection', (socket: Socket) => {
      const go = (): void => {
        for (const one of accept) one.call(server, socket);
      };
      if (this.#isProxy(socket.remoteAddress)) this.#await(socket, go);
      else go();
    });
    server.prependListener('secureConnection', (socket: Socket) => this.name(socket));
  }

  /** Gives a socket the address of its peer, if it came through a proxy: for TLS sockets, which do not inherit it. */
  name(socket: Socket): void {
    const peer = this.#peers.get(pairOf(socket));
    if (peer !== undefined) setPeer(socket, peer);
  }

  #isProxy(address: string | undefined): boolean {
    if (address === undefined || !ipaddr.isValid(address)) return false;
    const ip = ipaddr.process(address);
    return this.#networks.some((network) => ip.kind() === network[0].kind() && ip.match(network as never));
  }

  #await(socket: Socket, go: () => void): void {
    const { clock, onRefused } = this.#options;
    const proxy = socket.remoteAddress ?? '';
    let bytes: Buffer = Buffer.alloc(0);
    const end = (): void => {
      cancel();
      socket.off('readable', read).off('error', refuseQuietly).off('close', end);
    };
    const refuse = (why: string): void => {
      end();
      socket.on('error', () => undefined).destroy();
      onRefused(proxy, why);
    };
    const refuseQuietly = (): void => {
      end();
      socket.on('error', () => undefined).destroy();
    };
    const read = (): void => {
      for (let part = socket.read() as Buffer | null; part !== null; part = socket.read() as Buffer | null) {
        bytes = Buffer.concat([bytes, part]);
      }
      const header = readProxyHeader(bytes);
      if (header === undefined) {
        if (bytes.length > 0) refuse('malformed');
        return;
      }
      if (header === 'more') return;
      end();
      const pair = pairOf(socket);
      if (header.peer !== undefined) {
        this.#peers.set(pair, header.peer);
        socket.once('close', () => this.#peers.delete(pair));
        setPeer(socket, header.peer);
      }
      if (bytes.length > header.length) socket.unshift(bytes.subarray(header.length));
      go();
    };
    const cancel = clock.after(DEADLINE, () => refuse('missing'));
    socket.on('readable', read).on('error', refuseQuietly).on('close', end);
  }
}

function pairOf({ remoteAddress = '', remotePort = 0 }: Socket): string {
  return `${remoteAddress}|${remotePort}`;
}

function setPeer(socket: Socket, { address, port }: ProxiedPeer): void {
  Object.defineProperties(socket, {
    remoteAddress: { value: address, configurable: true },
    remotePort: { value: port, configurable: true },
    remoteFamily: { value: isIP(address) === 6 ? 'IPv6' : 'IPv4', configurable: true },
  });
}
