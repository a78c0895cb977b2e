/**
 * Settings of an egress node, as environment variables: written by the stacks (or by hand, on a node outside AWS) and
 * read at its start.
 */
import {
  requireVariable,
  resourcesFromEnvironment,
  resourcesToEnvironment,
} from '../../lib/engine/aws/environment.ts';
import type { AwsResources } from '../../lib/engine/aws/schema.ts';
import { PosternError } from '../../lib/errors.ts';

/** A source address of the node. */
export interface NodeSource {
  /** The public address: leases, documents and directives use it. */
  ip: string;
  /** Address to bind to where the network translates: on EC2 the private one to which an Elastic IP is mapped. */
  local?: string;
  /** Name in EHLO and in the PTR record. */
  hostname: string;
  pools: readonly string[];
}

export interface NodeSettings {
  resources: AwsResources;
  /** Name of the node: it holds the leases of its addresses, and is the same after a restart. */
  node: string;
  sources: readonly NodeSource[];
  /** Bucket of the secret of return paths. */
  secrets: string;
}

const NODE = 'POSTERN_NODE';
const SECRETS = 'POSTERN_SECRETS_BUCKET';
/** `ip=hostname:pool+pool` or `ip@local=hostname:pool+pool`, comma-separated. */
const SOURCES = 'POSTERN_SOURCES';

/** Formats all variables except the addresses, which a node on EC2 learns when it starts. */
export function nodeEnvironment(settings: Omit<NodeSettings, 'sources'>): Record<string, string> {
  return {
    ...resourcesToEnvironment(settings.resources),
    [NODE]: settings.node,
    [SECRETS]: settings.secrets,
  };
}

/** Formats a source without its addresses, as `=hostname:pool+pool`. */
export function sourceSuffix({ hostname, pools }: Omit<NodeSource, 'ip' | 'local'>): string {
  return `=${hostname}:${pools.join('+')}`;
}

/** @throws PosternError `bad_request` that names the missing or wrong variable. */
export function readNodeSettings(environment: NodeJS.ProcessEnv): NodeSettings {
  return {
    resources: resourcesFromEnvironment(environment),
    node: requireVariable(environment, NODE),
    sources: requireVariable(environment, SOURCES).split(',').map(readSource),
    secrets: requireVariable(environment, SECRETS),
  };
}

function readSource(text: string): NodeSource {
  const match = /^([0-9a-fA-F.:]+)(?:@([0-9a-fA-F.:]+))?=([a-z0-9.-]+):([a-z0-9_+-]+)$/.exec(text);
  if (match) {
    const [, ip, local, hostname, pools] = match;
    return { ip: ip!, ...(local && { local }), hostname: hostname!, pools: pools!.split('+') };
  }
  throw new PosternError(
    'bad_request',
    `${SOURCES}: "${text}" is not a source. Write ip=hostname:pool+pool, or ip@local=… where the network translates, as 203.0.113.5@10.0.0.5=a1.mail.example.com:default.`,
  );
}
