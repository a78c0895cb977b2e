/** A real DNS server on loopback, UDP and TCP on one port, that answers from a zone given by the test. */
import { createSocket, type Socket as UdpSocket } from 'node:dgram';
import { once } from 'node:events';
import { createServer, type Server } from 'node:net';
import {
  type Answer,
  AUTHENTIC_DATA,
  AUTHORITATIVE_ANSWER,
  type DecodedPacket,
  decode,
  encode,
  RECURSION_AVAILABLE,
  RECURSION_DESIRED,
  TRUNCATED_RESPONSE,
} from 'dns-packet';

/** The answer to a question. `silent`: no answer. */
export interface ZoneEntry {
  /** Records of the answer section, CNAME chain included; a default name, class and TTL are filled in. */
  answers?: (Partial<Answer> & { type: Answer['type']; data: unknown })[];
  /** TTL and minimum of a SOA in the authority section (RFC 2308). */
  soa?: { ttl: number; minimum: number };
  /** 0 NOERROR, 2 SERVFAIL, 3 NXDOMAIN, 5 REFUSED. */
  rcode?: number;
  silent?: boolean;
  /** The answer counts as validated by DNSSEC (AD). */
  authentic?: boolean;
  /** UDP responses are truncated and empty, so that the client must use TCP. */
  truncated?: boolean;
  /** Bytes to send over UDP before the answer, made from it (forgeries). */
  before?: (response: Buffer) => Buffer[];
  /** Bytes that another socket sends before the answer. */
  stranger?: (response: Buffer) => Buffer;
}

export interface TestDnsServer {
  port: number;
  /** `host:port` fields as settings have them. */
  endpoint: { host: string; port: number };
  /** Answers by `TYPE name`. A missing entry is NXDOMAIN when no type of the name exists, else NODATA. */
  zone: Map<string, ZoneEntry>;
  /** Questions in the order of arrival: `udp A example.com`. */
  questions: string[];
  close(): Promise<void>;
}

/** Starts a server on 127.0.0.1. */
export async function startDnsServer(zone: Record<string, ZoneEntry> = {}): Promise<TestDnsServer> {
  const entries = new Map(Object.entries(zone));
  const questions: string[] = [];
  const tcp: Server = createServer();
  tcp.listen(0, '127.0.0.1');
  await once(tcp, 'listening');
  const { port } = tcp.address() as { port: number };
  const udp: UdpSocket = createSocket('udp4');
  udp.bind(port, '127.0.0.1');
  await once(udp, 'listening');

  function entryOf(query: DecodedPacket): ZoneEntry {
    const { type, name } = query.questions![0]!;
    const found = entries.get(`${type} ${name.toLowerCase()}`);
    if (found) return found;
    const exists = [...entries.keys()].some((key) => key.endsWith(` ${name.toLowerCase()}`));
    return exists ? {} : { rcode: 3 };
  }

  function respond(query: DecodedPacket, entry: ZoneEntry, truncated: boolean): Buffer {
    const { name } = query.questions![0]!;
    const answers = truncated ? [] : (entry.answers ?? []);
    return encode({
      type: 'response',
      id: query.id,
      flags:
        (entry.rcode ?? 0) |
        (entry.authentic ? AUTHENTIC_DATA : 0) |
        AUTHORITATIVE_ANSWER |
        RECURSION_DESIRED |
        RECURSION_AVAILABLE |
        (truncated ? TRUNCATED_RESPONSE : 0),
      questions: query.questions,
      answers: answers.map((answer) => ({ name, class: 'IN', ttl: 300, ...answer }) as Answer),
      authorities: entry.soa
        ? [
            {
              type: 'SOA',
              name,
              class: 'IN',
              ttl: entry.soa.ttl,
              data: { mname: 'ns.test', rname: 'root.test', minimum: entry.soa.minimum },
            },
          ]
        : [],
    });
  }

  udp.on('message', (data, peer) => {
    const query = decode(data);
    const entry = entryOf(query);
    questions.push(`udp ${query.questions![0]!.type} ${query.questions![0]!.name}`);
    if (entry.silent) return;
    const response = respond(query, entry, entry.truncated ?? false);
    if (entry.stranger) {
      const forged = entry.stranger(response);
      const other = createSocket('udp4');
      other.send(forged, peer.port, peer.address, () => {
        other.close();
        udp.send(response, peer.port, peer.address);
      });
      return;
    }
    for (const forged of entry.before?.(response) ?? []) udp.send(forged, peer.port, peer.address);
    udp.send(response, peer.port, peer.address);
  });
  tcp.on('connection', (socket) => {
    let received = Buffer.alloc(0);
    socket.on('error', () => undefined);
    socket.on('data', (data: Buffer) => {
      received = Buffer.concat([received, data]);
      if (received.length < 2 || received.length < received.readUInt16BE(0) + 2) return;
      const query = decode(received.subarray(2));
      questions.push(`tcp ${query.questions![0]!.type} ${query.questions![0]!.name}`);
      const response = respond(query, entryOf(query), false);
      const length = Buffer.alloc(2);
      length.writeUInt16BE(response.length);
      // TCP may split an answer in two.
      socket.write(Buffer.concat([length, response.subarray(0, 5)]));
      socket.end(response.subarray(5));
    });
  });

  return {
    port,
    endpoint: { host: '127.0.0.1', port },
    zone: entries,
    questions,
    async close() {
      udp.close();
      tcp.close();
      await Promise.all([once(udp, 'close'), once(tcp, 'close')]);
    },
  };
}

/** Zone entry of MX records: `mx([10, 'mx1.test'], …)`. */
export function mx(...hosts: [preference: number, exchange: string][]): ZoneEntry {
  return { answers: hosts.map(([preference, exchange]) => ({ type: 'MX', data: { preference, exchange } })) };
}

/** Zone entry of A records. */
export function a(...addresses: string[]): ZoneEntry {
  return { answers: addresses.map((data) => ({ type: 'A', data })) };
}

/** Zone entry of AAAA records. */
export function aaaa(...addresses: string[]): ZoneEntry {
  return { answers: addresses.map((data) => ({ type: 'AAAA', data })) };
}
