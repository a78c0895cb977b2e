import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  formatAddress,
  parseAddress,
  parseAddressList,
  parseEnvelopeAddress,
  parseEnvelopeSender,
  parseSender,
  parseSenders,
} from '../../lib/mail/address.ts';

const refused = { code: 'invalid_address' };

describe('an address', () => {
  it('is parsed into its parts', () => {
    assert.deepEqual(parseAddress('Alice Example <Alice@Example.COM>'), {
      name: 'Alice Example',
      local: 'Alice',
      domain: 'example.com',
      address: 'Alice@example.com',
      utf8: false,
    });
  });

  it('needs no display name', () => {
    for (const text of ['a@b.example', '<a@b.example>', ' a@b.example ', '(c) a (c) @ (c) b.example (c)']) {
      const { name, address } = parseAddress(text);
      assert.deepEqual({ name, address }, { name: '', address: 'a@b.example' }, text);
    }
  });

  const names: [string, string][] = [
    ['John Q. Public', 'John Q. Public'],
    ['Acme [Support]', 'Acme [Support]'],
    ['"Smith, John"', 'Smith, John'],
    ['"a \\"quoted\\" \\\\ name"', 'a "quoted" \\ name'],
    ['Jörg Müller', 'Jörg Müller'],
    ['=?utf-8?q?J=C3=B6rg?=', 'Jörg'],
    ['=?ISO-8859-1?B?SvZyZw==?= =?iso-8859-1?q?_M=FCller?=', 'Jörg Müller'],
    ['=?utf-8?b?4oI=?= =?utf-8?b?rA==?=', '€'],
    ['=?x-unknown?q?a?=', '=?x-unknown?q?a?='],
    ['"=?utf-8?q?a?="', '=?utf-8?q?a?='],
    ['Name (a (nested) comment \\) )', 'Name'],
    ['=?utf-8?q?a=0D=0ABcc=3A_x?=', 'a  Bcc: x'],
  ];
  for (const [written, name] of names) {
    it(`has the name ${JSON.stringify(name)} when written ${written}`, () => {
      const a = parseAddress(`${written} <a@b.example>`);
      assert.equal(a.name, name);
      assert.equal(a.address, 'a@b.example');
    });
  }

  it('keeps a quoted local part, and unquotes one that needs no quotes', () => {
    assert.equal(parseAddress('"john"@b.example').address, 'john@b.example');
    const a = parseAddress('"john \\"x\\" doe"@b.example');
    assert.equal(a.local, 'john "x" doe');
    assert.equal(a.address, '"john \\"x\\" doe"@b.example');
    assert.deepEqual(parseEnvelopeAddress(a.address), a);
  });

  it('has a domain of A-labels', () => {
    const domains: [string, string][] = [
      ['münchen.example', 'xn--mnchen-3ya.example'],
      ['MÜNCHEN.EXAMPLE', 'xn--mnchen-3ya.example'],
      ['例え。jp', 'xn--r8jz45g.jp'],
      ['XN--MNCHEN-3YA.example', 'xn--mnchen-3ya.example'],
      ['ｅｘａｍｐｌｅ.com', 'example.com'],
      ['\u212Aelvin.example', 'kelvin.example'],
      ['localhost', 'localhost'],
      ['no-xn--label.example', 'no-xn--label.example'],
    ];
    for (const [written, domain] of domains)
      assert.equal(parseAddress(`a@${written}`).domain, domain, written);
  });

  it('may have a UTF-8 local part, and is marked so', () => {
    const a = parseAddress('用户 <用户@example.com>');
    assert.deepEqual([a.local, a.utf8, a.address], ['用户', true, '用户@example.com']);
    assert.deepEqual(parseEnvelopeAddress('用户@example.com'), { ...a, name: '' });
  });

  it('may have an address literal as its domain', () => {
    assert.equal(parseAddress('a@[192.0.2.1]').domain, '[192.0.2.1]');
    assert.equal(parseEnvelopeAddress('a@[ipv6:2001:DB8::1]').address, 'a@[IPv6:2001:db8::1]');
    for (const literal of [
      '',
      '300.0.0.1',
      '192.0.2',
      '2001:db8::1',
      'IPv6:fe80::1%eth0',
      'tag:x',
      '1[',
      'a b',
    ]) {
      assert.throws(() => parseAddress(`a@[${literal}]`), refused, literal);
    }
  });

  it('has lengths that RFC 5321 allows', () => {
    const local = 'l'.repeat(64);
    assert.equal(parseAddress(`${local}@b.example`).local, local);
    assert.throws(() => parseAddress(`${local}l@b.example`), refused);
    assert.equal(parseAddress(`${'é'.repeat(32)}@b.example`).utf8, true);
    assert.throws(() => parseAddress(`${'é'.repeat(32)}l@b.example`), refused);
    // The quotes travel too, so they count.
    assert.throws(() => parseAddress(`"${'l'.repeat(62)} l"@b.example`), refused);

    const label = 'd'.repeat(63);
    assert.equal(parseAddress(`a@${label}.example`).domain, `${label}.example`);
    assert.throws(() => parseAddress(`a@${label}d.example`), refused);
    const domain = `${label}.${label}.${label}.${'d'.repeat(61)}`;
    assert.equal(domain.length, 253);
    assert.throws(() => parseAddress(`a@${domain}d`), refused);
    assert.throws(() => parseAddress(`ab@${domain}`), refused, '256 octets in all');
    assert.equal(parseAddress(`ab@${domain.slice(2)}`).address.length, 254);
    assert.throws(() => parseAddress(`abc@${domain.slice(2)}`), refused);
    assert.throws(() => parseAddress(`a@${'ü'.repeat(80)}.example`), refused);
  });

  const bad = [
    '',
    ' ',
    'a',
    'a@',
    '@b.example',
    '<>',
    '<a>',
    'a b@b.example',
    'a@b@c.example',
    'a@b.example c@d.example',
    'a@b.example,c@d.example',
    'a@b.example;',
    'a@b.example>',
    '<a@b.example',
    '<a@b.example> x',
    '<a@b.example><c@d.example>',
    '<<a@b.example>>',
    '<a@b.example c>',
    'Name a@b.example',
    '"a@b.example',
    '"a"b@c.example',
    'a."b".c@d.example',
    '""@b.example',
    '"a\tb"@c.example',
    '.a@b.example',
    'a.@b.example',
    'a..b@c.example',
    'a@b..example',
    'a@.example',
    'a@b.example.',
    'a@-b.example',
    'a@b-.example',
    'a@b_c.example',
    'a@b.example/x',
    'a@127.0.0.1',
    'a@127.1',
    'a@0x7f.1',
    'a@0x7f',
    'a@exa\u2100mple.com',
    'a@exa／mple.com',
    'a@xn--a.example',
    'a@b.xn--abc-d--',
    'a@xn--999999999.example',
    'a@b.example:25',
    'group: a@b.example;',
    '(open a@b.example',
    'a@b.example (open',
    'a\u0085b@c.example',
    'a\u2028b@c.example',
    'a\u00a0b@c.example',
    'a\ud800b@c.example',
    '\ufeffa@c.example',
    'a\ufffd@c.example',
    `${'('.repeat(17)}${')'.repeat(17)}a@b.example`,
  ];
  for (const text of bad) {
    it(`is not ${JSON.stringify(text)}`, () => {
      assert.throws(() => parseAddress(text), refused);
    });
  }
});

