/**
 * Regular expressions on replies, as PowerMTA and KumoMTA have them, to the patterns of Postern's rules
 * (lib/automation/pattern.ts), with a reply that proves each.
 */
import { PatternError, readPattern } from '../../automation/pattern.ts';

export interface ReplyPattern {
  /** Reply codes that the expression demands at its beginning: `421`, `4xx`. */
  readonly code?: string | number;
  /** A pattern each. */
  readonly text?: readonly string[];
  /** A reply for each of the texts. */
  readonly samples: readonly string[];
}

/**
 * Translates an expression. @throws PatternError when it says what no pattern can: look-ahead, repetition of words,
 * classes of letters.
 */
export function replyPatternOf(expression: string): ReplyPattern {
  const { code, rest } = codeOf(expression);
  const texts = rest.trim() === '' ? [] : textsOf(rest);
  for (const text of texts) readPattern(text);
  if (texts.length === 0) {
    if (code === undefined) throw new PatternError('matches any reply');
    return { code, samples: [`${firstCode(code)} Refused`] };
  }
  const samples = texts.map((text) => `${firstCode(code)} ${sampleOf(text)}`);
  return { ...(code !== undefined && { code }), text: texts, samples };
}

/** The code at the beginning: `^421`, `^4\d\d`, `^4[0-9][0-9]`, `^(421|451)`. */
function codeOf(expression: string): { code?: string | number; rest: string } {
  const exact = /^\^\s*([45]\d\d)(?!\d)(?:[\s-]|\\s[*+]?|\.\*|\[- \])*/.exec(expression);
  if (exact) return { code: Number(exact[1]), rest: expression.slice(exact[0].length) };
  const any =
    /^\^?\s*([45])(?:\\d\\d|\\d\{2\}|\[0-9\]\[0-9\]|\[0-9\]\{2\}|\.\.)(?:[\s-]|\\s[*+]?|\.\*)*/.exec(
      expression,
    );
  if (any) return { code: `${any[1]}xx`, rest: expression.slice(any[0].length) };
  return { rest: expression };
}

function firstCode(code: string | number | undefined): string {
  return code === undefined ? '421' : String(code).replace('xx', '50');
}

const LONGEST = 1_000;
const MOST_BRANCHES = 64;

/** The alternatives of an expression, each as a pattern. */
function textsOf(expression: string): string[] {
  if (expression.length > LONGEST) throw new PatternError(`has more than ${LONGEST} characters`);
  const branches = splitAlternatives(expression);
  const texts = branches.flatMap((branch) => literal(branch));
  return [...new Set(texts)];
}

/** Splits at `|` outside of groups. */
function splitAlternatives(expression: string): string[] {
  const branches: string[] = [];
  let depth = 0;
  let start = 0;
  for (let i = 0; i < expression.length; i += 1) {
    const char = expression[i];
    if (char === '\\') i += 1;
    else if (char === '[') {
      const end = expression.indexOf(']', i + 2);
      if (end > 0) i = end;
    } else if (char === '(') depth += 1;
    else if (char === ')') depth -= 1;
    else if (char === '|' && depth === 0) {
      branches.push(expression.slice(start, i));
      start = i + 1;
    }
  }
  branches.push(expression.slice(start));
  return branches;
}

/** One branch, its groups multiplied out. */
function literal(branch: string): string[] {
  let found = [''];
  const push = (parts: readonly string[]): void => {
    found = found.flatMap((before) => parts.map((part) => before + part));
    if (found.length > MOST_BRANCHES) throw new PatternError('has too many combinations of alternatives');
  };
  let text = branch.replace(/^\^/, '').replace(/\$$/, '');
  while (text !== '') {
    const [piece, rest] = pieceOf(text);
    push(piece);
    text = rest;
  }
  return found
    .map((one) =>
      one
        .replace(/\s+/g, ' ')
        .replace(/(?:\s*\*\s*)+/g, ' * ')
        .replace(/^[\s*]+|[\s*]+$/g, ''),
    )
    .filter((one) => one !== '');
}

