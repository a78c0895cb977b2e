/** Processes that share one AWS, each with its own faults and its own clock, and how they deliver what there is. */
import assert from 'node:assert/strict';
import { after, afterEach, before, mock } from 'node:test';
import {
  type AttributeValue,
  BatchWriteItemCommand,
  DeleteItemCommand,
  DynamoDBClient,
} from '@aws-sdk/client-dynamodb';
import { SendMessageCommand, SQSClient } from '@aws-sdk/client-sqs';
import type { Key } from '../../lib/engine/aws/attributes.ts';
import { type AwsEngine, openAws } from '../../lib/engine/aws/open.ts';
import { laneQueue, type TableName } from '../../lib/engine/aws/schema.ts';
import type { Outcome } from '../../lib/engine/items.ts';
import type { Engine, LeasedItem } from '../../lib/engine/ports.ts';
import { Faults, moveTime, startTestAws, type TestAws, withLanes } from '../support/aws.ts';
import { seededRandom } from '../support/clock.ts';
import { end } from './harness.ts';

export const MINUTE = 60_000;
export const VISIBILITY = 120_000;

/** These tests move time by days, which only emulators allow. */
export const SKIP = process.env.POSTERN_TEST_AWS_ENDPOINT ? 'needs to move time' : false;

export interface Node {
  engine: AwsEngine;
  faults: Faults;
}

export interface OpenOptions {
  claimBeforeSend?: boolean;
  /** Error of the clock of the process, ms. */
  skew?: number;
  /** An endpoint of SQS in place of the emulator's own. */
  sqs?: string;
  /** Directory of its settlement journal. */
  journal?: string;
  /** In place of none at first. */
  faults?: Faults;
}

export interface Nodes {
  aws(): TestAws;
  /** Starts a process. */
  open(options?: OpenOptions): Promise<Node>;
  /** Log lines of the processes of this test. */
  logged: string[];
}

/** Call this inside a `describe`: its AWS starts before the tests and ends after them. */
export function awsNodes(): Nodes {
  let aws: TestAws;
  const engines: Engine[] = [];
  const logged: string[] = [];
  before(async () => {
    aws = await startTestAws([]);
    moveTime(Date.now());
  });
  afterEach(() => {
    logged.length = 0;
  });
  after(async () => {
    for (const engine of engines) await engine.close();
    await aws.stop();
    mock.timers.reset();
  });
  return {
    aws: () => aws,
    logged,
    async open({ claimBeforeSend = false, skew = 0, sqs, journal, faults = new Faults() } = {}) {
      const lanes = withLanes(aws);
      const note = (message: string): void => void logged.push(message);
      const engine = await openAws({
        resources: { ...aws.resources, claimBeforeSend },
        client: faults.on({ ...lanes, endpoints: { ...lanes.endpoints, ...(sqs && { sqs }) } }),
        clock: { now: () => Date.now() + skew, after: soon },
        // Steady clocks begin anywhere.
        steady: () => Date.now() + skew / 7,
        random: seededRandom(1),
        log: { debug: note, info: note, warn: note, error: note },
        depthAge: 0,
        journal,
      });
      engines.push(engine);
      return { engine, faults };
    },
  };
}

/** A back-off that tests need not wait for. */
function soon(delay: number, task: () => void): () => void {
  const timer = setTimeout(task, Math.min(delay, 20)).unref();
  return () => clearTimeout(timer);
}

export function advance(ms: number): void {
  moveTime(Date.now() + ms);
}

/** Leases everything that a lane holds in the next two hours and ends each item at once. */
export async function deliverAll(engine: Engine, lane: string): Promise<LeasedItem[]> {
  const all: LeasedItem[] = [];
  for (const minutes of [0, 2, 8, 5, 1, 4, 25, 15, 60]) {
    advance(minutes * MINUTE);
    await engine.ledger.promote();
    const leased = await engine.queue.lease({ lane, max: 100, visibility: VISIBILITY, wait: 0 });
    await engine.queue.settle(leased.map((one) => end(one, Date.now())));
    all.push(...leased);
  }
  return all;
}

/** Puts a text into a lane as it is. */
export async function sendRaw(aws: TestAws, lane: string, text: string): Promise<void> {
  const { region, credentials, endpoints } = aws.client;
  const sqs = new SQSClient({ region, credentials, endpoint: endpoints!.sqs });
  const QueueUrl = aws.resources.queueUrlPrefix + laneQueue(lane);
  await sqs.send(new SendMessageCommand({ QueueUrl, MessageBody: text }));
  sqs.destroy();
}

type Row = Record<string, AttributeValue>;

/** Puts items into a table as they are. */
export async function putRows(
  aws: TestAws,
  rows: readonly Row[],
  table: TableName = 'ledger',
): Promise<void> {
  const { region, credentials, endpoints } = aws.client;
  const dynamo = new DynamoDBClient({ region, credentials, endpoint: endpoints!.dynamodb });
  for (let at = 0; at < rows.length; at += 25) {
    const part = rows.slice(at, at + 25).map((Item) => ({ PutRequest: { Item } }));
    await dynamo.send(new BatchWriteItemCommand({ RequestItems: { [aws.resources.tables[table]]: part } }));
  }
  dynamo.destroy();
}

/** Takes an item out of a table, if it is there. */
export async function takeRow(
  aws: TestAws,
  { pk, sk }: Key,
  table: TableName = 'ledger',
): Promise<Row | undefined> {
  const { region, credentials, endpoints } = aws.client;
  const dynamo = new DynamoDBClient({ region, credentials, endpoint: endpoints!.dynamodb });
  const Key = { pk: { S: pk }, sk: { S: sk } };
  const TableName = aws.resources.tables[table];
  const { Attributes } = await dynamo.send(
    new DeleteItemCommand({ TableName, Key, ReturnValues: 'ALL_OLD' }),
  );
  dynamo.destroy();
  return Attributes;
}

/** The outcomes of a message in the feed. */
export async function outcomesOf(engine: Engine, id: string): Promise<Outcome[]> {
  const all: Outcome[] = [];
  for (let cursor = 0; ; ) {
    const page = await engine.records.feed(cursor, 100);
    if (page.outcomes.length === 0) return all.filter((outcome) => outcome.messageId === id);
    all.push(...page.outcomes);
    cursor = page.cursor;
  }
}

export async function until(condition: () => boolean): Promise<void> {
  for (let tries = 0; !condition(); tries += 1) {
    assert.ok(tries < 500, 'it never came');
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
