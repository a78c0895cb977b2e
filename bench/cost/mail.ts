/** The messages whose cost is counted, and what their attempts say. */
import { randomBytes } from 'node:crypto';
import type { Attempt, MessageRecord, QueueItem } from '../../lib/engine/items.ts';
import type { Admission } from '../../lib/engine/ports.ts';
import { newMessageId, qualifiedId } from '../../lib/mail/message-id.ts';
import { MINUTE } from '../../lib/time.ts';

/** The lane of all of them. */
export const LANE = 'default:transactional:google';

const WORDS =
  'account order invoice delivery thanks please visit store update weekly summary payment confirm address customer support number total shipping arrives tomorrow details review order privacy notice security'.split(
    ' ',
  );

/** HTML as newsletters and receipts have it: repeated markup, words that differ, links with tokens of their own. */
export function usualBody(size: number): Buffer {
  const rows: string[] = [
    'From: Shop <news@example.com>\r\nMIME-Version: 1.0\r\nContent-Type: text/html\r\n\r\n',
  ];
  for (let length = 0; length < size; length += rows.at(-1)!.length) {
    const word = () => WORDS[Math.floor(Math.random() * WORDS.length)];
    const text = Array.from({ length: 12 }, word).join(' ');
    rows.push(
      `<tr><td style="padding:0 24px;font-family:Helvetica,Arial,sans-serif;font-size:14px;color:#333333">${text} ` +
        `<a href="https://links.example.com/c/${randomBytes(12).toString('hex')}">${word()}</a></td></tr>\r\n`,
    );
  }
  return Buffer.from(rows.join('')).subarray(0, size);
}

/** An attachment in base64: nothing is left to compress but its encoding. */
export function denseBody(size: number): Buffer {
  return Buffer.from(randomBytes(size).toString('base64').slice(0, size));
}

/** @param body its octets. @param uuid of a call that may be repeated. */
export function message(now: number, body: Buffer, uuid?: string): Admission {
  const recipient = `user${Math.floor(Math.random() * 1e6)}@gmail.com`;
  const id = newMessageId(now, uuid);
  const messageId = qualifiedId(id, 'example.com');
  const record: MessageRecord = {
    v: 1,
    id,
    tenant: 'default',
    keyId: 'AKIAIOSFODNN7EXAMPLE',
    door: 'ses-v2',
    sourceIp: '203.0.113.77',
    acceptedAt: now,
    expiresAt: now + 14 * 60 * MINUTE,
    source: 'Shop <news@example.com>',
    fromDomain: 'example.com',
    configurationSet: 'receipts',
    tags: {
      'ses:from-domain': ['example.com'],
      'ses:source-ip': ['203.0.113.77'],
      'ses:caller-identity': ['AKIAIOSFODNN7EXAMPLE'],
      'ses:configuration-set': ['receipts'],
    },
    class: 'transactional',
    pool: 'default',
    size: body.length,
    recipients: [recipient],
    commonHeaders: {
      from: ['Shop <news@example.com>'],
      to: [recipient],
      subject: 'Your order 4711 is on its way',
      date: new Date(now).toUTCString(),
      messageId: `<${messageId}>`,
    },
  };
  const item: QueueItem = {
    v: 1,
    messageId: id,
    n: 0,
    tenant: 'default',
    lane: LANE,
    configurationSet: 'receipts',
    mailFrom: `b+${id}.0.${randomBytes(12).toString('hex')}@bounces.example.com`,
    recipient,
    domain: 'gmail.com',
    eightBit: false,
    smtpUtf8: false,
    requireTls: false,
    acceptedAt: now,
    expiresAt: record.expiresAt,
    attempts: 0,
    due: now,
  };
  return { record, body, deliveries: [item] };
}

/** @param deferred by the provider, instead of delivered. */
export function attempt(now: number, deferred: boolean): Attempt {
  const code = deferred ? 451 : 250;
  const text = deferred
    ? `4.7.1 Try again later, closing connection. ${randomBytes(8).toString('hex')} - gsmtp`
    : `2.0.0 OK  ${now} ${randomBytes(16).toString('hex')}.123 - gsmtp`;
  return {
    at: now,
    duration: 812,
    ip: '203.0.113.10',
    mx: { host: 'gmail-smtp-in.l.google.com', address: '142.250.27.26', port: 25 },
    tls: { protocol: 'TLSv1.3', cipher: 'TLS_AES_256_GCM_SHA384', verified: true },
    replies: [
      { phase: 'mail', code: 250, text: `2.1.0 OK ${randomBytes(16).toString('hex')}.123 - gsmtp` },
      { phase: 'rcpt', code: 250, text: `2.1.5 OK ${randomBytes(16).toString('hex')}.123 - gsmtp` },
      { phase: 'data-end', code, text },
    ],
    state: deferred ? 'deferred' : 'delivered',
    reason: deferred ? 'peer_temporary' : 'delivered',
    text: `${code} ${text}`,
  };
}
