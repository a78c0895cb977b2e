/**
 * Lambda entry, called once by the operator (`aws lambda invoke`): makes the first administrator's key, when there is
 * none, and returns it. IAM decides which callers may invoke it; no URL leads here.
 */
import { keyCache, openKeys } from '../lib/control/keys.ts';
import { tenantCache, tenantMaker } from '../lib/control/tenants.ts';
import type { Control } from '../lib/control/types.ts';
import { createVault } from '../lib/control/vault.ts';
import { openAws } from '../lib/engine/aws/open.ts';
import { readSecret } from '../lib/engine/aws/secrets.ts';
import type { Config } from '../lib/engine/ports.ts';
import { PosternError } from '../lib/errors.ts';
import { systemClock } from '../lib/time.ts';
import { readApiSettings } from './environment.ts';
import { once } from './once.ts';
import { openOutput } from './output.ts';

export interface FirstKey {
  accessKeyId: string;
  secretAccessKey: string;
}

/** @throws PosternError `already_exists` when an administrator has a key, with which further keys are made. */
export async function makeFirstKey(keys: Control['keys']): Promise<FirstKey> {
  if ((await keys.administrators()).length > 0) {
    throw new PosternError(
      'already_exists',
      'An administrator has a key already. Make others with it: POST /v1/keys.',
    );
  }
  const { id, secret } = await keys.create({ tenant: 'default', admin: true, name: 'first' });
  return { accessKeyId: id, secretAccessKey: secret };
}

const open = await once(async () => {
  const { resources, secrets } = readApiSettings(process.env);
  const engine = await openAws({ resources, clock: systemClock, log: openOutput(systemClock).log });
  const masterKey = await readSecret('master.key', { bucket: secrets });
  return openKeysOf(engine.config, masterKey);
});

/** Keys, and the tenant of the first: this function's role may read and write nothing else. */
export function openKeysOf(config: Config, masterKey: Buffer): Control['keys'] {
  const clock = systemClock;
  const tenants = tenantMaker(tenantCache(config, clock), clock);
  return openKeys(keyCache(config, clock), { config, vault: createVault(masterKey), clock, tenants });
}

export async function handler(): Promise<FirstKey> {
  return makeFirstKey(await open());
}
