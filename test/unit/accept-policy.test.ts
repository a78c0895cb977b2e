/** What the accept pipeline does with the answers of `onAccept`. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { AcceptAnswer, AcceptFacts } from '../../lib/policy/policy.ts';
import { DAY, HOUR } from '../../lib/time.ts';
import { CALLER, openTestAccept, raw, simple } from '../support/accept.ts';
import { ScriptedHooks } from '../support/policy.ts';

const options = { door: 'postern', caller: CALLER } as const;

function hooksThat(answer: (message: AcceptFacts) => AcceptAnswer | undefined): ScriptedHooks {
  return new ScriptedHooks({ onAccept: answer });
}

describe('onAccept', () => {
  test('gets all facts of a valid message', async () => {
    const hooks = hooksThat(() => undefined);
    const { accept, control } = await openTestAccept({}, hooks);
    await control.configurationSets.create({
      name: 'news',
      tenant: 'default',
      delivery: { tlsPolicy: 'OPTIONAL', pool: 'vip' },
      sendingEnabled: true,
      reputationMetricsEnabled: false,
      createdAt: 0,
    });
    const [sent] = await accept.submit(
      [
        simple({
          cc: ['carl@example.net'],
          configurationSet: 'news',
          campaign: 'spring',
          class: 'bulk',
          tags: [{ name: 'kind', value: 'a' }],
        }),
      ],
      options,
    );
    assert.ok('messageId' in sent!);
    assert.deepEqual(hooks.asked[0]!.facts, {
      door: 'postern',
      keyId: CALLER.keyId,
      tenant: 'default',
      from: 'ann@example.com',
      recipients: ['bob@gmail.com', 'carl@example.net'],
      subject: 'Hello',
      class: 'bulk',
      pool: 'vip',
      campaign: 'spring',
      configurationSet: 'news',
      tags: {
        'ses:operation': ['SendEmail'],
        'ses:from-domain': ['example.com'],
        'ses:source-ip': [CALLER.sourceIp],
        'ses:caller-identity': [CALLER.keyId],
        'ses:configuration-set': ['news'],
        kind: ['a'],
      },
    } satisfies AcceptFacts);
  });

  test('gets the subject of raw content and of a template, and is not called for invalid messages', async () => {
    const hooks = hooksThat(() => undefined);
    const { accept } = await openTestAccept({}, hooks);
    const template = {
      kind: 'template',
      parts: { subject: 'Hi {{name}}', text: 'x' },
      data: { name: 'Bob' },
    } as const;
    await accept.submit(
      [
        raw(['From: ann@example.com', 'Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=', '', 'x', '']),
        raw(['From: ann@example.com', '', 'x', '']),
        simple({ content: template }),
        simple({ from: 'eve@elsewhere.test' }),
        simple({ to: [] }),
        simple({ pool: 'nowhere' }),
      ],
      options,
    );
    assert.deepEqual(
      hooks.asked.map(({ facts }) => (facts as AcceptFacts).subject),
      ['Grüße', undefined, 'Hi {{name}}'],
    );
  });

  test('changes class, pool, campaign and send time of a message', async () => {
    const hooks = hooksThat(() => ({ class: 'bulk', pool: 'vip', campaign: 'late', delaySeconds: 60 }));
    const { accept, queue, clock } = await openTestAccept({}, hooks);
    await accept.submit([simple()], options);
    const { record, deliveries } = queue.admissions[0]!;
    const [delivery] = deliveries;
    assert.deepEqual([record.class, record.pool], ['bulk', 'vip']);
    assert.deepEqual([delivery!.lane, delivery!.campaign], ['vip:bulk:google', 'late']);
    assert.equal(delivery!.due, clock.now() + 60_000);
    assert.equal(delivery!.reason?.code, 'scheduled');
    assert.equal(record.expiresAt, clock.now() + 60_000 + 4 * DAY);
  });

  test('never sends earlier than the sender’s time', async () => {
    const { accept, queue, clock } = await openTestAccept(
      {},
      hooksThat(() => ({ delaySeconds: 60 })),
    );
    await accept.submit([simple({ sendAt: clock.now() + HOUR })], options);
    assert.equal(queue.admissions[0]!.deliveries[0]!.due, clock.now() + HOUR);
  });

  test('refuses single messages of a batch with its own sentence, and nothing of them is stored', async () => {
    const hooks = hooksThat((m) =>
      m.subject === 'Hello' ? undefined : { refuse: 'No greetings but Hello.' },
    );
    const { accept, queue } = await openTestAccept({}, hooks);
    const other = simple({ content: { kind: 'simple', subject: 'Hi', text: 'x' } });
    const [taken, refused] = await accept.submit([simple(), other], options);
    assert.ok('messageId' in taken!);
    assert.ok('error' in refused!);
    assert.deepEqual(
      [refused.error.code, refused.error.message],
      ['refused_by_policy', 'No greetings but Hello.'],
    );
    assert.equal(queue.admissions.length, 1);
  });

  test('with an invalid answer is reported, and the message goes as it would without a policy', async () => {
    const answers: AcceptAnswer[] = [
      { pool: 'nowhere', class: 'bulk' },
      { delaySeconds: 30 * 86_400 + 1, class: 'bulk' },
    ];
    const hooks = hooksThat(() => answers.shift());
    const { accept, queue } = await openTestAccept({}, hooks);
    await accept.submit([simple()], options);
    await accept.submit([simple()], options);
    assert.deepEqual(
      queue.admissions.map(({ record }) => [record.class, record.pool]),
      [
        ['transactional', 'default'],
        ['transactional', 'default'],
      ],
    );
    assert.deepEqual(hooks.failures, [
      'onAccept.pool: there is no pool "nowhere".',
      'onAccept.delaySeconds: is further ahead than a message may be scheduled.',
    ]);
  });

  test('is called once per message: a repeated call gets the answer of the first', async () => {
    const hooks = hooksThat(() => undefined);
    const { accept } = await openTestAccept({}, hooks);
    const idempotency = { key: 'k', digest: 'd', ttl: 1000 };
    const first = await accept.submit([simple()], { ...options, idempotency });
    assert.deepEqual(await accept.submit([simple()], { ...options, idempotency }), first);
    assert.equal(hooks.asked.length, 1);
  });
});
