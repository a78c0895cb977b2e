import assert from 'node:assert/strict';
import { test } from 'node:test';
import { failure, MASTER_KEY, openTestControl } from '../support/control.ts';
import { settled } from '../support/engine.ts';

test('a key has an id and a secret in the form of AWS, and is found until it is revoked', async () => {
  const { control, clock } = await openTestControl();
  const key = await control.keys.create({ tenant: 'acme', admin: false, name: 'shop' });
  assert.match(key.id, /^AKIA[A-Z2-7]{16}$/);
  assert.match(key.secret, /^[A-Za-z0-9+/]{40}$/);
  assert.deepEqual(await control.keys.find(key.id), {
    ...key,
    tenant: 'acme',
    name: 'shop',
    createdAt: clock.now(),
  });
  assert.equal(await control.keys.revoke(key.id), true);
  assert.equal(await control.keys.find(key.id), undefined);
  assert.equal(await control.keys.revoke(key.id), false);
});

test('keys are listed by tenant', async () => {
  const { control } = await openTestControl();
  const a = await control.keys.create({ tenant: 'a', admin: false });
  const b = await control.keys.create({ tenant: 'b', admin: true });
  assert.deepEqual(await control.keys.list('a'), [a]);
  assert.deepEqual((await control.keys.list()).length, 2);
  assert.deepEqual(await control.keys.list('b'), [b]);
});

test('an operator may supply the first key', async () => {
  const { control } = await openTestControl();
  const given = {
    tenant: 'default',
    admin: true,
    id: 'AKIAEXAMPLE',
    secret: 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY',
  };
  assert.equal((await control.keys.create(given)).secret, given.secret);
  await assert.rejects(control.keys.create(given), failure('already_exists', /AKIAEXAMPLE/));
});

test('ids, secrets, names and tenants are checked at their limits', async () => {
  const { control } = await openTestControl();
  const make = (input: object) => control.keys.create({ tenant: 'a', admin: false, ...input });
  for (const id of ['abc', 'x'.repeat(129), 'with.dot', 'with/slash', 'with\nline']) {
    await assert.rejects(make({ id }), failure('bad_request', /access key id/));
  }
  for (const secret of ['x'.repeat(15), 'x'.repeat(257), `${'x'.repeat(20)}\n`, 'with space in the middle']) {
    await assert.rejects(make({ secret }), failure('bad_request', /secret/));
  }
  for (const tenant of ['', 'a/b', 'x'.repeat(65), 'ä']) {
    await assert.rejects(make({ tenant }), failure('bad_request', /tenant/));
  }
  await assert.rejects(make({ name: 'x'.repeat(257) }), failure('bad_request', /256/));
  await make({ id: 'abcd', secret: 'x'.repeat(16), tenant: 'x'.repeat(64), name: 'x'.repeat(256) });
  await make({ id: 'x'.repeat(128), secret: 'x'.repeat(256) });
});

test('the store holds no secret in clear, and keys survive a restart', async () => {
  const { control, config } = await openTestControl();
  const keys = await Promise.all([1, 2, 3].map(() => control.keys.create({ tenant: 'a', admin: false })));
  for (const { secret } of keys) {
    const forms = [secret, Buffer.from(secret).toString('base64'), Buffer.from(secret).toString('hex')];
    for (const form of forms) assert.ok(!(await config.dump()).includes(form));
  }
  await control.close();
  const again = await openTestControl({ config });
  for (const key of keys) assert.deepEqual(await again.control.keys.find(key.id), key);
});

test('a key revoked elsewhere is refused here', async () => {
  const { control, config } = await openTestControl();
  const other = (await openTestControl({ config })).control;
  const key = await control.keys.create({ tenant: 'a', admin: false });
  await settled();
  assert.ok(await other.keys.find(key.id));
  await control.keys.revoke(key.id);
  await settled();
  assert.equal(await other.keys.find(key.id), undefined);
});

test('another master key is refused at the start, and no watcher stays', async () => {
  const { control, config } = await openTestControl();
  await control.keys.create({ tenant: 'a', admin: false });
  await control.close();
  assert.equal(config.watchers, 0);
  await assert.rejects(
    openTestControl({ config, masterKey: Buffer.alloc(32, 8) }),
    failure('storage_damaged', /master\.key/),
  );
  assert.equal(config.watchers, 0);
  assert.equal(MASTER_KEY.length, 32);
});

test('a sealed secret moved to another key is refused', async () => {
  const { control, config } = await openTestControl();
  const victim = await control.keys.create({ tenant: 'a', admin: true });
  const mine = await control.keys.create({ tenant: 'b', admin: false });
  const stored = async (id: string) => (await config.get('key', id))!.value as { sealedSecret: string };
  const { sealedSecret } = await stored(mine.id);
  await config.put('key', victim.id, { ...(await stored(victim.id)), sealedSecret });
  await settled();
  await assert.rejects(control.keys.find(victim.id), failure('storage_damaged'));
});
