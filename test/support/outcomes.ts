import type { Attempt, MessageRecord, Outcome } from '../../lib/engine/items.ts';
import { SCHEMA_VERSION } from '../../lib/engine/items.ts';
import { HOUR } from '../../lib/time.ts';

/** Accepted at this time, from the simulated present of `TestClock`. */
export const ACCEPTED_AT = Date.UTC(2026, 0, 1);
/** The MessageId of the record. */
export const MESSAGE_ID = '0100019b76da7c00-3c0f6f9e-5d3a-4a57-9d1f-0b7a3f1c2d4e-000000';

export function messageRecord(change: Partial<MessageRecord> = {}): MessageRecord {
  return {
    v: SCHEMA_VERSION,
    id: MESSAGE_ID,
    tenant: 'tenant-1',
    keyId: 'AKIDEXAMPLE',
    door: 'ses-v2',
    sourceIp: '192.0.2.1',
    acceptedAt: ACCEPTED_AT,
    expiresAt: ACCEPTED_AT + 14 * HOUR,
    source: 'Sender <s@example.org>',
    fromDomain: 'example.org',
    configurationSet: 'cs',
    tags: { 'ses:configuration-set': ['cs'], 'ses:source-ip': ['192.0.2.1'], campaign: ['x'] },
    class: 'transactional',
    pool: 'default',
    size: 4096,
    recipients: ['user@example.com'],
    commonHeaders: {
      from: ['Sender <s@example.org>'],
      to: ['user@example.com'],
      subject: 'Hi',
      messageId: `<${MESSAGE_ID}@example.org>`,
    },
    ...change,
  };
}

export function attempt(change: Partial<Attempt>): Attempt {
  return {
    at: ACCEPTED_AT + 500,
    duration: 46,
    ip: '192.0.2.25',
    mx: { host: 'mx.example.com', address: '198.51.100.9', port: 25 },
    replies: [],
    state: 'delivered',
    reason: 'delivered',
    text: '250 2.0.0 OK gsmtp',
    ...change,
  };
}

export function outcome(kind: Outcome['kind'], change: Partial<Outcome> = {}): Outcome {
  return {
    v: SCHEMA_VERSION,
    messageId: MESSAGE_ID,
    n: 0,
    at: ACCEPTED_AT + 1000,
    kind,
    tenant: 'tenant-1',
    ...change,
  };
}
