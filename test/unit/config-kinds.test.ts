import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { CONFIG_KINDS } from '../../lib/control/config-kinds.ts';

const cases: Record<string, { good: unknown[]; bad: [unknown, RegExp][] }> = {
  limits: {
    good: [{}, { providers: { google: { connections: 5 } } }],
    bad: [
      [{ default: { conections: 5 } }, /default\.conections: is unknown/],
      [{ default: { connections: -1 } }, /default\.connections: /],
      [[], /is not an object/],
    ],
  },
  routing: {
    good: [{}, { pools: { news: { ips: ['203.0.113.1'] } } }],
    bad: [
      [{ pools: { news: { ips: ['x'] } } }, /^routing\.pools\.news\.ips\[0\]: /],
      [
        { pools: { a: { ips: ['203.0.113.1'], exclusive: true }, b: { ips: ['203.0.113.1'] } } },
        /^routing\.pools\..*203\.0\.113\.1/,
      ],
    ],
  },
  warmup: {
    good: [{}, { '203.0.113.1': { schedule: 'fast' } }],
    bad: [
      [{ '203.0.113.1': { schedule: 'faster' } }, /^warmup\.203\.0\.113\.1\.schedule: /],
      [{ mine: {} }, /^warmup\.mine: is not an IP address/],
      [
        {
          '203.0.113.1': {
            schedule: [
              { days: 1, messages: 2 },
              { days: 1, messages: 1 },
            ],
          },
        },
        /a schedule must not go down/,
      ],
    ],
  },
  automation: {
    good: [{}, { off: [] }],
    bad: [
      [{ off: ['no.such.rule'] }, /^automation: off\[0\]: no rule is called/],
      [{ rules: [{ id: 'x.y' }] }, /^automation: rules\[0\]/],
    ],
  },
};

test('every kind that is offered is tried here', () => {
  assert.deepEqual(
    CONFIG_KINDS.map(({ name }) => name),
    Object.keys(cases),
  );
});

for (const { name, validate } of CONFIG_KINDS) {
  describe(`a document of ${name}`, () => {
    test('may run when its room can read it', () => {
      for (const value of cases[name]!.good) assert.deepEqual(validate(value, 'default'), []);
    });
    test('is refused with path and reason', () => {
      for (const [value, reason] of cases[name]!.bad) {
        const [problem] = validate(value, 'default');
        assert.match(problem ?? 'nothing is wrong', reason);
      }
    });
    test('has one name', () => {
      assert.match(validate({}, 'other')[0]!, /is called default, not other/);
    });
  });
}
