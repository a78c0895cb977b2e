/**
 * The policy's own thread: loads the file once and answers calls in order of arrival.
 *
 * The source is the one that was read when the file was saved, so that a restarted thread runs the same source, even
 * if the file has changed.
 */
import { registerHooks } from 'node:module';
import { parentPort, workerData } from 'node:worker_threads';
import { readAnswer } from './answers.ts';
import { HOOKS, type HookName } from './policy.ts';
import type { FromWorker, HookCall, HookResult, Setup } from './protocol.ts';

const { url, source, running, budget } = workerData as Setup;
const current = new Int32Array(running);
const port = parentPort!;

type Hook = (facts: unknown) => unknown;

const send = (message: FromWorker): void => port.postMessage(message);

/** Lines of a bundle come from its source map. */
const bundled = !url.endsWith('.ts');
if (bundled) process.setSourceMapsEnabled(true);

registerHooks({
  load(given, context, next) {
    if (given !== url) return next(given, context);
    return { format: bundled ? 'module' : 'module-typescript', source, shortCircuit: true };
  },
});

try {
  const hooks = hooksOf(((await import(url)) as { default?: unknown }).default);
  send({ kind: 'loaded', hooks: [...hooks.keys()] });
  port.on('message', (calls: HookCall[]) => send({ kind: 'results', results: answer(hooks, calls) }));
} catch (error) {
  send({ kind: 'refused', reason: told(error) });
}

/** The hooks of a policy. @throws Error when the file's export is not a policy. */
function hooksOf(policy: unknown): ReadonlyMap<HookName, Hook> {
  if (typeof policy !== 'object' || policy === null) {
    throw new Error('default: is no policy; write export default definePolicy({ … }).');
  }
  const hooks = new Map<HookName, Hook>();
  for (const [name, hook] of Object.entries(policy)) {
    if (!(HOOKS as readonly string[]).includes(name)) {
      throw new Error(`default.${name}: is unknown; the hooks are ${HOOKS.join(', ')}.`);
    }
    if (typeof hook !== 'function') throw new Error(`default.${name}: is not a function.`);
    hooks.set(name as HookName, hook as Hook);
  }
  return hooks;
}

function answer(hooks: ReadonlyMap<HookName, Hook>, calls: readonly HookCall[]): HookResult[] {
  const cpu = process.threadCpuUsage();
  return calls.map(({ id, hook, facts }) => {
    Atomics.store(current, 0, id);
    const start = performance.now();
    let result: Pick<HookResult, 'value' | 'failure'>;
    try {
      result = { value: readAnswer(hook, hooks.get(hook)!(frozen(facts))) };
    } catch (error) {
      result = { failure: told(error) };
    }
    const elapsed = performance.now() - start;
    Atomics.store(current, 0, 0);
    return { id, ...result, elapsed, overran: elapsed > budget && used(cpu) > budget };
  });
}

/** CPU time used since a point, ms: a thread that had to wait for a core has not overrun its time. */
function used(since: NodeJS.CpuUsage): number {
  const { user, system } = process.threadCpuUsage(since);
  return (user + system) / 1000;
}

function frozen<T>(value: T): T {
  if (typeof value !== 'object' || value === null) return value;
  for (const member of Object.values(value)) frozen(member);
  return Object.freeze(value);
}

/** Formats any thrown value as one line, with its position in the file where that is known. */
function told(error: unknown): string {
  try {
    if (!(error instanceof Error)) return `threw ${String(error)}`.slice(0, 500);
    const own = bundled ? ['postern.policy.ts:'] : [url, new URL(url).pathname];
    const place = String(error.stack)
      .split('\n')
      .find((line) => own.some((name) => line.includes(name)));
    const at = place && /:(\d+)(?::(\d+))?\)?\s*$/.exec(place);
    return `${error.message}${at ? ` (line ${at[1]})` : ''}`.replace(/\s+/g, ' ').slice(0, 500);
  } catch {
    return 'threw something that cannot be shown';
  }
}
