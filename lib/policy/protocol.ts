/** Messages between the process and the policy's thread. */
import type { HookName } from './policy.ts';

export interface Setup {
  /** `file:` URL of the policy, and its source. */
  url: string;
  source: string;
  /** One Int32: the id of the running call, 0 between calls. It shows from outside in which call a thread hangs. */
  running: SharedArrayBuffer;
  /** Maximum CPU time of a call, ms. */
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
  /** Duration of the call, ms. */
  elapsed: number;
  overran: boolean;
}

export type FromWorker =
  | { kind: 'loaded'; hooks: HookName[] }
  | { kind: 'refused'; reason: string }
  | { kind: 'results'; results: HookResult[] };
