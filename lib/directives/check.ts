/**
 * Validates an order before it becomes a directive. A contradictory order is refused with its path and the reason: a
 * directive with a misspelt match would hold no mail, or all mail.
 */

import { readChoice, readMap, readNumber, readObject, readText, refuse } from '../document.ts';
import { PosternError } from '../errors.ts';
import { readIp } from '../ip.ts';
import { canonicalDomain } from '../mail/domain.ts';
import { readProvider } from '../shaping/providers.ts';
import { DAY } from '../time.ts';
import {
  DIMENSIONS,
  type Dimension,
  type Directive,
  type DirectiveAction,
  type DirectiveLimits,
  type DirectiveMatch,
} from './directive.ts';

/** An order, without its origin and id, which the caller adds. */
export type DirectiveOrder = Pick<Directive, 'match' | 'action' | 'reason' | 'until'>;

export const DIRECTIVE_ACTIONS = ['suspend', 'bounce', 'reroute', 'limit'] as const;

/** Form of the names of tenants, campaigns and pools. */
const NAME = /^[A-Za-z0-9_-]{1,64}$/;
/** Form of sites: printable characters, no blank. */
const WORD = /^[\x21-\x7e]{1,255}$/;
/** Latest end of a directive: a later one is a mistake in the unit. */
const LATEST = 10 * 366 * DAY;

const BOUNDS = {
  connections: { min: 1, max: 100_000, integer: true },
  connectionsPerMinute: { min: 0.001, max: 10_000_000 },
  messagesPerSecond: { min: 0.000_01, max: 1_000_000 },
  messagesPerConnection: { min: 1, max: 1_000_000, integer: true },
} as const satisfies Record<keyof DirectiveLimits, unknown>;

/**
 * Parses an order.
 * @param now since the epoch, ms: an order for a time in the past is refused.
 * @returns the order with domain and address in their canonical forms.
 * @throws PosternError `bad_request`: `action.pool: what is wrong`.
 */
export function readDirective(value: unknown, now: number): DirectiveOrder {
  const order = readObject(value, 'directive', ['match', 'action', 'reason', 'until']);
  const match = readMatch(order.match, 'match');
  const action = readAction(order.action, 'action');
  const until =
    order.until === undefined
      ? undefined
      : readNumber(order.until, 'until', { min: 0, max: Number.MAX_SAFE_INTEGER });
  if (until !== undefined && until <= now) refuse('until', 'is over already; give a time to come, or none.');
  if (until !== undefined && until > now + LATEST) refuse('until', 'is more than ten years ahead.');
  const scoped = DIMENSIONS.some((dimension) => match[dimension] !== undefined);
  if (action.kind === 'bounce' && !scoped) {
    refuse('match', 'is empty, and would end all mail of everybody as bounced; say which mail.');
  }
  if (action.kind === 'reroute' && action.pool === match.pool) {
    refuse('action.pool', `is ${match.pool}, the pool that this mail is to leave.`);
  }
  return { match, action, reason: readText(order.reason, 'reason'), until };
}

/** @throws PosternError `bad_request` */
export function readMatch(value: unknown, path: string): DirectiveMatch {
  const given = readObject(value, path, DIMENSIONS);
  const match: { [D in Dimension]?: string } = {};
  for (const dimension of DIMENSIONS) {
    const member = given[dimension];
    if (member !== undefined) match[dimension] = readDimension(dimension, member, `${path}.${dimension}`);
  }
  return match;
}

function readDimension(dimension: Dimension, value: unknown, path: string): string {
  const text = readText(value, path);
  switch (dimension) {
    case 'domain':
      try {
        return canonicalDomain(text);
      } catch (error) {
        return refuse(path, error instanceof PosternError ? error.message : 'is not a domain.');
      }
    case 'ip':
      return readIp(text, path);
    case 'provider':
      return readProvider(text.toLowerCase(), path);
    case 'site':
      return WORD.test(text)
        ? text.toLowerCase()
        : refuse(path, 'has blanks, or characters that do not print.');
    default:
      return readName(text, path);
  }
}

export function readName(value: unknown, path: string): string {
  const text = readText(value, path);
  return NAME.test(text)
    ? text
    : refuse(path, 'has other characters than A-Z, a-z, 0-9, - and _, or more than 64.');
}

export function readAction(value: unknown, path: string): DirectiveAction {
  const { kind } = readObject(value, path, ['kind', 'pool', 'limits']);
  switch (readChoice(kind, `${path}.kind`, DIRECTIVE_ACTIONS)) {
    case 'reroute': {
      const { pool } = readObject(value, path, ['kind', 'pool']);
      return { kind: 'reroute', pool: readName(pool, `${path}.pool`) };
    }
    case 'limit': {
      const { limits } = readObject(value, path, ['kind', 'limits']);
      return { kind: 'limit', limits: readLimits(limits, `${path}.limits`) };
    }
    default:
      return { kind: readObject(value, path, ['kind']).kind as 'suspend' | 'bounce' };
  }
}

export function readLimits(value: unknown, path: string): DirectiveLimits {
  readObject(value, path, Object.keys(BOUNDS));
  const limits = readMap(value, path, (limit, at, name) =>
    readNumber(limit, at, BOUNDS[name as keyof DirectiveLimits]),
  );
  if (limits.size === 0) refuse(path, 'sets no limit; name at least one. To stop mail, suspend it.');
  return Object.fromEntries(limits);
}
