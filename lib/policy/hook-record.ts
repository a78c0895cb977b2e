/** The record of one hook's calls, which `GET /v1/policy` shows and which decides when the hook is switched off. */
import type { HookName } from './policy.ts';

export interface HookState {
  name: HookName;
  calls: number;
  /** Calls that a cached answer served. */
  reused: number;
  failures: number;
  overruns: number;
  /** Mean time of a call, µs. */
  meanMicroseconds: number;
  disabled?: string;
  lastFailure?: { at: number; message: string };
}

/** Number of overruns and thread ends after which a hook is switched off until the file is saved again. */
const STRIKES = 3;
/** Minimum interval between reports of one hook's failures, ms. */
const REPORT = 60_000;

export class HookRecord {
  readonly name: HookName;
  calls = 0;
  reused = 0;
  failures = 0;
  overruns = 0;
  disabled: string | undefined;
  lastFailure: { at: number; message: string } | undefined;
  #elapsed = 0;
  #strikes = 0;
  #reportedAt = Number.NEGATIVE_INFINITY;

  constructor(name: HookName) {
    this.name = name;
  }

  /** Counts a finished call. @param elapsed ms. */
  ended(elapsed: number): void {
    this.calls += 1;
    this.#elapsed += elapsed;
  }

  /** Counts a failure. @returns whether to report it: the first, and then one a minute. */
  failed(at: number, message: string): boolean {
    this.failures += 1;
    this.lastFailure = { at, message };
    if (at - this.#reportedAt < REPORT) return false;
    this.#reportedAt = at;
    return true;
  }

  /** Counts an overrun or thread end. @returns whether the limit is reached. */
  strike(at: number, reason: string): boolean {
    this.lastFailure = { at, message: reason };
    this.#strikes += 1;
    if (this.#strikes !== STRIKES) return false;
    this.disabled = `It took too much ${STRIKES} times. The last time: ${reason} Save the file again to have it called.`;
    return true;
  }

  state(): HookState {
    const { name, calls, reused, failures, overruns, disabled, lastFailure } = this;
    const meanMicroseconds = calls === 0 ? 0 : Math.round((this.#elapsed / calls) * 10_000) / 10;
    return { name, calls, reused, failures, overruns, meanMicroseconds, disabled, lastFailure };
  }
}
