import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { classify } from '../../lib/outcome/classify.ts';
import { diagnose } from '../../lib/outcome/diagnosis.ts';
import { REASONS, type ReasonCode } from '../../lib/outcome/reasons.ts';
import { MAX_REPLY_TEXT, readReply, replyText } from '../../lib/outcome/reply.ts';
import { REPLIES } from '../fixtures/replies.ts';

function reply(text: string) {
  const parsed = readReply(text);
  assert.ok(parsed, text);
  return parsed;
}

describe('classify', () => {
  for (const [peer, phase, text, state, category, subType, hard] of REPLIES) {
    it(`${peer}, ${phase}: ${text.slice(0, 70)}`, () => {
      const parsed = reply(text);
      const verdict = classify({ kind: 'refused', phase, reply: parsed });
      assert.equal(verdict.state, state);
      assert.equal(verdict.text, text.slice(0, MAX_REPLY_TEXT));
      const diagnosis = diagnose({ ...parsed, text: parsed.lines.join(' '), phase });
      assert.deepEqual(
        [diagnosis.category, diagnosis.bounce.subType, diagnosis.hard],
        [category, subType, hard === 'hard'],
      );
    });
  }

  it('treats a refusal as final only in phases that name the recipient or carry the content', () => {
    for (const phase of ['connect', 'greeting', 'ehlo', 'starttls', 'tls']) {
      const verdict = classify({ kind: 'refused', phase, reply: reply('554 5.7.1 no') });
      assert.equal(verdict.state, 'deferred', phase);
    }
  });

  it('defers on a code that no SMTP reply may have', () => {
    for (const code of [0, -1, 99, 199, 250, 354, 600, 999, 5500, Number.NaN]) {
      const verdict = classify({ kind: 'refused', phase: 'rcpt', reply: { code, lines: ['user unknown'] } });
      assert.deepEqual([verdict.state, verdict.reason], ['deferred', 'peer_protocol'], String(code));
    }
    assert.equal(classify({ kind: 'refused', phase: 'rcpt' }).state, 'deferred');
  });

  it('names the reason', () => {
    const reason = (phase: string, text: string) =>
      classify({ kind: 'refused', phase, reply: reply(text) }).reason;
    assert.equal(reason('rcpt', '550 5.1.1 user unknown'), 'peer_permanent');
    assert.equal(reason('body', '552 5.3.4 too big'), 'over_peer_size');
    assert.equal(reason('rcpt', '451 4.3.0 later'), 'peer_temporary');
    assert.equal(reason('rcpt', '503 5.5.1 bad sequence of commands'), 'peer_protocol');
  });

  it('marks a delivery whose final reply was lost, and tries it again', () => {
    const verdict = classify({ kind: 'uncertain', phase: 'body', code: 'connection_lost', text: 'reset' });
    assert.deepEqual(verdict, { state: 'deferred', reason: 'uncertain', text: 'reset', uncertain: true });
  });

  it('defers or ends what was never sent by the table of reasons', () => {
    for (const code of Object.keys(REASONS) as ReasonCode[]) {
      const verdict = classify({ kind: 'unsent', phase: 'connect', code, text: 'why' });
      assert.equal(verdict.state, REASONS[code].temporary ? 'deferred' : 'bounced', code);
      assert.equal(verdict.reason, code);
    }
    assert.equal(classify({ kind: 'unsent', phase: 'mail' }).state, 'deferred');
  });

  it('keeps the reply of a delivery', () => {
    const verdict = classify({ kind: 'accepted', phase: 'body', reply: reply('250 2.0.0 OK gsmtp') });
    assert.deepEqual(verdict, { state: 'delivered', reason: 'delivered', text: '250 2.0.0 OK gsmtp' });
  });

  it('does not slow down on long replies', () => {
    for (const word of ['a ', 'mailbox ', 'over ', 'message ', 'mail from ', 'x']) {
      const lines = [word.repeat(100_000)];
      for (let i = 0; i < 20; i++) classify({ kind: 'refused', phase: 'rcpt', reply: { code: 550, lines } });
    }
  });
});

describe('reply text', () => {
  it('joins lines and reads itself back', () => {
    const text = replyText({ code: 550, enhanced: '5.1.1', lines: ['no such', 'user'] });
    assert.equal(text, '550 5.1.1 no such user');
    assert.deepEqual(readReply(text), { code: 550, enhanced: '5.1.1', lines: ['no such user'] });
    assert.equal(replyText({ code: 421, lines: [''] }), '421');
    assert.deepEqual(readReply('421'), { code: 421, enhanced: undefined, lines: [''] });
  });

  it('is capped, and refuses what is no reply', () => {
    assert.equal(replyText({ code: 550, lines: ['x'.repeat(5000)] }).length, MAX_REPLY_TEXT);
    for (const text of ['', 'user unknown', '55 x', '5501 x', '150 x'])
      assert.equal(readReply(text), undefined);
  });
});
