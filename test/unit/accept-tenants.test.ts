/** Mail of a tenant: sent with what is its own or associated with it, and refused while it may not send. */
import assert from 'node:assert/strict';
import { beforeEach, describe, test } from 'node:test';
import type { Caller, Submission } from '../../lib/accept/types.ts';
import type { ConfigurationSet } from '../../lib/control/types.ts';
import { PosternError } from '../../lib/errors.ts';
import { openTestAccept, raw, simple, type TestAccept } from '../support/accept.ts';

/** An administrator of the account: whoever sends for tenants. */
const ACCOUNT: Caller = { keyId: 'AKIAACCOUNT', tenant: 'default', admin: true, sourceIp: '192.0.2.9' };
const SHOP: Caller = { keyId: 'AKIASHOP', tenant: 'shop', admin: false, sourceIp: '192.0.2.9' };

const set = (name: string, tenant: string): ConfigurationSet => ({
  name,
  tenant,
  delivery: { tlsPolicy: 'OPTIONAL' },
  sendingEnabled: true,
  reputationMetricsEnabled: true,
  createdAt: 0,
});

let t: TestAccept;
beforeEach(async () => {
  t = await openTestAccept();
  await t.control.tenants.create({ name: 'shop' });
  await t.control.configurationSets.create(set('news', 'default'));
});

async function send(submission: Submission, caller = ACCOUNT): Promise<string> {
  const [result] = await t.accept.submit([submission], { door: 'ses-v2', caller });
  return 'error' in result! ? `${result.error.code}: ${result.error.message}` : 'accepted';
}

const associate = (
  kind: 'identity' | 'configuration-set',
  name: string,
  tenant = 'shop',
  owner = 'default',
) => t.control.tenants.resources.add({ tenant, kind, name, owner, at: 0 });

describe('what the account has', () => {
  const mail = simple({ tenant: 'shop', configurationSet: 'news' });

  test('is used by a tenant that is associated with all of it', async () => {
    assert.equal(
      await send(mail),
      'access_denied: Tenant not associated with resources [arn:aws:ses:us-east-1:123456789012:identity/example.com].',
    );
    await associate('identity', 'example.com');
    assert.equal(
      await send(mail),
      'access_denied: Tenant not associated with resources [arn:aws:ses:us-east-1:123456789012:configuration-set/news].',
    );
    await associate('configuration-set', 'news');
    assert.equal(await send(mail), 'accepted');
    const { record } = t.queue.admissions[0]!;
    assert.deepEqual([record.tenant, record.configurationSet, record.setOwner], ['shop', 'news', 'default']);
    assert.deepEqual(record.tags['ses:tenant-name'], ['shop']);
    assert.match(
      Buffer.from(t.queue.admissions[0]!.body).toString(),
      /^DKIM-Signature: [\s\S]*? d=example\.com/m,
    );
  });

  test('is for the key of the tenant, too, which learns nothing of what it is not associated with', async () => {
    assert.match(await send(simple(), SHOP), /^identity_not_verified: /);
    await associate('identity', 'example.com');
    assert.equal(await send(simple(), SHOP), 'accepted');
    const named = await send(simple({ configurationSet: 'news' }), SHOP);
    assert.equal(named, 'configuration_set_missing: Configuration set <news> does not exist.');
  });

  test('is for other senders of raw mail, too', async () => {
    const lines = [
      'From: ann@example.com',
      'Sender: bob@press.example',
      'To: c@gmail.com',
      'X-SES-TENANT: shop',
      '',
      'x',
    ];
    await t.control.identities.create({ name: 'press.example', tenant: 'press' });
    await associate('identity', 'example.com');
    assert.match(await send(raw(lines)), /^identity_not_verified: .*bob@press\.example/);
    await associate('identity', 'press.example', 'shop', 'press');
    assert.equal(await send(raw(lines)), 'accepted');
    assert.equal(t.queue.admissions[0]!.record.tenant, 'shop');
  });

  test('stays without use for a tenant when its name belongs to another owner', async () => {
    await associate('identity', 'example.com');
    await t.control.identities.delete('example.com');
    await t.control.identities.create({ name: 'example.com', tenant: 'press' });
    assert.match(await send(simple({ tenant: 'shop' })), /^identity_not_verified/);
  });

  test('is shadowed by what the tenant has itself', async () => {
    await t.control.identities.create({ name: 'shop.example', tenant: 'shop' });
    await t.control.configurationSets.create(set('news', 'shop'));
    await associate('configuration-set', 'news');
    assert.equal(await send(simple({ from: 'a@shop.example', configurationSet: 'news' }), SHOP), 'accepted');
    assert.equal(t.queue.admissions[0]!.record.setOwner, undefined);
  });

  test('sends events to the destinations of the set, whoever sends', async () => {
    await associate('identity', 'example.com');
    await associate('configuration-set', 'news');
    await t.control.eventDestinations.create({
      name: 'file',
      tenant: 'default',
      configurationSet: 'news',
      enabled: true,
      types: ['SEND'],
      target: { kind: 'file', path: '-' },
    });
    assert.equal(await send(mail), 'accepted');
    assert.equal(t.queue.admissions[0]!.settled?.[0]?.kind, 'accepted', 'announced to somebody');
    const [taker] = await t.control.eventDestinations.takers(t.queue.admissions[0]!.record);
    assert.equal(taker?.name, 'file');
  });

  test('with an identity whose default set the tenant may not use is refused', async () => {
    await associate('identity', 'example.com');
    await t.control.identities.update('example.com', (identity) => ({
      ...identity,
      configurationSet: 'news',
    }));
    assert.match(await send(simple({ tenant: 'shop' })), /^access_denied: .*configuration-set\/news/);
  });
});

describe('a tenant that may not send', () => {
  beforeEach(() => associate('identity', 'example.com'));

  test('is refused with the cause, by whichever key, and others are not', async () => {
    await t.control.tenants.order('shop', 'DISABLED', { operator: 'AKIAOPS', cause: 'Bought list.' });
    const refused = 'tenant_paused: Email sending is paused for the tenant shop: Bought list.';
    assert.equal(await send(simple({ tenant: 'shop' })), refused);
    assert.equal(await send(simple(), SHOP), refused);
    assert.equal(await send(simple()), 'accepted');
    assert.equal(new PosternError('tenant_paused', '').entry.ses, 'SendingPausedException');
    await t.control.tenants.order('shop', 'ENABLED', { operator: 'AKIAOPS' });
    assert.equal(await send(simple(), SHOP), 'accepted');
  });

  test('for its rates is refused until it is reinstated; one that a directive suspends is taken in, and waits', async () => {
    const directive = {
      match: { tenant: 'shop' },
      action: { kind: 'suspend' } as const,
      reason: 'Paused: 15 %.',
    };
    await t.control.directives.order(directive, { operator: 'AKIAOPS' });
    assert.equal(await send(simple(), SHOP), 'accepted');
    await t.control.directives.impose({
      ...directive,
      id: 'reputation-shop',
      until: t.clock.now() + 60_000,
      origin: { rule: 'reputation', reply: '15 %' },
    });
    assert.match(await send(simple(), SHOP), /^tenant_paused: .*Paused: 15 %\.$/);
    await t.control.tenants.order('shop', 'REINSTATED', { operator: 'AKIAOPS' });
    assert.equal(await send(simple(), SHOP), 'accepted');
  });
});
