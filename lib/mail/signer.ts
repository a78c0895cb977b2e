/**
 * Makes DKIM signatures off the event loop, with private keys parsed once.
 *
 * A signature takes about 260 µs of RSA and 20 µs of everything else. The asynchronous `crypto.sign` makes them: on
 * libuv's threads it takes no more CPU in total than worker threads fed with batches, and there is no thread that can
 * die. Only a few jobs are submitted at a time, because those threads also serve files and look-ups, first come first
 * served. What waits takes turns between calls: a message by itself does not stand behind the fifty of a bulk call.
 */
import { createPrivateKey, hash, type KeyObject, sign as signAsync } from 'node:crypto';
import { Cache } from '../cache.ts';
import { PosternError } from '../errors.ts';
import { bodyHash, type KeyTags, keyTags, signatureField, signedHeader, withSignature } from './dkim.ts';
import type { ParsedMessage, SigningKey } from './types.ts';

/** Maximum number of parsed keys in the cache, about 10 KB each. */
const MAX_KEYS = 2000;

/** Tag values of `d=` and `s=`: host names, and nothing that could begin another tag or line. */
const TAG_NAME = /^[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*$/;

export interface Signer {
  /**
   * Signs a message with each key.
   * @param at when the message may first leave, ms (`t=`; the signature expires a week later).
   * @param call stands for the messages that share a turn with this one; absent: none.
   * @returns the DKIM-Signature fields in the order of the keys, latin1, each ending in CRLF: the `prefix` of
   * `serialise`. Empty without keys.
   * @throws `internal` on a key that cannot be used; `shutting_down` after `close`.
   */
  sign(message: ParsedMessage, keys: readonly SigningKey[], at: number, call?: object): Promise<string>;
  /** Refuses new signatures; resolves when those under way are done. */
  close(): Promise<void>;
}

/** A key as it signs. */
interface ParsedKey {
  object: KeyObject;
  tags: KeyTags;
}

interface Job {
  algorithm: 'sha256' | null;
  data: Buffer;
  key: KeyObject;
  done(error: Error | null, signature: Buffer): void;
}

/**
 * @param options.threads maximum number of signatures queued at libuv's threads (one a core,
 * unless `UV_THREADPOOL_SIZE` sets another number; four where `egress-node/threads.cjs` is not loaded). The default of 8 keeps them busy while the event loop works, and delays others by 1 ms.
 */
export function createSigner(options: { threads?: number } = {}): Signer {
  const limit = options.threads ?? 8;
  const parsed = new Cache<SigningKey, ParsedKey>(MAX_KEYS);
  /** By call, in the order of their next turns. */
  const waiting = new Map<object, Job[]>();
  let running = 0;
  let closed: (() => void) | undefined;
  let closing: Promise<void> | undefined;

  function parsedKey(key: SigningKey): ParsedKey {
    let one = parsed.get(key);
    if (one === undefined) parsed.set(key, (one = parseKey(key)));
    return one;
  }

  function start(job: Job): void {
    running++;
    signAsync(job.algorithm, job.data, job.key, (error, signature) => {
      running--;
      if (waiting.size > 0) start(next());
      job.done(error, signature);
      if (running === 0) closed?.();
    });
  }

  /** Takes the first job of the call whose turn it is. */
  function next(): Job {
    const [call, jobs] = waiting.entries().next().value!;
    const job = jobs.shift()!;
    waiting.delete(call);
    if (jobs.length > 0) waiting.set(call, jobs);
    return job;
  }

  function enqueue(job: Job, call: object): void {
    const jobs = waiting.get(call);
    if (running < limit) start(job);
    else if (jobs) jobs.push(job);
    else waiting.set(call, [job]);
  }

  return {
    sign(message, keys, at, call = message) {
      if (keys.length === 0 && !closing) return Promise.resolve('');
      // What is thrown within it rejects. An async function around it would make the caller wait for two promises more.
      return new Promise((resolve, reject) => {
        if (closing) throw new PosternError('shutting_down', 'The signer is closed.');
        const signing = keys.map(parsedKey);
        const header = signedHeader(message.fields);
        const digest = bodyHash(message.body);
        const made: string[] = [];
        let left = keys.length;
        for (let i = 0; i < keys.length; i++) {
          const key = keys[i]!;
          const { object, tags } = signing[i]!;
          const { field, input } = signatureField(tags, header, digest, at);
          const data = Buffer.from(input, 'latin1');
          // Ed25519 signs the hash of the input, not the input (RFC 8463 §3).
          const ed25519 = key.algorithm === 'ed25519-sha256';
          const job: Job = {
            algorithm: ed25519 ? null : 'sha256',
            data: ed25519 ? hash('sha256', data, 'buffer') : data,
            key: object,
            done(error, signature) {
              if (error) return reject(unusable(key, error));
              made[i] = withSignature(field, signature.toString('base64'));
              if (--left === 0) resolve(made.length === 1 ? made[0]! : made.join(''));
            },
          };
          enqueue(job, call);
        }
      });
    },

    close() {
      closing ??= new Promise((resolve) => {
        if (running === 0) resolve();
        else closed = resolve;
      });
      return closing;
    },
  };
}

function unusable(key: SigningKey, cause: unknown): PosternError {
  return new PosternError(
    'internal',
    `The DKIM key ${key.selector} of ${key.domain} cannot be used; give the identity another one.`,
    { cause },
  );
}

function parseKey(key: SigningKey): ParsedKey {
  if (!TAG_NAME.test(key.domain) || !TAG_NAME.test(key.selector)) {
    throw unusable(key, new Error('Its domain or selector is not a host name.'));
  }
  let object: KeyObject;
  try {
    object = createPrivateKey(key.privateKey);
  } catch (error) {
    throw unusable(key, error);
  }
  const type = key.algorithm === 'rsa-sha256' ? 'rsa' : 'ed25519';
  if (object.asymmetricKeyType !== type) throw unusable(key, new Error(`It is not an ${type} key.`));
  return { object, tags: keyTags(key) };
}
