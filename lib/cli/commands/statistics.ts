/** What became of mail, in numbers; among them the rate of deferrals by provider. */
import { type Command, Option } from 'commander';
import type { AnswerValue } from '../client.ts';
import type { Act, Context } from '../context.ts';
import { clockTime, short } from '../text.ts';

const DIMENSIONS = ['identity', 'configurationSet', 'pool', 'ip', 'provider', 'campaign'];

export function statistics(program: Command, act: Act): void {
  const command = program
    .command('stats')
    .helpGroup('See:')
    .summary('what became of mail: delivered, deferred, bounced, complained')
    .description(
      'What became of mail. Deferred attempts are shown as a share of all attempts: stats --by provider --from 1h is the rate of deferrals at each provider.',
    )
    .option('--from <time>', 'start, to the hour: a time, a day, or 24h', '24h')
    .option('--to <time>', 'end; absent: now')
    .addOption(new Option('--by <dimension>', 'a row for each').choices([...DIMENSIONS, 'tenant']))
    .addOption(new Option('--each <period>', 'a row for each').choices(['quarter', 'hour', 'day']))
    .option('--tenant <tenant>', 'only of this tenant');
  for (const one of DIMENSIONS) command.option(`--${one} <${one}>`, `only of this ${one}`);
  act(command, show);
}

async function show(context: Context): Promise<void> {
  const { client, out } = context;
  const each = context.text('each');
  const answer = await client.get('/stats', {
    ...context.query('by', 'tenant', ...DIMENSIONS),
    granularity: each,
    from: context.time('from'),
    to: context.time('to'),
  });
  if (out.json) return out.value(answer);
  const rows = each === undefined ? summed(answer.points) : (answer.points as AnswerValue[]);
  const all = context.text('by') === undefined && each === undefined ? [] : rows;
  out.note(`${clockTime(answer.from)} to ${clockTime(answer.to)}`);
  out.table<AnswerValue>(
    [
      { title: 'FROM', cell: ({ at }) => at && clockTime(at) },
      { title: (context.text('by') ?? '').toUpperCase(), cell: ({ value }) => value },
      { title: 'SENT', cell: ({ sent }) => short(sent ?? 0), right: true },
      { title: 'DELIVERED', cell: ({ delivered }) => short(delivered ?? 0), right: true },
      { title: 'DEFERRED', cell: deferredText, right: true },
      { title: 'HARD', cell: ({ permanentBounces }) => short(permanentBounces ?? 0), right: true },
      { title: 'SOFT', cell: ({ transientBounces }) => short(transientBounces ?? 0), right: true, drop: 2 },
      { title: 'COMPLAINTS', cell: ({ complaints }) => short(complaints ?? 0), right: true, drop: 3 },
      { title: 'OPENS', cell: ({ opens }) => short(opens), right: true, drop: 1 },
      { title: 'CLICKS', cell: ({ clicks }) => short(clicks), right: true, drop: 1 },
    ],
    [...all, { ...answer.total, value: all.length > 0 ? 'all' : undefined }],
    'Nothing was counted.',
  );
  if (answer.next !== undefined) out.note('There are more tenants: name one with --tenant.');
}

function deferredText({ deferred = 0, sent = 0 }: AnswerValue): string {
  const attempts = deferred + sent;
  return attempts === 0 ? '0' : `${short(deferred)} (${((deferred / attempts) * 100).toFixed(1)} %)`;
}

/** The points of each value together. */
function summed(points: readonly AnswerValue[]): AnswerValue[] {
  const rows = new Map<string, AnswerValue>();
  for (const { at: _at, value, ...counts } of points) {
    const row = rows.get(value ?? '') ?? { value };
    rows.set(value ?? '', row);
    for (const [name, count] of Object.entries(counts)) row[name] = (row[name] ?? 0) + Number(count);
  }
  return [...rows.values()].sort((a, b) => (b.sent ?? 0) - (a.sent ?? 0));
}
