/**
 * What a message to a return path says: a delivery status (RFC 3464, or prose that is known), a complaint
 * (RFC 5965, or Outlook's JMRP), an automatic reply (RFC 3834), or something else.
 *
 * The sender is a stranger. Only the first 128 KB or 4,000 lines are parsed (the report comes before the
 * message that it returns), nesting and header sizes are capped, and whatever cannot be read is `other`: nothing is thrown.
 */
import type { Email } from 'postal-mime';
import PostalMime from 'postal-mime';
import { readProse } from './dsn-prose.ts';
import type { Fields } from './report-fields.ts';
import { addressOf, field, printable, readGroups } from './report-fields.ts';

/** What a delivery status says of one recipient. */
export interface DsnRecipient {
  recipient?: string;
  /** The address as it was sent to, when it is not the final one (RFC 3464 §2.3.1). */
  originalRecipient?: string;
  /** `failed`, `delayed`, `delivered`, `relayed` or `expanded`. */
  action: string;
  /** Enhanced status code, as `5.1.1`. */
  status: string;
  /** `smtp; 550 5.1.1 user unknown`. */
  diagnosticCode?: string;
}

/** What the returned message (or its header) shows. */
export interface Original {
  messageId?: string;
  /** Envelope senders that the report claims: its return path must be among them, or be the recipient. */
  returnPaths: string[];
}

export type Report =
  | { kind: 'dsn'; reportingMta?: string; recipients: DsnRecipient[]; original: Original }
  | {
      kind: 'complaint';
      feedbackType: string;
      userAgent?: string;
      /** ms since the epoch. */
      arrivalDate?: number;
      recipients: string[];
      original: Original;
    }
  | { kind: 'auto-reply' }
  | { kind: 'other' };

const MAX_PARSED = 128 * 1024;
/** A parser pays for lines and parts more than for bytes: 64,000 empty lines cost it most of a second. */
const MAX_LINES = 4000;
const LIMITS = {
  maxNestingDepth: 8,
  maxHeadersSize: 32 * 1024,
  forceRfc822Attachments: true,
  attachmentEncoding: 'arraybuffer',
} as const;

const FEEDBACK_TYPES = new Set(['abuse', 'fraud', 'virus', 'other', 'not-spam', 'auth-failure']);
const ORIGINAL_TYPES = new Set([
  'message/rfc822',
  'message/global',
  'text/rfc822-headers',
  'message/global-headers',
]);
const STATUS_TYPES = new Set(['message/delivery-status', 'message/global-delivery-status']);

/** Reads a report. Never rejects. */
export async function parseReport(bytes: Buffer): Promise<Report> {
  try {
    return read(await PostalMime.parse(head(bytes), LIMITS));
  } catch {
    return { kind: 'other' };
  }
}

/** The part of the bytes that is parsed. */
function head(bytes: Buffer): Buffer {
  let end = 0;
  for (let lines = 0; lines < MAX_LINES; lines++) {
    const next = bytes.indexOf(10, end) + 1;
    if (next === 0 || next > MAX_PARSED) return bytes.subarray(0, MAX_PARSED);
    end = next;
  }
  return bytes.subarray(0, end);
}

function read(mail: Email): Report {
  const header = (name: string): string | undefined => mail.headers.find(({ key }) => key === name)?.value;
  const part = (types: ReadonlySet<string>): string | undefined => {
    const content = mail.attachments.find(({ mimeType }) => types.has(mimeType))?.content;
    // ArrayBuffer by LIMITS.attachmentEncoding; a part that postal-mime rewrites comes as bytes.
    return content === undefined || typeof content === 'string'
      ? content
      : Buffer.from(content as ArrayBuffer).toString();
  };
  const returned = part(ORIGINAL_TYPES);
  const originalFields = returned === undefined ? undefined : readGroups(returned)[0];
  const original: Original = {
    messageId: field(originalFields, 'message-id'),
    returnPaths: addresses(originalFields, 'return-path'),
  };

  const status = part(STATUS_TYPES);
  const dsn = status === undefined ? undefined : readStatus(readGroups(status), original);
  if (dsn) return dsn;
  const feedback = part(new Set(['message/feedback-report']));
  if (feedback !== undefined) return readFeedback(readGroups(feedback)[0], original);
  const jmrp = originalFields && readJmrp(mail, originalFields, original);
  if (jmrp) return jmrp;
  const prose = readProse(header, mail.text ?? '');
  if (prose) return { kind: 'dsn', recipients: prose.map(clean), original };
  return isAutoReply(header) ? { kind: 'auto-reply' } : { kind: 'other' };
}

