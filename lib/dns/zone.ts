/**
 * What an authoritative server answers for one zone of TXT records, each directly below its apex: pure but for the look-up of
 * a record. It never recurses, and answers for no other name (RFC 1034 §4.3.2, RFC 2308, RFC 6891, RFC 8482).
 *
 * | question                            | answer                                                    |
 * | ----------------------------------- | --------------------------------------------------------- |
 * | TXT or ANY of a record              | it                                                        |
 * | SOA, NS of the apex                 | that                                                      |
 * | another type of the apex or a record | NOERROR without records, and SOA (NODATA)                |
 * | another name in the zone            | NXDOMAIN, and SOA                                         |
 * | a name outside, another class, a transfer | REFUSED                                             |
 * | another operation                   | NOTIMP; more or fewer than one question: FORMERR          |
 * | EDNS of another version             | BADVERS                                                   |
 */
import {
  type Answer,
  AUTHORITATIVE_ANSWER,
  type DecodedPacket,
  decode,
  encode,
  type OptAnswer,
  type Packet,
  RECURSION_DESIRED,
  TRUNCATED_RESPONSE,
} from 'dns-packet';

export interface Zone {
  /** As `dkim.mail.example.com`. */
  name: string;
  /** Host name of this server, as in the delegation. */
  server: string;
  /** Serial number of the zone; no server copies it. */
  serial: () => number;
  /** Text of the record of a label in lower case. A rejection is answered SERVFAIL. */
  find(label: string): Promise<string | undefined>;
}

/** Life of a record, and of the answer that there is none, s: a new record must not wait for the end of the latter. */
export const RECORD_TTL = 3_600;
const NEGATIVE_TTL = 60;
export const SOA_TIMES = { refresh: 3_600, retry: 600, expire: 604_800, minimum: NEGATIVE_TTL } as const;
/** Largest datagram without EDNS (RFC 1035 §4.2.1), and the largest that is sent at all (DNS flag day 2020), octets. */
const PLAIN_PAYLOAD = 512;
const MAX_PAYLOAD = 1_232;
const HEADER = 12;
const OPCODE = 0x7800;
const RESPONSE = 0x8000;
const DNSSEC_OK = 0x8000;
/** Length of a character string (RFC 1035 §3.3). */
const STRING = 255;

const RCODE = { formatError: 1, failure: 2, noName: 3, notImplemented: 4, refused: 5 } as const;
/** Extended code of an unknown version of EDNS (RFC 6891 §6.1.3): 16, in two parts. */
const BAD_VERSION = { rcode: 0, extended: 1 } as const;
const TRANSFERS = new Set(['AXFR', 'IXFR', 'MAILA', 'MAILB']);

interface ZoneReply {
  rcode: number;
  extended?: number;
  isAuthoritative?: boolean;
  answers?: Answer[];
  authorities?: Answer[];
}

/**
 * Answers a message. @param transport of the message: over TCP an answer of any length fits.
 * @returns undefined: it deserves none, as a response or less than a header.
 */
export async function respond(
  message: Buffer,
  zone: Zone,
  transport: 'udp' | 'tcp',
): Promise<Buffer | undefined> {
  // A response that was answered could bounce between two servers for ever.
  if (message.length < HEADER || (message.readUInt16BE(2) & RESPONSE) !== 0) return undefined;
  if ((message.readUInt16BE(2) & OPCODE) !== 0) return bare(message, RCODE.notImplemented);
  const query = parsed(message);
  if (query === undefined) return bare(message, RCODE.formatError);
  const opt = query.additionals?.find((record): record is OptAnswer => record.type === 'OPT');
  const reply = await replyTo(query, opt, zone);
  const whole = written(query, opt, reply);
  if (transport === 'tcp') return whole;
  const room = Math.min(Math.max(opt?.udpPayloadSize ?? PLAIN_PAYLOAD, PLAIN_PAYLOAD), MAX_PAYLOAD);
  return whole.length <= room
    ? whole
    : written(query, opt, { rcode: reply.rcode, isAuthoritative: true }, true);
}

/** Serial number of a zone at a time, ms: it grows with time, until 2106. */
export function serialAt(now: number): number {
  return Math.floor(now / 1_000) >>> 0;
}

/** The answer "ask over TCP": no longer than its question, whatever the record. */
export function truncated(message: Buffer): Buffer | undefined {
  const query = message.length < HEADER ? undefined : parsed(message);
  if (query === undefined || (message.readUInt16BE(2) & (RESPONSE | OPCODE)) !== 0) return undefined;
  return written(query, undefined, { rcode: 0, isAuthoritative: true }, true);
}

