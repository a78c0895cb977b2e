import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { compileRules } from '../../lib/automation/compile.ts';
import { evaluate, type ReplyEvent } from '../../lib/automation/evaluate.ts';
import type { Rule } from '../../lib/automation/rule.ts';
import { AutomationState } from '../../lib/automation/state.ts';
import { EventWindow } from '../../lib/automation/window.ts';
import { readReply } from '../../lib/outcome/reply.ts';
import { HOUR } from '../../lib/time.ts';

const T0 = Date.UTC(2026, 0, 1);
const RULES: Rule[] = [
  {
    id: 'own.count',
    reason: 'Too often.',
    match: { text: 'slow down' },
    trigger: { events: 3, within: '1h' },
    action: ['suspend', 'alert'],
    duration: '2h',
    samples: ['421 slow down'],
  },
  {
    id: 'own.limit',
    reason: 'Slower.',
    match: { text: 'slow down' },
    action: { limit: { connections: 1 } },
    duration: '1h',
    leaveAfter: 2,
    samples: ['421 slow down'],
  },
];

function refused(ip: string): ReplyEvent {
  const reply = readReply('421 slow down');
  return {
    outcome: 'refused',
    ip,
    site: 'mx.example.com',
    provider: 'other',
    mx: 'mx.example.com',
    phase: 'body',
    reply,
  };
}

function delivered(ip: string): ReplyEvent {
  return { ...refused(ip), outcome: 'delivered', reply: undefined };
}

describe('the state of automation', () => {
  const set = compileRules(RULES);

  it('goes on from its checkpoint: counts, raised actions, and successes', () => {
    const before = new AutomationState();
    evaluate(set, before, refused('192.0.2.1'), T0);
    evaluate(set, before, refused('192.0.2.1'), T0 + 1);
    evaluate(set, before, delivered('192.0.2.1'), T0 + 2);

    const after = AutomationState.restore(JSON.parse(JSON.stringify(before.checkpoint())));
    assert.deepEqual(after.checkpoint(), before.checkpoint());
    assert.ok(after.watching);
    assert.equal(evaluate(set, after, delivered('192.0.2.1'), T0 + 3).lift.length, 1, 'the second success');
    const third = evaluate(set, after, refused('192.0.2.1'), T0 + 4);
    assert.deepEqual(third.raise.map(({ action }) => action.kind).sort(), ['limit', 'suspend']);
    assert.equal(third.alerts.length, 1);
    const again = AutomationState.restore(JSON.parse(JSON.stringify(after.checkpoint())));
    assert.equal(evaluate(set, again, refused('192.0.2.1'), T0 + 5).alerts.length, 0, 'alerted already');
  });

  it('is not shared with its checkpoint', () => {
    const checkpoint = new AutomationState().checkpoint();
    const first = AutomationState.restore(checkpoint);
    evaluate(set, first, refused('192.0.2.1'), T0);
    assert.deepEqual(AutomationState.restore(checkpoint).checkpoint(), checkpoint);
  });

  it('begins anew from a checkpoint of another version', () => {
    const state = AutomationState.restore({ v: 2, windows: [['k', 3, [T0]]], raised: [] });
    assert.deepEqual(state.checkpoint().windows, []);
  });

  it('keeps the counts that fit when the threshold of a rule changes', () => {
    const state = AutomationState.restore({ v: 1, windows: [['k', 5, [1, 2, 3, 4]]], raised: [] });
    assert.equal(state.count('k', 3, 10, 5), true, '3, 4 and 5');
    const grown = AutomationState.restore({ v: 1, windows: [['k', 2, [1]]], raised: [] });
    assert.equal(grown.count('k', 3, 10, 2), false);
    assert.equal(grown.count('k', 3, 10, 3), true);
  });

  it('holds a bounded number of times, and forgets the least recently used first', () => {
    const state = new AutomationState();
    state.count('first', 1000, HOUR, T0);
    for (let i = 0; i < 199; i += 1) state.count(`key${i}`, 1000, HOUR, T0);
    state.count('first', 1000, HOUR, T0);
    state.count('one more', 1000, HOUR, T0);
    const keys = state.checkpoint().windows.map(([key]) => key);
    assert.equal(keys.length, 200);
    assert.ok(keys.includes('first'), 'used lately');
    assert.ok(!keys.includes('key0'), 'longest unused');
  });

  it('holds a bounded number of raised actions, for any replies', () => {
    const state = new AutomationState();
    for (let i = 0; i < 25_000; i += 1)
      evaluate(set, state, refused(`198.18.${i >> 8}.${i & 255}`), T0 + (i >> 8));
    const { raised } = state.checkpoint();
    assert.equal(raised.length, 20_000);
    assert.ok(!raised.some(([id]) => id.includes('198.18.0.0,')));
    evaluate(set, state, delivered('198.18.97.1'), T0 + HOUR + 1000);
    assert.equal(state.checkpoint().raised.length, 0, 'what is over is cleared away');
    assert.ok(!state.watching);
  });
});

describe('a window of events', () => {
  it('agrees with counting one by one', () => {
    let seed = 1;
    const random = (): number => {
      seed = (Math.imul(seed, 1_103_515_245) + 12_345) & 0x7fffffff;
      return seed / 0x7fffffff;
    };
    for (let round = 0; round < 200; round += 1) {
      const size = 2 + Math.floor(random() * 6);
      const within = 10 + Math.floor(random() * 100);
      const window = new EventWindow(size);
      let times: number[] = [];
      let now = 0;
      for (let i = 0; i < 100; i += 1) {
        now += Math.floor(random() * 30);
        times.push(now);
        times = times.filter((time) => now - time < within);
        const full = times.length >= size;
        assert.equal(window.count(now, within), full);
        if (full) times = [];
        assert.ok(window.times().length <= size);
        assert.deepEqual(
          window.times(),
          [...window.times()].sort((a, b) => a - b),
        );
      }
    }
  });
});
