import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { compileRules } from '../../lib/automation/compile.ts';
import { LIBRARY } from '../../lib/automation/library.ts';
import { MAX_TEXT, PatternMatcher } from '../../lib/automation/matcher.ts';
import { readPattern } from '../../lib/automation/pattern.ts';
import { seededRandom } from '../support/clock.ts';

function matcherOf(...patterns: string[]): PatternMatcher {
  return new PatternMatcher(
    patterns.flatMap((pattern, owner) => readPattern(pattern).map((fragments) => ({ owner, fragments }))),
  );
}

/** Indexes of the patterns that a text contains. */
function found(matcher: PatternMatcher, ...lines: string[]): number[] {
  const hits: number[] = [];
  matcher.scan(lines, hits);
  return [...new Set(hits)].sort((a, b) => a - b);
}

function matches(pattern: string, ...lines: string[]): boolean {
  return found(matcherOf(pattern), ...lines).length > 0;
}

describe('a pattern', () => {
  const rows: [pattern: string, text: string, expected: boolean][] = [
    ['too many connections', 'Error: too many connections from 192.0.2.1', true],
    ['Too Many', 'TOO MANY ERRORS', true],
    ['too many', 'too  \t many', true],
    ['too many', 'toomany', false],
    ['messages * deferred', 'All messages from 192.0.2.1 will be deferred', true],
    ['messages * deferred', 'deferred messages', false],
    ['messages * deferred', 'messages deferred', true],
    ['messages*deferred', 'messagesdeferred', true],
    ['aab*aab', 'aab', false],
    ['aab*aab', 'aaab', false],
    ['aab*aab', 'aabaab', true],
    ['abc*abc*abc', 'abc abc', false],
    ['abc*abc*abc', 'abcabcabc', true],
    ['abc*bcd', 'abcd', false],
    ['abc*bcd', 'abcd bcd', true],
    ['(ipv4|ipv6) deferred', 'messages from IPv6 deferred', true],
    ['(ipv4|ipv6) deferred', 'messages from IPv5 deferred', false],
    ['too many (concurrent |)sessions', 'too many sessions', true],
    ['too many (concurrent |)sessions', 'too many concurrent sessions', true],
    ['within \\d hours', 'within 24 hours', true],
    ['within \\d hours', 'within  hours', false],
    ['within \\d hours', 'within 2a hours', false],
    ['within \\d hours', 'within 24 days, within 7 hours', true],
    ['code\\dx', 'code1x', true],
    ['code\\dx', 'code code12345x', true],
    ['code\\dx', 'codex', false],
    ['code\\d.\\dend', 'code1.2end', true],
    ['code\\d.\\dend', 'code1.end', false],
    ['a\\dbab', 'ba1bab', true],
    ['a\\dba2x', 'a1ba2x', true],
    ['50\\* off', '50* off', true],
    ['\\(s3150\\)', 'our block list (S3150).', true],
    ['c:\\\\temp', 'in C:\\temp', true],
    ['[ts03]', '421 [TS03] all', true],
    ['[ts03]', '421 TS03 all', false],
    [' rbl ', 'rbl', true],
    [' rbl ', 'is in RBL', true],
    [' rbl ', 'rbls', false],
  ];

  it('is found at its position in the text', () => {
    for (const [pattern, text, expected] of rows)
      assert.equal(matches(pattern, text), expected, `${pattern} in ${text}`);
  });

  it('is found across a line break, which counts as a blank', () => {
    assert.ok(matches('mail originating from', 'unusual rate of mail originating', 'from your IP'));
    assert.ok(!matches('originatingfrom', 'originating', 'from'));
  });

  it('is found beside non-ASCII and control characters', () => {
    assert.ok(matches('essayer * tard', 'Veuillez essayer plus tard é 中'));
    assert.ok(!matches('cafe', 'café'));
    assert.ok(matches('too many', 'too\u0000\u0007many'));
  });

  it('is searched in the first 1,000 characters only', () => {
    assert.ok(matches('needle', `${'x'.repeat(MAX_TEXT - 8)} needle`));
    assert.ok(!matches('needle', `${'x'.repeat(MAX_TEXT - 7)} needle`));
    assert.ok(!matches('needle', 'x'.repeat(600), 'x'.repeat(600), 'needle'));
  });

  it('is found beside and within other patterns', () => {
    const matcher = matcherOf('connection rate', 'rate limit', 'rate', 'limited', 'connection * exceeded');
    assert.deepEqual(found(matcher, 'Connection rate limit exceeded'), [0, 1, 2, 4]);
    assert.deepEqual(found(matcher, 'nothing'), []);
    assert.deepEqual(
      found(matcher, 'Connection rate limit exceeded'),
      [0, 1, 2, 4],
      'nothing is kept from before',
    );
    assert.deepEqual(found(matcher, 'exceeded'), [], 'not even the beginning of a pattern');
  });

  it('agrees with a plain search on random texts', () => {
    const random = seededRandom(7);
    const letters = 'ab1 ';
    const text = (length: number): string =>
      Array.from({ length }, () => letters[Math.floor(random() * letters.length)]).join('');
    for (let round = 0; round < 3000; round += 1) {
      const parts = [`${text(2)}a`, `b${text(2)}`].map((part) => part.replaceAll(' ', 'b'));
      const subject = text(40);
      const plain = ` ${subject} `.replace(/ +/g, ' ');
      const first = plain.indexOf(parts[0]!);
      const expected = first >= 0 && plain.indexOf(parts[1]!, first + 3) >= 0;
      assert.equal(
        matches(parts.join('*'), subject),
        expected,
        `${parts.join('*')} in ${JSON.stringify(subject)}`,
      );
      const digits = new RegExp(`a\\d+${parts[1]}`).test(plain);
      if (!/^\d/.test(parts[1]!)) assert.equal(matches(`a\\d${parts[1]}`, subject), digits, subject);
    }
  });
});

