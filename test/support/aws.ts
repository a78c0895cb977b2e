/**
 * AWS for tests: fauxqs (SQS and S3) in this process and dynoxide (DynamoDB) as a child, on ports of their own,
 * with the tables, the bucket and the queues of an engine. `POSTERN_TEST_AWS_ENDPOINT` puts another
 * endpoint in their place, for all three services (`aws`: the real ones, in the region of the environment).
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createRequire } from 'node:module';
import { createServer } from 'node:net';
import { dirname, join } from 'node:path';
import { mock } from 'node:test';
import {
  CreateTableCommand,
  DeleteTableCommand,
  DescribeTableCommand,
  DynamoDBClient,
  type KeySchemaElement,
} from '@aws-sdk/client-dynamodb';
import {
  CreateBucketCommand,
  DeleteBucketCommand,
  DeleteObjectCommand,
  ListObjectsV2Command,
  S3Client,
} from '@aws-sdk/client-s3';
import { CreateQueueCommand, DeleteQueueCommand, SQSClient } from '@aws-sdk/client-sqs';
import { startFauxqs } from 'fauxqs';
import type { ClientOptions } from '../../lib/engine/aws/clients.ts';
import {
  type AwsResources,
  DUE_QUEUE,
  EVENT_QUEUE,
  INDEXES,
  laneQueue,
  OUTCOME_QUEUE,
  PARTITION_KEY,
  SORT_KEY,
  TABLES,
  type TableName,
} from '../../lib/engine/aws/schema.ts';

export interface TestAws {
  resources: AwsResources;
  client: ClientOptions;
  /** Whether the emulators' time is that of this process, so that it can be moved (`moveTime`). */
  emulated: boolean;
  createQueue(queue: string): Promise<void>;
  stop(): Promise<void>;
}

const REGION = 'us-east-1';
const READY = 5_000;

