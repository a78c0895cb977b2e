/** The parameters of main.cf, and of one service of master.cf, that become limits and settings. */
import { isIP } from 'node:net';
import ipaddr from 'ipaddr.js';
import type { Deadline, LimitName, Qualifier } from '../../shaping/limits/limit.ts';
import { DAY, HOUR, MINUTE, SECOND } from '../../time.ts';
import { clamped, rateOf, spanOf } from '../amounts.ts';
import type { ImportDraft, LimitPlace } from '../draft.ts';
import { type FindingState, type SourcePlace, shownValue } from '../finding.ts';
import { nextHopOf, timeOf } from './main-cf.ts';

/** Where the values of a transport go. */
export interface PostfixTarget {
  readonly draft: ImportDraft;
  readonly place: LimitPlace;
  readonly mail?: Partial<Record<Qualifier, string>>;
  /** Value of any parameter, expanded. */
  settingOf(name: string): string | undefined;
}

type PostfixHandler = (value: string, at: SourcePlace, target: PostfixTarget) => void;

function note({ draft }: PostfixTarget, at: SourcePlace, state: FindingState, text: string): void {
  draft.note(at, state, text);
}

function set(
  target: PostfixTarget,
  at: SourcePlace,
  name: LimitName,
  value: unknown,
  changed?: string,
): void {
  target.draft.limit(at, target.place, name, value, target.mail);
  const written = shownValue(value);
  note(
    target,
    at,
    changed === undefined ? 'taken' : 'changed',
    `${name} ${written}.${changed ? ` ${changed}` : ''}`,
  );
}

function wrong(target: PostfixTarget, at: SourcePlace, what: string): void {
  note(target, at, 'fault', `is not ${what}; the limit is not taken. Correct it, or set it by hand.`);
}

const EACH = 'Counted for each source address and site (a set of MX hosts), not for each domain.';

const count =
  (name: LimitName, max: number, changed?: string): PostfixHandler =>
  (value, at, target) => {
    const number = /^\d{1,9}$/.test(value) ? Number(value) : undefined;
    if (number === undefined) wrong(target, at, 'a number');
    else if (number === 0) note(target, at, 'already', `0 is no limit; ${name} keeps its built-in value.`);
    else set(target, at, name, Math.min(number, max), number > max ? `${max} is the most.` : changed);
  };

const deadline =
  (...names: Deadline[]): PostfixHandler =>
  (value, at, target) => {
    const ms = timeOf(value);
    if (ms === undefined) return wrong(target, at, 'a time');
    if (ms === 0) return note(target, at, 'already', '0 is no limit; the built-in deadline holds.');
    const least = names.includes('dataEnd') ? 30 * SECOND : SECOND;
    const { ms: within, moved } = clamped(ms, least, HOUR);
    const deadlines = Object.fromEntries(names.map((name) => [name, spanOf(within)]));
    const because = moved ? `${spanOf(least)} to 1h are possible.` : undefined;
    return set(target, at, 'deadlines', deadlines, because);
  };

/** `1s` between two deliveries to a destination is one delivery a second. */
const delay: PostfixHandler = (value, at, target) => {
  const ms = timeOf(value);
  if (ms === undefined) return wrong(target, at, 'a time');
  if (ms === 0) return note(target, at, 'already', 'No delay, so no rate.');
  return set(target, at, 'messageRate', rateOf(1, ms).text, EACH);
};

/** `security level` of smtp_tls_security_level and of a policy table, as far as there is one. */
export function tlsOf(
  level: string,
): { tls: 'off' | 'opportunistic' | 'required'; changed?: string } | undefined {
  switch (
    level
      .trim()
      .toLowerCase()
      .split(/[\s,;]/)[0]
  ) {
    case '':
    case 'none':
      return { tls: 'off' };
    case 'may':
      return { tls: 'opportunistic' };
    case 'dane':
      return { tls: 'opportunistic', changed: 'DANE is followed wherever it is published.' };
    case 'encrypt':
      return { tls: 'required' };
    case 'dane-only':
      return {
        tls: 'required',
        changed:
          'DANE is followed where it is published; without it TLS is required and the certificate is not proven.',
      };
    case 'verify':
    case 'secure':
    case 'fingerprint':
      return {
        tls: 'required',
        changed: 'TLS is required; the certificate is proven by MTA-STS or DANE alone.',
      };
    default:
      return undefined;
  }
}

const tlsLevel: PostfixHandler = (value, at, target) => {
  const level = tlsOf(value);
  if (level === undefined) wrong(target, at, 'a level of TLS');
  else set(target, at, 'tls', level.tls, level.changed);
};

const tlsFlag =
  (policy: 'opportunistic' | 'required'): PostfixHandler =>
  (value, at, target) => {
    if (/^yes$/i.test(value)) set(target, at, 'tls', policy);
    else note(target, at, 'already', 'not asked for; smtp_tls_security_level decides.');
  };

