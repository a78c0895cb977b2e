/**
 * Counts what happened to mail by the lane in which it was accepted, and writes it as CloudWatch metrics: admissions
 * by the API and the submission service, outcomes by `functions/outcomes`. Counts stay in memory until `flush`.
 *
 * | outcome                   | counts                                              | bounce rate | complaint rate |
 * |---------------------------|-----------------------------------------------------|-------------|----------------|
 * | attempt, delivered        | Attempted, Delivered, Latency                       | 0           | 0              |
 * | attempt, deferred         | Attempted, Deferred, Uncertain if it is             |             |                |
 * | attempt, bounced          | Attempted, Bounced                                  | 1 if hard   |                |
 * | attempt, expired          | Attempted, Bounced                                  |             |                |
 * | attempt, suppressed       |                                                     |             |                |
 * | bounce (a later report)   | Bounced                                             | 1 if hard   |                |
 * | complaint                 | Complaints, unless of type `not-spam`               |             | 1              |
 *
 * As with SES, the bounce rate counts hard bounces only, and mail to the simulator counts in neither rate.
 */
import {
  isEngagement,
  type LaneName,
  type MessageRecord,
  type Outcome,
  type QueueItem,
} from '../engine/items.ts';
import { diagnoseAttempt } from '../outcome/attempt.ts';
import type { BounceDetail, ComplaintDetail } from '../outcome/details.ts';
import { isSimulatorAddress } from '../outcome/simulator.ts';
import { laneGroup } from '../shaping/providers.ts';
import type { DimensionName, Emf, MetricName } from './emf.ts';

type LaneCounter = Extract<
  MetricName,
  'Accepted' | 'Attempted' | 'Delivered' | 'Deferred' | 'Bounced' | 'Uncertain' | 'Complaints'
>;

interface LaneCounts {
  counts: Partial<Record<LaneCounter, number>>;
  latency: number[];
}

export interface MailMetrics {
  /** Counts accepted deliveries. */
  accepted(deliveries: readonly QueueItem[]): void;
  /** Counts an outcome of a delivery of this message. */
  outcome(record: MessageRecord, outcome: Outcome): void;
  /** Whether there are counts to write. */
  readonly pending: boolean;
  /** Writes the counts since the last flush. */
  flush(): void;
}

export function createMailMetrics(emf: Emf): MailMetrics {
  let lanes = new Map<LaneName, LaneCounts>();
  let bounceSamples: number[] = [];
  let complaintSamples: number[] = [];

  function laneOf(lane: LaneName): LaneCounts {
    let counts = lanes.get(lane);
    if (!counts) lanes.set(lane, (counts = { counts: {}, latency: [] }));
    return counts;
  }

  function attempt(lane: LaneCounts, record: MessageRecord, { attempt }: Outcome, real: boolean): void {
    if (!attempt || attempt.state === 'suppressed') return;
    add(lane, 'Attempted');
    if (attempt.uncertain) add(lane, 'Uncertain');
    switch (attempt.state) {
      case 'delivered':
        add(lane, 'Delivered');
        lane.latency.push(Math.max(0, attempt.at + attempt.duration - record.acceptedAt));
        if (real) {
          bounceSamples.push(0);
          complaintSamples.push(0);
        }
        return;
      case 'deferred':
        add(lane, 'Deferred');
        return;
      case 'bounced':
        add(lane, 'Bounced');
        if (real && diagnoseAttempt(attempt).hard) bounceSamples.push(1);
        return;
      case 'expired':
        add(lane, 'Bounced');
    }
  }

  return {
    get pending() {
      return lanes.size > 0;
    },

    accepted(deliveries) {
      for (const { lane } of deliveries) add(laneOf(lane), 'Accepted');
    },

    outcome(record, outcome) {
      const recipient = outcome.n === undefined ? undefined : record.recipients[outcome.n];
      if (recipient === undefined || isEngagement(outcome.kind)) return;
      const lane = laneOf(`${record.pool}:${record.class}:${groupOf(record, outcome.n!, recipient)}`);
      const real = !isSimulatorAddress(recipient);
      if (outcome.kind === 'attempt') attempt(lane, record, outcome, real);
      else if (outcome.kind === 'bounce') {
        add(lane, 'Bounced');
        if (real && (outcome.detail as BounceDetail).hard) bounceSamples.push(1);
      } else if (outcome.kind === 'complaint') {
        if ((outcome.detail as ComplaintDetail).feedbackType === 'not-spam') return;
        add(lane, 'Complaints');
        if (real) complaintSamples.push(1);
      }
    },

    flush() {
      for (const [lane, { counts, latency }] of lanes) {
        emf.put(laneDimensions(lane), latency.length > 0 ? { ...counts, Latency: latency } : counts);
      }
      emf.put({}, { 'Reputation.BounceRate': bounceSamples, 'Reputation.ComplaintRate': complaintSamples });
      lanes = new Map();
      bounceSamples = [];
      complaintSamples = [];
    },
  };
}

/** The group of the lane in which the delivery was accepted, not the one learnt for its domain since. */
export function groupOf({ groups }: MessageRecord, n: number, recipient: string): string {
  return groups?.[n] ?? laneGroup(recipient.slice(recipient.lastIndexOf('@') + 1).toLowerCase());
}

function add({ counts }: LaneCounts, counter: LaneCounter): void {
  counts[counter] = (counts[counter] ?? 0) + 1;
}

function laneDimensions(lane: LaneName): Partial<Record<DimensionName, string>> {
  const [pool = '', cls = '', group = ''] = lane.split(':');
  return { Pool: pool, Class: cls, Group: group };
}
