/**
 * Converts the content of a submission to header fields and a body with clean lines, with Message-ID and Date set by
 * Postern (as SES does) and without the fields that are instructions for Postern.
 */
import type { MessageRecord } from '../engine/items.ts';
import { PosternError } from '../errors.ts';
import { parseAddress, parseAddressList, parseSender, parseSenders } from '../mail/address.ts';
import { SINGLE_FIELDS } from '../mail/caller-headers.ts';
import { compose } from '../mail/compose.ts';
import { fitsLines } from '../mail/encoding.ts';
import { fieldValue, parseMessage, unfoldedValue } from '../mail/message.ts';
import { FEEDBACK_FIELDS } from '../mail/message-reference.ts';
import { checkMimeLimits } from '../mail/mime-limits.ts';
import { breakLongLines, settleLines } from '../mail/sanitise.ts';
import { takeSesHeaders } from '../mail/ses-headers.ts';
import { toSevenBit } from '../mail/seven-bit.ts';
import { type Address, type HeaderField, type ParsedMessage, UNSUBSCRIBE_URL } from '../mail/types.ts';
import { compileTemplate, renderTemplate } from '../template/template.ts';
import type { RenderBudget } from '../template/types.ts';
import type { Random } from '../time.ts';
import { type Tracker, withoutPlaceholder } from '../tracking/tracking.ts';
import type { Content, Submission } from './types.ts';
import { fillUnsubscribeUrl, type UnsubscribeOptions } from './unsubscribe.ts';

/** The requests of the X-SES headers of raw content, and the message without them. */
export interface RawContent {
  message: ParsedMessage;
  from: Address;
  /** Further senders that the message names (Sender, Resent-From, Resent-Sender, Return-Path). */
  senders: Address[];
  /** Those that its To, Cc and Bcc fields name, where the call names none. */
  recipients: Address[];
  /** Its Return-Path field: where its sender wants feedback. */
  returnPath?: Address;
  configurationSet?: string;
  /** As `Submission.arns`. */
  arns: NonNullable<Submission['arns']>;
  tenant?: string;
  unsubscribe?: UnsubscribeOptions;
  tags: { name: string; value: string }[];
}

/**
 * Maximum number of Received fields: a message that has passed this many servers is in a loop. RFC 5321 §6.3 requires
 * that at least 100 pass; submission is the first hop, so far fewer are already wrong.
 */
const MAX_RECEIVED = 50;

/**
 * Opens raw content: lines made clean, everything 7-bit where that is possible, X-SES headers removed, one From
 * required.
 * @param addressed whether the call names the recipients, so that To, Cc and Bcc are only shown.
 * @throws bad_request without a From; message_rejected, invalid_header, invalid_address.
 */
export function openRaw(bytes: Buffer, addressed = false): RawContent {
  const settled = settleLines(bytes, 'normalise');
  const parsed = parseMessage(settled.bytes);
  checkMimeLimits(parsed);
  let from: Address | undefined;
  let received = 0;
  let returnPath: Address | undefined;
  const senders: Address[] = [];
  const recipients: Address[] = [];
  const seen = new Set<string>();
  for (const field of parsed.fields) {
    const { name } = field;
    if (name !== 'from' && SINGLE_FIELDS.has(name)) {
      // Readers differ in which of two they show.
      if (seen.has(name)) throw new PosternError('invalid_header', `Duplicate header '${nameOf(field)}'.`);
      seen.add(name);
    }
    switch (name) {
      case 'from': {
        // With several From fields or mailboxes, a reader may show another sender than the one checked.
        const list = parseSenders(unfoldedValue(field));
        if (from || list.length !== 1) {
          throw new PosternError(
            'message_rejected',
            'The message must have one From field with one address.',
          );
        }
        from = list[0];
        break;
      }
      case 'sender':
      case 'resent-from':
      case 'resent-sender':
        for (const address of parseAddressList(unfoldedValue(field))) senders.push(address);
        break;
      case 'return-path': {
        const path = unfoldedValue(field);
        if (path !== '' && path !== '<>') senders.push((returnPath = parseAddress(path)));
        break;
      }
      case 'to':
      case 'cc':
      case 'bcc':
        if (!addressed) for (const address of parseRecipients(field)) recipients.push(address);
        break;
      case 'received':
        if (++received > MAX_RECEIVED) {
          throw new PosternError(
            'message_rejected',
            `Mail loop: the message has over ${MAX_RECEIVED} Received fields.`,
          );
        }
        break;
    }
  }
  if (!from) throw new PosternError('bad_request', "Missing required header 'From'.");
  const ses = takeSesHeaders(parsed.fields);
  let message: ParsedMessage = { fields: ses.fields, body: parsed.body };
  if (settled.long || settled.eightBit) message = travelling(message);
  return {
    message,
    from,
    senders,
    recipients,
    returnPath,
    configurationSet: ses.configurationSet,
    arns: { source: ses.sourceArn, from: ses.fromArn, returnPath: ses.returnPathArn },
    tenant: ses.tenant,
    unsubscribe: ses.unsubscribe,
    tags: ses.tags,
  };
}

/** Encodes a message for servers without 8BITMIME, as far as possible; its lines at least are short enough. */
function travelling(message: ParsedMessage): ParsedMessage {
  const { fields, body } = toSevenBit(message);
  return { fields, body: fitsLines(body.toString('latin1')) ? body : breakLongLines(body) };
}

