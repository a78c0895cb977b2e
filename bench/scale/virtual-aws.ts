/**
 * AWS in virtual time behind the SDK's clients: requests are answered in their middleware, three milliseconds after they
 * left and three before their answer arrives. The engine above them is the one that runs in production.
 */
import type { AnyClient, ClientOptions } from '../../lib/engine/aws/clients.ts';
import { type AwsEngine, openAws } from '../../lib/engine/aws/open.ts';
import { type AwsResources, TABLES, type TableName } from '../../lib/engine/aws/schema.ts';
import type { Random } from '../../lib/time.ts';
import type { SimulatedClock } from '../simulate/clock.ts';
import { type TableCap, type TableFigures, VirtualDynamo } from './virtual-dynamo.ts';
import { VirtualSqs } from './virtual-sqs.ts';

/** Half of a round trip, ms. */
const HALF = 3;

export interface VirtualAwsOptions {
  clock: SimulatedClock;
  random: Random;
  /** Of each table; absent: 40,000 units each way, DynamoDB's quota for a table. */
  cap?: (table: TableName) => TableCap;
}

export class VirtualAws {
  readonly dynamo: VirtualDynamo;
  readonly sqs: VirtualSqs;
  readonly resources: AwsResources = {
    tables: Object.fromEntries(TABLES.map((table) => [table, table])) as Record<TableName, string>,
    bucket: 'bodies',
    queueUrlPrefix: 'https://sqs.test/1/',
    claimBeforeSend: false,
    searchIndex: false,
  };
  readonly #clock: SimulatedClock;
  readonly #random: Random;

  constructor({ clock, random, cap = () => ({ writes: 40_000, reads: 40_000 }) }: VirtualAwsOptions) {
    this.#clock = clock;
    this.#random = random;
    this.dynamo = new VirtualDynamo(clock, random, (table) => cap(table as TableName));
    this.sqs = new VirtualSqs(clock);
  }

  figures(table: TableName): TableFigures {
    return this.dynamo.figuresOf(table);
  }

  /** An engine of one process. @param lost once it returns true, no request of the process is made any more. */
  open(lost: () => boolean = () => false): Promise<AwsEngine> {
    const clock = this.#clock;
    return openAws({
      resources: this.resources,
      clock,
      random: this.#random,
      steady: () => clock.now(),
      client: this.#client(lost),
    });
  }

  #client(lost: () => boolean): ClientOptions {
    const never = new Promise<never>(() => {});
    const answer = async (service: string, command: string, input: never): Promise<object> => {
      if (lost()) return never;
      await this.#clock.sleep(HALF);
      const name = command.replace(/Command$/, '');
      const done = service === 'SQSClient' ? this.sqs.call(name, input) : this.dynamo.call(name, input);
      const [result] = await Promise.allSettled([done]);
      await this.#clock.sleep(HALF);
      if (lost()) return never;
      if (result.status === 'rejected') throw result.reason as Error;
      return result.value;
    };
    return {
      region: 'us-east-1',
      credentials: { accessKeyId: 'x', secretAccessKey: 'x' },
      instrument: (client: AnyClient) => {
        (
          client as { middlewareStack: { add: (one: unknown, options: unknown) => void } }
        ).middlewareStack.add(
          (_next: unknown, { clientName, commandName }: { clientName: string; commandName: string }) =>
            async ({ input }: { input: never }) => ({
              output: await answer(clientName, commandName, input),
              response: {},
            }),
          { step: 'initialize', name: 'virtual', priority: 'high' },
        );
      },
    };
  }
}
