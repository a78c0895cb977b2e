/** What passes between the process and the policy's thread. */
import type { HookName } from './policy.ts';

export interface Setup {
  /** `file:` URL of the policy, and its text. */
  url: string;
  source: string;
  /** One Int32: the id of the call that runs, 0 between calls. Tells from outside what a thread hangs in. */
  running: SharedArrayBuffer;
  /** ms of CPU that a call may take. */
  budget: number;
}

export interface HookCall {
  id: number;
  hook: HookName;
  facts: unknown;
}

export interface HookResult {
  id: number;
  value?: unknown;
  /** Why there is no answer. */
  failure?: string;
  /** ms. */
  elapsed: number;
  overran: boolean;
}

export type FromWorker =
  | { kind: 'loaded'; hooks: HookName[] }
  | { kind: 'refused'; reason: string }
  | { kind: 'results'; results: HookResult[] };