describe('the work of matching', () => {
  /** Steps for texts of a length and twice that: linear matching doubles. */
  function growth(matcher: PatternMatcher, unit: string): number {
    const work = (length: number): number => matcher.scan([unit.repeat(length).slice(0, length)], []);
    return work(800) / work(400);
  }

  it('grows linearly for patterns and texts on which backtracking explodes', () => {
    const hostile: [string[], string][] = [
      [['aaa*aaa*aaa*aaa*aaa*aaa*aaa*aab'], 'a'],
      [['aaaaaaaaaaaaaaaaaaaab', 'aaaaaaaaaab', 'aaab'], 'a'],
      [['xxx\\dxxx', 'x\\dx\\dx\\dxyz'], 'xxx1'],
      [['(aaa|aaaa|aaaaa)(aaa|aaaa|aaaaa)b'], 'a'],
      [['ab ab ab*ab ab ac'], 'ab '],
    ];
    for (const [patterns, unit] of hostile) {
      const ratio = growth(matcherOf(...patterns), unit);
      assert.ok(ratio > 1.9 && ratio < 2.1, `${patterns.join(' ')}: ${ratio}`);
    }
  });

  it('is at most two steps per character with the whole library, for any text', () => {
    const { matcher } = compileRules(LIBRARY);
    for (const { samples } of LIBRARY) {
      for (const sample of samples) {
        const work = matcher.scan([sample], []);
        assert.ok(
          work <= 2 * (sample.length + 2),
          `${work} steps for ${sample.length} characters: ${sample}`,
        );
      }
    }
    for (const unit of ['too many ', '(', 'a', 'blocked using ', '1', 'temporarily ']) {
      assert.ok(matcher.scan([unit.repeat(1000)], []) <= 3 * MAX_TEXT, unit);
    }
  });

  it('ends at the limit for a reply of any length', () => {
    const work = matcherOf('needle').scan(
      Array.from({ length: 1000 }, () => 'x'.repeat(1000)),
      [],
    );
    assert.equal(work, MAX_TEXT);
  });
});
