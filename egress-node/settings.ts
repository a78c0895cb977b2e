/**
 * Settings of a process: defaults, over them a typed `postern.config.ts`, over that the environment. Read
 * once at start; a wrong value stops the start with a sentence that names it.
 */
import { existsSync } from 'node:fs';
import { hostname } from 'node:os';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import ipaddr from 'ipaddr.js';
import { canonicalIp } from '../lib/ip.ts';
import type { LimitDocument } from '../lib/shaping/limits/document.ts';

/** `host:port`, the host of an IPv6 address in brackets. */
export interface Endpoint {
  host: string;
  port: number;
}

/** A static route: mail for `domain` (or `*`) goes to `host:port`, exempt from the private-address filter. */
export interface Route extends Endpoint {
  domain: string;
}

export interface Settings {
  /** Where the embedded engine lives. */
  data: string;
  api: Endpoint;
  submission: Endpoint;
  inbound: Endpoint;
  /** Another submission listener with TLS from the first byte (RFC 8314, port 465). */
  submissionTls?: Endpoint;
  /** First administrator key; made and printed at first start when absent. */
  accessKeyId?: string;
  secretAccessKey?: string;
  /** Networks (CIDR) that may submit without AUTH. */
  relayFrom: string[];
  /** Source addresses; empty: the host's default. */
  egressIps: string[];
  /** Addresses of each pool; a pool that is not named here uses all of `egressIps`. */
  pools: Record<string, string[]>;
  dns?: Endpoint;
  smtpPort: number;
  routes: Route[];
  verifyIdentities: boolean;
  /** Name in HELO, greetings and trace fields. */
  hostname: string;
  /** Name in HELO of single source addresses, where their PTR differs. */
  ehloNames: Record<string, string>;
  /** Domain of return paths, whose MX points to the inbound listener. Default: the From domain's identity. */
  returnPathDomain?: string;
  /**
   * Where readers of tracked mail reach this service, as `https://track.example.com`: its `/t/` must lead to `api`.
   * Without it, only configuration sets with a CustomRedirectDomain can track.
   */
  tracking?: { url: string };
  /** Certificate for STARTTLS and implicit TLS; a self-signed one is made when absent. PEM files. */
  tls?: { key: string; cert: string };
  /** Serve the API over HTTPS with that certificate. */
  apiTls: boolean;
  region: string;
  accountId: string;
  maxMessageBytes: number;
  maxRecipients: number;
  /** Days a delivery is tried unless its configuration set says otherwise. */
  maxAgeDays: number;
  /** Days that records of ended messages are kept. */
  recordDays: number;
  /** The policy in TypeScript (lib/control/README.md), watched; it need not be there. */
  policy: string;
  /** Limits over the built-in ones (lib/shaping/README.md); those stored through the API go over these. */
  limits?: LimitDocument;
  /** Seconds from one attempt to the next; the last one repeats. */
  retrySeconds?: number[];
  logLevel: 'debug' | 'info' | 'warn' | 'error';
}

/** What `postern.config.ts` may set. */
export type Config = Partial<Settings>;

/** Types a `postern.config.ts`: `export default defineConfig({ … })`. */
export function defineConfig(config: Config): Config {
  return config;
}

/** A wrong setting: says which, what is wrong, and what it should look like. */
export class SettingsError extends Error {}

const DEFAULTS: Settings = {
  data: './data',
  api: { host: '127.0.0.1', port: 8025 },
  submission: { host: '127.0.0.1', port: 1587 },
  inbound: { host: '127.0.0.1', port: 1025 },
  relayFrom: [],
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
  policy: './postern.policy.ts',
  logLevel: 'info',
};

function endpoint(name: string, text: string): Endpoint {
  const match = /^(?:\[([0-9a-fA-F:]+)\]|([^:\s]+)):(\d{1,5})$/.exec(text);
  const port = Number(match?.[3]);
  if (!match || port > 65_535) {
    throw new SettingsError(
      `${name}: "${text}" is not an address. Write host:port, as 127.0.0.1:8025 or [::1]:8025.`,
    );
  }
  return { host: match[1] ?? match[2]!, port };
}

function list(text: string): string[] {
  return text
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '');
}

function addresses(name: string, text: string): string[] {
  const found = list(text);
  for (const address of found) {
    if (!ipaddr.isValid(address)) throw new SettingsError(`${name}: "${address}" is not an IP address.`);
  }
  return found;
}

