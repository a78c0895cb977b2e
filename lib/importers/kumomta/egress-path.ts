/** Options of `make_egress_path` in shaping files (docs: reference/kumo/make_egress_path) to limits. */

import type { Deadline, LimitName } from '../../shaping/limits/limit.ts';
import { DAY, HOUR, SECOND } from '../../time.ts';
import { clamped, rateOf, spanOf } from '../amounts.ts';
import type { ImportDraft, LimitPlace } from '../draft.ts';
import { type FindingState, type SourcePlace, shownValue } from '../finding.ts';
import { durationOf, limitOf, throttleOf } from './values.ts';

export interface PathTarget {
  readonly draft: ImportDraft;
  readonly places: readonly LimitPlace[];
  /** Name of the block, for the names of shared limits. */
  readonly name: string;
  /** Addresses of the source that it is for; undefined: all. */
  readonly ips: readonly string[] | undefined;
}

type PathHandler = (value: unknown, at: SourcePlace, target: PathTarget) => void;

function set(
  { draft, places, ips }: PathTarget,
  at: SourcePlace,
  name: LimitName,
  value: unknown,
  changed?: string,
): void {
  for (const place of places) {
    if (ips === undefined) draft.limit(at, place, name, value);
    for (const ip of ips ?? []) draft.limit(at, place, name, value, { ip });
  }
  const written = shownValue(value);
  draft.note(at, changed ? 'changed' : 'taken', `${name} ${written}.${changed ? ` ${changed}` : ''}`);
}

function wrong({ draft }: PathTarget, at: SourcePlace, what: string): void {
  draft.note(at, 'fault', `is not ${what}; the limit is not taken.`);
}

const count =
  (name: LimitName, max: number, changed?: string): PathHandler =>
  (value, at, target) => {
    const number = limitOf(value);
    if (number === undefined || number < 0) wrong(target, at, 'a number');
    else if (number === 0)
      target.draft.note(at, 'impossible', '0 stops mail; order that with postern pause.');
    else set(target, at, name, Math.min(max, number), number > max ? `${max} is the most.` : changed);
  };

const rate =
  (name: 'messageRate' | 'connectionRate'): PathHandler =>
  (value, at, target) => {
    const found = throttleOf(value);
    if (found === undefined) return wrong(target, at, 'a rate');
    const { text, exact } = rateOf(found.count, found.per);
    return set(
      target,
      at,
      name,
      text,
      found.burst ? 'Paced evenly, without a burst.' : exact ? undefined : 'The nearest that can be written.',
    );
  };

const deadline =
  (...names: Deadline[]): PathHandler =>
  (value, at, target) => {
    const ms = durationOf(value);
    if (ms === undefined) return wrong(target, at, 'a time');
    const { ms: within, moved } = clamped(ms, names.includes('dataEnd') ? 30 * SECOND : SECOND, HOUR);
    return set(
      target,
      at,
      'deadlines',
      Object.fromEntries(names.map((name) => [name, spanOf(within)])),
      moved ? 'The nearest that is possible.' : undefined,
    );
  };

const TLS: Readonly<Record<string, readonly [string, string?]>> = {
  opportunistic: [
    'opportunistic',
    'A bad certificate does not stop mail unless MTA-STS or DANE asks for a good one.',
  ],
  opportunisticinsecure: ['opportunistic'],
  required: ['required', 'The certificate is proven by MTA-STS or DANE alone.'],
  requiredinsecure: ['required'],
  disabled: ['off'],
};

const tls: PathHandler = (value, at, target) => {
  const known = TLS[String(value).toLowerCase()];
  if (known === undefined) wrong(target, at, 'a kind of TLS');
  else set(target, at, 'tls', known[0], known[1]);
};

const FAMILIES: Readonly<Record<string, string>> = {
  ipv4only: 'ipv4',
  ipv6only: 'ipv6',
  ipv4thenipv6: 'ipv4-first',
  ipv6thenipv4: 'ipv6-first',
  ipv4andipv6: 'ipv4-first',
};

