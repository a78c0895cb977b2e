import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { checkRules } from '../../lib/automation/check.ts';
import { PatternError, readPattern } from '../../lib/automation/pattern.ts';
import type { Rule } from '../../lib/automation/rule.ts';

const GOOD: Rule = {
  id: 'own.slow',
  reason: 'Slow down.',
  match: { provider: 'google', code: '4xx', text: 'slow down' },
  action: { limit: { messageRate: '1/min' } },
  duration: '10m',
  samples: ['421 4.7.0 Please slow down'],
};

describe('a pattern that is refused', () => {
  it('has an error with the problem and a correction', () => {
    const rows: [string, RegExp][] = [
      ['(a+)+b', /has \)\+ as in a regular expression; here \* is a gap/],
      ['too many$', /has \$ as in a regular expression/],
      ['^too many', /has \^ as in/],
      ['[0-9]{3} errors', /has \[0-9 as in/],
      ['too [^a]', /has \[\^ as in/],
      ['Too many .* connections', /has \.\* as in a regular expression/],
      ['error .+ code', /has \.\+ as in a regular expression/],
      ['error\\s+code', /has \\s, which means nothing here/],
      ['error \\1', /has \\1, which means nothing here/],
      ['try\\', /has \\, which means nothing here/],
      ['(?i)too many', /has \(\? as in/],
      ['too (many|(few|some)) of', /has alternatives within alternatives/],
      ['too (many of', /has \( without \)/],
      ['too many) of', /has \) outside of alternatives; write \\\)/],
      ['too many|few', /has \| outside of alternatives; write \\\|/],
      ['too (many*|few)', /has \* within alternatives/],
      ['too (many\\d|few)', /has \\d, which means nothing here/],
      ['*too many', /begins with \* or \\d/],
      ['too many*', /ends in \* or \\d; leave it out/],
      ['too many\\d', /ends in \* or \\d; leave it out/],
      ['too ** many', /two of them side by side/],
      ['too *\\d many', /two of them side by side/],
      ['too many * * more', /only a blank beside \*/],
      ['code 4\\d many', /has a digit beside \\d/],
      ['code \\d4 many', /has a digit beside \\d/],
      ['ab', /has no 3 characters in a row/],
      ['ab*cd*ef', /has no 3 characters in a row/],
      ['  a  ', /has no 3 characters in a row/],
      ['', /has no 3 characters in a row/],
      ['café au lait', /has a character outside printable ASCII/],
      ['tab\tstop', /has a character outside printable ASCII/],
      [`${'x'.repeat(201)}`, /has more than 200 characters/],
      [`${'aaa*'.repeat(8)}aaa`, /has more than 7 gaps/],
      ['(a|b)(a|b)(a|b)(a|b)(a|b)(a|b)xyz', /has more than 32 combinations/],
    ];
    for (const [pattern, message] of rows) {
      assert.throws(
        () => readPattern(pattern),
        (error) => error instanceof PatternError && message.test(error.message),
        pattern,
      );
    }
  });

  it('is accepted at each limit', () => {
    for (const pattern of [
      'x'.repeat(200),
      `${'aaa*'.repeat(7)}aaa`,
      '(a|b)(a|b)(a|b)(a|b)(a|b)xyz',
      'abc',
      'a*b*cde',
    ]) {
      assert.ok(readPattern(pattern).length > 0, pattern);
    }
  });
});