describe('an envelope address', () => {
  it('has no display name, comment or blank, which would be SMTP syntax', () => {
    const bad = [
      'Name <a@b.example>',
      '<a@b.example>',
      ' a@b.example',
      'a@b.example ',
      'a@b.example SIZE=1',
      'a(c)@b.example',
      'a@(c)b.example',
      'a @b.example',
      'a@ b.example',
      'a@b.example> RCPT TO:<c@d.example',
      'a@b.example\r\nRCPT TO:<c@d.example>',
      '"a\r\nb"@c.example',
      '"a\0b"@c.example',
      'a@b.example\n',
      'a@b.example\0',
      '@relay.example:a@b.example',
      'postmaster',
      '',
    ];
    for (const text of bad) assert.throws(() => parseEnvelopeAddress(text), refused, JSON.stringify(text));
  });

  it('may be quoted', () => {
    assert.equal(parseEnvelopeAddress('"a b>c"@d.example').local, 'a b>c');
  });
});

describe('one text that could be two addresses', () => {
  it('is refused, or read in the one way of RFC 5322', () => {
    // The quoted string is the local part: the mail is for internal.example.
    const quoted = parseAddress('"victim@gmail.com x"@internal.example');
    assert.deepEqual([quoted.local, quoted.domain], ['victim@gmail.com x', 'internal.example']);
    assert.deepEqual(
      parseAddressList('"a@b.example, c@d.example" <e@f.example>').map((a) => a.address),
      ['e@f.example'],
    );
    assert.deepEqual(
      parseAddressList('x (a@b.example, "c) <e@f.example>').map((a) => a.address),
      ['e@f.example'],
    );
    const lures = [
      'ceo@bank.example <thief@evil.example>',
      '=?utf-8?q?=61=62?=c@evil.example',
      '<@bank.example:thief@evil.example>',
      '<@a.example,@b.example:c@d.example>',
      'a@bank.example(<b@evil.example>)x',
      'xn--bank<a@evil.example',
    ];
    for (const text of lures) assert.throws(() => parseAddress(text), refused, text);
  });

  it('treats an encoded word as a display name, also when it decodes to an address', () => {
    const a = parseAddress('=?utf-8?q?=3Cceo=40bank.example=3E=2C?= <a@b.example>');
    assert.equal(a.name, '<ceo@bank.example>,');
    assert.equal(a.address, 'a@b.example');
    assert.deepEqual(parseAddress(formatAddress(a)), a);
  });

  it('may have its own address as the display name', () => {
    assert.equal(parseAddress('A@b.example <a@b.example>').name, 'A@b.example');
  });
});