const families: PathHandler = (value, at, target) => {
  const order = FAMILIES[String(value).toLowerCase()];
  if (order === undefined) wrong(target, at, 'an order of address families');
  else set(target, at, 'addressFamilies', order);
};

const hosts: PathHandler = (value, at, target) => {
  const list = Array.isArray(value)
    ? value.filter((one): one is string => typeof one === 'string')
    : undefined;
  if (list === undefined) return wrong(target, at, 'a list of hosts');
  if (list.length === 0) return target.draft.note(at, 'already', 'empty.');
  return set(
    target,
    at,
    'prohibitedMx',
    list,
    'Private addresses are never connected to, whatever is listed.',
  );
};

/** A limit of everything to a provider or block, for each source or over all of them. */
function shared(target: PathTarget, at: SourcePlace, name: string, limit: object, each: boolean): void {
  const { draft, places, ips } = target;
  draft.limits.shared ??= {};
  for (const place of places) {
    const where = 'key' in place ? { [place.layer.slice(0, -1)]: place.key } : {};
    for (const ip of ips ?? [undefined]) {
      const key = `${name}${'key' in place ? `-${place.key}` : ''}${ip ? `-${ip}` : ''}`;
      draft.limits.shared[key] = {
        match: { ...where, ...(ip && { ip }) },
        ...(each && !ip && { each: ['ip'] }),
        ...limit,
      };
      draft.note(
        at,
        'taken',
        `shared limit ${key}: ${JSON.stringify(limit)}${each ? ' for each address' : ' over all addresses'}.`,
      );
    }
  }
}

/** Quotas are by the hour or the day, others are rates. */
function rateOrQuota(value: unknown): object | undefined {
  const found = throttleOf(value);
  if (found === undefined) return undefined;
  const { text } = rateOf(found.count, found.per);
  return found.per === DAY || found.per === HOUR
    ? { quota: `${found.count}/${found.per === DAY ? 'd' : 'h'}` }
    : { rate: text };
}

const named =
  (read: (value: unknown) => object | undefined): PathHandler =>
  (value, at, target) => {
    for (const [name, one] of Object.entries((value ?? {}) as object)) {
      const spec =
        typeof one === 'object' && one !== null && 'limit' in one ? (one as { limit: unknown }).limit : one;
      const limit = read(spec);
      if (limit === undefined) wrong(target, at, 'a limit');
      else shared({ ...target, ips: undefined }, at, name.replace(/[^\w.-]+/g, '-'), limit, false);
    }
  };

const shareRate = (value: unknown): object | undefined => {
  const found = throttleOf(value);
  return found && { rate: rateOf(found.count, found.per).text };
};
const shareCount = (value: unknown): object | undefined => {
  const number = limitOf(value);
  return number === undefined || number < 1 ? undefined : { concurrency: number };
};

const forEach =
  (name: string, read: (value: unknown) => object | undefined): PathHandler =>
  (value, at, target) => {
    const limit = read(value);
    if (limit === undefined) wrong(target, at, 'a limit');
    else shared(target, at, `${name}-${target.name}`.replace(/[^\w.-]+/g, '-'), limit, true);
  };

