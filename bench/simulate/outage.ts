/**
 * A provider whose hosts are down for forty minutes, and come back. Mail arrives all the while. The figures: how
 * soon the outage is noticed, how few connections fail, how soon mail flows again, and that the backlog
 * leaves at the rate of the limits and in order of due time.
 */
import type { Delivery } from '../../lib/egress/delivery.ts';
import { DEFAULT_RETRY, nextAttempt } from '../../lib/outcome/retry.ts';
import { MINUTE } from '../../lib/time.ts';
import { chart } from './chart.ts';
import { SimulatedClock } from './clock.ts';
import { delivery, Line } from './line.ts';
import { seeded } from './random.ts';
import type { Report, Scenario } from './report.ts';

const START = Date.UTC(2026, 2, 1);
const LENGTH = 180 * MINUTE;
const OUTAGE = { from: 20 * MINUTE, to: 60 * MINUTE };
const BUCKET = 30_000;
/** Rate of new mail, and rate of the limits, messages/s. */
const COMING = 30;
const LIMIT = 60;
const BLACKHOLE = 30_000;

async function run(seed: number): Promise<Report> {
  const random = seeded(seed);
  const clock = new SimulatedClock(START);
  const buckets = LENGTH / BUCKET;
  const delivered = new Array<number>(buckets).fill(0);
  const oldest = new Array<number>(buckets).fill(0);
  /** Undelivered messages, by time of arrival. */
  const open = new Set<Delivery>();
  const again: { delivery: Delivery; until: number }[] = [];
  const down = (now: number): boolean => now - START >= OUTAGE.from && now - START < OUTAGE.to;
  let connectsInOutage = 0;
  let noticedAt: number | undefined;
  let firstBack: number | undefined;

  const line = await Line.open({
    clock,
    random,
    peer: {
      opening: 150,
      transaction: 80,
      refuses: (now) => {
        if (!down(now)) return undefined;
        connectsInOutage += 1;
        const text = 'no answer';
        return { end: { code: 'connect_failed', phase: 'connect', text }, after: BLACKHOLE };
      },
      // Hosts that die do so under the connections that they have.
      putsOff: (now) =>
        down(now) ? { code: 421, enhanced: '4.3.2', lines: ['System going down'] } : undefined,
    },
    limits: { default: { messageRate: `${LIMIT}/s`, connections: 10 } },
    attempted: (one, tried) => {
      const now = clock.now();
      if (tried.result.kind === 'accepted') {
        open.delete(one);
        const place = Math.floor((now - START) / BUCKET);
        if (place < buckets) delivered[place]! += 1;
        if (firstBack === undefined && now - START > OUTAGE.to) firstBack = now - START - OUTAGE.to;
        return;
      }
      one.item.attempts += 1;
      again.push({
        delivery: one,
        until: nextAttempt(DEFAULT_RETRY, one.item.attempts, now, Infinity, random)!,
      });
    },
    released: (one, until) => {
      again.push({ delivery: one, until });
    },
  });

  for (let at = 0; at < LENGTH; at += 1000) {
    const now = clock.now();
    const due: Delivery[] = [];
    for (let i = again.length - 1; i >= 0; i -= 1) {
      if (again[i]!.until > now) continue;
      due.push(again[i]!.delivery);
      again[i] = again.at(-1)!;
      again.pop();
    }
    for (let n = 0; n < COMING; n += 1) {
      const one = delivery('sender', 'bulk', now);
      open.add(one);
      due.push(one);
    }
    line.give(...due);
    clock.runUntil(START + at + 1000);
    const backsOff = line.path.backsOff(clock.now());
    if (backsOff && noticedAt === undefined && at > OUTAGE.from) noticedAt = at - OUTAGE.from;
    // A set keeps the order in which its members came.
    const first = open.values().next().value;
    const place = Math.floor(at / BUCKET);
    oldest[place] = first === undefined ? 0 : (clock.now() - first.item.acceptedAt) / MINUTE;
  }

  const backlogGone = oldest.findIndex((age, i) => i * BUCKET > OUTAGE.to && age < 1);
  const peak = Math.max(...delivered) / (BUCKET / 1000);
  const points = (values: readonly number[], scale = 1): [number, number][] =>
    values.map((value, i) => [(i * BUCKET) / MINUTE, value * scale]);
  const x = { name: 'minutes', min: 0, max: LENGTH / MINUTE };
  const bands = [{ from: OUTAGE.from / MINUTE, to: OUTAGE.to / MINUTE, name: 'no host answers' }];
  return {
    rows: [
      { figure: 'noticed after', value: span(noticedAt), reach: '' },
      { figure: 'connections tried in the outage', value: String(connectsInOutage), reach: '' },
      { figure: 'first mail after it ended', value: span(firstBack), reach: '' },
      {
        figure: 'backlog gone after',
        value: backlogGone < 0 ? 'not yet' : span(backlogGone * BUCKET - OUTAGE.to),
        reach: '',
      },
      {
        figure: 'highest rate, of the limit',
        value: `${((100 * peak) / LIMIT).toFixed(1)} %`,
        reach: '≤ 100 %',
      },
      {
        figure: 'lost',
        value: String([...open].filter((one) => clock.now() - one.item.acceptedAt > 90 * MINUTE).length),
        reach: '0',
      },
    ],
    failed: peak > LIMIT,
    plots: {
      'outage-rate': chart({
        title: 'An outage, and the way back',
        subtitle: `Messages a second, by half a minute; ${COMING} come, the limit is ${LIMIT}.`,
        x,
        y: { name: 'messages a second', max: LIMIT * 1.2 },
        series: [
          {
            name: 'limit',
            points: [
              [0, LIMIT],
              [LENGTH / MINUTE, LIMIT],
            ],
            reference: true,
          },
          {
            name: 'coming',
            points: [
              [0, COMING],
              [LENGTH / MINUTE, COMING],
            ],
            reference: true,
          },
          { name: 'delivered', points: points(delivered, 1000 / BUCKET) },
        ],
        bands,
      }),
      'outage-age': chart({
        title: 'The age of the oldest message that waits',
        subtitle: 'It grows while nobody answers, and falls as what was put off comes due again.',
        x,
        y: { name: 'minutes', max: Math.ceil(Math.max(...oldest) / 20) * 20 },
        series: [{ name: 'oldest', points: points(oldest), area: true }],
        bands,
      }),
    },
  };
}

function span(ms: number | undefined): string {
  if (ms === undefined) return 'never';
  return ms < 2 * MINUTE ? `${(ms / 1000).toFixed(1)} s` : `${(ms / MINUTE).toFixed(1)} min`;
}

export const outage: Scenario = { name: 'outage', title: 'An outage of forty minutes and the way back', run };
