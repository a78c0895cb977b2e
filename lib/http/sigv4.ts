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
import { createHmac, hash, timingSafeEqual } from 'node:crypto';
import { Cache } from '../cache.ts';
import type { AccessKey } from '../control/types.ts';
import { PosternError } from '../errors.ts';
import { createHmacSha256 } from '../mail/hmac.ts';
import type { RequestHead } from './raw-request.ts';
import { type Authorization, parseAuthorization, SIGNATURE } from './sigv4-authorization.ts';
import { canonicalHeaders, canonicalPath, canonicalQuery, parseQuery } from './sigv4-canonical.ts';

/** Maximum difference between a caller's clock and ours, in either direction, ms. */
const MAX_SKEW = 5 * 60_000;
const MAX_CACHED_KEYS = 1024;
/** Octets of a time, `yyyymmddThhmmssZ`, of a SHA-256 in hexadecimal, and of the line in front of both. */
const TIME = 16;
const DIGEST = 64;
const ALGORITHM_LINE = 'AWS4-HMAC-SHA256\n';

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

/** An `Authorization` header but for its signature, as a client repeats it for a day, and what signs under it. */
interface KnownLine {
  auth: Omit<Authorization, 'signature'>;
  secret: string;
  sign: (text: Buffer) => string;
}

