/**
 * What the configuration costs a process on AWS, over the emulators: `npm run bench:config`.
 *
 * - A cold start of the API, and the look-ups of its first message, with 10 identities and with 100,000: read units as
 *   the emulator bills them, and the memory of the second above the first.
 * - The first call of a process that was stopped while 1,000 changes were made, for one minute and for an hour.
 * - Changes a second of several processes together.
 *
 *   POSTERN_CONFIG_IDENTITIES=10000 npm run bench:config
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { BatchWriteItemCommand, DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { openControl } from '../lib/control/control.ts';
import type { Control } from '../lib/control/types.ts';
import type { AnyClient, ClientOptions } from '../lib/engine/aws/clients.ts';
import { type AwsEngine, openAws } from '../lib/engine/aws/open.ts';
import { type Clock, MINUTE, systemClock } from '../lib/time.ts';
import { startTestAws, type TestAws } from '../test/support/aws.ts';

const IDENTITIES = Number(process.env.POSTERN_CONFIG_IDENTITIES ?? 100_000);
const FEW = 10;
const CHANGES = 1_000;
const WRITERS = 4;
const AT_ONCE = 16;
const SECONDS = 5;
const masterKey = Buffer.alloc(32, 1);
setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

/** What a process asked of the tables. */
class Meter {
  reads = 0;
  units = 0;

  on(client: ClientOptions): ClientOptions {
    return {
      ...client,
      instrument: (one: AnyClient) => {
        (one as DynamoDBClient).middlewareStack.add(
          (next) => async (args) => {
            (args.input as unknown as Record<string, unknown>).ReturnConsumedCapacity = 'TOTAL';
            const result = await next(args);
            const { ConsumedCapacity: consumed } = result.output as { ConsumedCapacity?: unknown };
            this.reads += 1;
            for (const each of [consumed ?? []].flat())
              this.units += (each as { CapacityUnits?: number }).CapacityUnits ?? 0;
            return result;
          },
          { step: 'initialize' },
        );
      },
    };
  }

  take(): { reads: number; units: number } {
    const { reads, units } = this;
    this.reads = 0;
    this.units = 0;
    return { reads, units };
  }
}

interface Process {
  engine: AwsEngine;
  control: Control;
  meter: Meter;
}

/** @param clock of a process that may be stopped: its timers do nothing. */
async function open(aws: TestAws, clock: Clock): Promise<Process> {
  const meter = new Meter();
  const engine = await openAws({ resources: aws.resources, clock, client: meter.on(aws.client) });
  const control = await openControl({ config: engine.config, masterKey, clock, verifyIdentities: false });
  return { engine, control, meter };
}

/** What the first message of a caller looks up; the keys that sign are in what was read. */
async function firstMessage({ control }: Process, keyId: string, n: number): Promise<void> {
  const key = await control.keys.find(keyId);
  const identity = await control.identities.forSender(`ann@${nameOf(n)}`, 'default');
  if (!key || !identity) throw new Error('A key or an identity is missing.');
  await control.account.sendingEnabled();
  await control.account.suppression('default');
  await control.configurationSets.find('news', 'default');
  await control.eventDestinations.takers({ tenant: 'default', configurationSet: 'news' });
}

const nameOf = (n: number): string => `tenant${String(n).padStart(6, '0')}.example.com`;

/** Stores identities as they are, with the keys of the first: to make keys for all would take hours. */
async function seed(aws: TestAws, engine: AwsEngine, from: number, to: number): Promise<void> {
  const text = JSON.stringify((await engine.config.get('identity', nameOf(0)))!.value);
  const { endpoints, region, credentials } = aws.client;
  const dynamo = new DynamoDBClient({ region, credentials, endpoint: endpoints?.dynamodb });
  let next = from;
  const part = (): number[] => {
    const start = next;
    next = Math.min(to, start + 25);
    return Array.from({ length: next - start }, (_, n) => start + n);
  };
  const worker = async (): Promise<void> => {
    for (let numbers = part(); numbers.length > 0; numbers = part()) {
      const requests = numbers.map(nameOf).map((name) => ({
        PutRequest: {
          Item: {
            pk: { S: 'identity' },
            sk: { S: name },
            v: { S: text.replaceAll(nameOf(0), name) },
            n: { N: '1' },
          },
        },
      }));
      await dynamo.send(
        new BatchWriteItemCommand({ RequestItems: { [aws.resources.tables.config]: requests } }),
      );
    }
  };
  await Promise.all(Array.from({ length: 8 }, worker));
  dynamo.destroy();
}