/** A message with one question that stands as it would be written again; undefined for any other. */
function parsed(message: Buffer): DecodedPacket | undefined {
  if (message.readUInt16BE(4) !== 1) return undefined;
  try {
    const query = decode(message);
    const [question] = query.questions!;
    // A label with a dot or with octets that are no text in it would pass for another name.
    const again = encode({ type: 'query', questions: [question!] }).subarray(HEADER);
    return again.equals(message.subarray(HEADER, HEADER + again.length)) ? query : undefined;
  } catch {
    return undefined;
  }
}

async function replyTo(query: DecodedPacket, opt: OptAnswer | undefined, zone: Zone): Promise<ZoneReply> {
  if (opt && opt.ednsVersion !== 0) return { rcode: BAD_VERSION.rcode, extended: BAD_VERSION.extended };
  const { name, class: kind, ...question } = query.questions![0]!;
  // The types of the library leave ANY out.
  const type: string = question.type;
  const asked = name.toLowerCase();
  const isInside = asked === zone.name || asked.endsWith(`.${zone.name}`);
  if (!isInside || kind !== 'IN' || TRANSFERS.has(type)) return { rcode: RCODE.refused };
  if (asked === zone.name) return ofApex(name, type, zone);
  const label = asked.slice(0, -zone.name.length - 1);
  let value: string | undefined;
  try {
    value = label.includes('.') ? undefined : await zone.find(label);
  } catch {
    return { rcode: RCODE.failure };
  }
  if (value === undefined) return { ...none(zone), rcode: RCODE.noName };
  if (type !== 'TXT' && type !== 'ANY') return none(zone);
  const data = characterStrings(value);
  return { rcode: 0, isAuthoritative: true, answers: [{ type: 'TXT', name, ttl: RECORD_TTL, data }] };
}

function ofApex(name: string, type: string, zone: Zone): ZoneReply {
  const { server: data } = zone;
  if (type === 'NS' || type === 'ANY')
    return { rcode: 0, isAuthoritative: true, answers: [{ type: 'NS', name, ttl: RECORD_TTL, data }] };
  if (type === 'SOA') return { rcode: 0, isAuthoritative: true, answers: [soa({ ...zone, name })] };
  return none(zone);
}

/** "There is none": an answer that caches may keep for a minute (RFC 2308 §3). */
function none(zone: Zone): ZoneReply {
  return { rcode: 0, isAuthoritative: true, authorities: [soa(zone)] };
}

function soa({ name, server, serial }: Pick<Zone, 'name' | 'server' | 'serial'>): Answer {
  const data = { mname: server, rname: `hostmaster.${name}`, serial: serial(), ...SOA_TIMES };
  return { type: 'SOA', name, ttl: NEGATIVE_TTL, data };
}

/** A text in strings of 255 octets (RFC 6376 §3.6.2.2). */
export function characterStrings(text: string): string[] {
  return text.match(new RegExp(`.{1,${STRING}}`, 'gs')) ?? [''];
}

function written(
  query: DecodedPacket,
  opt: OptAnswer | undefined,
  { rcode, extended = 0, isAuthoritative, answers = [], authorities = [] }: ZoneReply,
  isTruncated = false,
): Buffer {
  const packet: Packet = {
    type: 'response',
    id: query.id,
    flags:
      rcode |
      ((query.flags ?? 0) & RECURSION_DESIRED) |
      (isAuthoritative ? AUTHORITATIVE_ANSWER : 0) |
      (isTruncated ? TRUNCATED_RESPONSE : 0),
    questions: query.questions,
    answers,
    authorities,
    additionals: opt ? [ownOpt(opt, extended)] : [],
  };
  return encode(packet);
}

function ownOpt(of: OptAnswer, extendedRcode: number): OptAnswer {
  return {
    type: 'OPT',
    name: '.',
    udpPayloadSize: MAX_PAYLOAD,
    extendedRcode,
    ednsVersion: 0,
    // RFC 3225 §3: as in the question.
    flags: (of.flags ?? 0) & DNSSEC_OK,
    flag_do: ((of.flags ?? 0) & DNSSEC_OK) !== 0,
    options: [],
  };
}

/** An answer of a header alone, to a message whose rest is not read. */
function bare(message: Buffer, rcode: number): Buffer {
  const answer = Buffer.alloc(HEADER);
  message.copy(answer, 0, 0, 2);
  const flags = RESPONSE | (message.readUInt16BE(2) & (OPCODE | RECURSION_DESIRED)) | rcode;
  answer.writeUInt16BE(flags, 2);
  return answer;
}
