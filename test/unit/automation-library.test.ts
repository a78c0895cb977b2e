import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { checkRules } from '../../lib/automation/check.ts';
import { asList, compileRules } from '../../lib/automation/compile.ts';
import { evaluate, matchingRules, type ReplyEvent } from '../../lib/automation/evaluate.ts';
import { LIBRARY, rulesWith } from '../../lib/automation/library.ts';
import type { Rule } from '../../lib/automation/rule.ts';
import { AutomationState } from '../../lib/automation/state.ts';
import { readReply } from '../../lib/outcome/reply.ts';
import { throttles } from '../../lib/shaping/feedback/throttling.ts';
import { PROVIDERS, providerOf } from '../../lib/shaping/providers.ts';
import { siteName } from '../../lib/shaping/sites.ts';
import { MX_HOSTS } from '../fixtures/mx-hosts.ts';

const NOW = Date.UTC(2026, 0, 1);
const set = compileRules(LIBRARY);

/** Recorded MX sets of a rule's provider; for a rule without one, that of a host without a provider. */
function destinations({ match }: Rule): (typeof MX_HOSTS)[number][] {
  const providers = asList(match.provider) ?? ['other'];
  return MX_HOSTS.filter(([provider]) => providers.includes(provider));
}

function eventFor(rule: Rule, sample: string, [, domain, hosts]: (typeof MX_HOSTS)[number]): ReplyEvent {
  return {
    outcome: 'refused',
    ip: '192.0.2.10',
    pool: 'default',
    tenant: 'acme',
    campaign: 'spring',
    domain,
    provider: providerOf(hosts),
    site: siteName(hosts),
    mx: hosts[0]!,
    phase: asList(rule.match.phase)?.[0] ?? 'body',
    reply: readReply(sample),
  };
}

describe('the library of rules', () => {
  it('passes the check of an operator’s rules', () => {
    checkRules(LIBRARY, 'library: rules');
  });

  it('has more than 120 rules, each with recorded replies', () => {
    assert.ok(LIBRARY.length >= 120, String(LIBRARY.length));
    for (const { id, samples } of LIBRARY) assert.ok(samples.length > 0, id);
  });

  it('every rule fires on each of its samples, for every recorded MX set of its provider', () => {
    for (const rule of LIBRARY) {
      assert.ok(destinations(rule).length > 0, `no recorded MX set for ${rule.id}`);
      for (const sample of rule.samples) {
        for (const destination of destinations(rule)) {
          const state = new AutomationState();
          let fired = false;
          for (let i = 0; i < (rule.trigger?.events ?? 1); i += 1) {
            const { raise, alerts } = evaluate(set, state, eventFor(rule, sample, destination), NOW);
            fired =
              raise.some(({ origin }) => 'rule' in origin && origin.rule === rule.id) ||
              alerts.some((alert) => alert.rule === rule.id);
          }
          assert.ok(fired, `${rule.id} for ${destination[1]}: ${sample}`);
        }
      }
    }
  });

  it("no rule fires on another rule's samples, unless both list the overlap with a reason", () => {
    for (const rule of LIBRARY) {
      const declared = (rule.overlaps ?? []).map((overlap) => overlap.rule);
      const seen = new Set<string>();
      for (const sample of rule.samples) {
        for (const destination of destinations(rule)) {
          const event = eventFor(rule, sample, destination);
          const matched = matchingRules(set, event, event.reply!).map((compiled) => compiled.rule.id);
          const others = matched.filter((id) => id !== rule.id);
          assert.equal(others.length, matched.length - 1, `${rule.id}: ${sample}`);
          for (const id of others) {
            seen.add(id);
            assert.ok(declared.includes(id), `${id} fires on a sample of ${rule.id}: ${sample}`);
          }
        }
      }
      for (const id of declared)
        assert.ok(seen.has(id), `${rule.id} names ${id}, which does not fire on its samples`);
    }
  });

  it('no rule about a provider fires on mail to any other', () => {
    for (const rule of LIBRARY) {
      const providers = asList(rule.match.provider);
      if (providers === undefined) continue;
      for (const destination of MX_HOSTS) {
        if (providers.includes(destination[0])) continue;
        const event = eventFor(rule, rule.samples[0]!, destination);
        const matched = matchingRules(set, event, event.reply!);
        assert.ok(!matched.some((compiled) => compiled.rule === rule), `${rule.id} for ${destination[1]}`);
      }
    }
  });

  it('matches no reply about a single recipient or message', () => {
    const ordinary = [
      '550 5.1.1 The email account that you tried to reach does not exist. Please try double-checking the address. - gsmtp',
      '550 5.1.1 <user@example.com>: Recipient address rejected: User unknown in virtual mailbox table',
      '452 4.2.2 The email account that you tried to reach is over quota. - gsmtp',
      '552 5.2.2 <user@icloud.com>: user is over quota',
      '450 4.2.1 The user you are trying to contact is receiving mail too quickly. Please resend your message at a later time. - gsmtp',
      "554 delivery error: dd This user doesn't have a yahoo.com account (user@yahoo.com) [0]",
      '550 5.5.0 Requested action not taken: mailbox unavailable (S2017062302).',
      '550 Mailbox not found. https://service.mail.qq.com/detail/122/169',
      '550 5.1.1 Adresse d au moins un destinataire invalide. Invalid recipient. OFR_416 [416]',
      '552 5.3.4 Message size exceeds fixed limit',
      '550 Unknown user user@docomo.ne.jp',
      '550 : User unknown',
    ];
    for (const sample of ordinary) {
      for (const destination of MX_HOSTS) {
        const event = eventFor(LIBRARY[0]!, sample, destination);
        const matched = matchingRules(set, event, event.reply!).map((compiled) => compiled.rule.id);
        assert.deepEqual(matched, [], `${destination[1]}: ${sample}`);
      }
    }
  });
});

