import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { checkRules } from '../../lib/automation/check.ts';
import { compileRules } from '../../lib/automation/compile.ts';
import { type Evaluation, evaluate, matchingRules, type ReplyEvent } from '../../lib/automation/evaluate.ts';
import type { Rule } from '../../lib/automation/rule.ts';
import { AutomationState } from '../../lib/automation/state.ts';
import { readReply } from '../../lib/outcome/reply.ts';
import { DAY, HOUR, MINUTE, SECOND } from '../../lib/time.ts';

const T0 = Date.UTC(2026, 0, 1);
const SLOW = '421 4.7.0 Slow down, please';

function rule(fields: Partial<Rule> = {}): Rule {
  return {
    id: 'test.slow',
    reason: 'The peer wants less.',
    match: { text: 'slow down' },
    action: 'suspend',
    duration: '10m',
    samples: [SLOW],
    ...fields,
  };
}

function refused(reply: string, fields: Partial<ReplyEvent> = {}): ReplyEvent {
  return {
    outcome: 'refused',
    ip: '192.0.2.10',
    pool: 'bulk',
    tenant: 'acme',
    campaign: 'spring',
    domain: 'example.com',
    provider: 'google',
    site: 'aspmx.l.google.com',
    mx: 'ASPMX.L.google.com',
    phase: 'ehlo',
    reply: readReply(reply),
    ...fields,
  };
}

/** Rules with their state, and a function that feeds them replies. */
function automation(...rules: Rule[]): {
  state: AutomationState;
  reply(at: number, text?: string, fields?: Partial<ReplyEvent>): Evaluation;
  delivered(at: number, fields?: Partial<ReplyEvent>): Evaluation;
} {
  const set = compileRules(checkRules(rules, 'rules'));
  const state = new AutomationState();
  return {
    state,
    reply: (at, text = SLOW, fields = {}) => evaluate(set, state, refused(text, fields), at),
    delivered: (at, fields = {}) =>
      evaluate(set, state, refused(SLOW, { outcome: 'delivered', reply: undefined, ...fields }), at),
  };
}

