import assert from 'node:assert/strict';
import { describe, it, test } from 'node:test';
import { dkimVerify } from 'mailauth/lib/dkim/verify.js';
import { referenceIn } from '../../lib/mail/message-reference.ts';
import { DAY } from '../../lib/time.ts';
import { accepted, openTestAccept, raw, simple, type TestAccept } from '../support/accept.ts';

/** The values of a field in a message as it travels. */
function valuesOf(text: string, name: string): string[] {
  const header = text.slice(0, text.indexOf('\r\n\r\n')).replace(/\r\n[ \t]/g, ' ');
  return Array.from(header.matchAll(new RegExp(`^${name}: (.*)$`, 'gim')), ([, value]) => value!.trim());
}

/** Signing domains of a message, each with the verdict of a verifier that knows their published records. */
async function signatures(t: TestAccept, text: string): Promise<[string | undefined, string][]> {
  const records = (await t.control.identities.list()).flatMap(({ dkim }) => dkim.records);
  const verified = await dkimVerify(Buffer.from(text, 'latin1'), {
    resolver: async (name) => records.filter((record) => record.name === name).map(({ value }) => [value]),
    curTime: new Date(t.clock.now()),
    strict: true,
  });
  return verified.results.map(({ signingDomain, status }) => [signingDomain, status.result]);
}

describe('every message', () => {
  const contents = {
    composed: (change = {}) => simple(change),
    raw: (change = {}) => raw(['From: ann@example.com', 'Subject: x', '', 'Hello'], change),
  };
  for (const [name, submission] of Object.entries(contents)) {
    it(`has a reference and a Feedback-ID, both signed: ${name}`, async () => {
      const t = await openTestAccept();
      const { messageId, text } = await accepted(t, submission({ campaign: 'spring' }));
      const [reference, ...others] = valuesOf(text, 'X-Postern-Ref');
      assert.deepEqual(others, []);
      assert.equal(t.references.read(reference!, t.clock.now() + 63 * DAY), messageId);
      const [feedbackId, ...more] = valuesOf(text, 'Feedback-ID');
      assert.deepEqual(more, []);
      assert.equal(referenceIn(feedbackId!), reference);
      // The part of the customer is the same for all of its mail, and does not spell its name.
      assert.match(feedbackId!, /^m[a-z2-7]{56}:spring::1\.us-east-1\.[0-9a-f]{16}:Postern$/);
      assert.deepEqual(await signatures(t, text), [['example.com', 'pass']]);
      const changed = text.replace(':spring:', ':winter:');
      assert.deepEqual(await signatures(t, changed), [['example.com', 'fail']]);
      const renamed = text.replace(`X-Postern-Ref: ${reference}`, `X-Postern-Ref: m${'a'.repeat(56)}`);
      assert.deepEqual(await signatures(t, renamed), [['example.com', 'fail']]);
    });
  }

  it("has the parts that SES's tags give", async () => {
    const t = await openTestAccept();
    const tags = [
      { name: 'ses:feedback-id-a', value: 'news.letter' },
      { name: 'ses:feedback-id-b', value: 'shop@42' },
    ];
    const { text } = await accepted(t, simple({ tags, campaign: 'spring' }));
    assert.match(valuesOf(text, 'Feedback-ID')[0]!, /^[^:]+:news\.letter:shop@42:1\.us-east-1\.\w+:Postern$/);
  });

  it("replaces the sender's own, so that no message names another", async () => {
    const t = await openTestAccept();
    const own = ['X-Postern-Ref: mine', 'Feedback-ID: a:b:c:d'];
    const headers = own.map((line) => ({ name: line.split(':')[0]!, value: 'mine' }));
    const content = { kind: 'simple' as const, subject: 'x', text: 'y', headers };
    for (const submission of [raw(['From: ann@example.com', ...own, '', 'x']), simple({ content })]) {
      const { text } = await accepted(t, submission);
      assert.equal(valuesOf(text, 'X-Postern-Ref').length, 1);
      assert.match(valuesOf(text, 'X-Postern-Ref')[0]!, /^m[a-z2-7]{56}$/);
      assert.equal(valuesOf(text, 'Feedback-ID').length, 1);
    }
  });
});

test("the operator's domain signs beside each sender, once it is an identity", async () => {
  const t = await openTestAccept({ cosignDomain: 'fbl.operator.example' });
  const own = [['example.com', 'pass']];
  assert.deepEqual(await signatures(t, (await accepted(t, simple())).text), own, 'no such identity');
  await t.control.identities.create({ name: 'fbl.operator.example', tenant: 'operator' });
  const both = [...own, ['fbl.operator.example', 'pass']];
  assert.deepEqual(await signatures(t, (await accepted(t, simple())).text), both);
  const ofOperator = simple({ from: 'x@fbl.operator.example', tenant: 'operator' });
  const caller = { keyId: 'AKIAOPERATOR', tenant: 'operator', admin: false, sourceIp: '192.0.2.1' };
  await t.accept.submit([ofOperator], { door: 'ses-v2', caller });
  const text = Buffer.from(t.queue.admissions.at(-1)!.body).toString('latin1');
  assert.deepEqual(await signatures(t, text), [['fbl.operator.example', 'pass']], 'not twice');
});
