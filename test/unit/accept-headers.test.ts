import assert from 'node:assert/strict';
import { describe, it, test } from 'node:test';
import { accepted, openTestAccept, raw, refusal, simple } from '../support/accept.ts';

/** Names that every object has, or that change its prototype. */
const INHERITED = ['constructor', 'toString', '__proto__', 'hasOwnProperty', 'valueOf'];

describe('a tag with the name of a member of every object', () => {
  for (const name of INHERITED) {
    it(`${name} is a tag like any other`, async () => {
      const t = await openTestAccept();
      const tags = [
        { name, value: 'one' },
        { name, value: 'two' },
      ];
      const { admission } = await accepted(t, simple({ tags }));
      assert.deepEqual(Object.getOwnPropertyDescriptor(admission.record.tags, name)?.value, ['one', 'two']);
      const header = raw(['From: ann@example.com', `X-SES-MESSAGE-TAGS: ${name}=one`, '', 'x']);
      const { record } = (await accepted(t, header)).admission;
      const stored = JSON.parse(JSON.stringify(record)) as typeof record;
      assert.deepEqual(Object.getOwnPropertyDescriptor(stored.tags, name)?.value, ['one']);
    });
  }
});

describe('a sender beside From needs an identity of the tenant', () => {
  const foreign = 'ceo@other.example';
  for (const line of [
    `Sender: ${foreign}`,
    `Sender: Boss <${foreign}>`,
    `Resent-From: ann@example.com, ${foreign}`,
    `Resent-Sender: ${foreign}`,
    `Return-Path: <${foreign}>`,
  ]) {
    it(line, async () => {
      const t = await openTestAccept();
      const refused = await refusal(t, raw(['From: ann@example.com', line, '', 'x']));
      assert.equal(refused.code, 'identity_not_verified');
      assert.match(refused.message, /ceo@other\.example$/);
      const own = line.replaceAll(foreign, 'bob@example.com');
      await accepted(t, raw(['From: ann@example.com', own, '', 'x']));
    });
  }

  it('also in the header of a composed message', async () => {
    const t = await openTestAccept();
    const content = (value: string) => ({
      kind: 'simple' as const,
      subject: 'x',
      text: 'y',
      headers: [{ name: 'SENDER', value }],
    });
    const refused = await refusal(t, simple({ content: content(foreign) }));
    assert.equal(refused.code, 'identity_not_verified');
    await accepted(t, simple({ content: content('bob@example.com') }));
  });

  it('an empty Return-Path needs no identity', async () => {
    const t = await openTestAccept();
    await accepted(t, raw(['Return-Path: <>', 'From: ann@example.com', '', 'x']));
  });
});

test('a single-use header field that occurs twice is refused in the words of SES', async () => {
  const t = await openTestAccept();
  for (const name of [
    'Subject',
    'To',
    'Cc',
    'Bcc',
    'Sender',
    'Reply-To',
    'MIME-Version',
    'In-Reply-To',
    'References',
    'Message-ID',
    'Date',
    'List-Unsubscribe',
    'List-Unsubscribe-Post',
    'Content-Transfer-Encoding',
  ]) {
    const line = `${name}: ${name === 'Sender' ? 'ann@example.com' : '7bit'}`;
    const twice = raw(['From: ann@example.com', line, line.replace(name, name.toUpperCase()), '', 'x']);
    const refused = await refusal(t, twice);
    assert.equal(refused.message, `Duplicate header '${name.toUpperCase()}'.`);
    assert.equal(refused.code, 'invalid_header');
  }
  for (const name of ['Received', 'Comments', 'Keywords', 'DKIM-Signature', 'X-Own', 'Resent-To'])
    await accepted(t, raw(['From: ann@example.com', `${name}: a`, `${name}: b`, '', 'x']));
});

test('the value of a tag in a header may have dots and at signs, up to 255 characters', async () => {
  const t = await openTestAccept();
  const tagged = (tag: string) => raw(['From: ann@example.com', `X-SES-MESSAGE-TAGS: ${tag}`, '', 'x']);
  const { admission } = await accepted(t, tagged(`t=v1.2, user=ann.b@example.net, a=${'b'.repeat(255)}`));
  assert.deepEqual([admission.record.tags.t, admission.record.tags.user], [['v1.2'], ['ann.b@example.net']]);
  for (const tag of ['a.b=c', 'a=b:c', `a=${'b'.repeat(256)}`, `${'a'.repeat(256)}=b`, 'a=', '=b'])
    assert.equal((await refusal(await openTestAccept(), tagged(tag))).code, 'invalid_header', tag);
});

test('8-bit mail becomes 7-bit before it is signed, so that no peer needs 8BITMIME', async () => {
  const t = await openTestAccept();
  const { admission } = await accepted(
    t,
    raw(['From: Jörg <ann@example.com>', 'Subject: für dich', '', 'Grüße']),
  );
  assert.equal(admission.deliveries[0]!.eightBit, false);
  assert.equal(admission.record.commonHeaders.subject, 'für dich');
  assert.deepEqual(admission.record.commonHeaders.from, ['Jörg <ann@example.com>']);
});
