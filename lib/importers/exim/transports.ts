/** Options of Exim's smtp transport (specification, chapter 30) to limits, pools and keys. */
import { isIP } from 'node:net';
import ipaddr from 'ipaddr.js';
import type { Deadline, LimitName, Qualifier } from '../../shaping/limits/limit.ts';
import { HOUR, SECOND } from '../../time.ts';
import { clamped, spanOf } from '../amounts.ts';
import { takeKey } from '../dkim-key.ts';
import type { ImportDraft, LimitPlace } from '../draft.ts';
import { type SourcePlace, shownValue } from '../finding.ts';
import type { SourceFiles } from '../source-files.ts';
import { type EximDriver, type EximOption, listOf } from './config.ts';
import { meaningOf } from './meanings.ts';
import { eximTimeOf } from './retry.ts';

/** Where the options of a transport hold. */
export interface TransportUse {
  readonly places: readonly LimitPlace[];
  /** The pool of its mail, where it is chosen by the sender. */
  readonly pool?: string;
}

interface EximTarget extends TransportUse {
  readonly draft: ImportDraft;
}

type EximHandler = (value: string, at: SourcePlace, target: EximTarget) => void;

function set(
  { draft, places, pool }: EximTarget,
  at: SourcePlace,
  name: LimitName,
  value: unknown,
  changed?: string,
): void {
  const mail: Partial<Record<Qualifier, string>> | undefined = pool === undefined ? undefined : { pool };
  for (const place of places) draft.limit(at, place, name, value, mail);
  const written = shownValue(value);
  draft.note(at, changed ? 'changed' : 'taken', `${name} ${written}.${changed ? ` ${changed}` : ''}`);
}

const deadline =
  (...names: Deadline[]): EximHandler =>
  (value, at, target) => {
    const ms = eximTimeOf(value);
    if (ms === undefined)
      return target.draft.note(at, 'fault', `${value} is no time; the limit is not taken.`);
    if (ms === 0) return target.draft.note(at, 'already', '0 is no limit; the built-in deadline holds.');
    const { ms: within, moved } = clamped(ms, names.includes('dataEnd') ? 30 * SECOND : SECOND, HOUR);
    return set(
      target,
      at,
      'deadlines',
      Object.fromEntries(names.map((name) => [name, spanOf(within)])),
      moved ? 'The nearest that is possible.' : undefined,
    );
  };

/** A host list that says yes or no to all hosts, or names some. */
function hostsOf(value: string): 'all' | 'none' | string[] {
  const list = listOf(value);
  if (list.length === 0) return 'none';
  return list.includes('*') && list.every((one) => !one.startsWith('!')) ? 'all' : list;
}

const tlsFor =
  (policy: 'required' | 'off', note?: string): EximHandler =>
  (value, at, target) => {
    const hosts = hostsOf(value);
    if (hosts === 'none') return target.draft.note(at, 'already', 'no host.');
    if (hosts === 'all') return set(target, at, 'tls', policy, note);
    return target.draft.note(
      at,
      'impossible',
      `tls ${policy} for ${hosts.join(', ')}: hosts are known as sites here. Set it in sites, by the name that explain shows, or for the domain.`,
    );
  };

const HANDLERS: ReadonlyMap<string, EximHandler> = new Map<string, EximHandler>([
  ['connect_timeout', deadline('connect')],
  ['command_timeout', deadline('greeting', 'ehlo', 'starttls', 'mail', 'rcpt', 'dataInit')],
  ['data_timeout', deadline('dataBlock')],
  ['final_timeout', deadline('dataEnd')],
  [
    'connection_max_messages',
    (value, at, target) => {
      const number = /^\d{1,9}$/.test(value) ? Number(value) : undefined;
      if (number === undefined)
        target.draft.note(at, 'fault', `${value} is no number; the limit is not taken.`);
      else if (number === 0)
        set(target, at, 'messagesPerConnection', 1_000_000, '0 is no limit; this is the most.');
      else set(target, at, 'messagesPerConnection', number);
    },
  ],
  [
    'serialize_hosts',
    (value, at, target) => {
      const hosts = hostsOf(value);
      if (hosts === 'none') target.draft.note(at, 'already', 'no host.');
      else if (hosts === 'all') set(target, at, 'connections', 1);
      else
        target.draft.note(
          at,
          'impossible',
          `one connection to ${hosts.join(', ')}: set connections 1 in sites, by the name that explain shows, or for the domain.`,
        );
    },
  ],
  ['hosts_require_tls', tlsFor('required')],
  [
    'hosts_require_dane',
    tlsFor(
      'required',
      'DANE is followed where it is published; without it TLS is required and the certificate is not proven.',
    ),
  ],
  ['hosts_avoid_tls', tlsFor('off')],
  ['hosts_verify_avoid_tls', tlsFor('off')],
  [
    'interface',
    (value, at, target) => {
      const ips = listOf(value.replace(/^([0-9a-f:]*::?[0-9a-f:]+)$/i, '<; $1'))
        .filter((one) => isIP(one) !== 0)
        .map((one) => ipaddr.process(one).toString());
      if (ips.length === 0)
        return target.draft.note(
          at,
          'impossible',
          `${value} is an expansion. Make a pool with its addresses, and name it in a configuration set.`,
        );
      const pool = target.pool ?? 'default';
      target.draft.pool(pool, ips);
      return target.draft.note(
        at,
        'taken',
        `${ips.join(', ')} in pool ${pool}, as warm; egressIps of postern.config.ts.`,
      );
    },
  ],
  [
    'port',
    (value, at, target) => {
      const port = { smtp: 25, submission: 587, smtps: 465 }[value.toLowerCase()] ?? Number(value);
      if (!Number.isInteger(port))
        return target.draft.note(at, 'impossible', `${value} is an expansion. Name the port in a route.`);
      if (port === 465)
        return target.draft.note(
          at,
          'impossible',
          'TLS from the first byte is not offered. Use the port with STARTTLS, and tls: required.',
        );
      target.draft.start.smtpPort = port;
      return target.draft.note(
        at,
        'changed',
        `smtpPort ${port} of postern.config.ts, for all mail that has no route of its own.`,
      );
    },
  ],
  [
    'hosts',
    (value, at, target) => {
      const [host = ''] = listOf(value);
      if (host === '' || host.includes('$'))
        return target.draft.note(at, 'impossible', `${value} is an expansion. Name the host in routes.`);
      const [, name = host, port] = /^(.*?)(?:::?(\d+))?$/.exec(host) ?? [];
      for (const place of target.places) {
        const domain = 'key' in place ? (place.layer === 'domains' ? place.key : undefined) : '*';
        if (domain) target.draft.start.routes.push({ domain, host: name, port: Number(port ?? '25') });
      }
      return target.draft.note(at, 'taken', `route to ${name}:${port ?? 25} of postern.config.ts.`);
    },
  ],
]);

