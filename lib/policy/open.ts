/**
 * Opens `postern.policy.ts` and watches it: a saved file is loaded beside the running policy, and replaces it when it
 * is valid. When it is invalid or missing, the running policy stays. A policy that was bundled at deploy is loaded
 * once.
 */
import { type FSWatcher, watch } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { basename, dirname, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { PosternError } from '../errors.ts';
import type { Clock } from '../time.ts';
import type { HookState } from './hook-record.ts';
import type { Facts, HookAnswer, HookName } from './policy.ts';
import { type PolicyMeter, PolicyRunner, type RunnerLimits, type RunnerLog } from './runner.ts';

/** State of the policy as `GET /v1/policy` shows it. Times in ms. */
export interface PolicyState {
  file: string;
  /** When the running policy was loaded; absent: no policy runs. */
  loadedAt?: number;
  loads: number;
  /** Why the last saved file does not run. */
  refused?: { at: number; message: string };
  disabled?: string;
  restarts: number;
  skipped: number;
  hooks: HookState[];
}

/** The hooks, as accept and egress call them. */
export interface Hooks {
  /** Whether the policy has this hook; if not, no facts need to be prepared. */
  has(hook: HookName): boolean;
  /**
   * Calls a hook. @returns its answer; undefined for none. At once when there is no such hook, or for `onRoute` and
   * `onShape` when the answer is cached; otherwise a promise, which never rejects.
   */
  ask<H extends HookName>(hook: H, facts: Facts<H>): HookAnswer<H> | Promise<HookAnswer<H>>;
  /** Calls the listener when a policy replaces another, or none. Returns an unsubscriber. */
  watch(listener: () => void): () => void;
  /** Reports an unusable answer as a failure of its hook. */
  failed(hook: HookName, reason: string): void;
}

export interface Policy extends Hooks {
  state(): PolicyState;
  close(): Promise<void>;
}

export interface PolicyOptions {
  /** Path of the file. It need not exist: then no policy runs until it does. */
  file: string;
  /**
   * Whether the policy was checked at deploy, and so is not watched. When loading it fails all the same, the failure
   * is reported, and mail goes on without it.
   */
  deployed?: boolean;
  clock: Clock;
  log: RunnerLog & { info(event: string, fields?: Record<string, unknown>): void };
  meter?: PolicyMeter;
  limits?: Partial<RunnerLimits>;
}

export const RUNNER_LIMITS: RunnerLimits = {
  budget: 50,
  stall: 500,
  loading: 10_000,
  memory: 128,
  waiting: 20_000,
  patience: 5_000,
  reuse: 10_000,
  kept: 20_000,
};
/** Delay from the last event to reading a saved file, because editors write in several steps, ms. */
const SETTLE = 50;

/**
 * Loads the policy and watches its file.
 * @throws PosternError `bad_request` when the file exists and is not a policy, or its folder does not exist; never
 * for a deployed one.
 */
export async function openPolicy(options: PolicyOptions): Promise<Policy> {
  const { clock, log, meter, deployed = false } = options;
  const limits = { ...RUNNER_LIMITS, ...options.limits };
  const file = resolve(options.file);
  const url = pathToFileURL(file).href;
  const listeners = new Set<() => void>();
  let runner: PolicyRunner | undefined;
  let loadedAt: number | undefined;
  let loads = 0;
  let refused: PolicyState['refused'];
  let loading: Promise<void> = Promise.resolve();
  let cancelReload: (() => void) | undefined;
  let closed = false;

  /** Loads the file. @throws Error with the reason why it is refused. */
  async function load(): Promise<void> {
    const source = await readFile(file, 'utf8');
    const next = await PolicyRunner.start({ url, source, clock, limits, log, meter });
    if (closed) return next.close();
    runner?.retire();
    runner = next;
    loadedAt = clock.now();
    loads += 1;
    refused = undefined;
    for (const listener of listeners) listener();
    log.info('policy.loaded', { file, hooks: next.hooks.map((hook) => hook.name) });
  }

  async function reload(): Promise<void> {
    if (closed) return;
    try {
      await load();
    } catch (error) {
      const message =
        (error as NodeJS.ErrnoException).code === 'ENOENT' ? 'The file is gone.' : (error as Error).message;
      refused = { at: clock.now(), message };
      log.error('policy.refused', { file, reason: message, running: runner !== undefined });
    }
  }

  function saved(): void {
    cancelReload?.();
    cancelReload = clock.after(SETTLE, () => {
      loading = loading.then(reload);
    });
  }

  const watcher = deployed ? undefined : watchFile(file, saved, log);
  async function close(): Promise<void> {
    closed = true;
    watcher?.close();
    cancelReload?.();
    await loading;
    await runner?.close();
  }

  try {
    await (deployed ? reload() : load());
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') {
      await close();
      throw new PosternError('bad_request', `${options.file}: ${(error as Error).message}`);
    }
  }

  return {
    has: (hook) => runner?.has(hook) ?? false,
    ask: (hook, facts) => runner?.ask(hook, facts) as never,
    failed: (hook, reason) => runner?.failed(hook, reason),
    watch(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    state: () => ({
      file,
      loadedAt,
      loads,
      refused,
      disabled: runner?.disabled,
      restarts: runner?.restarts ?? 0,
      skipped: runner?.skipped ?? 0,
      hooks: runner?.hooks ?? [],
    }),
    close,
  };
}

/** Watches the folder, because most editors replace the old file by a new one. */
function watchFile(file: string, saved: () => void, log: RunnerLog): FSWatcher | undefined {
  const blind = (error: Error): void =>
    log.error('policy.unwatched', {
      file,
      reason: `${error.message} What is saved is loaded at the next start.`,
    });
  try {
    const watcher = watch(dirname(file), (_, name) => {
      if (name === null || name === basename(file)) saved();
    });
    return watcher.on('error', blind);
  } catch (error) {
    // All watches of the machine may be in use, which must not stop mail.
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') {
      throw new PosternError('bad_request', `${file} cannot be watched: ${(error as Error).message}`);
    }
    blind(error as Error);
    return undefined;
  }
}
