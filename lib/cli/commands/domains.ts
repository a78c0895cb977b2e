/** Identities: added with the records to publish, and checked against what DNS says now. */
import type { Command } from 'commander';
import type { AnswerValue } from '../client.ts';
import type { Act, Context } from '../context.ts';
import { CliError, EXIT } from '../exit.ts';
import { findings } from '../findings.ts';

export function domains(program: Command, act: Act): void {
  const domain = program
    .command('domain')
    .helpGroup('Configure:')
    .description('Domains and addresses that mail is sent as: add, check, records, list, remove');
  act(
    domain
      .command('add')
      .description('Add one, and print the records to publish')
      .argument('<name>', 'domain or address')
      .option('--tenant <tenant>', 'tenant that it belongs to'),
    add,
  );
  act(
    domain
      .command('check')
      .description(
        'What DNS says about it now, and the exact record that mends what is wrong (exit code 5: something is)',
      )
      .argument('<name>'),
    check,
  );
  act(
    domain.command('records').description('The records to publish').argument('<name>'),
    async ({ client, out }, name) => {
      const found = await client.get(`/identities/${encodeURIComponent(name)}/dns`);
      if (out.json) return out.value(found);
      records(out, found);
    },
  );
  act(
    domain
      .command('list')
      .description('All of them')
      .option('--tenant <tenant>', 'only of this tenant')
      .option('--after <page>', 'the next page'),
    list,
  );
  act(
    domain.command('remove').description('Remove one; nothing is sent as it any more').argument('<name>'),
    async (context, name) => {
      await context.confirm(`Remove ${name}?`);
      await context.client.call('DELETE', `/identities/${encodeURIComponent(name)}`);
      context.out.note(`${name} is removed.`);
    },
  );
}

async function add(context: Context, name: string): Promise<void> {
  const { client, out } = context;
  const made = await client.post('/identities', { name, ...context.query('tenant') });
  if (out.json) return out.value(made);
  records(out, made);
  out.note(`Publish these, then: postern domain check ${name}`);
}

function records(out: Context['out'], { name, verified, dkimStatus, records: list }: AnswerValue): void {
  out.note(`${name}: ${verified ? 'may send' : 'may not send yet'}, DKIM ${dkimStatus}`);
  for (const { name: record, type, value } of list as AnswerValue[])
    out.line(`${record}. ${type} ${type === 'TXT' ? `"${value}"` : value}`);
}

async function check({ client, out }: Context, name: string): Promise<void> {
  // The proof counts from now on, if it is there.
  await client.post(`/identities/${encodeURIComponent(name)}/check`);
  const report = await client.get(`/identities/${encodeURIComponent(name)}/check`);
  if (out.json) out.value(report);
  else {
    findings(out, report.findings);
    out.table<AnswerValue>(
      [
        { title: 'CHECK', cell: (row) => row.check },
        { title: 'RECORD', cell: (row) => `${row.name} ${row.type}` },
        { title: 'IN DNS', cell: ({ values }) => (values as string[]).join(' | ') || '(none)' },
      ],
      report.seen,
      'Nothing was looked up.',
    );
  }
  if (!report.ok) throw new CliError(EXIT.findings, `${name} has faults.`);
}

async function list(context: Context): Promise<void> {
  const { client, out } = context;
  const answer = await client.get('/identities', context.query('tenant', 'after'));
  if (out.json) return out.value(answer);
  out.table<AnswerValue>(
    [
      { title: 'NAME', cell: ({ name }) => name },
      { title: 'TENANT', cell: ({ tenant }) => tenant },
      { title: 'MAY SEND', cell: ({ verified }) => (verified ? 'yes' : 'no') },
      { title: 'DKIM', cell: ({ dkimStatus }) => dkimStatus },
    ],
    answer.identities,
    'There is none.',
  );
  if (answer.next !== undefined) out.note(`More: --after ${answer.next}`);
}
