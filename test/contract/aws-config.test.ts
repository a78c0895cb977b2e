/** How a process on the AWS engine follows the configuration, also when it was stopped for a while. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { BatchWriteItemCommand, DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { openControl } from '../../lib/control/control.ts';
import { type AwsEngine, openAws } from '../../lib/engine/aws/open.ts';
import type { ConfigChange } from '../../lib/engine/ports.ts';
import { Faults } from '../support/aws.ts';
import { MASTER_KEY } from '../support/control.ts';
import { advance, awsNodes, SKIP, until } from './aws-nodes.ts';
import { newLane } from './harness.ts';

const MINUTE = 60_000;

describe('aws: changes of the configuration', { skip: SKIP }, () => {
  const { aws, open } = awsNodes();

  /** A process whose timers do not run, as those of a Lambda function between two calls. */
  async function frozen(now = () => Date.now()) {
    const faults = new Faults();
    const engine: AwsEngine = await openAws({
      resources: aws().resources,
      client: faults.on(aws().client),
      clock: { now, after: () => () => {} },
    });
    const seen: ConfigChange[] = [];
    return { config: engine.config, faults, seen, close: () => engine.close() };
  }

  test('of another process arrive, each once', async () => {
    const [one, two] = [await open(), await open()];
    const kind = `kind ${newLane()}`;
    const seen: ConfigChange[] = [];
    const leave = two.engine.config.watch((change) => {
      if (change.kind === kind) seen.push(change);
    });
    await two.engine.config.catchUp();
    for (const key of ['a', 'b']) await one.engine.config.put(kind, key, 1);
    await until(() => seen.length === 2);
    for (let n = 0; n < 5; n += 1) {
      advance(1_000);
      await two.engine.config.catchUp();
    }
    assert.deepEqual(new Set(seen.map(({ key }) => key)), new Set(['a', 'b']));
    assert.equal(seen.length, 2);
    leave();
  });

  test('of a process whose clock is some seconds off arrive, and so does one that was written slowly', async () => {
    const kind = `kind ${newLane()}`;
    const reader = await frozen();
    reader.config.watch((change) => {
      if (change.kind === kind) reader.seen.push(change);
    });
    await reader.config.catchUp();
    const behind = await frozen(() => Date.now() - 4_000);
    await behind.config.put(kind, 'behind', 1);
    advance(1_100);
    await reader.config.catchUp();
    assert.deepEqual(reader.seen, [{ kind, key: 'behind' }]);
    const ahead = await frozen(() => Date.now() + 4_000);
    await ahead.config.put(kind, 'ahead', 1);
    advance(4_000);
    await reader.config.catchUp();
    assert.deepEqual(reader.seen.at(-1), { kind, key: 'ahead' });
    let calls = 0;
    // The clock goes on by 20 s while the transaction is under way.
    const slow = await frozen(() => Date.now() - 20_000 + (calls++ > 1 ? 20_000 : 0));
    await slow.config.put(kind, 'slow', 1, 0);
    advance(1_100);
    await reader.config.catchUp();
    assert.deepEqual(reader.seen.at(-1), { kind, key: 'slow' });
    for (const one of [reader, behind, ahead, slow]) await one.close();
  });

  test('reach the watchers of a stopped process when it catches up', async () => {
    const writer = await open();
    const { config, faults, close } = await frozen();
    const kind = `kind ${newLane()}`;
    const known = new Map<string, unknown>();
    config.watch(async ({ kind: changed, key }) => {
      if (changed === kind) known.set(key!, (await config.get(kind, key!))?.value);
    });
    await config.catchUp();
    await writer.engine.config.put(kind, 'key', 'revoked');
    const looks = faults.calls.get('Query') ?? 0;
    await config.catchUp();
    assert.equal(faults.calls.get('Query') ?? 0, looks, 'a read of the last second is good enough');
    advance(1_100);
    await Promise.all([config.catchUp(), config.catchUp()]);
    assert.equal(known.get('key'), 'revoked');
    assert.ok(faults.calls.get('Query')! <= looks + 4, 'one look for both calls');
    assert.equal(faults.calls.get('GetItem'), 1);
    await close();
  });

  test('that are many count as one of their kind, and after some minutes everything counts as changed', async () => {
    const writer = await open();
    const { config, faults, seen, close } = await frozen();
    const kind = `kind ${newLane()}`;
    config.watch((change) => {
      if (change.kind === undefined || change.kind === kind) seen.push(change);
    });
    await config.catchUp();
    for (let n = 0; n < 9; n += 1) await writer.engine.config.put(kind, `key ${n}`, n);
    advance(2 * MINUTE);
    await config.catchUp();
    assert.deepEqual(seen, [{ kind }]);
    seen.length = 0;
    await writer.engine.config.put(kind, 'key', 1);
    advance(4 * MINUTE);
    const queries = faults.calls.get('Query');
    await config.catchUp();
    assert.deepEqual(seen, [{}]);
    assert.equal(faults.calls.get('Query'), queries, 'what was missed is not read');
    seen.length = 0;
    await writer.engine.config.put(kind, 'after', 1);
    advance(1_100);
    await config.catchUp();
    assert.deepEqual(seen.at(-1), { kind, key: 'after' });
    await close();
  });

  test('that are more than a partition is read for count as everything', async () => {
    // Past what other tests have written.
    advance(MINUTE - (Date.now() % MINUTE) + 10_000);
    const { config, seen, close } = await frozen();
    config.watch((change) => void seen.push(change));
    await config.catchUp();
    const { region, credentials, endpoints } = aws().client;
    const dynamo = new DynamoDBClient({ region, credentials, endpoint: endpoints!.dynamodb });
    const now = Date.now();
    const put = (n: number) => {
      const pk = { S: `log#${Math.floor(now / MINUTE)}#0` };
      const sk = { S: `${now + 1_000}#${String(n).padStart(8, '0')}` };
      return { PutRequest: { Item: { pk, sk, k: { S: 'many' }, d: { S: `key ${n}` } } } };
    };
    const rows = Array.from({ length: 300 }, (_, n) => put(n));
    const store = (from: number, to: number) => {
      const RequestItems = { [aws().resources.tables.config]: rows.slice(from, to) };
      return dynamo.send(new BatchWriteItemCommand({ RequestItems }));
    };
    for (let n = 0; n < 275; n += 25) await store(n, n + 25);
    await store(275, 299);
    advance(1_100);
    await config.catchUp();
    assert.deepEqual(
      seen.filter(({ kind }) => kind === undefined || kind === 'many'),
      [{ kind: 'many' }],
    );
    await store(299, 300);
    advance(1_100);
    await config.catchUp();
    assert.deepEqual(seen.at(-1), {});
    dynamo.destroy();
    await close();
  });

  test('are read once per catch-up, also when the read takes more than a second', async () => {
    let time = Date.now();
    const { config, faults, close } = await frozen(() => (time += 500));
    config.watch(() => {});
    await config.catchUp();
    const looks = faults.calls.get('Query') ?? 0;
    await config.catchUp();
    assert.ok(faults.calls.get('Query')! <= looks + 4);
    await close();
  });

  test('that cannot be read fail the catch-up, so that no process acts on stale documents', async () => {
    const { config, faults, close } = await frozen();
    config.watch(() => {});
    await config.catchUp();
    advance(60_000);
    faults.add({ command: 'Query', kind: 'refused', times: 1, error: 'AccessDenied' });
    await assert.rejects(config.catchUp(), { code: 'storage_unavailable' });
    await config.catchUp();
    await close();
  });

  test('a function that was stopped for long holds nothing old, and reads little', async () => {
    const writer = await open();
    const clock = { now: () => Date.now(), after: () => () => {} };
    const options = { masterKey: MASTER_KEY, clock, verifyIdentities: false };
    const mine = await openControl({ ...options, config: writer.engine.config });
    const key = await mine.keys.create({ tenant: 'default', admin: true });
    await mine.documents.put('limits', 'default', {}, { by: 'me' });
    const { config, faults, close } = await frozen();
    const control = await openControl({ ...options, config });
    assert.deepEqual(await control.keys.find(key.id), key);
    await mine.keys.revoke(key.id);
    await mine.documents.remove('limits', 'default', { by: 'me' });
    const set = (n: number) => ({ name: `s${n}`, tenant: 'default' });
    for (let n = 0; n < 40; n += 1)
      await writer.engine.config.put('configuration-set', `default/s${n}`, set(n));
    advance(10 * MINUTE);
    faults.calls.clear();
    await config.catchUp();
    const reads = [...faults.calls.values()].reduce((sum, calls) => sum + calls, 0);
    assert.equal(await control.keys.find(key.id), undefined);
    assert.equal(control.documents.running('limits').size, 0);
    assert.ok(reads <= 20, `${reads} reads`);
    await control.close();
    await mine.close();
    await close();
  });
});
