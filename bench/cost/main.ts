/**
 * What AWS bills for a delivered message: `npm run bench:cost`. Every request of the SDK is counted in its
 * middleware, with the bytes and the capacity units that it is billed by, and priced in us-east-1. Then what an
 * installation requests in a month without mail. Lambda's time, instances and internet egress are not part
 * of either.
 *
 *   POSTERN_COST_MESSAGES=2000 npm run bench:cost
 */
import { mock } from 'node:test';
import { type AwsEngine, openAws } from '../../lib/engine/aws/open.ts';
import { openReporter, type Reporter } from '../../lib/engine/aws/reporter.ts';
import type { Settlement } from '../../lib/engine/ports.ts';
import { recordsOf } from '../../lib/outcome/apply-suppression.ts';
import { MINUTE, systemClock } from '../../lib/time.ts';
import { moveTime, startTestAws } from '../../test/support/aws.ts';
import { allIn, showAllIn } from './all-in.ts';
import { eventCosts } from './events.ts';
import { attempt, denseBody, LANE, message, usualBody } from './mail.ts';
import { instrument, type Line, Meter } from './meter.ts';
import { atRest } from './rest.ts';
import { accept, DOWN, deferred, delivered, drain, LEASE, parked } from './way.ts';

const MESSAGES = Number(process.env.POSTERN_COST_MESSAGES ?? 500);
const BULK = 50;
const BODY_BYTES = 20 * 1024;
/** A receipt or a password reset: for them only traffic is calculated anew. */
const SMALL = 8 * 1024;

function show(title: string, lines: Map<string, Line>): number {
  let total = 0;
  process.stdout.write(
    `\n${title}\n  ${'request'.padEnd(36)}${'a message'.padStart(10)}${'$ / million'.padStart(14)}\n`,
  );
  for (const [kind, { calls, dollars }] of [...lines].sort(([, a], [, b]) => b.dollars - a.dollars)) {
    total += dollars / MESSAGES;
    const each = (calls / MESSAGES).toFixed(3).padStart(10);
    process.stdout.write(`  ${kind.padEnd(36)}${each}${(dollars / MESSAGES).toFixed(3).padStart(14)}\n`);
  }
  process.stdout.write(`  ${'all'.padEnd(46)}${total.toFixed(2).padStart(14)}\n`);
  return total;
}

/** Each message is opened once: reported by functions/track, stored by functions/outcomes. */
async function openings(engine: AwsEngine, reporter: Reporter): Promise<void> {
  const now = Date.now();
  const opened = Array.from({ length: MESSAGES }, () => message(now, usualBody(BODY_BYTES)));
  for (let at = 0; at < MESSAGES; at += BULK) await engine.queue.admit(opened.slice(at, at + BULK));
  await drain(engine, MESSAGES, delivered);
  meter.take();
  for (const { record } of opened) {
    const detail = { ipAddress: '203.0.113.99', userAgent: 'Mozilla/5.0 (compatible; YahooMailProxy)' };
    await reporter.report([{ v: 1, messageId: record.id, at: now, kind: 'open', tenant: '', detail }]);
  }
  for (let cursor = 0; ; ) {
    const page = await engine.records.feed(cursor, LEASE);
    if (page.outcomes.length === 0) return;
    const found = await recordsOf(engine.records, page.outcomes);
    await engine.keepReports(
      page.outcomes.map((outcome) => ({ record: found.get(outcome.messageId)!, outcome })),
    );
    cursor = page.cursor;
  }
}

const aws = await startTestAws([LANE]);
const meter = new Meter(MESSAGES);
const client = { ...aws.client, instrument: instrument(meter) };
const open = (searchIndex: boolean) =>
  openAws({ resources: { ...aws.resources, searchIndex }, clock: systemClock, client });
