/**
 * Replies that repeat what we sent: the words of every rule, as a recipient, a local part or a sender, in every
 * phase. `lib/outcome/reply-text.ts` cuts them out; `lib/automation/evaluate.ts` bounds what one tenant's mail can
 * fire when a server uses those words itself.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { asList, compileRules } from '../../lib/automation/compile.ts';
import { evaluate, matchingRules, type ReplyEvent } from '../../lib/automation/evaluate.ts';
import { LIBRARY } from '../../lib/automation/library.ts';
import { readPattern } from '../../lib/automation/pattern.ts';
import { PHASES, type Phase, type Rule } from '../../lib/automation/rule.ts';
import { AutomationState } from '../../lib/automation/state.ts';
import { parseAddress } from '../../lib/mail/address.ts';
import type { Reply } from '../../lib/outcome/reply.ts';
import { readReply } from '../../lib/outcome/reply.ts';
import { cutEnvelope, type SmtpEnvelope } from '../../lib/outcome/reply-text.ts';

const NOW = Date.UTC(2026, 0, 1);
const SETTINGS = { seed: 20261129, numRuns: 3000 };
const set = compileRules(LIBRARY);

/** Every pattern of a rule, written out, with blanks for characters that no address may hold. */
const WORDS: readonly { rule: Rule; words: string }[] = LIBRARY.flatMap((rule) =>
  (asList(rule.match.text) ?? []).flatMap((text) =>
    readPattern(text).map((fragments) => ({
      rule,
      words: fragments
        .map((fragment) => (fragment.glue === 'digits' ? `7${fragment.text}` : fragment.text))
        .join(' ')
        .trim(),
    })),
  ),
);

const quoted = (local: string): string => `"${local.replace(/["\\]/g, '\\$&')}"`;

/** Forms in which servers repeat an address. */
const ECHOES: readonly ((local: string, domain: string) => string[])[] = [
  (local, domain) => [`<${quoted(local)}@${domain}>: no such user`],
  (local, domain) => [`The recipient address <${quoted(local)}@${domain}> is not valid. - gsmtp`],
  (local, domain) => [`${local}@${domain}: no mailbox of that name`],
  (local) => [`no mailbox ${local.toUpperCase()} here`],
  (local) => ['no mailbox', ...local.split(' ')],
  (local, domain) => [`no mailbox <${local.replaceAll(' ', '\\ ')}@${domain}>`],
  (local) => [`no mailbox '${local.replace(/["\\]/g, '')}'.`],
];

/** Codes that the rule would take, or codes of a refused recipient. */
function codesFor({ match }: Rule, permanent: boolean): Pick<Reply, 'code' | 'enhanced'> {
  const code = String(asList(match.code)?.[0] ?? (permanent ? '5xx' : '4xx'))
    .slice(0, 3)
    .replace('xx', '50');
  const wanted = asList(match.enhanced)?.[0]?.replace('*', '1').replace(/-\d+/g, '');
  return { code: Number(code), enhanced: wanted ?? `${code[0]}.1.3` };
}

function eventOf(rule: Rule, phase: Phase, tenant: string, reply: Reply): ReplyEvent {
  const { match } = rule;
  return {
    outcome: 'refused',
    ip: '192.0.2.1',
    pool: 'default',
    tenant,
    campaign: 'spring',
    domain: asList(match.domain)?.[0]?.replace(/^\*/, 'a') ?? 'example.com',
    provider: asList(match.provider)?.[0] ?? 'other',
    site: asList(match.site)?.[0] ?? 'mx.example.com',
    mx: asList(match.mx)?.[0] ?? 'mx.example.com',
    phase,
    reply,
  };
}

const phases = fc.constantFrom(
  ...PHASES.filter((phase) => !['greeting', 'ehlo', 'starttls'].includes(phase)),
);

test("no reply that repeats a rule's words as an address fires that rule", () => {
  fc.assert(
    fc.property(
      fc.constantFrom(...WORDS),
      fc.constantFrom(...ECHOES),
      phases,
      fc.constantFrom('recipient', 'sender'),
      fc.boolean(),
      ({ rule, words }, echo, phase, where, permanent) => {
        const domain = 'example.com';
        const address = `${quoted(words)}@${domain}`;
        const envelope: SmtpEnvelope =
          where === 'recipient'
            ? { recipient: address, mailFrom: 'b-x7q2@bounce.example.net' }
            : { recipient: 'bob@example.com', mailFrom: address };
        const said = { ...codesFor(rule, permanent), lines: echo(words, domain) };
        const matched = matchingRules(set, eventOf(rule, phase, 'acme', said), cutEnvelope(said, envelope));
        assert.deepEqual(
          matched.map(({ rule: { id } }) => id),
          [],
          said.lines.join('|'),
        );
      },
    ),
    SETTINGS,
  );
});

test('the words of a rule can stand in an address of a tenant’s mail', () => {
  const valid = WORDS.filter(({ words }) => /^[\x20-\x7e]{1,60}$/.test(words));
  for (const { words } of valid) assert.ok(parseAddress(`${quoted(words)}@example.com`), words);
  assert.ok(valid.length > 300, String(valid.length));
});

test("no reply to one tenant's mail holds back another tenant's", () => {
  for (const rule of LIBRARY) {
    const state = new AutomationState();
    for (const phase of ['mail', 'rcpt', 'data', 'body'] as const) {
      const meant = asList(rule.match.phase);
      if (meant !== undefined && !meant.includes(phase)) continue;
      for (let i = 0; i < 60; i += 1) {
        const sample = readReply(rule.samples[i % rule.samples.length]!)!;
        const event = { ...eventOf(rule, phase, 'acme', sample), campaign: `c${i}` };
        for (const { match, id } of evaluate(set, state, event, NOW + i * 100).raise) {
          assert.equal(match.tenant, 'acme', id);
        }
      }
    }
  }
});

test('a rule that fires on the mail of two tenants holds back all tenants', () => {
  for (const rule of LIBRARY.filter(({ scope }) => scope?.includes('tenant') !== true)) {
    const state = new AutomationState();
    const phase = asList(rule.match.phase)?.find((one) => one === 'mail') ?? 'rcpt';
    if (rule.match.phase !== undefined && phase !== 'mail') continue;
    const raised = ['acme', 'beta'].flatMap((tenant) =>
      Array.from({ length: rule.trigger?.events ?? 1 }).flatMap(
        () => evaluate(set, state, eventOf(rule, phase, tenant, readReply(rule.samples[0]!)!), NOW).raise,
      ),
    );
    const own = raised.filter(({ origin }) => 'rule' in origin && origin.rule === rule.id);
    const orders = (asList(rule.action) ?? []).filter((action) => action !== 'alert').length;
    assert.equal(own.filter(({ match }) => match.tenant === undefined).length, orders, rule.id);
  }
});