export const PATH: ReadonlyMap<string, PathHandler> = new Map<string, PathHandler>([
  ['connection_limit', count('connections', 10_000)],
  [
    'provider_connection_limit',
    (value, at, target) => {
      const isProvider = target.places.every(({ layer }) => layer === 'providers' || layer === 'default');
      (isProvider
        ? count('providerConnections', 10_000)
        : count('connections', 10_000, 'Counted for its site.'))(value, at, target);
    },
  ],
  ['max_connection_rate', rate('connectionRate')],
  ['max_message_rate', rate('messageRate')],
  ['provider_max_message_rate', forEach('provider-rate', shareRate)],
  ['source_selection_rate', forEach('selection', rateOrQuota)],
  ['provider_source_selection_rate', forEach('provider-selection', rateOrQuota)],
  ['additional_source_selection_rates', named(rateOrQuota)],
  ['additional_message_rate_throttles', named(shareRate)],
  ['additional_connection_limits', named(shareCount)],
  ['max_deliveries_per_connection', count('messagesPerConnection', 1_000_000)],
  [
    'consecutive_connection_failures_before_delay',
    (value, at, target) => count('deadAfter', 100, 'Counted in cohorts of connections.')(value, at, target),
  ],
  ['connect_timeout', deadline('connect')],
  ['banner_timeout', deadline('greeting')],
  ['ehlo_timeout', deadline('ehlo')],
  ['starttls_timeout', deadline('starttls')],
  ['mail_from_timeout', deadline('mail')],
  ['rcpt_to_timeout', deadline('rcpt')],
  ['data_timeout', deadline('dataInit', 'dataBlock')],
  ['data_dot_timeout', deadline('dataEnd')],
  [
    'idle_timeout',
    (value, at, target) => {
      const ms = durationOf(value);
      if (ms === undefined) wrong(target, at, 'a time');
      else set(target, at, 'idle', spanOf(clamped(ms, SECOND, HOUR).ms));
    },
  ],
  ['enable_tls', tls],
  ['ip_lookup_strategy', families],
  ['prohibited_hosts', hosts],
  ['skip_hosts', hosts],
]);

const ROWS: readonly (readonly [FindingState, string, string])[] = [
  [
    'already',
    'A delivery has one recipient here; several in one transaction are not sent.',
    'max_recipients_per_batch',
  ],
  [
    'already',
    'What may be in memory for one site follows from how fast it drains (lib/shaping/overflow.ts).',
    'max_ready low_memory_reduction_policy no_memory_reduction_policy readyq_pool_name aggressive_connection_opening dispatcher_wakeup_strategy maintainer_wakeup_strategy dispatcher_progress_watchdog_timeout system_shutdown_timeout',
  ],
  [
    'already',
    'Documents are in force everywhere about a second after they are stored.',
    'refresh_interval refresh_strategy ttl',
  ],
  [
    'already',
    'A host without TLS is remembered for three days, and one with broken TLS is spoken to in clear unless it is required.',
    'remember_broken_tls opportunistic_tls_reconnect_on_failed_handshake',
  ],
  ['already', 'MTA-STS and DANE are always followed.', 'enable_mta_sts enable_dane'],
  [
    'already',
    "TLS is OpenSSL's of Node.js.",
    'tls_prefer_openssl openssl_cipher_list openssl_cipher_suites openssl_options rustls_cipher_suites',
  ],
  [
    'already',
    'PIPELINING, RSET and CHUNKING are used where they are offered.',
    'enable_pipelining enable_rset rset_timeout reconnect_strategy try_next_host_on_transport_error ignore_8bit_checks',
  ],
  ['already', 'Domains with the same MX hosts share their limits.', 'mx_rollup match provider_name'],
  ['already', 'No login is made towards receivers.', 'auth_timeout'],
  [
    'impossible',
    "Limits of the file are merged over Postern's built-in ones; they are not replaced. Set what differs.",
    'replace_base',
  ],
  ['impossible', 'The port is one for all (smtpPort of postern.config.ts), or part of a route.', 'smtp_port'],
  ['impossible', 'EHLO names go by address: ehloNames of postern.config.ts.', 'ehlo_domain'],
  [
    'impossible',
    "A certificate of one's own towards receivers is not sent.",
    'tls_certificate tls_private_key',
  ],
  [
    'impossible',
    "Postern does not log in to a relay. Let the relay take mail from Postern's addresses.",
    'smtp_auth_plain_username smtp_auth_plain_password allow_smtp_auth_plain_without_tls allow_smtp_auth_plain_without_valid_certificate',
  ],
  ['impossible', 'Delivery is by SMTP alone.', 'use_lmtp'],
];

export const PATH_MEANINGS: ReadonlyMap<string, { state: FindingState; text: string }> = new Map(
  ROWS.flatMap(([state, text, names]) => names.split(' ').map((name) => [name, { state, text }] as const)),
);
