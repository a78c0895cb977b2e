/** Admits, notes and settles as fast as it can, printing each answer, until it is killed. Run by a test. */
import { writeSync } from 'node:fs';
import { openEmbedded } from '../../lib/engine/embedded/open.ts';
import { systemClock } from '../../lib/time.ts';
import { end, LONG, mail } from './harness.ts';

const engine = await openEmbedded({ directory: process.argv[2]!, clock: systemClock, minimumFree: 0 });
const lane = 'default:bulk:other';

async function admitForEver(): Promise<never> {
  for (;;) {
    const message = mail(systemClock.now(), { lane, body: 'x'.repeat(4096) });
    await engine.queue.admit([message]);
    writeSync(1, `admitted ${message.record.id}\n`);
  }
}

async function settleForEver(): Promise<never> {
  for (;;) {
    const items = await engine.queue.lease({ lane, max: 5, visibility: LONG, wait: 1_000 });
    const ends = items.map((leased) => end(leased, systemClock.now()));
    engine.queue.note(ends);
    for (const { item } of items) writeSync(1, `noted ${item.messageId}\n`);
    await engine.queue.settle(ends);
    for (const { item } of items) writeSync(1, `settled ${item.messageId}\n`);
  }
}

await Promise.all([...Array.from({ length: 16 }, admitForEver), settleForEver()]);