/** Makes a verifier for the keys of `find`. */
export function createSigV4(find: (keyId: string) => Promise<AccessKey | undefined>): SigV4 {
  const lines = new Cache<string, KnownLine>(MAX_CACHED_KEYS);

  function checkSignature(
    { line, auth, known: kept }: GivenAuthorization,
    { secret }: AccessKey,
    time: string,
    canonicalRequest: string,
  ): void {
    const scope = `${auth.day}/${auth.region}/ses/aws4_request`;
    const isKept = kept?.secret === secret;
    const sign = isKept ? kept.sign : signerOf(secret, auth, scope);
    const digest = hash('sha256', Buffer.from(canonicalRequest, 'latin1'), 'hex');
    const expected = sign(Buffer.from(`${time}\n${scope}\n${digest}`, 'latin1'));
    if (!timingSafeEqual(Buffer.from(expected, 'latin1'), Buffer.from(auth.signature, 'hex')))
      throw new PosternError(
        'invalid_signature',
        'The request signature we calculated does not match the signature you provided. Check your secret access key and signing method.',
      );
    // Only a valid signature gets into the cache: a caller without a secret cannot flush it.
    if (!isKept && line.endsWith('Signature=')) lines.set(line, { auth, secret, sign });
  }

  return {
    async begin(head, now) {
      const given = authorizationOf(head, lines);
      const { auth } = given;
      const time = signedTime(head, auth);
      checkTime(time, auth.day, now);
      const known = await find(auth.keyId);
      if (!known)
        throw new PosternError('unknown_key', 'The security token included in the request is invalid.');
      const declared = declaredHash(head);
      const query = parseQuery(head.rawQuery);
      const beforeHash = `${head.method}\n${canonicalPath(head.rawPath)}\n${canonicalQuery(query)}\n${canonicalHeaders(head, auth.signedHeaders)}\n${auth.signedHeaders.join(';')}\n`;
      if (declared !== undefined) checkSignature(given, known, time.text, beforeHash + declared);
      return {
        keyId: auth.keyId,
        proven: declared !== undefined,
        query,
        finish(body) {
          const bodyHash = hash('sha256', body, 'hex');
          if (declared === undefined) checkSignature(given, known, time.text, beforeHash + bodyHash);
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

function hmac(key: Buffer, text: string): Buffer {
  return createHmac('sha256', key).update(text).digest();
}

/** Signs with kSigning of (key, day, region); what is signed has the same length each time. */
function signerOf(
  secret: string,
  { day, region }: Pick<Authorization, 'day' | 'region'>,
  scope: string,
): KnownLine['sign'] {
  const key = [day, region, 'ses', 'aws4_request'].reduce(hmac, Buffer.from(`AWS4${secret}`));
  return createHmacSha256(key, ALGORITHM_LINE, TIME + 1 + scope.length + 1 + DIGEST);
}

/** The authorization of a request. */
interface GivenAuthorization {
  /** The header but for its last 64 characters, which are the signature where it is written last, as all clients do. */
  line: string;
  auth: Authorization;
  /** The same line, verified before. */
  known: KnownLine | undefined;
}

function authorizationOf(head: RequestHead, lines: Cache<string, KnownLine>): GivenAuthorization {
  const value = single(head, 'authorization');
  if (value === undefined) {
    if (/(^|&)X-Amz-(Algorithm|Signature)=/i.test(head.rawQuery))
      throw new PosternError(
        'incomplete_signature',
        'Signatures in the query string are not supported; send an Authorization header.',
      );
    throw new PosternError('missing_authentication', 'Missing Authentication Token');
  }
  const line = value.slice(0, -DIGEST);
  const signature = value.slice(-DIGEST);
  const known = SIGNATURE.test(signature) ? lines.get(line) : undefined;
  const auth = known ? { ...known.auth, signature } : parseAuthorization(value);
  if (!auth.signedHeaders.includes('host') || single(head, 'host') === undefined)
    throw new PosternError('incomplete_signature', "'Host' must be a signed header.");
  // A token added after signing is not covered by the caller's signature.
  if (
    single(head, 'x-amz-security-token') !== undefined &&
    !auth.signedHeaders.includes('x-amz-security-token')
  )
    throw new PosternError('incomplete_signature', "'X-Amz-Security-Token' must be a signed header.");
  return { line, auth, known };
}

/** Refuses a repeated header that decides the verification: a proxy and the API might each use another one. */
function single(head: RequestHead, name: string): string | undefined {
  let found: string | undefined;
  // By index: this and the like run some dozen times a request, and to take each pair apart costs more than to compare.
  for (let i = 0; i < head.headers.length; i++) {
    const field = head.headers[i]!;
    if (field[0] !== name) continue;
    if (found !== undefined)
      throw new PosternError('incomplete_signature', `The header '${name}' came more than once.`);
    found = field[1];
  }
  return found;
}

/** A time as it was signed, and what it is, ms. */
interface SignedTime {
  /** `yyyymmddThhmmssZ` */
  text: string;
  at: number;
}

/** The signed time, from `X-Amz-Date`, else from `Date`. */
function signedTime(head: RequestHead, { signedHeaders }: Authorization): SignedTime {
  const name = ['x-amz-date', 'date'].find((candidate) => signedHeaders.includes(candidate));
  const value = name && single(head, name);
  if (!value)
    throw new PosternError(
      'incomplete_signature',
      "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header, signed.",
    );
  const basic = parseBasicTime(value);
  if (basic !== undefined) return { text: value, at: basic };
  const parsed = name === 'date' ? Date.parse(value) : Number.NaN;
  if (Number.isNaN(parsed))
    throw new PosternError(
      'incomplete_signature',
      `Date must be in ISO-8601 'basic format' (yyyymmddThhmmssZ).`,
    );
  const text = basicTime(parsed);
  return { text, at: parseBasicTime(text)! };
}

/** The last time that was parsed: under load many requests share a second. */
let lastTime: SignedTime = { text: '', at: 0 };

function parseBasicTime(text: string): number | undefined {
  if (text === lastTime.text) return lastTime.at;
  const match = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(text);
  if (!match) return undefined;
  const [year, month, day, hour, minute, second] = match.slice(1).map(Number) as number[];
  lastTime = { text, at: Date.UTC(year!, month! - 1, day, hour, minute, second) };
  return lastTime.at;
}

function basicTime(time: number): string {
  return new Date(time).toISOString().replace(/[-:]|\.\d+/g, '');
}

function checkTime({ text, at }: SignedTime, day: string, now: number): void {
  const late = now - at;
  if (Math.abs(late) > MAX_SKEW)
    throw new PosternError(
      'clock_skew',
      late > 0
        ? `Signature expired: ${text} is now earlier than ${basicTime(now - MAX_SKEW)} (${basicTime(now)} - 5 min.)`
        : `Signature not yet current: ${text} is still later than ${basicTime(now + MAX_SKEW)} (${basicTime(now)} + 5 min.)`,
    );
  if (!text.startsWith(day))
    throw new PosternError(
      'invalid_signature',
      `Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '${day}' != '${text.slice(0, 8)}'.`,
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
