/**
 * Reads configuration documents member by member. A wrong value is refused with its path and the reason, and the
 * configuration in force stays; an unknown member is refused too, because a misspelt limit that is silently ignored
 * would never apply.
 */
import { PosternError } from './errors.ts';
import { cleanText } from './text.ts';

/** @throws PosternError `bad_request`: `pools.news.ips[2]: what is wrong`. */
export function refuse(path: string, reason: string): never {
  throw new PosternError('bad_request', `${path}: ${reason}`);
}

/** Formats a value for an error message, cut to fit a line. */
function shown(value: unknown): string {
  return (JSON.stringify(value) ?? String(value)).slice(0, 60);
}

export interface NumberRange {
  min: number;
  max: number;
  integer?: boolean;
}

export function readNumber(value: unknown, path: string, { min, max, integer }: NumberRange): number {
  const kind = integer ? 'a whole number' : 'a number';
  if (typeof value !== 'number' || !(integer ? Number.isSafeInteger(value) : Number.isFinite(value))) {
    refuse(path, `${shown(value)} is not ${kind}; give one from ${min} to ${max}.`);
  }
  if (value < min || value > max)
    refuse(path, `${value} is out of bounds; give ${kind} from ${min} to ${max}.`);
  return value;
}

/** Text of 1 to 255 characters, cleaned: it becomes the reason of deliveries. */
export function readText(value: unknown, path: string): string {
  if (typeof value !== 'string' || value === '' || value.length > 255) {
    refuse(path, `${shown(value)} is not a text of 1 to 255 characters.`);
  }
  return cleanText(value);
}

export function readBoolean(value: unknown, path: string): boolean {
  if (typeof value !== 'boolean') refuse(path, `${shown(value)} is neither true nor false.`);
  return value;
}

export function readChoice<T extends string>(value: unknown, path: string, choices: readonly T[]): T {
  if (!(choices as readonly unknown[]).includes(value)) {
    refuse(path, `${shown(value)} is none of ${choices.join(', ')}.`);
  }
  return value as T;
}

/** An ISO 8601 date (`2026-03-01`, its first moment in UTC) or date and time. @returns ms since the epoch. */
export function readDate(value: unknown, path: string): number {
  const at = typeof value === 'string' && /^\d{4}-\d\d-\d\d/.test(value) ? Date.parse(value) : Number.NaN;
  if (Number.isNaN(at))
    refuse(path, `${shown(value)} is not a date; write 2026-03-01 or 2026-03-01T08:00:00Z.`);
  return at;
}

/** The items of a list, each with its path. */
export function readList<T>(value: unknown, path: string, read: (item: unknown, path: string) => T): T[] {
  if (!Array.isArray(value)) refuse(path, `${shown(value)} is not a list.`);
  return value.map((item, i) => read(item, `${path}[${i}]`));
}

/** The members of an object whose names are free. */
export function readMap<T>(
  value: unknown,
  path: string,
  read: (item: unknown, path: string, name: string) => T,
): Map<string, T> {
  return new Map(
    Object.entries(asObject(value, path)).map(([name, item]) => [name, read(item, `${path}.${name}`, name)]),
  );
}

/** The members of an object, all of which must be among `known`. */
export function readObject<K extends string>(
  value: unknown,
  path: string,
  known: readonly K[],
): Partial<Record<K, unknown>> {
  const object = asObject(value, path);
  for (const name of Object.keys(object)) {
    if (!(known as readonly string[]).includes(name)) {
      refuse(`${path}.${name}`, `is unknown; the members are ${known.join(', ')}.`);
    }
  }
  return object as Partial<Record<K, unknown>>;
}

/** `read` when the value is there, else `fallback`. */
export function optional<T, F>(
  value: unknown,
  path: string,
  fallback: F,
  read: (value: unknown, path: string) => T,
): T | F {
  return value === undefined ? fallback : read(value, path);
}

function asObject(value: unknown, path: string): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    refuse(path, `${shown(value)} is not an object.`);
  }
  return value as Record<string, unknown>;
}