const engine = await open(false);
try {
  moveTime(Date.now());
  const figures: [name: string, reach: number, value: number][] = [];
  const stored: { bytes: number; items: number }[] = [];
  const laneRequests: number[] = [];
  // The second body cannot be compressed: it shows the worst case, and is held to no figure.
  for (const [kind, body, held] of [
    ['HTML', usualBody, true],
    ['base64 of random bytes', denseBody, false],
  ] as const) {
    const reach = (dollars: number) => (held ? dollars : Number.POSITIVE_INFINITY);
    const make = () => body(BODY_BYTES);
    meter.takeStored();
    await accept(engine, { messages: MESSAGES, perCall: 1, body: make });
    await drain(engine, MESSAGES, delivered);
    laneRequests.push(meter.laneRequests());
    const single = show(`SendEmail, ${BODY_BYTES} bytes of ${kind}`, meter.take());
    stored.push(meter.takeStored());
    await accept(engine, { messages: MESSAGES, perCall: BULK, body: make });
    await drain(engine, MESSAGES, delivered);
    laneRequests.push(meter.laneRequests());
    const bulk = show(`SendBulkEmail of ${BULK}, ${BODY_BYTES} bytes of ${kind}`, meter.take());
    stored.push(meter.takeStored());
    await accept(engine, { messages: MESSAGES, perCall: 1, body: make });
    await drain(engine, MESSAGES, deferred);
    moveTime(Date.now() + 6 * MINUTE);
    await drain(engine, MESSAGES, delivered);
    const twice = show(`SendEmail, each deferred once for five minutes, ${kind}`, meter.take());
    await accept(engine, { messages: MESSAGES, perCall: 1, body: make });
    await drain(engine, MESSAGES, parked);
    for (let more = true; more; ) ({ more } = await engine.ledger.recall(DOWN, LEASE));
    await drain(engine, MESSAGES, delivered);
    const recalled = show(`SendEmail, each parked for a site and recalled, ${kind}`, meter.take());
    await accept(engine, { messages: MESSAGES, perCall: 1, body: make });
    await drain(engine, MESSAGES, (leased) => ({ ...parked(leased), site: undefined }) as Settlement);
    moveTime(Date.now() + 121 * MINUTE);
    await engine.ledger.promote();
    await drain(engine, MESSAGES, delivered);
    const later = show(`SendEmail, each put back once for hours, ${kind}`, meter.take());
    figures.push(
      [`SendEmail, ${kind}`, reach(2), single],
      [`SendBulkEmail of ${BULK}, ${kind}`, reach(1.4), bulk],
      [`a deferral of every message adds, ${kind}`, reach(1.2), twice - single],
      [`one for hours, through the ledger, ${kind}`, Number.POSITIVE_INFINITY, later - single],
      [`the same, parked for a site and recalled, ${kind}`, Number.POSITIVE_INFINITY, recalled - single],
    );
  }
  const searched = await open(true);
  await accept(searched, { messages: MESSAGES, perCall: 1, body: () => usualBody(BODY_BYTES) });
  await drain(searched, MESSAGES, delivered);
  const indexed = show(`SendEmail, ${BODY_BYTES} bytes of HTML, with the index of messages`, meter.take());
  await searched.close();
  figures.push(['the index of messages adds', 0.65, indexed - figures[0]![2]]);
  const reporter = openReporter({
    configTable: aws.resources.tables.config,
    queueUrlPrefix: aws.resources.queueUrlPrefix,
    clock: systemClock,
    client,
  });
  await openings(engine, reporter);
  reporter.close();
  show('An open or click', meter.take());
  const months = await atRest(engine, meter, BODY_BYTES);
  const month = (start: string): number => [...months].find(([name]) => name.startsWith(start))![1];
  const idle = { ip: month('an IP'), node: month('a node'), lane: month('a lane') };
  const [one, many, deferral] = figures.map(([, , value]) => value);
  const kept = (at: number) => ({ stored: stored[at]!, laneRequests: laneRequests[at]! });
  const common = { deferral: deferral!, bytes: BODY_BYTES, idle };
  const calls = { ...common, requests: one!, perCall: 1, ...kept(0) };
  const bulks = { ...common, requests: many!, perCall: BULK, ...kept(1) };
  const [alone, together, small, smallTogether] = showAllIn([
    ['SendEmail', allIn(calls)],
    [`bulk of ${BULK}`, allIn(bulks)],
    ['SendEmail, 8 KB', allIn({ ...calls, bytes: SMALL })],
    ['bulk, 8 KB', allIn({ ...bulks, bytes: SMALL })],
  ]);
  figures.push(
    ['all in at 100 million a day, by SendBulkEmail', 6, together!],
    ['all in at 100 million a day, by SendEmail alone', Number.POSITIVE_INFINITY, alone!],
    ['the same for messages of 8 KB, by SendBulkEmail', 6, smallTogether!],
    ['by SendEmail alone', Number.POSITIVE_INFINITY, small!],
  );
  await eventCosts({
    engine,
    meter,
    records: Array.from({ length: MESSAGES }, () => message(Date.now(), usualBody(BODY_BYTES)).record),
    attempt: (now) => attempt(now, false),
    show: (title) => {
      figures.push([title, Number.POSITIVE_INFINITY, show(title, meter.take())]);
    },
  });
  process.stdout.write(
    `\n${'$ a million delivered'.padEnd(58)}${'measured'.padStart(10)}${'reach'.padStart(8)}\n`,
  );
  for (const [name, reach, value] of figures) {
    process.stdout.write(
      `${name.padEnd(58)}${value.toFixed(2).padStart(10)}${(Number.isFinite(reach) ? reach.toFixed(2) : '').padStart(8)}\n`,
    );
    if (value > reach) process.exitCode = 1;
  }
} finally {
  await engine.close();
  await aws.stop();
  mock.timers.reset();
}
