/**
 * DynamoDB in virtual time, with its documented limits: a key takes 1,000 write units and 3,000 read units a second
 * (developer guide, "Best practices for designing and using partition keys effectively"), an on-demand table what its
 * stage allows at most and what it has grown to (a new one 4,000 and 12,000, "On-demand capacity mode"). No burst is
 * lent: what a second did not use is gone.
 */
import {
  type AttributeValue,
  ConditionalCheckFailedException,
  ProvisionedThroughputExceededException,
} from '@aws-sdk/client-dynamodb';
import type { Random } from '../../lib/time.ts';
import type { SimulatedClock } from '../simulate/clock.ts';
import { type DynamoRow, meets, updated } from './expressions.ts';

export const KEY_WRITES = 1_000;
export const KEY_READS = 3_000;

/** What a table takes a second, in units. */
export interface TableCap {
  writes: number;
  reads: number;
}

/** What a table was asked for. */
export class TableFigures {
  /** Units by second. */
  readonly writes = new Map<number, number>();
  readonly reads = new Map<number, number>();
  /** Most units of one key in a second. */
  hottestWrite = 0;
  hottestRead = 0;
  throttled = 0;
}

interface Partition {
  rows: Map<string, DynamoRow>;
  /** Sort keys in order; undefined after a new one. */
  order?: string[];
}

type Input = Record<string, never> & {
  TableName: string;
  Key: DynamoRow;
  Item: DynamoRow;
  ConsistentRead?: boolean;
  UpdateExpression: string;
  ConditionExpression?: string;
  ExpressionAttributeNames?: Record<string, string>;
  ExpressionAttributeValues?: DynamoRow;
  ReturnValues?: string;
  Limit?: number;
  Select?: string;
  ExclusiveStartKey?: DynamoRow;
  RequestItems: Record<string, never>;
};

/** Tries of the SDK, and the longest wait before the second (SDK for JavaScript, standard retry of a throttled call), ms. */
const TRIES = 5;
const FIRST_WAIT = 500;
const PAGE = 1024 * 1024;

export class VirtualDynamo {
  readonly figures = new Map<string, TableFigures>();
  readonly #tables = new Map<string, Map<string, Partition>>();
  readonly #clock: SimulatedClock;
  readonly #random: Random;
  readonly #cap: (table: string) => TableCap;
  /** Units by table, key and kind in the current second. */
  readonly #used = new Map<string, number>();
  #second = -1;

  constructor(clock: SimulatedClock, random: Random, cap: (table: string) => TableCap) {
    this.#clock = clock;
    this.#random = random;
    this.#cap = cap;
  }

  figuresOf(table: string): TableFigures {
    let found = this.figures.get(table);
    if (!found) this.figures.set(table, (found = new TableFigures()));
    return found;
  }

  /** Puts a row there before the time begins. */
  seed(table: string, row: DynamoRow): void {
    this.#put(table, row);
  }

  rows(table: string, pk: string): number {
    return this.#partition(table, pk).rows.size;
  }

  /** A command without its ending. @throws as the SDK throws, after its own tries. */
  async call(command: string, input: Input): Promise<object> {
    for (let tries = 1; ; tries += 1) {
      try {
        return this.#do(command, input);
      } catch (error) {
        if ((error as Error).name !== THROTTLED || tries === TRIES) throw error;
        await this.#clock.sleep(Math.ceil(this.#random() * FIRST_WAIT * 2 ** (tries - 1)));
      }
    }
  }

  #do(command: string, input: Input): object {
    switch (command) {
      case 'GetItem':
        return { Item: this.#get(input.TableName, input.Key, input.ConsistentRead ?? false) };
      case 'BatchGetItem':
        return this.#batchGet(input);
      case 'Query':
        return this.#query(input);
      case 'UpdateItem':
        return this.#update(input);
      case 'DeleteItem':
        return this.#delete(input);
      case 'PutItem':
        return this.#putItem(input);
      case 'BatchWriteItem':
        return this.#batchWrite(input);
      default:
        throw new Error(`${command} is not simulated.`);
    }
  }

