/** Parses the `Authorization` header of AWS Signature Version 4. */
import { PosternError } from '../errors.ts';

export interface Authorization {
  keyId: string;
  /** Day of the credential scope, `yyyymmdd`. */
  day: string;
  region: string;
  /** Names in lower case, in the order given. */
  signedHeaders: string[];
  /** 64 lower-case hexadecimal digits. */
  signature: string;
}

const ALGORITHM = 'AWS4-HMAC-SHA256';
const KEY_ID = /^[\w-]{4,128}$/;
const DAY = /^\d{8}$/;
const REGION = /^[a-z0-9-]{1,64}$/;
const HEADER_NAME = /^[a-z0-9!#$%&'*+.^_`|~-]{1,128}$/;
/** 64 lower-case hexadecimal digits. */
export const SIGNATURE = /^[0-9a-f]{64}$/;
const MAX_SIGNED_HEADERS = 100;

/**
 * Parses `AWS4-HMAC-SHA256 Credential=AK/day/region/ses/aws4_request, SignedHeaders=a;b, Signature=hex`;
 * the three parts in any order, the space after the comma optional.
 * @throws PosternError `incomplete_signature`, or `invalid_signature` for another service.
 */
export function parseAuthorization(value: string): Authorization {
  const space = value.indexOf(' ');
  if (space < 0 || value.slice(0, space) !== ALGORITHM)
    throw incomplete(`Authorization must begin with '${ALGORITHM} '; no other algorithm is supported.`);

  const parts = new Map<string, string>();
  for (const part of value.slice(space + 1).split(',')) {
    const equals = part.indexOf('=');
    if (equals < 0) throw incomplete('Each part of the Authorization header must be of the form Name=value.');
    const name = part.slice(0, equals).trim();
    if (parts.has(name)) throw incomplete(`Authorization header has more than one '${printable(name)}'.`);
    parts.set(name, part.slice(equals + 1).trim());
  }
  const [keyId, day, region, service, terminator, ...more] = required(parts, 'Credential').split('/');
  if (
    !keyId ||
    !KEY_ID.test(keyId) ||
    !day ||
    !DAY.test(day) ||
    !region ||
    !REGION.test(region) ||
    more.length
  )
    throw incomplete('Credential must be of the form AccessKeyId/yyyymmdd/region/ses/aws4_request.');
  if (service !== 'ses')
    throw new PosternError('invalid_signature', "Credential should be scoped to correct service: 'ses'.");
  if (terminator !== 'aws4_request')
    throw incomplete("Credential should be scoped with a valid terminator: 'aws4_request'.");

  const signedHeaders = required(parts, 'SignedHeaders').split(';');
  if (signedHeaders.length > MAX_SIGNED_HEADERS || !signedHeaders.every((name) => HEADER_NAME.test(name)))
    throw incomplete("SignedHeaders must be lower-case header names separated by ';'.");
  if (new Set(signedHeaders).size !== signedHeaders.length)
    throw incomplete('SignedHeaders names a header twice.');

  const signature = required(parts, 'Signature');
  if (!SIGNATURE.test(signature)) throw incomplete('Signature must be 64 lower-case hexadecimal digits.');
  return { keyId, day, region, signedHeaders, signature };
}

function required(parts: Map<string, string>, name: string): string {
  const value = parts.get(name);
  if (!value) throw incomplete(`Authorization header requires '${name}' parameter.`);
  return value;
}

/** Cleans a caller's text for a message: short, and without line breaks that would end a line of a log. */
function printable(text: string): string {
  return text.slice(0, 40).replace(/[^ -~]/g, '?');
}

function incomplete(message: string): PosternError {
  return new PosternError('incomplete_signature', message);
}
