/**
 * Asks the policy that runs, and keeps mail going whatever it does:
 *
 * ```
 *  ask ─► no such hook, disabled ──► undefined
 *      ─► asked before ────────────► that answer
 *      ─► thread ─┬─ answer ───────► answer
 *                 ├─ threw, overran ► undefined, counted
 *                 └─ thread ended ──► the call it died in: undefined; the others go to the next thread
 * ```
 */
import type { Clock } from '../../time.ts';
import type { Answer, Facts, HookName } from '../policy.ts';
import { AnswerCache, type CachedHook, isCached } from './answer-cache.ts';
import { HookRecord, type HookState } from './hook-record.ts';
import type { Call, Result } from './protocol.ts';
import { type Ending, type PolicyThread, startThread, type ThreadLimits } from './thread.ts';

export interface RunnerLimits extends ThreadLimits {
  /** Calls that may wait for an answer; more are not made. */
  waiting: number;
  /** ms for which an answer is used again. */
  reuse: number;
  /** Answers that are kept for that, of each hook. */
  kept: number;
}

/** What an operator is told. */
export interface RunnerLog {
  warn(event: string, fields?: Record<string, unknown>): void;
  error(event: string, fields?: Record<string, unknown>): void;
}

export interface RunnerOptions {
  url: string;
  source: string;
  clock: Clock;
  limits: RunnerLimits;
  log: RunnerLog;
}

/** Ends of the thread outside of any call, after which the policy is not asked any more. */
const STRIKES = 3;
const LAST_ID = 0x7fff_ffff;

export class PolicyRunner {
  readonly #options: RunnerOptions;
  readonly #records = new Map<HookName, HookRecord>();
  readonly #cache: AnswerCache;
  /** By id, what waits for an answer. */
  readonly #asked = new Map<number, (answer: unknown) => void>();
  /** Asked for, and about to be kept. */
  readonly #coming = new Map<string, Promise<unknown>>();
  #thread: PolicyThread | undefined;
  /** Calls that wait for a thread. */
  #held: Call[] = [];
  #lastId = 0;
  #strikes = 0;
  #closed = false;
  disabled: string | undefined;
  restarts = 0;
  skipped = 0;

  private constructor(options: RunnerOptions) {
    this.#options = options;
    this.#cache = new AnswerCache(options.limits.kept);
  }

  /** @throws Error whose message says why the policy is refused. */
  static async start(options: RunnerOptions): Promise<PolicyRunner> {
    const runner = new PolicyRunner(options);
    const thread = await runner.#startThread();
    for (const hook of thread.hooks) runner.#records.set(hook, new HookRecord(hook));
    return runner;
  }