describe('a rule matches', () => {
  /** Whether a rule matches a reply. */
  function agrees(match: Rule['match'], reply: string, fields: Partial<ReplyEvent> = {}): boolean {
    const event = refused(reply, fields);
    return matchingRules(compileRules([rule({ match })]), event, event.reply!).length === 1;
  }

  it('by code, class and range', () => {
    const rows: [Rule['match']['code'], string, boolean][] = [
      [421, '421 no', true],
      [421, '420 no', false],
      ['4xx', '499 no', true],
      ['4xx', '500 no', false],
      ['5xx', '554 no', true],
      ['450-452', '450 no', true],
      ['450-452', '452 no', true],
      ['450-452', '453 no', false],
      [[421, '550-554'], '551 no', true],
      [[421, '550-554'], '450 no', false],
    ];
    for (const [code, reply, expected] of rows)
      assert.equal(agrees({ code }, reply), expected, `${String(code)} ${reply}`);
  });

  it('by enhanced code, with ranges and gaps', () => {
    const rows: [string, string, boolean][] = [
      ['4.7.28', '421 4.7.28 no', true],
      ['4.7.28', '421 4.7.2 no', false],
      ['4.7.28', '421 no', false],
      ['4.7.*', '421 4.7.999 no', true],
      ['4.*.*', '421 4.0.0 no', true],
      ['*.7.1', '550 5.7.1 no', true],
      ['5.7.606-649', '550 5.7.606 no', true],
      ['5.7.606-649', '550 5.7.649 no', true],
      ['5.7.606-649', '550 5.7.650 no', false],
      ['5.7.606-649', '550 5.7.605 no', false],
    ];
    for (const [enhanced, reply, expected] of rows) {
      assert.equal(agrees({ enhanced }, reply), expected, `${enhanced} ${reply}`);
    }
  });

  it('by phase, provider, site, MX host and domain, all of which must agree', () => {
    const rows: [Rule['match'], boolean][] = [
      [{ phase: 'ehlo' }, true],
      [{ phase: ['mail', 'rcpt'] }, false],
      [{ provider: ['yahoo', 'google'] }, true],
      [{ provider: 'yahoo' }, false],
      [{ site: 'aspmx.l.google.com' }, true],
      [{ site: 'l.google.com' }, false],
      [{ mx: 'google.com' }, true],
      [{ mx: 'aspmx.l.google.com' }, true],
      [{ mx: 'oogle.com' }, false],
      [{ mx: 'x.aspmx.l.google.com' }, false],
      [{ domain: 'EXAMPLE.com' }, true],
      [{ domain: '*.example.com' }, false],
      [{ domain: ['*.com', 'x.org'] }, true],
      [{ domain: 'ample.com' }, false],
      [{ provider: 'google', code: 421, enhanced: '4.7.0', phase: 'ehlo', text: 'slow * please' }, true],
      [{ provider: 'google', code: 421, enhanced: '4.7.0', phase: 'ehlo', text: 'slow * thanks' }, false],
      [{ provider: 'google', code: 422, enhanced: '4.7.0', phase: 'ehlo', text: 'slow * please' }, false],
    ];
    for (const [match, expected] of rows) assert.equal(agrees(match, SLOW), expected, JSON.stringify(match));
    assert.ok(agrees({ domain: '*.example.com' }, SLOW, { domain: 'a.b.example.com' }));
    assert.ok(!agrees({ domain: '*.example.com' }, SLOW, { domain: 'badexample.com' }));
    assert.ok(
      !agrees({ domain: 'example.com' }, SLOW, { domain: undefined }),
      'a refused session has no domain',
    );
  });

  it('and silences rules marked fallback', () => {
    const { reply } = automation(
      rule(),
      rule({ id: 'test.any', fallback: true, samples: ['450 slow'], match: { text: 'slow' } }),
      rule({ id: 'test.also', fallback: true, samples: ['450 slow'], match: { text: 'slow' } }),
    );
    const names = ({ raise }: Evaluation): string[] => raise.map(({ id }) => id.split('/')[0]!);
    assert.deepEqual(names(reply(T0)), ['test.slow']);
    assert.deepEqual(names(reply(T0, '450 slow')), ['test.any', 'test.also']);
  });
});