/** The delays of Postfix: from the least on doubled up to the most, until the message is too old. */
const retry: PostfixHandler = (_value, at, target) => {
  const least = timeOf(target.settingOf('minimal_backoff_time') ?? '300s') ?? 300 * SECOND;
  const most = timeOf(target.settingOf('maximal_backoff_time') ?? '4000s') ?? 4000 * SECOND;
  if (least === 0) return wrong(target, at, 'a time');
  const delays: string[] = [];
  for (let ms = least; delays.length < 20; ms *= 2) {
    delays.push(spanOf(clamped(Math.min(ms, most), SECOND, 7 * DAY).ms));
    if (ms >= most) break;
  }
  return set(target, at, 'retry', { delays }, 'The last delay repeats; each is spread by a tenth.');
};

const lifetime: PostfixHandler = (value, at, target) => {
  const ms = timeOf(value, 'd');
  if (ms === undefined) return wrong(target, at, 'a time');
  const { ms: within, moved } = clamped(ms, MINUTE, 14 * DAY);
  return set(target, at, 'maxAge', spanOf(within), moved ? 'One minute to 14 days are possible.' : undefined);
};

/** @param name of the setting for what has no pool. */
const bind: PostfixHandler = (value, at, target) => {
  if (value === '') return note(target, at, 'already', 'The host chooses the address.');
  if (isIP(value) === 0) return wrong(target, at, 'an IP address');
  const pool = target.mail?.pool ?? 'default';
  target.draft.pool(pool, [ipaddr.process(value).toString()]);
  return note(
    target,
    at,
    'taken',
    `${value} is in pool ${pool}, as a warm address, and in egressIps of postern.config.ts.`,
  );
};

const helo: PostfixHandler = (value, at, target) => {
  const ips = [target.settingOf('smtp_bind_address'), target.settingOf('smtp_bind_address6')].filter(
    (ip) => ip && isIP(ip),
  );
  const { start } = target.draft;
  if (ips.length > 0) for (const ip of ips) start.ehloNames[ipaddr.process(ip!).toString()] = value;
  else start.hostname = value;
  note(
    target,
    at,
    'taken',
    ips.length > 0
      ? `EHLO name of ${ips.join(', ')} (ehloNames of postern.config.ts).`
      : 'hostname of postern.config.ts.',
  );
};

const families =
  (order: (value: string) => string | undefined): PostfixHandler =>
  (value, at, target) => {
    const families = order(value.toLowerCase());
    if (families === undefined) note(target, at, 'already', 'Both families are used, IPv4 first.');
    else set(target, at, 'addressFamilies', families);
  };

const networks: PostfixHandler = (value, at, target) => {
  const taken: string[] = [];
  const left: string[] = [];
  for (const word of value.split(/[\s,]+/).filter(Boolean)) {
    const text = word.replace(/^\[([^\]]+)\]/, '$1');
    const network = text.includes('/') ? text : isIP(text) ? `${text}/${isIP(text) === 4 ? 32 : 128}` : '';
    if (ipaddr.isValidCIDR(network)) taken.push(network);
    else left.push(word);
  }
  target.draft.start.relayFrom.push(...taken.filter((one) => !target.draft.start.relayFrom.includes(one)));
  if (taken.length > 0)
    note(
      target,
      at,
      'taken',
      `${taken.join(', ')} may submit without login (relayFrom of postern.config.ts).`,
    );
  if (left.length > 0)
    note(target, at, 'impossible', `${left.join(', ')} was not taken: list the networks in relayFrom.`);
};

const size: PostfixHandler = (value, at, target) => {
  const bytes = /^\d{1,12}$/.test(value) ? Number(value) : undefined;
  if (bytes === undefined) return wrong(target, at, 'a number');
  if (bytes === 0)
    return note(target, at, 'already', '0 is no limit; maxMessageBytes keeps its default of 40 MB.');
  target.draft.start.maxMessageBytes = bytes;
  return note(target, at, 'taken', 'maxMessageBytes of postern.config.ts.');
};

const relay: PostfixHandler = (value, at, target) => {
  if (value === '') return note(target, at, 'already', 'Mail goes to the hosts of each domain.');
  const hop = nextHopOf(value);
  if (hop === undefined) return wrong(target, at, 'a host');
  target.draft.start.routes.push({ domain: '*', host: hop.host, port: hop.port });
  const by = hop.byMx ? ' Its own address is connected to, not its MX hosts: name the host itself.' : '';
  return note(
    target,
    at,
    hop.byMx ? 'changed' : 'taken',
    `route *=${hop.host}:${hop.port} of postern.config.ts.${by}`,
  );
};

const port: PostfixHandler = (value, at, target) => {
  const number = value === 'smtp' ? 25 : Number(value);
  if (!Number.isInteger(number) || number < 1 || number > 65_535) return wrong(target, at, 'a port');
  target.draft.start.smtpPort = number;
  return note(target, at, 'taken', 'smtpPort of postern.config.ts.');
};

