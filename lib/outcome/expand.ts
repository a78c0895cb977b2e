/**
 * Expands the packing of reports: gzip, zip with one file, or none, piece by piece. Expansion stops at the bound and the
 * report is refused, even when its headers claim less, because a stranger may send a bomb. The work runs off the event
 * loop.
 */
import * as zlib from 'node:zlib';
import { PosternError } from '../errors.ts';

/** Maximum size of an expanded report: about a hundred times a large honest one, octets. */
export const MAX_EXPANDED = 16 * 1024 * 1024;

/** Size of the pieces, octets. */
const PIECE = 65_536;
const ZLIB = { chunkSize: PIECE };

/** Signature of a file's local header (APPNOTE.TXT 4.3.7). */
const LOCAL_HEADER = 0x04034b50;
const CENTRAL_HEADER = 0x02014b50;
const END_OF_DIRECTORY = 0x06054b50;
const STORED = 0;
const DEFLATED = 8;
/** Maximum distance of the end record from the end: its own 22 octets and a comment, octets. */
const END_DISTANCE = 22 + 65_535;

/**
 * Expands a report in pieces, so that it is never held whole.
 * @throws PosternError `bad_request` for one that is damaged or larger than the bound.
 */
export async function* expand(bytes: Buffer): AsyncGenerator<Buffer> {
  let octets = 0;
  for await (const piece of piecesOf(bytes)) {
    octets += piece.length;
    if (octets > MAX_EXPANDED) throw refused(`it expands to more than ${MAX_EXPANDED} octets`);
    yield piece;
  }
}

async function* piecesOf(bytes: Buffer): AsyncGenerator<Buffer> {
  try {
    if (bytes.length > 3 && bytes.readUInt16BE(0) === 0x1f8b) yield* inflated(zlib.createGunzip(ZLIB), bytes);
    else if (bytes.length > 3 && bytes.readUInt32LE(0) === LOCAL_HEADER) {
      const { method, packed } = unzip(bytes);
      yield* method === STORED ? sliced(packed) : inflated(zlib.createInflateRaw(ZLIB), packed);
    } else yield* sliced(bytes);
  } catch (error) {
    if (error instanceof PosternError) throw error;
    throw refused(`it cannot be expanded (${(error as Error).message})`);
  }
}

/** Leaving the loop early destroys the stream. */
async function* inflated(stream: zlib.Gunzip | zlib.InflateRaw, packed: Buffer): AsyncGenerator<Buffer> {
  stream.end(packed);
  for await (const piece of stream) yield piece as Buffer;
}

function* sliced(bytes: Buffer): Generator<Buffer> {
  for (let at = 0; at < bytes.length; at += PIECE) yield bytes.subarray(at, at + PIECE);
}

/**
 * Extracts the one file of an archive. Its length comes from the central directory, because a local header may leave
 * it out (4.4.4, bit 3).
 */
function unzip(bytes: Buffer): { method: number; packed: Buffer } {
  const least = Math.max(0, bytes.length - END_DISTANCE);
  let end = bytes.length - 22;
  while (end >= least && bytes.readUInt32LE(end) !== END_OF_DIRECTORY) end -= 1;
  if (end < least) throw refused('its zip archive has no directory');
  const directory = bytes.readUInt32LE(end + 16);
  if (bytes.readUInt16LE(end + 10) !== 1) throw refused('its zip archive does not hold exactly one file');
  if (bytes.readUInt32LE(directory) !== CENTRAL_HEADER)
    throw refused('the directory of its zip archive is damaged');
  const method = bytes.readUInt16LE(directory + 10);
  const length = bytes.readUInt32LE(directory + 20);
  const local = bytes.readUInt32LE(directory + 42);
  if (bytes.readUInt32LE(local) !== LOCAL_HEADER) throw refused('its zip archive is damaged');
  const begin = local + 30 + bytes.readUInt16LE(local + 26) + bytes.readUInt16LE(local + 28);
  if (begin + length > bytes.length) throw refused('its zip archive is cut off');
  const packed = bytes.subarray(begin, begin + length);
  if (method !== STORED && method !== DEFLATED) throw refused(`its zip archive uses method ${method}`);
  return { method, packed };
}

function refused(why: string): PosternError {
  return new PosternError('bad_request', `The report is refused: ${why}.`);
}
