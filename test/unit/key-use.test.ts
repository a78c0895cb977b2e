/** When keys were last used: by whichever door, written seldom and beside the work, and shown to administrators. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import * as v1 from '@aws-sdk/client-ses';
import * as sdk from '@aws-sdk/client-sesv2';
import { KeyUse, type KeyUseOptions } from '../../lib/control/key-use.ts';
import { openMemory } from '../../lib/engine/memory/open.ts';
import { Callers } from '../../lib/submission/callers.ts';
import { HOUR, MINUTE } from '../../lib/time.ts';
import { seededRandom, TestClock } from '../support/clock.ts';
import { openTestControl } from '../support/control.ts';
import { type PosternServer, startPosternServer } from '../support/postern-server.ts';
import { type SesServer, startSesServer } from '../support/ses-server.ts';

type Rows = KeyUseOptions['rows'];

function open() {
  const clock = new TestClock();
  const { rows } = openMemory({ clock });
  const puts: string[][] = [];
  let away = false;
  const counted: Rows = {
    get: (keys) => rows.get(keys),
    async put(some) {
      puts.push(some.map(({ key }) => key));
      if (away) throw new Error('away');
      await rows.put(some);
    },
  };
  const make = () => new KeyUse({ rows: counted, clock, random: seededRandom(1) });
  const lastOf = async (...ids: string[]) => make().last(ids.map((id) => ({ id, createdAt: 1 })));
  return { clock, puts, make, lastOf, fail: (now: boolean) => (away = now) };
}

describe('the last use of a key', () => {
  test('is written once an hour, for all keys together, some time after the use', async () => {
    const { clock, puts, make, lastOf } = open();
    const use = make();
    const start = clock.now();
    for (let n = 0; n < 100; n += 1) for (const id of ['AKIAA', 'AKIAB']) use.note(id);
    assert.deepEqual([puts.length, clock.pending], [0, 1]);
    clock.advance(MINUTE);
    await use.flush();
    assert.deepEqual(puts, [['AKIAA', 'AKIAB']]);
    assert.deepEqual(await lastOf('AKIAA', 'AKIAB', 'AKIAC'), [start, start, undefined]);
    clock.advance(HOUR - MINUTE - 1);
    use.note('AKIAA');
    assert.equal(clock.pending, 0);
    clock.advance(1);
    use.note('AKIAA');
    clock.advance(MINUTE);
    await use.flush();
    assert.deepEqual(puts.slice(1), [['AKIAA']]);
    assert.deepEqual(await lastOf('AKIAA', 'AKIAB'), [start + HOUR, start]);
  });

  test('is written at the end of a function and of a process, without the wait', async () => {
    const { clock, puts, make, lastOf } = open();
    const use = make();
    use.note('AKIAA');
    await use.flush();
    assert.deepEqual([puts, clock.pending], [[['AKIAA']], 0]);
    await use.flush();
    assert.equal(puts.length, 1);
    use.note('AKIAB');
    await use.close();
    assert.deepEqual(await lastOf('AKIAB'), [clock.now()]);
    assert.equal(clock.pending, 0);
  });

  test('fails nothing while the store is away, and is written when it is back', async () => {
    const { clock, puts, make, lastOf, fail } = open();
    const use = make();
    const start = clock.now();
    fail(true);
    use.note('AKIAA');
    await use.flush();
    // No call of a function waits for a store that has just refused.
    await use.flush();
    assert.deepEqual([puts.length, clock.pending], [1, 1]);
    fail(false);
    use.note('AKIAB');
    clock.advance(MINUTE);
    await use.flush();
    assert.deepEqual(await lastOf('AKIAA', 'AKIAB'), [start, start]);
  });

  test('of this process shows before it is written, and is none of an earlier key of the same id', async () => {
    const { clock, make } = open();
    const use = make();
    use.note('AKIAA');
    const now = clock.now();
    const asked = [
      { id: 'AKIAA', createdAt: now },
      { id: 'AKIAA', createdAt: now + 1 },
    ];
    assert.deepEqual(await use.last(asked), [now, undefined]);
  });

  test('is read of more keys than one call of the store takes', async () => {
    const { make, lastOf } = open();
    const use = make();
    const ids = Array.from({ length: 1_001 }, (_, n) => `AKIA${n}`);
    for (const id of ids) use.note(id);
    await use.flush();
    assert.ok((await lastOf(...ids)).every((at) => at !== undefined));
  });
});

describe('each door', () => {
  let server: SesServer;
  before(async () => {
    server = await startSesServer();
  });
  after(() => server.close());

  test('notes the use of a key that it lets in, and of no other', async () => {
    const lastOf = async (id: string) => {
      const found = (await server.control.keys.find(id))!;
      return (await server.control.keyUse!.last([found]))[0];
    };
    for (const make of [
      (credentials: { accessKeyId: string; secretAccessKey: string }) =>
        server.client({ credentials }).send(new sdk.GetAccountCommand({})),
      (credentials: { accessKeyId: string; secretAccessKey: string }) =>
        server.clientV1({ credentials }).send(new v1.GetSendQuotaCommand({})),
    ]) {
      const { id, secret } = await server.control.keys.create({ tenant: 'default', admin: true });
      await assert.rejects(make({ accessKeyId: id, secretAccessKey: `${secret}x` }));
      assert.equal(await lastOf(id), undefined);
      await make({ accessKeyId: id, secretAccessKey: secret });
      assert.notEqual(await lastOf(id), undefined);
    }
  });

  test('of SMTP notes it at MAIL', async () => {
    const clock = new TestClock();
    const keyUse = { rows: openMemory({ clock }).rows, random: seededRandom(1) };
    const { control } = await openTestControl({ clock, keyUse });
    const made = await control.keys.create({ tenant: 'a', admin: false });
    const callers = new Callers(control, 'us-east-1', [], clock);
    await callers.of({ user: { keyId: made.id }, remoteAddress: '192.0.2.1' } as never);
    assert.deepEqual(await control.keyUse!.last([made]), [clock.now()]);
    await control.close();
    assert.deepEqual(await new KeyUse({ ...keyUse, clock }).last([made]), [clock.now()]);
  });
});

describe('the Postern API', () => {
  let server: PosternServer;
  before(async () => {
    server = await startPosternServer();
  });
  after(() => server.close());

  test('shows it in the list, of one key and of the own one', async () => {
    const call = (method: string, path: string, body?: unknown) =>
      server.call(method, path, { key: 'admin', body });
    const now = new Date(server.clock.now()).toISOString();
    const { id } = (await call('POST', '/keys', { tenant: 'shop' })).json;
    const { keys } = (await call('GET', '/keys')).json;
    const shown = (of: string) => keys.find((one: { id: string }) => one.id === of).lastUsedAt;
    assert.deepEqual([shown('AKIAADMIN'), shown(id)], [now, undefined]);
    assert.equal((await call('GET', '/keys/self')).json.lastUsedAt, now);
    assert.equal((await call('PUT', '/keys/AKIAADMIN', { name: 'me' })).json.lastUsedAt, now);
  });
});
