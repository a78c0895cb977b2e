/**
 * Tracking in raw MIME: the HTML parts that readers show are decoded, tracked and encoded again. Every octet of the
 * message outside of them stays, and so does a part in which there is nothing to track.
 *
 * Skipped: attachments, attached messages, parts that `editLeaves` skips, and HTML whose charset or transfer encoding
 * is unknown or given twice.
 */
import { decodeQuotedPrintable, encodeBase64, encodeOctets, fitsLines } from '../mail/encoding.ts';
import { editLeaves, IDENTITY, type MimeLeaf, withEncoding } from '../mail/mime-parts.ts';
import type { ParsedMessage } from '../mail/types.ts';
import type { Tracker } from './tracking.ts';

/**
 * The message with its HTML tracked; the same object when nothing changed.
 * @param fill replaces what else is to be replaced in its texts, after tracking; undefined: nothing.
 * @param message within the limits of `checkMimeLimits`.
 */
export function trackMessage(
  message: ParsedMessage,
  tracker: Tracker | undefined,
  fill?: (text: string) => string | undefined,
): ParsedMessage {
  const html: Tracker = (text, read) => {
    const tracked = tracker?.(text, read);
    return fill?.(tracked ?? text) ?? tracked;
  };
  return editLeaves(message, (leaf) => {
    if (leaf.type === 'text/html') return trackLeaf(leaf, html);
    return fill && leaf.type === 'text/plain' ? trackLeaf(leaf, fill) : undefined;
  });
}

function trackLeaf(leaf: MimeLeaf, tracker: Tracker): ParsedMessage | undefined {
  const { contentType, encoding, disposition, fields, body } = leaf;
  if (disposition !== '' && disposition !== 'inline') return undefined;
  const decode = DECODERS.get(encoding);
  if (!decode) return undefined;
  const changed = trackOctets(decode(body), charsetOf(contentType), tracker);
  if (!changed) return undefined;
  if (encoding === 'base64') return { fields, body: encodeBase64(changed) };
  if (IDENTITY.has(encoding) && fitsLines(changed.toString('latin1'))) return { fields, body: changed };
  const encoded = encodeOctets(changed);
  const same = encoded.encoding === encoding;
  return { fields: same ? fields : withEncoding(fields, encoded.encoding), body: encoded.bytes };
}

const DECODERS = new Map<string, (body: Buffer) => Buffer>([
  ['7bit', (body) => body],
  ['8bit', (body) => body],
  ['binary', (body) => body],
  ['quoted-printable', (body) => decodeQuotedPrintable(body.toString('latin1'))],
  ['base64', (body) => Buffer.from(body.toString('latin1'), 'base64')],
]);

/**
 * Finds links among the octets, one character each, in any charset that contains ASCII: the rest need not be decoded,
 * and stays as it is. ISO-2022-JP shifts to other characters in the same octets; these are masked.
 */
function trackOctets(octets: Buffer, charset: string | undefined, tracker: Tracker): Buffer | undefined {
  if (charset === undefined || charset.startsWith('utf-16')) return undefined;
  const html = octets.toString('latin1');
  const changed = charset === 'iso-2022-jp' ? tracker(html, html.replace(SHIFTED, cover)) : tracker(html);
  return changed === undefined ? undefined : Buffer.from(changed, 'latin1');
}

/** Text from the shift to a set other than ASCII up to the shift back (RFC 1468). */
const SHIFTED = /\x1b(?:\$|\([^BJ])[\s\S]*?(?=\x1b\([BJ]|$)/g;

function cover(shifted: string): string {
  return '\x80'.repeat(shifted.length);
}

const CHARSET = /;\s*charset\s*=\s*(?:"([^"\\]*)"|([^\s;"]+))/i;

/** The charset under its name in the Encoding standard; undefined for an unknown one. */
function charsetOf(contentType: string): string | undefined {
  if (/;\s*charset\*/i.test(contentType)) return undefined;
  const match = CHARSET.exec(contentType);
  try {
    return new TextDecoder(match?.[1] ?? match?.[2] ?? 'us-ascii').encoding;
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}
