/**
 * Delivery alone: a full queue of signed 4 KB messages, and the real process started on it.
 *
 *     node bench/queue.ts [messages]
 *
 * Prints how long after the start the first delivery arrived, messages/s from the first to the last,
 * CPU time a message, and resident memory over the run. The messages are signed beforehand; one signature
 * serves all, since egress neither makes nor checks any.
 */
import { parseArgs } from 'node:util';
import { openEmbedded } from '../lib/engine/embedded/open.ts';
import { type MessageRecord, type QueueItem, SCHEMA_VERSION } from '../lib/engine/items.ts';
import type { Admission } from '../lib/engine/ports.ts';
import { newMessageId, qualifiedId } from '../lib/mail/message-id.ts';
import { createReturnPaths } from '../lib/mail/return-path.ts';
import { laneGroup } from '../lib/shaping/providers.ts';
import { DAY, systemClock } from '../lib/time.ts';
import { cpuMicros, residentMb, table } from './support/machine.ts';
import { smtpMessage } from './support/messages.ts';
import { startPostern, startSinkProcess } from './support/postern.ts';

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: { profile: { type: 'string' }, tenants: { type: 'string', default: '10' } },
});
const total = Number(positionals[0] ?? 100_000);
const tenants = Number(values.tenants);
const BATCH = 500;
const returnPaths = createReturnPaths(Buffer.alloc(32, 1));

function admissionOf(n: number): Admission {
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

async function fill(directory: string): Promise<void> {
  const engine = await openEmbedded({ directory, clock: systemClock });
  const began = performance.now();
  for (let at = 0; at < total; at += BATCH * 4) {
    await Promise.all(
      [0, 1, 2, 3].map((part) =>
        engine.queue.admit(
          Array.from({ length: Math.max(0, Math.min(BATCH, total - at - part * BATCH)) }, (_, i) =>
            admissionOf(at + part * BATCH + i),
          ),
        ),
      ),
    );
  }
  process.stdout.write(`${total} queued in ${((performance.now() - began) / 1000).toFixed(1)} s\n`);
  await engine.close();
}

const sink = await startSinkProcess();
const postern = await startPostern({
  routes: `*=127.0.0.1:${sink.port}`,
  fill,
  nodeArguments: values.profile ? ['--cpu-prof', `--cpu-prof-dir=${values.profile}`] : [],
});
const memory: number[] = [];
const watch = setInterval(() => memory.push(residentMb(postern.pid)), 250);
const first = await sink.reached(1);
const cpu = { postern: cpuMicros(postern.pid), sink: cpuMicros(sink.pid) };
const before = await sink.count();
const startedAt = Date.now();
const end = await sink.reached(total);
clearInterval(watch);
const count = total - before;
const at = (share: number): string => (memory[Math.floor((memory.length - 1) * share)] ?? 0).toFixed(0);
process.stdout.write(
  `${table([
    {
      queued: total,
      'first after ms': first - postern.startedAt,
      'messages/s': (count / ((end - startedAt) / 1000)).toFixed(0),
      'µs CPU Postern': ((cpuMicros(postern.pid) - cpu.postern) / count).toFixed(0),
      'µs sink': ((cpuMicros(sink.pid) - cpu.sink) / count).toFixed(0),
      'MB at 5 %': at(0.05),
      'at 50 %': at(0.5),
      'at 100 %': at(1),
      'MB peak': Math.max(...memory).toFixed(0),
    },
  ])}\n`,
);
await postern.dispose();
sink.close();
