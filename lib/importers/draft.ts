/**
 * What an import would write: Postern's documents, its identities and sets, and the settings of its start, gathered
 * directive by directive. Nothing here is checked; `checked.ts` holds it against the readers of the documents.
 */
import type { Rule } from '../automation/rule.ts';
import type { LimitName, Qualifier } from '../shaping/limits/limit.ts';
import { laneGroup, providerGroup, providerOf } from '../shaping/providers.ts';
import { readRate } from '../shaping/rate.ts';
import { type FindingState, Findings, type SourcePlace } from './finding.ts';

/** Where limits hold: a layer of the document of limits, and its key. */
export type LimitPlace =
  | { readonly layer: 'default' | 'route' }
  | { readonly layer: 'providers' | 'domains' | 'sites'; readonly key: string };

type LimitValues = Partial<Record<LimitName, unknown>>;
type MailLimitDraft = LimitValues & Partial<Record<Qualifier, string>>;
export type EntryDraft = LimitValues & { for?: MailLimitDraft[] };

export interface LimitsDraft {
  default?: EntryDraft;
  route?: EntryDraft;
  providers?: Record<string, EntryDraft>;
  domains?: Record<string, EntryDraft>;
  sites?: Record<string, EntryDraft>;
  shared?: Record<string, object>;
}

export interface PoolDraft {
  ips: (string | { ip: string; weight?: number; warm: true })[];
  smarthost?: string;
  dedicatedTo?: { tenants: string[] };
  exclusive?: boolean;
}

/** An identity to create, with the key that signs. */
export interface IdentityDraft {
  name: string;
  /** Base64 of DER on one line, as SES takes it. */
  key?: { selector: string; privateKey: string };
  mailFromDomain?: string;
  configurationSet?: string;
}

export interface SetDraft {
  pool?: string;
  /** Everything else, in the form of SES's CreateConfigurationSet. */
  options?: object;
}

export interface TemplateDraft {
  name: string;
  subject?: string;
  text?: string;
  html?: string;
}

/** An event destination of a configuration set, in the form of SES's CreateConfigurationSetEventDestination. */
export interface DestinationDraft {
  set: string;
  name: string;
  destination: object;
}

/** Addresses to suppress: a file as it is, or entries. */
export type SuppressionDraft =
  | { readonly file: string; readonly text: string }
  | { readonly address: string; readonly reason: 'BOUNCE' | 'COMPLAINT' };

/** Settings of the start (`postern.config.ts`), which no API changes. */
export interface StartDraft {
  hostname?: string;
  egressIps: string[];
  ehloNames: Record<string, string>;
  routes: { domain: string; host: string; port: number }[];
  relayFrom: string[];
  smtpPort?: number;
  maxMessageBytes?: number;
  dns?: { host: string; port: number };
}

export class ImportDraft {
  readonly findings = new Findings();
  readonly limits: LimitsDraft = {};
  readonly pools: Record<string, PoolDraft> = {};
  readonly rules: Rule[] = [];
  readonly identities = new Map<string, IdentityDraft>();
  readonly sets = new Map<string, SetDraft>();
  readonly templates = new Map<string, TemplateDraft>();
  readonly destinations: DestinationDraft[] = [];
  readonly suppressions: SuppressionDraft[] = [];
  /** Whether pools without addresses are to wait for theirs. */
  poolsWait = false;
  readonly start: StartDraft = { egressIps: [], ehloNames: {}, routes: [], relayFrom: [] };
  /** Where each limit came from: path in the document to the directive. */
  readonly origins = new Map<string, SourcePlace>();

  note(place: SourcePlace, state: FindingState, text: string): void {
    this.findings.add(place, state, text);
  }

