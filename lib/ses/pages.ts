/** Pages of a list: in the order of names, so that changes in between leave a token valid. */
import { PosternError } from '../errors.ts';
import { requireBetween } from './violation.ts';

const PREFIX = 'after:';

interface PageRequest {
  /** Absent or 0: as many as the most. */
  PageSize?: number;
  /** Empty counts as absent, as in SES. */
  NextToken?: string;
}

/**
 * One page of `items`, of 1000 at most. The token holds the last name that was given: what is created or deleted
 * between two pages neither repeats nor hides another item.
 * @throws PosternError `bad_request` for a size out of bounds, or a token that was not given here.
 */
export function page<T>(
  items: T[],
  nameOf: (item: T) => string,
  { PageSize, NextToken: token }: PageRequest,
  most = 1000,
): { items: T[]; NextToken?: string } {
  const size = sizeOf(PageSize, most);
  const sorted = items.toSorted((a, b) => (nameOf(a) < nameOf(b) ? -1 : 1));
  const after = token ? readToken(token) : undefined;
  const start = after === undefined ? 0 : sorted.findIndex((item) => nameOf(item) > after);
  if (start < 0) return { items: [] };
  const some = sorted.slice(start, start + size);
  if (start + size >= sorted.length) return { items: some };
  return { items: some, NextToken: Buffer.from(PREFIX + nameOf(some.at(-1)!)).toString('base64url') };
}

/** Size of a page. @throws PosternError `bad_request` when it is out of bounds. */
export function sizeOf(asked: number | undefined, most: number, least = 0): number {
  if (asked === undefined) return most;
  requireBetween('pageSize', asked, least, most);
  return asked || most;
}

function readToken(token: string): string {
  const text = Buffer.from(token, 'base64url').toString('utf8');
  if (!text.startsWith(PREFIX)) throw new PosternError('bad_request', 'The NextToken is invalid.');
  return text.slice(PREFIX.length);
}
