/**
 * Settings of a process: defaults, over them a typed `postern.config.ts`, over that the environment. One schema
 * checks both; wrong and unknown values stop the start, each with a sentence that names it.
 */
import { existsSync, statSync } from 'node:fs';
import { hostname } from 'node:os';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import ipaddr from 'ipaddr.js';
import * as z from 'zod/mini';
import { problemsOf, type Schema, type SchemaValue } from '../lib/api/schema.ts';
import { PosternError } from '../lib/errors.ts';
import { canonicalIp } from '../lib/ip.ts';
import { canonicalDomain } from '../lib/mail/domain.ts';
import { type PoolSetting, poolDocument, readPools } from '../lib/routing/pools.ts';
import type { LimitDocument } from '../lib/shaping/limits/document.ts';

/** A text that passes a test; otherwise the problem follows the text in the sentence. */
const textThat = (test: (text: string) => boolean, problem: string) =>
  z.string().check(z.refine(test, { error: ({ input }) => `"${String(input)}" ${problem}` }));
const word = textThat((text) => text !== '', 'is empty');
const whole = (minimum: number, maximum = Number.MAX_SAFE_INTEGER) =>
  z.int('must be a whole number').check(z.minimum(minimum), z.maximum(maximum));
const moreThanNone = z.number().check(z.gt(0));

/** Port 0 is any free one, for listeners. */
const endpoint = z.strictObject({ host: word, port: whole(0, 65_535) });
const ip = textThat(ipaddr.isValid, 'is not an IP address');
/** A name of the zone is a token, of 32 characters, and a dot longer (RFC 1035 §2.3.4). */
const MAX_ZONE = 220;
const zoneName = textThat(
  (text) => isCanonical(text) && text.includes('.') && text.length <= MAX_ZONE,
  `is not a zone of at most ${MAX_ZONE} characters; write it as dkim.mail.example.com`,
);
const network = textThat(ipaddr.isValidCIDR, 'is not a network; write it as 10.1.0.0/16 or 127.0.0.1/32');
const webOrigin = textThat((text) => {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  return url !== undefined && /^https?:$/.test(url.protocol) && url.href === `${url.origin}/`;
}, 'is not a web address without a path; write it as https://track.example.com');
function isCanonical(domain: string): boolean {
  try {
    return canonicalDomain(domain) === domain;
  } catch {
    return false;
  }
}

/** A document whose reader checks it, with path and reason. */
const document = z.record(z.string(), z.unknown());

