/**
 * One thread that runs a policy:
 *
 * ```
 *  start ─► loaded ─► calls in batches, one for each turn of the event loop ─► results
 *    │                    │ one call runs longer than `stall`, or none ends: stopped from outside
 *    └─ refused           └ out of memory, process.exit, an error outside of any call: it ends by itself
 *                              └──► ended: the call it died in, and those it had not answered
 * ```
 */
import { Worker } from 'node:worker_threads';
import type { Clock } from '../time.ts';
import type { HookName } from './policy.ts';
import type { FromWorker, HookCall, HookResult, Setup } from './protocol.ts';

export interface ThreadLimits {
  /** Maximum CPU time of a call, ms; above it the answer does not count. */
  budget: number;
  /** Time after which an unfinished call is stopped together with its thread, ms. */
  stall: number;
  /** Maximum time of loading, ms. */
  loading: number;
  /** Maximum heap, MB. */
  memory: number;
}

/** How a thread ended: the call in which it ended, if any, and the unanswered calls. */
export interface ThreadEnd {
  reason: string;
  culprit: HookCall | undefined;
  unanswered: HookCall[];
}

export interface ThreadOptions {
  url: string;
  source: string;
  clock: Clock;
  limits: ThreadLimits;
  onResult: (call: HookCall, result: HookResult) => void;
  /** Called when a batch was answered and there is room for more. */
  onAnswered: () => void;
  onEnd: (ending: ThreadEnd) => void;
}

export interface PolicyThread {
  readonly hooks: ReadonlySet<HookName>;
  /** Number of unanswered calls. */
  readonly pending: number;
  call(call: HookCall): void;
  /** Ends the thread once it has answered its calls. */
  retire(): void;
  /** Ends the thread now; no callback follows. */
  close(): Promise<void>;
}

/** In a bundle the worker is a file of its own beside it (lib/stacks/policy.ts). */
export const BUNDLED_WORKER = 'policy-worker.mjs';
const WORKER = import.meta.url.endsWith('.ts') ? './worker.ts' : `./${BUNDLED_WORKER}`;
/** Number of checks of a running call within its maximum time. */
const LOOKS = 4;
/** Factor on the stall time for a thread without a running call, which may only be waiting for a core. */
const PATIENCE = 8;

/** Starts a thread. @throws Error with the reason why the policy is refused. */
export async function startThread(options: ThreadOptions): Promise<PolicyThread> {
  const { url, source, clock, limits } = options;
  const running = new Int32Array(new SharedArrayBuffer(4));
  const setup: Setup = { url, source, running: running.buffer, budget: limits.budget };
  const worker = new Worker(new URL(WORKER, import.meta.url), {
    workerData: setup,
    execArgv: [],
    resourceLimits: { maxOldGenerationSizeMb: limits.memory },
  });
  const hooks = await loaded(worker, clock, limits.loading);
  // The thread keeps the process alive only while it has calls to answer.
  worker.unref();

  const waiting = new Map<number, HookCall>();
  let batch: HookCall[] = [];
  let cancelLook: (() => void) | undefined;
  /** The state at the last check, and since when it is unchanged. */
  let seen = { call: 0, oldest: 0, since: 0 };
  let retired = false;
  let ended = false;

  function end(reason: string): void {
    if (ended) return;
    ended = true;
    cancelLook?.();
    const culprit = waiting.get(Atomics.load(running, 0));
    if (culprit !== undefined) waiting.delete(culprit.id);
    void worker.terminate();
    options.onEnd({ reason, culprit, unanswered: [...waiting.values()] });
  }

  function look(): void {
    const now = clock.now();
    const call = Atomics.load(running, 0);
    const [oldest = 0] = waiting.keys();
    if (call !== seen.call || oldest !== seen.oldest) seen = { call, oldest, since: now };
    else if (now - seen.since >= limits.stall * (call === 0 ? PATIENCE : 1)) {
      end(`It did not end within ${limits.stall} ms, and its thread was stopped.`);
      return;
    }
    cancelLook = clock.after(limits.stall / LOOKS, look);
  }

  function send(): void {
    if (ended) return;
    worker.ref();
    worker.postMessage(batch);
    batch = [];
    if (cancelLook !== undefined) return;
    seen = { call: 0, oldest: 0, since: clock.now() };
    cancelLook = clock.after(limits.stall / LOOKS, look);
  }

  function rest(): void {
    cancelLook?.();
    cancelLook = undefined;
    worker.unref();
    if (retired) void close();
  }

  async function close(): Promise<void> {
    ended = true;
    cancelLook?.();
    await worker.terminate();
  }

  worker.on('message', (message: FromWorker) => {
    if (ended || message.kind !== 'results') return;
    for (const result of message.results) {
      const call = waiting.get(result.id);
      if (call === undefined) continue;
      waiting.delete(result.id);
      options.onResult(call, result);
    }
    options.onAnswered();
    if (waiting.size === 0) rest();
  });
  worker.on('error', (error) => end(error.message));
  worker.on('exit', () => end('It ended its thread.'));

  return {
    hooks,
    get pending() {
      return waiting.size;
    },
    call(call) {
      waiting.set(call.id, call);
      if (batch.push(call) === 1) setImmediate(send);
    },
    retire() {
      retired = true;
      if (waiting.size === 0) rest();
    },
    close,
  };
}

function loaded(worker: Worker, clock: Clock, deadline: number): Promise<ReadonlySet<HookName>> {
  return new Promise((resolve, reject) => {
    const cancel = clock.after(deadline, () => refuse(`It did not load within ${deadline} ms.`));
    const failed = (error: Error): void => refuse(error.message);
    const exited = (): void => refuse('It ended its thread while it was loaded.');
    function told(message: FromWorker): void {
      if (message.kind === 'refused') refuse(message.reason);
      else if (message.kind === 'loaded') {
        done();
        resolve(new Set(message.hooks));
      }
    }
    function refuse(reason: string): void {
      done();
      // It may still fail while it ends; that changes nothing.
      worker.on('error', () => undefined);
      void worker.terminate();
      reject(new Error(reason));
    }
    function done(): void {
      cancel();
      worker.off('message', told).off('error', failed).off('exit', exited);
    }
    worker.on('message', told).on('error', failed).on('exit', exited);
  });
}
