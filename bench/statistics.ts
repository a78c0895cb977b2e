/**
 * What counting and searching cost, on the embedded engine.
 *
 *   npm run bench:statistics [messages]
 *
 * | line | what |
 * |---|---|
 * | counted | outcomes from the feed to suppression lists and statistics, by the follower of standalone, with their records read |
 * | tally | the sum of an outcome in memory alone |
 * | index | what a message costs at accept to be found later, its share of a block included |
 * | search | one address among all messages, found once and not at all |
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startOutcomeFeed } from '../egress-node/standalone/outcome-feed.ts';
import { openEmbedded } from '../lib/engine/embedded/open.ts';
import { openDatabase } from '../lib/engine/embedded/store/database.ts';
import { IN_MEMORY } from '../lib/engine/embedded/store/schema.ts';
import { MessageSearchTable } from '../lib/engine/embedded/store/search.ts';
import type { Attempt, MessageRecord, Outcome } from '../lib/engine/items.ts';
import type { Engine } from '../lib/engine/ports.ts';
import { messageHashes } from '../lib/engine/search.ts';
import { silentLog } from '../lib/log.ts';
import { callUuids, newMessageId } from '../lib/mail/message-id.ts';
import { StatisticsReader, sumOf } from '../lib/statistics/reader.ts';
import { Tally } from '../lib/statistics/tally.ts';
import { DAY, systemClock } from '../lib/time.ts';

const COUNT = Number(process.argv[2] ?? 200_000);
const BATCH = 500;
const PROVIDERS = ['google', 'office365', 'yahoo', 'apple', 'other'];

function record(n: number, at: number): MessageRecord {
  const id = newMessageId(at, callUuids()(0));
  return {
    v: 1,
    id,
    tenant: `tenant${n % 20}`,
    keyId: 'AKIAEXAMPLEEXAMPLE22',
    door: 'smtp',
    sourceIp: '192.0.2.7',
    acceptedAt: at,
    expiresAt: at + DAY,
    source: `News <news@sender${n % 50}.example>`,
    fromDomain: `sender${n % 50}.example`,
    configurationSet: 'news',
    tags: { 'ses:configuration-set': ['news'], 'ses:from-domain': ['example.com'] },
    class: 'bulk',
    pool: 'default',
    campaign: `campaign${n % 10}`,
    size: 4_096,
    recipients: [`user${n}@example.net`],
    commonHeaders: {
      from: ['news@example.com'],
      subject: 'News of the day',
      messageId: `<${id}@example.com>`,
    },
  };
}

function outcome({ id: messageId, tenant }: MessageRecord, n: number, at: number): Outcome {
  const bounced = n % 20 === 0;
  const attempt: Attempt = {
    at,
    duration: 40,
    ip: `192.0.2.${n % 4}`,
    mx: { host: 'mx.example.net', address: '198.51.100.1', port: 25 },
    provider: PROVIDERS[n % PROVIDERS.length]!,
    tls: { protocol: 'TLSv1.3', cipher: 'TLS_AES_256_GCM_SHA384', verified: true },
    replies: [{ phase: 'body', code: 250, text: '2.0.0 OK' }],
    state: bounced ? 'bounced' : 'delivered',
    reason: bounced ? 'peer_permanent' : 'delivered',
    text: bounced ? '552 5.2.2 mailbox full' : '250 2.0.0 OK',
  };
  return { v: 1, messageId, n: 0, at, kind: 'attempt', tenant, attempt };
}

async function fill(engine: Engine, records: readonly MessageRecord[]): Promise<void> {
  const body = Buffer.alloc(0);
  for (let at = 0; at < records.length; at += BATCH) {
    await engine.queue.admit(
      records.slice(at, at + BATCH).map((one, i) => {
        const settled = [outcome(one, at + i, one.acceptedAt)];
        return { record: one, body, deliveries: [], settled };
      }),
    );
  }
}

/** Follows the feed to its end. @returns outcomes a second, and µs of CPU for each (of all threads). */
async function counted(engine: Engine, count: number): Promise<{ rate: number; cpu: number }> {
  const started = performance.now();
  const before = process.cpuUsage();
  // No sender here has feedback by mail.
  const feedback = () => ({ forward: () => Promise.resolve() });
  const feed = startOutcomeFeed({ engine, clock: systemClock, log: silentLog, feedback });
  const reader = new StatisticsReader(engine.rows);
  const now = Date.now();
  const range = { from: now - DAY, before: now + DAY, granularity: 'day' } as const;
  while ((sumOf(await reader.series(range)).sent ?? 0) < count)
    await new Promise((resolve) => setTimeout(resolve, 20));
  const used = process.cpuUsage(before);
  const seconds = (performance.now() - started) / 1_000;
  await feed.stop();
  return { rate: count / seconds, cpu: (used.user + used.system) / count };
}

/** CPU of this process for each run of the work, µs: other processes on the machine do not count. */
function microseconds(count: number, work: (n: number) => void): number {
  const before = process.cpuUsage();
  for (let n = 0; n < count; n += 1) work(n);
  const { user, system } = process.cpuUsage(before);
  return (user + system) / count;
}

async function searches(engine: Engine, of: (n: number) => string): Promise<number> {
  const times: number[] = [];
  for (let n = 0; n < 20; n += 1) {
    const started = performance.now();
    let after: string | undefined;
    do {
      const page = await engine.records.search({ tenant: 'tenant7', recipient: of(n), after, max: 50 });
      after = page.next;
    } while (after !== undefined);
    times.push(performance.now() - started);
  }
  return times.sort((a, b) => a - b)[10]!;
}

const directory = mkdtempSync(join(tmpdir(), 'postern-bench-statistics-'));
const engine = await openEmbedded({ directory, clock: systemClock, minimumFree: 0 });
try {
  const now = Date.now();
  const records = Array.from({ length: COUNT }, (_, n) => record(n, now));
  await fill(engine, records);
  const { rate, cpu } = await counted(engine, COUNT);
  const tally = new Tally();
  const outcomes = records.map((one, n) => outcome(one, n, now));
  const summed = microseconds(COUNT, (n) => tally.add(records[n]!, outcomes[n]!));
  const { db, close } = openDatabase(IN_MEMORY);
  const table = new MessageSearchTable(db);
  const index = microseconds(COUNT, (n) => table.add(n + 1, messageHashes(records[n]!)));
  close();
  const hit = await searches(engine, (n) => `user${7 + 20 * (n * 37)}@example.net`);
  const miss = await searches(engine, (n) => `nobody${n}@example.net`);
  const line = (name: string, value: string): void =>
    void process.stdout.write(`${name.padEnd(34)}${value}\n`);
  line('counted, outcomes a second', String(Math.round(rate)));
  line('counted, a second of one core', `${Math.round(1e6 / cpu)}  (${cpu.toFixed(0)} µs of CPU each)`);
  line('tally, µs an outcome', summed.toFixed(2));
  line('index, µs a message at accept', index.toFixed(2));
  line(`search among ${COUNT}, found, ms`, hit.toFixed(1));
  line(`search among ${COUNT}, not found, ms`, miss.toFixed(1));
} finally {
  await engine.close();
  rmSync(directory, { recursive: true });
}