const SETTINGS = {
  /** Directory of the embedded engine. */
  data: word,
  /**
   * Whether mail is accepted but none is sent until the pausing directive is removed: for a restored copy of a store.
   */
  startPaused: z.boolean(),
  api: endpoint,
  submission: endpoint,
  inbound: endpoint,
  /** Another submission listener with TLS from the first byte (RFC 8314, port 465). */
  submissionTls: z.optional(endpoint),
  /** First administrator key; made and printed at first start when absent. */
  accessKeyId: z.optional(word),
  secretAccessKey: z.optional(word),
  /** Networks (CIDR) that may submit without AUTH. */
  relayFrom: z.array(network),
  /**
   * Proxies (CIDR) in front of the listeners that speak the PROXY protocol, version 1 or 2: their connections must begin
   * with its header, and limits, logs and `relayFrom` go by the address in it.
   */
  proxyFrom: z.array(network),
  /** Source addresses; empty: the host's default. */
  egressIps: z.array(ip),
  /**
   * Pools by name: a list of addresses, or a pool in the form of routing documents (`{ ips, dedicatedTo, … }`). A
   * pool that is not listed here uses all of `egressIps`.
   */
  pools: z.record(z.string(), z.union([z.array(ip), document])) as unknown as z.ZodMiniType<
    Record<string, PoolSetting>
  >,
  /** Resolver; absent: the system's. */
  dns: z.optional(endpoint),
  smtpPort: whole(1, 65_535),
  /** Static routes: mail for `domain` (or `*`) goes to `host:port`, exempt from the private-address filter. */
  routes: z.array(z.strictObject({ domain: word, host: word, port: whole(1, 65_535) })),
  verifyIdentities: z.boolean(),
  /** Name in HELO, greetings and trace fields. */
  hostname: word,
  /** Names in HELO of single source addresses, where their PTR differs. */
  ehloNames: z.record(z.string(), word),
  /** Domain of return paths, whose MX points to the inbound listener. Default: the From domain's identity. */
  returnPathDomain: z.optional(word),
  /**
   * Domain identity of the operator that signs all mail beside the sender's own domain, so that feedback loops that go
   * by `d=` (Yahoo) cover every tenant. Create it, and publish its records. A second RSA signature for each message.
   */
  cosignDomain: z.optional(word),
  /**
   * Zone of the operator's in which the keys of Easy DKIM are published, as `dkim.mail.example.com`: domains lead to it
   * by three CNAMEs each, and keys take turns by themselves (lib/control/README.md). Without it each domain publishes
   * its key itself.
   */
  dkimZone: z.optional(zoneName),
  /** Answers DNS questions about that zone alone; its parent delegates it to `hostname`. */
  dkimZoneDns: z.optional(endpoint),
  /**
   * Where readers of tracked mail reach this service, as `https://track.example.com`: its `/t/` must lead to `api`.
   * Without it, only configuration sets with a CustomRedirectDomain can track.
   */
  tracking: z.optional(z.strictObject({ url: webOrigin })),
  /**
   * Where `s3://bucket/key` of import and export jobs leads: a directory that has a directory for each bucket, or the URL of a
   * service that speaks S3's protocol, with its key. Absent: nowhere.
   */
  s3: z.optional(word),
  s3AccessKeyId: z.optional(word),
  s3SecretAccessKey: z.optional(word),
  /** Certificate for STARTTLS and implicit TLS; a self-signed one is made when absent. PEM files. */
  tls: z.optional(z.strictObject({ key: word, cert: word })),
  /** Serve the API over HTTPS with that certificate. */
  apiTls: z.boolean(),
  region: word,
  accountId: textThat((text) => /^\d{12}$/.test(text), 'is not an account id of twelve digits'),
  maxMessageBytes: whole(1),
  maxRecipients: whole(1),
  /** Days a delivery is tried unless its configuration set states otherwise. */
  maxAgeDays: moreThanNone,
  /** Days that records of ended messages are kept. */
  recordDays: moreThanNone,
  /** Receivers of webhooks, as `10.0.0.5:8080`, that may be reached at a private address. */
  webhookAllow: z.array(textThat((text) => /^[^\s:]+:\d{1,5}$/.test(text), 'is not written host:port')),
  /** The policy in TypeScript (lib/policy/README.md), watched. The default file need not exist. */
  policy: word,
  /** Limits that override the built-in ones (lib/shaping/README.md); limits stored through the API override these. */
  limits: z.optional(document as unknown as z.ZodMiniType<LimitDocument>),
  /** Delays between attempts, s; the last one repeats. */
  retrySeconds: z.optional(z.array(moreThanNone).check(z.minLength(1))),
  logLevel: z.enum(['debug', 'info', 'warn', 'error']),
  /** File of the accounting log (lib/observe/README.md), in a directory that exists; absent: none is kept. */
  accountingLog: z.optional(word),
  /** What the doctor asks outside (lib/doctor/README.md). */
  doctor: z.strictObject({
    /** A well-known MX to which a connection shows that port 25 is open outwards; `off`: none is made. */
    mx: z.optional(word),
    /** Zones of DNS blocklists (`zen.spamhaus.org`) that are asked about the source addresses. Default: none. */
    blocklists: z.optional(z.array(word)),
    /** Server of SNTP. */
    timeServer: z.optional(word),
  }),
};
const schema = z.strictObject(SETTINGS);
const config = z.partial(schema);

export type Settings = SchemaValue<typeof schema>;
/** Members of `postern.config.ts`. */
export type ConfigFile = Partial<Settings>;
/** `host:port`, the host of an IPv6 address in brackets. */
export type Endpoint = SchemaValue<typeof endpoint>;
/** A static route. */
export type RouteSetting = Settings['routes'][number];

/** Types a `postern.config.ts`: `export default defineConfig({ … })`. */
export function defineConfig(settings: ConfigFile): ConfigFile {
  return settings;
}

/** Names each wrong setting, its fault and its right form. */
export class SettingsError extends Error {}

const DEFAULTS: Settings = {
  data: './data',
  startPaused: false,
  api: { host: '127.0.0.1', port: 8025 },
  submission: { host: '127.0.0.1', port: 1587 },
  inbound: { host: '127.0.0.1', port: 1025 },
  relayFrom: [],
  proxyFrom: [],
  egressIps: [],
  pools: {},
  smtpPort: 25,
  routes: [],
  verifyIdentities: true,
  hostname: hostname(),
  ehloNames: {},
  apiTls: false,
  region: 'us-east-1',
  accountId: '000000000000',
  maxMessageBytes: 40 * 1024 * 1024,
  maxRecipients: 50,
  maxAgeDays: 4,
  recordDays: 30,
  webhookAllow: [],
  policy: './postern.policy.ts',
  logLevel: 'info',
  doctor: {},
};

