/** Tenants: made by name or with what names them first, stopped and resumed, and what they may use of each other. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { pauseId } from '../../lib/control/tenants.ts';
import { DAY } from '../../lib/time.ts';
import { failure, openTestControl } from '../support/control.ts';
import { TestConfig } from '../support/engine.ts';

const OPERATOR = { operator: 'AKIAOPS' };

test('a tenant is made by name once, or with the first key or identity that names it', async () => {
  const { control, clock } = await openTestControl();
  const made = await control.tenants.create({ name: 'shop', tags: [{ Key: 'team', Value: 'a' }] });
  assert.match(made.id, /^tn-[0-9a-f]{30}$/);
  assert.equal(made.createdAt, clock.now());
  assert.deepEqual(await control.tenants.find('shop'), made);
  await assert.rejects(control.tenants.create({ name: 'shop' }), failure('already_exists', /Tenant shop/));
  for (const name of ['', 'a/b', 'x'.repeat(65), 'ä'])
    await assert.rejects(control.tenants.create({ name }), failure('bad_request', /tenant/));
  await control.keys.create({ tenant: 'press', admin: false });
  await control.identities.create({ name: 'news.example', tenant: 'news' });
  await control.keys.create({ tenant: 'shop', admin: false });
  const names = (await control.tenants.list()).map(({ name }) => name);
  assert.deepEqual(names, ['news', 'press', 'shop']);
  assert.deepEqual(await control.tenants.find('shop'), made, 'a key changes nothing of it');
});

test('tenants of keys and identities of an earlier version are filled in when tenants are first listed', async () => {
  const config = new TestConfig();
  const before = await openTestControl({ config });
  await before.control.keys.create({ tenant: 'old', admin: true });
  await before.control.identities.create({ name: 'older.example', tenant: 'older' });
  for (const name of ['old', 'older']) await config.delete('tenant', name);
  const { control } = await openTestControl({ config });
  assert.deepEqual(
    (await control.tenants.list()).map(({ name }) => name),
    ['old', 'older'],
  );
});

test('an order to stop is a directive and has its cause; whoever removes the directive has resumed the tenant', async () => {
  const { control, clock } = await openTestControl();
  const { tenants, directives } = control;
  const shop = await tenants.create({ name: 'shop' });
  assert.deepEqual(tenants.sendingOf(shop), {
    status: 'ENABLED',
    ordered: { status: 'ENABLED', at: clock.now() },
    rated: { status: 'ENABLED', at: clock.now() },
  });
  clock.advance(1_000);
  const stopped = await tenants.order('shop', 'DISABLED', { ...OPERATOR, cause: 'Bought list.' });
  assert.equal(tenants.sendingOf(stopped).status, 'DISABLED');
  const record = { status: 'DISABLED', cause: 'Bought list.', at: clock.now() };
  assert.deepEqual(tenants.sendingOf(stopped).ordered, record);
  const [directive] = directives.list();
  assert.deepEqual(directive!.match, { tenant: 'shop' });
  assert.deepEqual(directive!.action, { kind: 'suspend' });
  assert.equal(directive!.reason, 'Bought list.');
  await directives.remove(directive!.id);
  assert.equal(tenants.sendingOf(stopped).status, 'ENABLED');
  await tenants.order('shop', 'DISABLED', OPERATOR);
  const resumed = await tenants.order('shop', 'ENABLED', OPERATOR);
  assert.deepEqual([tenants.sendingOf(resumed).status, directives.list()], ['ENABLED', []]);
  assert.match(resumed.order!.cause, /AKIAOPS/);
  await assert.rejects(tenants.order('none', 'DISABLED', OPERATOR), failure('not_found', /"none"/));
  assert.deepEqual(directives.list(), [], 'nothing stops a tenant that does not exist');
});

test('a pause for its rates holds until it ends or the tenant is reinstated', async () => {
  const { control, clock } = await openTestControl();
  const { tenants, directives } = control;
  await tenants.create({ name: 'shop' });
  const pause = {
    id: pauseId('shop'),
    match: { tenant: 'shop' },
    action: { kind: 'suspend' } as const,
    reason: 'Paused: 15 % bounced.',
    until: clock.now() + DAY,
    origin: { rule: 'reputation', reply: '15 %' },
  };
  await directives.impose(pause);
  const enabled = await tenants.order('shop', 'ENABLED', OPERATOR);
  const { status, rated } = tenants.sendingOf(enabled);
  assert.deepEqual([status, rated.status, rated.cause], ['DISABLED', 'DISABLED', pause.reason]);
  const reinstated = await tenants.order('shop', 'REINSTATED', OPERATOR);
  assert.equal(tenants.sendingOf(reinstated).status, 'REINSTATED');
  assert.equal(directives.find(pause.id), undefined);
  await directives.impose(pause);
  assert.equal(tenants.sendingOf(reinstated).status, 'REINSTATED', 'whatever its rates are');
  clock.advance(DAY);
  assert.equal(tenants.sendingOf(enabled).status, 'ENABLED');
});

test('changes keep the name, the id and the order; what is deleted allows nothing any more', async () => {
  const { control } = await openTestControl();
  const { tenants, directives } = control;
  const { id } = await tenants.create({ name: 'shop' });
  await tenants.order('shop', 'DISABLED', OPERATOR);
  const changed = await tenants.update('shop', (tenant) => ({
    ...tenant,
    name: 'other',
    id: 'tn-0',
    order: undefined,
    reputationPolicy: 'strict',
  }));
  assert.deepEqual([changed.name, changed.id, changed.order?.status], ['shop', id, 'DISABLED']);
  assert.equal(changed.reputationPolicy, 'strict');
  const resource = { kind: 'identity', name: 'a.example' } as const;
  await tenants.resources.add({ ...resource, tenant: 'shop', owner: 'default', at: 1 });
  assert.equal(await tenants.delete('shop'), true);
  assert.deepEqual([await tenants.find('shop'), directives.list()], [undefined, []]);
  assert.equal(await tenants.resources.find('shop', resource), undefined);
  assert.deepEqual(await tenants.resources.users('default', resource), []);
  assert.equal(await tenants.delete('shop'), false);
  const again = await tenants.create({ name: 'shop' });
  assert.notEqual(again.id, id);
});

test('associations are listed by tenant and by resource, in pages', async () => {
  const { control } = await openTestControl();
  const { resources } = control.tenants;
  const add = (tenant: string, kind: 'identity' | 'template', name: string, owner = 'default') =>
    resources.add({ tenant, kind, name, owner, at: 7 });
  await add('b', 'identity', 'a.example');
  await add('a', 'identity', 'a.example');
  await add('a', 'template', 'hello');
  await add('c', 'template', 'hello', 'other');
  // The name of an address may begin as a domain does.
  await add('a', 'identity', 'a.example/x@b.example');
  const names = async (tenant: string, page?: object) =>
    (await resources.list(tenant, page)).map(({ kind, name }) => `${kind}/${name}`);
  const all = ['identity/a.example', 'identity/a.example/x@b.example', 'template/hello'];
  assert.deepEqual(await names('a'), all);
  assert.deepEqual(await names('a', { max: 1, after: all[0] }), [all[1]]);
  const identity = { kind: 'identity', name: 'a.example' } as const;
  assert.deepEqual(await resources.users('default', identity), [
    { tenant: 'a', at: 7 },
    { tenant: 'b', at: 7 },
  ]);
  assert.deepEqual(await resources.users('default', { kind: 'template', name: 'hello' }), [
    { tenant: 'a', at: 7 },
  ]);
  await assert.rejects(add('a', 'identity', 'a.example', 'other'), failure('already_exists'));
  assert.deepEqual(await resources.users('other', identity), []);
  assert.equal(await resources.remove('a', identity), true);
  assert.equal(await resources.remove('a', identity), false);
  assert.deepEqual(await resources.users('default', identity), [{ tenant: 'b', at: 7 }]);
});
