/**
 * When the bounces and complaints of a sender are too many. Pure.
 *
 * As SES does, rates are taken over a representative volume and not over a day (SES developer guide, "Reputation metrics
 * messages"): as many of the latest messages as a day on which the sender sends has on average, within 30 days, and never
 * fewer than `volume`. So a small sender is not judged by an evening, nor a large one by a month. The usual thresholds
 * are those of SES: 5 % hard bounces or 0.1 % complaints put an account under review, 10 % or 0.5 % stop it.
 */
import { optional, readBoolean, readMap, readNumber, readObject, refuse } from '../document.ts';
import { DAY } from '../time.ts';

/** Rates, 0 to 1. */
export interface RateThresholds {
  /** From here on it is told. */
  warn: number;
  /** From here on the tenant is paused. */
  pause: number;
}

export interface ProtectionRules {
  /** Messages below which a rate means nothing. */
  volume: number;
  bounce: RateThresholds;
  complaint: RateThresholds;
  /** Whether a tenant is paused, or its rates are only told. */
  pauses: boolean;
}

export interface Protection extends ProtectionRules {
  /** Rules of tenants that have their own. */
  tenants: ReadonlyMap<string, ProtectionRules>;
}

export const DEFAULT_PROTECTION: Protection = {
  volume: 1_000,
  bounce: { warn: 0.05, pause: 0.1 },
  complaint: { warn: 0.001, pause: 0.005 },
  pauses: true,
  tenants: new Map(),
};

/** Time within which the representative volume lies, ms. */
export const REPUTATION_WINDOW = 30 * DAY;

/** What an hour of a sender counted. */
export interface RatedHour {
  /** Start of the hour, ms. */
  at: number;
  sent: number;
  /** Hard bounces. */
  bounces: number;
  complaints: number;
}

/** The rates over the representative volume. */
export interface Reputation {
  /** Start of the hour from which on the volume is counted, ms. */
  since: number;
  sent: number;
  bounces: number;
  complaints: number;
  bounceRate: number;
  complaintRate: number;
  /** False: too little was sent for the rates to mean anything. */
  representative: boolean;
}

/**
 * @param hours of the window with any figure, in the order of time. @param volume messages below which a rate means
 * nothing.
 */
export function reputationOf(hours: readonly RatedHour[], volume: number): Reputation {
  const days = new Set(hours.filter(({ sent }) => sent > 0).map(({ at }) => Math.floor(at / DAY)));
  const all = hours.reduce((sum, { sent }) => sum + sent, 0);
  const wanted = Math.max(volume, days.size > 0 ? all / days.size : 0);
  let [sent, bounces, complaints] = [0, 0, 0];
  let since = hours.at(-1)?.at ?? 0;
  for (const hour of hours.toReversed()) {
    if (sent >= wanted) break;
    since = hour.at;
    sent += hour.sent;
    bounces += hour.bounces;
    complaints += hour.complaints;
  }
  const rate = (part: number): number => (sent === 0 ? 0 : part / sent);
  return {
    since,
    sent,
    bounces,
    complaints,
    bounceRate: rate(bounces),
    complaintRate: rate(complaints),
    representative: sent >= volume,
  };
}

/** What follows from the rates, and the figures that show it, for a person. */
export interface ReputationVerdict {
  kind: 'good' | 'warn' | 'pause';
  text: string;
}

export function judge(reputation: Reputation, rules: ProtectionRules): ReputationVerdict {
  const { bounceRate, complaintRate, bounces, complaints, sent, since, representative } = reputation;
  if (!representative) return { kind: 'good', text: `${sent} messages are too few for a rate.` };
  const over = (['pause', 'warn'] as const).flatMap((kind) => [
    ...(bounceRate >= rules.bounce[kind]
      ? [{ kind, what: 'bounced hard', part: bounces, rate: bounceRate, limit: rules.bounce[kind] }]
      : []),
    ...(complaintRate >= rules.complaint[kind]
      ? [
          {
            kind,
            what: 'were reported as spam',
            part: complaints,
            rate: complaintRate,
            limit: rules.complaint[kind],
          },
        ]
      : []),
  ]);
  const [first] = over;
  if (!first) return { kind: 'good', text: `Rates are below their thresholds over ${sent} messages.` };
  const { kind, what, part, rate, limit } = first;
  const from = new Date(since).toISOString().slice(0, 16);
  const text = `${part} of ${sent} messages since ${from}Z ${what}: ${percent(rate)}, and ${percent(limit)} is the threshold.`;
  return { kind: kind === 'pause' && !rules.pauses ? 'warn' : kind, text };
}

function percent(rate: number): string {
  return `${Number((rate * 100).toPrecision(3))} %`;
}

/** The rules of a tenant. */
export function rulesOf(protection: Protection, tenant: string): ProtectionRules {
  return protection.tenants.get(tenant) ?? protection;
}

const MEMBERS = ['volume', 'bounce', 'complaint', 'pause'] as const;

/**
 * Reads the document, whose every member is optional:
 * `{volume: 1000, bounce: {warn: 0.05, pause: 0.1}, complaint: {…}, pause: true, tenants: {name: {…}}}`.
 * A tenant's members stand for those above them. @throws PosternError `bad_request`
 */
export function readProtection(value: unknown, path: string): Protection {
  const rules = readRules(value, path, [...MEMBERS, 'tenants'], DEFAULT_PROTECTION);
  const { tenants } = readObject(value, path, [...MEMBERS, 'tenants']);
  const own = optional(tenants, `${path}.tenants`, new Map(), (given, at) =>
    readMap(given, at, (one, place) => readRules(one, place, MEMBERS, rules)),
  );
  return { ...rules, tenants: own };
}

function readRules(
  value: unknown,
  path: string,
  members: readonly string[],
  above: ProtectionRules,
): ProtectionRules {
  const given = readObject(value, path, members);
  return {
    volume: optional(given.volume, `${path}.volume`, above.volume, (one, at) =>
      readNumber(one, at, { min: 100, max: 1_000_000, integer: true }),
    ),
    bounce: optional(given.bounce, `${path}.bounce`, above.bounce, readThresholds),
    complaint: optional(given.complaint, `${path}.complaint`, above.complaint, readThresholds),
    pauses: optional(given.pause, `${path}.pause`, above.pauses, readBoolean),
  };
}

function readThresholds(value: unknown, path: string): RateThresholds {
  const given = readObject(value, path, ['warn', 'pause']);
  const range = { min: 0.000_1, max: 1 };
  const warn = readNumber(given.warn, `${path}.warn`, range);
  const pause = readNumber(given.pause, `${path}.pause`, range);
  if (warn > pause)
    refuse(`${path}.warn`, `is above ${path}.pause, so that nobody is told before the pause.`);
  return { warn, pause };
}
