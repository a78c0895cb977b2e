/** Source addresses, and how far their warm-up is. */
import type { Command } from 'commander';
import type { AnswerValue } from '../client.ts';
import type { Act, Context } from '../context.ts';
import { joined, short } from '../text.ts';
import { documentCommands } from './configuration.ts';

export function ips(program: Command, act: Act): void {
  act(
    program
      .command('ips')
      .helpGroup('See:')
      .description('Each source address: pools, node, EHLO name, pauses, warm-up, mail of today')
      .option('--pool <pool>', 'only addresses of this pool')
      .option('--ip <ip>', 'only this address'),
    list,
  );
  const warmup = program
    .command('warmup')
    .helpGroup('See:')
    .description(
      'Where the warm-up of each address stands, by provider; its plans: get, set, history, diff, rollback',
    )
    .option('--ip <ip>', 'only this address');
  act(warmup, progress);
  documentCommands(warmup, 'warmup', act);
}

async function list(context: Context): Promise<void> {
  const { client, out } = context;
  const rows: AnswerValue[] = [];
  let after: string | undefined;
  do {
    const page = await client.get('/ips', { ...context.query('pool', 'ip'), after, max: 500 });
    rows.push(...page.ips);
    after = page.next;
  } while (after !== undefined);
  if (out.json) return out.value({ ips: rows });
  out.table<AnswerValue>(
    [
      { title: 'IP', cell: ({ ip }) => ip },
      { title: 'POOLS', cell: ({ pools }) => joined(pools) || '-', drop: 3 },
      { title: 'NODE', cell: ({ node }) => node, drop: 2 },
      { title: 'EHLO', cell: ({ ehloName }) => ehloName, drop: 1 },
      { title: 'CONN', cell: ({ connections }) => connections, right: true, drop: 2 },
      { title: 'WARM', cell: ({ warm, percentage }) => (warm ? 'yes' : `${percentage} %`), right: true },
      { title: 'SENT', cell: ({ today }) => short(today.sent ?? 0), right: true },
      { title: 'DEFERRED', cell: ({ today }) => short(today.deferred ?? 0), right: true, drop: 3 },
      { title: 'BOUNCED', cell: ({ today }) => short(today.permanentBounces ?? 0), right: true, drop: 3 },
      {
        title: 'STOPPED BY',
        cell: ({ paused, trouble }) =>
          trouble ?? joined((paused as AnswerValue[]).map(({ reason }) => reason)),
      },
    ],
    rows,
    'No address is known.',
  );
}

async function progress(context: Context): Promise<void> {
  const { client, out } = context;
  const answer = await client.get('/warmup', context.query('ip'));
  if (out.json) return out.value(answer);
  const rows = (answer.ips as AnswerValue[]).flatMap(({ ip, warm, providers, problem }) => {
    const lines = (providers as AnswerValue[]).map((one) => ({ ip, ...one }));
    return lines.length > 0
      ? lines
      : [{ ip, provider: '-', warm, cause: problem ?? (warm ? '' : 'No mail yet.') }];
  });
  out.table<AnswerValue>(
    [
      { title: 'IP', cell: ({ ip }) => ip },
      { title: 'PROVIDER', cell: ({ provider }) => provider },
      {
        title: 'DAY',
        cell: ({ day, days, warm }) => (warm ? 'warm' : days && `${day}/${days}`),
        right: true,
      },
      { title: 'SENT', cell: ({ sent }) => short(sent), right: true },
      { title: 'BUDGET', cell: ({ budget }) => short(budget), right: true },
      { title: '', cell: ({ sent, budget }) => (budget ? bar(sent / budget) : ''), drop: 1 },
      { title: 'BOUNCED', cell: ({ counts }) => short(counts?.bounced), right: true, drop: 2 },
      { title: 'DEFERRED', cell: ({ counts }) => short(counts?.deferred), right: true, drop: 2 },
      {
        title: 'WHY',
        cell: ({ cause, steppedBack }) => `${steppedBack ? 'stepped back: ' : ''}${cause ?? ''}`,
      },
    ],
    rows,
    'No address is known.',
  );
}

function bar(share: number): string {
  const full = Math.round(Math.min(1, share) * 10);
  return '█'.repeat(full) + '░'.repeat(10 - full);
}
