/**
 * Lambda entry, called once by the operator (`aws lambda invoke`): makes the first administrator's key, when there is
 * none, and returns it. IAM decides which callers may invoke it; no URL leads here.
 */
import { openControl } from '../lib/control/control.ts';
import type { Control } from '../lib/control/types.ts';
import { openAws } from '../lib/engine/aws/open.ts';
import { readSecret } from '../lib/engine/aws/secrets.ts';
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
  if (keys.list().some(({ admin }) => admin)) {
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
  const { config } = engine;
  return {
    config,
    control: await openControl({ config, masterKey, clock: systemClock, verifyIdentities: true }),
  };
});

export async function handler(): Promise<FirstKey> {
  const { config, control } = await open();
  // The function may have been stopped since the last call, and a cached key revoked meanwhile.
  await config.catchUp();
  return makeFirstKey(control.keys);
}
