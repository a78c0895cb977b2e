/**
 * Exchanges one DNS query and its response over UDP, or over TCP when the response was truncated (RFC 7766). Each UDP
 * query has a socket of its own: a forger must guess its random port and a random id (RFC 5452), and the connected
 * socket accepts datagrams from that server only.
 *
 * `node:dns` does not suffice: it gives no TTL for MX and TXT records and none for a negative answer, so that no
 * answer could be cached for its owner's time; an alias that the server did not follow comes back as an empty list,
 * which reads as "no mail here"; and it hides which server answered, so that "no such domain" could not be confirmed
 * by another.
 */
import { randomInt } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { connect } from 'node:net';
import {
  AUTHENTIC_DATA,
  type DecodedPacket,
  decode,
  encode,
  type Packet,
  RECURSION_DESIRED,
  TRUNCATED_RESPONSE,
} from 'dns-packet';
import type { Clock } from '../time.ts';

export type RecordType = 'A' | 'AAAA' | 'MX' | 'PTR' | 'TXT';

export interface DnsServer {
  address: string;
  port: number;
}

/** Response codes about the name; every other code only reports that the server failed. */
export const RCODE = { noError: 0, noName: 3 } as const;

/** The response code (RFC 1035 §4.1.1). */
export function rcodeOf(packet: DecodedPacket): number {
  return (packet.flags ?? 0) & 0x0f;
}

/** Whether the server states that it validated the answer by DNSSEC (RFC 4035 §3.2.3). */
export function isAuthentic(packet: DecodedPacket): boolean {
  return ((packet.flags ?? 0) & AUTHENTIC_DATA) !== 0;
}

/** Maximum UDP response that is requested: the largest that travels unfragmented (DNS flag day 2020). */
const UDP_PAYLOAD = 1232;

/**
 * Queries `server` once.
 * @param timeout for the whole exchange, TCP included, ms.
 * @returns the response to exactly this query. Rejects with an `Error` that describes the failure.
 */
export async function exchange(
  server: DnsServer,
  name: string,
  type: RecordType,
  timeout: number,
  clock: Clock,
): Promise<DecodedPacket> {
  const id = randomInt(65_536);
  const query: Packet = {
    type: 'query',
    id,
    // AD: whether the server validated its answer is of interest, without the signatures (RFC 6840 §5.7).
    flags: RECURSION_DESIRED | AUTHENTIC_DATA,
    questions: [{ type, name, class: 'IN' }],
    additionals: [
      {
        type: 'OPT',
        name: '.',
        udpPayloadSize: UDP_PAYLOAD,
        extendedRcode: 0,
        ednsVersion: 0,
        flags: 0,
        flag_do: false,
        options: [],
      },
    ],
  };
  const bytes = encode(query);
  const end = clock.now() + timeout;
  const accept = (data: Buffer): DecodedPacket | undefined => responseTo(data, id, name, type);
  const response = await overUdp(server, bytes, accept, timeout, clock);
  if (((response.flags ?? 0) & TRUNCATED_RESPONSE) === 0) return response;
  return overTcp(server, bytes, accept, Math.max(1, end - clock.now()), clock);
}

/** The decoded response, or undefined for one that does not answer this query (a forgery, a late answer). */
function responseTo(data: Buffer, id: number, name: string, type: RecordType): DecodedPacket | undefined {
  let packet: DecodedPacket;
  try {
    packet = decode(data);
  } catch {
    return undefined;
  }
  if (packet.type !== 'response' || packet.id !== id) return undefined;
  const question = packet.questions?.[0];
  if (question === undefined) {
    // A server that cannot parse the query (FORMERR) may omit the question; its response asserts nothing.
    return rcodeOf(packet) === RCODE.noError || rcodeOf(packet) === RCODE.noName ? undefined : packet;
  }
  return question.type === type && question.name.toLowerCase() === name ? packet : undefined;
}

type AcceptResponse = (data: Buffer) => DecodedPacket | undefined;

function overUdp(server: DnsServer, query: Buffer, accept: AcceptResponse, timeout: number, clock: Clock) {
  return new Promise<DecodedPacket>((resolve, reject) => {
    const socket = createSocket(server.address.includes(':') ? 'udp6' : 'udp4');
    let open = true;
    const finish = (settle: () => void): void => {
      if (!open) return;
      open = false;
      cancel();
      socket.close();
      settle();
    };
    const cancel = clock.after(timeout, () => finish(() => reject(new Error('no answer in time'))));
    socket.on('error', (error) => finish(() => reject(error)));
    socket.on('message', (data) => {
      const response = accept(data);
      if (response !== undefined) finish(() => resolve(response));
    });
    socket.connect(server.port, server.address, () => {
      if (open) socket.send(query);
    });
  });
}

function overTcp(server: DnsServer, query: Buffer, accept: AcceptResponse, timeout: number, clock: Clock) {
  return new Promise<DecodedPacket>((resolve, reject) => {
    const socket = connect(server.port, server.address);
    let received = Buffer.alloc(0);
    const finish = (settle: () => void): void => {
      cancel();
      socket.destroy();
      settle();
    };
    const cancel = clock.after(timeout, () => finish(() => reject(new Error('no answer in time over TCP'))));
    socket.on('error', (error) => finish(() => reject(error)));
    socket.on('close', () => finish(() => reject(new Error('connection closed before the answer'))));
    socket.on('connect', () => {
      const length = Buffer.alloc(2);
      length.writeUInt16BE(query.length);
      socket.write(Buffer.concat([length, query]));
    });
    socket.on('data', (data: Buffer) => {
      // One message of at most 65,535 bytes is expected; its length bounds the kept data.
      received = Buffer.concat([received, data]);
      if (received.length < 2) return;
      const length = received.readUInt16BE(0);
      if (received.length < length + 2) return;
      const response = accept(received.subarray(2, length + 2));
      finish(() => (response ? resolve(response) : reject(new Error('malformed answer over TCP'))));
    });
  });
}
