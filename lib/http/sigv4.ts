/**
 * Verification of AWS Signature Version 4 for the service `ses`.
 *
 * ```
 *  head ─► begin: parse, scope, time, key ─► (declared payload hash? check the signature now) ─► read the body
 *       ─► finish: hash the body, compare with the declared hash, or check the signature with it
 * ```
 * A caller that declares `x-amz-content-sha256` (the JavaScript SDK) is proven before an octet of the body is read;
 * another (boto3) only afterwards, with a key that exists and a current time.
 */
import { createHmac, createSecretKey, hash, type KeyObject, timingSafeEqual } from 'node:crypto';
import { Cache } from '../cache.ts';
import type { AccessKey } from '../control/types.ts';
import { PosternError } from '../errors.ts';
import type { RequestHead } from './raw-request.ts';
import { type Authorization, parseAuthorization } from './sigv4-authorization.ts';
import { canonicalHeaders, canonicalPath, canonicalQuery, parseQuery } from './sigv4-canonical.ts';

/** Maximum difference between a caller's clock and ours, in either direction, ms. */
const MAX_SKEW = 5 * 60_000;
const MAX_CACHED_KEYS = 1024;

/** A request whose head is valid. */
export interface SignedHead {
  keyId: string;
  /** Whether the signature is checked already. */
  proven: boolean;
  /** Decoded query. */
  query: [name: string, value: string][];
  /**
   * Ends the verification with the body.
   * @returns the key, and the SHA-256 of the body in hexadecimal.
   * @throws PosternError `invalid_signature`.
   */
  finish(body: Buffer): { key: AccessKey; bodyHash: string };
}

export interface SigV4 {
  /**
   * @param now current time, ms.
   * @throws PosternError `missing_authentication`, `incomplete_signature`, `clock_skew`, `invalid_signature`,
   * `unknown_key`, and what `find` throws.
   */
  begin(head: RequestHead, now: number): Promise<SignedHead>;
}

/** Makes a verifier for the keys of `find`. */
export function createSigV4(find: (keyId: string) => Promise<AccessKey | undefined>): SigV4 {
  const signingKeys = new Cache<string, { secret: string; key: KeyObject }>(MAX_CACHED_KEYS);

  /**
   * kSigning of (key, day, region), as a key object: making one costs four times its HMAC.
   * @returns also a function that caches it, once a signature has verified with it.
   */
  function signingKey(secret: string, auth: Authorization): { key: KeyObject; keep: () => void } {
    const name = `${auth.keyId}/${auth.day}/${auth.region}`;
    const cached = signingKeys.get(name);
    if (cached && cached.secret === secret) return { key: cached.key, keep: nothing };
    const parts = [auth.day, auth.region, 'ses', 'aws4_request'];
    const key = createSecretKey(parts.reduce(hmac, Buffer.from(`AWS4${secret}`)));
    // Only a valid signature puts a key into the cache: a caller without a secret cannot flush it.
    const keep = (): void => {
      signingKeys.set(name, { secret, key });
    };
    return { key, keep };
  }

  function checkSignature(
    auth: Authorization,
    known: AccessKey,
    time: string,
    canonicalRequest: string,
  ): void {
    const { key, keep } = signingKey(known.secret, auth);
    const digest = hash('sha256', Buffer.from(canonicalRequest, 'latin1'), 'hex');
    const scope = `${auth.day}/${auth.region}/ses/aws4_request`;
    const expected = hmac(key, `AWS4-HMAC-SHA256\n${time}\n${scope}\n${digest}`);
    if (!timingSafeEqual(expected, Buffer.from(auth.signature, 'hex')))
      throw new PosternError(
        'invalid_signature',
        'The request signature we calculated does not match the signature you provided. Check your secret access key and signing method.',
      );
    keep();
  }

  return {
    async begin(head, now) {
      const auth = authorizationOf(head);
      const time = signedTime(head, auth);
      checkTime(time, auth.day, now);
      const known = await find(auth.keyId);
      if (!known)
        throw new PosternError('unknown_key', 'The security token included in the request is invalid.');
      const declared = declaredHash(head);
      const query = parseQuery(head.rawQuery);
      const beforeHash = `${head.method}\n${canonicalPath(head.rawPath)}\n${canonicalQuery(query)}\n${canonicalHeaders(head, auth.signedHeaders)}\n${auth.signedHeaders.join(';')}\n`;
      if (declared !== undefined) checkSignature(auth, known, time, beforeHash + declared);
      return {
        keyId: auth.keyId,
        proven: declared !== undefined,
        query,
        finish(body) {
          const bodyHash = hash('sha256', body, 'hex');
          if (declared === undefined) checkSignature(auth, known, time, beforeHash + bodyHash);
          else if (declared !== bodyHash)
            throw new PosternError(
              'invalid_signature',
              "The provided 'x-amz-content-sha256' header does not match what was computed from the body.",
            );
          return { key: known, bodyHash };
        },
      };
    },
  };
}

