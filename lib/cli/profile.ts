/**
 * Which service, and with which key: from the environment, or from a profile of the configuration file, which belongs
 * to its user alone because a key is in it.
 */
import { chmodSync, existsSync, mkdirSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { CliError, EXIT, usage } from './exit.ts';

export type Environment = Readonly<Record<string, string | undefined>>;

export interface Profile {
  /** `http://127.0.0.1:8025` */
  url: string;
  /** `<access key id>.<secret>`, as a bearer token. */
  key: string;
}

interface ProfileFile {
  /** Name of the profile that holds when none is named. */
  current?: string;
  profiles: Record<string, Profile>;
}

export const LOCAL = 'http://127.0.0.1:8025';

/** `POSTERN_CONFIG`, or `postern/config.json` in the user's configuration directory (XDG). */
export function profilePath(env: Environment): string {
  if (env.POSTERN_CONFIG) return env.POSTERN_CONFIG;
  const base = env.XDG_CONFIG_HOME || join(env.HOME || homedir(), '.config');
  return join(base, 'postern', 'config.json');
}

/** @throws CliError for a file that others may read, or that cannot be read. */
export function readProfiles(path: string): ProfileFile {
  if (!existsSync(path)) return { profiles: {} };
  if ((statSync(path).mode & 0o077) !== 0) {
    throw usage(`Others may read ${path}, and keys are in it.`, `Run: chmod 600 ${path}`);
  }
  let value: unknown;
  try {
    value = JSON.parse(readFileSync(path, 'utf8'));
  } catch (error) {
    throw usage(
      `${path} cannot be read: ${(error as Error).message}`,
      'Mend it, or remove it and run: postern login',
    );
  }
  const { profiles, current } = (value ?? {}) as Partial<ProfileFile>;
  const sound = Object.entries(profiles ?? {}).every(
    ([, one]) => typeof one?.url === 'string' && typeof one.key === 'string',
  );
  if (!sound)
    throw usage(`${path}: each profile has "url" and "key", both texts.`, 'Mend it, or run: postern login');
  return { current, profiles: profiles ?? {} };
}

/** Writes the file whole, or not at all, for its user alone. */
export function writeProfiles(path: string, file: ProfileFile): void {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  const partial = `${path}.${process.pid}`;
  writeFileSync(partial, `${JSON.stringify(file, null, 2)}\n`, { mode: 0o600 });
  chmodSync(partial, 0o600);
  renameSync(partial, path);
}

/**
 * The service and key of a call: a named profile, else `POSTERN_URL` and `POSTERN_KEY`, else the current profile, else
 * what the exports of the first start give to the SDKs.
 * @throws CliError
 */
export function chosenProfile(env: Environment, given: { profile?: string; url?: string }): Profile {
  const { key, url } = found(env, given.profile ?? env.POSTERN_PROFILE, given.url);
  const service = given.url ?? url;
  if (!/^https?:\/\/[^/]/.test(service)) {
    throw usage(
      `"${service}" is not the URL of a service.`,
      `It begins with http:// or https://, as ${LOCAL}`,
    );
  }
  if (key) return { url: service.replace(/\/+$/, ''), key };
  throw new CliError(
    EXIT.access,
    `There is no key for ${service}.`,
    'Run: postern login    (or set POSTERN_KEY to <access key id>.<secret>)',
  );
}

function found(
  env: Environment,
  name: string | undefined,
  url: string | undefined,
): { url: string; key?: string } {
  const ofSdk = env.AWS_ACCESS_KEY_ID && env.AWS_SECRET_ACCESS_KEY && env.AWS_ENDPOINT_URL_SESV2;
  const path = profilePath(env);
  if (name === undefined && env.POSTERN_KEY) return { url: env.POSTERN_URL || LOCAL, key: env.POSTERN_KEY };
  const { profiles, current } = readProfiles(path);
  const wanted = name ?? (url === undefined ? (current ?? 'default') : undefined);
  const profile = wanted === undefined ? undefined : profiles[wanted];
  if (profile !== undefined)
    return { ...profile, url: name === undefined ? env.POSTERN_URL || profile.url : profile.url };
  if (name !== undefined) {
    const known = Object.keys(profiles).join(', ') || 'none';
    throw usage(
      `There is no profile "${name}" in ${path}; there are: ${known}.`,
      `Run: postern login --profile ${name}`,
    );
  }
  if (ofSdk && url === undefined) {
    return {
      url: env.POSTERN_URL || env.AWS_ENDPOINT_URL_SESV2!,
      key: `${env.AWS_ACCESS_KEY_ID}.${env.AWS_SECRET_ACCESS_KEY}`,
    };
  }
  return { url: env.POSTERN_URL || LOCAL };
}
