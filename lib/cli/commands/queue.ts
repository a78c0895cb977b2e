/** What waits: once as a table, or live. */
import { type Command, Option } from 'commander';
import type { AnswerValue } from '../client.ts';
import type { Act, Context } from '../context.ts';
import { usage } from '../exit.ts';
import { rowColumns, totalLine } from '../queue-table.ts';
import { runTop } from '../top.ts';

const DIMENSIONS = ['provider', 'pool', 'ip', 'tenant', 'site', 'class'];

export function queue(program: Command, act: Act): void {
  act(
    filtered(program.command('queue').helpGroup('See:'))
      .description('What waits: how much, for how long, how fast it goes, and which limit binds')
      .option('--max <rows>', 'rows, 1000 at most', '50')
      .option('--after <page>', 'the next page, as the page before named it'),
    once,
  );
  act(
    filtered(program.command('top').helpGroup('See:'))
      .summary('the same, live')
      .description(
        'The same, live. Keys: p o i t s c by provider, pool, IP, tenant, site, class; arrows and Enter to go into a row, Backspace out of it; r the next order; / a filter; space to hold; q to leave. Where it is no terminal, it prints one table.',
      )
      .option('--interval <seconds>', 'between two looks', '2'),
    live,
  );
}

function filtered(command: Command): Command {
  command
    .option('--by <dimensions>', `rows for: ${DIMENSIONS.join(', ')}, with commas`, 'provider,pool,ip')
    .addOption(
      new Option('--sort <order>', 'the largest, or the oldest, first').choices(['depth', 'oldest', 'rate']),
    );
  for (const one of DIMENSIONS) command.option(`--${one} <${one}>`, `only of this ${one}`);
  return command;
}

async function once(context: Context): Promise<void> {
  const { client, out, now } = context;
  const answer = await client.get('/queues', context.query('by', 'sort', 'max', 'after', ...DIMENSIONS));
  if (out.json) return out.value(answer);
  const by = context.text('by')!.split(',');
  out.table(rowColumns(by, now), answer.rows as AnswerValue[], 'Nothing waits.');
  out.note(totalLine(answer, now));
  if (answer.next !== undefined) out.note(`More: --after ${answer.next}`);
  for (const note of answer.notes as string[]) out.note(note);
}

async function live(context: Context): Promise<void> {
  const interval = Number(context.text('interval'));
  if (!(interval >= 0.5 && interval <= 3_600))
    throw usage('--interval: a number of seconds from 0.5 to 3600.');
  const { around, out } = context;
  if (!out.live || around.input.isTTY !== true) return once(context);
  const filter = DIMENSIONS.map((one) => [one, context.text(one)] as const).filter(
    ([, value]) => value !== undefined,
  );
  await runTop(context, {
    by: context.text('by')!.split(','),
    sort: context.text('sort') ?? 'depth',
    filter: Object.fromEntries(filter) as Record<string, string>,
    interval: interval * 1_000,
  });
}
