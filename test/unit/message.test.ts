import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { relaxedField } from '../../lib/mail/dkim.ts';
import {
  fieldValue,
  findField,
  makeField,
  parseMessage,
  serialise,
  unfoldedValue,
} from '../../lib/mail/message.ts';
import { takeSesHeaders } from '../../lib/mail/ses-headers.ts';

const bytes = (text: string): Buffer => Buffer.from(text, 'latin1');
const parse = (text: string) => {
  const { fields, body } = parseMessage(bytes(text));
  return { fields, body: body.toString('latin1') };
};
const invalid = { code: 'invalid_header' };

describe('a message', () => {
  it('is split into fields, exact and still folded, and a body that shares its bytes', () => {
    const source = bytes('From: a@b.example\r\nSubject: one\r\n\ttwo\r\n  three\r\nX-Empty:\r\n\r\nbody\r\n');
    const { fields, body } = parseMessage(source);
    assert.deepEqual(fields, [
      { name: 'from', raw: 'From: a@b.example' },
      { name: 'subject', raw: 'Subject: one\r\n\ttwo\r\n  three' },
      { name: 'x-empty', raw: 'X-Empty:' },
    ]);
    assert.equal(body.toString(), 'body\r\n');
    assert.equal(body.buffer, source.buffer);
  });

  it('without an empty line is all header', () => {
    assert.deepEqual(parse('A: 1\r\nB: 2\r\n'), {
      fields: [
        { name: 'a', raw: 'A: 1' },
        { name: 'b', raw: 'B: 2' },
      ],
      body: '',
    });
    assert.deepEqual(parse('A: 1'), parse('A: 1\r\n'));
    assert.deepEqual(parse('A: 1\r\n\r\n'), parse('A: 1\r\n'));
  });

  it('that begins with an empty line has no header', () => {
    assert.deepEqual(parse('\r\nA: 1\r\n\r\nx'), { fields: [], body: 'A: 1\r\n\r\nx' });
    assert.deepEqual(parse('\r\n'), { fields: [], body: '' });
    assert.deepEqual(parse(''), { fields: [], body: '' });
  });

  it('may have a body of empty lines', () => {
    assert.equal(parse('A: 1\r\n\r\n\r\n\r\n').body, '\r\n\r\n');
  });

  const notFields = [
    'Hello, world\r\n\r\nbody',
    ' folded first\r\nA: 1\r\n\r\n',
    '\tfolded first\r\nA: 1\r\n\r\n',
    'From alice@b.example Sat Nov 21 09:05:00 2026\r\nFrom: a@b.example\r\n\r\n',
    'A: 1\r\nno field\r\nB: 2\r\n\r\n',
    'A : 1\r\n\r\n',
    ': 1\r\n\r\n',
    'A\u00e4: 1\r\n\r\n',
    'A\x7f: 1\r\n\r\n',
  ];
  for (const text of notFields) {
    it(`is refused with the line ${JSON.stringify(text.slice(0, 25))}`, () => {
      assert.throws(() => parse(text), invalid);
    });
  }

  it('has no bare CR, LF or NUL among its fields', () => {
    for (const text of [
      'A: 1\rB: 2\r\n\r\n',
      'A: 1\nB: 2\r\n\r\n',
      'A: 1\n x\r\n\r\n',
      'A: \0\r\n\r\n',
      'A: 1\n x\r\r\n\r\n',
    ]) {
      assert.throws(() => parse(text), { code: 'line_break_refused' }, JSON.stringify(text));
    }
  });

  it('loses folded lines of blanks alone, which some parsers take for the end of the header', () => {
    assert.deepEqual(parse('A: 1\r\n \t \r\nB: 2\r\n \r\n x\r\n\t\r\n\r\nbody').fields, [
      { name: 'a', raw: 'A: 1' },
      { name: 'b', raw: 'B: 2\r\n x' },
    ]);
  });

  it('has at most 1,000 fields and 256 KiB of header', () => {
    assert.equal(parse(`${'A: 1\r\n'.repeat(1000)}\r\n`).fields.length, 1000);
    assert.throws(() => parse(`${'A: 1\r\n'.repeat(1001)}\r\n`), invalid);
    const line = `A: ${'x'.repeat(995)}\r\n`;
    const fill = line.repeat(262);
    const rest = `B: ${'x'.repeat(256 * 1024 - fill.length - 3)}`;
    assert.equal(parse(`${fill}${rest}\r\n\r\n`).fields.length, 263);
    assert.throws(() => parse(`${fill}${rest}x\r\n\r\n`), invalid);
    assert.throws(() => parse('x'.repeat(1_000_000)), invalid);
  });

  it('is written back unchanged', () => {
    const text = 'A:1\r\nb:  \xe4\xff \r\n\t x\r\n\r\n\xff\r\n.\r\n';
    const { fields, body } = parseMessage(bytes(text));
    assert.equal(serialise(fields, body).toString('latin1'), text);
    assert.equal(serialise(fields, body, 'Trace: 1\r\n').toString('latin1'), `Trace: 1\r\n${text}`);
  });
});

