/** PowerMTA's directives for recipient domains that become limits. */
import { isIP } from 'node:net';
import ipaddr from 'ipaddr.js';
import type { Deadline, LimitName } from '../../shaping/limits/limit.ts';
import { DAY, HOUR, MINUTE, SECOND } from '../../time.ts';
import { clamped, rateOf, spanOf } from '../amounts.ts';
import type { ImportDraft, LimitPlace } from '../draft.ts';
import type { SourcePlace } from '../finding.ts';
import { intervalOf, pmtaRateOf } from './config.ts';

/** A queue of PowerMTA: a destination, and the addresses of the virtual MTA, if the directive is of one. */
export interface PmtaQueue {
  readonly draft: ImportDraft;
  readonly places: readonly LimitPlace[];
  /** Undefined: every virtual MTA. */
  readonly ips: readonly string[] | undefined;
  /** The most addresses that a virtual MTA has: its limit is divided by them. */
  readonly share: number;
}

type PmtaHandler = (value: string, at: SourcePlace, queue: PmtaQueue) => void;

function set({ draft, places, ips }: PmtaQueue, at: SourcePlace, name: LimitName, value: unknown): void {
  for (const place of places) {
    if (ips === undefined) draft.limit(at, place, name, value);
    for (const ip of ips ?? []) draft.limit(at, place, name, value, { ip });
  }
}

/** Sets a limit that PowerMTA counts for the virtual MTA and Postern for each address. */
function divided(
  queue: PmtaQueue,
  at: SourcePlace,
  name: LimitName,
  number: number,
  write: (part: number) => { value: unknown; exact: boolean },
): void {
  const share = queue.ips?.length || queue.share;
  const { value, exact } = write(share > 1 ? number / share : number);
  set(queue, at, name, value);
  const where = queue.ips === undefined ? 'each address' : queue.ips.join(', ');
  if (share > 1)
    queue.draft.note(
      at,
      'changed',
      `${name} ${String(value)} for ${where}: the limit of the virtual MTA, divided by its ${share} addresses.`,
    );
  else if (!exact)
    queue.draft.note(
      at,
      'changed',
      `${name} ${String(value)} for ${where}, the nearest that can be written.`,
    );
  else queue.draft.note(at, 'taken', `${name} ${String(value)} for ${where}.`);
}

const rate =
  (name: 'messageRate' | 'connectionRate'): PmtaHandler =>
  (value, at, queue) => {
    const found = pmtaRateOf(value);
    if (found === 'unlimited') {
      set(queue, at, name, 'unlimited');
      return queue.draft.note(at, 'taken', `${name} unlimited.`);
    }
    if (found === undefined && /^0(\/|$)/.test(value)) {
      return queue.draft.note(
        at,
        'impossible',
        'a rate of 0 does not stop mail here. Order it: postern pause, with the domain and the reason.',
      );
    }
    if (found === undefined)
      return queue.draft.note(at, 'fault', `${value} is no rate; the limit is not taken.`);
    return divided(queue, at, name, found.count, (part) => {
      const { text, exact } = rateOf(part, found.per);
      return { value: text, exact };
    });
  };

const connections: PmtaHandler = (value, at, queue) => {
  const number = /^\d{1,6}$/.test(value) ? Number(value) : undefined;
  if (/^unlimited$/i.test(value)) {
    return queue.draft.note(
      at,
      'changed',
      'connections keep their built-in number; Postern has no unlimited one.',
    );
  }
  if (number === undefined || number === 0) {
    return queue.draft.note(
      at,
      number === 0 ? 'impossible' : 'fault',
      number === 0
        ? 'no connection at all: order it with postern pause, with the domain and the reason.'
        : `${value} is no number; the limit is not taken.`,
    );
  }
  divided(queue, at, 'connections', number, (part) => ({
    value: Math.min(10_000, Math.max(1, Math.floor(part))),
    exact: Number.isInteger(part),
  }));
  // A provider's queue holds its connections to all its hosts together.
  for (const place of queue.places) {
    if (place.layer !== 'providers' || queue.ips !== undefined) continue;
    queue.draft.limit(at, place, 'providerConnections', Math.max(1, Math.floor(number / queue.share)));
  }
  return undefined;
};

const count =
  (name: LimitName, max: number): PmtaHandler =>
  (value, at, queue) => {
    const number = /^\d{1,9}$/.test(value) ? Number(value) : /^unlimited$/i.test(value) ? 0 : undefined;
    if (number === undefined)
      return queue.draft.note(at, 'fault', `${value} is no number; the limit is not taken.`);
    const limit = number === 0 ? max : Math.min(max, number);
    set(queue, at, name, limit);
    return queue.draft.note(at, number === 0 ? 'changed' : 'taken', `${name} ${limit}.`);
  };

const deadline =
  (...names: Deadline[]): PmtaHandler =>
  (value, at, queue) => {
    const ms = intervalOf(value);
    if (ms === undefined)
      return queue.draft.note(at, 'fault', `${value} is no time; the limit is not taken.`);
    const { ms: within, moved } = clamped(ms, names.includes('dataEnd') ? 30 * SECOND : SECOND, HOUR);
    set(queue, at, 'deadlines', Object.fromEntries(names.map((name) => [name, spanOf(within)])));
    return queue.draft.note(
      at,
      moved ? 'changed' : 'taken',
      `deadline ${names.join(', ')} ${spanOf(within)}.`,
    );
  };