describe('an address list', () => {
  it('has groups, names with commas, and gaps', () => {
    const text = 'A <a@b.example>, team: c@d.example, "E, F" <e@f.example>;,, g@h.example,';
    assert.deepEqual(
      parseAddressList(text).map((a) => a.address),
      ['a@b.example', 'c@d.example', 'e@f.example', 'g@h.example'],
    );
    assert.deepEqual(parseAddressList('undisclosed-recipients:;'), []);
    assert.deepEqual(parseAddressList(''), []);
  });

  it('is refused as a whole when a part of it is not an address', () => {
    const bad = [
      'a@b.example; c@d.example',
      'g: a@b.example',
      'g: h: a@b.example;;',
      ': a@b.example;',
      'a@b.example, Smith',
      'Smith, John <a@b.example>',
      'a@b.example c@d.example',
      'g: a@b.example; c@d.example',
      ';',
    ];
    for (const text of bad) assert.throws(() => parseAddressList(text), refused, text);
  });
});

describe('the address of a sender', () => {
  it('is the one that is parsed, each time, and nobody can change it', () => {
    const texts = [
      'Ann <a@b.example>',
      'a@b.example',
      '"x y"@b.example',
      'Jörg <jörg@b.example>',
      `${'n'.repeat(300)} <a@b.example>`,
    ];
    for (let turn = 0; turn < 3; turn++)
      for (const text of texts) {
        assert.deepEqual(parseSender(text), parseAddress(text));
        assert.deepEqual(parseSenders(text), parseAddressList(text));
      }
    assert.equal(parseSender(texts[0]!), parseSender(texts[0]!), 'which is kept');
    assert.notEqual(parseSender(texts[4]!), parseSender(texts[4]!), 'a long one is not');
    assert.throws(() => Object.assign(parseSender(texts[0]!), { address: 'x@y.example' }), TypeError);
    assert.throws(() => Object.assign(parseSenders(texts[0]!)[0]!, { name: 'Eve' }), TypeError);
    assert.deepEqual(parseEnvelopeSender('a@b.example'), parseEnvelopeAddress('a@b.example'));
  });

  it('is read by each of the three in its own way', () => {
    assert.equal(parseSenders('a@b.example, c@d.example').length, 2);
    assert.throws(() => parseSender('a@b.example, c@d.example'), refused);
    assert.equal(parseSender('Ann <a@b.example>').name, 'Ann');
    assert.throws(() => parseEnvelopeSender('Ann <a@b.example>'), refused);
  });

  it('is refused each time, and so is one that is no text', () => {
    for (let turn = 0; turn < 2; turn++)
      for (const text of ['', 'a', 'a@b@c.example', 'a\ud800@b.example', 'a\ufffd@b.example'])
        assert.throws(() => parseSender(text), refused, text);
  });
});

