/** Access keys. */
import type { Command } from 'commander';
import type { AnswerValue } from '../client.ts';
import type { Act, Context } from '../context.ts';
import { clockTime } from '../text.ts';

export function keys(program: Command, act: Act): void {
  const key = program
    .command('keys')
    .helpGroup('Configure:')
    .description('Access keys: list, create, revoke, self');
  act(
    key
      .command('list')
      .description('All keys, without secrets')
      .option('--tenant <tenant>', 'only of this tenant'),
    list,
  );
  act(
    key
      .command('create')
      .description('Make a key; its secret is shown this once')
      .option('--tenant <tenant>', 'tenant that it belongs to')
      .option('--admin', 'it may do everything')
      .option('--name <text>', 'for people'),
    create,
  );
  act(key.command('revoke').description('Revoke a key').argument('<id>'), async (context, id) => {
    await context.confirm(`Revoke ${id}? What signs in with it fails from then on.`);
    await context.client.call('DELETE', `/keys/${encodeURIComponent(id)}`);
    context.out.note(`${id} is revoked.`);
  });
  act(key.command('self').description('The key of this profile'), async ({ client, out }) => {
    const self = await client.get('/keys/self');
    if (out.json) return out.value(self);
    out.pairs([
      ['Key', self.id],
      ['Tenant', self.tenant],
      ['Rights', self.admin ? 'administrator' : 'sends, and reads its own'],
      ['Name', self.name],
      ['Made', clockTime(self.createdAt)],
      ['Last used', lastUse(self)],
    ]);
  });
}

async function list(context: Context): Promise<void> {
  const { client, out } = context;
  const found: AnswerValue[] = [];
  let after: string | undefined;
  do {
    const page = await client.get('/keys', { ...context.query('tenant'), max: 1_000, after });
    found.push(...page.keys);
    after = page.next;
  } while (after !== undefined);
  if (out.json) return out.value({ keys: found });
  out.table<AnswerValue>(
    [
      { title: 'KEY', cell: ({ id }) => id },
      { title: 'TENANT', cell: ({ tenant }) => tenant },
      { title: 'RIGHTS', cell: ({ admin }) => (admin ? 'administrator' : 'tenant') },
      { title: 'NAME', cell: ({ name }) => name, drop: 2 },
      { title: 'MADE', cell: ({ createdAt }) => clockTime(createdAt), drop: 1 },
      { title: 'LAST USED', cell: lastUse },
    ],
    found,
    'There is no key.',
  );
}

/** To the hour. */
function lastUse({ lastUsedAt }: AnswerValue): string {
  return lastUsedAt === undefined ? 'never' : clockTime(lastUsedAt);
}

async function create(context: Context): Promise<void> {
  const { client, out } = context;
  const admin = context.options.admin === true ? true : undefined;
  const made = await client.post('/keys', { ...context.query('tenant', 'name'), admin });
  if (out.json) return out.value(made);
  out.pairs([
    ['Key', made.id],
    ['Secret', made.secret],
    ['Bearer', made.bearer],
    ['SMTP', `user ${made.id}, password ${made.smtpPassword}`],
    ['Tenant', made.tenant],
  ]);
  out.note('The secret is shown this once.');
}
