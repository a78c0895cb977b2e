/** Pages of a list: in the order of names, so that changes in between leave a token valid. */
import { PosternError } from '../errors.ts';

const PREFIX = 'after:';

/**
 * One page of `items`. The token holds the last name that was given: what is created or deleted between two
 * pages neither repeats nor hides another item.
 * @throws PosternError `bad_request` for a token that was not given here.
 */
export function page<T>(
  items: T[],
  nameOf: (item: T) => string,
  size: number,
  token: string | undefined,
): { items: T[]; NextToken?: string } {
  const sorted = items.toSorted((a, b) => (nameOf(a) < nameOf(b) ? -1 : 1));
  const after = token === undefined ? undefined : readToken(token);
  const start = after === undefined ? 0 : sorted.findIndex((item) => nameOf(item) > after);
  if (start < 0) return { items: [] };
  const some = sorted.slice(start, start + size);
  if (start + size >= sorted.length) return { items: some };
  return { items: some, NextToken: Buffer.from(PREFIX + nameOf(some.at(-1)!)).toString('base64url') };
}

function readToken(token: string): string {
  const text = Buffer.from(token, 'base64url').toString('utf8');
  if (!text.startsWith(PREFIX)) throw new PosternError('bad_request', 'The NextToken is invalid.');
  return text.slice(PREFIX.length);
}
