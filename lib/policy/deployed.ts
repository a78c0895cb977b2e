/** The policy that was bundled at deploy, beside the bundle that calls it (lib/stacks/policy.ts). */
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { openPolicy, type Policy, type PolicyOptions } from './open.ts';

/** File name of the bundled policy. */
export const DEPLOYED_POLICY = 'policy.mjs';

/** Opens the bundled policy. @returns undefined when none was bundled. */
export async function openDeployedPolicy(
  options: Pick<PolicyOptions, 'clock' | 'log' | 'meter'>,
): Promise<Policy | undefined> {
  const file = fileURLToPath(new URL(DEPLOYED_POLICY, import.meta.url));
  return existsSync(file) ? openPolicy({ ...options, file, deployed: true }) : undefined;
}
