import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { LIBRARY } from '../../lib/automation/library.ts';
import type { Attempt } from '../../lib/engine/items.ts';
import { diagnoseAttempt } from '../../lib/outcome/attempt.ts';
import { CAUSES, type Cause, type CauseEntry } from '../../lib/outcome/causes.ts';
import { classify } from '../../lib/outcome/classify.ts';
import { type Diagnosis, diagnose } from '../../lib/outcome/diagnosis.ts';
import { readReply } from '../../lib/outcome/reply.ts';
import { CAUSE_SAMPLES } from '../fixtures/causes.ts';
import { RULE_CAUSES } from '../fixtures/rule-causes.ts';
import { attempt } from '../support/outcomes.ts';

function of(text: string, phase: string): Diagnosis {
  const reply = readReply(text);
  assert.ok(reply, text);
  return diagnose({ ...reply, text: reply.lines.join(' '), phase: phase || undefined });
}

describe('the cause of a refusal', () => {
  for (const [system, phase, text, cause] of CAUSE_SAMPLES) {
    it(`${system}${phase && `, ${phase}`}: ${text.slice(0, 80)}`, () => {
      const found = of(text, phase);
      assert.equal(found.cause, cause);
      assert.equal(found.hard, CAUSES[cause].suppresses && text.startsWith('5'));
    });
  }

  it('is found for each sample reply of each shaping rule, none of which suppresses in any phase', () => {
    let samples = 0;
    for (const { id, samples: texts } of LIBRARY) {
      const expected = RULE_CAUSES[id];
      assert.ok(expected, `${id} is missing in the fixture`);
      assert.deepEqual([...new Set(texts.map((text) => of(text, 'rcpt').cause))], expected, id);
      for (const phase of ['greeting', 'mail', 'rcpt', 'body', '']) {
        for (const text of texts) assert.equal(of(text, phase).hard, false, `${phase} ${text}`);
      }
      samples += texts.length;
    }
    assert.ok(samples + CAUSE_SAMPLES.length >= 300, String(samples));
    assert.ok(new Set(CAUSE_SAMPLES.map(([system]) => system)).size >= 25);
  });

  it('has a sample for each cause', () => {
    const sampled = new Set<Cause>([
      ...CAUSE_SAMPLES.map(([, , , cause]) => cause),
      ...Object.values(RULE_CAUSES).flat(),
    ]);
    assert.deepEqual(
      (Object.keys(CAUSES) as Cause[]).filter((cause) => !sampled.has(cause)),
      [],
    );
  });

  it('suppresses only for a recipient that does not exist', () => {
    for (const [cause, { fault, temporary, suppresses, bounce }] of Object.entries(CAUSES) as [
      string,
      CauseEntry,
    ][]) {
      assert.equal(suppresses, ['unknown_user', 'inactive_user', 'bad_domain'].includes(cause), cause);
      assert.equal(bounce.type === 'Permanent', suppresses, cause);
      if (suppresses) assert.deepEqual([fault, temporary], ['recipient', false]);
    }
  });

  it('is never the recipient before RCPT', () => {
    for (const phase of ['greeting', 'ehlo', 'starttls', 'mail']) {
      for (const [, , text] of CAUSE_SAMPLES) assert.equal(of(text, phase).hard, false, `${phase} ${text}`);
      const verdict = classify({ kind: 'refused', phase, reply: readReply('550 5.1.1 user unknown')! });
      assert.equal(verdict.state, 'deferred', phase);
    }
  });

  it('is no hard bounce when either code is temporary', () => {
    for (const text of ['450 5.1.1 user unknown', '550 4.1.1 user unknown', '421 5.1.2 no such domain']) {
      const { hard, bounce } = of(text, 'rcpt');
      assert.deepEqual([hard, bounce.type], [false, 'Transient'], text);
    }
  });

  it('is "other" where the words name no cause', () => {
    const word = fc.stringMatching(/^[bcdfghjkqvwxz]{3,9}$/);
    fc.assert(
      fc.property(fc.array(word, { maxLength: 8 }), fc.constantFrom(550, 554, 553), (words, code) => {
        const { cause, hard } = diagnose({ code, text: words.join(' '), phase: 'rcpt' });
        assert.deepEqual([cause, hard], ['other', false]);
      }),
    );
  });

  it('does not depend on the words of an address', () => {
    for (const local of ['blocked', 'spamhaus', 'no-such-user', 'too.many', 'quota-exceeded']) {
      const { cause } = of(
        `550 5.1.1 <${local}@example.com>: Recipient address rejected: User unknown`,
        'rcpt',
      );
      assert.equal(cause, 'unknown_user', local);
    }
    assert.equal(of('550 5.7.1 <user-unknown@example.com>: Access denied', 'rcpt').cause, 'policy');
  });

  it('names the blocklist', () => {
    const listed = (text: string) => of(text, 'rcpt').blocklist;
    assert.equal(listed('554 5.7.1 Client host [192.0.2.1] blocked using zen.spamhaus.org'), 'Spamhaus');
    assert.equal(listed('554 5.7.1 listed in xbl.spamhaus.org'), 'Spamhaus XBL');
    assert.equal(listed('550 blocked using bl.spamcop.net'), 'SpamCop');
    assert.equal(listed('550 5.1.1 User unknown'), undefined);
  });

  it('takes bounded time for any text', () => {
    for (const part of [
      'address ',
      'user … ',
      'ip ',
      'over the ',
      'domain a.b ',
      'sender or ',
      '"',
      '1.2.3.4 ',
      'a@',
    ]) {
      for (let i = 0; i < 20; i++) diagnose({ code: 550, text: part.repeat(50_000), phase: 'rcpt' });
    }
  });
});

describe('the diagnosis of a stored attempt', () => {
  const text = '550 5.5.0 Requested action not taken: mailbox unavailable (S2017062302).';
  const replies: Attempt['replies'] = [
    { phase: 'mail', code: 250, text: '2.1.0 OK' },
    {
      phase: 'rcpt',
      code: 550,
      text: '5.5.0 Requested action not taken: mailbox unavailable (S2017062302).',
    },
    { phase: 'data', code: 503, text: '5.5.1 Bad sequence of commands' },
  ];
  const stored = { state: 'bounced', reason: 'peer_permanent', text, replies } as const;

  it('uses the phase that decided, not that of the last reply', () => {
    const { cause, hard } = diagnoseAttempt(attempt({ ...stored, phase: 'rcpt' }));
    assert.deepEqual([cause, hard], ['unknown_user', true]);
    assert.equal(diagnoseAttempt(attempt({ ...stored, phase: 'body' })).hard, false);
  });

  it('finds the reply that decided in an attempt of an older version', () => {
    assert.equal(diagnoseAttempt(attempt(stored)).cause, 'unknown_user');
  });
});