describe('an address in a header', () => {
  const shown: [string, string][] = [
    ['', 'a@b.example'],
    ['Alice Example', 'Alice Example <a@b.example>'],
    ['Smith, John', '"Smith, John" <a@b.example>'],
    ['a "b" \\', '"a \\"b\\" \\\\" <a@b.example>'],
    [' led', '" led" <a@b.example>'],
    ['Jörg Example', '=?UTF-8?Q?J=C3=B6rg_Example?= <a@b.example>'],
    ['日本', '=?UTF-8?B?5pel5pys?= <a@b.example>'],
    ['=?utf-8?q?a?=', '=?UTF-8?B?PT91dGYtOD9xP2E/PQ==?= <a@b.example>'],
  ];
  for (const [name, text] of shown) {
    it(`with the name ${JSON.stringify(name)} is ${text}`, () => {
      assert.equal(formatAddress({ ...parseAddress('a@b.example'), name }), text);
    });
  }

  it('has encoded words of at most 75 characters, cut between characters', () => {
    const name = `${'Ünïcödé €𝒳 '.repeat(30)}.`;
    const a = { ...parseAddress('a@b.example'), name };
    const text = formatAddress(a);
    for (const word of text.split(' ').slice(0, -1)) {
      assert.ok(word.length <= 75, word);
      assert.doesNotMatch(parseAddress(`${word} <a@b.example>`).name, /\ufffd/);
    }
    assert.equal(parseAddress(text).name, name);
  });

  it('never carries a line break', () => {
    for (const name of ['a\r\nBcc: x', 'a\nb', 'a\rb', 'a\0b', 'a\u007f']) {
      assert.throws(() => formatAddress({ ...parseAddress('a@b.example'), name }), {
        code: 'invalid_header',
      });
    }
  });
});

describe('hostile input', () => {
  // Quadratic work on a million characters would not end within the time of the test.
  const million = 1_000_000;
  const texts = {
    comments: '('.repeat(million),
    'closed comments': `${'()'.repeat(million / 2)}@`,
    quotes: '"'.repeat(million),
    'escaped quotes': `"${'\\"'.repeat(million / 2)}`,
    angles: '<'.repeat(million),
    'at signs': 'a@'.repeat(million / 2),
    dots: `${'a.'.repeat(million / 2)}@`,
    commas: `${','.repeat(million)}a`,
    words: `${'a '.repeat(million / 2)}@b`,
    'encoded words': `${'=?utf-8?q?'.repeat(million / 10)} <`,
    'encoded word starts': `${'=?'.repeat(million / 2)} <`,
    blanks: `a${' '.repeat(million)}b`,
    groups: 'a:'.repeat(million / 2),
    colons: ':'.repeat(million),
    'empty groups': `${'a:;,'.repeat(million / 4)}<`,
    hyphens: `a@${'-'.repeat(million)}`,
    labels: `a@${'a.'.repeat(million / 2)}`,
    brackets: `a@${'['.repeat(million)}`,
  };
  for (const [what, text] of Object.entries(texts)) {
    it(`of ${what} is refused in linear time`, { timeout: 20_000 }, () => {
      for (const parse of [parseAddress, parseAddressList, parseEnvelopeAddress]) {
        assert.throws(() => parse(text), refused);
      }
    });
  }
});
