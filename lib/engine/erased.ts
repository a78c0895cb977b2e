/** Takes an address out of what is stored of messages, so that figures stay and nobody is named. */
import { suppressionKey } from './suppression.ts';

/** In place of an erased address (RFC 2606 §2: it can belong to nobody). */
export const ERASED = 'erased@erased.invalid';

export interface Eraser {
  /** Whether a text, or the JSON of a value, may hold the address: quick, and wrong one way only. */
  mayHold(json: string): boolean;
  /** Whether an address is the one, in any spelling. */
  is(address: string): boolean;
  /** A copy of a JSON value without the address. */
  erase<T>(value: T): T;
  /** A text without anything, when it holds the address: a header field names its owner beside it. */
  eraseWhole(text: string): string;
}

/** Makes the eraser of one address. An address of which it is a part, as `ann@example.net` of `joann@…`, stays. */
export function createEraser(address: string): Eraser {
  const key = suppressionKey(address);
  const quick = JSON.stringify(key).slice(1, -1);
  const pattern = new RegExp(
    `(?<![\\w.!#$%&'*+/=?^\`{|}~-])${key.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&')}(?![\\w-]|\\.\\w)`,
    'gi',
  );

  function erase(value: unknown): unknown {
    if (typeof value === 'string')
      return value.normalize('NFC').search(pattern) < 0
        ? value
        : value.normalize('NFC').replace(pattern, ERASED);
    if (Array.isArray(value)) return value.map(erase);
    if (typeof value !== 'object' || value === null) return value;
    return Object.fromEntries(Object.entries(value).map(([name, member]) => [name, erase(member)]));
  }

  return {
    mayHold: (json) => suppressionKey(json).includes(quick),
    is: (other) => suppressionKey(other) === key,
    erase: <T>(value: T) => erase(value) as T,
    eraseWhole: (text) => (text.normalize('NFC').search(pattern) < 0 ? text : ERASED),
  };
}
