/**
 * A message of a lane: one line of JSON, then the body.
 *
 * ```
 *  {"v":2,"item":{…},"g":0}          ← the delivery; readable in the SQS console
 *  <base64 of zstd of the bytes>     ← only when `at` is absent: else the bytes are in the table or in S3
 * ```
 * SQS takes text of the characters of XML 1.0 and bills by the byte: base64 costs a third, zstd gives back
 * three quarters of usual mail.
 */
import { promisify } from 'node:util';
import { zstdCompress, zstdCompressSync, zstdDecompress, zstdDecompressSync } from 'node:zlib';
import { PosternError } from '../../errors.ts';
import { callOf } from '../../mail/message-id.ts';
import { type QueueItem, SCHEMA_VERSION } from '../items.ts';
import { sqsJson } from './sqs-json.ts';

/**
 * Version of this form. An envelope of a newer one stays in its queue for a newer node. Nodes of the first version know no
 * table of deliveries, and no put-back without a claim; mail of their time that has neither keeps their form.
 */
const ENVELOPE_VERSION = 2;

/** Place of the bytes, if not in the envelope itself. */
export type BodyPlace = 'table' | 's3';

export interface LaneEnvelope {
  item: QueueItem;
  /** Generation: how often the delivery was put back into a queue. Its record names the one that counts. */
  generation: number;
  /** Other copies of this delivery may exist: the record is claimed before it is handed out. */
  claim: boolean;
  at?: BodyPlace;
}

interface Head {
  v: number;
  item: QueueItem;
  g: number;
  c?: 1;
  at?: BodyPlace;
}

/** Size above which bodies are compressed off the event loop. */
const ASIDE = 128 * 1024;
/** Least size of a buffer of zlib, bytes. */
const LEAST_ROOM = 64;
const compressAside = promisify(zstdCompress);
const decompressAside = promisify(zstdDecompress);

/** @returns the compressed bytes, without waiting for other work when they are few. */
export function compress(bytes: Uint8Array): Buffer | Promise<Buffer> {
  return bytes.byteLength > ASIDE ? compressAside(bytes) : zstdCompressSync(bytes);
}

/** @throws PosternError `storage_damaged`. @param limit maximum size of a body, bytes. */
export async function decompress(packed: Uint8Array, limit: number): Promise<Buffer> {
  try {
    const options = { maxOutputLength: limit, chunkSize: roomFor(packed) };
    return packed.byteLength > ASIDE
      ? await decompressAside(packed, options)
      : zstdDecompressSync(packed, options);
  } catch (cause) {
    throw new PosternError('storage_damaged', 'The body of a queue item cannot be decompressed.', { cause });
  }
}

/**
 * Size of the buffer into which a frame is decompressed: one byte more than its content, by which its end is known. zlib's
 * own are of 16 KiB each, which a small body would hold while it is in hand, and a larger one is copied out of.
 * The content's size is in the frame's header (RFC 8878 §3.1.1.1), as `compress` writes it: of a single segment.
 */
function roomFor(frame: Uint8Array): number | undefined {
  const bytes = Buffer.from(frame.buffer, frame.byteOffset, frame.byteLength);
  if (bytes.length < 9 || (bytes[4]! & 0x23) !== 0x20) return undefined;
  const width = bytes[4]! >> 6;
  const size = [bytes[5]!, bytes.readUInt16LE(5) + 256, bytes.readUInt32LE(5)][width];
  if (size === undefined || size > ASIDE) return undefined;
  return Math.max(LEAST_ROOM, size + 1);
}

/** @param body base64 of the compressed bytes, when they travel in the envelope. */
export function writeEnvelope(envelope: LaneEnvelope, body: string | undefined): string {
  const former =
    callOf(envelope.item.messageId) === undefined && (envelope.claim || envelope.generation === 0);
  const head: Head = { v: former ? 1 : ENVELOPE_VERSION, item: envelope.item, g: envelope.generation };
  if (envelope.claim) head.c = 1;
  if (envelope.at) head.at = envelope.at;
  const line = sqsJson(head);
  return body === undefined ? line : `${line}\n${body}`;
}

/**
 * The envelope and, if it is in it, its compressed body.
 * @throws PosternError `storage_damaged` when it is none of ours, `storage_too_new` when a newer version wrote it.
 */
export function readEnvelope(text: string): { envelope: LaneEnvelope; packed?: Buffer } {
  const end = text.indexOf('\n');
  let head: Partial<Head> | null;
  try {
    head = JSON.parse(end < 0 ? text : text.slice(0, end)) as Partial<Head> | null;
  } catch (cause) {
    throw damaged(cause);
  }
  if (typeof head?.v === 'number' && head.v > ENVELOPE_VERSION) throw tooNew('form', head.v);
  if (typeof head?.item?.messageId !== 'string' || typeof head.g !== 'number') throw damaged();
  if (head.item.v > SCHEMA_VERSION) throw tooNew('schema', head.item.v);
  if (end < 0 && head.at === undefined) throw damaged();
  const envelope: LaneEnvelope = { item: head.item, generation: head.g, claim: head.c === 1, at: head.at };
  return end < 0 ? { envelope } : { envelope, packed: Buffer.from(text.slice(end + 1), 'base64') };
}

function damaged(cause?: unknown): PosternError {
  return new PosternError('storage_damaged', 'A message of a lane is no queue item.', { cause });
}

function tooNew(what: string, version: number): PosternError {
  return new PosternError(
    'storage_too_new',
    `A queue item has ${what} ${version}, newer than this Postern knows. Run a newer version.`,
  );
}
