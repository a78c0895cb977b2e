import assert from 'node:assert/strict';
import { test } from 'node:test';
import { KnownSenders } from '../../lib/accept/known-senders.ts';
import { accepted, CALLER, openTestAccept, simple } from '../support/accept.ts';
import { failure, openTestControl } from '../support/control.ts';

const NOW = 1_000_000;

/** Control whose look-ups of identities are counted, and may fail. */
async function open() {
  const { control } = await openTestControl();
  await control.identities.create({ name: 'example.com', tenant: 'default' });
  const asked: string[] = [];
  const broken = { is: false };
  const identities = {
    ...control.identities,
    forSender: async (address: string, tenant: string) => {
      asked.push(address);
      if (broken.is) throw new Error('no store');
      return control.identities.forSender(address, tenant);
    },
  };
  return { control, asked, broken, senders: new KnownSenders({ ...control, identities }) };
}

test('what was found is at hand for a second, without a promise', async () => {
  const { senders, asked } = await open();
  const first = senders.of('default', 'AKIA', NOW);
  assert.ok(first.identity('a@example.com') instanceof Promise, 'it has to be looked up');
  const identity = await first.identity('a@example.com');
  assert.equal(identity?.name, 'example.com');
  assert.equal(asked.length, 2, 'by both who asked before there was an answer');
  const later = senders.of('default', 'AKIA', NOW + 999);
  assert.equal(later.identity('a@example.com'), identity);
  assert.equal(later.identity('b@example.com') instanceof Promise, true);
  assert.deepEqual(asked, ['a@example.com', 'a@example.com', 'b@example.com']);
});

test('it is looked up anew after a second, after a step back of the clock, and for another key or tenant', async () => {
  const { senders } = await open();
  const first = senders.of('default', 'AKIA', NOW);
  assert.equal(senders.of('default', 'AKIA', NOW + 999), first);
  assert.notEqual(senders.of('other', 'AKIA', NOW), first);
  assert.notEqual(senders.of('default', 'AKIB', NOW), first);
  assert.notEqual(senders.of('default', 'AKIA', NOW - 1), first);
  const second = senders.of('default', 'AKIA', NOW);
  assert.notEqual(senders.of('default', 'AKIA', NOW + 1000), second);
});

test('a failure is not kept, and neither are more addresses than a hundred', async () => {
  const { senders, asked, broken } = await open();
  const sender = senders.of('default', 'AKIA', NOW);
  broken.is = true;
  await assert.rejects(async () => sender.identity('a@example.com'), /no store/);
  broken.is = false;
  assert.equal((await sender.identity('a@example.com'))?.name, 'example.com');
  for (let i = 1; i < 100; i++) await sender.identity(`a${i}@example.com`);
  assert.equal(sender.identity('a@example.com') instanceof Promise, false);
  await sender.identity('one-more@example.com');
  assert.equal(sender.identity('a@example.com') instanceof Promise, true);
  assert.equal(asked.length, 103);
});

test('a change of any document is in force for the next message', async () => {
  const t = await openTestAccept();
  const { account, tenants, identities, configurationSets, keys } = t.control;
  await accepted(t, simple());

  await account.setSendingEnabled(false);
  await assert.rejects(accepted(t, simple()), failure('sending_paused'));
  await account.setSendingEnabled(true);
  await accepted(t, simple());

  await account.setSuppressionAttributes('default', { reasons: [] });
  assert.deepEqual((await accepted(t, simple())).admission.record.suppressedReasons, []);

  await tenants.order('default', 'DISABLED', { operator: 'AKIA' });
  await assert.rejects(accepted(t, simple()), failure('tenant_paused'));
  await tenants.order('default', 'ENABLED', { operator: 'AKIA' });
  await accepted(t, simple());

  await keys.create({ tenant: 'default', admin: false, id: CALLER.keyId, secret: 'x'.repeat(40) });
  await keys.update(CALLER.keyId, { limits: { messageBytes: 1024 } });
  const long = simple({ content: { kind: 'simple', subject: 'Long', text: 'x\n'.repeat(1000) } });
  await assert.rejects(accepted(t, long), failure('message_rejected'));
  await keys.update(CALLER.keyId, { limits: {} });
  await accepted(t, long);

  const set = {
    name: 'news',
    tenant: 'default',
    delivery: { tlsPolicy: 'OPTIONAL' as const, pool: 'vip' },
    sendingEnabled: true,
    reputationMetricsEnabled: false,
    createdAt: 0,
  };
  await assert.rejects(
    accepted(t, simple({ configurationSet: 'news' })),
    failure('configuration_set_missing'),
  );
  await configurationSets.create(set);
  assert.equal((await accepted(t, simple({ configurationSet: 'news' }))).admission.record.pool, 'vip');
  await configurationSets.delete('news', 'default');
  await assert.rejects(
    accepted(t, simple({ configurationSet: 'news' })),
    failure('configuration_set_missing'),
  );

  await identities.update('example.com', (identity) => ({
    ...identity,
    dkim: { ...identity.dkim, signingEnabled: false },
  }));
  assert.doesNotMatch((await accepted(t, simple())).text, /DKIM-Signature/);
  await identities.delete('example.com');
  await assert.rejects(accepted(t, simple()), failure('identity_not_verified'));
});
