import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { parseMessage } from '../../lib/mail/message.ts';
import { sanitise } from '../../lib/mail/sanitise.ts';

const bytes = (text: string): Buffer => Buffer.from(text, 'latin1');
const normalised = (text: string): string => sanitise(bytes(text), 'normalise').toString('latin1');
const HEADER = 'From: a@b.example\r\n\r\n';

/** Sequences that some servers accept as the end of a message (SEC Consult 2023, USENIX Security '25). */
const SMUGGLERS = [
  '\n.\n',
  '\n.\r',
  '\r.\n',
  '\r.\r',
  '\n.\r\n',
  '\r.\r\n',
  '\r\n.\n',
  '\r\n.\r',
  '\n\n.\r\n',
  '\r\r.\r\n',
  '\r\n.\r\r\n',
  '\r\r\n.\r\r\n',
  '\r\r\n.\r\n',
  '\r\n\0.\r\n',
  '\r\n.\0\r\n',
  '\r\0\n.\r\0\n',
];

describe('a smuggled end of message', () => {
  const second = 'MAIL FROM:<ceo@bank.example>\r\nRCPT TO:<x@y.example>\r\nDATA\r\nFrom: ceo\r\n';
  for (const end of SMUGGLERS) {
    it(`${JSON.stringify(end)} is refused or removed`, () => {
      const raw = bytes(`${HEADER}hello${end}${second}`);
      assert.throws(() => sanitise(raw, 'refuse'), { code: 'line_break_refused' });
      const clean = sanitise(raw, 'normalise').toString('latin1');
      assert.doesNotMatch(clean, /\0|\r(?!\n)|(?<!\r)\n/);
      // As the SMTP client sends it: a line's first dot is doubled (RFC 5321 §4.5.2).
      const sent = clean.replace(/^\./gm, '..');
      assert.doesNotMatch(sent, /[\r\n]\0*\.\0*[\r\n]/);
      assert.deepEqual(sanitise(bytes(clean), 'refuse'), bytes(clean));
    });
  }

  it('in the header is refused or removed, too', () => {
    assert.equal(
      normalised('From: a@b.example\nSubject: x\r\r\nTo: c@d.example\n\rbody'),
      'From: a@b.example\r\nSubject: x\r\nTo: c@d.example\r\n\r\nbody\r\n',
    );
  });
});

describe('a clean message', () => {
  it('comes back as the same Buffer', () => {
    const texts = [
      `${HEADER}hello\r\n`,
      `${HEADER}\r\n\r\n`,
      `${HEADER}${'x'.repeat(998)}\r\n`,
      `A: ${'x'.repeat(995)}\r\n\r\n`,
      '\r\n',
    ];
    for (const text of texts) {
      const raw = bytes(text);
      assert.equal(sanitise(raw, 'refuse'), raw);
      assert.equal(sanitise(raw, 'normalise'), raw);
    }
  });
});

describe('line breaks', () => {
  it('become CRLF, each stray one by itself; several CR before an LF are one', () => {
    assert.equal(normalised('a\nb\rc\r\nd\n\re\r\r\n'), 'a\r\nb\r\nc\r\nd\r\n\r\ne\r\n');
    assert.equal(normalised('a\r\r\rb\r\0\r\nc'), 'a\r\n\r\n\r\nb\r\nc\r\n');
  });

  it('are added to a last line without one, in both modes', () => {
    for (const mode of ['refuse', 'normalise'] as const) {
      assert.equal(sanitise(bytes(`${HEADER}end`), mode).toString(), `${HEADER}end\r\n`);
      assert.equal(sanitise(bytes(''), mode).toString(), '\r\n');
    }
  });

  it('that are refused are named with their line', () => {
    const cases: [string, RegExp][] = [
      ['a\r\nb\r', /Line 2 has a bare CR/],
      ['a\nb', /Line 1 has a bare LF/],
      ['a\r\n\r\nb\0', /Line 3 has a bare NUL/],
      ['a\r\r\n', /Line 1 has a bare CR/],
    ];
    for (const [text, message] of cases) {
      assert.throws(() => sanitise(bytes(text), 'refuse'), { code: 'line_break_refused', message });
    }
  });
});

