/** The `mail` object that every SES event carries: what the message was. */
import type { MessageRecord } from '../engine/items.ts';
import { messageIdOf } from '../mail/message-id.ts';

/** Where events come from. */
export interface EventContext {
  region: string;
  accountId: string;
  /** Name of the sending host, `reportingMTA` of the events. */
  hostname: string;
}

export interface MailObject {
  /** When the message was accepted, ISO 8601. */
  timestamp: string;
  source: string;
  sourceArn: string;
  sendingAccountId: string;
  /** As the caller was given it. */
  messageId: string;
  destination: string[];
  headersTruncated: boolean;
  headers: { name: string; value: string }[];
  commonHeaders: MessageRecord['commonHeaders'];
  tags: Record<string, string[]>;
}

const HEADER_NAMES = {
  from: 'From',
  to: 'To',
  cc: 'Cc',
  replyTo: 'Reply-To',
  subject: 'Subject',
  date: 'Date',
  messageId: 'Message-ID',
} as const;

/**
 * @param tags tags to add to those of the message, as `ses:outgoing-ip` once it is known.
 *
 * `headers` are those that the record keeps; `headersTruncated` says that there were others.
 */
export function mailObject(
  record: MessageRecord,
  context: EventContext,
  tags: Record<string, string[]> = {},
): MailObject {
  const { commonHeaders } = record;
  const headers: MailObject['headers'] = [];
  for (const key of Object.keys(HEADER_NAMES) as (keyof typeof HEADER_NAMES)[]) {
    const value = commonHeaders[key];
    if (value === undefined) continue;
    const text = Array.isArray(value) ? value.join(', ') : value;
    headers.push({ name: HEADER_NAMES[key], value: key === 'messageId' ? bracketed(text) : text });
  }
  return {
    timestamp: new Date(record.acceptedAt).toISOString(),
    source: record.source,
    sourceArn: `arn:aws:ses:${context.region}:${context.accountId}:identity/${record.fromDomain}`,
    sendingAccountId: context.accountId,
    messageId: messageIdOf(record),
    destination: record.recipients,
    headersTruncated: true,
    headers,
    commonHeaders,
    tags: { ...record.tags, ...tags },
  };
}

function bracketed(id: string): string {
  return id.startsWith('<') ? id : `<${id}>`;
}
