/**
 * Message ids in the shape of SES: 4 hex digits for the region (`0100`), 12 for the time, ms, a UUID, `-000000`: 60
 * characters without a domain, as programs and tables built on SES expect. The Message-ID field of a message is
 * `<id@domain>`, with the domain of its From.
 */
import { hash, randomUUID } from 'node:crypto';

const FORM = /^0100[0-9a-f]{12}-[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}-000000$/;

/** Octets of a SHA-256, and room for one and the place of a message. */
const DIGEST = 32;
const HASHED = Buffer.alloc(DIGEST + 24);

/**
 * Makes a new id. Ids sort by time and cannot be guessed.
 * @param now since the epoch, ms. @param uuid of `callUuids`; by default that of a call of its own.
 */
export function newMessageId(now: number, uuid: string = callUuids()(0)): string {
  return `0100${Math.floor(now).toString(16).padStart(12, '0')}-${uuid}-000000`;
}

/**
 * The UUIDs of the messages of one call, by the place of a message in it. They are of version 8 (RFC 9562 §5.8): the first
 * 74 free bits are those of the call (`callOf`), the last 48 those of the message. A repeat of the call, under its
 * idempotency key, gives the same ones, so that the messages of the first are found by the ids of the second. The id of
 * the caller's access key is part of an idempotency key, so ids cannot be guessed from what recipients know; nor can the
 * id of a message from that of another of its call.
 * @param key idempotency key of the call; absent: the UUIDs are random.
 */
export function callUuids(key?: string): (place: number) => string {
  if (key === undefined) {
    // Node draws these from random bytes that it keeps in store; `randomBytes` costs a system call.
    const uuid = randomUUID();
    const start = `${uuid.slice(0, 14)}8${uuid.slice(15, 24)}`;
    // Its own last bits are those of the first message: most calls have one.
    return (place) => start + (place === 0 ? uuid : randomUUID()).slice(24);
  }
  const hex = hash('sha256', `call ${key}`);
  const variant = ((Number.parseInt(hex.slice(16, 18), 16) & 0x3f) | 0x80).toString(16);
  const start = `${hex.slice(0, 8)}-${hex.slice(8, 12)}-8${hex.slice(12, 15)}-${variant}${hex.slice(18, 20)}-`;
  return (place) => {
    // One buffer for all: three of their own a message would take as long as the hash.
    const end = HASHED.write(hex, 'hex') + HASHED.write(`/${place}`, DIGEST);
    return start + hash('sha256', HASHED.subarray(0, end)).slice(0, 12);
  };
}

/** The call of a message; undefined: its id was made without one, as all were in earlier versions. */
export function callOf(id: string): string | undefined {
  return id[31] === '8' ? id.slice(17, 40) : undefined;
}

/** The call of an idempotency key. */
export function callOfKey(key: string): string {
  return callUuids(key)(0).slice(0, 23);
}

/** The UUID of an id: what it has in common with those of repeats. */
export function uuidOf(id: string): string {
  return id.slice(17, 53);
}

/**
 * The id in a text that names a message: the id alone, a Message-ID field, or an id to which a program or an older
 * version added a domain (`id@email.amazonses.com`). Not checked: see `isMessageId`.
 */
export function messageIdIn(text: string): string {
  const bare = text.trim().replace(/^<|>$/g, '');
  const at = bare.indexOf('@');
  return at < 0 ? bare : bare.slice(0, at);
}

/** Whether a text has the shape that `newMessageId` gives. */
export function isMessageId(text: string): boolean {
  return FORM.test(text);
}

/** The content of the Message-ID field, without its angle brackets. @param domain of the From, a canonical domain. */
export function qualifiedId(id: string, domain: string): string {
  return `${id}@${domain}`;
}

/** Octets of an id that vary: the time (6) and the UUID (16). */
export const ID_BYTES = 22;

/** The value of each hexadecimal digit by its character; -1: none. */
const HEX = new Int8Array(128).fill(-1);
for (let i = 0; i < 16; i++) HEX[i.toString(16).charCodeAt(0)] = i;
/** Where the digits of those octets begin in an id. */
const DIGITS = Uint8Array.of(
  4,
  6,
  8,
  10,
  12,
  14,
  17,
  19,
  21,
  23,
  26,
  28,
  31,
  33,
  36,
  38,
  41,
  43,
  45,
  47,
  49,
  51,
);

/**
 * Writes the varying octets of an id at the start of a buffer. Digits are read by a table, and the shape is checked in
 * passing: return paths and references are made of every message.
 * @returns whether it is an id, as `isMessageId` has it; else what was written means nothing.
 */
export function writeIdBytes(id: string, bytes: Buffer): boolean {
  if (id.length !== 60 || !id.startsWith('0100') || !id.endsWith('-000000')) return false;
  if (id[16] !== '-' || id[25] !== '-' || id[30] !== '-' || id[35] !== '-' || id[40] !== '-') return false;
  let wrong = 0;
  for (let i = 0; i < ID_BYTES; i++) {
    const at = DIGITS[i]!;
    const high = HEX[id.charCodeAt(at)] ?? -1;
    const low = HEX[id.charCodeAt(at + 1)] ?? -1;
    wrong |= high | low;
    bytes[i] = (high << 4) | low;
  }
  return wrong >= 0;
}

/** Reads an id from the octets at the start of a buffer. */
export function readIdBytes(bytes: Buffer): string {
  const hex = bytes.toString('hex', 0, ID_BYTES);
  const uuid = [hex.slice(12, 20), hex.slice(20, 24), hex.slice(24, 28), hex.slice(28, 32), hex.slice(32)];
  return `0100${hex.slice(0, 12)}-${uuid.join('-')}-000000`;
}

/** When a message was accepted, read from its id, ms. */
export function acceptedAtOf(id: string): number {
  return Number.parseInt(id.slice(4, 16), 16);
}
