/**
 * The tables: DynamoDB as the rest of the engine uses it. Every table has `pk`, `sk` and `ttl`.
 *
 * Unprocessed items of a batch are requested again; throttling that outlasts the SDK's own tries is reported as
 * `storage_unavailable`.
 */
import {
  BatchGetItemCommand,
  BatchWriteItemCommand,
  ConditionalCheckFailedException,
  DeleteItemCommand,
  type DynamoDBClient,
  GetItemCommand,
  PutItemCommand,
  QueryCommand,
  TransactionCanceledException,
  type TransactWriteItem,
  TransactWriteItemsCommand,
  UpdateItemCommand,
  type WriteRequest,
} from '@aws-sdk/client-dynamodb';
import { PosternError } from '../../errors.ts';
import { type Item, type Key, keyOf, number, text } from './attributes.ts';
import { isThrottle, storageError } from './clients.ts';
import { chunks, each, type Pacing, pause } from './concurrency.ts';
import { LISTED_INDEX, PARKED_INDEX, type TableName } from './schema.ts';

/** An expression with the names and values that it uses. */
export interface Update {
  update: string;
  condition?: string;
  names?: Record<string, string>;
  values?: Item;
  /** Whether to return the item after the change. */
  returns?: boolean;
}

export interface KeyRange {
  /** Sort keys from here … */
  from: string;
  /** … to here, both included. */
  to: string;
  limit?: number;
  consistent?: boolean;
  /** From the last sort key down. */
  descending?: boolean;
  /** First this many bytes only: no second page. */
  onePage?: boolean;
}

const WRITES = 25;
const READS = 100;
const WIDTH = 16;
/** Maximum tries of a batch for its unprocessed items: about ten seconds. */
const TRIES = 10;

export class Tables {
  readonly #dynamo: DynamoDBClient;
  readonly #names: Readonly<Record<TableName, string>>;
  readonly #pacing: Pacing;

  constructor(dynamo: DynamoDBClient, names: Readonly<Record<TableName, string>>, pacing: Pacing) {
    this.#dynamo = dynamo;
    this.#names = names;
    this.#pacing = pacing;
  }

