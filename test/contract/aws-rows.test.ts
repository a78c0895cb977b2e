/** Counters of rows on AWS when a part of a batch fails, and what TTL reads. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { describe, test } from 'node:test';
import { DynamoDBClient, GetItemCommand } from '@aws-sdk/client-dynamodb';
import type { RowDelta } from '../../lib/engine/rows.ts';
import { awsNodes, SKIP } from './aws-nodes.ts';

const kind = 'statistics';

describe('aws: rows', { skip: SKIP }, () => {
  const { aws, open } = awsNodes();

  for (const fault of ['refused', 'lost', 'cut'] as const) {
    test(`a batch whose second part was ${fault} counts the missing part alone when it is repeated`, async () => {
      const { engine, faults } = await open();
      const partition = randomUUID();
      const deltas = Array.from(
        { length: 150 },
        (_, n): RowDelta => ({ kind, partition, key: String(n).padStart(3, '0'), add: { n: 1 } }),
      );
      let parts = 0;
      faults.add({
        command: 'TransactWriteItems',
        kind: fault,
        times: 1,
        error: 'ValidationException',
        when: () => (parts += 1) > 1,
      });
      const batch = randomUUID();
      // A lost answer is requested again by the SDK, under the token of the first request.
      const first = await engine.rows.add(batch, deltas).catch(() => 'failed');
      assert.equal(first, fault === 'refused' ? 'failed' : true);
      assert.equal(await engine.rows.add(batch, deltas), fault === 'refused');
      assert.equal(await engine.rows.add(batch, deltas), false);
      const rows = await engine.rows.query({ kind, partition, max: 200 });
      assert.deepEqual(
        rows.map(({ value }) => value),
        deltas.map(() => ({ n: 1 })),
      );
    });
  }

  test('a row has its expiry in ms, and for TTL the next whole second', async () => {
    const { engine } = await open();
    const expiresAt = Math.floor(Date.now() / 1000) * 1000 + 60_001;
    const partition = randomUUID();
    await engine.rows.put([{ kind, partition, key: 'a', value: 1, expiresAt }]);
    await engine.rows.add(randomUUID(), [{ kind, partition, key: 'b', add: { n: 1 }, expiresAt }]);
    const { client, resources } = aws();
    const dynamo = new DynamoDBClient({ ...client, endpoint: client.endpoints?.dynamodb });
    for (const sk of ['a', 'b']) {
      const Key = { pk: { S: `${kind}#${partition}` }, sk: { S: sk } };
      const { Item } = await dynamo.send(new GetItemCommand({ TableName: resources.tables.rows, Key }));
      assert.equal(Item?.e?.N, String(expiresAt));
      assert.equal(Item?.ttl?.N, String(Math.ceil(expiresAt / 1000)));
    }
    dynamo.destroy();
  });
});
