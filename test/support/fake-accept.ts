import type { Accept, Submission, SubmitOptions, Submitted } from '../../lib/accept/types.ts';
import { PosternError } from '../../lib/errors.ts';

/** An accept pipeline that records its calls, and honours idempotency keys. */
export class FakeAccept implements Accept {
  readonly submissions: Submission[] = [];
  readonly calls: SubmitOptions[] = [];
  /** Called for each submission; an error refuses that one. */
  refuse: (submission: Submission) => void = () => {};
  /** Thrown for the whole call. */
  failure?: Error;
  #answers = new Map<string, { digest: string; answer: Submitted[] }>();

  async submit(submissions: Submission[], options: SubmitOptions): Promise<Submitted[]> {
    this.calls.push(options);
    if (this.failure) throw this.failure;
    const { idempotency } = options;
    const key = idempotency && `${options.caller.keyId}/${idempotency.key}`;
    const earlier = key === undefined ? undefined : this.#answers.get(key);
    if (earlier && earlier.digest !== idempotency?.digest)
      throw new PosternError('idempotency_conflict', 'Another request had this key.');
    if (earlier) return earlier.answer;
    const answer = submissions.map((submission): Submitted => {
      try {
        this.refuse(submission);
      } catch (error) {
        return { error: error as PosternError };
      }
      this.submissions.push(submission);
      return { messageId: `0100-${this.submissions.length}-000000` };
    });
    // As the pipeline: a call of which nothing was taken in may be made again.
    if (key !== undefined && answer.some((one) => 'messageId' in one))
      this.#answers.set(key, { digest: idempotency!.digest, answer });
    return answer;
  }

  get last(): Submission {
    return this.submissions.at(-1)!;
  }
}
