import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { classify } from '../../lib/outcome/classify.ts';
import { isSimulator, isSimulatorAddress, simulate } from '../../lib/outcome/simulator.ts';

const AT = '@simulator.amazonses.com';

describe('mailbox simulator', () => {
  it('answers each local part, with or without a label', () => {
    const rows: [string, string, string][] = [
      ['success', 'delivered', 'delivered'],
      ['bounce', 'bounced', 'peer_permanent'],
      ['complaint', 'delivered', 'delivered'],
      ['ooto', 'delivered', 'delivered'],
      ['suppressionlist', 'bounced', 'suppressed'],
      ['nobody', 'bounced', 'peer_permanent'],
    ];
    for (const [local, state, reason] of rows) {
      for (const label of ['', '+order-1', '+a+b']) {
        const verdict = classify(simulate(local + label + AT, 0).result);
        assert.deepEqual([verdict.state, verdict.reason], [state, reason], local + label);
      }
    }
    assert.equal(classify(simulate(`BOUNCE${AT}`, 0).result).text, '550 5.1.1 user unknown');
  });

  it('sends a complaint or an auto-reply later', () => {
    assert.deepEqual(simulate(`complaint+x${AT}`, 5000).later, [
      {
        kind: 'complaint',
        after: 1000,
        detail: {
          recipient: `complaint+x${AT}`,
          feedbackType: 'abuse',
          userAgent: 'Amazon SES Mailbox Simulator',
          arrivalDate: 6000,
        },
      },
    ]);
    assert.deepEqual(simulate(`ooto${AT}`, 0).later, [{ kind: 'auto-reply', after: 1000 }]);
    assert.deepEqual(simulate(`success${AT}`, 0).later, []);
  });

  it('matches its own domain only', () => {
    assert.ok(isSimulator('simulator.amazonses.com'));
    assert.ok(isSimulatorAddress('a@Simulator.AmazonSES.com'));
    for (const domain of ['amazonses.com', 'x.simulator.amazonses.com', 'simulator.amazonses.com.example']) {
      assert.ok(!isSimulator(domain));
    }
  });
});
