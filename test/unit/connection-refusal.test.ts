import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { refusesConnection } from '../../lib/shaping/feedback/connection-refusal.ts';

const refused = (phase: 'mail' | 'rcpt' | 'body', code: number, text: string, enhanced?: string) =>
  ({ kind: 'refused', phase, reply: { code, enhanced, lines: [text] } }) as const;

describe('a reply that refuses the connection and not the message', () => {
  it('is a 421 or 452 to MAIL on a connection that carried mail', () => {
    for (const [code, text] of [
      [421, 'too many messages in this connection'],
      [421, 'Max message per connection reached'],
      [421, 'Error: too many errors'],
      [452, 'Too many messages'],
    ] as const) {
      assert.equal(refusesConnection(refused('mail', code, text), 1), 'limit', text);
      assert.equal(refusesConnection(refused('mail', code, text), 0), undefined, `${text}, at first`);
      assert.equal(refusesConnection(refused('rcpt', code, text), 1), undefined, `${text}, at RCPT`);
    }
  });

  it('is not a throttling reply, nor one about the message', () => {
    assert.equal(refusesConnection(refused('mail', 421, '[TSS04] Messages deferred'), 9), undefined);
    assert.equal(refusesConnection(refused('mail', 421, 'Slow down, too many messages'), 9), undefined);
    assert.equal(refusesConnection(refused('mail', 451, 'Greylisted'), 9), undefined);
    assert.equal(refusesConnection(refused('mail', 550, 'no'), 9), undefined);
    assert.equal(refusesConnection({ kind: 'accepted', phase: 'body', reply: undefined }, 9), undefined);
  });

  it('is postscreen’s 450 4.3.2 even on a new connection', () => {
    const text = 'Service currently unavailable';
    assert.equal(refusesConnection(refused('rcpt', 450, text, '4.3.2'), 0), 'again');
    assert.equal(refusesConnection(refused('rcpt', 450, text, '4.2.0'), 0), undefined);
    assert.equal(refusesConnection(refused('body', 450, text, '4.3.2'), 0), undefined);
  });
});
