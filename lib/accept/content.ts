/**
 * Content in the forms that callers have becomes one kind of message: header fields and a body with clean
 * lines, its Message-ID and Date set by us (as SES does), nothing in it that only we should see.
 */
import { PosternError } from '../errors.ts';
import { parseAddress, parseAddressList } from '../mail/address.ts';
import { compose } from '../mail/compose.ts';
import { fieldValue, findField, parseMessage, unfoldedValue } from '../mail/message.ts';
import { checkMimeLimits } from '../mail/mime-limits.ts';
import { sanitise } from '../mail/sanitise.ts';
import { takeSesHeaders } from '../mail/ses-headers.ts';
import type { Address, HeaderField, ParsedMessage } from '../mail/types.ts';
import { compileTemplate, renderTemplate } from '../template/template.ts';
import type { RenderBudget } from '../template/types.ts';
import type { Random } from '../time.ts';
import { type Tracker, withoutPlaceholder } from '../tracking/tracking.ts';
import type { Content, Submission } from './types.ts';

/** What the X-SES headers of raw content asked for, and the message without them. */
export interface RawContent {
  message: ParsedMessage;
  from: Address;
  recipients: Address[];
  configurationSet?: string;
  tenant?: string;
  tags: { name: string; value: string }[];
}

/**
 * A message that has passed this many servers is in a loop (RFC 5321 §6.3 asks for at least 100 to be let
 * through; submission is the first hop, so far fewer are already wrong).
 */
const MAX_RECEIVED = 50;

/**
 * Opens raw content: lines made clean, X-SES headers taken out, one From required.
 * @throws message_rejected, invalid_header, invalid_address.
 */
export function openRaw(bytes: Buffer): RawContent {
  const parsed = parseMessage(sanitise(bytes, 'normalise'));
  checkMimeLimits(parsed);
  let from: Address | undefined;
  let received = 0;
  const recipients: Address[] = [];
  for (const field of parsed.fields) {
    switch (field.name) {
      case 'from': {
        // Several From fields or mailboxes let a reader be shown another sender than the one checked.
        const list = parseAddressList(unfoldedValue(field));
        if (from || list.length !== 1) {
          throw new PosternError(
            'message_rejected',
            'The message must have one From field with one address.',
          );
        }
        from = list[0];
        break;
      }
      case 'to':
      case 'cc':
      case 'bcc':
        for (const address of parseRecipients(field)) recipients.push(address);
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
  if (!from) throw new PosternError('message_rejected', "Missing required header 'From'.");
  const ses = takeSesHeaders(parsed.fields);
  return {
    message: { fields: ses.fields, body: parsed.body },
    from,
    recipients,
    configurationSet: ses.configurationSet,
    tenant: ses.tenant,
    tags: ses.tags,
  };
}

/** Recipients that a header field names; a field that no parser can read names none. */
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

/** Fields that are ours to set on raw content, whatever the sender wrote (SES overwrites both). */
const OURS = new Set(['message-id', 'date']);

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
 * @param tracker of its HTML, when opens or clicks are tracked. @throws rendering_failed and what compose refuses.
 */
export function composeContent(
  content: Exclude<Content, { kind: 'raw' }>,
  submission: Submission,
  ids: { messageId: string; date: number; random: Random },
  tracker: Tracker | undefined,
  budget: RenderBudget,
): ParsedMessage {
  const parts =
    content.kind === 'simple'
      ? content
      : renderTemplate(compileTemplate(content.parts), content.data, budget);
  return compose(
    {
      from: submission.from ?? '',
      to: submission.to,
      cc: submission.cc,
      replyTo: submission.replyTo,
      subject: parts.subject ?? '',
      text: parts.text,
      html: parts.html && (tracker ? (tracker(parts.html) ?? parts.html) : withoutPlaceholder(parts.html)),
      headers: content.headers,
      attachments: content.attachments,
    },
    ids,
  );
}

/** The From of a submission that is not raw. */
export function senderOf(submission: Submission): Address {
  if (!submission.from)
    throw new PosternError('bad_request', 'FromEmailAddress is missing: name the sender.');
  return parseAddress(submission.from);
}

/** The values of the fields that records and events show (`commonHeaders` of SES). */
export function commonHeaders(message: ParsedMessage, messageId: string) {
  const list = (name: string): string[] | undefined => {
    const field = findField(message.fields, name);
    return field ? [fieldValue(field)] : undefined;
  };
  return {
    from: list('from') ?? [],
    to: list('to'),
    cc: list('cc'),
    replyTo: list('reply-to'),
    subject: list('subject')?.[0],
    date: list('date')?.[0],
    messageId: `<${messageId}>`,
  };
}
