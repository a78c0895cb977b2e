/**
 * The policy in TypeScript at deploy: bundled, and loaded once as it will be loaded, so that what would be refused
 * there fails the synthesis here.
 *
 * ```
 *  postern.policy.ts ─► policy.mjs ─────────┬─► beside the bundles of API and submission, when it has onAccept
 *  the worker's code ─► policy-worker.mjs ──┴─► beside that of egress nodes, when it has another hook
 * ```
 */
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { pathToFileURL } from 'node:url';
import { type BuildFailure, build } from 'esbuild';
import { PosternError } from '../errors.ts';
import { silentLog } from '../log.ts';
import { DEPLOYED_POLICY } from '../policy/deployed.ts';
import { RUNNER_LIMITS } from '../policy/open.ts';
import { HOOKS, type HookName } from '../policy/policy.ts';
import { PolicyRunner } from '../policy/runner.ts';
import { BUNDLED_WORKER } from '../policy/thread.ts';
import { systemClock } from '../time.ts';
import { ROOT, SERVICE_BUNDLING } from './bundling.ts';

/** Where a policy is found. */
export const POLICY_FILE = join(ROOT, 'postern.policy.ts');

export interface PolicyBundle {
  /** Paths of the files beside a bundle whose code calls the policy. */
  files: readonly string[];
  hooks: readonly HookName[];
}

/**
 * Bundles a policy.
 * @param directory where the files are put; made when it is not there.
 * @returns undefined when there is no policy.
 * @throws PosternError `bad_request` with file, line and reason.
 */
export async function bundlePolicy(file: string, directory: string): Promise<PolicyBundle | undefined> {
  if (!existsSync(file)) return undefined;
  const policy = join(directory, DEPLOYED_POLICY);
  const worker = join(directory, BUNDLED_WORKER);
  try {
    // With its source map, so that a failure is reported with the line of the policy.
    const shared = { ...SERVICE_BUNDLING, logLevel: 'silent' } as const;
    await build({ ...shared, entryPoints: [file], outfile: policy, sourcemap: 'inline' });
    const entry = join(ROOT, 'lib/policy/worker.ts');
    await build({ ...shared, entryPoints: [entry], outfile: worker, sourcemap: false });
    return { files: [policy, worker], hooks: await hooksOf(policy) };
  } catch (error) {
    throw new PosternError('bad_request', `${file}: ${reasonOf(error as Error)}`);
  }
}

/** Loads the policy. @throws Error with the reason why it is not a policy. */
async function hooksOf(policy: string): Promise<HookName[]> {
  const runner = await PolicyRunner.start({
    url: pathToFileURL(policy).href,
    source: await readFile(policy, 'utf8'),
    clock: systemClock,
    limits: RUNNER_LIMITS,
    log: silentLog,
  });
  await runner.close();
  return HOOKS.filter((hook) => runner.hooks.some(({ name }) => name === hook));
}

function reasonOf(error: Error | BuildFailure): string {
  const [first] = 'errors' in error ? error.errors : [];
  if (first === undefined) return error.message;
  const { location, text } = first;
  return location === null ? text : `${text} (line ${location.line} of ${relative(ROOT, location.file)})`;
}

/** What of a policy goes beside code that takes mail in, or that sends it. */
export function policyFor(use: 'accept' | 'egress', policy: PolicyBundle | undefined): readonly string[] {
  const asked = policy?.hooks.some((hook) => (hook === 'onAccept') === (use === 'accept'));
  return asked ? policy!.files : [];
}
