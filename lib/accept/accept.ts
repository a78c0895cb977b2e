/**
 * The accept pipeline, shared by all protocols:
 *
 * ```
 * tenant → sender's identity → configuration set → recipients → policy ─┬─ content → sign ─┬─ admit → answer
 *                                                                       └─ suppressed? ────┘
 * ```
 * All work that depends on content is done here, once. The stored bytes are exactly those that will travel.
 */
import { isAscii } from 'node:buffer';
import type { Admission } from '../engine/ports.ts';
import { asPosternError, type ErrorCode, PosternError } from '../errors.ts';
import { callUuids } from '../mail/message-id.ts';
import { DAY } from '../time.ts';
import { Turns } from '../turns.ts';
import { checkBulk } from './bulk.ts';
import { CallSize, HeldBytes } from './call-size.ts';
import { type Checked, check } from './check.ts';
import type { AcceptDeps } from './deps.ts';
import { type Draft, draft, type Signed, sign } from './draft.ts';
import { askPolicy, subjectOf } from './hook.ts';
import { conflict, readAnswer, storeAnswer } from './idempotency.ts';
import { type AtHand, KnownSenders } from './known-senders.ts';
import type { Taken } from './limits.ts';
import { admission, type ItemRules, type Origin, type Prepared, type Withheld } from './records.ts';
import { type Subscribed, subscribedOf } from './subscribed.ts';
import { suppressedOf, type WithheldByMessage } from './suppressed.ts';
import type { Accept, Submission, SubmitOptions, Submitted } from './types.ts';

/** Size from which a message's signature counts as a slice of work by itself, octets. */
const LARGE = 1024 * 1024;
const NOBODY: Withheld = new Map();
/** Grace after the last attempt in which a bounce may still come back (RFC 5321 §4.5.4.1: days), ms. */
const RETURN_PATH_GRACE = 7 * DAY;

/** Recipients of a call's messages who get nothing. */
interface Lists {
  suppressed: WithheldByMessage;
  subscribed: Subscribed;
}

export function createAccept(deps: AcceptDeps): Accept {
  return new Acceptor(deps);
}

class Acceptor implements Accept {
  readonly #deps: AcceptDeps & { senders: KnownSenders };
  readonly #turns = new Turns();
  readonly #held = new HeldBytes();

  constructor(deps: AcceptDeps) {
    this.#deps = { ...deps, senders: new KnownSenders(deps.control) };
  }