  /**
   * Sets a limit. Of two values for the same mail the stricter one stays, because the other product applied both.
   * @param mail for which it holds; absent: all of the place.
   */
  limit(
    at: SourcePlace,
    place: LimitPlace,
    name: LimitName,
    value: unknown,
    mail?: Partial<Record<Qualifier, string>>,
  ): void {
    const values = this.#valuesOf(place, mail);
    const before = values[name];
    values[name] = before === undefined ? value : stricter(name, before, value);
    this.origins.set(pathOf(place, mail, name), at);
  }

  #valuesOf(place: LimitPlace, mail: Partial<Record<Qualifier, string>> | undefined): LimitValues {
    const entry = entryOf(this.limits, place);
    if (mail === undefined) return entry;
    entry.for ??= [];
    const keys = Object.keys(mail) as Qualifier[];
    let found = entry.for.find((one) => QUALIFIED.every((key) => one[key] === mail[key]));
    if (found === undefined)
      entry.for.push((found = Object.fromEntries(keys.map((key) => [key, mail[key]]))));
    return found;
  }

  /** Adds addresses to a pool. */
  pool(name: string, ips: readonly string[], weight?: number): void {
    const pool = (this.pools[name] ??= { ips: [] });
    for (const ip of ips) {
      if (pool.ips.some((one) => typeof one !== 'string' && one.ip === ip)) continue;
      pool.ips.push({ ip, warm: true, ...(weight !== undefined && { weight }) });
    }
    for (const ip of ips) if (!this.start.egressIps.includes(ip)) this.start.egressIps.push(ip);
  }

  /** An identity, with what is known of it so far. */
  identity(name: string): IdentityDraft {
    const key = name.toLowerCase();
    let identity = this.identities.get(key);
    if (identity === undefined) this.identities.set(key, (identity = { name: key }));
    return identity;
  }
}

const QUALIFIED: readonly Qualifier[] = ['pool', 'ip', 'class', 'tenant', 'campaign'];

/** The entry of a place in a document of limits, made if it is missing. */
export function entryOf(limits: LimitsDraft, place: LimitPlace): EntryDraft {
  if (!('key' in place)) return (limits[place.layer] ??= {});
  const layer = (limits[place.layer] ??= {});
  return (layer[place.key] ??= {});
}

/** `limits.domains.example.com.for[ip=192.0.2.1].connections` */
export function pathOf(
  place: LimitPlace,
  mail: Partial<Record<Qualifier, string>> | undefined,
  name: string,
): string {
  const key = 'key' in place ? `.${place.key}` : '';
  const whose = mail
    ? `.for[${QUALIFIED.flatMap((one) => (mail[one] ? [`${one}=${mail[one]}`] : [])).join()}]`
    : '';
  return `limits.${place.layer}${key}${whose}.${name}`;
}

/** The stricter of two values of a limit; the later one of those that have no order. */
export function stricter(name: LimitName, one: unknown, other: unknown): unknown {
  if (typeof one === 'number' && typeof other === 'number') return Math.min(one, other);
  if (name === 'messageRate' || name === 'connectionRate') return isSlower(one, other) ? one : other;
  if (name === 'deadlines') return { ...(one as object), ...(other as object) };
  return other;
}

/** Whether a rate as written is slower than another one. */
export function isSlower(one: unknown, other: unknown): boolean {
  const [a, b] = [readRate(one), readRate(other)];
  if (a === undefined) return false;
  return b === undefined || a.count / a.per < b.count / b.per;
}

/**
 * Where the limits of a recipient domain hold: at its provider, when its mail is the provider's own (Postern counts
 * Gmail and Workspace together, as Google does), else at the domain.
 */
export function placeOfDomain(domain: string): LimitPlace {
  const group = laneGroup(domain);
  if (group === 'microsoft') return { layer: 'providers', key: 'outlook' };
  if (group !== 'other') return { layer: 'providers', key: group };
  const provider = providerOf([domain]);
  if (provider === 'other' || providerGroup(provider) === 'microsoft')
    return { layer: 'domains', key: domain };
  return { layer: 'providers', key: provider };
}
