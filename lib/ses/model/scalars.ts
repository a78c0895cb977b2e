/**
 * Scalars of inputs, from JSON and from text (queries, paths, forms). What cannot be read is refused in the words of
 * SES, whose deserialiser names the JSON token and the Java type.
 */
import { PosternError } from '../../errors.ts';
import type { ScalarType } from './form.ts';

/** @param at dotted path of the value, for messages. @throws PosternError `malformed_request`. */
export type ReadScalar = (value: unknown, at: string) => unknown;
export type ScalarReaders = Readonly<Record<ScalarType, ReadScalar>>;

/** SES's integer has 32 bits. */
const MAX_INTEGER = 2 ** 31 - 1;
/** Milliseconds that a JavaScript date can hold, in either direction. */
const MAX_TIME = 8.64e15;

const TYPES: Readonly<Record<ScalarType, string>> = {
  string: 'a String',
  boolean: 'a Boolean',
  integer: 'an Integer',
  long: 'a Long',
  double: 'a Double',
  timestamp: 'milliseconds since epoch',
  blob: 'a Blob',
};

function refused(value: unknown, type: ScalarType): PosternError {
  return new PosternError('malformed_request', refusal(value, type));
}

function refusal(value: unknown, type: ScalarType): string {
  if (Array.isArray(value)) return 'Start of list found where not expected';
  if (typeof value === 'object' && value !== null)
    return 'Start of structure or map found where not expected.';
  const token =
    value === null
      ? 'NULL_VALUE'
      : typeof value === 'boolean'
        ? `${String(value).toUpperCase()}_VALUE`
        : typeof value === 'number'
          ? 'NUMBER_VALUE'
          : 'STRING_VALUE';
  return `${token} can not be converted to ${TYPES[type]}`;
}

function readString(value: unknown): string {
  if (typeof value === 'string') return value;
  throw refused(value, 'string');
}

/** Bytes, as base64. */
function readBlob(value: unknown, at: string): Buffer {
  const text = typeof value === 'string' ? value : undefined;
  if (text === undefined) throw refused(value, 'blob');
  const bytes = Buffer.from(text, 'base64');
  // Node skips what is not base64: then there are fewer bytes than the length of the text promises.
  const padding = text.endsWith('==') ? 2 : text.endsWith('=') ? 1 : 0;
  if (text.length % 4 === 0 && bytes.length === (text.length / 4) * 3 - padding) return bytes;
  throw new PosternError('malformed_request', `Value at '${at}' must be valid base64.`);
}

function readWhole(value: unknown, type: 'integer' | 'long'): number {
  if (typeof value !== 'number' || !Number.isSafeInteger(value)) throw refused(value, type);
  if (type === 'integer' && Math.abs(value) > MAX_INTEGER) throw refused(value, type);
  return value;
}

function readTime(ms: number, value: unknown): Date {
  if (Math.abs(ms) <= MAX_TIME) return new Date(ms);
  throw refused(value, 'timestamp');
}

export const JSON_SCALARS: ScalarReaders = {
  string: readString,
  // SES takes any string for true.
  boolean(value) {
    if (typeof value === 'boolean') return value;
    if (typeof value === 'string') return true;
    throw refused(value, 'boolean');
  },
  integer: (value) => readWhole(value, 'integer'),
  long: (value) => readWhole(value, 'long'),
  double(value) {
    if (typeof value === 'number') return value;
    throw refused(value, 'double');
  },
  /** Seconds since the epoch. */
  timestamp: (value) => readTime(typeof value === 'number' ? value * 1000 : Number.NaN, value),
  blob: readBlob,
};

/** ISO 8601, as the service model has it for times in a query: `2026-01-31T12:00:00Z`. */
const TIME = /^\d{4}-\d\d-\d\d(?:T\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?(?:Z|[+-]\d\d:?\d\d))?$/;

function wholeText(value: unknown, type: 'integer' | 'long'): number {
  if (typeof value === 'string' && /^-?\d{1,15}$/.test(value)) return readWhole(Number(value), type);
  throw refused(value, type);
}

export const TEXT_SCALARS: ScalarReaders = {
  string: readString,
  boolean(value) {
    if (value === 'true' || value === 'True') return true;
    if (value === 'false' || value === 'False') return false;
    throw refused(value, 'boolean');
  },
  integer: (value) => wholeText(value, 'integer'),
  long: (value) => wholeText(value, 'long'),
  double(value) {
    if (typeof value === 'string' && /^-?\d{1,15}(?:\.\d{1,15})?$/.test(value)) return Number(value);
    throw refused(value, 'double');
  },
  timestamp(value) {
    return readTime(typeof value === 'string' && TIME.test(value) ? Date.parse(value) : Number.NaN, value);
  },
  blob: readBlob,
};
