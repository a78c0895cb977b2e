/** What an earlier version of the engine stored and queued goes on: it had one table for records and deliveries. */
import assert from 'node:assert/strict';
import { createHash, randomUUID } from 'node:crypto';
import { describe, test } from 'node:test';
import { zstdCompressSync } from 'node:zlib';
import { encodeRecord } from '../../lib/engine/aws/record-codec.ts';
import type { Admission, Engine } from '../../lib/engine/ports.ts';
import { newMessageId } from '../../lib/mail/message-id.ts';
import { DAY } from '../../lib/time.ts';
import {
  advance,
  awsNodes,
  deliverAll,
  MINUTE,
  outcomesOf,
  putRows,
  SKIP,
  sendRaw,
  takeRow,
  VISIBILITY,
} from './aws-nodes.ts';
import { attempt as attemptOf, collect, defer, end, mail, newLane } from './harness.ts';

describe('aws: data of an earlier version', { skip: SKIP }, () => {
  const { aws, open } = awsNodes();

  /** A message as the earlier version admitted it. */
  async function former(engine: Engine, lane: string, recipients = ['a@example.net']): Promise<Admission> {
    const message = mail(Date.now(), { lane, recipients });
    const id = newMessageId(Date.now(), randomUUID());
    message.record.id = id;
    for (const item of message.deliveries) item.messageId = id;
    const ttl = { N: String(Math.ceil((message.record.expiresAt + 30 * DAY) / 1000)) };
    const row = { pk: { S: id }, sk: { S: 'm' }, r: { B: encodeRecord(message.record) }, ttl };
    await putRows(aws(), [row], 'records');
    // Creates the lane.
    await engine.queue.lease({ lane, max: 1, visibility: VISIBILITY, wait: 0 });
    const body = zstdCompressSync(message.body).toString('base64');
    for (const item of message.deliveries) {
      await sendRaw(aws(), lane, `${JSON.stringify({ v: 1, item, g: 0 })}\n${body}`);
    }
    return message;
  }

  test('its mail is delivered, deferred and cancelled, and its state stays where that version reads it', async () => {
    const { engine } = await open();
    const lane = newLane();
    const { record } = await former(engine, lane, ['a@example.net', 'b@example.net', 'c@example.net']);
    assert.deepEqual(await engine.records.message(record.id), record);
    const leased = await collect(engine, lane, 3, VISIBILITY);
    const by = (n: number) => leased.find(({ item }) => item.n === n)!;
    await engine.queue.settle([
      end(by(0), Date.now()),
      defer(by(1), Date.now(), Date.now() + MINUTE),
      defer(by(2), Date.now(), Date.now() + 60 * MINUTE),
    ]);
    assert.deepEqual(await engine.ledger.cancel(record.id), [1, 2]);
    const states = async () => (await engine.records.deliveries(record.id)).map(({ state }) => state);
    assert.deepEqual(await states(), ['delivered', 'cancelled', 'cancelled']);
    assert.deepEqual(await deliverAll(engine, lane), []);
    await engine.records.append([
      { v: 1, messageId: record.id, n: 0, at: Date.now(), kind: 'bounce', tenant: 'tenant', detail: {} },
    ]);
    assert.deepEqual(await states(), ['bounced', 'cancelled', 'cancelled']);
    assert.equal((await engine.records.reports(record.id)).length, 1);
    const key = { pk: record.id, sk: 'd#0000' };
    assert.equal(await takeRow(aws(), key, 'deliveries'), undefined);
    assert.equal((await takeRow(aws(), key, 'records'))?.s?.S, 'bounced');
  });

  test('a copy that it put back is claimed where that version claimed it', async () => {
    const { engine } = await open();
    const lane = newLane();
    const { record, deliveries } = await former(engine, lane);
    await collect(engine, lane, 1, VISIBILITY);
    const state = { s: { S: 'deferred' }, g: { N: '1' }, u: { N: String(Date.now()) }, p: { S: 'x' } };
    const a = { L: [{ B: encodeRecord(attemptOf(Date.now(), 'deferred')) }] };
    await putRows(aws(), [{ pk: { S: record.id }, sk: { S: 'd#0000' }, ...state, a }], 'records');
    const copy = { v: 1, item: { ...deliveries[0]!, attempts: 1 }, g: 1, c: 1 };
    const body = zstdCompressSync(Buffer.from('x')).toString('base64');
    for (let twice = 0; twice < 2; twice += 1) {
      await sendRaw(aws(), lane, `${JSON.stringify(copy)}\n${body}`);
    }
    const [leased] = await collect(engine, lane, 1, VISIBILITY);
    await engine.queue.settle([end(leased!, Date.now())]);
    advance(VISIBILITY + 1000);
    assert.deepEqual(await deliverAll(engine, lane), []);
    const [found] = await engine.records.deliveries(record.id);
    assert.deepEqual(
      found!.attempts.map((one) => one.state),
      ['deferred', 'delivered'],
    );
    assert.equal((await outcomesOf(engine, record.id)).length, 1);
  });

  test('an idempotency key that it took gives the first answer, to one who may have asked before', async () => {
    const { engine } = await open();
    const lane = newLane();
    const { record } = await former(engine, lane);
    const claim = (key: string, ids: string[]) => ({
      pk: { S: `c#${createHash('sha256').update(key).digest('base64url')}` },
      sk: { S: 'c' },
      d: { S: 'digest' },
      f: { B: encodeRecord({ response: `answer to ${key}`, ids }) },
      e: { N: String(Date.now() + MINUTE) },
    });
    await putRows(aws(), [claim('whole', [record.id]), claim('cut', [record.id, 'missing'])], 'records');
    assert.deepEqual(await engine.records.claim('whole'), { digest: 'digest', response: 'answer to whole' });
    assert.equal(await engine.records.claim('cut'), undefined);
    advance(2 * MINUTE);
    assert.equal(await engine.records.claim('whole'), undefined);
  });
});