function nameOf({ raw }: HeaderField): string {
  return raw.slice(0, raw.indexOf(':'));
}

/** Recipients that a header field names; none when no parser can read it. */
function parseRecipients(field: HeaderField): Address[] {
  const text = unfoldedValue(field);
  if (text === '') return [];
  try {
    return parseAddressList(text);
  } catch (error) {
    if (error instanceof PosternError) return [];
    throw error;
  }
}

/** Fields that Postern sets on raw content in place of the sender's (SES overwrites both). */
const OURS = new Set(['message-id', 'date', ...FEEDBACK_FIELDS]);

/** Sets Message-ID and Date on raw content; `extra` fields go on top. */
export function completeRaw(
  message: ParsedMessage,
  messageId: string,
  date: string,
  extra: HeaderField[],
): ParsedMessage {
  const fields = extra.slice();
  for (const field of message.fields) if (!OURS.has(field.name)) fields.push(field);
  fields.push(
    { name: 'message-id', raw: `Message-ID: <${messageId}>` },
    { name: 'date', raw: `Date: ${date}` },
  );
  return { fields, body: message.body };
}

/**
 * Builds the message of simple or template content.
 * @param tracker of its HTML, when opens or clicks are tracked.
 * @param unsubscribeUrl by which its reader unsubscribes, if any. @throws rendering_failed and what compose refuses.
 */
export function composeContent(
  content: Exclude<Content, { kind: 'raw' }>,
  submission: Submission,
  ids: { messageId: string; date: number; random: Random },
  tracker: Tracker | undefined,
  unsubscribeUrl: string | undefined,
  budget: RenderBudget,
): ParsedMessage {
  const parts =
    content.kind === 'simple'
      ? content
      : renderTemplate(compileTemplate(content.parts), dataOf(content.data, submission), budget);
  const filled = (text: string | undefined): string | undefined =>
    text && unsubscribeUrl !== undefined ? (fillUnsubscribeUrl(text, unsubscribeUrl) ?? text) : text;
  return compose(
    {
      from: submission.from ?? '',
      to: submission.to,
      cc: submission.cc,
      replyTo: submission.replyTo,
      subject: parts.subject ?? '',
      text: filled(parts.text),
      html: filled(
        parts.html && (tracker ? (tracker(parts.html) ?? parts.html) : withoutPlaceholder(parts.html)),
      ),
      headers: content.headers,
      attachments: content.attachments,
    },
    ids,
  );
}

/** The placeholder stays in what is rendered: tracking must not take the link for one of the sender's. */
function dataOf(data: Record<string, unknown>, { unsubscribe }: Submission): Record<string, unknown> {
  return unsubscribe === undefined ? data : { ...data, amazonSESUnsubscribeUrl: UNSUBSCRIBE_URL };
}

/** The senders that a message names beside its From: each needs an identity, since readers show them too. */
export function otherSendersOf({ content }: Submission, raw: RawContent | undefined): readonly Address[] {
  if (raw) return raw.senders;
  const headers = content.kind === 'raw' ? undefined : content.headers;
  const sender = headers?.find(({ name }) => name.toLowerCase() === 'sender');
  return sender ? parseAddressList(sender.value) : [];
}

/** The From of a submission that is not raw. */
export function senderOf(submission: Submission): Address {
  if (!submission.from)
    throw new PosternError('bad_request', 'FromEmailAddress is missing: name the sender.');
  return parseSender(submission.from);
}

/** Maximum size of the header fields that an event shows (SES), octets. */
const MAX_HEADERS = 10_240;

/** All header fields but Bcc, decoded, up to 10 KB: `mail.headers` of SES's events. */
export function allHeaders({ fields }: ParsedMessage): NonNullable<MessageRecord['headers']> {
  const kept: [string, string][] = [];
  let octets = 0;
  for (const field of fields) {
    if (field.name === 'bcc') continue;
    const entry: [string, string] = [field.raw.slice(0, field.name.length), fieldValue(field)];
    octets += entry[0].length + Buffer.byteLength(entry[1]);
    if (octets > MAX_HEADERS) return { fields: kept, truncated: true };
    kept.push(entry);
  }
  return { fields: kept, truncated: false };
}

/** The values of the fields that records and events show (`commonHeaders` of SES). */
export function commonHeaders(message: ParsedMessage, messageId: string): MessageRecord['commonHeaders'] {
  const shown: MessageRecord['commonHeaders'] = {
    from: [],
    to: undefined,
    cc: undefined,
    replyTo: undefined,
    subject: undefined,
    date: undefined,
    messageId: `<${messageId}>`,
  };
  // Of a field that occurs twice, the first.
  for (const field of message.fields) {
    switch (field.name) {
      case 'from':
        if (shown.from.length === 0) shown.from = [fieldValue(field)];
        break;
      case 'to':
        shown.to ??= [fieldValue(field)];
        break;
      case 'cc':
        shown.cc ??= [fieldValue(field)];
        break;
      case 'reply-to':
        shown.replyTo ??= [fieldValue(field)];
        break;
      case 'subject':
        shown.subject ??= fieldValue(field);
        break;
      case 'date':
        shown.date ??= fieldValue(field);
        break;
    }
  }
  return shown;
}