function nothing(): void {}

function hmac(key: Buffer | KeyObject, text: string): Buffer {
  return createHmac('sha256', key).update(text).digest();
}

function authorizationOf(head: RequestHead): Authorization {
  const value = single(head, 'authorization');
  if (value === undefined) {
    if (/(^|&)X-Amz-(Algorithm|Signature)=/i.test(head.rawQuery))
      throw new PosternError(
        'incomplete_signature',
        'Signatures in the query string are not supported; send an Authorization header.',
      );
    throw new PosternError('missing_authentication', 'Missing Authentication Token');
  }
  const auth = parseAuthorization(value);
  if (!auth.signedHeaders.includes('host') || single(head, 'host') === undefined)
    throw new PosternError('incomplete_signature', "'Host' must be a signed header.");
  // A token added after signing is not covered by the caller's signature.
  if (
    single(head, 'x-amz-security-token') !== undefined &&
    !auth.signedHeaders.includes('x-amz-security-token')
  )
    throw new PosternError('incomplete_signature', "'X-Amz-Security-Token' must be a signed header.");
  return auth;
}

/** Refuses a repeated header that decides the verification: a proxy and the API might each use another one. */
function single(head: RequestHead, name: string): string | undefined {
  let found: string | undefined;
  for (const [other, value] of head.headers) {
    if (other !== name) continue;
    if (found !== undefined)
      throw new PosternError('incomplete_signature', `The header '${name}' came more than once.`);
    found = value;
  }
  return found;
}

/** The signed time as `yyyymmddThhmmssZ`, from `X-Amz-Date`, else from `Date`. */
function signedTime(head: RequestHead, auth: Authorization): string {
  const name = ['x-amz-date', 'date'].find((candidate) => auth.signedHeaders.includes(candidate));
  const value = name && single(head, name);
  if (!value)
    throw new PosternError(
      'incomplete_signature',
      "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header, signed.",
    );
  if (parseBasicTime(value) !== undefined) return value;
  const parsed = name === 'date' ? Date.parse(value) : Number.NaN;
  if (Number.isNaN(parsed))
    throw new PosternError(
      'incomplete_signature',
      `Date must be in ISO-8601 'basic format' (yyyymmddThhmmssZ).`,
    );
  return basicTime(parsed);
}

function parseBasicTime(text: string): number | undefined {
  const match = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(text);
  if (!match) return undefined;
  const [year, month, day, hour, minute, second] = match.slice(1).map(Number) as number[];
  return Date.UTC(year!, month! - 1, day, hour, minute, second);
}

function basicTime(time: number): string {
  return new Date(time).toISOString().replace(/[-:]|\.\d+/g, '');
}

function checkTime(time: string, day: string, now: number): void {
  const signed = parseBasicTime(time)!;
  const late = now - signed;
  if (Math.abs(late) > MAX_SKEW)
    throw new PosternError(
      'clock_skew',
      late > 0
        ? `Signature expired: ${time} is now earlier than ${basicTime(now - MAX_SKEW)} (${basicTime(now)} - 5 min.)`
        : `Signature not yet current: ${time} is still later than ${basicTime(now + MAX_SKEW)} (${basicTime(now)} + 5 min.)`,
    );
  if (!time.startsWith(day))
    throw new PosternError(
      'invalid_signature',
      `Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '${day}' != '${time.slice(0, 8)}'.`,
    );
}

function declaredHash(head: RequestHead): string | undefined {
  const declared = single(head, 'x-amz-content-sha256')?.trim();
  if (declared === undefined || /^[0-9a-f]{64}$/.test(declared)) return declared;
  throw new PosternError(
    'invalid_signature',
    "'x-amz-content-sha256' must be the SHA-256 of the body; unsigned and streaming payloads are not supported.",
  );
}
