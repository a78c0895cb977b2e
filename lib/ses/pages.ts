/** Pages of a list: in the order of names, so that changes in between leave a token valid. */
import type { Page } from '../control/types.ts';
import { PosternError } from '../errors.ts';
import { requireBetween } from './violation.ts';

const PREFIX = 'after:';
/** Items read at one time, and reads for one page: a filter that lets little through gives short pages. */
const CHUNK = 500;
const READS = 10;

interface PageRequest {
  /** Absent or 0: as many as the most. */
  PageSize?: number;
  /** Empty counts as absent, as in SES. */
  NextToken?: string;
}

/**
 * One page of a stored list, of `most` at most. The token holds the last name that was looked at: what is created or
 * deleted between two pages neither repeats nor hides another item.
 * @param read reads items in the order of names. @param matches which are shown; absent: all.
 * @throws PosternError `bad_request` for a size out of bounds, or a token that was not given here; what `read` throws.
 */
export async function pageOf<T extends { name: string }>(
  read: (from: Page) => Promise<readonly T[]>,
  { PageSize, NextToken }: PageRequest,
  matches?: (item: T) => boolean,
  most = 1000,
): Promise<{ items: T[]; NextToken?: string }> {
  const size = sizeOf(PageSize, most);
  const items: T[] = [];
  let after = NextToken ? readToken(NextToken) : undefined;
  for (let reads = 0; reads < READS; reads += 1) {
    const max = matches ? CHUNK : Math.min(CHUNK, size - items.length + 1);
    const some = await read({ after, max });
    for (const item of some) {
      if (!matches || matches(item)) {
        if (items.length === size) return { items, NextToken: tokenOf(after!) };
        items.push(item);
      }
      after = item.name;
    }
    if (some.length < max) return { items };
  }
  return { items, NextToken: tokenOf(after!) };
}

/**
 * One page of `items`, which are in memory, of 1000 at most. The token holds the last name that was given: what is created or deleted
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
  return { items: some, NextToken: tokenOf(nameOf(some.at(-1)!)) };
}

/** A token that holds the last name that was given. */
export function tokenOf(name: string): string {
  return Buffer.from(PREFIX + name).toString('base64url');
}

/** Size of a page. @throws PosternError `bad_request` when it is out of bounds. */
export function sizeOf(asked: number | undefined, most: number, least = 0): number {
  if (asked === undefined) return most;
  requireBetween('pageSize', asked, least, most);
  return asked || most;
}

/** The name in a token. @throws PosternError `bad_request` for one that was not given here. */
export function readToken(token: string): string {
  const text = Buffer.from(token, 'base64url').toString('utf8');
  if (!text.startsWith(PREFIX)) throw new PosternError('bad_request', 'The NextToken is invalid.');
  return text.slice(PREFIX.length);
}