/** RFC 3464 §2.1: a group about the message, then one for each recipient. */
function readStatus(groups: Fields[], original: Original): Report | undefined {
  const recipients = groups
    .filter((group) => group.has('final-recipient') || group.has('action'))
    .map((group): DsnRecipient => {
      const diagnosticCode = field(group, 'diagnostic-code');
      return {
        recipient: addressOf(field(group, 'final-recipient')),
        originalRecipient: addressOf(field(group, 'original-recipient')),
        action: field(group, 'action')?.toLowerCase().split(/[\s(]/)[0] || 'failed',
        status:
          /[245]\.[0-9]{1,3}\.[0-9]{1,3}/.exec(field(group, 'status') ?? diagnosticCode ?? '')?.[0] ??
          '5.0.0',
        diagnosticCode,
      };
    });
  if (recipients.length === 0) return undefined;
  return { kind: 'dsn', reportingMta: field(groups[0], 'reporting-mta'), recipients, original };
}

/** RFC 5965 §3. */
function readFeedback(fields: Fields | undefined, original: Original): Report {
  const type = field(fields, 'feedback-type')?.toLowerCase();
  if (!type) return { kind: 'other' };
  return {
    kind: 'complaint',
    // RFC 5965 §3.1: a type that is not known is to be treated as `other`.
    feedbackType: FEEDBACK_TYPES.has(type) ? type : 'other',
    userAgent: field(fields, 'user-agent'),
    arrivalDate: time(field(fields, 'arrival-date') ?? field(fields, 'received-date')),
    recipients: [...addresses(fields, 'original-rcpt-to'), ...addresses(fields, 'removal-recipient')],
    original: {
      messageId: original.messageId,
      returnPaths: [...addresses(fields, 'original-mail-from'), ...original.returnPaths],
    },
  };
}

/** Outlook's Junk Mail Reporting Program: the message as it came, with the complainer in a field of its own. */
function readJmrp(mail: Email, originalFields: Fields, original: Original): Report | undefined {
  const recipients = addresses(originalFields, 'x-hmxmroriginalrecipient');
  if (recipients.length === 0) return undefined;
  return {
    kind: 'complaint',
    feedbackType: 'abuse',
    userAgent: 'Outlook JMRP',
    arrivalDate: time(mail.date),
    recipients,
    original,
  };
}

/** RFC 3834 §5, and the fields that vacation programs used before it. */
function isAutoReply(header: (name: string) => string | undefined): boolean {
  const submitted = header('auto-submitted')?.trim().toLowerCase();
  if (submitted !== undefined && submitted !== 'no') return true;
  if (header('x-autoreply') ?? header('x-autorespond') ?? header('x-vacation')) return true;
  if (/^(?:auto_reply|bulk|junk)/i.test(header('precedence') ?? '')) return true;
  return /^(?:auto(?:matic)?[ -]?(?:reply|response)|out of (?:the )?office|réponse automatique|automatische antwort|abwesenheit)/i.test(
    header('subject')?.trim() ?? '',
  );
}

function addresses(fields: Fields | undefined, name: string): string[] {
  return (fields?.get(name) ?? []).map(addressOf).filter((address) => address !== undefined);
}

function clean(recipient: DsnRecipient): DsnRecipient {
  return { ...recipient, diagnosticCode: recipient.diagnosticCode && printable(recipient.diagnosticCode) };
}

function time(text: string | undefined): number | undefined {
  const ms = text === undefined ? Number.NaN : Date.parse(text);
  return Number.isNaN(ms) ? undefined : ms;
}
