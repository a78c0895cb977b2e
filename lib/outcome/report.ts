/**
 * Reads a message to a return path: a delivery status (RFC 3464, or a known form of prose), a complaint (RFC 5965, or
 * Outlook's JMRP), an automatic reply (RFC 3834), or anything else.
 *
 * The sender is a stranger. Only the first 128 KB or 4,000 lines are parsed (the report comes before the message that
 * it returns), nesting and header sizes are capped, and an unreadable message is `other`: nothing is thrown. Stray
 * CR, LF and NUL are corrected: nothing is relayed from here, and a bounce with one is still a bounce.
 */
import type { Email } from 'postal-mime';
import PostalMime from 'postal-mime';
import { referenceIn } from '../mail/message-reference.ts';
import { readArf, readJmrp } from './arf.ts';
import { isAutoReply } from './auto-reply.ts';
import { readDsn } from './dsn.ts';
import { readProse } from './dsn-prose.ts';
import { addresses, type Fields, field, readGroups } from './fields.ts';
import type { Original, Report, ReportMail } from './report-types.ts';

/** Maximum length of a report's start that is parsed, octets. */
export const MAX_PARSED = 128 * 1024;
/** Maximum lines: a parser pays for lines and parts more than for bytes; 64,000 empty lines cost most of a second. */
const MAX_LINES = 4000;
const LIMITS = {
  maxNestingDepth: 8,
  maxHeadersSize: 32 * 1024,
  forceRfc822Attachments: true,
  attachmentEncoding: 'arraybuffer',
} as const;

const ORIGINAL_TYPES = new Set([
  'message/rfc822',
  'message/global',
  'text/rfc822-headers',
  'message/global-headers',
]);

/** Parses a report. Never rejects. */
export async function parseReport(bytes: Buffer): Promise<Report> {
  try {
    return read(mailOf(await PostalMime.parse(head(normalise(bytes.subarray(0, MAX_PARSED))), LIMITS)));
  } catch {
    return { kind: 'other' };
  }
}

/** Ends all lines in CRLF and removes NUL. */
function normalise(bytes: Buffer): Buffer {
  const text = bytes.toString('latin1');
  if (!/\r(?!\n)|(?<!\r)\n|\0/.test(text)) return bytes;
  return Buffer.from(text.replaceAll('\0', '').replace(/\r+\n|\r|\n/g, '\r\n'), 'latin1');
}

/** The parsed start of a report. */
function head(bytes: Buffer): Buffer {
  let end = 0;
  for (let lines = 0; lines < MAX_LINES; lines++) {
    const next = bytes.indexOf(10, end) + 1;
    if (next === 0) return bytes;
    end = next;
  }
  return bytes.subarray(0, end);
}

function mailOf(mail: Email): ReportMail {
  return {
    // The subject, its encoded words decoded.
    header: (name) =>
      name === 'subject' ? mail.subject : mail.headers.find(({ key }) => key === name)?.value,
    part(types) {
      const content = mail.attachments.find(({ mimeType }) => types.has(mimeType))?.content;
      // LIMITS.attachmentEncoding makes content an ArrayBuffer; a part that postal-mime rewrites comes as bytes.
      return content === undefined || typeof content === 'string'
        ? content
        : Buffer.from(content as ArrayBuffer).toString();
    },
    count: (types) => mail.attachments.filter(({ mimeType }) => types.has(mimeType)).length,
    text: mail.text ?? '',
    date: mail.date,
  };
}

function read(mail: ReportMail): Report {
  const returned = mail.part(ORIGINAL_TYPES);
  const fields = returned === undefined ? undefined : readGroups(returned)[0];
  const original: Original = {
    messageId: field(fields, 'message-id'),
    references: references(fields),
    returnPaths: [...addresses(fields, 'return-path'), ...authenticated(fields)],
  };
  // Of two returned messages, one could be another sender's.
  const clear = mail.count(ORIGINAL_TYPES) < 2;
  return (
    readDsn(mail, original) ??
    (clear ? readArf(mail, original) : undefined) ??
    (clear ? readJmrp(mail, fields, original) : undefined) ??
    readProse(mail, original) ??
    (isAutoReply(mail.header) ? { kind: 'auto-reply' } : { kind: 'other' })
  );
}

/** References to the message in its own header. */
function references(fields: Fields | undefined): string[] {
  const own = fields?.get('x-postern-ref') ?? [];
  const inFeedbackId = (fields?.get('feedback-id') ?? []).map(referenceIn);
  return [...own, ...inFeedbackId].filter((text) => text !== undefined);
}

/**
 * Envelope senders that the recipient's server noted (RFC 8601 §2.7.2, RFC 7208 §9.1), because complaints of
 * Microsoft and of other systems return a message without Return-Path.
 */
function authenticated(fields: Fields | undefined): string[] {
  const results = (fields?.get('authentication-results') ?? []).map(
    (value) => /\bsmtp\.mailfrom="?([^\s;"]{1,320})/i.exec(value)?.[1],
  );
  const spf = (fields?.get('received-spf') ?? []).map(
    (value) => /\benvelope-from="?<?([^\s;">]{1,320})/i.exec(value)?.[1],
  );
  return [...results, ...spf].filter((address) => address?.includes('@')) as string[];
}