describe('a rule that fires', () => {
  it('raises a directive with its scope, reason, end, rule and reply', () => {
    const { reply } = automation(rule());
    assert.deepEqual(reply(T0), {
      raise: [
        {
          id: 'test.slow/suspend/ip=192.0.2.10,site=aspmx.l.google.com',
          match: { ip: '192.0.2.10', site: 'aspmx.l.google.com' },
          action: { kind: 'suspend' },
          reason: 'The peer wants less.',
          until: T0 + 10 * MINUTE,
          origin: { rule: 'test.slow', reply: SLOW },
        },
      ],
      lift: [],
      alerts: [],
      retryAfter: undefined,
    });
  });

  it('takes each of its actions, within its scope', () => {
    const { reply } = automation(
      rule({
        scope: ['provider', 'campaign', 'tenant', 'pool', 'domain'],
        action: [
          'alert',
          { reroute: 'other' },
          {
            limit: { messageRate: '30/min', connectionRate: '2/s', connections: 3, messagesPerConnection: 4 },
          },
        ],
      }),
    );
    const { raise, alerts } = reply(T0);
    const match = {
      tenant: 'acme',
      campaign: 'spring',
      domain: 'example.com',
      provider: 'google',
      pool: 'bulk',
    };
    assert.deepEqual(
      raise.map(({ action }) => action),
      [
        { kind: 'reroute', pool: 'other' },
        {
          kind: 'limit',
          limits: {
            messagesPerSecond: 0.5,
            connectionsPerMinute: 120,
            connections: 3,
            messagesPerConnection: 4,
          },
        },
      ],
    );
    for (const directive of raise) assert.deepEqual(directive.match, match);
    assert.deepEqual(alerts, [
      { rule: 'test.slow', at: T0, match, reason: 'The peer wants less.', reply: SLOW },
    ]);
    assert.equal(new Set(raise.map(({ id }) => id)).size, 2);
    const ended = automation(rule({ action: 'bounce' })).reply(T0).raise;
    assert.deepEqual(ended[0]!.action, { kind: 'bounce' });
  });

  it('never covers more mail than its scope: mail without a campaign does not mean the whole tenant', () => {
    const { reply } = automation(rule({ scope: ['tenant', 'campaign'] }));
    assert.equal(reply(T0, SLOW, { campaign: undefined }).raise.length, 0);
    assert.equal(reply(T0).raise.length, 1);
  });

  it('leaves out the IP where the host chooses it, unless the scope has nothing else', () => {
    const site = automation(rule()).reply(T0, SLOW, { ip: undefined });
    assert.deepEqual(site.raise[0]!.match, { site: 'aspmx.l.google.com' });
    assert.equal(automation(rule({ scope: ['ip'] })).reply(T0, SLOW, { ip: undefined }).raise.length, 0);
  });

  it('prolongs its directive at most once a second, and alerts once per duration', () => {
    const { reply } = automation(rule({ action: ['suspend', 'alert'] }));
    assert.equal(reply(T0).alerts.length, 1);
    assert.equal(reply(T0 + 999).raise.length, 0);
    const later = reply(T0 + SECOND);
    assert.equal(later.raise[0]!.until, T0 + SECOND + 10 * MINUTE);
    assert.equal(later.alerts.length, 0);
    assert.equal(reply(T0 + 10 * MINUTE - 1).alerts.length, 0);
    assert.equal(reply(T0 + 10 * MINUTE).alerts.length, 1);
  });

  it('counts each scope by itself', () => {
    const { reply } = automation(rule());
    assert.equal(reply(T0).raise.length, 1);
    assert.equal(reply(T0, SLOW, { ip: '192.0.2.11' }).raise.length, 1);
    assert.equal(reply(T0, SLOW, { site: 'mx.example.com' }).raise.length, 1);
    assert.equal(reply(T0, SLOW, { tenant: 'other' }).raise.length, 0, 'not part of the scope');
  });

  it('does nothing for a reply without a rule, and nothing for deliveries', () => {
    const { reply, delivered } = automation(rule());
    for (const { raise, lift, alerts } of [reply(T0, '550 5.1.1 no such user'), delivered(T0)]) {
      assert.deepEqual([raise, lift, alerts], [[], [], []]);
    }
  });
});

describe('a rule that counts', () => {
  const five = { trigger: { events: 5, within: '1h' as const }, duration: '15m' as const };

  it('fires at the fifth reply within its window, to the millisecond', () => {
    const inside = automation(rule(five));
    for (let i = 0; i < 4; i += 1) assert.equal(inside.reply(T0 + i).raise.length, 0);
    assert.equal(inside.reply(T0 + HOUR - 1).raise.length, 1);

    const outside = automation(rule(five));
    for (let i = 0; i < 4; i += 1) outside.reply(T0);
    assert.equal(outside.reply(T0 + HOUR).raise.length, 0, 'the first is an hour old');
  });

  it('counts within its window and not within its duration', () => {
    const { reply } = automation(rule(five));
    for (let i = 0; i < 4; i += 1) assert.equal(reply(T0 + i * 13 * MINUTE).raise.length, 0);
    assert.equal(reply(T0 + 59 * MINUTE).raise[0]?.until, T0 + 74 * MINUTE, '5 in an hour, held 15 minutes');
  });

  it('counts in a sliding window', () => {
    const { reply } = automation(rule({ trigger: { events: 3, within: '10m' } }));
    const at = [0, 6, 11, 17, 20, 26].map((minutes) => reply(T0 + minutes * MINUTE).raise.length);
    assert.deepEqual(at, [0, 0, 0, 0, 1, 0], '11, 17 and 20 lie within ten minutes');
  });

  it('counts anew once it has fired, and for each scope by itself', () => {
    const { reply } = automation(rule({ trigger: { events: 2, within: '1h' } }));
    const fired = [0, 1, 2, 3].map((second) => reply(T0 + second * SECOND).raise.length);
    assert.deepEqual(fired, [0, 1, 0, 1]);
    assert.equal(reply(T0, SLOW, { ip: '192.0.2.11' }).raise.length, 0);
    assert.equal(reply(T0, SLOW, { ip: '192.0.2.12' }).raise.length, 0);
  });
});

