/**
 * Bearer authentication: `Authorization: Bearer <access key id>.<secret>`. The key is the one that signs SES
 * calls and logs in over SMTP. A bearer key goes over the wire as it is: serve this API over TLS.
 */
import { createHash, timingSafeEqual } from 'node:crypto';
import { callerOf } from '../accept/caller.ts';
import type { Caller } from '../accept/types.ts';
import type { Control } from '../control/types.ts';
import { PosternError } from '../errors.ts';
import { headerOf, type RequestHead } from '../http/raw-request.ts';

/** An id has no dot, a secret may have any character but a space. */
const BEARER = /^Bearer +([^\s.]{1,128})\.(\S{1,256}) *$/i;

/**
 * Authenticates the caller. An unknown key and a wrong secret get one answer, in the same time, so that neither
 * reveals whether a key exists.
 */
export async function authenticate(
  control: Pick<Control, 'keys' | 'keyUse'>,
  head: RequestHead,
  now: number,
): Promise<Caller> {
  const header = headerOf(head, 'authorization');
  const given = header === undefined ? undefined : BEARER.exec(header);
  if (!given) {
    throw new PosternError(
      'missing_authentication',
      'Send the header "Authorization: Bearer <access key id>.<secret access key>".',
    );
  }
  const [, id, secret] = given;
  const key = await control.keys.find(id!);
  const equal = timingSafeEqual(digest(secret!), digest(key?.secret ?? ''));
  if (!key || !equal) {
    throw new PosternError('unknown_key', 'The access key is unknown, or its secret is another one.');
  }
  return callerOf(control, key, head.sourceIp, now);
}

/** Digests have one length for any text: the comparison reveals nothing of the secret's length. */
function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
