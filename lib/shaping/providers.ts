/**
 * Which mailbox provider stands behind a set of MX hosts, and in which lane a domain's mail waits. Data, so that it
 * is read at a glance and extended by a line.
 */

import { readChoice } from '../document.ts';

/** A name from the table below, or `other`. */
export type Provider = string;

/** Provider groups with lanes of their own: large enough that their mail must not hold up the rest. */
export const LANE_GROUPS = ['google', 'microsoft', 'yahoo', 'apple', 'other'] as const;
export type LaneGroup = (typeof LANE_GROUPS)[number];

/**
 * MX suffix to provider. A suffix matches whole labels (`google.com` matches `aspmx.l.google.com` and not
 * `notgoogle.com`), and the longest match wins: consumer Outlook (`olc.protection.outlook.com`) is shaped apart from
 * Microsoft 365 in any order of the rows.
 */
const PROVIDER_BY_SUFFIX: ReadonlyMap<string, Provider> = new Map([
  ['google.com', 'google'],
  ['googlemail.com', 'google'],
  ['smtp.goog', 'google'],
  ['yahoodns.net', 'yahoo'],
  ['olc.protection.outlook.com', 'outlook'],
  ['protection.outlook.com', 'office365'],
  ['mx.microsoft', 'office365'],
  ['icloud.com', 'apple'],
  ['me.com', 'apple'],
  ['mimecast.com', 'mimecast'],
  ['mimecast.co.za', 'mimecast'],
  ['mimecast-offshore.com', 'mimecast'],
  ['barracudanetworks.com', 'barracuda'],
  ['gmx.net', 'gmx'],
  ['web.de', 'gmx'],
  ['orange.fr', 'orange'],
  ['wanadoo.fr', 'orange'],
  ['laposte.net', 'laposte'],
  ['comcast.net', 'comcast'],
  ['cox.net', 'cox'],
  ['charter.net', 'spectrum'],
  ['secureserver.net', 'godaddy'],
  ['qq.com', 'qq'],
  ['netease.com', 'netease'],
  ['mfsmax.docomo.ne.jp', 'docomo'],
  ['ezweb.ne.jp', 'kddi'],
  ['msmx.au.com', 'kddi'],
  ['kpnmail.nl', 'kpn'],
  ['netvigator.com', 'netvigator'],
  ['yahoo.co.jp', 'yahoo-japan'],
  ['mail.com', 'gmx'],
  ['t-online.de', 't-online'],
  ['free.fr', 'free'],
  ['sfr.fr', 'sfr'],
  ['mail.ru', 'mail-ru'],
  ['yandex.ru', 'yandex'],
  ['yandex.net', 'yandex'],
  ['pphosted.com', 'proofpoint'],
  ['ppe-hosted.com', 'proofpoint'],
  ['iphmx.com', 'ironport'],
  ['messagelabs.com', 'messagelabs'],
  ['trendmicro.com', 'trendmicro'],
  ['trendmicro.eu', 'trendmicro'],
  ['cloudfilter.net', 'cloudmark'],
  ['cxr.mx.a.cloudfilter.net', 'cox'],
  ['prodigy.net', 'att'],
  ['emailsrvr.com', 'rackspace'],
  ['zoho.com', 'zoho'],
  ['zoho.eu', 'zoho'],
  ['zoho.in', 'zoho'],
  ['messagingengine.com', 'fastmail'],
  ['protonmail.ch', 'proton'],
  ['ziggo.nl', 'ziggo'],
  ['mail.iss.as9143.net', 'ziggo'],
  ['telenet-ops.be', 'telenet'],
  ['telenet.be', 'telenet'],
  ['libero.it', 'libero'],
  ['virgilio.it', 'libero'],
  ['tiscali.it', 'tiscali'],
  ['interia.pl', 'interia'],
  ['wp.pl', 'wp'],
  ['tlen.pl', 'wp'],
  ['onet.pl', 'onet'],
  ['seznam.cz', 'seznam'],
  ['softbank.ne.jp', 'softbank'],
  ['softbank.jp', 'softbank'],
  ['naver.com', 'naver'],
  ['hanmail.net', 'daum'],
  ['daum.net', 'daum'],
  ['bigpond.com', 'telstra'],
]);

