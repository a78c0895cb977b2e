/** A full queue: messages as accept stores them. The signature is made beforehand; egress neither makes nor checks any. */
import { openEmbedded } from '../../lib/engine/embedded/open.ts';
import { type MessageRecord, type QueueItem, SCHEMA_VERSION } from '../../lib/engine/items.ts';
import type { Admission } from '../../lib/engine/ports.ts';
import { newMessageId, qualifiedId } from '../../lib/mail/message-id.ts';
import { createReturnPaths } from '../../lib/mail/return-path.ts';
import { laneGroup } from '../../lib/shaping/providers.ts';
import { DAY, systemClock } from '../../lib/time.ts';
import { smtpMessage } from './messages.ts';

const BATCH = 500;
const returnPaths = createReturnPaths(Buffer.alloc(32, 1));

function admissionOf(n: number, tenants: number): Admission {
  const now = Date.now();
  const { to, data } = smtpMessage(n);
  const body = data.subarray(0, -3);
  const id = newMessageId(now);
  const messageId = qualifiedId(id, 'bench.example');
  const tenant = `tenant-${n % tenants}`;
  const expiresAt = now + 4 * DAY;
  const record: MessageRecord = {
    v: SCHEMA_VERSION,
    id,
    tenant,
    keyId: 'relay',
    door: 'smtp',
    sourceIp: '127.0.0.1',
    acceptedAt: now,
    expiresAt,
    source: 'Bench <news@bench.example>',
    fromDomain: 'bench.example',
    tags: {
      'ses:from-domain': ['bench.example'],
      'ses:source-ip': ['127.0.0.1'],
      'ses:caller-identity': ['relay'],
    },
    class: 'bulk',
    pool: 'default',
    size: body.length,
    recipients: [to],
    commonHeaders: {
      from: ['Bench <news@bench.example>'],
      to: [to],
      subject: `Your weekly report number ${n}`,
      messageId: `<${messageId}>`,
    },
  };
  const item: QueueItem = {
    v: SCHEMA_VERSION,
    messageId: id,
    n: 0,
    tenant,
    lane: `default:bulk:${laneGroup('recipient.example')}`,
    mailFrom: returnPaths.make(id, 0, 'bench.example', expiresAt),
    recipient: to,
    domain: 'recipient.example',
    eightBit: false,
    smtpUtf8: false,
    requireTls: false,
    acceptedAt: now,
    expiresAt,
    attempts: 0,
    due: now,
  };
  return { record, body, deliveries: [item] };
}

/** Queues signed messages of 4 KB, of as many tenants as are asked for, before a process starts on them. */
export async function fillQueue(directory: string, total: number, tenants: number): Promise<void> {
  const engine = await openEmbedded({ directory, clock: systemClock });
  const began = performance.now();
  for (let at = 0; at < total; at += BATCH * 4) {
    await Promise.all(
      [0, 1, 2, 3].map((part) =>
        engine.queue.admit(
          Array.from({ length: Math.max(0, Math.min(BATCH, total - at - part * BATCH)) }, (_, i) =>
            admissionOf(at + part * BATCH + i, tenants),
          ),
        ),
      ),
    );
  }
  process.stdout.write(`${total} queued in ${((performance.now() - began) / 1000).toFixed(1)} s\n`);
  await engine.close();
}
