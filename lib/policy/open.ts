/**
 * `postern.policy.ts`, watched: whenever it is saved it is loaded beside the policy that runs, and takes its
 * place when it is fit to. A file that is not, or is gone, leaves what runs running. A policy that was bundled
 * at deploy is loaded once.
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

/** As `GET /v1/policy` shows it. Times in ms. */
export interface PolicyState {
  file: string;
  /** Absent: no policy runs. */
  loadedAt?: number;
  loads: number;
  /** Why what was saved last does not run. */
  refused?: { at: number; message: string };
  disabled?: string;
  restarts: number;
  skipped: number;
  hooks: HookState[];
}

/** The hooks, as accept and egress ask them. */
export interface Hooks {
  /** Whether the policy has this hook; if not, no facts need to be prepared. */
  has(hook: HookName): boolean;
  /**
   * What the policy says; undefined: nothing. At once when there is no such hook, or for `onRoute` and `onShape`
   * when it said so lately; else a promise, which never rejects.
   */
  ask<H extends HookName>(hook: H, facts: Facts<H>): HookAnswer<H> | Promise<HookAnswer<H>>;
  /** Calls back when a policy takes the place of another, or of none. Returns an unsubscriber. */
  watch(listener: () => void): () => void;
  /** Reports an answer that could not be used as a failure of its hook. */
  failed(hook: HookName, reason: string): void;
}

export interface Policy extends Hooks {
  state(): PolicyState;
  close(): Promise<void>;
}

export interface PolicyOptions {
  /** The file. It need not exist: then no policy runs until it does. */
  file: string;
  /**
   * It was checked when it was deployed, and is not watched; one that cannot be loaded here all the same is
   * reported, and mail goes on without it.
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
/** ms without a further event after which a saved file is read: editors write in several steps. */
const SETTLE = 50;

/**
 * Loads the policy and watches its file.
 * @throws PosternError `bad_request` when the file is there and no policy, or its folder is not there; never for
 * a deployed one.
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

  /** @throws Error that says why the file is refused. */
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

/** The folder is watched, because most editors put a new file in the place of the old. */
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
    // All watches of the machine may be in use, which is no reason to send no mail.
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') {
      throw new PosternError('bad_request', `${file} cannot be watched: ${(error as Error).message}`);
    }
    blind(error as Error);
    return undefined;
  }
}