  async submit(submissions: readonly Submission[], options: SubmitOptions): Promise<Submitted[]> {
    const claim = options.idempotency && {
      key: `${options.caller.keyId}/${options.idempotency.key}`,
      digest: options.idempotency.digest,
    };
    // Checked first: the template or the identity of the first call may be gone by now, its answer is not.
    const earlier =
      claim && !options.idempotency?.first && (await this.#deps.engine.records.claim(claim.key));
    if (claim && earlier && earlier.digest !== claim.digest) throw conflict();
    if (earlier) return readAnswer(earlier.response);

    const origin: Origin = {
      door: options.door,
      keyId: options.caller.keyId,
      sourceIp: options.caller.sourceIp,
    };
    let size: CallSize | undefined;
    const taken = new Map<number, Taken>();
    try {
      size = new CallSize(submissions, this.#held);
      const uuids = callUuids(claim?.key);
      const made = await this.#prepareAll(submissions, options, { origin, size, taken }, uuids);
      const admissions = admissionsOf(made, taken);
      const answer = made.map(answerOf);
      if (admissions.length > 0) {
        const result = await this.#deps.engine.queue.admit(
          admissions,
          claim && {
            ...claim,
            expiresAt: this.#deps.clock.now() + options.idempotency!.ttl,
            response: storeAnswer(answer),
          },
        );
        // Another request admitted the same call at the same time.
        if (result.kind === 'repeated') {
          releaseAll(taken);
          return readAnswer(result.response);
        }
        if (result.kind === 'conflict') throw conflict();
      }
      this.#report(
        options,
        answer.map((one) => ('error' in one ? one.error.code : 'accepted')),
      );
      return answer;
    } catch (error) {
      releaseAll(taken);
      this.#report(
        options,
        submissions.map(() => asPosternError(error).code),
      );
      throw error;
    } finally {
      size?.release();
    }
  }

  #report({ door }: SubmitOptions, results: readonly ('accepted' | ErrorCode)[]): void {
    for (const result of results) this.#deps.onResult?.(door, result);
  }

  /** The result for each submission. @throws PosternError when the suppression list cannot be read, or the call is too large. */
  async #prepareAll(
    submissions: readonly Submission[],
    options: SubmitOptions,
    { origin, size, taken }: { origin: Origin; size: CallSize; taken: Map<number, Taken> },
    uuidAt: (place: number) => string,
  ): Promise<(Admission | PosternError)[]> {
    // Arrays of their length and loops without iterators: one that grows takes room for seventeen with its first, and what
    // an async function may need after a wait is kept for each message.
    const checks = new Array<Promise<Checked | PosternError>>(submissions.length);
    for (let i = 0; i < submissions.length; i++) {
      await this.#turns.next();
      checks[i] = this.#checked(submissions[i]!, options, origin, uuidAt(i));
    }
    const all = new Array<Checked | PosternError>(checks.length);
    // None of them rejects, so they may be waited for in turn: `Promise.all` makes a dozen objects for each message.
    for (let i = 0; i < checks.length; i++) all[i] = await checks[i]!;
    if (all.some((one) => 'limited' in one && one.limited.length > 0)) await this.#count(all, taken);
    const looked = this.#withheld(all);
    const making = this.#makeAll(all, origin, size);
    const [made, { suppressed, subscribed }] =
      looked instanceof Promise ? await Promise.all([making, looked]) : [await making, looked];
    return made.map((one, at) => {
      if (one instanceof PosternError) return one;
      const { prepared } = all[at] as Checked;
      const refusal = subscribed.refused.get(prepared);
      if (refusal) return refusal;
      if (!('bytes' in one)) return one;
      const left = subscribed.withheld.get(prepared);
      const listed = suppressed.get(prepared);
      const withheld = left && listed ? new Map([...left, ...listed]) : (left ?? listed ?? NOBODY);
      return this.#finish(one, origin, withheld);
    });
  }

  /** Recipients who get nothing; at hand where no list is read. */
  #withheld(all: readonly (Checked | PosternError)[]): AtHand<Lists> {
    const good: Prepared[] = [];
    for (const one of all) if (!(one instanceof PosternError)) good.push(one.prepared);
    const suppressed = suppressedOf(good, this.#deps.engine.suppressions);
    const subscribed = subscribedOf(good, this.#deps.contacts);
    if (!(suppressed instanceof Promise) && !(subscribed instanceof Promise))
      return { suppressed, subscribed };
    return Promise.all([suppressed, subscribed]).then(([suppressed, subscribed]) => ({
      suppressed,
      subscribed,
    }));
  }

  /** Counts messages by the limits that hold for them, in their order; one that is over a limit becomes its refusal. */
  async #count(all: (Checked | PosternError)[], taken: Map<number, Taken>): Promise<void> {
    for (const [i, one] of all.entries()) {
      if (one instanceof PosternError || one.limited.length === 0) continue;
      try {
        taken.set(i, await this.#deps.meter.take(one.limited, one.prepared.recipients.length));
      } catch (error) {
        all[i] = asPosternError(error);
      }
    }
  }

  async #checked(
    submission: Submission,
    options: SubmitOptions,
    origin: Origin,
    uuid: string,
  ): Promise<Checked | PosternError> {
    const { hooks, policy } = this.#deps;
    try {
      const result = await check(this.#deps, submission, options, uuid);
      if (result.prepared.class === 'bulk') await checkBulk(this.#deps, result);
      if (hooks?.has('onAccept')) {
        const subject = subjectOf(submission.content, result.raw);
        await askPolicy(hooks, result.prepared, subject, origin, policy);
      }
      return result;
    } catch (error) {
      return asPosternError(error);
    }
  }

  /** Composes all messages of a call, one after the other. @throws PosternError that refuses the whole call. */
  async #makeAll(
    all: readonly (Checked | PosternError)[],
    origin: Origin,
    size: CallSize,
  ): Promise<(Signed | Admission | PosternError)[]> {
    const making = new Array<AtHand<Signed | Admission | PosternError>>(all.length);
    for (let i = 0; i < all.length; i++) {
      const one = all[i]!;
      if (one instanceof PosternError) {
        making[i] = one;
        continue;
      }
      if (all.length > 1) await this.#turns.next();
      try {
        const message = this.#composed(one, origin, size);
        if (!('identity' in message)) making[i] = message;
        else {
          const large = all.length > 1 && message.message.body.length > LARGE;
          if (large) await this.#turns.next();
          // A signature is made while the next message is composed, but only one large message is held twice.
          const signed = sign(this.#deps, message, size).catch(asPosternError);
          making[i] = signed;
          if (large) await signed;
        }
      } catch (error) {
        const refusal = asPosternError(error);
        if (refusal.code === 'too_large' || refusal.code === 'throttled') throw refusal;
        making[i] = refusal;
      }
    }
    const made = new Array<Signed | Admission | PosternError>(making.length);
    // None of them rejects.
    for (let i = 0; i < making.length; i++) {
      const one = making[i]!;
      made[i] = one instanceof Promise ? await one : one;
    }
    return made;
  }

  /** Composes a message and counts its size. */
  #composed(message: Checked, origin: Origin, size: CallSize): Draft | Admission {
    const made = draft(this.#deps, message, origin, size.budget);
    size.add('identity' in made ? made.message.body.length : 0);
    return made;
  }

  #finish({ prepared, takers, bytes }: Signed, origin: Origin, withheld: Withheld): Admission {
    const { policy, returnPaths } = this.#deps;
    const rules: ItemRules = {
      announced: takers.some(({ types }) => types.includes('SEND')),
      group: policy.group,
      returnPath: (id, n, expiresAt) =>
        returnPaths.make(id, n, prepared.returnPathDomain, expiresAt + RETURN_PATH_GRACE),
    };
    return admission(prepared, origin, bytes, !isAscii(bytes), rules, withheld);
  }
}

/** Those that are not refused; what was counted of the others is given back. */
function admissionsOf(
  made: readonly (Admission | PosternError)[],
  taken: ReadonlyMap<number, Taken>,
): Admission[] {
  const admissions: Admission[] = [];
  for (const [i, one] of made.entries()) {
    if (one instanceof PosternError) taken.get(i)?.release();
    else admissions.push(one);
  }
  return admissions;
}

function releaseAll(taken: ReadonlyMap<number, Taken>): void {
  for (const one of taken.values()) one.release();
}

function answerOf(result: Admission | PosternError): Submitted {
  return result instanceof PosternError ? { error: result } : { messageId: result.record.id };
}
