/** The settings of functions, as environment variables: the stacks write them, and only this file reads them. */
import { readFileSync } from 'node:fs';
import {
  QUEUES,
  requireVariable,
  resourcesFromEnvironment,
  resourcesToEnvironment,
} from '../lib/engine/aws/environment.ts';
import type { AwsResources } from '../lib/engine/aws/schema.ts';

/** Settings of every function. */
export interface FunctionSettings {
  resources: AwsResources;
  accountId: string;
  /** Name of the service in events. */
  hostname: string;
  /** Domain of return paths where an identity has no MAIL FROM domain in use. */
  returnPathDomain: string;
}

/** Settings of the functions that send events or show them. */
export interface EventSettings extends FunctionSettings {
  /** Days for which events are kept for those who fetch or replay them; 0: none are. */
  eventDays: number;
}

/** Further settings of the API. */
export interface ApiSettings extends EventSettings {
  /** Existing pools; in a stage with many, `@` and the name of a file beside the bundle. */
  pools: readonly string[];
  /** Domain identity that signs all mail beside the sender's own; absent: none. */
  cosignDomain?: string;
  /** Zone of the keys of Easy DKIM; absent: there is none. */
  dkimZone?: string;
  /** Bucket of the secrets. */
  secrets: string;
  /** URL where opens and clicks are tracked for sets without a domain of their own; absent: not tracked. */
  trackingUrl?: string;
  /** Secret by which the distribution in front of the API identifies itself; absent: there is none. */
  frontSecret?: string;
}

/** Settings of the function that makes the keys of Easy DKIM. */
export interface KeySettings {
  resources: AwsResources;
  dkimZone: string;
  /** Bucket of the secrets. */
  secrets: string;
}

/** Settings of the function that writes them into their zone. */
export interface ZoneSettings extends Omit<KeySettings, 'secrets'> {
  /** Id of the zone in Route 53. */
  zoneId: string;
}

/** Settings of tracking. It has no others, because its role may access nothing else. */
export interface TrackSettings {
  /** Prefix as in `AwsResources`. */
  queueUrlPrefix: string;
  /** Table of documents. */
  configTable: string;
  /** Bucket of the secrets. */
  secrets: string;
  /** Secret as in `ApiSettings`. */
  frontSecret?: string;
}

/** Region variable, which Lambda sets for every function. */
const REGION = 'AWS_REGION';
const SECRETS_BUCKET = 'POSTERN_SECRETS_BUCKET';
const CONFIG_TABLE = 'POSTERN_TABLE_CONFIG';
const COSIGN_DOMAIN = 'POSTERN_COSIGN_DOMAIN';
const DKIM_ZONE = 'POSTERN_DKIM_ZONE';
const DKIM_ZONE_ID = 'POSTERN_DKIM_ZONE_ID';
const TRACKING_URL = 'POSTERN_TRACKING_URL';
const FRONT_SECRET = 'POSTERN_FRONT_SECRET';
const EVENT_DAYS = 'POSTERN_EVENT_DAYS';

export function functionEnvironment(settings: FunctionSettings): Record<string, string> {
  return {
    ...resourcesToEnvironment(settings.resources),
    POSTERN_ACCOUNT_ID: settings.accountId,
    POSTERN_HOSTNAME: settings.hostname,
    POSTERN_RETURN_PATH_DOMAIN: settings.returnPathDomain,
  };
}

export function eventEnvironment(settings: EventSettings): Record<string, string> {
  return { ...functionEnvironment(settings), [EVENT_DAYS]: String(settings.eventDays) };
}

/** @param settings with the bucket of the secrets, where the function opens those of destinations. */
export function senderEnvironment(settings: EventSettings & { secrets: string }): Record<string, string> {
  return { ...eventEnvironment(settings), [SECRETS_BUCKET]: settings.secrets };
}

export function apiEnvironment(settings: ApiSettings): Record<string, string> {
  return {
    ...eventEnvironment(settings),
    POSTERN_POOLS: settings.pools.join(','),
    [SECRETS_BUCKET]: settings.secrets,
    ...(settings.cosignDomain !== undefined && { [COSIGN_DOMAIN]: settings.cosignDomain }),
    ...(settings.dkimZone !== undefined && { [DKIM_ZONE]: settings.dkimZone }),
    ...(settings.trackingUrl !== undefined && { [TRACKING_URL]: settings.trackingUrl }),
    ...(settings.frontSecret !== undefined && { [FRONT_SECRET]: settings.frontSecret }),
  };
}

