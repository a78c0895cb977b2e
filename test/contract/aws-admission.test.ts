/** Admission to the AWS engine when AWS refuses, does not answer, or is full. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { describe, test } from 'node:test';
import { openAws } from '../../lib/engine/aws/open.ts';
import { laneQueue } from '../../lib/engine/aws/schema.ts';
import type { Admission } from '../../lib/engine/ports.ts';
import { seededRandom } from '../support/clock.ts';
import { advance, awsNodes, deliverAll, MINUTE, SKIP, VISIBILITY } from './aws-nodes.ts';
import { admit, assertEmpty, attempt, collect, end, mail, names, newLane } from './harness.ts';

describe('aws: admission', { skip: SKIP }, () => {
  const { aws, open } = awsNodes();
  const claimOf = (key: string) => ({
    key,
    digest: 'digest',
    expiresAt: Date.now() + 240 * MINUTE,
    response: `answer to ${key}`,
  });

  test('sends again only the entries that a batch left out', async () => {
    const { engine, faults } = await open();
    const lane = newLane();
    const messages = Array.from({ length: 25 }, () => mail(Date.now(), { lane }));
    faults.add({ command: 'SendMessageBatch', kind: 'partial', times: 2 });
    faults.add({ command: 'BatchWriteItem', kind: 'partial', times: 2 });
    await admit(engine, ...messages);
    assert.deepEqual(names(await collect(engine, lane, 25)).length, 25);
    await assertEmpty(engine, lane);
    for (const { record } of messages) assert.deepEqual(await engine.records.message(record.id), record);
  });

  test('waits out throttling and then sends', async () => {
    const { engine, faults } = await open();
    const lane = newLane();
    faults.add({ command: 'SendMessageBatch', kind: 'refused', times: 3, error: 'RequestThrottled' });
    const error = 'ProvisionedThroughputExceededException';
    faults.add({ command: 'UpdateItem', kind: 'refused', times: 1, error });
    faults.add({ command: 'BatchWriteItem', kind: 'refused', times: 1, error });
    await admit(engine, mail(Date.now(), { lane }));
    const [leased] = await collect(engine, lane, 1);
    await engine.queue.settle([end(leased!, Date.now())]);
  });

  test('lasting throttling is a temporary error, and a refused call leaves its key free', async () => {
    const { engine, faults } = await open();
    const lane = newLane();
    const claim = claimOf('refused');
    faults.add({ command: 'SendMessageBatch', kind: 'refused', times: 100, error: 'RequestThrottled' });
    const call = () => engine.queue.admit([mail(Date.now(), { lane, key: claim.key })], claim);
    await assert.rejects(call(), { code: 'storage_unavailable' });
    faults.clear();
    assert.deepEqual(await call(), { kind: 'admitted' });
    assert.equal((await deliverAll(engine, lane)).length, 1);
  });

  test('names a lane without a queue in the error', async () => {
    const engine = await openAws({
      resources: aws().resources,
      client: aws().client,
      clock: { now: () => Date.now(), after: () => () => {} },
    });
    const lane = newLane();
    await assert.rejects(engine.queue.admit([mail(Date.now(), { lane })]), {
      code: 'storage_unavailable',
      message: new RegExp(laneQueue(lane)),
    });
    await engine.close();
  });

  for (const kind of ['lost', 'cut'] as const) {
    const what = kind === 'lost' ? 'taken, and its answer lost' : 'cut off before it was taken';
    test(`a send ${what}: the repeated call completes it, and it is sent once`, async () => {
      const { engine, faults } = await open();
      const lane = newLane();
      const claim = claimOf(`${kind} ${lane}`);
      const first = mail(Date.now(), {
        lane,
        recipients: ['a@example.net', 'b@example.net'],
        key: claim.key,
      });
      await aws().createQueue(laneQueue(lane));
      faults.add({ command: 'SendMessageBatch', kind, times: 1 });
      await assert.rejects(engine.queue.admit([first], claim), { code: 'storage_unavailable' });
      const second = mail(Date.now() + 1, {
        lane,
        recipients: ['a@example.net', 'b@example.net'],
        key: claim.key,
      });
      const repeat = await engine.queue.admit([second], { ...claim, response: 'another' });
      assert.deepEqual(repeat, { kind: 'repeated', response: claim.response });
      const third = await engine.queue.admit([mail(Date.now(), { lane, key: claim.key })], claim);
      assert.deepEqual(third, { kind: 'repeated', response: claim.response });
      const sent = await deliverAll(engine, lane);
      assert.deepEqual(names(sent), [`${first.record.id} 0`, `${first.record.id} 1`]);
      // Reports come to the return paths in the bytes that were sent.
      const record = await engine.records.message(first.record.id);
      assert.equal(record?.id, first.record.id);
      assert.equal((await engine.records.message(second.record.id))?.id, first.record.id);
      assert.equal(await engine.records.state(second.record.id, 1), 'delivered');
    });
  }

  test('with claims the repeat of a lost send leaves at once, and is sent once', async () => {
    const { engine, faults } = await open({ claimBeforeSend: true });
    const lane = newLane();
    const claim = claimOf(`claims ${lane}`);
    const first = mail(Date.now(), { lane, key: claim.key });
    await aws().createQueue(laneQueue(lane));
    for (const kind of ['cut', 'lost'] as const) {
      faults.add({ command: 'SendMessageBatch', kind, times: 1 });
      await assert.rejects(engine.queue.admit([first], claim), { code: 'storage_unavailable' });
    }
    const repeat = await engine.queue.admit([mail(Date.now(), { lane, key: claim.key })], claim);
    assert.equal(repeat.kind, 'repeated');
    const [leased] = await collect(engine, lane, 1, VISIBILITY);
    assert.equal(leased!.item.messageId, first.record.id);
    await engine.queue.settle([end(leased!, Date.now())]);
    assert.deepEqual(await deliverAll(engine, lane), []);
  });

  for (const taken of [false, true]) {
    const what = taken ? 'although SQS took it' : 'before SQS received it';
    test(`a used connection that is reset, ${what}: the same call sends again, and it is sent once`, async (context) => {
      const proxy = await startProxy(aws().client.endpoints!.sqs!);
      context.after(() => proxy.close());
      const { engine } = await open({ sqs: proxy.url });
      const lane = newLane();
      await aws().createQueue(laneQueue(lane));
      await admit(engine, mail(Date.now(), { lane }));
      const [before] = await collect(engine, lane, 1, VISIBILITY);
      await engine.queue.settle([end(before!, Date.now())]);
      proxy.reset(taken ? 'after' : 'before');
      const message = mail(Date.now(), { lane, key: lane });
      assert.deepEqual(await engine.queue.admit([message], claimOf(lane)), { kind: 'admitted' });
      assert.equal(proxy.resets(), 1);
      if (taken) {
        const [first] = await collect(engine, lane, 1, VISIBILITY);
        await engine.queue.settle([end(first!, Date.now())]);
      }
      advance(3_000);
      const later = await engine.queue.lease({ lane, max: 10, visibility: VISIBILITY, wait: 0 });
      assert.equal(later.length, taken ? 0 : 1, 'three seconds later');
      await engine.queue.settle(later.map((one) => end(one, Date.now())));
      assert.deepEqual(await deliverAll(engine, lane), []);
      assert.equal(await engine.records.state(message.record.id, 0), 'delivered');
    });
  }

  test('a claim that the role may not end is an error of its own', async () => {
    const { engine, faults } = await open();
    const lane = newLane();
    faults.add({ command: 'SendMessageBatch', kind: 'refused', times: 100, error: 'RequestThrottled' });
    const when = (input: Record<string, unknown>) => input.UpdateExpression === 'SET e = :e';
    faults.add({ command: 'UpdateItem', kind: 'refused', times: 1, error: 'AccessDeniedException', when });
    await assert.rejects(
      engine.queue.admit([mail(Date.now(), { lane, key: `denied ${lane}` })], claimOf(`denied ${lane}`)),
      {
        message: /AccessDenied/,
      },
    );
  });

  test('a repeat of a call that is still in the backlog is sent once, in either order of arrival', async () => {
    const { engine, faults } = await open();
    const lane = newLane();
    const claim = claimOf(`backlog ${lane}`);
    const first = mail(Date.now(), { lane, key: claim.key });
    await aws().createQueue(laneQueue(lane));
    faults.add({ command: 'SendMessageBatch', kind: 'lost', times: 1 });
    await assert.rejects(engine.queue.admit([first], claim), { code: 'storage_unavailable' });
    await engine.queue.admit([mail(Date.now(), { lane, key: claim.key })], claim);
    advance(20 * MINUTE);
    assert.deepEqual(names(await deliverAll(engine, lane)), [`${first.record.id} 0`]);
  });

  test('the repeat of a call whose deliveries have left their lane sends nothing', async () => {
    const { engine, faults } = await open();
    const lane = newLane();
    const claim = claimOf(`left ${lane}`);
    const call = () => engine.queue.admit([mail(Date.now(), { lane, key: claim.key })], claim);
    await call();
    assert.equal(await engine.records.claim(claim.key), undefined, 'it may not have been sent');
    assert.equal((await deliverAll(engine, lane)).length, 1);
    assert.deepEqual(await engine.records.claim(claim.key), {
      digest: claim.digest,
      response: claim.response,
    });
    const sends = faults.calls.get('SendMessageBatch');
    assert.deepEqual(await call(), { kind: 'repeated', response: claim.response });
    assert.equal(faults.calls.get('SendMessageBatch'), sends);
  });

  test('messages that one item would make dear have items of their own, which a repeat completes', async () => {
    const { engine, faults } = await open();
    const lane = newLane();
    const claim = claimOf(`large ${lane}`);
    const random = seededRandom(5);
    const noise = (): string =>
      Array.from({ length: 3_000 }, () => Math.floor(random() * 36).toString(36)).join('');
    const messages = (): Admission[] =>
      Array.from({ length: 20 }, (_, place) => {
        const one = mail(Date.now() + place, { lane, key: claim.key, place });
        one.record.headers = { fields: [['X-Noise', noise()]], truncated: false };
        return one;
      });
    const first = messages();
    faults.add({ command: 'BatchWriteItem', kind: 'refused', error: 'AccessDenied', times: 1 });
    await assert.rejects(engine.queue.admit(first, claim), { code: 'storage_unavailable' });
    assert.equal(await engine.records.message(first[19]!.record.id), undefined);
    advance(1000);
    const second = messages();
    assert.deepEqual(await engine.queue.admit(second, claim), { kind: 'repeated', response: claim.response });
    const sent = await deliverAll(engine, lane);
    assert.deepEqual(names(sent), first.map(({ record }) => `${record.id} 0`).sort());
    for (const [at, { record }] of first.entries()) {
      assert.equal((await engine.records.message(record.id))?.id, record.id);
      assert.equal((await engine.records.message(second[at]!.record.id))?.id, record.id, `repeat of ${at}`);
    }
  });

  test('a key that expired and is used again leaves the first call its records', async () => {
    const { engine } = await open();
    const lane = newLane();
    const claim = { ...claimOf(`again ${lane}`), expiresAt: Date.now() + MINUTE };
    const first = mail(Date.now(), { lane, key: claim.key });
    await engine.queue.admit([first], claim);
    advance(2 * MINUTE);
    const second = mail(Date.now(), { lane, key: claim.key });
    const later = { ...claim, digest: 'other', expiresAt: Date.now() + MINUTE };
    assert.deepEqual(await engine.queue.admit([second], later), { kind: 'admitted' });
    for (const { record } of [first, second]) {
      assert.deepEqual(await engine.records.message(record.id), record);
    }
    assert.equal((await deliverAll(engine, lane)).length, 2);
  });

  test('while the table of deliveries is throttled, mail is taken in as always', async () => {
    const { engine, faults } = await open();
    const lane = newLane();
    const tables = aws().resources.tables;
    const error = 'ProvisionedThroughputExceededException';
    let asked = 0;
    const onDeliveries = (input: Record<string, unknown>): boolean => {
      const { deliveries } = tables;
      const is = input.TableName === deliveries || Object.hasOwn(input.RequestItems ?? {}, deliveries);
      if (is) asked += 1;
      return is;
    };
    for (const command of ['UpdateItem', 'BatchWriteItem', 'BatchGetItem', 'GetItem', 'Query']) {
      faults.add({ command, kind: 'refused', error, times: 10_000, when: onDeliveries });
    }
    const messages = Array.from({ length: 10 }, (_, place) => {
      const key = `throttled ${lane} ${place}`;
      const one = mail(Date.now(), { lane, key, recipients: ['a@example.net', 'b@example.net'] });
      one.deliveries.splice(1);
      const { id, tenant } = one.record;
      const at = Date.now();
      const over = attempt(at, 'suppressed');
      one.settled = [{ v: 1, messageId: id, n: 1, at, kind: 'attempt', tenant, attempt: over }];
      return { key, one };
    });
    for (const { key, one } of messages) {
      assert.deepEqual(await engine.queue.admit([one], claimOf(key)), { kind: 'admitted' });
    }
    const leased = await collect(engine, lane, 10, VISIBILITY);
    assert.equal(asked, 0, 'accept has nothing to ask it');
    faults.clear();
    await engine.queue.settle(leased.map((one) => end(one, Date.now())));
    for (const { one } of messages) {
      const states = (await engine.records.deliveries(one.record.id)).map(({ state }) => state);
      assert.deepEqual(states, ['delivered', 'suppressed']);
      assert.equal(await engine.records.state(one.record.id, 1), 'suppressed');
    }
  });

  test('a claim whose answer was lost belongs to the caller that made it', async () => {
    const { engine, faults } = await open();
    const lane = newLane();
    faults.add({ command: 'UpdateItem', kind: 'lost', times: 1 });
    const result = await engine.queue.admit(
      [mail(Date.now(), { lane, key: `own ${lane}` })],
      claimOf(`own ${lane}`),
    );
    assert.deepEqual(result, { kind: 'admitted' });
    assert.equal((await deliverAll(engine, lane)).length, 1);
  });

  test('batches stay within 1 MiB, and a large body shared by many is stored once', async () => {
    const { engine, faults } = await open();
    const lane = newLane();
    const random = seededRandom(7);
    const noise = Buffer.from(Array.from({ length: 200_000 }, () => Math.floor(random() * 256)));
    const messages = Array.from(
      { length: 10 },
      (): Admission => ({ ...mail(Date.now(), { lane }), body: noise }),
    );
    await admit(engine, ...messages);
    assert.equal(faults.calls.get('PutObject'), undefined);
    assert.ok(faults.calls.get('SendMessageBatch')! >= 3);
    const recipients = Array.from({ length: 50 }, (_, n) => `r${n}@example.net`);
    await admit(engine, { ...mail(Date.now(), { lane, recipients }), body: noise });
    assert.equal(faults.calls.get('PutObject'), 1);
    const leased = await collect(engine, lane, 60);
    for (const { bytes } of leased) assert.ok(bytes.equals(noise));
  });
});

/** A proxy to SQS. `reset` marks every open connection: the next request on it that sends resets it. */
async function startProxy(target: string) {
  const open = new Set<Socket>();
  const cut = new Map<Socket, 'before' | 'after'>();
  let resets = 0;
  const { port, hostname } = new URL(target);
  const server = createServer((from) => {
    const to = connect(Number(port), hostname);
    open.add(from);
    const end = (): void => {
      resets += 1;
      from.resetAndDestroy();
    };
    from.on('data', (chunk: Buffer) => {
      if (!chunk.includes('AmazonSQS.SendMessageBatch')) cut.delete(from);
      if (cut.get(from) === 'before') end();
      else to.write(chunk);
    });
    to.on('data', (chunk) => {
      if (cut.get(from) === 'after') end();
      else from.write(chunk);
    });
    for (const one of [from, to]) one.on('error', () => {});
    from.on('close', () => {
      open.delete(from);
      to.destroy();
    });
    to.on('close', () => from.destroy());
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    resets: () => resets,
    reset(when: 'before' | 'after') {
      for (const one of open) cut.set(one, when);
    },
    async close() {
      for (const one of open) one.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}
