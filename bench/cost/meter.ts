/** Counts what AWS bills for the requests of a client: calls, the units that they are billed by, and their price. */
import type { AnyClient } from '../../lib/engine/aws/clients.ts';
import { PRICES, sqsRequests } from '../../lib/engine/aws/placement.ts';
import type { DynamoRow } from '../scale/expressions.ts';
import { sizeOf } from '../scale/virtual-dynamo.ts';

/** Requests of one kind: how many calls, and for how many dollars (before "a million"). */
export interface Line {
  calls: number;
  units: number;
  dollars: number;
}

export class Meter {
  lines = new Map<string, Line>();
  readonly #messages: number;
  /** What was written to the tables that grow with the mail. */
  stored = { bytes: 0, items: 0 };

  /** @param messages of a scenario, by which its figures are divided. */
  constructor(messages: number) {
    this.#messages = messages;
  }

  store(items: readonly DynamoRow[]): void {
    this.stored.items += items.length;
    for (const item of items) this.stored.bytes += sizeOf(item);
  }

  /** What was stored since the last time, for each message. */
  takeStored(): { bytes: number; items: number } {
    const { bytes, items } = this.stored;
    this.stored = { bytes: 0, items: 0 };
    return { bytes: bytes / this.#messages, items: items / this.#messages };
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
    return lines.reduce((sum, [, { units }]) => sum + units, 0) / this.#messages;
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
export function instrument(meter: Meter): (client: AnyClient) => void {
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
