import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { cutEnvelope, cutResult } from '../../lib/outcome/reply-text.ts';

const SENDER = 'b-x7q2.9@bounce.example.net';

function cut(recipient: string, ...lines: string[]): readonly string[] {
  return cutEnvelope({ code: 550, lines }, { recipient, mailFrom: SENDER }).lines;
}

describe('a reply without the envelope', () => {
  it('has no recipient and no sender, in any spelling', () => {
    const rows: [recipient: string, said: string, left: string][] = [
      ['bob@example.com', '<bob@example.com>: no such user', '<…>: no such user'],
      ['bob@example.com', 'BOB@EXAMPLE.COM unknown', '… unknown'],
      ['carol@example.com', "no user 'Carol' here", "no user '…' here"],
      ['"a b"@example.com', 'no user "a b" here', 'no user "… …" here'],
      ['"rate limit"@example.com', '<"rate limit"@example.com>', '<…>'],
      ['"rate limit"@example.com', 'rate\\ limit@example.com', '…\\ …'],
      ['bob@example.com', `sender ${SENDER} rejected`, 'sender … rejected'],
      ['bob@throttled.example', 'throttled.example takes no mail', '….… takes no mail'],
    ];
    for (const [recipient, said, left] of rows) assert.deepEqual(cut(recipient, said), [left], said);
  });

  it('has no other address', () => {
    assert.deepEqual(cut('bob@example.com', 'ask postmaster@example.org or "the boss"@example.net'), [
      'ask … or …',
    ]);
  });

  it('loses addresses that are broken across lines', () => {
    assert.deepEqual(cut('"too many connections"@example.com', '<"too many', 'connections"@example.com>'), [
      '<"… …',
      '…"@….…>',
    ]);
  });

  it('keeps all other words, and short ones that also stand in the address', () => {
    const lines = ['5.7.1 Too much mail from 192.0.2.10, see https://example.org/a?b=c'];
    assert.deepEqual(cut('to@example.com', ...lines), lines);
    assert.deepEqual(cut('see.you@example.com', ...lines), lines);
  });

  it('is the same object when there is nothing to cut', () => {
    const result = { kind: 'refused', reply: { code: 421, lines: ['busy'] } };
    assert.equal(cutResult(result, { recipient: 'bob@example.com', mailFrom: SENDER }), result);
  });
});