/** Reads `host:port`. @throws SettingsError without the name of the variable. */
function endpointOf(text: string): Endpoint {
  const match = /^(?:\[([0-9a-fA-F:]+)\]|([^:\s]+)):(\d{1,5})$/.exec(text);
  const port = Number(match?.[3]);
  if (match && port <= 65_535) return { host: match[1] ?? match[2]!, port };
  throw new SettingsError(`"${text}" is not an address; write host:port, as 127.0.0.1:8025 or [::1]:8025`);
}

function list(text: string): string[] {
  return text
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '');
}

function routeOf(text: string): RouteSetting {
  const at = text.indexOf('=');
  if (at < 1) throw new SettingsError(`"${text}" is not a route; write domain=host:port, or *=host:port`);
  return { domain: text.slice(0, at).trim().toLowerCase(), ...endpointOf(text.slice(at + 1).trim()) };
}

function onOff(text: string): boolean {
  if (text === 'on' || text === 'off') return text === 'on';
  throw new SettingsError(`"${text}" is neither on nor off`);
}

function isPaused(text: string): boolean {
  if (text === 'paused' || text === 'sending') return text === 'paused';
  throw new SettingsError(`"${text}" is neither paused nor sending`);
}

function portOf(text: string): number {
  if (/^\d{1,5}$/.test(text) && Number(text) >= 1 && Number(text) <= 65_535) return Number(text);
  throw new SettingsError(`"${text}" is not a port; give a number from 1 to 65535`);
}

/** Each variable: its setting, and the parser of its text. */
const VARIABLES: Readonly<Record<string, readonly [keyof Settings, (text: string) => unknown]>> = {
  POSTERN_DATA: ['data', String],
  POSTERN_START: ['startPaused', isPaused],
  POSTERN_API: ['api', endpointOf],
  POSTERN_SUBMISSION: ['submission', endpointOf],
  POSTERN_SUBMISSION_TLS: ['submissionTls', endpointOf],
  POSTERN_INBOUND: ['inbound', endpointOf],
  POSTERN_ACCESS_KEY_ID: ['accessKeyId', String],
  POSTERN_SECRET_ACCESS_KEY: ['secretAccessKey', String],
  POSTERN_RELAY_FROM: ['relayFrom', list],
  POSTERN_PROXY_FROM: ['proxyFrom', list],
  POSTERN_EGRESS_IPS: ['egressIps', list],
  POSTERN_DNS: ['dns', (text) => endpointOf(text.includes(':') ? text : `${text}:53`)],
  POSTERN_SMTP_PORT: ['smtpPort', portOf],
  POSTERN_ROUTES: ['routes', (text) => list(text).map(routeOf)],
  POSTERN_WEBHOOK_ALLOW: ['webhookAllow', list],
  POSTERN_POLICY: ['policy', String],
  POSTERN_COSIGN_DOMAIN: ['cosignDomain', (text) => text.toLowerCase()],
  POSTERN_DKIM_ZONE: ['dkimZone', (text) => text.toLowerCase().replace(/\.$/, '')],
  POSTERN_DKIM_ZONE_DNS: ['dkimZoneDns', endpointOf],
  POSTERN_TRACKING_URL: ['tracking', (url) => ({ url })],
  POSTERN_S3: ['s3', String],
  POSTERN_S3_ACCESS_KEY_ID: ['s3AccessKeyId', String],
  POSTERN_S3_SECRET_ACCESS_KEY: ['s3SecretAccessKey', String],
  POSTERN_VERIFY_IDENTITIES: ['verifyIdentities', onOff],
};

/** The variables that are settings, without those of the AWS engine in the same environment. */
export function settingVariables(environment: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(environment).filter(([name]) => Object.hasOwn(VARIABLES, name)));
}

