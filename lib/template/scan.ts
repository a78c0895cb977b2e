/**
 * Checks a template before the library's parser runs. That parser takes time in the square of the depth of blocks,
 * and of the number of comments: half a minute for 100 KB made for it. This scan is linear, and reads tags as the
 * parser does, so that no bracket can hide in a string or a comment.
 */
import { invalid } from './expressions.ts';
import { tooComplex } from './run.ts';

/** Maximum number of tags in one source; maximum characters inside them, except strings and comments. */
const MAX_TAGS = 10_000;
const MAX_TAG_CHARACTERS = 100_000;
/** Maximum depth of blocks, of branches of an else chain, and of parentheses. */
const MAX_DEPTH = 100;
/** Maximum product of comments and length: the parser copies the rest of the source at every comment. */
const MAX_COMMENT_COPIES = 300_000_000;

/**
 * @throws PosternError `template_too_complex` when the parser would take too long, `bad_request` for raw blocks
 * (`{{{{`), which are not supported, and for a string that does not end
 */
export function scanSource(source: string): void {
  const blocks: number[] = []; // open blocks, each with the number of its branches
  let depth = 0;
  let tags = 0;
  let characters = 0;
  let comments = 0;
  let end = 0;
  for (let at = source.indexOf('{{'); at >= 0; at = source.indexOf('{{', end)) {
    if (isEscaped(source, at, end)) {
      end = at + 2;
      continue;
    }
    if (++tags > MAX_TAGS) throw tooComplex(`It has more than ${MAX_TAGS} tags.`);
    if (source.startsWith('{{{{', at)) throw invalid('raw blocks ({{{{name}}}}) are not offered');
    const inside = at + (source[at + 2] === '~' ? 3 : 2);
    if (source[inside] === '!') {
      if (++comments * source.length > MAX_COMMENT_COPIES) throw tooComplex('It has too many comments.');
      end = endOfComment(source, at, inside);
      continue;
    }
    const tag = scanTag(source, inside);
    end = tag.end;
    characters += tag.characters;
    if (characters > MAX_TAG_CHARACTERS) {
      throw tooComplex(`Its tags have more than ${MAX_TAG_CHARACTERS} characters.`);
    }
    switch (kindOf(source, inside)) {
      case 'open':
        blocks.push(1);
        depth++;
        break;
      case 'else':
        if (blocks.length > 0) blocks[blocks.length - 1]!++;
        depth++;
        break;
      case 'close':
        depth -= blocks.pop() ?? 0;
        break;
    }
    if (depth > MAX_DEPTH) throw tooComplex(`Its blocks are nested over ${MAX_DEPTH} deep.`);
  }
}

/** `\{{` is text; `\\{{` is a backslash and a tag. @param from where the text before the tag begins */
function isEscaped(source: string, at: number, from: number): boolean {
  return at > from && source[at - 1] === '\\' && !(at - 1 > from && source[at - 2] === '\\');
}

/** The end of `{{! … }}` or of `{{!-- … --}}`, which may hold tags. The parser refuses one that does not end. */
function endOfComment(source: string, at: number, inside: number): number {
  const long = source.startsWith('--', inside + 1);
  const pattern = long ? /--~?\}\}/g : /\}\}/g;
  pattern.lastIndex = at;
  return pattern.exec(source) ? pattern.lastIndex : source.length;
}

function kindOf(source: string, inside: number): 'open' | 'else' | 'close' | 'other' {
  const first = source[inside];
  if (first === '#') return 'open';
  if (first === '/') return 'close';
  if (first === '^') return /^\s*~?\}\}/.test(source.slice(inside + 1, inside + 100)) ? 'else' : 'open';
  return /^\s*else\b/.test(source.slice(inside, inside + 100)) ? 'else' : 'other';
}

/** Finds the end of a tag, and counts its characters outside strings. */
function scanTag(source: string, inside: number): { end: number; characters: number } {
  let parentheses = 0;
  let characters = 0;
  let at = inside;
  for (; at < source.length; at++, characters++) {
    const c = source[at];
    if (c === '}' && source[at + 1] === '}') return { end: at + 2, characters };
    if (c === '"' || c === "'") at = endOfLiteral(source, at, c);
    else if (c === '[') at = endOfLiteral(source, at, ']');
    else if (c === '(' && ++parentheses > MAX_DEPTH) {
      throw tooComplex(`Its subexpressions are nested over ${MAX_DEPTH} deep.`);
    } else if (c === ')') parentheses--;
  }
  return { end: at, characters };
}

/** Finds where a string or a `[segment]` closes; a closing character behind a backslash is part of it. */
function endOfLiteral(source: string, open: number, close: string): number {
  let at = source.indexOf(close, open + 1);
  while (at >= 0 && source[at - 1] === '\\') at = source.indexOf(close, at + 1);
  if (at < 0) throw invalid(`a string or segment is not closed with ${close}`);
  return at;
}
