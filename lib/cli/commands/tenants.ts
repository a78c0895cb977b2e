/** Tenants: made, stopped, and how they stand. */
import type { Command } from 'commander';
import type { AnswerValue } from '../client.ts';
import type { Act, Context } from '../context.ts';
import { clockTime } from '../text.ts';

export function tenants(program: Command, act: Act): void {
  const tenant = program
    .command('tenants')
    .helpGroup('Configure:')
    .description('Tenants: list, create, show, stop, start, delete');
  act(tenant.command('list').description('All tenants').option('--after <page>', 'the next page'), list);
  act(
    tenant
      .command('create')
      .description('Make a tenant, with --key its first key, with --domain its first domain')
      .argument('<name>')
      .option('--key', 'make a key of it too, shown this once')
      .option('--domain <domain>', 'make this identity of it too'),
    create,
  );
  act(
    tenant
      .command('show')
      .description('One tenant, and its rates of bounces and complaints')
      .argument('<name>'),
    show,
  );
  act(
    tenant
      .command('stop')
      .description('Refuse its new mail; what waits stays')
      .argument('<name>')
      .option('--cause <text>', 'why, for a person'),
    (context, name) => order(context, name, 'DISABLED'),
  );
  act(
    tenant
      .command('start')
      .description('Let it send again')
      .argument('<name>')
      .option('--cause <text>', 'why, for a person'),
    (context, name) => order(context, name, 'ENABLED'),
  );
  act(
    tenant.command('delete').description('Delete a tenant that has nothing any more').argument('<name>'),
    async (context, name) => {
      await context.confirm(`Delete the tenant ${name}, with its suppression list?`);
      await context.client.call('DELETE', pathOf(name));
      context.out.note(`${name} is deleted.`);
    },
  );
}

const pathOf = (name: string): string => `/tenants/${encodeURIComponent(name)}`;

async function list(context: Context): Promise<void> {
  const { client, out } = context;
  const answer = await client.get('/tenants', { ...context.query('after'), max: 500 });
  if (out.json) return out.value(answer);
  out.table<AnswerValue>(
    [
      { title: 'TENANT', cell: ({ name }) => name },
      { title: 'SENDING', cell: ({ sending }) => sending },
      { title: 'WHY', cell: ({ ordered, rated }) => ordered.cause ?? rated.cause },
      { title: 'MADE', cell: ({ createdAt }) => clockTime(createdAt), drop: 1 },
    ],
    answer.tenants,
    'There is no tenant.',
  );
  if (answer.next !== undefined) out.note(`More: --after ${answer.next}`);
}

async function create(context: Context, name: string): Promise<void> {
  const { client, out } = context;
  const made: AnswerValue = { tenant: await client.post('/tenants', { name }) };
  if (context.options.key === true) made.key = await client.post('/keys', { tenant: name, name });
  const domain = context.text('domain');
  if (domain !== undefined) made.identity = await client.post('/identities', { name: domain, tenant: name });
  if (out.json) return out.value(made);
  out.note(`The tenant ${name} is made.`);
  if (made.key) {
    out.pairs([
      ['Key', made.key.id],
      ['Secret', made.key.secret],
      ['Bearer', made.key.bearer],
      ['SMTP', `user ${made.key.id}, password ${made.key.smtpPassword}`],
    ]);
  }
  for (const record of (made.identity?.records ?? []) as AnswerValue[])
    out.line(`${record.name}. ${record.type} ${record.value}`);
}

async function show({ client, out }: Context, name: string): Promise<void> {
  const tenant = await client.get(pathOf(name));
  const rates = await client.get('/reputation', { tenant: name });
  if (out.json) return out.value({ ...tenant, reputation: rates });
  out.pairs([
    ['Tenant', tenant.name],
    ['Sending', tenant.sending],
    ['Ordered', tenant.ordered.cause],
    ['Rated', rates.text],
    ['Bounces', `${(rates.bounceRate * 100).toFixed(2)} % of ${rates.sent}`],
    ['Complaints', `${(rates.complaintRate * 100).toFixed(3)} %`],
    ['Made', clockTime(tenant.createdAt)],
  ]);
}

async function order(context: Context, name: string, sending: string): Promise<void> {
  const { client, out } = context;
  if (sending === 'DISABLED') await context.confirm(`Stop the tenant ${name}? Its new mail is refused.`);
  const changed = await client.call('PUT', pathOf(name), { body: { sending, ...context.query('cause') } });
  if (out.json) return out.value(changed);
  out.note(`${name}: ${changed.sending}`);
}