  async get(table: TableName, key: Key, consistent = true): Promise<Item | undefined> {
    return this.#do(table, async () => {
      const command = new GetItemCommand({
        TableName: this.#names[table],
        Key: keyOf(key),
        ConsistentRead: consistent,
      });
      return (await this.#dynamo.send(command)).Item;
    });
  }

  /** Items that exist, in no order. */
  async getAll(table: TableName, keys: readonly Key[], consistent = true): Promise<Item[]> {
    const found: Item[] = [];
    await each(chunks(keys, READS), WIDTH, (part) =>
      this.#do(table, async () => {
        const name = this.#names[table];
        let left: Item[] = part.map(keyOf);
        for (let tries = 0; left.length > 0; tries += 1) {
          await this.#again(table, tries);
          const answer = await this.#dynamo.send(
            new BatchGetItemCommand({
              RequestItems: { [name]: { Keys: left, ConsistentRead: consistent } },
            }),
          );
          found.push(...(answer.Responses?.[name] ?? []));
          left = answer.UnprocessedKeys?.[name]?.Keys ?? [];
        }
      }),
    );
    return found;
  }

  /** Items of a partition in the order of their sort keys. */
  async query(table: TableName, pk: string, range: KeyRange): Promise<Item[]> {
    return this.#do(table, async () => {
      const found: Item[] = [];
      let start: Item | undefined;
      do {
        const answer = await this.#dynamo.send(
          new QueryCommand({
            TableName: this.#names[table],
            KeyConditionExpression: 'pk = :pk AND sk BETWEEN :from AND :to',
            ExpressionAttributeValues: { ':pk': text(pk), ':from': text(range.from), ':to': text(range.to) },
            ConsistentRead: range.consistent ?? true,
            ...(range.descending && { ScanIndexForward: false }),
            ...(range.limit !== undefined && { Limit: range.limit - found.length }),
            ...(start && { ExclusiveStartKey: start }),
          }),
        );
        found.push(...(answer.Items ?? []));
        start = answer.LastEvaluatedKey;
      } while (start && !range.onePage && (range.limit === undefined || found.length < range.limit));
      return found;
    });
  }

  /**
   * Items of a partition of the index `listed` in the order of its sort keys, from `from` to `to`, both included.
   * Eventually consistent, as every index.
   * @param after the last item before them, with the keys of index and table.
   */
  async queryListed(
    pk: string,
    { from, to, limit, after }: { from: number; to: number; limit: number; after?: Item },
  ): Promise<Item[]> {
    const { table, name, partitionKey, sortKey } = LISTED_INDEX;
    return this.#do(table, async () => {
      const found: Item[] = [];
      let start = after;
      do {
        const answer = await this.#dynamo.send(
          new QueryCommand({
            TableName: this.#names[table],
            IndexName: name,
            KeyConditionExpression: `${partitionKey} = :pk AND ${sortKey} BETWEEN :from AND :to`,
            ExpressionAttributeValues: { ':pk': text(pk), ':from': number(from), ':to': number(to) },
            Limit: limit - found.length,
            ...(start && { ExclusiveStartKey: start }),
          }),
        );
        found.push(...(answer.Items ?? []));
        start = answer.LastEvaluatedKey;
      } while (start && found.length < limit);
      return found;
    });
  }

  /** The first items of a partition of the index `parked`. Eventually consistent, as every index. */
  async queryParked(pk: string, limit: number): Promise<Item[]> {
    const { table, name, partitionKey } = PARKED_INDEX;
    return this.#do(table, async () => {
      const command = new QueryCommand({
        TableName: this.#names[table],
        IndexName: name,
        KeyConditionExpression: `${partitionKey} = :pk`,
        ExpressionAttributeValues: { ':pk': text(pk) },
        Limit: limit,
      });
      return (await this.#dynamo.send(command)).Items ?? [];
    });
  }

  /** How many items of a partition lie between two sort keys, as far as one page (1 MB) shows. */
  async count(table: TableName, pk: string, from: string, to: string): Promise<number> {
    return this.#do(table, async () => {
      const command = new QueryCommand({
        TableName: this.#names[table],
        Select: 'COUNT',
        KeyConditionExpression: 'pk = :pk AND sk BETWEEN :from AND :to',
        ExpressionAttributeValues: { ':pk': text(pk), ':from': text(from), ':to': text(to) },
      });
      return (await this.#dynamo.send(command)).Count ?? 0;
    });
  }

  /** How many items of a partition lie between two sort keys; a read unit for each 8 KB of them. */
  async countAll(table: TableName, pk: string, from: string, to: string): Promise<number> {
    return this.#do(table, async () => {
      let count = 0;
      let start: Item | undefined;
      do {
        const answer = await this.#dynamo.send(
          new QueryCommand({
            TableName: this.#names[table],
            Select: 'COUNT',
            KeyConditionExpression: 'pk = :pk AND sk BETWEEN :from AND :to',
            ExpressionAttributeValues: { ':pk': text(pk), ':from': text(from), ':to': text(to) },
            ...(start && { ExclusiveStartKey: start }),
          }),
        );
        count += answer.Count ?? 0;
        start = answer.LastEvaluatedKey;
      } while (start);
      return count;
    });
  }

  /**
   * Changes one item if its condition holds.
   * @returns `done`, with the item when `returns` is set; else the item that did not meet the condition.
   */
  async update(table: TableName, key: Key, change: Update): Promise<{ done: boolean; item?: Item }> {
    return this.#do(table, async () => {
      try {
        const { Attributes } = await this.#dynamo.send(
          new UpdateItemCommand({
            TableName: this.#names[table],
            Key: keyOf(key),
            UpdateExpression: change.update,
            ...(change.condition && {
              ConditionExpression: change.condition,
              ReturnValuesOnConditionCheckFailure: 'ALL_OLD',
            }),
            ...(change.names && { ExpressionAttributeNames: change.names }),
            ...(change.values && { ExpressionAttributeValues: change.values }),
            ...(change.returns && { ReturnValues: 'ALL_NEW' }),
          }),
        );
        return { done: true, item: Attributes };
      } catch (error) {
        if (error instanceof ConditionalCheckFailedException) return { done: false, item: error.Item };
        throw error;
      }
    });
  }

  /** Writes a whole item if its condition holds. @returns whether it was written. */
  async put(
    table: TableName,
    item: Item,
    { condition, values }: { condition: string; values: Item },
  ): Promise<boolean> {
    return this.#do(table, async () => {
      try {
        await this.#dynamo.send(
          new PutItemCommand({
            TableName: this.#names[table],
            Item: item,
            ConditionExpression: condition,
            ExpressionAttributeValues: values,
          }),
        );
        return true;
      } catch (error) {
        if (error instanceof ConditionalCheckFailedException) return false;
        throw error;
      }
    });
  }

  /** Writes whole items, each at its own time. */
  async putAll(table: TableName, items: readonly Item[]): Promise<void> {
    await this.#writeAll(
      table,
      items.map((item) => ({ PutRequest: { Item: item } })),
    );
  }

  async deleteAll(table: TableName, keys: readonly Key[]): Promise<void> {
    await this.#writeAll(
      table,
      keys.map((key) => ({ DeleteRequest: { Key: keyOf(key) } })),
    );
  }

  /** @returns the item that was deleted; with a condition that does not hold, undefined. */
  async remove(
    table: TableName,
    key: Key,
    condition?: Omit<Update, 'update'> & { condition: string },
  ): Promise<Item | undefined> {
    return this.#do(table, async () => {
      try {
        const answer = await this.#dynamo.send(
          new DeleteItemCommand({
            TableName: this.#names[table],
            Key: keyOf(key),
            ReturnValues: 'ALL_OLD',
            ...(condition && {
              ConditionExpression: condition.condition,
              ...(condition.names && { ExpressionAttributeNames: condition.names }),
              ...(condition.values && { ExpressionAttributeValues: condition.values }),
            }),
          }),
        );
        return answer.Attributes;
      } catch (error) {
        if (error instanceof ConditionalCheckFailedException) return undefined;
        throw error;
      }
    });
  }

  /** All of the writes or none. @returns false when a condition did not hold. */
  async transact(
    table: TableName,
    writes: (table: string) => TransactWriteItem[],
  ): Promise<'done' | number[]> {
    return this.#do(table, async () => {
      for (let tries = 0; ; tries += 1) {
        try {
          await this.#dynamo.send(
            new TransactWriteItemsCommand({ TransactItems: writes(this.#names[table]) }),
          );
          return 'done';
        } catch (error) {
          if (!(error instanceof TransactionCanceledException)) throw error;
          const failed = (error.CancellationReasons ?? []).flatMap(({ Code }, at) =>
            Code === 'ConditionalCheckFailed' ? [at] : [],
          );
          if (failed.length > 0) return failed;
          await this.#again(table, tries + 1);
        }
      }
    });
  }

  async #writeAll(table: TableName, writes: WriteRequest[]): Promise<void> {
    await each(chunks(writes, WRITES), WIDTH, (part) =>
      this.#do(table, async () => {
        const name = this.#names[table];
        let left: WriteRequest[] = part;
        for (let tries = 0; left.length > 0; tries += 1) {
          await this.#again(table, tries);
          const command = new BatchWriteItemCommand({ RequestItems: { [name]: left } });
          // A batch of which nothing was taken is an error of its own.
          const answer = await this.#dynamo.send(command).catch((error: unknown) => {
            if (isThrottle(error)) return undefined;
            throw error;
          });
          if (answer) left = answer.UnprocessedItems?.[name] ?? [];
        }
      }),
    );
  }

  /** Waits before a further try, and gives up after the last. */
  async #again(table: TableName, tries: number): Promise<void> {
    if (tries === 0) return;
    if (tries > TRIES) {
      throw new PosternError(
        'storage_unavailable',
        `The table ${this.#names[table]} is throttled. Raise its maximum of units, or wait.`,
      );
    }
    await pause(this.#pacing, tries);
  }

  async #do<T>(table: TableName, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      throw storageError(`The table ${this.#names[table]} cannot be used`, error);
    }
  }
}