describe('a site without a provider that defers mail for a while', () => {
  const TSS04 =
    '421 4.7.0 [TSS04] Messages from 192.0.2.10 temporarily deferred due to unexpected volume or user complaints';
  const other = MX_HOSTS.find(([provider]) => provider === 'other')!;
  const event = eventFor(LIBRARY[0]!, TSS04, other);

  it('gets no rate from a rule: its rate is learnt from what it accepts', () => {
    const state = new AutomationState();
    assert.deepEqual(evaluate(set, state, event, NOW).raise, [], 'a single reply');
    const raised = Array.from({ length: 30 }, (_, i) => evaluate(set, state, event, NOW + i).raise).flat();
    assert.deepEqual(
      raised.map(({ action }) => action),
      [{ kind: 'limit', limits: { connections: 2 } }],
    );
    const { outcome: _, reply: __, ...mail } = event;
    const lifted = Array.from({ length: 20 }, (_, i) =>
      evaluate(set, state, { ...mail, outcome: 'delivered' }, NOW + 1000 + i),
    ).flatMap(({ lift }) => lift);
    assert.deepEqual(
      lifted,
      raised.map(({ id }) => id),
      'twenty deliveries later',
    );
  });

  it('has each of its replies read as a throttling reply', () => {
    for (const rule of LIBRARY.filter(({ id }) => id === 'generic.message-rate')) {
      for (const sample of rule.samples) assert.equal(throttles(readReply(sample)!), 'rate', sample);
    }
  });
});

describe('recorded MX sets', () => {
  it('map to the provider that they are recorded for', () => {
    for (const [provider, domain, hosts] of MX_HOSTS) assert.equal(providerOf(hosts), provider, domain);
  });

  it('cover every provider', () => {
    const recorded = new Set(MX_HOSTS.map(([provider]) => provider));
    assert.deepEqual(
      [...PROVIDERS].filter((provider) => !recorded.has(provider)),
      [],
    );
  });

  it('map to the longest matching suffix', () => {
    assert.equal(providerOf(['cxr.mx.a.cloudfilter.net']), 'cox');
    assert.equal(providerOf(['eir-01.mx.a.cloudfilter.net']), 'cloudmark');
    assert.equal(providerOf(['notcxr.mx.a.cloudfilter.net']), 'cloudmark');
    assert.equal(providerOf(['mx1.mail.yahoo.co.jp']), 'yahoo-japan');
    assert.equal(providerOf(['mx.gmail.com']), 'other', 'mail.com is whole labels, not an ending');
    assert.equal(providerOf(['mx.hotmail.ru']), 'other');
  });

  it("do not include a customer's machine under a provider's domain", () => {
    const hosts = [
      'ip-192-0-2-10.ip.secureserver.net',
      'c-192-0-2-10.hsd1.ca.comcast.net',
      '10.2.0.192.dsl.telenet.be',
      'ip192x0x2x10.netvigator.com',
    ];
    for (const host of hosts) assert.equal(providerOf([host]), 'other', host);
    assert.equal(providerOf(['smtp.secureserver.net', 'mailstore1.secureserver.net']), 'godaddy');
  });
});

describe("an operator's own rules", () => {
  const own: Rule = {
    id: 'own.slow',
    reason: 'Our partner asks to go slowly.',
    match: { domain: 'partner.example', code: '4xx', text: 'please be patient' },
    action: { limit: { messageRate: '1/s' } },
    duration: '10m',
    samples: ['450 4.7.0 Please be patient'],
  };

  it('are added to the library, replace rules of the same id, and switch off the rules that they name', () => {
    const replacement: Rule = { ...own, id: 'google.try-later' };
    const rules = rulesWith({ rules: [own, replacement], off: ['yahoo.ts01'] }, 'own.json');
    assert.equal(rules.length, LIBRARY.length);
    assert.ok(rules.includes(own));
    assert.deepEqual(
      rules.filter(({ id }) => id === 'google.try-later'),
      [replacement],
    );
    assert.ok(!rules.some(({ id }) => id === 'yahoo.ts01'));
  });

  it('are refused as a whole with file, path and reason', () => {
    const refusals: [unknown, RegExp][] = [
      [[], /^own\.json: \[\] is not an object\.$/],
      [{ rule: [] }, /^own\.json\.rule: is unknown; the members are rules, off\.$/],
      [{ off: 'yahoo.ts01' }, /^own\.json: off: "yahoo\.ts01" is not a list\.$/],
      [{ off: ['yahoo.ts1'] }, /^own\.json: off\[0\]: no rule is called "yahoo\.ts1"\.$/],
      [
        { rules: [{ ...own, duration: '10' }] },
        /^own\.json: rules\[0\]\.duration: "10" is not a length of time/,
      ],
    ];
    for (const [document, message] of refusals) {
      assert.throws(() => rulesWith(document, 'own.json'), { code: 'bad_request', message });
    }
  });
});
