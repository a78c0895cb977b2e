/** The extensions in a peer's reply to EHLO (RFC 5321 §4.1.1.1), and whether a message fits them. */
import type { ReasonCode } from '../outcome/reasons.ts';
import { isAscii, isSafePath } from './commands.ts';
import type { SmtpReply, Transaction } from './types.ts';

/** The extensions that decide how a transaction is written. */
export interface Peer {
  pipelining: boolean;
  chunking: boolean;
  eightBit: boolean;
  smtpUtf8: boolean;
  size: boolean;
  /** Maximum message size, octets; Infinity when the peer names none (RFC 1870 §3). */
  maxSize: number;
}

/** Keywords in upper case and their parameters. The first line greets and carries none. */
export function readExtensions(reply: SmtpReply): Map<string, string> {
  const extensions = new Map<string, string>();
  for (const line of reply.lines.slice(1)) {
    const space = line.indexOf(' ');
    const keyword = space === -1 ? line : line.slice(0, space);
    if (keyword !== '')
      extensions.set(keyword.toUpperCase(), space === -1 ? '' : line.slice(space + 1).trim());
  }
  return extensions;
}

/** @param chunking whether the peer is believed to honour its offer of CHUNKING. */
export function readPeer(extensions: ReadonlyMap<string, string>, chunking = true): Peer {
  const size = extensions.get('SIZE');
  const limit = size !== undefined && /^\d{1,15}$/.test(size) ? Number(size) : 0;
  return {
    pipelining: extensions.has('PIPELINING'),
    chunking: chunking && extensions.has('CHUNKING'),
    eightBit: extensions.has('8BITMIME'),
    smtpUtf8: extensions.has('SMTPUTF8'),
    size: size !== undefined,
    maxSize: limit > 0 ? limit : Number.POSITIVE_INFINITY,
  };
}

/** Why this peer cannot receive this message at all; undefined when it can. */
export function misfit(item: Transaction, peer: Peer): { code: ReasonCode; text: string } | undefined {
  if (!isSafePath(item.mailFrom, true))
    return { code: 'invalid_address', text: 'The sender address cannot be written in a MAIL command.' };
  if (item.bytes.length > peer.maxSize)
    return {
      code: 'over_peer_size',
      text: `The message has ${item.bytes.length} octets and the peer takes ${peer.maxSize}.`,
    };
  if (item.eightBit && !peer.eightBit)
    return { code: 'needs_8bitmime', text: 'The message has 8-bit content and the peer offers no 8BITMIME.' };
  if (needsUtf8(item) && !peer.smtpUtf8)
    return {
      code: 'needs_smtputf8',
      text: 'The message is internationalised and the peer offers no SMTPUTF8.',
    };
  return undefined;
}

/**
 * Whether the transaction needs SMTPUTF8: an address beyond ASCII is only legal under it (RFC 6531 §3.3), even when
 * the caller did not request it.
 */
export function needsUtf8(item: Transaction): boolean {
  return item.smtpUtf8 || !isAscii(item.mailFrom) || item.recipients.some((address) => !isAscii(address));
}
