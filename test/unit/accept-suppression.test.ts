import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { ConfigurationSet } from '../../lib/control/types.ts';
import type { Suppression, SuppressionReason } from '../../lib/engine/suppression.ts';
import { PosternError } from '../../lib/errors.ts';
import { sesEvents } from '../../lib/outcome/events.ts';
import { CALLER, openTestAccept, simple, type TestAccept } from '../support/accept.ts';
import { failure } from '../support/control.ts';

const OPTIONS = { door: 'ses-v2', caller: CALLER } as const;
const AT = Date.UTC(2026, 0, 2);

function listed(address: string, reason: SuppressionReason = 'BOUNCE', tenant = 'default'): Suppression {
  return { tenant, address, reason, at: AT };
}

async function openWith(...entries: Suppression[]): Promise<TestAccept> {
  const t = await openTestAccept();
  for (const entry of entries) await t.suppressions.put(entry);
  return t;
}

async function setWith(t: TestAccept, name: string, suppressedReasons?: SuppressionReason[]): Promise<void> {
  const set: ConfigurationSet = {
    name,
    tenant: 'default',
    delivery: { tlsPolicy: 'OPTIONAL' },
    sendingEnabled: true,
    reputationMetricsEnabled: false,
    suppressedReasons,
    createdAt: 0,
  };
  await t.control.configurationSets.create(set);
}

/** Recipients with a lane item, and those without. */
async function sent(t: TestAccept, change: Parameters<typeof simple>[0]): Promise<[string[], string[]]> {
  const [answer] = await t.accept.submit([simple(change)], OPTIONS);
  assert.ok('messageId' in answer!);
  const { record, deliveries, settled = [] } = t.queue.admissions.at(-1)!;
  for (const { attempt } of settled) assert.equal(attempt?.state, 'suppressed');
  return [deliveries.map(({ recipient }) => recipient), settled.map(({ n }) => record.recipients[n!]!)];
}

describe('a suppressed recipient', () => {
  test('ends at once with a reason and a bounce as SES reports it; the others are sent', async () => {
    const t = await openWith(listed('Bob@gmail.com', 'COMPLAINT'));
    const to = ['ann@example.net', 'bob@gmail.com', 'cy@example.net'];
    assert.deepEqual(await sent(t, { to }), [['ann@example.net', 'cy@example.net'], ['bob@gmail.com']]);
    const { record, deliveries, settled, body } = t.queue.admissions[0]!;
    assert.deepEqual(
      deliveries.map(({ n }) => n),
      [0, 2],
    );
    assert.deepEqual(record.recipients, to);
    assert.ok(body.byteLength > 0);
    const [outcome] = settled!;
    const text =
      'Not sent: Bob@gmail.com is on the suppression list since 2026-01-02T00:00:00.000Z, because its reader complained.';
    const { attempt } = outcome!;
    assert.deepEqual(
      [outcome!.n, attempt!.reason, attempt!.text, attempt!.replies],
      [1, 'suppressed', text, []],
    );
    const context = { region: 'us-east-1', accountId: '123456789012', hostname: 'mail.example.com' };
    const [event] = sesEvents(record, outcome!, context);
    assert.equal(event!.eventType, 'Bounce');
    assert.ok('bounce' in event!);
    const { bounceType, bounceSubType, bouncedRecipients } = event.bounce;
    assert.deepEqual([bounceType, bounceSubType], ['Permanent', 'OnAccountSuppressionList']);
    assert.deepEqual(bouncedRecipients, [
      { emailAddress: 'bob@gmail.com', action: 'failed', status: '5.1.1', diagnosticCode: text },
    ]);
  });

  test('as the only one still gives a MessageId, and no body is stored', async () => {
    const t = await openWith(listed('bob@gmail.com'));
    assert.deepEqual(await sent(t, {}), [[], ['bob@gmail.com']]);
    const { body, record } = t.queue.admissions[0]!;
    assert.equal(body.byteLength, 0);
    assert.ok(record.size > 0);
  });

  test('is looked up once per call, each message by its own tenant and reasons', async () => {
    const t = await openWith(listed('bob@gmail.com'), listed('eve@gmail.com', 'COMPLAINT'));
    await setWith(t, 'complaints', ['COMPLAINT']);
    await setWith(t, 'nobody', []);
    const to = ['bob@gmail.com', 'eve@gmail.com'];
    const answers = await t.accept.submit(
      [
        simple({ to }),
        simple({ to, configurationSet: 'complaints' }),
        simple({ to, configurationSet: 'nobody' }),
        simple({ to, from: 'stranger@example.org' }),
      ],
      OPTIONS,
    );
    assert.deepEqual(
      answers.map((answer) => 'messageId' in answer),
      [true, true, true, false],
    );
    assert.deepEqual(t.suppressions.asked, [4]);
    const went = t.queue.admissions.map(({ deliveries }) => deliveries.map(({ recipient }) => recipient));
    assert.deepEqual(went, [[], ['bob@gmail.com'], to]);
    // Later outcomes are judged by these reasons.
    assert.deepEqual(
      t.queue.admissions.map(({ record }) => record.suppressedReasons),
      [undefined, ['COMPLAINT'], []],
    );
  });

  test('is suppressed for the sending tenant only', async () => {
    const t = await openWith(listed('bob@gmail.com', 'BOUNCE', 'other'));
    assert.deepEqual(await sent(t, {}), [['bob@gmail.com'], []]);
  });
});

