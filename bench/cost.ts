/**
 * What AWS bills for a delivered message: `npm run bench:cost`. Every request of the SDK is counted in its
 * middleware, with the bytes and the capacity units that it is billed by, and priced in us-east-1. Then what an
 * installation requests in a month without mail. Lambda's time, instances and internet egress are not part
 * of either.
 *
 *   POSTERN_COST_MESSAGES=2000 npm run bench:cost
 */
import { randomBytes } from 'node:crypto';
import { mock } from 'node:test';
import type { AnyClient } from '../lib/engine/aws/clients.ts';
import { type AwsEngine, openAws } from '../lib/engine/aws/open.ts';
import { PRICES, sqsRequests } from '../lib/engine/aws/placement.ts';
import { openReporter, type Reporter } from '../lib/engine/aws/reporter.ts';
import type { Attempt, MessageRecord, QueueItem } from '../lib/engine/items.ts';
import type { Admission, Engine, LeasedItem, Settlement } from '../lib/engine/ports.ts';
import { callUuids, newMessageId, qualifiedId } from '../lib/mail/message-id.ts';
import { recordsOf } from '../lib/outcome/apply-suppression.ts';
import { MINUTE, systemClock } from '../lib/time.ts';
import { moveTime, startTestAws } from '../test/support/aws.ts';
import { allIn, showAllIn } from './all-in.ts';
import type { DynamoRow } from './scale/expressions.ts';
import { sizeOf } from './scale/virtual-dynamo.ts';
import { eventCosts } from './support/cost-events.ts';

const MESSAGES = Number(process.env.POSTERN_COST_MESSAGES ?? 500);
const BULK = 50;
const BODY_BYTES = 20 * 1024;
/** A receipt or a password reset: for them only traffic is calculated anew. */
const SMALL = 8 * 1024;
const LANE = 'default:transactional:google';
const LEASE = 100;
const CALLERS = 8;

/** Requests of one kind: how many calls, and for how many dollars (before "a million"). */
interface Line {
  calls: number;
  units: number;
  dollars: number;
}

class Meter {
  lines = new Map<string, Line>();
  /** What was written to the tables that grow with the mail. */
  stored = { bytes: 0, items: 0 };

  store(items: readonly DynamoRow[]): void {
    this.stored.items += items.length;
    for (const item of items) this.stored.bytes += sizeOf(item);
  }

  /** What was stored since the last time, for each message. */
  takeStored(): { bytes: number; items: number } {
    const { bytes, items } = this.stored;
    this.stored = { bytes: 0, items: 0 };
    return { bytes: bytes / MESSAGES, items: items / MESSAGES };
  }

  add(kind: string, units: number, price: number): void {
    const line = this.lines.get(kind) ?? { calls: 0, units: 0, dollars: 0 };
    line.calls += 1;
    line.units += units;
    line.dollars += units * price;
    this.lines.set(kind, line);
  }

  /** Requests of SQS since the last time, for each message. */
  laneRequests(): number {
    const lines = [...this.lines].filter(([kind]) => kind.startsWith('SQS '));
    return lines.reduce((sum, [, { units }]) => sum + units, 0) / MESSAGES;
  }

  take(): Map<string, Line> {
    const { lines } = this;
    this.lines = new Map();
    return lines;
  }
}

interface Capacity {
  CapacityUnits?: number;
}

/** Counts the units that SQS, DynamoDB and S3 bill. */
function instrument(meter: Meter): (client: AnyClient) => void {
  return (client) =>
    (
      client as { middlewareStack: { add: (middleware: unknown, options: unknown) => void } }
    ).middlewareStack.add(
      (
        next: (args: never) => Promise<{ output: never }>,
        context: { clientName: string; commandName: string },
      ) =>
        async (args: { input: Record<string, unknown> }) => {
          const dynamo = context.clientName === 'DynamoDBClient';
          if (dynamo) args.input.ReturnConsumedCapacity = 'TOTAL';
          const result = await next(args as never);
          count(meter, context.commandName.replace('Command', ''), args.input, result.output, dynamo);
          return result;
        },
      { step: 'initialize', name: 'meter' },
    );
}

