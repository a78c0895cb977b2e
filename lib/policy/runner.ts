/**
 * Calls the policy that runs, and keeps mail going when it fails:
 *
 * ```
 *  ask ─► no such hook, disabled ──► undefined
 *      ─► asked before ────────────► that answer
 *      ─► in line ─► thread ─┬─ answer ───────► answer
 *            │               ├─ threw, overran ► undefined, counted
 *            │               └─ thread ended ──► the call it died in: undefined; the others go to the next thread
 *            └─ too long ────────────────────► undefined, counted
 * ```
 */
import type { Clock } from '../time.ts';
import { AnswerCache, type CachedHook, isCached } from './answer-cache.ts';
import { CallQueue } from './call-queue.ts';
import { HookRecord, type HookState } from './hook-record.ts';
import type { Facts, HookAnswer, HookName } from './policy.ts';
import type { HookCall, HookResult } from './protocol.ts';
import { type PolicyThread, startThread, type ThreadEnd, type ThreadLimits } from './thread.ts';

export interface RunnerLimits extends ThreadLimits {
  /** Calls that may wait for an answer; more are not made. */
  waiting: number;
  /** ms that an answer is waited for, the time in line included. */
  patience: number;
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

/** Counts what hooks cost and fail at. Must not throw. */
export interface PolicyMeter {
  /** A call ended. @param ms its time. */
  called(hook: HookName, ms: number): void;
  /** `skipped`: not called, or not waited for. */
  trouble(hook: HookName, kind: 'failed' | 'overran' | 'skipped'): void;
}

export interface RunnerOptions {
  url: string;
  source: string;
  clock: Clock;
  limits: RunnerLimits;
  log: RunnerLog;
  meter?: PolicyMeter;
}

/** Ends of the thread outside of any call, after which the policy is not asked any more. */
const STRIKES = 3;

export class PolicyRunner {
  readonly #options: RunnerOptions;
  readonly #records = new Map<HookName, HookRecord>();
  readonly #cache: AnswerCache;
  readonly #line: CallQueue;
  /** Asked for, and about to be kept. */
  readonly #coming = new Map<string, Promise<unknown>>();
  #thread: PolicyThread | undefined;
  #strikes = 0;
  #closed = false;
  disabled: string | undefined;
  restarts = 0;
  skipped = 0;

  private constructor(options: RunnerOptions) {
    this.#options = options;
    this.#cache = new AnswerCache(options.limits.kept);
    const { clock, limits } = options;
    this.#line = new CallQueue({ clock, patience: limits.patience, onSkipped: (hook) => this.#skip(hook) });
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

  has(hook: HookName): boolean {
    const record = this.#records.get(hook);
    return record !== undefined && record.disabled === undefined && this.disabled === undefined;
  }

  ask<H extends HookName>(hook: H, facts: Facts<H>): HookAnswer<H> | Promise<HookAnswer<H>> {
    if (!this.has(hook)) return undefined as HookAnswer<H>;
    if (!isCached(hook)) return this.#call(hook, facts) as Promise<HookAnswer<H>>;
    const key = this.#cache.key(hook, facts as Facts<CachedHook> as never);
    const known = this.#cache.get(hook, key);
    if (known === undefined) return this.#refresh(hook, facts, key) as Promise<HookAnswer<H>>;
    this.#records.get(hook)!.reused += 1;
    if (known.freshUntil <= this.#options.clock.now()) {
      // Everybody goes on with what is known until the new answer is there.
      known.freshUntil = Number.POSITIVE_INFINITY;
      void this.#refresh(hook, facts, key);
    }
    return known.answer as HookAnswer<H>;
  }

  /** An answer could not be used. */
  failed(hook: HookName, reason: string): void {
    const { clock, log, meter } = this.#options;
    const record = this.#records.get(hook);
    if (record === undefined) return;
    meter?.trouble(hook, 'failed');
    const report = record.failed(clock.now(), reason);
    if (report) log.warn('policy.failed', { hook, reason, failures: record.failures });
  }

  /** Answers what it was asked, and ends. */
  retire(): void {
    this.#closed = true;
    if (this.#thread === undefined) this.#line.dissolve();
    else this.#feed();
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#thread?.close();
    this.#line.dissolve();
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
    if (this.#line.length >= this.#options.limits.waiting || this.#closed) {
      this.#skip(hook);
      return Promise.resolve(undefined);
    }
    const answer = this.#line.join(hook, facts);
    this.#feed();
    return answer;
  }

  #feed(): void {
    if (this.#thread === undefined) return;
    this.#line.feed(this.#thread, (hook) => this.#records.get(hook)!.disabled === undefined);
    // Not before: a thread that has answered all it was asked would end.
    if (this.#closed && this.#line.fed) this.#thread.retire();
  }

  #skip(hook: HookName): void {
    this.skipped += 1;
    this.#options.meter?.trouble(hook, 'skipped');
  }

  #result(call: HookCall, { id, value, failure, elapsed, overran }: HookResult): void {
    const record = this.#records.get(call.hook)!;
    record.ended(elapsed);
    this.#options.meter?.called(call.hook, elapsed);
    if (overran) {
      this.#strike(
        record,
        `It took ${Math.round(elapsed)} ms; it may take ${this.#options.limits.budget} ms.`,
      );
    } else if (failure !== undefined) this.failed(call.hook, failure);
    this.#line.answer(id, overran ? undefined : value);
  }

  #strike(record: HookRecord, reason: string): void {
    const { clock, log, meter } = this.#options;
    record.overruns += 1;
    meter?.trouble(record.name, 'overran');
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
      onAnswered: () => this.#feed(),
      onEnd: (ending) => void this.#restart(ending),
    });
    this.#thread = thread;
    return thread;
  }

  async #restart({ reason, culprit, unanswered }: ThreadEnd): Promise<void> {
    this.#thread = undefined;
    this.restarts += 1;
    this.#line.putBack(unanswered);
    if (culprit !== undefined) {
      const record = this.#records.get(culprit.hook)!;
      record.calls += 1;
      this.#strike(record, reason);
      this.#line.answer(culprit.id, undefined);
    } else {
      this.#options.log.warn('policy.ended', { reason });
      if ((this.#strikes += 1) >= STRIKES) return this.#disable(reason);
    }
    if (this.#closed) return this.#line.dissolve();
    try {
      await this.#startThread();
    } catch (error) {
      return this.#disable((error as Error).message);
    }
    this.#feed();
  }

  #disable(reason: string): void {
    this.disabled = `The policy cannot be kept running: ${reason} Save the file again to have it asked.`;
    this.#options.log.error('policy.disabled', { reason: this.disabled });
    this.#line.dissolve();
  }
}
