/** The effect of answers of `postern.policy.ts` in egress: the hooks are in memory, everything else is real. */
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { type Directives, openDirectives } from '../../lib/control/directives.ts';
import type { EgressOptions } from '../../lib/egress/types.ts';
import type { QueueItem } from '../../lib/engine/items.ts';
import { diagnoseAttempt } from '../../lib/outcome/attempt.ts';
import type { PolicyHooks, ReplyAnswer, ReplyFacts } from '../../lib/policy/policy.ts';
import { readRouting } from '../../lib/routing/router.ts';
import type { RecipientResult } from '../../lib/smtp/types.ts';
import { addressesOfAll, refused, TestEgress } from '../support/egress.ts';
import { settled, TestConfig } from '../support/engine.ts';
import { ScriptedHooks } from '../support/policy.ts';

let node: TestEgress;
let directives: Directives;
let hooks: ScriptedHooks;

/** Two pools with an address each. */
const POOLS = { ips: ['127.0.0.1', '127.0.0.2'], pools: { default: ['127.0.0.1'], clean: ['127.0.0.2'] } };

async function start(scripted: Partial<PolicyHooks>, options: Partial<EgressOptions> = {}): Promise<void> {
  hooks = new ScriptedHooks(scripted);
  node.start({ directives, hooks, ...options });
  await node.bound();
}

/** Sends one message, and has the peer refuse it. */
async function refuse(reply: Partial<RecipientResult>, change: Partial<QueueItem> = {}): Promise<void> {
  node.enqueue(change);
  await settled();
  const session = node.sessions.at(-1)!;
  if (session.state === 'opening') session.opened();
  session.finish(reply);
  await settled();
}

beforeEach(async () => {
  node = new TestEgress(addressesOfAll(['8.8.8.1']));
  directives = await openDirectives({ config: new TestConfig(), clock: node.clock });
});

afterEach(async () => {
  const stopped = node.stop();
  hooks.release();
  await stopped;
  await directives.close();
});

describe('onRoute', () => {
  it('gets complete facts, and sends mail by the pool that it names', async () => {
    await start({ onRoute: ({ tenant }) => (tenant === 'moved' ? { pool: 'clean' } : undefined) }, POOLS);
    node.enqueue({ tenant: 'moved', campaign: 'spring', configurationSet: 'news' });
    node.enqueue({ tenant: 'stays' });
    await settled();
    assert.deepEqual(
      new Set(node.sessions.map(({ options }) => options.localAddress)),
      new Set(['127.0.0.1', '127.0.0.2']),
    );
    assert.deepEqual(hooks.asked[0], {
      hook: 'onRoute',
      facts: {
        tenant: 'moved',
        campaign: 'spring',
        configurationSet: 'news',
        class: 'transactional',
        domain: 'example.test',
        provider: 'other',
        site: 'mx.example.test',
        pool: 'default',
      },
    });
  });

  it('is awaited, and a stop requeues mail that waits for it', async () => {
    await start({ onRoute: () => ({ pool: 'clean' }) }, POOLS);
    hooks.later = ['onRoute'];
    node.enqueue();
    await settled();
    assert.equal(node.sessions.length, 0);
    hooks.release();
    await settled();
    assert.equal(node.sessions[0]!.options.localAddress, '127.0.0.2');
    node.enqueue();
    await settled();
    const stopped = node.egress.stop();
    await settled();
    assert.deepEqual(
      node.engine.of('release').map(({ reason }) => reason.code),
      ['shutting_down', 'shutting_down'],
    );
    hooks.release();
    for (const session of node.sessions) session.destroy();
    await node.pass(1000);
    await stopped;
    assert.equal(node.engine.settlements.length, 2, 'a late answer does nothing');
  });

  it('that names an unknown pool makes mail wait with the reason, and is reported', async () => {
    await start({ onRoute: () => ({ pool: 'nowhere' }) }, POOLS);
    node.enqueue();
    await settled();
    const [back] = node.engine.of('release');
    assert.equal(back!.reason.code, 'no_source_ip');
    assert.match(
      back!.reason.text,
      /onRoute of postern\.policy\.ts sends it by pool "nowhere", which does not/,
    );
    assert.ok(back!.until > node.clock.now());
    assert.deepEqual(hooks.failures, ['onRoute.pool: there is no pool "nowhere" here.']);
    assert.equal(node.sessions.length, 0);
  });

  it('yields to directives of operators', async () => {
    await start({ onRoute: () => ({ pool: 'default' }) }, POOLS);
    await directives.order(
      { match: { pool: 'default' }, action: { kind: 'reroute', pool: 'clean' }, reason: 'listed' },
      { operator: 'x' },
    );
    await node.pass(1000);
    node.enqueue();
    await settled();
    assert.deepEqual(
      node.sessions.map(({ options }) => options.localAddress),
      ['127.0.0.2'],
    );
  });

  it('is called again for waiting mail when the policy is replaced', async () => {
    await start({ onRoute: () => ({ pool: 'clean' }) }, POOLS);
    node.enqueue();
    await settled();
    assert.equal(node.sessions[0]!.options.localAddress, '127.0.0.2');
    hooks.replace({});
    await settled();
    assert.equal(node.sessions[1]!.options.localAddress, '127.0.0.1');
  });
});