export function keyEnvironment({ resources, dkimZone, secrets }: KeySettings): Record<string, string> {
  return { ...resourcesToEnvironment(resources), [DKIM_ZONE]: dkimZone, [SECRETS_BUCKET]: secrets };
}

export function zoneEnvironment({ resources, dkimZone, zoneId }: ZoneSettings): Record<string, string> {
  return { ...resourcesToEnvironment(resources), [DKIM_ZONE]: dkimZone, [DKIM_ZONE_ID]: zoneId };
}

/** @throws PosternError `bad_request` that names the missing variable. */
export function readKeySettings(environment: NodeJS.ProcessEnv): KeySettings {
  return {
    resources: resourcesFromEnvironment(environment),
    dkimZone: requireVariable(environment, DKIM_ZONE),
    secrets: requireVariable(environment, SECRETS_BUCKET),
  };
}

/** @throws PosternError `bad_request` that names the missing variable. */
export function readZoneSettings(environment: NodeJS.ProcessEnv): ZoneSettings {
  return {
    resources: resourcesFromEnvironment(environment),
    dkimZone: requireVariable(environment, DKIM_ZONE),
    zoneId: requireVariable(environment, DKIM_ZONE_ID),
  };
}

export function trackEnvironment({
  queueUrlPrefix,
  configTable,
  secrets,
  frontSecret,
}: TrackSettings): Record<string, string> {
  return {
    [QUEUES]: queueUrlPrefix,
    [CONFIG_TABLE]: configTable,
    [SECRETS_BUCKET]: secrets,
    ...(frontSecret !== undefined && { [FRONT_SECRET]: frontSecret }),
  };
}

/** @throws PosternError `bad_request` that names the missing variable. */
export function readTrackSettings(environment: NodeJS.ProcessEnv): TrackSettings {
  return {
    queueUrlPrefix: requireVariable(environment, QUEUES),
    configTable: requireVariable(environment, CONFIG_TABLE),
    secrets: requireVariable(environment, SECRETS_BUCKET),
    // An empty value would be a secret that every attacker can guess.
    ...(environment[FRONT_SECRET] && { frontSecret: environment[FRONT_SECRET] }),
  };
}

/** @throws PosternError `bad_request` that names the missing variable. */
export function readFunctionSettings(environment: NodeJS.ProcessEnv): FunctionSettings & { region: string } {
  return {
    resources: resourcesFromEnvironment(environment),
    accountId: requireVariable(environment, 'POSTERN_ACCOUNT_ID'),
    hostname: requireVariable(environment, 'POSTERN_HOSTNAME'),
    returnPathDomain: requireVariable(environment, 'POSTERN_RETURN_PATH_DOMAIN'),
    region: requireVariable(environment, REGION),
  };
}

/** @throws PosternError `bad_request` that names the missing variable. */
export function readEventSettings(
  environment: NodeJS.ProcessEnv,
): EventSettings & { region: string; secrets: string } {
  return { ...readIndexSettings(environment), secrets: requireVariable(environment, SECRETS_BUCKET) };
}

/** @throws PosternError `bad_request` that names the missing variable. */
export function readIndexSettings(environment: NodeJS.ProcessEnv): EventSettings & { region: string } {
  return {
    ...readFunctionSettings(environment),
    eventDays: Number(requireVariable(environment, EVENT_DAYS)),
  };
}

/**
 * @param bundle URL of the code, beside which the file of pools is.
 * @throws PosternError `bad_request` that names the missing variable.
 */
export function readApiSettings(
  environment: NodeJS.ProcessEnv,
  bundle: string = import.meta.url,
): ApiSettings & { region: string } {
  return {
    ...readIndexSettings(environment),
    pools: readPools(requireVariable(environment, 'POSTERN_POOLS'), bundle),
    secrets: requireVariable(environment, SECRETS_BUCKET),
    ...(environment[COSIGN_DOMAIN] && { cosignDomain: environment[COSIGN_DOMAIN] }),
    ...(environment[DKIM_ZONE] && { dkimZone: environment[DKIM_ZONE] }),
    ...(environment[TRACKING_URL] && { trackingUrl: environment[TRACKING_URL] }),
    // An empty value would be a secret that every attacker can guess.
    ...(environment[FRONT_SECRET] && { frontSecret: environment[FRONT_SECRET] }),
  };
}

function readPools(text: string, bundle: string): string[] {
  const list = text.startsWith('@') ? readFileSync(new URL(text.slice(1), bundle), 'utf8') : text;
  return list.split(',');
}