const GAP = /^(?:\.\*\??|\.\+\??|\\S[*+]|\\w[*+]|\[\^?[^\]]+\][*+]|\.\{\d+(?:,\d*)?\}|\\W[*+]?)/;
const BLANK = /^(?:\\s[*+?]?|\s+[*+?]?)/;
const DIGITS = /^(?:\\d[*+]?|\[0-9\][*+]?|\[\\d\][*+]?)(?:\{\d+(?:,\d*)?\})?/;

/** The first piece of an expression: the ways to write it, and the rest. */
function pieceOf(text: string): [string[], string] {
  const gap = GAP.exec(text) ?? /^\.(?![*+?{])/.exec(text);
  if (gap) return [[' * '], text.slice(gap[0].length)];
  const blank = BLANK.exec(text);
  if (blank) return [[' '], text.slice(blank[0].length)];
  const digits = DIGITS.exec(text);
  if (digits) return [[' * '], text.slice(digits[0].length)];
  if (text.startsWith('(')) return groupOf(text);
  if (text.startsWith('[')) return classOf(text);
  const escaped = /^\\([^a-zA-Z0-9])/.exec(text);
  const char = escaped ? escaped[1]! : text[0]!;
  const rest = text.slice(escaped ? 2 : 1);
  if (!escaped && /[\\*+?{})]/.test(char))
    throw new PatternError(`has ${text.slice(0, 4)}, for which there is no pattern`);
  const written = /[*()|\\]/.test(char) ? `\\${char}` : char;
  if (rest.startsWith('?')) return [[written, ''], rest.slice(1)];
  if (/^[*+{]/.test(rest)) throw new PatternError('repeats a character, for which there is no pattern');
  return [[written], rest];
}

function groupOf(text: string): [string[], string] {
  if (/^\(\?(?![:i])/.test(text))
    throw new PatternError('looks ahead or behind, for which there is no pattern');
  let depth = 0;
  for (let i = 0; i < text.length; i += 1) {
    if (text[i] === '\\') i += 1;
    else if (text[i] === '(') depth += 1;
    else if (text[i] === ')' && (depth -= 1) === 0) {
      const inside = text.slice(1, i).replace(/^\?(?:i?:|i\))/, '');
      const ways = splitAlternatives(inside).flatMap((one) => (one === '' ? [''] : literalKept(one)));
      const after = text.slice(i + 1);
      if (after.startsWith('?')) return [[...ways, ''], after.slice(1)];
      if (/^[*+{]/.test(after)) throw new PatternError('repeats a group, for which there is no pattern');
      return [ways, after];
    }
  }
  throw new PatternError('has a ( without )');
}

/** As `literal`, with the blanks at its ends, which matter inside. */
function literalKept(branch: string): string[] {
  let found = [''];
  let text = branch;
  while (text !== '') {
    const [piece, rest] = pieceOf(text);
    found = found.flatMap((before) => piece.map((part) => before + part));
    if (found.length > MOST_BRANCHES) throw new PatternError('has too many combinations of alternatives');
    text = rest;
  }
  return found;
}

/** `[Rr]` is r whatever its case; `[.]` the character itself. */
function classOf(text: string): [string[], string] {
  const parts = /^\[([^\]^]{1,4})\]/.exec(text);
  const letters = new Set(parts?.[1]?.replaceAll('\\', '').toLowerCase());
  if (parts === null || letters.size > 2 || parts[1]!.includes('-')) {
    const whole = /^\[[^\]]*\]\??/.exec(text);
    if (whole === null) throw new PatternError('has a [ without ]');
    return [[' * '], text.slice(whole[0].length)];
  }
  return [
    [...letters].map((letter) => (/[*()|\\]/.test(letter) ? `\\${letter}` : letter)),
    text.slice(parts[0].length),
  ];
}

/** A text that has the pattern. */
function sampleOf(pattern: string): string {
  return pattern
    .replace(/\\([*()|\\])/g, '\u0000$1')
    .replace(/ \* /g, ' some ')
    .replaceAll('\u0000', '')
    .replaceAll('\\d', '7');
}
