/** The figures and plots of a warm-up. */
import { chart } from './chart.ts';
import { heatMap } from './heatmap.ts';
import type { Report } from './report.ts';
import { PROFILES } from './warming-provider.ts';
import { DAYS, IPS, type Run } from './warmup-run.ts';

interface Measured {
  seconds: number;
  steps: number;
  fine: number;
  messages: number;
}

export function report(simulation: Run, { seconds, steps, fine, messages }: Measured): Report {
  const { tally, sent, overflowed } = simulation;
  const byNew = sum(sent.flat(2));
  const lastNew = sum(sent.at(-1)!.flat());
  const waiting = sum([...simulation.due.values()].flat());
  return {
    rows: [
      { figure: 'messages', value: messages.toLocaleString('en'), reach: '300,000,000' },
      {
        figure: 'simulated in',
        value: `${seconds.toFixed(1)} s, ${steps} steps (${fine} fine)`,
        reach: '≤ 300 s',
      },
      {
        figure: 'budgets exceeded',
        value: `${simulation.exceeded} of ${DAYS * IPS * PROFILES.length}`,
        reach: '0',
      },
      { figure: 'crashes, hand-overs', value: `${simulation.crashes}, ${simulation.handOvers}`, reach: '' },
      { figure: "most of a day's budget wasted by a crash", value: percent(simulation.wasted, 1), reach: '' },
      {
        figure: 'days held, stepped back',
        value: `${simulation.held}, ${simulation.steppedBack}`,
        reach: '',
      },
      { figure: 'sent by new IPs', value: percent(byNew, byNew + sum(overflowed.flat())), reach: '' },
      { figure: 'the same, day 30', value: percent(lastNew, lastNew + sum(overflowed.at(-1)!)), reach: '' },
      { figure: 'throttled, of their attempts', value: percent(tally.throttled, byNew), reach: '' },
      { figure: 'still waiting at the end', value: waiting.toLocaleString('en'), reach: '' },
    ],
    failed: simulation.exceeded > 0 || seconds > 300,
    plots: plots(simulation),
  };
}

function plots({ sent, overflowed, budgets, borne }: Run): Record<string, string> {
  const days = sent.map((_, day) => day + 1);
  const x = { name: 'day', min: 1, max: DAYS, ticks: [1, 5, 10, 15, 20, 25, 30] };
  const perDay = PROFILES.map(({ name }, p) => ({
    name,
    points: days.map((day) => [day, Math.max(1, sum(sent[day - 1]![p]!))] as const),
  }));
  const all = days.map((day) => [day, sum(sent[day - 1]!.flat()) + sum(overflowed[day - 1]!)] as const);
  const rest = days.map((day) => [day, Math.max(1, sum(overflowed[day - 1]!))] as const);
  // A logarithmic axis has no place for nothing.
  const last = overflowed.findLastIndex((row) => sum(row) > 0);
  const none = last + 2 > DAYS ? '' : `: none from day ${last + 2}`;
  const one = (p: number, i: number, of: readonly number[][][]): (readonly [number, number])[] =>
    days
      .map((day) => [day, of[day - 1]![p]![i]!] as const)
      .filter(([, value]) => value > 0 && value < Number.POSITIVE_INFINITY);
  const example = (p: number, i: number, incident: string, from: number, to: number, what: string): string =>
    chart({
      title: `${PROFILES[p]!.name}: ${what}`,
      subtitle: 'One IP. The budget follows the schedule as long as the day before went well.',
      x,
      y: { name: 'messages a day', log: true, min: 100, max: 10_000_000 },
      series: [
        { name: 'what it would bear', points: one(p, i, borne), reference: true },
        { name: 'budget', points: one(p, i, budgets) },
        { name: 'sent', points: one(p, i, sent) },
      ],
      bands: incident === '' ? [] : [{ from, to, name: incident }],
    });
  return {
    'warmup-volume': chart({
      title: '50 new IPs take over 10 million messages a day',
      subtitle: `Messages a day from the new IPs, by provider, and from the warm IPs that send what is over${none}.`,
      x,
      y: { name: 'messages a day', log: true, min: 1_000, max: 20_000_000 },
      series: [
        { name: 'all mail', points: all, reference: true },
        ...perDay,
        { name: 'warm IPs', points: rest, reference: true },
      ],
      bands: [{ from: 10, to: 11, name: 'bad list at yahoo' }],
    }),
    'warmup-ips': heatMap({
      title: 'What each IP may send to each provider, day by day',
      subtitle:
        'Budgets at dawn. A block list stops IPs 1 to 5 at google on days 14 to 16; a bad list goes to yahoo on day 10.',
      panels: PROFILES.map(({ name }, p) => ({
        name,
        rows: Array.from({ length: IPS }, (_, i) => days.map((day) => budgets[day - 1]![p]![i]!)),
      })),
      min: 100,
      max: 1_000_000,
      rows: '50 IPs',
      columns: 'day',
      values: 'messages a day',
    }),
    'warmup-blocked': example(0, 0, 'on a block list', 14, 17, 'an IP that is listed for three days'),
    'warmup-reluctant': example(1, 20, '', 0, 0, 'a provider that bears less than the schedule'),
  };
}

function sum(values: readonly number[]): number {
  let total = 0;
  for (const value of values) total += value;
  return total;
}

function percent(part: number, whole: number): string {
  return `${((100 * part) / whole).toFixed(2)} %`;
}
