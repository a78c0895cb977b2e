/**
 * The language in which rules describe a reply's text. It is not a regular expression: every pattern in it is found
 * in one pass over the text (`matcher.ts`), so no pattern and no peer can make matching run away.
 *
 * ```
 *  too many connections   these words, anywhere in the text, in any case; a blank stands for any white space
 *  messages * deferred    the first, and somewhere behind it the second; blanks beside * do not count
 *  (ipv4|ipv6) deferred   one of these, then the rest
 *  ib\d.                  one or more digits between the two
 *  \* \( \| \) \\ \.      these characters themselves
 * ```
 */

/** One stretch of literal text; `glue` describes the text between it and the one before. */
export interface Fragment {
  readonly text: string;
  readonly glue: 'start' | 'gap' | 'digits';
}

const MAX_PATTERN = 200;
const MAX_FRAGMENTS = 8;
const MAX_VARIANTS = 32;
const MIN_LITERAL = 3;
const ESCAPABLE = '*()|\\.';
const PRINTABLE = /^[\x20-\x7e]*$/;
/** Signs of a regular expression: taken literally they would never match. */
const REGULAR = /\(\?|\)[+?{]|\[\^|\[0-9|\[a-z|\.[*+]|^\^|\$$/;

type Piece = { literal: string } | { mark: 'gap' | 'digits' } | { choices: string[] };

/** A pattern is refused. */
export class PatternError extends Error {}

/**
 * Parses a pattern into its variants (one for each way through its alternatives), each as its fragments.
 * @throws PatternError that states what is wrong and what to write instead.
 */
export function readPattern(pattern: string): Fragment[][] {
  if (pattern.length > MAX_PATTERN) throw new PatternError(`has more than ${MAX_PATTERN} characters`);
  if (!PRINTABLE.test(pattern)) {
    throw new PatternError('has a character outside printable ASCII; write * in its place');
  }
  const sign = REGULAR.exec(pattern.replaceAll('\\.', ' '))?.[0];
  if (sign !== undefined) {
    throw new PatternError(
      `has ${sign} as in a regular expression; here * is a gap, \\d digits, (a|b) a choice, and a dot before a gap is \\.`,
    );
  }
  let variants: Piece[][] = [[]];
  for (const piece of pieces(pattern.toLowerCase())) {
    const ways: Piece[] = 'choices' in piece ? piece.choices.map((literal) => ({ literal })) : [piece];
    if (variants.length * ways.length > MAX_VARIANTS) {
      throw new PatternError(
        `has more than ${MAX_VARIANTS} combinations of alternatives; write several patterns`,
      );
    }
    variants = variants.flatMap((variant) => ways.map((way) => [...variant, way]));
  }
  return variants.map(fragments);
}

function pieces(pattern: string): Piece[] {
  const found: Piece[] = [];
  let literal = '';
  let choices: string[] | undefined;
  const endLiteral = (): void => {
    if (literal !== '') found.push({ literal });
    literal = '';
  };
  for (let i = 0; i < pattern.length; i += 1) {
    const char = pattern[i]!;
    const after = pattern[i + 1] ?? '';
    if (char === '\\' && ESCAPABLE.includes(after) && after !== '') {
      literal += after;
      i += 1;
    } else if (char === '\\' && after === 'd' && choices === undefined) {
      endLiteral();
      found.push({ mark: 'digits' });
      i += 1;
    } else if (char === '\\') {
      throw new PatternError(
        `has \\${after}, which means nothing here; there are \\d, \\*, \\(, \\|, \\), \\. and \\\\`,
      );
    } else if (char === '(') {
      if (choices !== undefined) throw new PatternError('has alternatives within alternatives');
      endLiteral();
      choices = [];
    } else if (char === '|' && choices !== undefined) {
      choices.push(literal);
      literal = '';
    } else if (char === ')' && choices !== undefined) {
      found.push({ choices: [...choices, literal] });
      literal = '';
      choices = undefined;
    } else if (char === '|' || char === ')') {
      throw new PatternError(`has ${char} outside of alternatives; write \\${char} for the character`);
    } else if (char === '*' && choices === undefined) {
      endLiteral();
      found.push({ mark: 'gap' });
    } else if (char === '*') {
      throw new PatternError('has * within alternatives; write several patterns');
    } else literal += char;
  }
  if (choices !== undefined) throw new PatternError('has ( without ); write \\( for the character');
  endLiteral();
  return found;
}

/** Joins adjacent literals, and checks that each fragment can be searched for. */
function fragments(variant: readonly Piece[]): Fragment[] {
  const found: { text: string; glue: Fragment['glue'] }[] = [];
  let glue: Fragment['glue'] = 'start';
  let joined = false;
  for (const piece of variant) {
    if ('mark' in piece) {
      if (found.length === 0 || !joined) {
        throw new PatternError('begins with * or \\d, or has two of them side by side; leave one out');
      }
      glue = piece.mark;
      joined = false;
    } else if ('literal' in piece && piece.literal !== '') {
      if (joined) found.at(-1)!.text += piece.literal;
      else found.push({ text: piece.literal, glue });
      joined = true;
    }
  }
  if (found.length > 0 && !joined) {
    throw new PatternError('ends in * or \\d; leave it out: a pattern is found anywhere in the text');
  }
  for (const [i, fragment] of found.entries()) {
    fragment.text = fragment.text.replace(/ {2,}/g, ' ');
    // `a * b` means `a` and then `b` with any text between them, a blank included.
    if (fragment.glue === 'gap') fragment.text = fragment.text.trimStart();
    if (found[i + 1]?.glue === 'gap') fragment.text = fragment.text.trimEnd();
  }
  check(found);
  return found;
}

function check(found: readonly Fragment[]): void {
  if (found.length > MAX_FRAGMENTS) throw new PatternError(`has more than ${MAX_FRAGMENTS - 1} gaps`);
  if (!found.some(({ text }) => text.trim().length >= MIN_LITERAL)) {
    throw new PatternError(
      `has no ${MIN_LITERAL} characters in a row; it would be found in almost every text`,
    );
  }
  for (const [i, { text, glue }] of found.entries()) {
    if (text === '') throw new PatternError('has only a blank beside *; leave one of the two out');
    if (glue !== 'digits') continue;
    if (/\d$/.test(found[i - 1]!.text) || /^\d/.test(text)) {
      throw new PatternError('has a digit beside \\d, which takes all digits there are; leave it out');
    }
  }
}
