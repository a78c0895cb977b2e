/**
 * Reads and removes the fields of a raw message that are instructions for SES (SES Developer Guide, "X-SES headers"),
 * because they would show the sender's set-up to the recipient. Bcc is removed because its readers must not see each
 * other, Return-Path because only the last relay may write it (RFC 5321 §4.4).
 */
import { PosternError } from '../errors.ts';
import { fieldValue } from './message.ts';
import type { HeaderField } from './types.ts';

/** The instructions of the fields, and the remaining fields. */
export interface SesHeaders {
  /** The fields that travel. */
  fields: HeaderField[];
  configurationSet?: string;
  tags: { name: string; value: string }[];
  tenant?: string;
  sourceArn?: string;
  fromArn?: string;
  returnPathArn?: string;
  unsubscribe?: { contactList: string; topic?: string };
}

const REMOVED = new Set(['bcc', 'resent-bcc', 'return-path']);

/** Message tags: SES's characters and length, and its two tags that fill the Feedback-ID. */
const TAG_NAME = /^[A-Za-z0-9_-]{1,255}$/;
const TAG_VALUE = /^[A-Za-z0-9_.@-]{1,255}$/;
const FEEDBACK_TAG = /^ses:feedback-id-[ab]$/;

function removed(name: string): boolean {
  return name.startsWith('x-ses-') || REMOVED.has(name);
}

function invalid(message: string): PosternError {
  return new PosternError('invalid_header', message);
}

/**
 * Reads and removes the instructions.
 * @throws `invalid_header` when a field occurs twice (it is ambiguous which of them holds), or its value does not
 * have the form that SES defines.
 */
export function takeSesHeaders(fields: HeaderField[]): SesHeaders {
  if (!fields.some((f) => removed(f.name))) return { fields, tags: [] };
  const out: SesHeaders = { fields: [], tags: [] };
  const seen = new Set<string>();
  for (const f of fields) {
    if (!removed(f.name)) {
      out.fields.push(f);
      continue;
    }
    const value = f.name.startsWith('x-ses-') ? fieldValue(f) : '';
    if (!value) continue;
    if (f.name !== 'x-ses-message-tags') {
      if (seen.has(f.name)) throw invalid(`The header field ${f.name.toUpperCase()} stands twice.`);
      seen.add(f.name);
    }
    take(out, f.name, value);
  }
  return out;
}

function take(out: SesHeaders, name: string, value: string): void {
  switch (name) {
    case 'x-ses-configuration-set':
      out.configurationSet = value;
      break;
    case 'x-ses-message-tags':
      for (const tag of value.split(',')) if (tag.trim()) out.tags.push(parseTag(tag.trim()));
      break;
    case 'x-ses-tenant':
      out.tenant = value;
      break;
    case 'x-ses-source-arn':
      out.sourceArn = value;
      break;
    case 'x-ses-from-arn':
      out.fromArn = value;
      break;
    case 'x-ses-return-path-arn':
      out.returnPathArn = value;
      break;
    case 'x-ses-list-management-options':
      out.unsubscribe = parseListManagement(value);
      break;
    default:
    // Another X-SES field has no effect, and is not for the recipient.
  }
}

function parseTag(text: string): { name: string; value: string } {
  const equals = text.indexOf('=');
  const name = text.slice(0, Math.max(0, equals)).trim();
  const value = text.slice(equals + 1).trim();
  if (!(TAG_NAME.test(name) || FEEDBACK_TAG.test(name)) || !TAG_VALUE.test(value)) {
    throw invalid(
      `X-SES-MESSAGE-TAGS: ${JSON.stringify(text.slice(0, 80))} is not name=value, each of 1 to 255 characters: ` +
        'A-Z, a-z, 0-9, _ and -, in a value also . and @.',
    );
  }
  return { name, value };
}

/** `contactListName=list; topicName=topic`, or without the names: `list; topic=topic`. */
function parseListManagement(text: string): { contactList: string; topic?: string } {
  const [first = '', second, ...rest] = text.split(';').map((part) => part.trim());
  const contactList = first.replace(/^contactListName=/i, '');
  const topic = second?.replace(/^topic(?:Name)?=/i, '');
  if (!contactList || rest.length || (second && topic === second)) {
    throw invalid('X-SES-LIST-MANAGEMENT-OPTIONS is not "contactListName; topic=topicName".');
  }
  return topic ? { contactList, topic } : { contactList };
}