describe('a rule that ends by success', () => {
  const limit = rule({ action: { limit: { messageRate: '1/min' } }, leaveAfter: 3 });
  const id = 'test.slow/limit/ip=192.0.2.10,site=aspmx.l.google.com';

  it('is lifted by its number of consecutive deliveries within its scope', () => {
    const { reply, delivered, state } = automation(limit);
    assert.ok(!state.watching);
    reply(T0);
    assert.ok(state.watching);
    assert.deepEqual(delivered(T0 + 1).lift, []);
    assert.deepEqual(delivered(T0 + 2, { ip: '192.0.2.11' }).lift, [], 'another IP');
    assert.deepEqual(delivered(T0 + 2, { site: 'mx.example.com' }).lift, [], 'another site');
    assert.deepEqual(delivered(T0 + 3).lift, []);
    assert.deepEqual(delivered(T0 + 4).lift, [id]);
    assert.ok(!state.watching);
    assert.deepEqual(delivered(T0 + 5).lift, []);
    assert.equal(reply(T0 + 6).raise.length, 1, 'and may be raised again at once');
  });

  it('counts anew when the reply comes again, even if the rule does not fire', () => {
    for (const trigger of [undefined, { events: 2, within: '1h' as const }]) {
      const { reply, delivered } = automation({ ...limit, trigger });
      reply(T0);
      reply(T0);
      delivered(T0 + 1);
      delivered(T0 + 2);
      reply(T0 + 3);
      assert.deepEqual(delivered(T0 + 4).lift, []);
      assert.deepEqual(delivered(T0 + 5).lift, []);
      assert.deepEqual(delivered(T0 + 6).lift, [id]);
    }
  });

  it('is not lifted after its end', () => {
    const { reply, delivered, state } = automation(limit);
    reply(T0);
    for (let i = 0; i < 3; i += 1) assert.deepEqual(delivered(T0 + 10 * MINUTE).lift, []);
    delivered(T0 + HOUR);
    assert.ok(!state.watching, 'forgotten');
  });
});

describe('a time that the reply names', () => {
  const hinted = rule({
    match: { text: 'try again' },
    hint: { least: '1m', most: '6h' },
    samples: ['450 try again in 30 minutes'],
  });

  it('sets how long the action holds, within the limits of the rule', () => {
    const rows: [string, number][] = [
      ['450 try again in 30 minutes', 30 * MINUTE],
      ['450 try again in 5 seconds', MINUTE],
      ['450 try again in 60 seconds', MINUTE],
      ['450 try again in 6 hours', 6 * HOUR],
      ['450 try again in 7 days', 6 * HOUR],
      ['450 try again later', 10 * MINUTE],
    ];
    for (const [reply, lasting] of rows) {
      assert.equal(automation(hinted).reply(T0, reply).raise[0]!.until, T0 + lasting, reply);
    }
  });

  it('does not shorten an action that lasts longer', () => {
    const { reply } = automation(hinted);
    reply(T0, '450 try again in 2 hours');
    assert.equal(reply(T0 + MINUTE, '450 try again in 5 minutes').raise.length, 0);
  });

  it('also sets the next attempt of the delivery, with or without a matching rule', () => {
    const { reply } = automation(rule());
    assert.equal(reply(T0, '450 4.2.0 Greylisted for 300 seconds').retryAfter, 5 * MINUTE);
    assert.equal(reply(T0, '421 Slow down, retry after 3600 seconds').retryAfter, HOUR);
    assert.equal(reply(T0, '450 Greylisted for 1 second').retryAfter, 10 * SECOND, 'not sooner than that');
    assert.equal(reply(T0, '450 try again in 90 days').retryAfter, DAY, 'nor later');
    assert.equal(reply(T0, '550 blocked for 5 minutes').retryAfter, undefined, 'a bounce is not tried again');
    assert.equal(reply(T0, '450 try again later').retryAfter, undefined);
  });
});
