/**
 * Message ids in the shape of SES: 4 hex digits for the region (`0100`), 12 for the time, ms, a UUID, `-000000`: 60
 * characters without a domain, as programs and tables built on SES expect. The Message-ID field of a message is
 * `<id@domain>`, with the domain of its From.
 */
import { randomUUID } from 'node:crypto';

const FORM = /^0100[0-9a-f]{12}-[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}-000000$/;

/** Makes a new id. Ids sort by time and cannot be guessed. @param now since the epoch, ms. */
export function newMessageId(now: number): string {
  return `0100${Math.floor(now).toString(16).padStart(12, '0')}-${randomUUID()}-000000`;
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

/** Writes the varying octets of an id at the start of a buffer. */
export function writeIdBytes(id: string, bytes: Buffer): void {
  bytes.write(id.slice(4, 16) + id.slice(17, 53).replaceAll('-', ''), 0, ID_BYTES, 'hex');
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