  #get(table: string, key: DynamoRow, consistent: boolean): DynamoRow | undefined {
    const row = this.#find(table, key);
    this.#spend(table, key.pk!.S!, 'reads', readUnits(row ? sizeOf(row) : 0, consistent));
    return row;
  }

  #batchGet({ RequestItems }: Input): object {
    const Responses: Record<string, DynamoRow[]> = {};
    const UnprocessedKeys: Record<string, unknown> = {};
    let done = 0;
    for (const [table, asked] of Object.entries(
      RequestItems as Record<string, { Keys: DynamoRow[]; ConsistentRead?: boolean }>,
    )) {
      Responses[table] = [];
      const left: DynamoRow[] = [];
      for (const key of asked.Keys) {
        try {
          const row = this.#get(table, key, asked.ConsistentRead ?? false);
          if (row) Responses[table].push(row);
          done += 1;
        } catch (error) {
          if ((error as Error).name !== THROTTLED) throw error;
          left.push(key);
        }
      }
      if (left.length > 0) UnprocessedKeys[table] = { ...asked, Keys: left };
    }
    if (done === 0) throw throttled();
    return { Responses, UnprocessedKeys };
  }

  #query({
    TableName,
    ExpressionAttributeValues: values,
    Limit,
    Select,
    ConsistentRead,
    ExclusiveStartKey,
  }: Input): object {
    const pk = values![':pk']!.S!;
    const partition = this.#partition(TableName, pk);
    partition.order ??= [...partition.rows.keys()].sort();
    const from = ExclusiveStartKey ? `${ExclusiveStartKey.sk!.S!}\0` : values![':from']!.S!;
    const to = values![':to']!.S!;
    const Items: DynamoRow[] = [];
    let bytes = 0;
    let more = false;
    for (let at = lowerBound(partition.order, from); at < partition.order.length; at += 1) {
      const sk = partition.order[at]!;
      if (sk > to) break;
      const row = partition.rows.get(sk);
      if (!row) continue;
      if (Items.length === (Limit ?? Number.POSITIVE_INFINITY) || bytes > PAGE) {
        more = true;
        break;
      }
      bytes += sizeOf(row);
      Items.push(row);
    }
    this.#spend(TableName, pk, 'reads', readUnits(bytes, ConsistentRead ?? false));
    const last = Items.at(-1);
    return {
      Count: Items.length,
      ...(Select !== 'COUNT' && { Items }),
      ...(more && last && { LastEvaluatedKey: { pk: last.pk, sk: last.sk } }),
    };
  }

  #update(input: Input): object {
    const { TableName, Key, ExpressionAttributeNames: names, ExpressionAttributeValues: values } = input;
    const before = this.#find(TableName, Key);
    const holds = meets(input.ConditionExpression, before, names, values);
    const after = holds ? updated(input.UpdateExpression, before ?? { ...Key }, names, values) : before;
    const bytes = Math.max(before ? sizeOf(before) : 0, after ? sizeOf(after) : 0);
    this.#spend(TableName, Key.pk!.S!, 'writes', writeUnits(bytes));
    if (!holds) throw conditionFailed(before);
    this.#put(TableName, after!);
    return input.ReturnValues === 'ALL_NEW' ? { Attributes: after } : {};
  }

  #putItem(input: Input): object {
    const { TableName, Item, ExpressionAttributeNames: names, ExpressionAttributeValues: values } = input;
    const before = this.#find(TableName, Item);
    this.#spend(TableName, Item.pk!.S!, 'writes', writeUnits(sizeOf(Item)));
    if (!meets(input.ConditionExpression, before, names, values)) throw conditionFailed(before);
    this.#put(TableName, Item);
    return {};
  }

  #delete(input: Input): object {
    const { TableName, Key, ExpressionAttributeNames: names, ExpressionAttributeValues: values } = input;
    const before = this.#find(TableName, Key);
    this.#spend(TableName, Key.pk!.S!, 'writes', writeUnits(before ? sizeOf(before) : 0));
    if (!meets(input.ConditionExpression, before, names, values)) throw conditionFailed(before);
    this.#partition(TableName, Key.pk!.S!).rows.delete(Key.sk!.S!);
    return { Attributes: before };
  }

  #batchWrite({ RequestItems }: Input): object {
    const UnprocessedItems: Record<string, unknown[]> = {};
    let done = 0;
    for (const [table, writes] of Object.entries(
      RequestItems as Record<
        string,
        { PutRequest?: { Item: DynamoRow }; DeleteRequest?: { Key: DynamoRow } }[]
      >,
    )) {
      for (const write of writes) {
        try {
          if (write.PutRequest) this.#putItem({ TableName: table, Item: write.PutRequest.Item } as Input);
          else this.#delete({ TableName: table, Key: write.DeleteRequest!.Key } as Input);
          done += 1;
        } catch (error) {
          if ((error as Error).name !== THROTTLED) throw error;
          (UnprocessedItems[table] ??= []).push(write);
        }
      }
    }
    if (done === 0) throw throttled();
    return { UnprocessedItems };
  }

  /** @throws when the table or the key has no units left in this second. */
  #spend(table: string, pk: string, kind: 'reads' | 'writes', units: number): void {
    const second = Math.floor(this.#clock.now() / 1000);
    if (second !== this.#second) {
      this.#second = second;
      this.#used.clear();
    }
    const figures = this.figuresOf(table);
    const ofTable = `${kind} ${table}`;
    const ofKey = `${ofTable} ${pk}`;
    const tableUsed = (this.#used.get(ofTable) ?? 0) + units;
    const keyUsed = (this.#used.get(ofKey) ?? 0) + units;
    if (tableUsed > this.#cap(table)[kind] || keyUsed > (kind === 'writes' ? KEY_WRITES : KEY_READS)) {
      figures.throttled += 1;
      throw throttled();
    }
    this.#used.set(ofTable, tableUsed);
    this.#used.set(ofKey, keyUsed);
    figures[kind].set(second, (figures[kind].get(second) ?? 0) + units);
    if (kind === 'writes') figures.hottestWrite = Math.max(figures.hottestWrite, keyUsed);
    else figures.hottestRead = Math.max(figures.hottestRead, keyUsed);
  }

  #find(table: string, { pk, sk }: DynamoRow): DynamoRow | undefined {
    return this.#tables.get(table)?.get(pk!.S!)?.rows.get(sk!.S!);
  }

  #put(table: string, row: DynamoRow): void {
    const partition = this.#partition(table, row.pk!.S!);
    const sk = row.sk!.S!;
    if (!partition.rows.has(sk)) partition.order = undefined;
    partition.rows.set(sk, row);
  }

  #partition(table: string, pk: string): Partition {
    let partitions = this.#tables.get(table);
    if (!partitions) this.#tables.set(table, (partitions = new Map()));
    let partition = partitions.get(pk);
    if (!partition) partitions.set(pk, (partition = { rows: new Map() }));
    return partition;
  }
}

