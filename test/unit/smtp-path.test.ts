import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type EnvelopePath, readPath, refusalOfMail } from '../../lib/smtp-server/path.ts';

function address(text: string, keyword: 'FROM' | 'TO' = 'FROM'): string | undefined {
  const path = readPath(keyword, text);
  assert.notEqual(typeof path, 'string');
  return (path as EnvelopePath | undefined)?.address;
}

describe('a path', () => {
  const long = `${'a'.repeat(64)}@${'b'.repeat(63)}.${'c'.repeat(63)}.${'d'.repeat(61)}`;
  for (const [text, expected] of [
    ['FROM:<a@example.com>', 'a@example.com'],
    ['from: <a@example.com>', 'a@example.com'],
    ['FROM:<>', ''],
    ['FROM:<@relay.example,@other.example:a@example.com>', 'a@example.com'],
    ['FROM:<"a>b@c"@example.com> SIZE=1', '"a>b@c"@example.com'],
    ['FROM:<a@[192.0.2.1]>', 'a@[192.0.2.1]'],
    ['FROM:<a@[IPv6:2001:db8::1]>', 'a@[IPv6:2001:db8::1]'],
    ['FROM:<ü@bücher.example>', 'ü@bücher.example'],
    ['FROM:<a@xn--bcher-kva.example>', 'a@xn--bcher-kva.example'],
    [`FROM:<${long}>`, long],
  ] as const) {
    it(`${text.slice(0, 60)} is read`, () => assert.equal(address(text), expected));
  }

  for (const text of [
    'TO:<a@example.com>',
    'FROM:a@example.com',
    'FROM:<a@example.com',
    'FROM:<a@example.com>SIZE=1',
    'FROM:<a@example.com>\rX',
    'FROM:<a>',
    'FROM:<postmaster>',
    'FROM:<@example.com>',
    'FROM:<a@>',
    'FROM:<a@b@example.com>',
    'FROM:<.a@example.com>',
    'FROM:<a..b@example.com>',
    'FROM:<a.@example.com>',
    'FROM:<a\0@example.com>',
    'FROM:<a\u200b@example.com>',
    'FROM:<a\ufffd@example.com>',
    'FROM:<a@.example.com>',
    'FROM:<a@example..com>',
    'FROM:<a@-example.com->',
    'FROM:<a@example.com.>',
    'FROM:<a@exam_ple.com>',
    'FROM:<a@[192.0.2.256]>',
    'FROM:<a@[IPv6:192.0.2.1]>',
    `FROM:<${long}d>`,
  ]) {
    it(`${JSON.stringify(text.slice(0, 60))} is refused`, () => assert.equal(address(text), undefined));
  }

  it('of a recipient may be the postmaster of this host', () => {
    assert.equal(address('TO:<Postmaster>', 'TO'), 'Postmaster');
  });

  it('is scanned in linear time', () => {
    for (const text of [
      `FROM:<${'@a,'.repeat(5000)}`,
      `FROM:<"${'\\a'.repeat(8000)}`,
      `FROM:<a@${'a.'.repeat(8000)}`,
    ]) {
      const began = process.cpuUsage();
      assert.equal(address(text), undefined);
      assert.ok(process.cpuUsage(began).user < 1e6, 'a scan of 16 KB took a second');
    }
  });
});

describe('the parameters of MAIL', () => {
  const answer = (parameters: string): string | undefined => {
    const path = readPath('FROM', `FROM:<> ${parameters}`)!;
    return typeof path === 'string' ? path : refusalOfMail(path, 1000);
  };

  for (const fine of [
    '',
    'SIZE=1000',
    'size=0 body=8BitMime SMTPUTF8',
    'BODY=7BIT  AUTH=<> ',
    'RET=HDRS ENVID=a+2Bb',
  ]) {
    it(`${fine || 'none'} pass`, () => assert.equal(answer(fine), undefined));
  }

  for (const [bad, code] of [
    ['SIZE=1001', '552 5.3.4 '],
    ['SIZE', '501 '],
    ['SIZE=1e2', '501 '],
    [`SIZE=${'9'.repeat(21)}`, '501 '],
    ['SIZE=1 SIZE=2', '501 '],
    ['BODY=BINARYMIME', '501 '],
    ['BODY', '501 '],
    ['SMTPUTF8=yes', '501 '],
    ['REQUIRETLS', '555 '],
    ['ENVID=a\u0000b', '501 '],
    ['=x', '501 '],
  ] as const) {
    it(`${JSON.stringify(bad.slice(0, 30))} is refused`, () =>
      assert.ok(answer(bad)?.startsWith(code), answer(bad)));
  }
});