function count(
  meter: Meter,
  name: string,
  input: Record<string, unknown>,
  output: { ConsumedCapacity?: Capacity | Capacity[]; Messages?: { Body: string }[] },
  dynamo: boolean,
): void {
  if (dynamo) {
    const consumed = [output.ConsumedCapacity ?? []].flat();
    const units = consumed.reduce((sum, one) => sum + (one.CapacityUnits ?? 0), 0);
    const writes = /Put|Update|Delete|Write/.test(name);
    meter.store(writtenBy(input));
    meter.add(`DynamoDB ${name}`, units, writes ? PRICES.writeUnit : PRICES.readUnit);
  } else if (name.startsWith('PutObject')) meter.add('S3 PutObject', 1, PRICES.s3Put);
  else if (name.startsWith('GetObject')) meter.add('S3 GetObject', 1, PRICES.s3Get);
  else {
    const bodies = (input.Entries ?? output.Messages ?? []) as { MessageBody?: string; Body?: string }[];
    const bytes = bodies.reduce((sum, one) => sum + Buffer.byteLength(one.MessageBody ?? one.Body ?? ''), 0);
    meter.add(`SQS ${name}`, sqsRequests(bytes), PRICES.sqsRequest);
  }
}

/** Items that a request writes into the tables of records and deliveries. Values of an update are named as long. */
function writtenBy(input: Record<string, unknown>): DynamoRow[] {
  const {
    TableName,
    Key,
    ExpressionAttributeValues: values,
    RequestItems,
  } = input as {
    TableName?: string;
    Key?: DynamoRow;
    ExpressionAttributeValues?: DynamoRow;
    RequestItems?: Record<string, { PutRequest?: { Item: DynamoRow } }[]>;
  };
  if (TableName && KEPT.test(TableName) && values) return [{ ...Key, ...values }];
  return Object.entries(RequestItems ?? {}).flatMap(([table, writes]): DynamoRow[] => {
    if (!KEPT.test(table) || !Array.isArray(writes)) return [];
    return writes.flatMap(({ PutRequest }): DynamoRow[] => (PutRequest ? [PutRequest.Item] : []));
  });
}

const KEPT = /-(records|deliveries)$/;

// — mail —

const WORDS =
  'account order invoice delivery thanks please visit store update weekly summary payment confirm address customer support number total shipping arrives tomorrow details review order privacy notice security'.split(
    ' ',
  );