const THROTTLED = 'ProvisionedThroughputExceededException';
const ANSWER = { $metadata: { httpStatusCode: 400 } };

function throttled(): Error {
  return new ProvisionedThroughputExceededException({ ...ANSWER, message: 'The throughput is exceeded.' });
}

function conditionFailed(Item: DynamoRow | undefined): Error {
  return new ConditionalCheckFailedException({ ...ANSWER, message: 'The condition failed.', Item });
}

function writeUnits(bytes: number): number {
  return Math.max(1, Math.ceil(bytes / 1024));
}

function readUnits(bytes: number, consistent: boolean): number {
  return Math.max(1, Math.ceil(bytes / 4096)) * (consistent ? 1 : 0.5);
}

function lowerBound(keys: readonly string[], least: string): number {
  let low = 0;
  let high = keys.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (keys[middle]! < least) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** As DynamoDB counts: names and values (developer guide, "DynamoDB item sizes and formats"). */
export function sizeOf(row: DynamoRow): number {
  let size = 0;
  for (const [name, value] of Object.entries(row)) size += name.length + valueSize(value);
  return size;
}

function valueSize(value: AttributeValue): number {
  if (value.S !== undefined) return Buffer.byteLength(value.S);
  if (value.N !== undefined) return Math.ceil(value.N.length / 2) + 1;
  if (value.B !== undefined) return value.B.length;
  return (value.L ?? []).reduce((sum, one) => sum + 1 + valueSize(one), 3);
}