describe('a field', () => {
  const field = (raw: string) => ({ name: 'x', raw });

  it('is found by its name, the first of several', () => {
    const { fields } = parse('A: 1\r\na: 2\r\n\r\n');
    assert.equal(findField(fields, 'a')?.raw, 'A: 1');
    assert.equal(findField(fields, 'b'), undefined);
  });

  it('has a value, unfolded, trimmed and decoded', () => {
    assert.equal(fieldValue(field('X:  one\r\n two\r\n\tthree  ')), 'one two\tthree');
    assert.equal(fieldValue(field('X:')), '');
    assert.equal(fieldValue(field('X: =?utf-8?q?=E2=82=AC?=\r\n =?utf-8?q?_1?=')), '€ 1');
    assert.equal(fieldValue(field('X: \xe2\x82\xac')), '€');
  });

  it('has a value that addresses are parsed from, not decoded', () => {
    assert.equal(unfoldedValue(field('X: =?utf-8?q?a=40b?=\r\n <c@d>')), '=?utf-8?q?a=40b?= <c@d>');
  });

  it('keeps the bytes of a character that ends in A0', () => {
    assert.equal(fieldValue(field('X: \xc3\xa0')), 'à');
  });
});

describe('a field that is made', () => {
  const unfold = (raw: string): string => raw.replaceAll('\r\n', '');

  it('has no line break for any value', () => {
    for (const value of ['a\r\nBcc: x', 'a\nb', 'a\rb', 'a\0b', 'a\x0bb', 'a\x7f']) {
      assert.throws(() => makeField('Subject', value), invalid, JSON.stringify(value));
    }
    for (const name of ['', 'A B', 'A:', 'A\r\nB', 'Ä', 'A\0']) {
      assert.throws(() => makeField(name, 'x'), invalid, JSON.stringify(name));
    }
  });

  it('carries other text as encoded words without line separators', () => {
    const f = makeField('Subject', 'Grüße\u2028und\u0085Küsse');
    assert.match(f.raw, /^Subject: =\?UTF-8\?[\x21-\x7e]+\?=$/);
    assert.equal(fieldValue(makeField('Subject', 'Grüße 👋')), 'Grüße 👋');
  });

  it('carries UTF-8 unchanged where an encoded word would not be decoded', () => {
    assert.equal(makeField('To', '用户@b.example').raw, 'To: \xe7\x94\xa8\xe6\x88\xb7@b.example');
    assert.equal(fieldValue(makeField('To', '用户@b.example')), '用户@b.example');
  });

  it('is one line up to 78 octets, and folded from 79', () => {
    const value = `${'a'.repeat(60)} ${'b'.repeat(8)}`;
    assert.equal(makeField('Subject', value).raw, `Subject: ${value}`);
    assert.equal(makeField('Subject', `${value}b`).raw, `Subject: ${'a'.repeat(60)}\r\n ${'b'.repeat(9)}`);
  });

  it('is folded without a change to its value', () => {
    const value = `${'word  and\tword '.repeat(40)}${'x'.repeat(300)} end`;
    const { raw } = makeField('X-Long', value);
    assert.equal(unfold(raw), `X-Long: ${value}`);
    const lines = raw.split('\r\n');
    assert.ok(lines.length > 5);
    for (const line of lines) {
      assert.match(line, /[^ \t]/);
      assert.ok(line.length <= 78 || line.trim().length === 300, line);
    }
  });

  it('never has a line over 998 octets', () => {
    assert.equal(makeField('A', 'x'.repeat(995)).raw, `A: ${'x'.repeat(995)}`);
    assert.equal(makeField('A', 'x'.repeat(997)).raw, `A:\r\n ${'x'.repeat(997)}`);
    assert.throws(() => makeField('References', 'x'.repeat(998)), invalid);
    assert.throws(() => makeField('References', `a ${'x'.repeat(998)}`), invalid);
    const words = makeField('A', 'x'.repeat(998));
    assert.equal(fieldValue(words), 'x'.repeat(998), 'running text is encoded');
    for (const line of words.raw.split('\r\n')) assert.ok(line.length <= 76);
    assert.equal(makeField('A', `a ${'x'.repeat(997)}`).raw, `A: a\r\n ${'x'.repeat(997)}`);
  });
});

describe('a hostile header', () => {
  // Dozens of rounds of quadratic work on 250,000 characters would exceed the time of the test.
  const fill = (piece: string): string => piece.repeat(Math.floor(250_000 / piece.length));
  const values = {
    blanks: `x${fill(' ')}x`,
    'blanks and words': fill('x '),
    'folds of blanks': `x${fill('\r\n \t')}x`,
    'folded words': `x${fill('\r\n x')}`,
    'starts of encoded words': fill('=?'),
    'encoded words': fill('=?utf-8?q?=41?= '),
    'encoded words without an end': fill('=?utf-8?q?'),
    'charsets of its own': Array.from({ length: 10_000 }, (_, i) => `=?x-${i}?q?a?=`).join(' '),
    equals: fill('='),
    tags: `${fill('a=b,')}a=b`,
  };
  for (const [what, value] of Object.entries(values)) {
    it(`of ${what} is read in linear time`, { timeout: 20_000 }, () => {
      const { fields } = parseMessage(bytes(`Subject: ${value}\r\nX-SES-MESSAGE-TAGS: a=b\r\n\r\n`));
      const [subject] = fields;
      fieldValue(subject!);
      relaxedField(subject!);
      takeSesHeaders([{ name: 'x-ses-unheard-of', raw: subject!.raw }]);
      for (const name of ['To', 'Subject']) {
        try {
          makeField(name, unfoldedValue(subject!));
        } catch (error) {
          assert.equal((error as { code?: string }).code, 'invalid_header');
        }
      }
    });
  }
});
