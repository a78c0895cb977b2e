/**
 * Message ids in the shape of SES: 4 hex digits for the region (`0100`), 12 for the time, ms, a UUID, `-000000`: 60
 * characters. Postern's ids continue with `@` and a domain, because SDK wrappers (nodemailer among them) use an id
 * with an `@` as the whole Message-ID and otherwise append `@email.amazonses.com`. `<id>` is also the Message-ID
 * field of the message.
 */
import { randomUUID } from 'node:crypto';

const BASE = /^0100[0-9a-f]{12}-[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}-000000$/;

/** Length of a message id before its `@`. */
export const BASE_LENGTH = 60;

/**
 * Makes a new id. Ids sort by time and cannot be guessed.
 * @param now since the epoch, ms. @param domain after the `@`, a canonical domain.
 */
export function newMessageId(now: number, domain: string): string {
  return `0100${Math.floor(now).toString(16).padStart(12, '0')}-${randomUUID()}-000000@${domain}`;
}

/** The 60 characters before the `@`, which a return path carries. */
export function baseId(messageId: string): string {
  const at = messageId.indexOf('@');
  return at < 0 ? messageId : messageId.slice(0, at);
}

/** Whether a base id has the shape that `newMessageId` gives it. */
export function isBaseId(base: string): boolean {
  return BASE.test(base);
}

/** The MessageId of a stored record, as callers, events and the Message-ID field show it. */
export function messageIdOf(record: { id: string; fromDomain: string }): string {
  return `${record.id}@${record.fromDomain}`;
}

/** Octets of a base id that vary: the time (6) and the UUID (16). */
export const ID_BYTES = 22;

/** Writes the varying octets of a base id at the start of a buffer. */
export function writeIdBytes(base: string, bytes: Buffer): void {
  bytes.write(base.slice(4, 16) + base.slice(17, 53).replaceAll('-', ''), 0, ID_BYTES, 'hex');
}

/** Reads a base id from the octets at the start of a buffer. */
export function readIdBytes(bytes: Buffer): string {
  const hex = bytes.toString('hex', 0, ID_BYTES);
  const uuid = [hex.slice(12, 20), hex.slice(20, 24), hex.slice(24, 28), hex.slice(28, 32), hex.slice(32)];
  return `0100${hex.slice(0, 12)}-${uuid.join('-')}-000000`;
}

/** When a message was accepted, read from its id, ms. */
export function acceptedAtOf(base: string): number {
  return Number.parseInt(base.slice(4, 16), 16);
}