describe('rules that are refused', () => {
  it('are named with file, path and reason', () => {
    const rows: [Record<string, unknown>, string][] = [
      [{ id: undefined }, 'id: is missing.'],
      [
        { id: 'Own Rule' },
        'id: "Own Rule" is not an id: 2 to 64 lower-case letters, digits, dots and hyphens.',
      ],
      [{ reason: undefined }, 'reason: is missing.'],
      [{ reason: '' }, 'reason: "" is not a text of 1 to 255 characters.'],
      [{ match: undefined }, 'match: is missing.'],
      [{ match: {} }, 'match: is empty; it would match every refusal.'],
      [{ match: 'slow' }, 'match: "slow" is not an object.'],
      [
        { match: { regex: 'x' } },
        'match.regex: is unknown; the members are provider, site, mx, domain, code, enhanced, phase, text.',
      ],
      [
        { action: ['suspend', 'bounce'] },
        'action: suspend and bounce contradict each other: the same mail cannot do both.',
      ],
      [
        { action: { reroute: 'a pool' } },
        'action.reroute: has other characters than A-Z, a-z, 0-9, - and _, or more than 64.',
      ],
      [{ match: { code: 250 } }, 'match.code: 250 is not a refusal; write 421, "4xx", "5xx" or "450-459".'],
      [
        { match: { code: ['4xx', '459-450'] } },
        'match.code[1]: "459-450" is not a refusal; write 421, "4xx", "5xx" or "450-459".',
      ],
      [{ match: { code: [] } }, 'match.code: must have 1 to 100 members.'],
      [
        { match: { enhanced: '2.0.0' } },
        'match.enhanced: "2.0.0" is not an enhanced code; write "4.7.28", "4.7.*" or "5.7.606-649".',
      ],
      [
        { match: { enhanced: '4.7' } },
        'match.enhanced: "4.7" is not an enhanced code; write "4.7.28", "4.7.*" or "5.7.606-649".',
      ],
      [
        { match: { phase: 'dot' } },
        'match.phase: "dot" is none of greeting, ehlo, starttls, mail, rcpt, data, body, quit.',
      ],
      [{ match: { mx: 'a b' } }, 'match.mx: "a b" is not a name without blanks.'],
      [
        { match: { text: ['slow down', 'slow .*'] } },
        'match.text[1]: "slow .*" has .* as in a regular expression; here * is a gap, \\d digits, (a|b) a choice, and a dot before a gap is \\..',
      ],
      [{ match: { text: 7 } }, 'match.text: 7 is not a text of 1 to 255 characters.'],
      [{ trigger: { events: 5 } }, 'trigger.within: is missing.'],
      [
        { trigger: { events: 1, within: '1h' } },
        'trigger.events: 1 is out of bounds; give a whole number from 2 to 1000.',
      ],
      [
        { trigger: { events: 1001, within: '1h' } },
        'trigger.events: 1001 is out of bounds; give a whole number from 2 to 1000.',
      ],
      [{ trigger: '5/hr' }, 'trigger: "5/hr" is not an object.'],
      [{ action: undefined }, 'action: is missing.'],
      [{ action: 'pause' }, 'action: "pause" is none of suspend, bounce, alert.'],
      [{ action: [] }, 'action: must have 1 to 100 members.'],
      [
        { action: { limit: {} } },
        'action.limit: sets no limit; name at least one. To stop mail, suspend it.',
      ],
      [
        { action: { limit: { messageRate: '1/minute' } } },
        'action.limit.messageRate: "1/minute" is not a rate; write 10/s, 1/min, 500/h or 10000/d.',
      ],
      [
        { action: { limit: { connections: 0 } } },
        'action.limit.connections: 0 is out of bounds; give a whole number from 1 to 10000.',
      ],
      [
        { action: { limit: { connections: 1.5 } } },
        'action.limit.connections: 1.5 is not a whole number; give one from 1 to 10000.',
      ],
      [{ action: { limit: { connections: 1 }, reroute: 'x' } }, 'action: must be one of limit and reroute.'],
      [{ action: {} }, 'action: must be one of limit and reroute.'],
      [{ action: ['suspend', 'alert', 'suspend'] }, 'action: has two actions of a kind.'],
      [{ scope: [] }, 'scope: is empty; it would mean all mail.'],
      [{ scope: ['ip', 'ip'] }, 'scope: names a dimension twice.'],
      [{ scope: ['mx'] }, 'scope[0]: "mx" is none of tenant, campaign, domain, provider, pool, ip, site.'],
      [{ duration: undefined }, 'duration: is missing.'],
      [{ duration: '0s' }, 'duration: "0s" is not a length of time; write 90s, 30m, 2h or 1d.'],
      [{ duration: '1 hour' }, 'duration: "1 hour" is not a length of time; write 90s, 30m, 2h or 1d.'],
      [{ hint: { least: '1h' } }, 'hint.most: is missing.'],
      [{ hint: { least: '2h', most: '1h' } }, 'hint: has its least, 2h, above its most, 1h.'],
      [{ leaveAfter: 0 }, 'leaveAfter: 0 is out of bounds; give a whole number from 1 to 10000.'],
      [
        { action: 'suspend', leaveAfter: 1 },
        'leaveAfter: needs a limit for its action: what is suspended, bounced or rerouted delivers nothing to leave by.',
      ],
      [{ fallback: 1 }, 'fallback: 1 is neither true nor false.'],
      [{ samples: undefined }, 'samples: is missing.'],
      [{ samples: [] }, 'samples: is empty; give a reply that the rule is to fire on.'],
      [{ samples: ['slow down'] }, 'samples[0]: "slow down" is not a reply; write "421 4.7.0 text".'],
      [{ overlaps: [{ rule: 'x' }] }, 'overlaps[0].why: is missing.'],
      [
        { prority: 1 },
        'prority: is unknown; the members are id, reason, match, trigger, action, scope, duration, hint, leaveAfter, fallback, samples, overlaps.',
      ],
    ];
    for (const [change, message] of rows) {
      const rules = [
        { ...GOOD, id: 'own.first' },
        { ...GOOD, ...change },
      ];
      assert.throws(
        () => checkRules(rules, 'rules.json: rules'),
        { code: 'bad_request', message: `rules.json: rules[1].${message}` },
        JSON.stringify(change),
      );
    }
  });

  it('name an unknown provider; the error lists the known ones', () => {
    const rules = [{ ...GOOD, match: { provider: 'gmial', text: 'slow down' } }];
    assert.throws(
      () => checkRules(rules, 'rules.json: rules'),
      (error: Error) => {
        assert.match(
          error.message,
          /^rules\.json: rules\[0\]\.match\.provider: "gmial" is none of apple, att, .*google.*\.$/,
        );
        return true;
      },
    );
  });

  it('do not fire on their own samples', () => {
    const never: [Partial<Rule>, number][] = [
      [{ match: { ...GOOD.match, text: 'slwo down' } }, 0],
      [{ match: { ...GOOD.match, code: '5xx' } }, 0],
      [{ match: { ...GOOD.match, enhanced: '4.7.1' } }, 0],
      [{ samples: [...GOOD.samples, '421 4.7.0 Please hurry'] }, 1],
    ];
    for (const [change, sample] of never) {
      assert.throws(() => checkRules([{ ...GOOD, ...change }], 'rules.json: rules'), {
        code: 'bad_request',
        message: new RegExp(
          `^rules\\.json: rules\\[0\\]\\.samples\\[${sample}\\]: ".*" does not set the rule off\\.$`,
        ),
      });
    }
  });

  it('have a pattern that no sample contains', () => {
    const rules = [{ ...GOOD, match: { text: ['slow down', 'hurry up'] } }];
    assert.throws(() => checkRules(rules, 'rules.json: rules'), {
      message:
        'rules.json: rules[0].match.text[1]: "hurry up" stands in no sample; give a reply that has it.',
    });
  });

  it('have a duplicate id, are too many, or are not a list', () => {
    assert.throws(() => checkRules([GOOD, GOOD], 'rules'), {
      message: 'rules[1].id: own.slow is the id of another rule, too.',
    });
    assert.throws(() => checkRules({}, 'rules'), { message: 'rules: {} is not a list.' });
    const many = Array.from({ length: 2001 }, (_, i) => ({ ...GOOD, id: `own.${i}` }));
    assert.throws(() => checkRules(many, 'rules'), { message: 'rules: has more than 2000 rules.' });
  });
});

