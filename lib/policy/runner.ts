/**
 * Runs the policy, and keeps mail going when it fails:
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
  /** Maximum number of waiting calls; above it, no more are made. */
  waiting: number;
  /** Maximum wait for an answer, the time in the queue included, ms. */
  patience: number;
  /** How long an answer is reused, ms. */
  reuse: number;
  /** Maximum number of cached answers of each hook. */
  kept: number;
}

/** Log entries for the operator. */
export interface RunnerLog {
  warn(event: string, fields?: Record<string, unknown>): void;
  error(event: string, fields?: Record<string, unknown>): void;
}

/** Measures cost and failures of hooks. Must not throw. */
export interface PolicyMeter {
  /** Counts a finished call. @param ms its duration. */
  called(hook: HookName, ms: number): void;
  /** Counts a failure; `skipped`: not called, or not waited for. */
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

/** Number of thread ends outside of any call after which the policy is switched off. */
const STRIKES = 3;

export class PolicyRunner {
  readonly #options: RunnerOptions;
  readonly #records = new Map<HookName, HookRecord>();
  readonly #cache: AnswerCache;
  readonly #line: CallQueue;
  /** Calls under way whose answers will be cached. */
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

  /** Starts the policy. @throws Error with the reason why it is refused. */
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
      // The old answer serves all callers until the new one arrives.
      known.freshUntil = Number.POSITIVE_INFINITY;
      void this.#refresh(hook, facts, key);
    }
    return known.answer as HookAnswer<H>;
  }

  /** Counts an unusable answer. */
  failed(hook: HookName, reason: string): void {
    const { clock, log, meter } = this.#options;
    const record = this.#records.get(hook);
    if (record === undefined) return;
    meter?.trouble(hook, 'failed');
    const report = record.failed(clock.now(), reason);
    if (report) log.warn('policy.failed', { hook, reason, failures: record.failures });
  }

  /** Answers the calls under way, then ends. */
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
    // Only now, because a thread that has answered all its calls would end.
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