function networks(name: string, text: string): string[] {
  const found = list(text);
  for (const network of found) {
    if (!ipaddr.isValidCIDR(network)) {
      throw new SettingsError(
        `${name}: "${network}" is not a network. Write it as 10.1.0.0/16 or 127.0.0.1/32.`,
      );
    }
  }
  return found;
}

function routes(name: string, text: string): Route[] {
  return list(text).map((part) => {
    const at = part.indexOf('=');
    if (at < 1)
      throw new SettingsError(`${name}: "${part}" is not a route. Write domain=host:port, or *=host:port.`);
    return { domain: part.slice(0, at).trim().toLowerCase(), ...endpoint(name, part.slice(at + 1).trim()) };
  });
}

function onOff(name: string, text: string): boolean {
  if (text === 'on') return true;
  if (text === 'off') return false;
  throw new SettingsError(`${name}: "${text}" is neither on nor off.`);
}

/** Scheme, host and port alone: the links bring their own path. */
function webOrigin(name: string, text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url && /^https?:$/.test(url.protocol) && url.href === `${url.origin}/`) return url.origin;
  throw new SettingsError(
    `${name}: "${text}" is not a web address without a path. Write it as https://track.example.com.`,
  );
}

function portNumber(name: string, text: string): number {
  const port = Number(text);
  if (!Number.isInteger(port) || port < 1 || port > 65_535) {
    throw new SettingsError(`${name}: "${text}" is not a port. Give a number from 1 to 65535.`);
  }
  return port;
}

/** Each variable and the setting that it makes. */
const VARIABLES: Record<string, (name: string, text: string) => Config> = {
  POSTERN_DATA: (_, text) => ({ data: text }),
  POSTERN_API: (name, text) => ({ api: endpoint(name, text) }),
  POSTERN_SUBMISSION: (name, text) => ({ submission: endpoint(name, text) }),
  POSTERN_SUBMISSION_TLS: (name, text) => ({ submissionTls: endpoint(name, text) }),
  POSTERN_INBOUND: (name, text) => ({ inbound: endpoint(name, text) }),
  POSTERN_ACCESS_KEY_ID: (_, text) => ({ accessKeyId: text }),
  POSTERN_SECRET_ACCESS_KEY: (_, text) => ({ secretAccessKey: text }),
  POSTERN_RELAY_FROM: (name, text) => ({ relayFrom: networks(name, text) }),
  POSTERN_EGRESS_IPS: (name, text) => ({ egressIps: addresses(name, text) }),
  POSTERN_DNS: (name, text) => ({ dns: endpoint(name, text.includes(':') ? text : `${text}:53`) }),
  POSTERN_SMTP_PORT: (name, text) => ({ smtpPort: portNumber(name, text) }),
  POSTERN_ROUTES: (name, text) => ({ routes: routes(name, text) }),
  POSTERN_POLICY: (_, text) => ({ policy: text }),
  POSTERN_TRACKING_URL: (name, text) => ({ tracking: { url: webOrigin(name, text) } }),
  POSTERN_VERIFY_IDENTITIES: (name, text) => ({ verifyIdentities: onOff(name, text) }),
};

/**
 * Settings from the parts, later ones winning. @throws SettingsError
 * @param started what the way of starting changes in the defaults (`npm start` turns identity proof off).
 */
export function readSettings(environment: NodeJS.ProcessEnv, file: Config, started: Config = {}): Settings {
  const settings: Settings = { ...DEFAULTS, ...started, ...file };
  for (const [name, parse] of Object.entries(VARIABLES)) {
    const text = environment[name]?.trim();
    if (text) Object.assign(settings, parse(name, text));
  }
  if ((settings.accessKeyId === undefined) !== (settings.secretAccessKey === undefined)) {
    throw new SettingsError(
      'POSTERN_ACCESS_KEY_ID and POSTERN_SECRET_ACCESS_KEY go together: set both or none.',
    );
  }
  settings.egressIps = settings.egressIps.map(canonicalIp);
  settings.pools = Object.fromEntries(
    Object.entries(settings.pools).map(([pool, ips]) => [pool, ips.map(canonicalIp)]),
  );
  if (settings.tracking) settings.tracking = { url: webOrigin('tracking.url', settings.tracking.url) };
  return settings;
}

/** Loads `postern.config.ts` of a directory; without one, nothing is set. */
export async function loadConfigFile(directory: string): Promise<Config> {
  const path = resolve(directory, 'postern.config.ts');
  if (!existsSync(path)) return {};
  const module = (await import(pathToFileURL(path).href)) as { default?: Config };
  if (!module.default)
    throw new SettingsError(`${path} has no default export. Write: export default defineConfig({ … })`);
  return module.default;
}
