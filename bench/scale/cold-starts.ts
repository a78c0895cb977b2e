/** Environments that start at once, in an installation of 100,000 identities. */
import { openControl } from '../../lib/control/control.ts';
import { MASTER_KEY } from '../../test/support/control.ts';
import { chart } from '../simulate/chart.ts';
import { SimulatedClock } from '../simulate/clock.ts';
import { seeded } from '../simulate/random.ts';
import type { Scenario } from '../simulate/report.ts';
import { percentile, Verdicts } from './verdicts.ts';
import { VirtualAws } from './virtual-aws.ts';

const STARTS = 200;
const IDENTITIES = 100_000;
const FEW = 10;
const START = Date.UTC(2026, 0, 1);

/** What an identity with one RSA key takes in the table, about. */
const CONTENT = JSON.stringify({ name: 'example.com', key: 'k'.repeat(3_500) });

async function starts(seed: number, identities: number) {
  const clock = new SimulatedClock(START);
  const aws = new VirtualAws({ clock, random: seeded(seed) });
  for (let n = 0; n < identities; n += 1) {
    const sk = { S: `domain${n}.example` };
    aws.dynamo.seed('config', { pk: { S: 'identity' }, sk, v: { S: CONTENT }, n: { N: '1' } });
  }
  const took: number[] = [];
  const all = Array.from({ length: STARTS }, async () => {
    const { config } = await aws.open();
    await openControl({ config, masterKey: MASTER_KEY, clock, verifyIdentities: true });
    took.push(clock.now() - START);
  });
  while (took.length < STARTS && clock.now() < START + 60_000) await clock.runAsync(clock.now() + 10);
  const figures = aws.figures('config');
  const units = [...figures.reads.values()].reduce((sum, one) => sum + one, 0);
  if (took.length === STARTS) await Promise.all(all);
  return { took, figures, each: units / STARTS };
}

export const coldStarts: Scenario = {
  name: 'cold-starts',
  title: `${STARTS} environments of the API start at once, ${IDENTITIES.toLocaleString('en')} identities are stored`,
  async run(seed) {
    const verdicts = new Verdicts();
    const few = await starts(seed, FEW);
    const many = await starts(seed, IDENTITIES);
    verdicts.atLeast('environments that started', many.took.length, STARTS);
    verdicts.atMost('read units a start', many.each, 20);
    verdicts.atMost(`read units a start above those with ${FEW} identities`, many.each - few.each, 0.1);
    verdicts.atMost('throttled requests', many.figures.throttled, 0);
    verdicts.atMost('read units of the hottest key in a second', many.figures.hottestRead, 3_000);
    verdicts.atMost('the last has its configuration after', Math.max(...many.took) / 1000, 1, ' s');
    return verdicts.report({ 'cold-starts': plot(many.took) });
  },
};

function plot(took: readonly number[]): string {
  const points = Array.from({ length: 101 }, (_, at): [number, number] => [
    at,
    percentile(took, Math.min(0.9999, at / 100)),
  ]);
  return chart({
    title: 'Cold starts wait for their configuration',
    subtitle: `${STARTS} at once, ${IDENTITIES} identities, 6 ms a round trip`,
    x: { name: 'environments, %', min: 0, max: 100 },
    y: { name: 'ms', max: Math.max(50, ...took) },
    series: [{ name: 'a start', points }],
  });
}
