import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DocumentIndex } from '../../lib/control/document-index.ts';
import { failure, openTestControl } from '../support/control.ts';
import { TestConfig } from '../support/engine.ts';

interface Thing {
  id: string;
  owner: string;
}

function open(config = new TestConfig()) {
  const index = new DocumentIndex<Thing, { id: string }>(config, 'thing', ({ id, owner }) => ({
    [`${owner}/${id}`]: { id },
  }));
  const create = (thing: Thing) => index.around(thing, () => config.put('thing', thing.id, thing, 0));
  const remove = async (thing: Thing) => {
    await config.delete('thing', thing.id);
    await index.remove(thing.id, thing);
  };
  const keys = async (owner: string) => (await index.list(owner)).map(({ key }) => key);
  return { config, index, create, remove, keys };
}

test('documents are listed and counted by their list, in pages', async () => {
  const { index, create, remove, keys } = open();
  for (const id of ['c', 'a', 'b']) await create({ id, owner: 'x' });
  await create({ id: 'd', owner: 'xy' });
  assert.deepEqual(await index.list('x', { max: 2 }), [
    { key: 'a', shown: { id: 'a' } },
    { key: 'b', shown: { id: 'b' } },
  ]);
  assert.deepEqual(await index.list('x', { after: 'b' }), [{ key: 'c', shown: { id: 'c' } }]);
  assert.equal(await index.count('x'), 3);
  await remove({ id: 'b', owner: 'x' });
  assert.deepEqual(await keys('x'), ['a', 'c']);
});

test('a document that is made while it is deleted keeps its row', async () => {
  const { config, index, create, keys } = open();
  const thing = { id: 'a', owner: 'x' };
  await create(thing);
  await config.delete('thing', 'a');
  await create(thing);
  await index.remove('a', thing);
  assert.deepEqual(await keys('x'), ['a']);
});

test('a crash between the two leaves a row, which the next deletion takes away', async () => {
  const { index, remove, keys } = open();
  const thing = { id: 'a', owner: 'x' };
  const crash = index.around(thing, () => Promise.reject(new Error('crash')));
  await assert.rejects(crash, /crash/);
  assert.deepEqual(await keys('x'), ['a']);
  await remove(thing);
  assert.deepEqual(await keys('x'), []);
});

test('documents of a version without rows get them once, however often that is interrupted', async () => {
  const config = new TestConfig();
  for (let n = 0; n < 250; n += 1) {
    await config.put('thing', `t${String(n).padStart(3, '0')}`, {
      id: `t${String(n).padStart(3, '0')}`,
      owner: 'x',
    });
  }
  const put = config.put.bind(config);
  let left = 130;
  config.put = (...args) => ((left -= 1) < 0 ? Promise.reject(new Error('away')) : put(...args));
  const first = open(config);
  await assert.rejects(first.index.count('x'), /away/);
  config.put = put;
  assert.equal(await first.index.count('x'), 250);
  const writes = config.writes;
  assert.equal(await open(config).index.count('x'), 250);
  assert.equal(config.writes, writes, 'a store that has them is left alone');
});

test('keys, identities, templates and event destinations of an earlier version are listed', async () => {
  const { control, config, clock } = await openTestControl();
  const key = await control.keys.create({ tenant: 'a', admin: true });
  const identity = await control.identities.create({
    name: 'a.example',
    tenant: 'a',
    keyLength: 'RSA_1024_BIT',
  });
  await control.templates.create({ name: 'hello', tenant: 'a', text: 'x', createdAt: 5 });
  const destination = await control.eventDestinations.create({
    name: 'file',
    tenant: 'a',
    enabled: true,
    types: ['SEND'],
    target: { kind: 'file', path: '-' },
  });
  // As it was stored: without rows and marks.
  const older = new TestConfig();
  for (const kind of ['key', 'identity', 'template', 'event-destination']) {
    for (const document of await config.list(kind)) await older.put(kind, document.key, document.value);
  }
  const { control: next } = await openTestControl({ config: older, clock });
  assert.deepEqual(await next.keys.list('a'), [key]);
  assert.deepEqual(await next.keys.administrators(), [key.id]);
  assert.deepEqual(await next.identities.list('a'), [identity]);
  assert.deepEqual(await next.templates.list('a'), [{ name: 'hello', createdAt: 5 }]);
  (await next.eventDestinations.follow()).close();
  assert.deepEqual(await next.eventDestinations.takers({ tenant: 'a', configurationSet: 'any' }), [
    destination,
  ]);
  assert.deepEqual(await next.eventDestinations.list('a'), [destination]);
  const again = next.eventDestinations.create({ ...destination, types: ['SEND'] });
  await assert.rejects(again, failure('already_exists', /<file>/));
});

test('event destinations are found for the mail that they take', async () => {
  const { control } = await openTestControl();
  const { eventDestinations: destinations } = control;
  const make = (name: string, scope: { tenant?: string; configurationSet?: string }) =>
    destinations.create({
      name,
      ...scope,
      enabled: true,
      types: ['SEND'],
      target: { kind: 'file', path: '-' },
    });
  await make('all', {});
  await make('tenant', { tenant: 'a' });
  const news = await make('news', { tenant: 'a', configurationSet: 'news' });
  await make('any-news', { configurationSet: 'news' });
  await make('other', { tenant: 'b' });
  const takers = async (tenant: string, configurationSet?: string, setOwner?: string) =>
    (await destinations.takers({ tenant, configurationSet, setOwner })).map(({ name }) => name).sort();
  assert.deepEqual(await takers('a', 'news'), ['all', 'any-news', 'news', 'tenant']);
  assert.deepEqual(await takers('a'), ['all', 'tenant']);
  assert.deepEqual(await takers('c', 'news'), ['all', 'any-news']);
  // A set of another tenant: its destinations, and those of the tenant that sends.
  assert.deepEqual(await takers('b', 'news', 'a'), ['all', 'any-news', 'news', 'other']);
  assert.deepEqual(await takers('a', 'news', 'b'), ['all', 'any-news', 'tenant']);
  await destinations.update(news.id, { enabled: false });
  assert.deepEqual(await takers('a', 'news'), ['all', 'any-news', 'tenant']);
  await destinations.update(news.id, { enabled: true, name: 'renamed' });
  await assert.rejects(destinations.update(news.id, { types: [] }), failure('bad_request'));
  assert.deepEqual(await takers('a', 'news'), ['all', 'any-news', 'renamed', 'tenant']);
  await destinations.delete(news.id);
  assert.deepEqual(await takers('a', 'news'), ['all', 'any-news', 'tenant']);
  assert.equal(await destinations.delete(news.id), false);
});

test('a scope has ten event destinations, and one that was deleted makes room', async () => {
  const { control, config } = await openTestControl();
  const make = (n: number) =>
    control.eventDestinations.create({
      name: `d${n}`,
      tenant: 'a',
      enabled: true,
      types: ['SEND'],
      target: { kind: 'file', path: '-' },
    });
  const made = await Promise.all(Array.from({ length: 3 }, (_, n) => make(n)));
  for (let n = 3; n < 10; n += 1) made.push(await make(n));
  await assert.rejects(make(10), failure('limit_exceeded', /10 event destinations/));
  assert.equal((await control.eventDestinations.list('a')).length, 10);
  assert.equal((await config.list('event-destination')).length, 10, 'what is refused is not left behind');
  // A crash after the deletion of the document, before it left its scope.
  await config.delete('event-destination', made[0]!.id);
  await make(0);
});