  get hooks(): HookState[] {
    return Array.from(this.#records.values(), (record) => record.state());
  }

  ask<H extends HookName>(hook: H, facts: Facts<H>): Answer<H> | Promise<Answer<H>> {
    const record = this.#records.get(hook);
    if (record === undefined || record.disabled !== undefined || this.disabled !== undefined)
      return undefined as Answer<H>;
    if (!isCached(hook)) return this.#call(hook, facts) as Promise<Answer<H>>;
    const key = this.#cache.key(hook, facts as Facts<CachedHook> as never);
    const known = this.#cache.get(hook, key);
    if (known === undefined) return this.#refresh(hook, facts, key) as Promise<Answer<H>>;
    record.reused += 1;
    if (known.freshUntil <= this.#options.clock.now()) {
      // Everybody goes on with what is known until the new answer is there.
      known.freshUntil = Number.POSITIVE_INFINITY;
      void this.#refresh(hook, facts, key);
    }
    return known.answer as Answer<H>;
  }

  /** Answers what it was asked, and ends. */
  retire(): void {
    this.#closed = true;
    this.#thread?.retire();
    if (this.#thread === undefined) this.#giveUp();
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#thread?.close();
    this.#giveUp();
  }

  #refresh(hook: CachedHook, facts: unknown, key: string): Promise<unknown> {
    const place = `${hook}\n${key}`;
    const coming = this.#coming.get(place);
    if (coming !== undefined) return coming;
    const call = this.#call(hook, facts).then((answer) => {
      this.#coming.delete(place);
      this.#cache.set(hook, key, {
        answer,
        freshUntil: this.#options.clock.now() + this.#options.limits.reuse,
      });
      return answer;
    });
    this.#coming.set(place, call);
    return call;
  }

  #call(hook: HookName, facts: unknown): Promise<unknown> {
    if (this.#asked.size >= this.#options.limits.waiting || this.#closed) {
      this.skipped += 1;
      return Promise.resolve(undefined);
    }
    const id = (this.#lastId = this.#lastId === LAST_ID ? 1 : this.#lastId + 1);
    const call: Call = { id, hook, facts };
    if (this.#thread === undefined) this.#held.push(call);
    else this.#thread.call(call);
    return new Promise((resolve) => void this.#asked.set(id, resolve));
  }

  #answer(id: number, answer: unknown): void {
    this.#asked.get(id)?.(answer);
    this.#asked.delete(id);
  }

  #result(call: Call, { id, value, failure, elapsed, overran }: Result): void {
    const record = this.#records.get(call.hook)!;
    record.ended(elapsed);
    if (overran) {
      record.overruns += 1;
      this.#strike(
        record,
        `It took ${Math.round(elapsed)} ms; it may take ${this.#options.limits.budget} ms.`,
      );
    } else if (failure !== undefined) {
      const { clock, log } = this.#options;
      const report = record.failed(clock.now(), failure);
      if (report) log.warn('policy.failed', { hook: call.hook, reason: failure, failures: record.failures });
    }
    this.#answer(id, overran ? undefined : value);
  }

  #strike(record: HookRecord, reason: string): void {
    const { clock, log } = this.#options;
    log.warn('policy.overran', { hook: record.name, reason });
    if (!record.strike(clock.now(), reason)) return;
    log.error('policy.disabled', { hook: record.name, reason: record.disabled });
  }

  async #startThread(): Promise<PolicyThread> {
    const { url, source, clock, limits } = this.#options;
    const thread = await startThread({
      url,
      source,
      clock,
      limits,
      onResult: (call, result) => this.#result(call, result),
      onEnd: (ending) => void this.#restart(ending),
    });
    this.#thread = thread;
    return thread;
  }

  async #restart({ reason, culprit, unanswered }: Ending): Promise<void> {
    this.#thread = undefined;
    this.restarts += 1;
    this.#held.push(...unanswered);
    if (culprit !== undefined) {
      const record = this.#records.get(culprit.hook)!;
      record.calls += 1;
      record.overruns += 1;
      this.#strike(record, reason);
      this.#answer(culprit.id, undefined);
    } else {
      this.#options.log.warn('policy.ended', { reason });
      if ((this.#strikes += 1) >= STRIKES) return this.#disable(reason);
    }
    if (this.#closed) return this.#giveUp();
    try {
      await this.#startThread();
    } catch (error) {
      return this.#disable((error as Error).message);
    }
    const held = this.#held;
    this.#held = [];
    for (const call of held) {
      if (this.#records.get(call.hook)!.disabled !== undefined) this.#answer(call.id, undefined);
      else this.#thread!.call(call);
    }
    if (this.#closed) this.#thread!.retire();
  }

  #disable(reason: string): void {
    this.disabled = `The policy cannot be kept running: ${reason} Save the file again to have it asked.`;
    this.#options.log.error('policy.disabled', { reason: this.disabled });
    this.#giveUp();
  }

  /** Whoever still waits gets no answer. */
  #giveUp(): void {
    this.#held = [];
    for (const id of [...this.#asked.keys()]) this.#answer(id, undefined);
  }
}