/** HTML as newsletters and receipts have it: repeated markup, words that differ, links with tokens of their own. */
function usualBody(size: number): Buffer {
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
function denseBody(size: number): Buffer {
  return Buffer.from(randomBytes(size).toString('base64').slice(0, size));
}

function message(now: number, body: Buffer, uuid?: string): Admission {
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

function attempt(now: number, deferred: boolean): Attempt {
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

// — scenarios —

async function drain(
  engine: Engine,
  count: number,
  settle: (leased: LeasedItem) => Settlement,
): Promise<void> {
  for (let left = count; left > 0; ) {
    const leased = await engine.queue.lease({ lane: LANE, max: LEASE, visibility: 2 * MINUTE, wait: 0 });
    if (leased.length === 0) throw new Error(`${left} messages are missing.`);
    left -= leased.length;
    await engine.queue.settle(leased.map(settle));
  }
  for (let cursor = 0; ; ) {
    const page = await engine.records.feed(cursor, LEASE);
    if (page.outcomes.length === 0) return;
    // As functions/outcomes does, which looks at as many in a batch.
    await recordsOf(engine.records, page.outcomes);
    cursor = page.cursor;
  }
}

const delivered = (leased: LeasedItem): Settlement => ({
  kind: 'end',
  leased,
  state: 'delivered',
  attempt: attempt(Date.now(), false),
});

const deferred = (leased: LeasedItem): Settlement => {
  const until = Date.now() + 5 * MINUTE;
  return { kind: 'defer', leased, until, attempt: { ...attempt(Date.now(), true), until } };
};

const DOWN = 'mx.down.example';

/** Put back for hours, until a site is reached. */
const parked = (leased: LeasedItem): Settlement => ({
  kind: 'release',
  leased,
  until: Date.now() + 120 * MINUTE,
  reason: { code: 'connect_failed', text: `${DOWN} [203.0.113.25]: connection timed out` },
  site: DOWN,
});

async function accept(engine: Engine, perCall: number, body: () => Buffer): Promise<void> {
  let sent = 0;
  const callers = Array.from({ length: CALLERS }, async () => {
    for (; sent < MESSAGES; ) {
      sent += perCall;
      await call(engine, perCall, body);
    }
  });
  await Promise.all(callers);
}

async function call(engine: Engine, perCall: number, body: () => Buffer): Promise<void> {
  const now = Date.now();
  const key = randomBytes(16).toString('hex');
  // As the accept pipeline does with the first try of a call that the SDK may repeat.
  const uuidAt = callUuids(key);
  const messages = Array.from({ length: perCall }, (_, place) => message(now, body(), uuidAt(place)));
  await engine.suppressions.find(
    messages.flatMap(({ record: { tenant, recipients } }) =>
      recipients.map((address) => ({ tenant, address })),
    ),
  );
  const ids = JSON.stringify(messages.map(({ record }) => ({ messageId: record.id })));
  await engine.queue.admit(messages, {
    key,
    digest: randomBytes(32).toString('hex'),
    expiresAt: now + MINUTE,
    response: ids,
  });
}

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

// — at rest —

const MONTH = 30 * 86_400;
/** Deliveries in the ledger, of which none is due. */
const WAITING = 500;

/** Requests made without mail: their period in seconds, and their origin. */
interface Idle {
  name: string;
  every: number;
  ask: (engine: AwsEngine) => Promise<unknown>;
}

const IDLE: readonly Idle[] = [
  // functions/due, by the schedule of lib/stacks/api.ts.
  { name: 'due: a look at the ledger', every: 60, ask: ({ ledger }) => ledger.plan() },
  { name: 'a node: changes of the configuration', every: 0.9, ask: lookForChanges },
  // lib/egress/source-leases.ts, lane-puller.ts.
  {
    name: 'an IP: its lease',
    every: 4,
    ask: ({ leases }) => leases.acquire('egress-ip:203.0.113.10', 'a', 12_000),
  },
  {
    name: 'a lane, by each node: a long poll',
    every: 20,
    ask: ({ queue }) => queue.lease({ lane: LANE, max: 10, visibility: MINUTE, wait: 0 }),
  },
];

/** The first look of a node, as all that follow, in the middle of a minute: at its start there are two minutes to look at. */
async function lookForChanges({ config }: Engine): Promise<void> {
  moveTime(Math.ceil(Date.now() / MINUTE) * MINUTE + MINUTE / 2);
  const leave = config.watch(() => {});
  await new Promise((resolve) => setTimeout(resolve, 1_200));
  leave();
}

/** @returns dollars a month by name. */
async function atRest(engine: AwsEngine, meter: Meter): Promise<Map<string, number>> {
  const months = new Map<string, number>();
  const now = Date.now();
  const waiting = Array.from({ length: WAITING }, () => {
    const { record, body, deliveries } = message(now, usualBody(BODY_BYTES));
    return { record, body, deliveries: deliveries.map((item) => ({ ...item, due: now + 60 * MINUTE })) };
  });
  await engine.queue.admit(waiting);
  process.stdout.write(`\nAt rest, ${WAITING} deliveries in the ledger\n  ${'$ / month'.padStart(60)}\n`);
  for (const { name, every, ask } of IDLE) {
    meter.take();
    await ask(engine);
    const dollars = [...meter.take().values()].reduce((sum, line) => sum + line.dollars, 0);
    const month = ((dollars / 1e6) * MONTH) / every;
    months.set(name, month);
    process.stdout.write(`  ${name.padEnd(46)}${month.toFixed(3).padStart(14)}\n`);
  }
  return months;
}

const aws = await startTestAws([LANE]);
const meter = new Meter();
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
    await accept(engine, 1, make);
    await drain(engine, MESSAGES, delivered);
    laneRequests.push(meter.laneRequests());
    const single = show(`SendEmail, ${BODY_BYTES} bytes of ${kind}`, meter.take());
    stored.push(meter.takeStored());
    await accept(engine, BULK, make);
    await drain(engine, MESSAGES, delivered);
    laneRequests.push(meter.laneRequests());
    const bulk = show(`SendBulkEmail of ${BULK}, ${BODY_BYTES} bytes of ${kind}`, meter.take());
    stored.push(meter.takeStored());
    await accept(engine, 1, make);
    await drain(engine, MESSAGES, deferred);
    moveTime(Date.now() + 6 * MINUTE);
    await drain(engine, MESSAGES, delivered);
    const twice = show(`SendEmail, each deferred once for five minutes, ${kind}`, meter.take());
    await accept(engine, 1, make);
    await drain(engine, MESSAGES, parked);
    for (let more = true; more; ) ({ more } = await engine.ledger.recall(DOWN, LEASE));
    await drain(engine, MESSAGES, delivered);
    const recalled = show(`SendEmail, each parked for a site and recalled, ${kind}`, meter.take());
    await accept(engine, 1, make);
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
  await accept(searched, 1, () => usualBody(BODY_BYTES));
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
  const months = await atRest(engine, meter);
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