/** Every provider that MX hosts can have, `other` included. */
export const PROVIDERS: ReadonlySet<Provider> = new Set([...PROVIDER_BY_SUFFIX.values(), 'other']);

/**
 * Parses a provider in an operator's document, `gmail` for `google` too; refuses one without MX hosts. @throws
 * PosternError
 */
export function readProvider(value: unknown, path: string): Provider {
  return readChoice(value === 'gmail' ? 'google' : value, path, [...PROVIDERS].sort());
}

/** Mailbox domains that the large providers run under their own names. */
const DOMAINS: Readonly<Record<Exclude<LaneGroup, 'other'>, string>> = {
  google: 'gmail.com googlemail.com google.com',
  microsoft:
    'outlook.com outlook.de outlook.fr outlook.es outlook.it outlook.jp outlook.com.br outlook.com.au ' +
    'hotmail.com hotmail.co.uk hotmail.de hotmail.fr hotmail.it hotmail.es hotmail.nl hotmail.be hotmail.ca ' +
    'hotmail.co.jp hotmail.com.br hotmail.com.ar live.com live.co.uk live.de live.fr live.it live.nl live.be ' +
    'live.ca live.com.au live.com.mx live.jp live.se live.no live.dk msn.com passport.com windowslive.com',
  yahoo:
    'yahoo.com yahoo.co.uk yahoo.de yahoo.fr yahoo.it yahoo.es yahoo.ca yahoo.ie yahoo.in yahoo.co.in ' +
    'yahoo.com.br yahoo.com.ar yahoo.com.mx yahoo.com.au yahoo.com.sg yahoo.com.ph yahoo.com.hk yahoo.com.tw ' +
    'yahoo.co.id yahoo.co.nz yahoo.gr yahoo.se yahoo.no yahoo.dk yahoo.pl yahoo.ro ymail.com rocketmail.com ' +
    'myyahoo.com aol.com aol.co.uk aol.de aol.fr aim.com verizon.net att.net sbcglobal.net bellsouth.net ' +
    'frontier.com',
  apple: 'icloud.com me.com mac.com',
};

const GROUP_BY_DOMAIN = new Map<string, LaneGroup>(
  Object.entries(DOMAINS).flatMap(([group, names]) =>
    names.split(' ').map((name) => [name, group as LaneGroup] as const),
  ),
);

/**
 * A name made of an IPv4 address, as `ip-192-0-2-1.ip.secureserver.net`: access and hosting providers give one to
 * each customer's machine, whose replies are not the provider's.
 */
const CUSTOMER_HOST = /(?<!\d)\d{1,3}([-.x_])\d{1,3}\1\d{1,3}\1\d{1,3}(?!\d)/;

function providerOfHost(host: string): Provider {
  let name = host.toLowerCase();
  if (name.endsWith('.')) name = name.slice(0, -1);
  if (CUSTOMER_HOST.test(name)) return 'other';
  for (;;) {
    const provider = PROVIDER_BY_SUFFIX.get(name);
    if (provider !== undefined) return provider;
    const dot = name.indexOf('.');
    if (dot < 0) return 'other';
    name = name.slice(dot + 1);
  }
}

/**
 * The provider of a set of MX hosts: that of each of them, or `other` when they differ (a domain that lists
 * Google beside a host of its own is not shaped as Google).
 */
export function providerOf(hosts: readonly string[]): Provider {
  if (hosts.length === 0) return 'other';
  const provider = providerOfHost(hosts[0]!);
  for (let i = 1; i < hosts.length; i += 1) if (providerOfHost(hosts[i]!) !== provider) return 'other';
  return provider;
}

/** The lane group of a provider. */
export function providerGroup(provider: Provider): LaneGroup {
  if (provider === 'outlook' || provider === 'office365') return 'microsoft';
  return LANE_GROUPS.find((group) => group === provider) ?? 'other';
}

/**
 * The lane group of a recipient domain (lower case A-label), without DNS: the well-known mailbox domains by name,
 * every other domain `other`. It only decides where mail waits; the MX hosts decide how it is shaped.
 */
export function laneGroup(domain: string): LaneGroup {
  return GROUP_BY_DOMAIN.get(domain) ?? 'other';
}
