/** A full queue: messages as accept stores them. The signature is made beforehand; egress neither makes nor checks any. */
import { statfs } from 'node:fs/promises';
import { dirname } from 'node:path';
import { openEmbedded } from '../../lib/engine/embedded/open.ts';
import { type MessageRecord, type QueueItem, SCHEMA_VERSION } from '../../lib/engine/items.ts';
import type { Admission } from '../../lib/engine/ports.ts';
import { newMessageId, qualifiedId } from '../../lib/mail/message-id.ts';
import { createReturnPaths } from '../../lib/mail/return-path.ts';
import { laneGroup } from '../../lib/shaping/providers.ts';
import { DAY, systemClock } from '../../lib/time.ts';
import { type Sizes, variedMessage } from './messages.ts';

/** Messages of one call, and their bytes. */
const BATCH = 500;
const BATCH_BYTES = 4 << 20;
/** KB of a message of the mix, on average. */
const MIX_KB = 46;
/** Bytes of the disk that are left to others. */
const LEFT = 1 << 30;
const returnPaths = createReturnPaths(Buffer.alloc(32, 1));

function admissionOf(n: number, tenants: number, sizes: Sizes): Admission {
  const now = Date.now();
  const { to, data } = variedMessage(n, { sizes, domains: 1 });
  const domain = to.slice(to.indexOf('@') + 1);
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
    lane: `default:bulk:${laneGroup(domain)}`,
    mailFrom: returnPaths.make(id, 0, 'bench.example', expiresAt),
    recipient: to,
    domain,
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

/** Queues signed messages, no two bodies the same, of as many tenants as are asked for, before a process starts on them. */
export async function fillQueue(
  directory: string,
  total: number,
  tenants: number,
  sizes: Sizes,
): Promise<void> {
  const bytes = (sizes === 'mix' ? MIX_KB : sizes) << 10;
  // A page of the file holds three of 4 KB, and the WAL as much again as was written since it was last moved.
  const { bavail, bsize } = await statfs(dirname(directory));
  if (bavail * bsize < total * (bytes + 4096) * 1.3 + LEFT)
    throw new Error(`${total} messages of ${bytes} bytes and what they need beside them do not fit the disk`);
  const batch = Math.max(1, Math.min(BATCH, Math.floor(BATCH_BYTES / bytes)));
  const engine = await openEmbedded({ directory, clock: systemClock });
  const began = performance.now();
  for (let at = 0; at < total; at += batch * 4) {
    await Promise.all(
      [0, 1, 2, 3].map((part) =>
        engine.queue.admit(
          Array.from({ length: Math.max(0, Math.min(batch, total - at - part * batch)) }, (_, i) =>
            admissionOf(at + part * batch + i, tenants, sizes),
          ),
        ),
      ),
    );
  }
  process.stdout.write(`${total} queued in ${((performance.now() - began) / 1000).toFixed(1)} s\n`);
  await engine.close();
}