/** The value of an expansion that only looks up the sender's domain or the host's name; undefined: more than that. */
function simple(value: string, variables: Readonly<Record<string, string>>): string | undefined {
  const text = value
    .replace(/\$\{lc:\s*(\$\{?\w+\}?)\s*\}/g, '$1')
    .replace(/\$\{(\w+)\}|\$(\w+)/g, (all, braced, bare) => variables[(braced ?? bare) as string] ?? all);
  return text.includes('$') ? undefined : text;
}

/** Takes the options of a transport. @param host the value of $primary_hostname. */
export function takeTransport(
  draft: ImportDraft,
  files: SourceFiles,
  transport: EximDriver,
  use: TransportUse,
  host: string,
): void {
  const option = (name: string): EximOption | undefined =>
    transport.options.findLast((one) => one.name === name);
  const target: EximTarget = { draft, ...use };
  for (const { name, value, at } of transport.options) {
    if (/^dkim_(domain|selector|private_key)$/.test(name)) continue;
    if (name === 'helo_data') {
      takeHelo(
        draft,
        at,
        simple(value, { primary_hostname: host, smtp_active_hostname: host }),
        option('interface')?.value,
      );
      continue;
    }
    const handler = HANDLERS.get(name);
    const meaning = meaningOf(name);
    if (handler) handler(value, at, target);
    else if (meaning) draft.note(at, meaning.state, meaning.text);
    else
      draft.note(
        at,
        'unknown',
        'is no option of Exim as far as is known. If it limits sending, set the limit by hand.',
      );
  }
  takeDkim(draft, files, option);
}

function takeHelo(
  draft: ImportDraft,
  at: SourcePlace,
  name: string | undefined,
  address: string | undefined,
) {
  if (name === undefined)
    return draft.note(
      at,
      'impossible',
      'is an expansion. Set ehloNames of postern.config.ts for each address.',
    );
  const ip =
    address !== undefined && isIP(address.trim()) !== 0
      ? ipaddr.process(address.trim()).toString()
      : undefined;
  if (ip === undefined) draft.start.hostname = name;
  else draft.start.ehloNames[ip] = name;
  return draft.note(
    at,
    'taken',
    ip === undefined
      ? 'hostname of postern.config.ts.'
      : `the EHLO name of ${ip} (ehloNames of postern.config.ts).`,
  );
}

/** The three options belong together: for which domain, under which selector, with which key. */
function takeDkim(draft: ImportDraft, files: SourceFiles, option: (name: string) => EximOption | undefined) {
  const [domain, selector, key] = ['dkim_domain', 'dkim_selector', 'dkim_private_key'].map(option);
  const any = domain ?? selector ?? key;
  if (any === undefined) return undefined;
  if (!domain || !selector || !key)
    return draft.note(
      any.at,
      'fault',
      'dkim_domain, dkim_selector and dkim_private_key belong together; no key was taken.',
    );
  const domains = listOf(domain.value);
  const written = domains.filter((one) => /^[a-z0-9-]+(\.[a-z0-9-]+)+$/i.test(one));
  for (const one of written) {
    const name = simple(selector.value, { dkim_domain: one });
    const path = simple(key.value, { dkim_domain: one, dkim_selector: name ?? '' });
    if (name === undefined || path === undefined)
      draft.note(
        key.at,
        'impossible',
        `the key of ${one} follows from an expansion. Create the identity with it (PutEmailIdentityDkimSigningAttributes).`,
      );
    else if (path.startsWith('/') || !/BEGIN/.test(path))
      takeKey(draft, files, key.at, { domain: one, selector: name, path, from: key.at.file });
    else
      draft.note(
        key.at,
        'impossible',
        'a key in the configuration itself is not taken. Save it as a file, and name that.',
      );
  }
  if (written.length < domains.length || written.length === 0)
    return draft.note(
      domain.at,
      'impossible',
      `${domain.value} is an expansion: create an identity for each domain that sends, with its key.`,
    );
  draft.note(domain.at, 'taken', 'an identity each.');
  return draft.note(selector.at, 'taken', 'the selector of its key.');
}