describe('rules that pass', () => {
  it('include one with every member set', () => {
    const full: Rule = {
      id: 'own.full',
      reason: 'Everything at once.',
      match: {
        provider: ['google', 'yahoo'],
        site: 'mx.example.com',
        mx: ['example.com'],
        domain: ['example.com', '*.example.com'],
        code: [421, '450-459', '5xx'],
        enhanced: ['4.7.*', '5.7.606-649'],
        phase: ['mail', 'body'],
        text: ['slow (down|up)', 'wait * please'],
      },
      trigger: { events: 1000, within: '1d' },
      action: [
        { limit: { messageRate: '1/d', connectionRate: '1/h', connections: 1, messagesPerConnection: 1 } },
        'alert',
      ],
      scope: ['tenant', 'campaign', 'domain', 'provider', 'pool', 'ip', 'site'],
      duration: '90s',
      hint: { least: '1s', most: '1d' },
      leaveAfter: 10_000,
      fallback: false,
      samples: ['421 4.7.0 slow up', '550 5.7.610 Wait, please'],
      overlaps: [{ rule: 'own.slow', why: 'It says the same.' }],
    };
    const others: Rule[] = [
      { ...GOOD, action: ['alert', { reroute: 'other' }] },
      { ...GOOD, id: 'own.code', match: { code: 421 } },
    ];
    assert.deepEqual(checkRules([full, ...others], 'rules'), [full, ...others]);
  });
});