/** A rate of all mail of a transport, whatever its destination. */
const overall: PostfixHandler = (value, at, target) => {
  const ms = timeOf(value);
  if (ms === undefined) return wrong(target, at, 'a time');
  if (ms === 0) return note(target, at, 'already', 'No delay, so no rate.');
  const pool = target.mail?.pool;
  const { text } = rateOf(1, ms);
  target.draft.limits.shared ??= {};
  target.draft.limits.shared[pool ?? 'transport'] = { match: pool ? { pool } : {}, rate: text };
  return note(target, at, 'taken', `shared limit ${pool ?? 'transport'}: ${text} over all addresses.`);
};

const failures = count('deadAfter', 100);

/** Of the delivering client, for each transport. */
export const TRANSPORT: ReadonlyMap<string, PostfixHandler> = new Map<string, PostfixHandler>([
  ['smtp_connect_timeout', deadline('connect')],
  ['smtp_helo_timeout', deadline('greeting', 'ehlo')],
  ['smtp_mail_timeout', deadline('mail')],
  ['smtp_rcpt_timeout', deadline('rcpt')],
  ['smtp_data_init_timeout', deadline('dataInit')],
  ['smtp_data_xfer_timeout', deadline('dataBlock')],
  ['smtp_data_done_timeout', deadline('dataEnd')],
  ['smtp_quit_timeout', deadline('quit')],
  ['smtp_starttls_timeout', deadline('starttls')],
  [
    'smtp_connection_cache_time_limit',
    (value, at, target) => {
      const ms = timeOf(value);
      if (ms === undefined) wrong(target, at, 'a time');
      else set(target, at, 'idle', spanOf(clamped(ms, SECOND, HOUR).ms));
    },
  ],
  ['smtp_connection_reuse_count_limit', count('messagesPerConnection', 1_000_000)],
  ['smtp_tls_security_level', tlsLevel],
  ['smtp_use_tls', tlsFlag('opportunistic')],
  ['smtp_enforce_tls', tlsFlag('required')],
  ['smtp_bind_address', bind],
  ['smtp_bind_address6', bind],
  ['smtp_helo_name', helo],
  [
    'smtp_address_preference',
    families((value) => (value === 'ipv6' ? 'ipv6-first' : value === 'ipv4' ? 'ipv4-first' : undefined)),
  ],
]);

/** Of the queue manager, by the end of the name behind the transport's: `slow_destination_rate_delay`. */
export const QUEUE: ReadonlyMap<string, PostfixHandler> = new Map<string, PostfixHandler>([
  ['destination_concurrency_limit', count('connections', 10_000, EACH)],
  ['destination_rate_delay', delay],
  ['transport_rate_delay', overall],
  [
    'destination_concurrency_failed_cohort_limit',
    (value, at, target) => {
      const number = Number(value);
      if (number > 0 && number < 1) set(target, at, 'deadAfter', 1, 'One cohort is the least.');
      else failures(String(Math.round(number)), at, target);
    },
  ],
]);

/** Of the whole server. */
export const GLOBAL: ReadonlyMap<string, PostfixHandler> = new Map<string, PostfixHandler>([
  ['minimal_backoff_time', retry],
  ['maximal_backoff_time', retry],
  ['maximal_queue_lifetime', lifetime],
  ['default_process_limit', count('ipConnections', 60_000, 'Counted for each source address.')],
  [
    'myhostname',
    (value, at, target) => {
      target.draft.start.hostname ??= value;
      note(target, at, 'taken', 'hostname of postern.config.ts.');
    },
  ],
  [
    'mydomain',
    (_value, at, target) =>
      note(target, at, 'already', 'Domains are identities; this one is used where others name it.'),
  ],
  [
    'inet_protocols',
    families((value) =>
      /^(all|ipv4\s*,\s*ipv6|ipv6\s*,\s*ipv4)$/.test(value)
        ? undefined
        : /ipv6/.test(value)
          ? 'ipv6'
          : 'ipv4',
    ),
  ],
  [
    'inet_interfaces',
    (value, at, target) => {
      const words = value.split(/[\s,]+/);
      const ips = words.filter((word) => isIP(word) !== 0 && !word.startsWith('127.') && word !== '::1');
      if (ips.length === 0)
        return note(target, at, 'already', 'The host chooses the address, unless egressIps names some.');
      // Postfix sends from the one address it listens on (postconf(5), inet_interfaces).
      if (ips.length > 1)
        return note(
          target,
          at,
          'already',
          'With several addresses the host chooses; name those to send from in egressIps.',
        );
      target.draft.pool('default', [ipaddr.process(ips[0]!).toString()]);
      return note(
        target,
        at,
        'changed',
        `${ips[0]} sends (egressIps of postern.config.ts). What Postern listens on is in submission and inbound.`,
      );
    },
  ],
  [
    'default_transport',
    (value, at, target) => {
      if (/^smtp(:|$)/.test(value))
        note(target, at, 'already', 'Mail goes by SMTP to the hosts of each domain.');
      else
        note(
          target,
          at,
          'impossible',
          `${value} for all mail: Postern delivers by SMTP to the hosts of each domain, or by routes of postern.config.ts.`,
        );
    },
  ],
  ['mynetworks', networks],
  ['message_size_limit', size],
  ['relayhost', relay],
  ['smtp_tcp_port', port],
]);