describe('a directive', () => {
  it('that reroutes to an unknown pool makes mail wait with the reason', async () => {
    await start({}, POOLS);
    const order = (match: object) =>
      directives.order(
        { match, action: { kind: 'reroute', pool: 'nowhere' }, reason: 'listed' },
        { operator: 'AKIAOPS' },
      );
    await order({ tenant: 'main' });
    await order({ ip: '127.0.0.1' });
    await node.pass(1000);
    node.enqueue();
    node.enqueue({ tenant: 'other' });
    await settled();
    assert.equal(node.sessions.length, 0);
    const released = node.engine.of('release');
    assert.equal(released.length, 2);
    for (const { reason, until } of released) {
      assert.equal(reason.code, 'no_source_ip');
      assert.match(
        reason.text,
        /pool "nowhere", which does not exist here: listed \(directive .* by an administrator, /,
      );
      assert.ok(until > node.clock.now());
    }
  });
});

describe('onShape', () => {
  it('limits connections and messages of the matching mail only', async () => {
    await start({
      onShape: ({ tenant, ip }) =>
        tenant === 'slow' && ip === undefined
          ? { connections: 1, messagesPerConnection: 2, messagesPerSecond: 1 }
          : undefined,
    });
    for (let i = 0; i < 4; i += 1) node.enqueue({ tenant: 'slow' });
    for (let i = 0; i < 4; i += 1) node.enqueue({ tenant: 'quick' });
    await settled();
    const slow = node.sessions.filter(({ options }) => options.maxTransactions === 2);
    assert.equal(slow.length, 1);
    assert.equal(node.sessions.length, 2);
    slow[0]!.opened();
    slow[0]!.finish();
    assert.equal(slow[0]!.taken.length, 0, 'one a second');
    await node.pass(1000);
    assert.equal(slow[0]!.taken.length, 1);
    const [explained] = await node.egress.explain({
      domain: 'example.test',
      tenant: 'slow',
      class: 'transactional',
    });
    const own = explained!.lines.filter(({ origin }) => origin === 'onShape of postern.policy.ts');
    assert.deepEqual(Object.fromEntries(own.map(({ limit, value }) => [limit, value])), {
      connections: '1',
      messagesPerConnection: '2',
      'messageRate of tenant=slow,class=transactional,pool=default': '1/s',
    });
  });

  it('paces new connections', async () => {
    await start({ onShape: () => ({ connectionsPerMinute: 1, messagesPerConnection: 1 }) });
    for (let i = 0; i < 3; i += 1) node.enqueue();
    await settled();
    assert.equal(node.sessions.length, 1);
    node.sessions[0]!.opened();
    node.sessions[0]!.finish();
    await node.pass(58_000);
    assert.equal(node.sessions.length, 1);
    await node.pass(3_000);
    assert.equal(node.sessions.length, 2);
  });

  it('never raises a limit', async () => {
    await start(
      { onShape: () => ({ messagesPerConnection: 100 }) },
      { limits: { default: { messageRate: 'unlimited', messagesPerConnection: 3 } } },
    );
    node.enqueue();
    await settled();
    assert.equal(node.sessions[0]!.options.maxTransactions, 3);
  });

  it('with a new answer applies it to the same connections', async () => {
    let most = 2;
    await start({ onShape: () => ({ messagesPerConnection: most }) });
    node.enqueue();
    await settled();
    most = 5;
    node.sessions[0]!.opened();
    node.enqueue();
    node.enqueue();
    await settled();
    node.sessions[0]!.finish();
    node.sessions[0]!.finish();
    await settled();
    assert.deepEqual(
      node.sessions.map(({ options }) => options.maxTransactions),
      [2, 5],
    );
    assert.equal(node.egress.sites().length, 1);
  });

  it('is awaited', async () => {
    await start({ onShape: () => ({ messagesPerConnection: 2 }) });
    hooks.later = ['onShape'];
    node.enqueue();
    await settled();
    assert.equal(node.sessions.length, 0);
    hooks.release();
    await settled();
    assert.equal(node.sessions[0]!.options.maxTransactions, 2);
  });
});

describe('onReply', () => {
  const says = (answer: ReplyAnswer) => ({ onReply: () => answer });

  it('gets the refusal, and no successful delivery', async () => {
    await start({ onReply: () => undefined }, POOLS);
    await refuse(refused(452, 'Mailbox full', '4.2.2'), { campaign: 'spring', attempts: 2 });
    node.enqueue();
    await settled();
    node.sessions[0]!.finish();
    await settled();
    assert.deepEqual(
      hooks.asked.map(({ facts }) => facts),
      [
        {
          tenant: 'main',
          campaign: 'spring',
          class: 'transactional',
          domain: 'example.test',
          provider: 'other',
          site: 'mx.example.test',
          pool: 'default',
          ip: '127.0.0.1',
          mx: 'mx.example.test',
          phase: 'rcpt',
          code: 452,
          enhanced: '4.2.2',
          text: '452 4.2.2 Mailbox full',
          attempts: 3,
        } satisfies ReplyFacts,
      ],
    );
    assert.equal(node.engine.of('defer')[0]!.attempt.reason, 'peer_temporary');
  });

  it('can end a delivery that would be retried, and the record keeps the reply', async () => {
    await start(says({ state: 'bounced' }));
    await refuse(refused(452, 'Mailbox full', '4.2.2'));
    const { state, attempt } = node.engine.of('end')[0]!;
    assert.deepEqual([state, attempt.reason], ['bounced', 'bounced_by_policy']);
    assert.equal(attempt.text, '452 4.2.2 Mailbox full');
    assert.equal(diagnoseAttempt(attempt).diagnosticCode, 'smtp; 452 4.2.2 Mailbox full');
    assert.equal(node.egress.counters.bounced, 1);
  });

  it('can retry, at its own time, a delivery that would end', async () => {
    await start(says({ state: 'deferred', retryAfterSeconds: 7 }));
    await refuse(refused(550, 'Blocked', '5.7.1'));
    const { until, attempt } = node.engine.of('defer')[0]!;
    assert.equal(attempt.reason, 'deferred_by_policy');
    assert.equal(until, node.clock.now() + 7000);
  });

  it('can set the next attempt in place of the schedule, before the expiry of the message', async () => {
    await start(says({ retryAfterSeconds: 600 }), { retry: () => ({ delays: [1000], jitter: 0 }) });
    await refuse(refused(451, 'Later'));
    assert.equal(node.engine.of('defer')[0]!.until, node.clock.now() + 600_000);
    await refuse(refused(451, 'Later'), { expiresAt: node.clock.now() + 600_000 });
    assert.equal(node.engine.of('end')[0]!.attempt.reason, 'expired');
    await refuse(refused(550, 'Unknown', '5.1.1'));
    assert.equal(node.engine.of('end')[1]!.state, 'bounced', 'what the code ends stays ended');
  });

  it('is awaited before settlement, also at stop', async () => {
    await start(says({ state: 'bounced' }));
    hooks.later = ['onReply'];
    await refuse(refused(451, 'Later'));
    assert.equal(node.engine.settlements.length, 0);
    let done = false;
    const stopped = node.egress.stop().then(() => (done = true));
    for (const session of node.sessions) session.destroy();
    await node.pass(2000);
    assert.equal(done, false);
    hooks.release();
    await stopped;
    assert.equal(node.engine.of('end')[0]!.state, 'bounced');
  });

  it('raises a directive in the name of the policy, once for simultaneous replies', async () => {
    const directive = {
      scope: ['ip', 'site'],
      action: { kind: 'suspend' },
      seconds: 60,
      reason: 'Blocked',
    } as const;
    await start(says({ directive }), POOLS);
    await refuse(refused(550, 'Blocked', '5.7.1'));
    const [raised, ...more] = directives.list();
    assert.deepEqual(more, []);
    assert.deepEqual(raised!.match, { ip: '127.0.0.1', site: 'mx.example.test' });
    assert.deepEqual(raised!.origin, { rule: 'postern.policy.ts', reply: '550 5.7.1 Blocked' });
    assert.equal(raised!.until, node.clock.now() + 60_000);
    node.enqueue();
    node.enqueue();
    await settled();
    const [back] = node.engine.of('release');
    assert.equal(back!.reason.code, 'suspended');
    assert.match(
      back!.reason.text,
      /Blocked \(directive postern\.policy\.ts\/.*by rule postern\.policy\.ts, after "550/,
    );
    assert.equal(raised!.raised, 1);
  });

  it('raises no directive without a scope, and none to an unknown pool', async () => {
    const answers: ReplyAnswer['directive'][] = [
      { scope: ['tenant', 'campaign'], action: { kind: 'bounce' }, seconds: 60, reason: 'x' },
      { scope: ['pool'], action: { kind: 'reroute', pool: 'default' }, seconds: 60, reason: 'x' },
    ];
    await start({ onReply: () => ({ directive: answers.shift()! }) });
    await refuse(refused(451, 'Later'));
    await refuse(refused(451, 'Later'));
    assert.deepEqual(directives.list(), []);
    assert.deepEqual(hooks.failures, [
      'onReply.directive.scope: the delivery has no campaign.',
      'onReply.directive.action.pool: "default" is where the mail is.',
    ]);
    assert.equal(node.engine.of('defer').length, 2);
  });
});

it('a policy without hooks is not called', async () => {
  await start({}, { routing: readRouting({}, 'routing') });
  await refuse(refused(451, 'Later'));
  assert.deepEqual(hooks.asked, []);
});