describe('a long line', () => {
  const lines = (text: string): string[] => normalised(text).split('\r\n');

  it('of the header is folded at blanks', () => {
    const value = 'word '.repeat(400).trim();
    const folded = lines(`X: ${value}\r\nY: 1\r\n\r\n`);
    assert.ok(folded.every((line) => line.length <= 78));
    const { fields } = parseMessage(sanitise(bytes(`X: ${value}\r\nY: 1\r\n\r\n`), 'refuse'));
    assert.equal(fields[0]?.raw.replaceAll('\r\n', ''), `X: ${value}`);
    assert.equal(fields[1]?.raw, 'Y: 1');
  });

  it('of the header may be a continuation', () => {
    const folded = normalised(`X: 1\r\n \t ${'word '.repeat(300)}\r\n\r\n`);
    assert.equal(folded.replace(/\r\n(?=[ \t])/g, ''), `X: 1 \t ${'word '.repeat(300)}\r\n\r\n`);
    for (const line of folded.slice(0, -4).split('\r\n')) assert.match(line, /[^ \t]/);
  });

  it('of the header without a blank is refused', () => {
    for (const text of [`X: ${'x'.repeat(1000)}`, `X:${'x'.repeat(998)}`, `X: 1\r\n ${'x'.repeat(998)}`]) {
      assert.throws(() => sanitise(bytes(`${text}\r\n\r\n`), 'normalise'), { code: 'invalid_header' });
    }
  });

  it('of the body is broken at 998 octets by CRLF and a space', () => {
    const [, , first, second, third, last] = lines(`${HEADER}${'x'.repeat(2500)}\r\n`);
    assert.deepEqual(
      [first, second, third, last],
      ['x'.repeat(998), ` ${'x'.repeat(997)}`, ` ${'x'.repeat(505)}`, ''],
    );
    assert.equal(lines(`${HEADER}${'x'.repeat(999)}\r\n`).length, 5);
    assert.equal(lines(`${HEADER}${'x'.repeat(998)}\r\n`).length, 4);
  });

  it('of the body is not broken inside a character', () => {
    for (const lead of ['', 'x', 'xx', 'xxx']) {
      const body = Buffer.from(`${lead}${'€𝒳é'.repeat(300)}\r\n`, 'utf8');
      const clean = sanitise(Buffer.concat([bytes(HEADER), body]), 'refuse').toString('utf8');
      assert.doesNotMatch(clean, /\ufffd/);
      assert.equal(clean.replaceAll('\r\n ', ''), HEADER + body.toString('utf8'));
    }
  });

  it('of bytes that are not UTF-8 is also broken', () => {
    const broken = lines(`${HEADER}${'\x80'.repeat(5000)}\r\n`);
    assert.ok(broken.every((line) => line.length <= 998));
  });
});

describe('hostile input', () => {
  // Quadratic work on these would exceed the time of the test.
  const inputs = {
    'CR alone': '\r'.repeat(2_000_000),
    'LF alone': '\n'.repeat(2_000_000),
    'NUL alone': '\0'.repeat(2_000_000),
    'one endless line': `${HEADER}${'x'.repeat(4_000_000)}`,
    'one endless header': `X: ${'x '.repeat(2_000_000)}\r\n\r\n`,
    'blanks alone': `X: 1\r\n${' '.repeat(2_000_000)}x\r\n\r\n`,
  };
  for (const [what, text] of Object.entries(inputs)) {
    it(`of ${what} is sanitised in linear time`, { timeout: 20_000 }, () => {
      try {
        const clean = normalised(text);
        assert.ok(clean.split('\r\n').every((line) => line.length <= 998));
      } catch (error) {
        assert.equal((error as { code?: string }).code, 'invalid_header');
      }
    });
  }
});