/** @param lanes queues to create; `createQueue` creates others. */
export async function startTestAws(lanes: readonly string[]): Promise<TestAws> {
  const stops: (() => unknown)[] = [];
  const stop = async (): Promise<void> => {
    for (const one of stops.splice(0).reverse()) await one();
  };
  try {
    const endpoint = process.env.POSTERN_TEST_AWS_ENDPOINT;
    const client: ClientOptions = endpoint ? elsewhere(endpoint) : await emulators(stops);
    const made = await makeResources(client, lanes, endpoint !== undefined, stops);
    return { ...made, client, emulated: endpoint === undefined, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

function elsewhere(endpoint: string): ClientOptions {
  return endpoint === 'aws' ? {} : { endpoints: { sqs: endpoint, dynamodb: endpoint, s3: endpoint } };
}

async function emulators(stops: (() => unknown)[]): Promise<ClientOptions> {
  const [fauxqs, dynamodb] = await Promise.all([startFauxqs({ port: 0, logger: false }), startDynoxide()]);
  stops.push(() => fauxqs.stop(), dynamodb.stop);
  const other = `http://127.0.0.1:${fauxqs.port}`;
  return {
    region: REGION,
    credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
    endpoints: { sqs: other, s3: other, dynamodb: `http://127.0.0.1:${dynamodb.port}` },
  };
}

/** The binary comes in the package of its platform; `DYNOXIDE_BIN` names another. */
function dynoxideBinary(): string {
  const { DYNOXIDE_BIN } = process.env;
  if (DYNOXIDE_BIN) return DYNOXIDE_BIN;
  const name = `@dynoxide/${process.platform}-${process.arch}`;
  try {
    return join(dirname(createRequire(import.meta.url).resolve(`${name}/package.json`)), 'dynoxide');
  } catch {
    throw new Error(`There is no ${name}. Set DYNOXIDE_BIN to the dynoxide binary of this platform.`);
  }
}

async function startDynoxide(): Promise<{ port: number; stop: () => Promise<void> }> {
  const port = await freePort();
  const child: ChildProcess = spawn(dynoxideBinary(), ['--host', '127.0.0.1', '--port', String(port)], {
    stdio: 'ignore',
  });
  const exited = once(child, 'exit');
  const end = Date.now() + READY;
  for (;;) {
    const answer = await fetch(`http://127.0.0.1:${port}/`, { method: 'POST' }).catch(() => undefined);
    if (answer) break;
    if (child.exitCode !== null || Date.now() > end) throw new Error('dynoxide does not start.');
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  return {
    port,
    stop: async () => {
      child.kill('SIGKILL');
      await exited;
    },
  };
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, 'close');
  return port;
}

/** Creates tables, bucket and queues under a unique name; those of a real account are deleted at the end. */
async function makeResources(
  client: ClientOptions,
  lanes: readonly string[],
  temporary: boolean,
  stops: (() => unknown)[],
): Promise<Pick<TestAws, 'resources' | 'createQueue'>> {
  const { region, credentials, endpoints = {} } = client;
  const name = `postern-test-${randomBytes(4).toString('hex')}`;
  const shared = { region, credentials };
  const dynamo = new DynamoDBClient({ ...shared, endpoint: endpoints.dynamodb });
  const sqs = new SQSClient({ ...shared, endpoint: endpoints.sqs });
  const s3 = new S3Client({
    ...shared,
    endpoint: endpoints.s3,
    forcePathStyle: endpoints.s3 !== undefined,
  });
  stops.push(() => {
    for (const one of [dynamo, sqs, s3]) one.destroy();
  });
  const tables = Object.fromEntries(TABLES.map((table) => [table, `${name}-${table}`])) as Record<
    TableName,
    string
  >;
  await Promise.all(
    TABLES.map(async (table) => {
      const TableName = tables[table];
      const index = INDEXES.find((one) => one.table === table);
      const indexKeys = index && [
        { AttributeName: index.partitionKey, AttributeType: 'S' as const },
        ...(index.sortKey === SORT_KEY
          ? []
          : [{ AttributeName: index.sortKey, AttributeType: index.sortType }]),
      ];
      await dynamo.send(
        new CreateTableCommand({
          TableName,
          BillingMode: 'PAY_PER_REQUEST',
          AttributeDefinitions: [
            { AttributeName: PARTITION_KEY, AttributeType: 'S' },
            { AttributeName: SORT_KEY, AttributeType: 'S' },
            ...(indexKeys ?? []),
          ],
          KeySchema: keySchema(PARTITION_KEY, SORT_KEY),
          ...(index && {
            GlobalSecondaryIndexes: [
              {
                IndexName: index.name,
                KeySchema: keySchema(index.partitionKey, index.sortKey),
                Projection: { ProjectionType: 'ALL' },
              },
            ],
          }),
        }),
      );
      if (temporary) stops.push(() => dynamo.send(new DeleteTableCommand({ TableName })));
      for (;;) {
        const { Table } = await dynamo.send(new DescribeTableCommand({ TableName }));
        if (Table?.TableStatus === 'ACTIVE') break;
        await new Promise((resolve) => setTimeout(resolve, 500));
      }
    }),
  );
  await s3.send(new CreateBucketCommand({ Bucket: name }));
  if (temporary) stops.push(() => deleteBucket(s3, name));
  let queueUrlPrefix = '';
  const made = new Set<string>();
  const createQueue = async (queue: string): Promise<void> => {
    const Attributes = {
      MaximumMessageSize: '1048576',
      MessageRetentionPeriod: '1209600',
      ...(queue.endsWith('.fifo') && { FifoQueue: 'true' }),
    };
    const { QueueUrl } = await sqs.send(
      new CreateQueueCommand({ QueueName: `${name}-${queue}`, Attributes }),
    );
    queueUrlPrefix = QueueUrl!.slice(0, -queue.length);
    // Two callers that miss a queue at the same time both create it.
    if (temporary && !made.has(queue)) stops.push(() => sqs.send(new DeleteQueueCommand({ QueueUrl })));
    made.add(queue);
  };
  await Promise.all([OUTCOME_QUEUE, EVENT_QUEUE, DUE_QUEUE, ...lanes.map(laneQueue)].map(createQueue));
  return {
    resources: { tables, bucket: name, queueUrlPrefix, claimBeforeSend: false, searchIndex: true },
    createQueue,
  };
}

function keySchema(partition: string, sort: string): KeySchemaElement[] {
  return [
    { AttributeName: partition, KeyType: 'HASH' },
    { AttributeName: sort, KeyType: 'RANGE' },
  ];
}

async function deleteBucket(s3: S3Client, Bucket: string): Promise<void> {
  for (;;) {
    const { Contents = [] } = await s3.send(new ListObjectsV2Command({ Bucket }));
    if (Contents.length === 0) break;
    for (const { Key } of Contents) await s3.send(new DeleteObjectCommand({ Bucket, Key }));
  }
  await s3.send(new DeleteBucketCommand({ Bucket }));
}

/**
 * Moves the time of this process, and with it that of SQS in it: delays and visibility times pass at once.
 * Timers stay real. Call `mock.timers.reset()` at the end.
 */
export function moveTime(to: number): void {
  mock.timers.reset();
  mock.timers.enable({ apis: ['Date'], now: to });
}

/** A client that creates a missing lane at its first use. */
export function withLanes(aws: TestAws): ClientOptions {
  return {
    ...aws.client,
    instrument(client) {
      if (!(client instanceof SQSClient)) return;
      client.middlewareStack.add(
        (next) => async (args) => {
          try {
            return await next(args);
          } catch (error) {
            const url = (args.input as { QueueUrl?: string }).QueueUrl ?? '';
            if ((error as Error).name !== 'QueueDoesNotExist') throw error;
            await aws.createQueue(url.slice(aws.resources.queueUrlPrefix.length));
            return next(args);
          }
        },
        { step: 'initialize', name: 'makeQueue' },
      );
    },
  };
}

/** A fault of the client's requests. */
export interface Fault {
  /** Command without its ending, as `SendMessageBatch`. */
  command: string;
  /** Number of requests with the fault. */
  times: number;
  /**
   * `refused`: the service does nothing and answers with an error. `lost`: the request is done, its answer lost. `cut`:
   * the request is lost. `partial`: the service leaves out the first entry of a batch, and reports it.
   */
  kind: 'refused' | 'lost' | 'cut' | 'partial';
  /** Name of the error of `refused`. */
  error?: string;
  /** Limits the fault to requests whose input matches. */
  when?: (input: Record<string, unknown>) => boolean;
}

/** Faults of all clients of one engine, and the number of requests of each command. */
export class Faults {
  readonly calls = new Map<string, number>();
  #faults: Fault[] = [];

  add(fault: Fault): void {
    this.#faults.push(fault);
  }

  clear(): void {
    this.#faults = [];
  }

  /** The client for the engine. */
  on(client: ClientOptions): ClientOptions {
    return {
      ...client,
      instrument: (one) => {
        client.instrument?.(one);
        const { middlewareStack } = one as SQSClient;
        middlewareStack.add(
          (next, context) => async (args) => {
            const command = (context.commandName ?? '').replace(/Command$/, '');
            const input = args.input as Record<string, unknown>;
            if (this.#take(command, input, 'partial')) return this.#partial(next as never, args as never);
            return next(args);
          },
          { step: 'initialize', name: 'partial' },
        );
        // Inside of the SDK's own retries.
        middlewareStack.add(
          (next, context) => async (args) => {
            const command = (context.commandName ?? '').replace(/Command$/, '');
            this.calls.set(command, (this.calls.get(command) ?? 0) + 1);
            const input = args.input as Record<string, unknown>;
            const refused = this.#take(command, input, 'refused');
            if (refused) throw failure(refused.error ?? 'ThrottlingException', 400);
            if (this.#take(command, input, 'cut')) throw failure('TimeoutError', undefined);
            const result = await next(args);
            if (this.#take(command, input, 'lost')) throw failure('TimeoutError', undefined);
            return result;
          },
          { step: 'finalizeRequest', name: 'faults', priority: 'low' },
        );
      },
    };
  }

  #take(command: string, input: Record<string, unknown>, kind: Fault['kind']): Fault | undefined {
    const fault = this.#faults.find(
      (one) => one.command === command && one.kind === kind && one.times > 0 && (one.when?.(input) ?? true),
    );
    if (fault) fault.times -= 1;
    return fault;
  }

  /** The first entry of a batch is left out and reported as failed, or not processed. */
  async #partial(next: (args: unknown) => Promise<{ output: unknown }>, args: { input: unknown }) {
    const input = args.input as { Entries?: { Id: string }[]; RequestItems?: Record<string, unknown[]> };
    if (input.Entries) {
      const [first, ...rest] = input.Entries;
      const Failed = [{ Id: first!.Id, SenderFault: false, Code: 'InternalError', Message: 'injected' }];
      if (rest.length === 0)
        return { output: { Successful: [], Failed, $metadata: {} }, response: {} } as never;
      const result = await next({ ...args, input: { ...input, Entries: rest } });
      (result.output as { Failed?: unknown }).Failed = Failed;
      return result as never;
    }
    const [table, writes] = Object.entries(input.RequestItems!)[0]!;
    const UnprocessedItems = { [table]: writes.slice(0, 1) };
    if (writes.length === 1) return { output: { UnprocessedItems, $metadata: {} }, response: {} } as never;
    const result = await next({ ...args, input: { ...input, RequestItems: { [table]: writes.slice(1) } } });
    (result.output as { UnprocessedItems?: unknown }).UnprocessedItems = UnprocessedItems;
    return result as never;
  }
}

function failure(name: string, httpStatusCode: number | undefined): Error {
  return Object.assign(new Error('injected'), { name, $metadata: { httpStatusCode }, $fault: 'server' });
}
