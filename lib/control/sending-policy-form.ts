/** Members and texts of a policy document; each refusal says where and what. */
import { PosternError } from '../errors.ts';

const MAX_TEXTS = 100;
const MAX_TEXT = 512;

/** @param at JSON pointer of the place (RFC 6901). @throws PosternError `bad_request` */
export function refuse(at: string, why: string): never {
  throw new PosternError('invalid_policy', `The policy is not valid: ${at} ${why}.`);
}

/** An object with none but these members. @throws PosternError */
export function readMembers(value: unknown, at: string, names?: readonly string[]): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    refuse(at === '' ? '/' : at, 'must be an object');
  const unknown = names && Object.keys(value).find((name) => !names.includes(name));
  if (unknown !== undefined)
    refuse(`${at}/${unknown.slice(0, 64)}`, `is not supported; these are: ${names!.join(', ')}`);
  return value as Record<string, unknown>;
}

/** @throws PosternError */
export function boundedText(value: unknown, at: string): string {
  if (typeof value !== 'string' || value === '' || value.length > MAX_TEXT)
    refuse(at, `must be a text of 1 to ${MAX_TEXT} characters`);
  // A variable would have to be replaced when mail is sent.
  if (value.includes('${')) refuse(at, 'has a policy variable, which is not supported');
  return value;
}

/** A text or a list of them, each with its place. @throws PosternError */
export function textsOf(value: unknown, at: string): [text: string, place: string][] {
  if (!Array.isArray(value)) return [[boundedText(value, at), at]];
  if (value.length === 0 || value.length > MAX_TEXTS) refuse(at, `must have 1 to ${MAX_TEXTS} values`);
  return value.map((one, i) => [boundedText(one, `${at}/${i}`), `${at}/${i}`]);
}

/**
 * Whether a text matches a pattern with `*` for any characters and `?` for one. In time of the product of their lengths,
 * whatever the pattern.
 */
export function matchesPattern(pattern: string, text: string): boolean {
  let [at, place, star, from] = [0, 0, -1, 0];
  while (at < text.length) {
    if (pattern[place] === '*') {
      star = place;
      from = at;
      place += 1;
    } else if (pattern[place] === '?' || pattern[place] === text[at]) {
      at += 1;
      place += 1;
    } else if (star >= 0) {
      // The last star takes one more.
      from += 1;
      at = from;
      place = star + 1;
    } else return false;
  }
  while (pattern[place] === '*') place += 1;
  return place === pattern.length;
}