/** Reads settings of the environment. Faults are added to `problems`. */
function readEnvironment(environment: NodeJS.ProcessEnv, problems: string[]): ConfigFile {
  const settings: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(environment)) {
    const variable = Object.hasOwn(VARIABLES, name) ? VARIABLES[name] : undefined;
    if (variable === undefined) {
      if (name.startsWith('POSTERN_')) {
        problems.push(`${name} is not a variable of Postern; there are ${Object.keys(VARIABLES).join(', ')}`);
      }
      continue;
    }
    const text = value?.trim();
    if (!text) continue;
    const [setting, parse] = variable;
    try {
      settings[setting] = parse(text);
    } catch (error) {
      problems.push(`${name}: ${(error as Error).message}`);
      continue;
    }
    // The position within a list or an object means nothing to the operator: the sentence shows the wrong text
    // itself.
    for (const problem of problemsOf(SETTINGS[setting] as Schema, settings[setting])) {
      problems.push(`${name}: ${problem.slice(problem.indexOf(' ') + 1)}`);
    }
  }
  return settings as ConfigFile;
}

/** Converts `/api/port must be…` to `postern.config.ts: api.port must be…`. */
function fileProblem(problem: string): string {
  const [pointer = '', ...words] = problem.split(' ');
  const place = pointer.slice(1).replaceAll('/', '.');
  const text = words.join(' ').replace('is not a member of this request', 'is not a setting');
  return `postern.config.ts: ${place} ${text}`;
}

function poolProblems(pools: Settings['pools']): string[] {
  try {
    readPools(poolDocument(pools), 'pools');
    return [];
  } catch (error) {
    if (!(error instanceof PosternError)) throw error;
    return [`postern.config.ts: ${error.message.replace(/\.$/, '')}`];
  }
}

/**
 * Merges settings from their sources, later ones overriding. @throws SettingsError
 * @param started defaults of the kind of start (`npm start` turns identity proof off).
 */
export function readSettings(
  environment: NodeJS.ProcessEnv,
  file: ConfigFile,
  started: ConfigFile = {},
): Settings {
  const problems = problemsOf(config, file).map(fileProblem);
  if (problems.length === 0) problems.push(...poolProblems(file.pools ?? {}));
  const settings = { ...DEFAULTS, ...started, ...file, ...readEnvironment(environment, problems) };
  if ((settings.accessKeyId === undefined) !== (settings.secretAccessKey === undefined)) {
    problems.push('POSTERN_ACCESS_KEY_ID and POSTERN_SECRET_ACCESS_KEY go together: set both or none');
  }
  if (settings.dkimZoneDns && settings.dkimZone === undefined)
    problems.push('POSTERN_DKIM_ZONE_DNS answers for POSTERN_DKIM_ZONE: set that, too');
  const isEndpoint = /^https?:/i.test(settings.s3 ?? '');
  if (isEndpoint && (settings.s3AccessKeyId === undefined || settings.s3SecretAccessKey === undefined)) {
    problems.push('POSTERN_S3 is a URL: set POSTERN_S3_ACCESS_KEY_ID and POSTERN_S3_SECRET_ACCESS_KEY, too');
  }
  if (problems.length > 0) throw new SettingsError(`${problems.join('.\n')}.`);
  const { egressIps, pools, tracking } = settings;
  return {
    ...settings,
    egressIps: egressIps.map(canonicalIp),
    pools: Object.fromEntries(
      Object.entries(pools).map(([name, pool]) => [name, Array.isArray(pool) ? pool.map(canonicalIp) : pool]),
    ),
    tracking: tracking && { url: new URL(tracking.url).origin },
  };
}

/**
 * Loads the settings of a process that starts in a directory.
 * @throws SettingsError also for a policy file that is set and does not exist: mail must not go without it.
 */
export async function loadSettings(
  environment: NodeJS.ProcessEnv,
  directory: string,
  started: ConfigFile = {},
): Promise<Settings> {
  const settings = readSettings(environment, await loadConfigFile(directory), started);
  const { policy } = settings;
  if (policy === DEFAULTS.policy || existsSync(resolve(directory, policy))) return settings;
  const name = environment.POSTERN_POLICY ? 'POSTERN_POLICY' : 'postern.config.ts: policy';
  throw new SettingsError(`${name}: the file ${resolve(directory, policy)} does not exist.`);
}

/** Loads `postern.config.ts` of a directory; without one, nothing is set. */
export async function loadConfigFile(directory: string): Promise<ConfigFile> {
  const path = resolve(directory, 'postern.config.ts');
  if (!existsSync(path)) return {};
  // The time of the file is part of the URL, so that a reload reads a changed file.
  const url = `${pathToFileURL(path).href}?changed=${statSync(path).mtimeMs}`;
  const module = (await import(url)) as { default?: ConfigFile };
  if (!module.default)
    throw new SettingsError(`${path} has no default export. Write: export default defineConfig({ … })`);
  return module.default;
}
