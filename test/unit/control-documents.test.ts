import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { ConfigurationSet, StoredTemplate } from '../../lib/control/types.ts';
import { failure, openTestControl } from '../support/control.ts';
import { settled } from '../support/engine.ts';

const set = (name: string, tenant = 'default'): ConfigurationSet => ({
  name,
  tenant,
  delivery: { tlsPolicy: 'OPTIONAL' },
  sendingEnabled: true,
  reputationMetricsEnabled: false,
  createdAt: 1,
});
const template = (name: string, tenant = 'default'): StoredTemplate => ({
  name,
  tenant,
  subject: 's',
  createdAt: 1,
});

describe('configuration sets', () => {
  test('are created, changed, listed and deleted within their tenant', async () => {
    const { control } = await openTestControl();
    const { configurationSets: sets } = control;
    await sets.create(set('news', 'a'));
    await sets.create(set('news', 'b'));
    await assert.rejects(sets.create(set('news', 'a')), failure('already_exists', /<news>/));
    await sets.update('news', 'a', (one) => ({ ...one, sendingEnabled: false, name: 'other', tenant: 'b' }));
    assert.deepEqual(await sets.find('news', 'a'), { ...set('news', 'a'), sendingEnabled: false });
    assert.equal(
      (await sets.find('news', 'b'))?.sendingEnabled,
      true,
      'the name of another tenant is another set',
    );
    assert.equal(await sets.find('other', 'b'), undefined);
    assert.equal((await sets.list('a')).length, 1);
    assert.equal((await sets.list('b')).length, 1);
    assert.equal(await sets.delete('news', 'a'), true);
    assert.equal(await sets.delete('news', 'a'), false);
    assert.ok(await sets.find('news', 'b'));
    await assert.rejects(
      sets.update('news', 'a', (one) => one),
      failure('configuration_set_missing', /<news> does not exist/),
    );
  });

  test('have names of 1 to 64 characters', async () => {
    const { configurationSets: sets } = (await openTestControl()).control;
    await sets.create(set('x'.repeat(64)));
    for (const name of ['', 'x'.repeat(65), 'a b', 'a/b', 'ä']) {
      await assert.rejects(sets.create(set(name)), failure('bad_request', /configuration set/));
    }
  });

  test('take a delivery time of 5 minutes to 14 hours, with the errors of SES', async () => {
    const { configurationSets: sets } = (await openTestControl()).control;
    const within = (maxDeliverySeconds: number) => ({
      ...set(`s${maxDeliverySeconds}`.replace('.', '_')),
      delivery: { tlsPolicy: 'REQUIRE' as const, maxDeliverySeconds },
    });
    await sets.create(within(300));
    await sets.create(within(50_400));
    await assert.rejects(sets.create(within(299)), failure('bad_request', /greater than or equal to 300$/));
    await assert.rejects(sets.create(within(300.5)), failure('bad_request'));
    await assert.rejects(sets.create(within(50_401)), failure('bad_request', /less than or equal to 50400$/));
    const change = (one: ConfigurationSet) => ({
      ...one,
      delivery: { ...one.delivery, maxDeliverySeconds: 1 },
    });
    await assert.rejects(sets.update('s300', 'default', change), failure('bad_request'));
  });
});

describe('templates', () => {
  test('are created, replaced, listed and deleted within their tenant', async () => {
    const { control, config } = await openTestControl();
    const { templates } = control;
    await templates.create(template('hello', 'a'));
    await templates.create(template('hello', 'b'));
    await assert.rejects(templates.create(template('hello', 'a')), failure('already_exists'));
    await templates.update({ ...template('hello', 'a'), subject: 'new', createdAt: 99 });
    assert.deepEqual(await templates.find('hello', 'a'), { ...template('hello', 'a'), subject: 'new' });
    assert.equal((await templates.find('hello', 'b'))?.subject, 's');
    assert.equal((await templates.list('a')).length, 1);
    await assert.rejects(
      templates.update(template('none')),
      failure('template_missing', /none does not exist/),
    );
    const again = (await openTestControl({ config })).control;
    assert.deepEqual(await again.templates.find('hello', 'a'), await templates.find('hello', 'a'));
    assert.equal(await templates.delete('hello', 'a'), true);
    await settled();
    assert.equal(await again.templates.find('hello', 'a'), undefined);
    assert.ok(await again.templates.find('hello', 'b'));
  });

  test('hold 500 KB, and not one byte more', async () => {
    const { templates } = (await openTestControl()).control;
    const half = 'ä'.repeat(128_000);
    await templates.create({ ...template('full'), subject: '', text: half, html: half });
    const over = { ...template('over'), subject: '!', text: half, html: half };
    await assert.rejects(templates.create(over), failure('bad_request', /512001/));
    await assert.rejects(templates.update({ ...over, name: 'full' }), failure('bad_request'));
  });
});

test('each tenant has its own limits, also for simultaneous calls', async () => {
  const limits = { identities: 2, configurationSets: 3, templates: 3 };
  const { control } = await openTestControl({ limits });
  const all = await Promise.allSettled(
    [1, 2, 3, 4, 5].map((n) => control.configurationSets.create(set(`s${n}`))),
  );
  assert.equal(all.filter((one) => one.status === 'fulfilled').length, 3);
  await assert.rejects(
    control.configurationSets.create(set('more')),
    failure('limit_exceeded', /3 configuration sets/),
  );
  await control.configurationSets.create(set('more', 'other'));
  await control.configurationSets.delete('s1', 'default');
  await control.configurationSets.create(set('more'));

  for (const name of ['a', 'b', 'c']) await control.templates.create(template(name));
  await assert.rejects(control.templates.create(template('d')), failure('limit_exceeded', /3 templates/));
  for (const name of ['a@x.example', 'b@x.example'])
    await control.identities.create({ name, tenant: 'default' });
  const third = control.identities.create({ name: 'c@x.example', tenant: 'default' });
  await assert.rejects(third, failure('limit_exceeded', /2 identities/));
});

test('pausing the account pauses it in every process', async () => {
  const { control, config } = await openTestControl();
  const other = (await openTestControl({ config })).control;
  assert.equal(await control.account.sendingEnabled(), true);
  await control.account.setSendingEnabled(false);
  assert.equal(await control.account.sendingEnabled(), false);
  await settled();
  assert.equal(await other.account.sendingEnabled(), false);
  await other.account.setSendingEnabled(true);
  await settled();
  assert.equal(await control.account.sendingEnabled(), true);
});
