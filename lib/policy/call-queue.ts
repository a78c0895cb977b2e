/**
 * Calls that wait for the policy's thread, and their callers: each waits for `patience`, then continues without an
 * answer.
 */
import type { Clock } from '../time.ts';
import type { HookName } from './policy.ts';
import type { HookCall } from './protocol.ts';
import type { PolicyThread } from './thread.ts';

/** A caller that waits for an answer. */
interface Asked {
  readonly hook: HookName;
  readonly at: number;
  readonly resolve: (answer: unknown) => void;
}

export interface CallQueueOptions {
  clock: Clock;
  /** Maximum wait for an answer, the time in the queue included, ms. */
  patience: number;
  /** Called for each call that ran out of patience. */
  onSkipped: (hook: HookName) => void;
}

const LAST_ID = 0x7fff_ffff;
/** Maximum number of calls in a thread at once; the rest stays here, so that an expired call is never made. */
const WINDOW = 256;
/** Checks for expired calls per `patience`. */
const LOOKS = 4;

export class CallQueue {
  readonly #options: CallQueueOptions;
  /** Calls by id, in the order of arrival. */
  readonly #asked = new Map<number, Asked>();
  /** Calls that are not in a thread yet. */
  #held = new Map<number, HookCall>();
  #lastId = 0;
  #cancelLook: (() => void) | undefined;

  constructor(options: CallQueueOptions) {
    this.#options = options;
  }

  /** Number of unanswered calls. */
  get length(): number {
    return this.#asked.size;
  }

  /** Whether a thread has all of them. */
  get fed(): boolean {
    return this.#held.size === 0;
  }

  /** @returns the answer; never rejects. */
  join(hook: HookName, facts: unknown): Promise<unknown> {
    const { clock } = this.#options;
    const id = (this.#lastId = this.#lastId === LAST_ID ? 1 : this.#lastId + 1);
    if (this.#cancelLook === undefined) this.#lookLater();
    return new Promise((resolve) => {
      this.#asked.set(id, { hook, at: clock.now(), resolve });
      this.#held.set(id, { id, hook, facts });
    });
  }

  /** Sends a thread the next calls, as many as it can soon answer. @param may whether a hook is still called. */
  feed(thread: PolicyThread, may: (hook: HookName) => boolean): void {
    for (const [id, call] of this.#held) {
      if (thread.pending >= WINDOW) return;
      this.#held.delete(id);
      if (!may(call.hook)) this.answer(id, undefined);
      else if (this.#asked.has(id)) thread.call(call);
    }
  }

  /** Puts calls that a thread left unanswered at the front. */
  putBack(calls: readonly HookCall[]): void {
    this.#held = new Map([...calls.map((call) => [call.id, call] as const), ...this.#held]);
  }

  answer(id: number, answer: unknown): void {
    this.#asked.get(id)?.resolve(answer);
    this.#asked.delete(id);
  }

  /** Lets all waiting callers continue without an answer. */
  dissolve(): void {
    this.#cancelLook?.();
    this.#cancelLook = undefined;
    this.#held.clear();
    for (const id of [...this.#asked.keys()]) this.answer(id, undefined);
  }

  #lookLater(): void {
    const { clock, patience } = this.#options;
    this.#cancelLook = clock.after(patience / LOOKS, () => this.#look());
  }

  #look(): void {
    const { clock, patience, onSkipped } = this.#options;
    const late = clock.now() - patience;
    for (const [id, { hook, at }] of this.#asked) {
      if (at > late) break;
      this.#held.delete(id);
      onSkipped(hook);
      this.answer(id, undefined);
    }
    this.#cancelLook = undefined;
    if (this.#asked.size > 0) this.#lookLater();
  }
}
