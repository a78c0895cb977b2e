/** The `mail` object of every SES event, which describes the message. */
import type { MessageRecord } from '../engine/items.ts';

/** The source of events. */
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
  /** The MessageId in the caller's answer. */
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
 * Builds the `mail` object. `headers` are those that the record keeps; `headersTruncated` states whether there were
 * others. As with SES, `commonHeaders.messageId` is the id of the message, not its Message-ID field.
 * @param tags added to those of the message, as `ses:outgoing-ip` once it is known.
 */
export function mailObject(
  record: MessageRecord,
  context: EventContext,
  tags: Record<string, string[]> = {},
): MailObject {
  const { id: messageId } = record;
  return {
    timestamp: new Date(record.acceptedAt).toISOString(),
    source: record.source,
    sourceArn: `arn:aws:ses:${context.region}:${context.accountId}:identity/${record.fromDomain}`,
    sendingAccountId: context.accountId,
    messageId,
    destination: record.recipients,
    headersTruncated: record.headers?.truncated ?? true,
    headers: record.headers?.fields.map(([name, value]) => ({ name, value })) ?? keptHeaders(record),
    commonHeaders: { ...record.commonHeaders, messageId },
    tags: { ...record.tags, ...tags },
  };
}

/** Rebuilds the known fields of a header that was not kept. */
function keptHeaders({ commonHeaders }: MessageRecord): MailObject['headers'] {
  const headers: MailObject['headers'] = [];
  for (const key of Object.keys(HEADER_NAMES) as (keyof typeof HEADER_NAMES)[]) {
    const value = commonHeaders[key];
    if (value === undefined) continue;
    const text = Array.isArray(value) ? value.join(', ') : value;
    headers.push({ name: HEADER_NAMES[key], value: key === 'messageId' ? bracketed(text) : text });
  }
  return headers;
}

function bracketed(id: string): string {
  return id.startsWith('<') ? id : `<${id}>`;
}
