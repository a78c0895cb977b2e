/** What the mail itself shows: how long it waits, and refusals for a fault of this side. */
import { CAUSES, type Cause } from '../../outcome/causes.ts';
import { HOUR, MINUTE } from '../../time.ts';
import { finding, type HealthFinding, quoted } from '../finding.ts';

export interface QueueFacts {
  now: number;
  /** Deliveries ready to be sent, and when the next of them was accepted: by lane, or by lane and tenant. */
  lanes: readonly { lane: string; ready: number; oldest?: number }[];
}

/** How long ready mail may wait, by its class, ms. Bulk waits for its provider's pace. */
const PATIENCE: Readonly<Record<string, number>> = { transactional: 15 * MINUTE, bulk: 6 * HOUR };
/** Lanes that are told apart: the oldest. */
const MAX_LANES = 20;

export function queueFindings({ now, lanes }: QueueFacts): HealthFinding[] {
  const late = new Map<string, { ready: number; oldest: number }>();
  for (const { lane, ready, oldest } of lanes) {
    if (ready === 0 || oldest === undefined || now - oldest <= (PATIENCE[lane.split(':')[1]!] ?? HOUR))
      continue;
    const sum = late.get(lane);
    late.set(lane, { ready: ready + (sum?.ready ?? 0), oldest: Math.min(oldest, sum?.oldest ?? oldest) });
  }
  const first = [...late].sort(([, a], [, b]) => a.oldest - b.oldest).slice(0, MAX_LANES);
  return first.map(([lane, { ready, oldest }]) => {
    const [pool, cls, provider] = lane.split(':');
    const minutes = Math.floor((now - oldest) / MINUTE);
    return finding(
      'queue.old',
      lane,
      `${ready} ${cls} deliveries of pool ${pool} for ${provider} are ready; the next was accepted ${minutes} minutes ago.`,
      'See what binds: `GET /v1/shaping/explain`, the directives, and the finding outward.blocked.',
    );
  });
}

/** Refusals of one cause in the last day. */
export interface OwnFault {
  cause: Cause;
  count: number;
  /** A source address and provider that were concerned, and what the provider answered last. */
  ip?: string;
  provider: string;
  text: string;
}

export function faultFindings(faults: readonly OwnFault[]): HealthFinding[] {
  return faults.map(({ cause, count, ip, provider, text }) =>
    finding(
      'bounces.infrastructure',
      ip ?? provider,
      `${count} ${count === 1 ? 'reply' : 'replies'} within a day: ${cause.replaceAll('_', ' ')}. The last, of ${provider}: ${quoted(text)}.`,
      CAUSES[cause].action,
    ),
  );
}