describe('suppression', () => {
  test('follows the account, unless the configuration set overrides it', async () => {
    const t = await openWith(listed('bob@gmail.com'));
    await setWith(t, 'plain');
    await setWith(t, 'bounces', ['BOUNCE']);
    await t.control.account.setSuppressionAttributes('default', { reasons: ['COMPLAINT'] });
    const kept: [string[], string[]] = [[], ['bob@gmail.com']];
    const goes: [string[], string[]] = [['bob@gmail.com'], []];
    assert.deepEqual(await sent(t, {}), goes);
    assert.deepEqual(await sent(t, { configurationSet: 'plain' }), goes);
    assert.deepEqual(await sent(t, { configurationSet: 'bounces' }), kept);
    await t.control.account.setSuppressionAttributes('other', { reasons: [] });
    await t.control.account.setSuppressionAttributes('default', { reasons: ['BOUNCE', 'BOUNCE'] });
    assert.deepEqual((await t.control.account.suppression('default')).reasons, ['BOUNCE']);
    assert.deepEqual(await sent(t, {}), kept);
  });

  test('is by the list of the set, else of the tenant, else by its own', async () => {
    const t = await openWith(listed('bob@gmail.com'), listed('eve@gmail.com', 'BOUNCE', 'shop'));
    await t.control.identities.create({ name: 'shop.example', tenant: 'shop' });
    const to = ['bob@gmail.com', 'eve@gmail.com'];
    const caller = { ...CALLER, tenant: 'shop' };
    const listOf = async (configurationSet?: string): Promise<[string[], string | undefined]> => {
      const mail = simple({ from: 'a@shop.example', to, configurationSet });
      await t.accept.submit([mail], { door: 'ses-v2', caller });
      const { record, settled = [] } = t.queue.admissions.at(-1)!;
      return [settled.map(({ n }) => record.recipients[n!]!), record.suppressionList];
    };
    assert.deepEqual(await listOf(), [['eve@gmail.com'], undefined]);
    for (const suppressionScope of ['ACCOUNT', 'TENANT'] as const) {
      const set = { tenant: 'shop', delivery: { tlsPolicy: 'OPTIONAL' }, createdAt: 0 } as const;
      const switches = { sendingEnabled: true, reputationMetricsEnabled: false };
      await t.control.configurationSets.create({
        ...set,
        ...switches,
        name: suppressionScope,
        suppressionScope,
      });
    }
    const { account } = t.control;
    for (const scope of [undefined, 'ACCOUNT', 'TENANT'] as const) {
      await account.setSuppressionAttributes('shop', { scope });
      const shared = scope === 'ACCOUNT';
      assert.deepEqual(
        await listOf(),
        shared ? [['bob@gmail.com'], 'default'] : [['eve@gmail.com'], undefined],
      );
      assert.deepEqual(await listOf('ACCOUNT'), [['bob@gmail.com'], 'default']);
      assert.deepEqual(await listOf('TENANT'), [['eve@gmail.com'], undefined]);
    }
    assert.deepEqual(new Set(t.suppressions.asked), new Set([2]), 'one list is asked');
    await account.setSuppressionAttributes('default', { reasons: ['COMPLAINT'] });
    assert.deepEqual(await listOf(), [[], undefined], 'reasons come from the account');
    await account.setSuppressionAttributes('shop', { reasons: ['BOUNCE'] });
    assert.deepEqual(await listOf(), [['eve@gmail.com'], undefined], 'before them from the tenant');
  });

  test('makes no lookup when it is off, or for the simulator', async () => {
    const t = await openWith(listed('bob@gmail.com'), listed('bounce@simulator.amazonses.com'));
    const to = ['bounce@simulator.amazonses.com'];
    assert.deepEqual(await sent(t, { to }), [to, []]);
    await t.control.account.setSuppressionAttributes('default', { reasons: [] });
    assert.deepEqual(await sent(t, {}), [['bob@gmail.com'], []]);
    assert.deepEqual(t.suppressions.asked, []);
  });

  test('that cannot be looked up refuses the whole call', async () => {
    const t = await openWith();
    t.suppressions.failure = new PosternError('storage_unavailable', 'The table is throttled.');
    const call = t.accept.submit([simple(), simple()], OPTIONS);
    await assert.rejects(call, failure('storage_unavailable', /throttled/));
    assert.equal(t.queue.admissions.length, 0);
  });
});