const idle: PmtaHandler = (value, at, queue) => {
  const ms = intervalOf(value);
  if (ms === undefined) return queue.draft.note(at, 'fault', `${value} is no time; the limit is not taken.`);
  const { ms: within, moved } = clamped(ms, SECOND, HOUR);
  set(queue, at, 'idle', spanOf(within));
  return queue.draft.note(at, moved ? 'changed' : 'taken', `idle ${spanOf(within)}.`);
};

const retry: PmtaHandler = (value, at, queue) => {
  const times = value
    .split(/[\s,]+/)
    .filter(Boolean)
    .map(intervalOf);
  if (times.length === 0 || times.includes(undefined))
    return queue.draft.note(at, 'fault', `${value} is no list of times; the limit is not taken.`);
  const delays = times.slice(0, 50).map((ms) => spanOf(clamped(ms!, SECOND, 7 * DAY).ms));
  everywhere(queue, at, 'retry', { delays });
  return queue.draft.note(
    at,
    'changed',
    `retry ${delays.join(', ')}, each spread by a tenth; the last one repeats.`,
  );
};

const lifetime: PmtaHandler = (value, at, queue) => {
  const ms = intervalOf(value);
  if (ms === undefined) return queue.draft.note(at, 'fault', `${value} is no time; the limit is not taken.`);
  const { ms: within, moved } = clamped(ms, MINUTE, 14 * DAY);
  everywhere(queue, at, 'maxAge', spanOf(within));
  return queue.draft.note(
    at,
    moved ? 'changed' : 'taken',
    `maxAge ${spanOf(within)}.${moved ? ' One minute to 14 days are possible.' : ''}`,
  );
};

/** A message has one schedule, whatever address tries it. */
function everywhere(
  { draft, places, ips }: PmtaQueue,
  at: SourcePlace,
  name: LimitName,
  value: unknown,
): void {
  for (const place of places) draft.limit(at, place, name, value);
  if (ips !== undefined)
    draft.note(
      at,
      'changed',
      `${name} holds for every virtual MTA: a message keeps its schedule whatever address tries it.`,
    );
}

const starttls: PmtaHandler = (value, at, queue) => {
  if (isYes(value)) return queue.draft.note(at, 'already', 'TLS is opportunistic unless it is required.');
  set(queue, at, 'tls', 'off');
  return queue.draft.note(at, 'taken', 'tls off.');
};

const requireTls: PmtaHandler = (value, at, queue) => {
  if (!isYes(value)) return queue.draft.note(at, 'already', 'TLS is opportunistic unless it is required.');
  set(queue, at, 'tls', 'required');
  return queue.draft.note(at, 'taken', 'tls required.');
};

export function isYes(value: string): boolean {
  return /^(yes|true|1|on)$/i.test(value);
}

/** `source-ip-max-smtp-out 192.0.2.0/24 5`: for each address of a network. */
const bySource =
  (handler: PmtaHandler): PmtaHandler =>
  (value, at, queue) => {
    const [network = '', ...rest] = value.split(/\s+/);
    const known = queue.ips ?? queue.draft.start.egressIps;
    const ips = network === '0/0' ? known : known.filter((ip) => contains(network, ip));
    if (ips.length === 0)
      return queue.draft.note(
        at,
        'changed',
        `no address of the configuration is in ${network}; the limit has nothing to hold for.`,
      );
    // One address at a time: this limit is counted for each of them there as here.
    for (const ip of ips) handler(rest.join(' '), at, { ...queue, ips: [ip] });
    return undefined;
  };

function contains(network: string, ip: string): boolean {
  if (isIP(network) !== 0) return ipaddr.process(network).toString() === ip;
  if (!ipaddr.isValidCIDR(network)) return false;
  const [base, bits] = ipaddr.parseCIDR(network);
  const address = ipaddr.process(ip);
  return address.kind() === base.kind() && address.match(base, bits);
}

/** By the name of the directive. */
export const LIMITS: ReadonlyMap<string, PmtaHandler> = new Map<string, PmtaHandler>([
  ['max-msg-rate', rate('messageRate')],
  [
    'max-msg-per-hour',
    (value, at, queue) => rate('messageRate')(/^\d+$/.test(value) ? `${value}/h` : value, at, queue),
  ],
  ['max-connect-rate', rate('connectionRate')],
  ['max-smtp-out', connections],
  [
    'max-smtp-out-per-source-ip',
    (value, at, queue) => {
      if (queue.ips === undefined) connections(value, at, { ...queue, share: 1 });
      else for (const ip of queue.ips) connections(value, at, { ...queue, ips: [ip] });
    },
  ],
  ['max-msg-per-connection', count('messagesPerConnection', 1_000_000)],
  ['connect-timeout', deadline('connect')],
  ['smtp-greeting-timeout', deadline('greeting')],
  ['data-send-timeout', deadline('dataBlock')],
  ['smtp-data-termination-timeout', deadline('dataEnd')],
  ['connection-idle-timeout', idle],
  ['retry-after', retry],
  ['bounce-after', lifetime],
  ['use-starttls', starttls],
  ['require-starttls', requireTls],
  ['source-ip-max-msg-rate', bySource(rate('messageRate'))],
  ['source-ip-max-connect-rate', bySource(rate('connectionRate'))],
  ['source-ip-max-smtp-out', bySource(connections)],
]);
