/**
 * Shapes of input, and SES's wording for values that do not fit. A shape is data and reader in one: it types the
 * handler's input, validates values, and drops unknown members (as SES does).
 *
 * There are two kinds of failure: a value of the wrong JSON type cannot be read at all (`malformed_request`, thrown
 * at once); values that break a constraint are collected and reported together (`bad_request`).
 */
import { PosternError } from '../errors.ts';

/** Constraint failures found so far, in SES's words. */
type Problems = string[];

/** Enough to help; a list of a million bad members must not make an answer of 100 MB. */
const MAX_PROBLEMS = 20;

export interface Shape<T> {
  /** @param at dotted path of the value, for messages. @throws PosternError `malformed_request`. */
  read(value: unknown, at: string, problems: Problems): T;
  isRequired?: boolean;
}

/** A member that must be there. */
export interface Required<T> extends Shape<T> {
  isRequired: true;
}

/** Type of the values that a shape reads. */
export type Value<S> = S extends Shape<infer T> ? T : never;

type Flat<T> = { [K in keyof T]: T[K] };
type Structure<M> = Flat<
  { [K in keyof M as M[K] extends Required<unknown> ? K : never]: Value<M[K]> } & {
    [K in keyof M as M[K] extends Required<unknown> ? never : K]?: Value<M[K]>;
  }
>;

function note(problems: Problems, at: string, constraint: string, value = 'Value'): void {
  if (problems.length < MAX_PROBLEMS)
    problems.push(`${value} at '${at}' failed to satisfy constraint: Member must ${constraint}`);
}

function mismatch(at: string, expected: string): PosternError {
  return new PosternError('malformed_request', `Value at '${at}' must be ${expected}.`);
}

/** The same shape, as a member that must be there. */
export function required<T>(shape: Shape<T>): Required<T> {
  return { ...shape, isRequired: true };
}

export interface TextRules {
  min?: number;
  max?: number;
  /** Must match from first to last character. */
  pattern?: RegExp;
}

/** A string. `min` and `max` count UTF-16 units. */
export function text(rules: TextRules = {}): Shape<string> {
  const { min = 0, max = Number.POSITIVE_INFINITY, pattern } = rules;
  return {
    read(value, at, problems) {
      if (typeof value !== 'string') throw mismatch(at, 'a string');
      if (value.length < min) note(problems, at, `have length greater than or equal to ${min}`);
      if (value.length > max) note(problems, at, `have length less than or equal to ${max}`);
      else if (pattern && !pattern.test(value))
        note(problems, at, `satisfy regular expression pattern: ${pattern.source}`);
      return value;
    },
  };
}

/** One of some words. */
export function oneOf<const T extends string>(...words: T[]): Shape<T> {
  return {
    read(value, at, problems) {
      if (typeof value !== 'string') throw mismatch(at, 'a string');
      if (!(words as string[]).includes(value))
        note(problems, at, `satisfy enum value set: [${words.join(', ')}]`);
      return value as T;
    },
  };
}

/** A whole number; in a query it comes as digits. */
export function integer(min: number, max: number): Shape<number> {
  return {
    read(value, at, problems) {
      const number = typeof value === 'string' && /^-?\d{1,15}$/.test(value) ? Number(value) : value;
      if (!Number.isSafeInteger(number)) throw mismatch(at, 'an integer');
      if ((number as number) < min) note(problems, at, `have value greater than or equal to ${min}`);
      if ((number as number) > max) note(problems, at, `have value less than or equal to ${max}`);
      return number as number;
    },
  };
}

/** true or false. */
export const flag: Shape<boolean> = {
  read(value, at) {
    if (typeof value !== 'boolean') throw mismatch(at, 'true or false');
    return value;
  },
};

/** Bytes, as base64. */
export const blob: Shape<Buffer> = {
  read(value, at) {
    if (typeof value !== 'string') throw mismatch(at, 'a base64 string');
    const bytes = Buffer.from(value, 'base64');
    // Node skips what is not base64: then there are fewer bytes than the length of the text promises.
    const padding = value.endsWith('==') ? 2 : value.endsWith('=') ? 1 : 0;
    if (value.length % 4 !== 0 || bytes.length !== (value.length / 4) * 3 - padding)
      throw mismatch(at, 'valid base64');
    return bytes;
  },
};

/** A list. Its members are counted from 1 in messages (`tags.1.member.key`), as SES counts them. */
export function list<T>(member: Shape<T>, rules: { min?: number; max?: number } = {}): Shape<T[]> {
  const { min = 0, max = Number.POSITIVE_INFINITY } = rules;
  return {
    read(value, at, problems) {
      if (!Array.isArray(value)) throw mismatch(at, 'a list');
      if (value.length < min) note(problems, at, `have length greater than or equal to ${min}`);
      if (value.length > max) {
        note(problems, at, `have length less than or equal to ${max}`);
        return [];
      }
      return value.map((item, i) => member.read(item, `${at}.${i + 1}.member`, problems));
    },
  };
}

/** A list in a query, where a member that is given once is no list. */
export function queryList<T>(member: Shape<T>): Shape<T[]> {
  const { read } = list(member);
  return { read: (value, at, problems) => read(Array.isArray(value) ? value : [value], at, problems) };
}

/** ISO 8601, as the service model has it for times in a query: `2026-01-31T12:00:00Z`. */
const TIME = /^\d{4}-\d\d-\d\d(?:T\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?(?:Z|[+-]\d\d:?\d\d))?$/;

/** A time in a query, as ms since the epoch. */
export const queryTime: Shape<number> = {
  read(value, at) {
    const time = typeof value === 'string' && TIME.test(value) ? Date.parse(value) : Number.NaN;
    if (!Number.isFinite(time)) throw mismatch(at, 'a time as 2026-01-31T12:00:00Z');
    return time;
  },
};

/** A structure: known members only. JSON's null is the same as absent. */
export function structure<M extends Record<string, Shape<unknown>>>(members: M): Shape<Structure<M>> {
  const entries = Object.entries(members).map(([name, shape]) => ({
    name,
    shape,
    path: name.charAt(0).toLowerCase() + name.slice(1),
  }));
  return {
    read(value, at, problems) {
      if (typeof value !== 'object' || value === null || Array.isArray(value))
        throw mismatch(at, 'a structure');
      const out: Record<string, unknown> = {};
      for (const { name, shape, path } of entries) {
        const member = Object.hasOwn(value, name) ? (value as Record<string, unknown>)[name] : undefined;
        if (member !== undefined && member !== null)
          out[name] = shape.read(member, at === '' ? path : `${at}.${path}`, problems);
        else if (shape.isRequired)
          note(problems, at === '' ? path : `${at}.${path}`, 'not be null', 'Value null');
      }
      return out as Structure<M>;
    },
  };
}

/** Reads the whole input of an operation. @throws PosternError `malformed_request`, `bad_request`. */
export function readInput<T>(shape: Shape<T>, value: unknown): T {
  const problems: Problems = [];
  const input = shape.read(value, '', problems);
  if (problems.length > 0)
    throw new PosternError(
      'bad_request',
      `${problems.length} validation error${problems.length > 1 ? 's' : ''} detected: ${problems.join('; ')}`,
    );
  return input;
}
