/**
 * Recommendations about sending domains: what the checks of a domain find, and what became of its mail, one for each
 * domain and type. They are kept, so that what was mended is seen as mended:
 *
 * ```
 *  found ─► OPEN ─► found again: the same, with the words of now ─► not found ─► FIXED ─► found again: OPEN, anew
 *                     └─ DNS gave no answer: nothing changes
 * ```
 */
import type { Rows } from '../engine/ports.ts';
import { ROW_CALL } from '../engine/rows.ts';
import type { MailCounts } from '../statistics/counters.ts';
import { type Clock, DAY } from '../time.ts';
import type { FindingId } from './catalogue.ts';
import type { HealthFinding } from './finding.ts';

export type RecommendationType = 'SPF' | 'DKIM' | 'DMARC' | 'BIMI' | 'BOUNCE' | 'COMPLAINT';

export interface Recommendation {
  domain: string;
  type: RecommendationType;
  impact: 'HIGH' | 'LOW';
  status: 'OPEN' | 'FIXED';
  /** What is wrong and what mends it. */
  text: string;
  createdAt: number;
  updatedAt: number;
}

type Advice = Pick<Recommendation, 'type' | 'impact' | 'text'>;

/** Of findings by the start of their ids. The return path is where SPF is looked for. */
const TYPES: Readonly<Record<string, RecommendationType>> = {
  spf: 'SPF',
  'return-path': 'SPF',
  dkim: 'DKIM',
  dmarc: 'DMARC',
  bimi: 'BIMI',
};
const DNS_TYPES: readonly RecommendationType[] = ['SPF', 'DKIM', 'DMARC', 'BIMI'];
const MAIL_TYPES: readonly RecommendationType[] = ['BOUNCE', 'COMPLAINT'];
/** Notices that are worth a recommendation; the others say that something works and could be better. */
const NOTICES: ReadonlySet<FindingId> = new Set(['dmarc.none', 'bimi.missing']);

/** Mail over which rates are judged, and from how many messages on. */
export const JUDGED = 7 * DAY;
const MINIMUM = 1_000;
/** Rates from which mail suffers, and from which providers refuse it (Gmail, Yahoo: 0.3 % complaints). */
const RATES = { BOUNCE: { low: 0.05, high: 0.1 }, COMPLAINT: { low: 0.001, high: 0.003 } } as const;

const KIND = 'recommendation';
/** How long one is kept that nobody looks at, ms. */
const KEPT = 90 * DAY;

/** What the findings of a domain recommend: of each type the worst, which stand first. */
export function fromFindings(findings: readonly HealthFinding[]): Advice[] {
  const found = new Map<RecommendationType, Advice>();
  for (const { id, severity, text, remedy, record } of findings) {
    const type = TYPES[id.slice(0, id.lastIndexOf('.'))];
    if (type === undefined || found.has(type) || (severity === 'notice' && !NOTICES.has(id))) continue;
    const exact = record ? ` ${record.name} ${record.type} ${record.value}` : '';
    found.set(type, {
      type,
      impact: severity === 'error' ? 'HIGH' : 'LOW',
      text: `${text} ${remedy}${exact}`,
    });
  }
  return [...found.values()];
}

/** What the mail of a domain recommends. */
export function fromMail({ sent = 0, permanentBounces = 0, complaints = 0 }: MailCounts): Advice[] {
  if (sent < MINIMUM) return [];
  const counts = { BOUNCE: permanentBounces, COMPLAINT: complaints } as const;
  return (['BOUNCE', 'COMPLAINT'] as const).flatMap((type): Advice[] => {
    const rate = counts[type] / sent;
    const { low, high } = RATES[type];
    if (rate < low) return [];
    const percent = `${(rate * 100).toFixed(2)} %`;
    const text =
      type === 'BOUNCE'
        ? `${percent} of ${sent} messages of the last week bounced for good. Send to addresses that asked for it, and take out those that bounce.`
        : `${percent} of ${sent} messages of the last week were reported as spam. Send to those who asked for it, and let them leave with one click.`;
    return [{ type, impact: rate >= high ? 'HIGH' : 'LOW', text }];
  });
}

export class Recommendations {
  readonly #rows: Rows;
  readonly #clock: Clock;

  constructor(rows: Rows, clock: Clock) {
    this.#rows = rows;
    this.#clock = clock;
  }

  /**
   * Notes what was found about a domain, and gives all that is known of it, by type. Writes only what changed.
   * @param dns what its DNS recommends; undefined: DNS gave no answer. @param mail what its mail recommends.
   */
  async note(
    tenant: string,
    domain: string,
    { dns, mail }: { dns: readonly Advice[] | undefined; mail: readonly Advice[] },
  ): Promise<Recommendation[]> {
    const partition = `${tenant}/${domain}`;
    const rows = await this.#rows.query({ kind: KIND, partition, max: ROW_CALL });
    const known = new Map(rows.map(({ value }) => [(value as Recommendation).type, value as Recommendation]));
    const found = new Map([...(dns ?? []), ...mail].map((one) => [one.type, one]));
    const looked = new Set(dns === undefined ? MAIL_TYPES : [...DNS_TYPES, ...MAIL_TYPES]);
    const changed: Recommendation[] = [];
    for (const type of looked) {
      const now = this.#changed(domain, known.get(type), found.get(type));
      if (now === undefined) continue;
      known.set(type, now);
      changed.push(now);
    }
    if (changed.length > 0)
      await this.#rows.put(
        changed.map((value) => ({
          kind: KIND,
          partition,
          key: value.type,
          value,
          expiresAt: this.#clock.now() + KEPT,
        })),
      );
    return [...known.values()].sort((a, b) => (a.type < b.type ? -1 : 1));
  }

  /** Undefined: nothing changed. */
  #changed(
    domain: string,
    before: Recommendation | undefined,
    found: Advice | undefined,
  ): Recommendation | undefined {
    const now = this.#clock.now();
    if (found === undefined)
      return before?.status === 'OPEN' ? { ...before, status: 'FIXED', updatedAt: now } : undefined;
    if (before?.status !== 'OPEN')
      return { domain, ...found, status: 'OPEN', createdAt: now, updatedAt: now };
    const isSame = before.text === found.text && before.impact === found.impact;
    return isSame ? undefined : { ...before, ...found, updatedAt: now };
  }
}