/** A clock whose time can be moved, and whose timers do nothing: that of a process which is stopped between calls. */
function stoppable(): Clock & { ahead: number } {
  const clock = { ahead: 0, now: () => Date.now() + clock.ahead, after: () => () => {} };
  return clock;
}

async function coldStart(aws: TestAws, keyId: string, identities: number): Promise<number> {
  collect();
  const before = process.memoryUsage().heapUsed;
  const began = performance.now();
  const one = await open(aws, stoppable());
  await firstMessage(one, keyId, identities - 1);
  const ms = performance.now() - began;
  collect();
  const bytes = process.memoryUsage().heapUsed - before;
  const { reads, units } = one.meter.take();
  console.log(
    `cold start and first message, ${identities} identities: ${units.toFixed(1)} read units in ${reads} reads, ` +
      `${ms.toFixed(0)} ms, ${(bytes / 1e6).toFixed(1)} MB`,
  );
  await one.control.close();
  await one.engine.close();
  return bytes;
}

async function missed(aws: TestAws, writer: Process, keyId: string, minutes: number): Promise<void> {
  const clock = stoppable();
  const one = await open(aws, clock);
  await firstMessage(one, keyId, 0);
  const put = (n: number) =>
    writer.engine.config.put('configuration-set', `default/s${minutes}-${n}`, { name: 'x' });
  for (let n = 0; n < CHANGES; n += 50) await Promise.all(Array.from({ length: 50 }, (_, at) => put(n + at)));
  clock.ahead += minutes * MINUTE;
  one.meter.take();
  const began = performance.now();
  await one.engine.config.catchUp();
  const ms = performance.now() - began;
  const { reads, units } = one.meter.take();
  console.log(
    `first call after ${CHANGES} changes were missed, ${minutes} min: ${ms.toFixed(0)} ms, ${reads} reads, ${units.toFixed(1)} read units`,
  );
  await one.control.close();
  await one.engine.close();
}

/** One of the processes that change the configuration. */
async function write({ resources, client }: TestAws, name: string): Promise<void> {
  const engine = await openAws({ resources, client, clock: systemClock });
  const end = Date.now() + SECONDS * 1_000;
  let done = 0;
  const worker = async (_: unknown, at: number): Promise<void> => {
    for (let n = 0; Date.now() < end; n += 1) {
      await engine.config.put('template', `default/${name}-${at}-${n}`, { name: 'x' }, 0);
      done += 1;
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  process.send!(done);
  await engine.close();
}

async function changes(aws: TestAws): Promise<void> {
  const { resources, client } = aws;
  const children = Array.from({ length: WRITERS }, (_, n) => {
    const child = fork(import.meta.filename, ['write', `w${n}`]);
    child.send({ resources, client });
    return once(child, 'message');
  });
  const done = (await Promise.all(children)).reduce((sum, [count]) => sum + (count as number), 0);
  console.log(
    `changes a second of ${WRITERS} processes, ${AT_ONCE} at one time each: ${(done / SECONDS).toFixed(0)}`,
  );
}

async function run(): Promise<void> {
  const aws = await startTestAws([]);
  const writer = await open(aws, systemClock);
  try {
    const { control, engine } = writer;
    const { id } = await control.keys.create({ tenant: 'default', admin: true });
    await control.identities.create({ name: nameOf(0), tenant: 'default' });
    await seed(aws, engine, 1, FEW);
    await coldStart(aws, id, FEW);
    const few = await coldStart(aws, id, FEW);
    await seed(aws, engine, FEW, IDENTITIES);
    const many = await coldStart(aws, id, IDENTITIES);
    console.log(`memory above that with ${FEW}: ${((many - few) / 1e6).toFixed(1)} MB`);
    await missed(aws, writer, id, 1);
    await missed(aws, writer, id, 60);
    await sleep(1_000);
    await changes(aws);
  } finally {
    await writer.control.close();
    await writer.engine.close();
    await aws.stop();
  }
}

if (process.argv[2] === 'write') {
  process.once(
    'message',
    (aws) => void write(aws as TestAws, process.argv[3]!).then(() => process.disconnect()),
  );
} else {
  await run();
}
