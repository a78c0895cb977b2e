/** The planner of the ledger and its workers, a shard each. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { DeleteMessageCommand, ReceiveMessageCommand, SQSClient } from '@aws-sdk/client-sqs';
import { SHIFT } from '../../lib/engine/aws/ledger.ts';
import type { AwsEngine } from '../../lib/engine/aws/open.ts';
import { dueKey, ledgerKey } from '../../lib/engine/aws/outbox.ts';
import { encodeRecord } from '../../lib/engine/aws/record-codec.ts';
import { DUE_QUEUE } from '../../lib/engine/aws/schema.ts';
import { advance, awsNodes, MINUTE, putRows, SKIP, takeRow, VISIBILITY } from './aws-nodes.ts';
import { admit, assertEmpty, collect, mail, names, newLane } from './harness.ts';

describe('aws: the ledger', { skip: SKIP }, () => {
  const { aws, open } = awsNodes();

  /** Takes the shards that wait for a worker. */
  async function shards(): Promise<string[]> {
    const { region, credentials, endpoints } = aws().client;
    const sqs = new SQSClient({ region, credentials, endpoint: endpoints!.sqs });
    const QueueUrl = aws().resources.queueUrlPrefix + DUE_QUEUE;
    const found: string[] = [];
    for (;;) {
      const { Messages = [] } = await sqs.send(
        new ReceiveMessageCommand({ QueueUrl, MaxNumberOfMessages: 10, WaitTimeSeconds: 0 }),
      );
      if (Messages.length === 0) break;
      for (const { Body, ReceiptHandle } of Messages) {
        found.push(Body!);
        await sqs.send(new DeleteMessageCommand({ QueueUrl, ReceiptHandle }));
      }
    }
    sqs.destroy();
    return found.sort();
  }

  const soon = (): number => Date.now() + SHIFT;

  /** Mail for the same time, and the shards of its rows. */
  async function wait(engine: AwsEngine, lane: string, count: number, due: number): Promise<Set<string>> {
    const messages = Array.from({ length: count }, () => mail(Date.now(), { lane, due }));
    await admit(engine, ...messages);
    return new Set(messages.map(({ record }) => ledgerKey(record.id, 0, 0, due).pk));
  }

  test('a plan asks for one worker a shard with due rows, and for none without', async () => {
    const { engine } = await open();
    const lane = newLane();
    const due = Date.now() + 60 * MINUTE;
    const pks = await wait(engine, lane, 30, due);
    assert.deepEqual(await engine.ledger.plan(), { shards: 0, next: due });
    assert.deepEqual(await shards(), []);
    advance(46 * MINUTE);
    assert.deepEqual(await engine.ledger.plan(), { shards: pks.size, next: due });
    const asked = await shards();
    assert.deepEqual(asked, [...pks].sort());
    let moved = 0;
    for (const shard of asked) {
      const result = await engine.ledger.work(shard, soon());
      assert.equal(result.more, false);
      moved += result.moved;
    }
    assert.equal(moved, 30);
    assert.deepEqual(await engine.ledger.plan(), { shards: 0, next: undefined });
    assert.deepEqual(await shards(), []);
    advance(14 * MINUTE + 1000);
    assert.equal((await collect(engine, lane, 30, VISIBILITY)).length, 30);
    await assertEmpty(engine, lane);
  });

  test('a worker whose time is up asks for another; one that finds its shard claimed ends', async () => {
    const { engine } = await open();
    const other = (await open({ skew: 20_000 })).engine;
    const lane = newLane();
    const due = Date.now() + 60 * MINUTE;
    const item = mail(Date.now(), { lane }).deliveries[0]!;
    const shard = 's#63';
    await putRows(
      aws(),
      Array.from({ length: 1_500 }, (_, n) => ({
        pk: { S: shard },
        sk: { S: `${dueKey(due)}#x${String(n).padStart(5, '0')}#0#1` },
        e: { B: encodeRecord({ v: 1, item: { ...item, messageId: `x${n}`, due }, g: 1, at: 'table' }) },
      })),
    );
    advance(60 * MINUTE);
    const [first, second] = await Promise.all([
      engine.ledger.work(shard, Date.now()),
      other.ledger.work(shard, Date.now()),
    ]);
    const [worked, left] = first.moved > 0 ? [first, second] : [second, first];
    assert.deepEqual([worked.moved, worked.more], [1_000, true]);
    assert.deepEqual([left.moved, left.more], [0, false]);
    assert.deepEqual(await shards(), [shard]);
    assert.deepEqual(await engine.ledger.work(shard, soon()), { moved: 500, more: false, next: undefined });
    assert.deepEqual(await shards(), []);
  });

  test('rows of an installation that had sixteen shards move with the others', async () => {
    const { engine } = await open();
    const lane = newLane();
    const due = Date.now() + 60 * MINUTE;
    const message = mail(Date.now(), { lane, due });
    await admit(engine, message);
    const key = ledgerKey(message.record.id, 0, 0, due);
    const row = await takeRow(aws(), key);
    const old = 's#07';
    await putRows(aws(), [{ ...row!, pk: { S: old } }]);
    advance(50 * MINUTE);
    assert.deepEqual(await engine.ledger.plan(), { shards: 1, next: due });
    assert.deepEqual(await shards(), [old]);
    assert.equal((await engine.ledger.work(old, soon())).moved, 1);
    advance(11 * MINUTE);
    assert.deepEqual(names(await collect(engine, lane, 1, VISIBILITY)), [`${message.record.id} 0`]);
  });
});
