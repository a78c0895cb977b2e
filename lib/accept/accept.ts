/**
 * The accept pipeline, behind every door:
 *
 * ```
 * tenant → sender's identity → configuration set → recipients → policy ─┬─ content → sign ─┬─ admit → answer
 *                                                                       └─ suppressed? ────┘
 * ```
 * Everything that depends on content is done here, once. What is stored is the exact bytes that will travel.
 */
import { isAscii } from 'node:buffer';
import type { Admission } from '../engine/ports.ts';
import { asPosternError, PosternError } from '../errors.ts';
import { messageIdOf } from '../mail/message-id.ts';
import { type Checked, check } from './check.ts';
import type { AcceptDeps } from './deps.ts';
import { draft, type Signed, sign } from './draft.ts';
import { askPolicy, subjectOf } from './hook.ts';
import { conflict, readAnswer, storeAnswer } from './idempotency.ts';
import { admission, type ItemRules, type Origin } from './records.ts';
import { type Suppressed, suppressedOf } from './suppressed.ts';
import type { Accept, Submission, SubmitOptions, Submitted } from './types.ts';

/** Grace after the last attempt in which a bounce may still come back (RFC 5321 §4.5.4.1: days). */
const RETURN_PATH_GRACE = 7 * 24 * 3600 * 1000;

export function createAccept(deps: AcceptDeps): Accept {
  const { policy, hooks, clock, returnPaths } = deps;

  function finish({ prepared, identity, bytes }: Signed, origin: Origin, suppressed: Suppressed): Admission {
    const domain = policy.returnPathDomain(identity, prepared.from.domain);
    const rules: ItemRules = {
      group: policy.group,
      returnPath: (id, n, expiresAt) => returnPaths.make(id, n, domain, expiresAt + RETURN_PATH_GRACE),
    };
    return admission(prepared, origin, bytes, !isAscii(bytes), rules, suppressed);
  }

  async function checked(submission: Submission, options: SubmitOptions, origin: Origin): Promise<Checked> {
    const result = check(deps, submission, options);
    if (hooks?.has('onAccept')) {
      const subject = subjectOf(submission.content, result.raw);
      await askPolicy(hooks, result.prepared, subject, origin, policy);
    }
    return result;
  }

  async function signed(message: Checked, origin: Origin): Promise<Signed | Admission> {
    const made = draft(deps, message, origin);
    return 'identity' in made ? sign(deps, made) : made;
  }

  /** What becomes of each submission. @throws PosternError when it cannot be known who is suppressed. */
  async function prepareAll(
    submissions: readonly Submission[],
    options: SubmitOptions,
    origin: Origin,
  ): Promise<(Admission | PosternError)[]> {
    const all = await Promise.all(
      submissions.map((submission) => checked(submission, options, origin).catch(asPosternError)),
    );
    const good = all.flatMap((one) => (one instanceof PosternError ? [] : [one.prepared]));
    const [made, suppressed] = await Promise.all([
      Promise.all(
        all.map(async (one) =>
          one instanceof PosternError ? one : signed(one, origin).catch(asPosternError),
        ),
      ),
      suppressedOf(good, deps.engine.suppressions),
    ]);
    return made.map((one) => {
      if (one instanceof PosternError || !('bytes' in one)) return one;
      return finish(one, origin, suppressed.get(one.prepared) ?? []);
    });
  }

  return {
    async submit(submissions, options) {
      const claim = options.idempotency && {
        key: `${options.caller.keyId}/${options.idempotency.key}`,
        digest: options.idempotency.digest,
      };
      // Before all else: the template or the identity of the first call may be gone by now, its answer is not.
      const earlier = claim && (await deps.engine.records.claim(claim.key));
      if (earlier && earlier.digest !== claim.digest) throw conflict();
      if (earlier) return readAnswer(earlier.response);

      const origin: Origin = {
        door: options.door,
        keyId: options.caller.keyId,
        sourceIp: options.caller.sourceIp,
      };
      const failed = (error: unknown): never => {
        for (const _ of submissions) deps.onResult?.(options.door, asPosternError(error).code);
        throw error;
      };
      const made = await prepareAll(submissions, options, origin).catch(failed);
      const admissions: Admission[] = [];
      const answer: Submitted[] = made.map((result) => {
        if (result instanceof PosternError) return { error: result };
        admissions.push(result);
        return { messageId: messageIdOf(result.record) };
      });
      if (admissions.length > 0) {
        const result = await deps.engine.queue
          .admit(
            admissions,
            claim && {
              ...claim,
              expiresAt: clock.now() + options.idempotency!.ttl,
              response: storeAnswer(answer),
            },
          )
          .catch(failed);
        // The same call, taken in at the same time by another request.
        if (result.kind === 'repeated') return readAnswer(result.response);
        if (result.kind === 'conflict') throw conflict();
      }
      for (const result of answer) {
        deps.onResult?.(options.door, 'error' in result ? result.error.code : 'accepted');
      }
      return answer;
    },
  };
}
