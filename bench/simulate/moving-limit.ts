/**
 * Providers with a hidden limit: 1, 10 and 100 messages/s on average, moving by half of that up
 * and down, first in waves, then in jumps. More mail waits than they ever accept. Their reply is one sentence:
 * that the rate is unusual.
 */

import { MINUTE } from '../../lib/time.ts';
import { chart } from './chart.ts';
import { SimulatedClock } from './clock.ts';
import { delivery, Line } from './line.ts';
import { HiddenLimit } from './peer.ts';
import { seeded } from './random.ts';
import type { Report, Row, Scenario } from './report.ts';

const START = Date.UTC(2026, 2, 1);
const LENGTH = 180 * MINUTE;
/** Mean limits, messages/s. */
const MEANS = [1, 10, 100];
const BUCKET = 10_000;
const BACKLOG = 2_000;
const THROTTLED = {
  code: 450,
  enhanced: '4.7.28',
  lines: ['Our system has detected an unusual rate of mail from your IP address; it has been rate limited.'],
};

/** Waves of half an hour for 90 minutes, then every ten minutes another level. */
function swing(now: number, levels: readonly number[]): number {
  const at = now - START;
  if (at < LENGTH / 2) return 1 + 0.5 * Math.sin((2 * Math.PI * at) / (30 * MINUTE));
  return levels[Math.floor(at / (10 * MINUTE)) % levels.length]!;
}

async function run(seed: number): Promise<Report> {
  const report: Report = { rows: [], failed: false, plots: {} };
  for (const mean of MEANS) {
    const { rows, failed, plots } = await follow(mean, seed);
    report.rows.push(...rows);
    report.failed ||= failed;
    Object.assign(report.plots, plots);
  }
  return report;
}

/** @param mean of the hidden limit, messages/s. */
async function follow(mean: number, seed: number): Promise<Report> {
  const random = seeded(seed);
  const clock = new SimulatedClock(START);
  const levels = Array.from({ length: 18 }, () => 0.5 + random());
  const hidden = (now: number): number => mean * swing(now, levels);
  const limit = new HiddenLimit(hidden, START);
  const taken = new Array<number>(LENGTH / BUCKET).fill(0);
  const putOff = new Array<number>(LENGTH / BUCKET).fill(0);
  const line = await Line.open({
    clock,
    random,
    peer: {
      opening: 150,
      transaction: 80,
      refuses: () => undefined,
      putsOff: (now) => (limit.takes(now) ? undefined : THROTTLED),
    },
    limits: { default: { connections: 40, connectionRate: 'unlimited', messageRate: '1000/s' } },
    attempted: (_, { result, at, duration }) => {
      const row = result.kind === 'accepted' ? taken : putOff;
      const place = Math.floor((at + duration - START) / BUCKET);
      if (place < row.length) row[place]! += 1;
    },
  });
  for (let at = 0; at < LENGTH; at += 1000) {
    const { size } = line.path.queue;
    const now = clock.now();
    line.give(...Array.from({ length: BACKLOG - size }, () => delivery('sender', 'bulk', now)));
    clock.runUntil(START + at + 1000);
  }
  const possible = taken.reduce((sum, _, i) => sum + (hidden(START + i * BUCKET) * BUCKET) / 1000, 0);
  const delivered = taken.reduce((a, b) => a + b, 0);
  const deferred = putOff.reduce((a, b) => a + b, 0);
  const used = delivered / possible;
  const refused = deferred / (delivered + deferred);
  const points = (of: (i: number) => number): [number, number][] =>
    taken.map((_, i) => [(i * BUCKET) / MINUTE, of(i)]);
  const about = `about ${mean} a second`;
  const messages = `${delivered.toLocaleString('en')} of ${Math.round(possible).toLocaleString('en')}`;
  const rows: Row[] = [
    { figure: `${about}: of the possible volume`, value: percent(used), reach: '≥ 90 %' },
    { figure: `${about}: attempts deferred`, value: percent(refused), reach: '≤ 3 %' },
    { figure: `${about}: messages`, value: messages, reach: '' },
  ];
  return {
    rows,
    failed: used < 0.9 || refused > 0.03,
    plots: {
      [`moving-limit-${mean}`]: chart({
        title: 'The rate follows a hidden limit',
        subtitle: `Messages a second, by ten seconds. ${percent(used)} of what was possible, ${percent(refused)} of the attempts deferred.`,
        x: { name: 'minutes', min: 0, max: LENGTH / MINUTE },
        y: { name: 'messages a second', max: 2 * mean },
        series: [
          {
            name: 'hidden limit',
            points: points((i) => hidden(START + i * BUCKET)),
            reference: true,
          },
          { name: 'taken', points: points((i) => (taken[i]! * 1000) / BUCKET) },
          { name: 'put off', points: points((i) => (putOff[i]! * 1000) / BUCKET), area: true },
        ],
      }),
    },
  };
}

function percent(share: number): string {
  return `${(share * 100).toFixed(2)} %`;
}

export const movingLimit: Scenario = {
  name: 'moving-limit',
  title: 'Providers with a hidden rate limit that moves ±50 %',
  run,
};
