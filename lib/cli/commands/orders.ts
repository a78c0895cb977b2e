/** What an operator orders: mail that waits, bounces, goes by another pool, or is tried again. */
import type { Command } from 'commander';
import type { AnswerValue } from '../client.ts';
import type { Act, Context } from '../context.ts';
import { CliError, EXIT, usage } from '../exit.ts';
import { away, clockTime, spanGiven } from '../text.ts';

const MEMBERS = ['tenant', 'campaign', 'domain', 'provider', 'pool', 'ip', 'site'] as const;
/** What a retry can be for: the store does not know the address or the site of waiting mail. */
const RETRIED = MEMBERS.filter((one) => one !== 'ip' && one !== 'site');

type Match = Record<string, string>;

export function orders(program: Command, act: Act): void {
  const order = (name: string, description: string): Command =>
    matched(program.command(name).helpGroup('Steer:').description(description), MEMBERS)
      .option('--reason <text>', 'why, for whoever sees the directive')
      .option('--until <time>', 'when it ends by itself: a time, or how long from now as 2h')
      .option('--preview', 'show how much mail it touches, and change nothing');
  act(order('pause', 'Hold mail back; it keeps its place and leaves when the pause ends'), (context) =>
    give(context, { kind: 'suspend' }, 'hold back'),
  );
  act(order('bounce', 'End mail as bounced; its senders get the events'), (context) =>
    give(context, { kind: 'bounce' }, 'end as bounced'),
  );
  act(order('reroute', 'Send mail by another pool').argument('<to>', 'pool that it goes by'), (context, to) =>
    give(context, { kind: 'reroute', pool: to }, `send by pool ${to}`),
  );
  act(
    matched(
      program
        .command('resume')
        .helpGroup('Steer:')
        .description('End directives: one by its id, or those with exactly this match')
        .argument('[id]'),
      MEMBERS,
    ),
    resume,
  );
  act(
    program
      .command('directives')
      .helpGroup('See:')
      .description('Every order that holds mail back, moves it or slows it, from operators and from rules')
      .option('--tenant <tenant>', 'only those that name this tenant')
      .option('--provider <provider>', 'only those that name this provider')
      .option('--action <kind>', 'suspend, bounce, reroute or limit'),
    list,
  );
  act(
    matched(
      program.command('retry').helpGroup('Steer:').description('Try deferred mail again now'),
      RETRIED,
    ).option('--preview', 'show how much mail it touches, and change nothing'),
    retry,
  );
  act(
    program
      .command('forget')
      .helpGroup('Steer:')
      .description('Forget what was learnt of a site from its replies: rate, connections, back-off')
      .argument('<site>', 'as explain and queue name it'),
    forget,
  );
}

function matched(command: Command, members: readonly string[]): Command {
  for (const one of members) command.option(`--${one} <${one}>`, `mail of this ${one}`);
  return command.option('--all', 'all mail of every tenant');
}

/** The match of the options; `all` where it is all mail. @throws CliError when it names nothing. */
function matchOf(context: Context, members: readonly string[]): { match: Match; all?: true } {
  const match: Match = {};
  for (const one of members) {
    const value = context.text(one);
    if (value !== undefined) match[one] = value;
  }
  const named = Object.keys(match).length > 0;
  const all = context.options.all === true;
  if (named && all) throw usage('--all is all mail: leave out what names some of it.');
  if (named) return { match };
  if (all) return { match, all };
  throw usage(
    'Which mail? Nothing is named.',
    `Name some of ${members.map((one) => `--${one}`).join(', ')}, or --all.`,
  );
}

function matchText(match: Match): string {
  const parts = Object.entries(match).map(([name, value]) => `${name}=${value}`);
  return parts.length === 0 ? 'ALL MAIL OF EVERY TENANT' : parts.join(' ');
}

/** How much mail an order touches, in a sentence. */
function touched({ deferred, queued, inHand, complete, note }: AnswerValue): string {
  const least = complete ? '' : 'at least ';
  const here = inHand === undefined ? '' : `, ${inHand} in hand by that way`;
  const lanes = queued === undefined ? '' : `${least}${queued} queued, `;
  return `${lanes}${least}${deferred} deferred${here}${note === undefined ? '' : `. ${note}`}`;
}

async function give(context: Context, action: object, what: string): Promise<void> {
  const { client, out } = context;
  const scope = matchOf(context, MEMBERS);
  const until = untilOf(context);
  const figures = await client.post('/deliveries/count', scope);
  if (context.options.preview === true) {
    if (out.json) return out.value({ ...scope, action, waiting: figures });
    out.line(`${matchText(scope.match)}: ${touched(figures)}`);
    return;
  }
  await context.confirm(`To ${what}: ${matchText(scope.match)}\nIt touches ${touched(figures)}.\nGo on?`);
  const reason = context.text('reason') ?? 'Ordered with the command line';
  const directive = await client.post('/directives', { ...scope, action, reason, until });
  if (out.json) return out.value(directive);
  out.line(`${directive.id}  in force within two seconds. End it with: postern resume ${directive.id}`);
  if (directive.waiting?.hastened > 0)
    out.note(`${directive.waiting.hastened} deferred deliveries are looked at now.`);
}

function untilOf(context: Context): string | undefined {
  const given = context.text('until');
  if (given === undefined) return undefined;
  const ahead = spanGiven(given);
  if (ahead === undefined) return context.time('until');
  return new Date(context.now + ahead).toISOString();
}

async function resume(context: Context, id?: string): Promise<void> {
  const { client, out } = context;
  const ids = id === undefined ? await idsOf(context) : [id];
  for (const one of ids) {
    await client.call('DELETE', `/directives/${encodeURIComponent(one)}`);
    if (!out.json) out.line(`${one}  ended`);
  }
  if (out.json) out.value({ ended: ids });
}

/** Suspensions with exactly the match of the options. @throws CliError when there is none. */
async function idsOf(context: Context): Promise<string[]> {
  const { match } = matchOf(context, MEMBERS);
  const { directives } = await context.client.get('/directives', { ...match, action: 'suspend' });
  const same = (directives as AnswerValue[]).filter(
    (one) => Object.keys(one.match).length === Object.keys(match).length,
  );
  if (same.length > 0) return same.map(({ id }) => id);
  throw new CliError(
    EXIT.failed,
    `No pause has exactly the match ${matchText(match)}.`,
    'postern directives lists what is in force.',
  );
}

async function list(context: Context): Promise<void> {
  const { client, out, now } = context;
  const answer = await client.get('/directives', context.query('tenant', 'provider', 'action'));
  if (out.json) return out.value(answer);
  out.table<AnswerValue>(
    [
      { title: 'ID', cell: ({ id }) => id, drop: 3 },
      { title: 'ACTION', cell: ({ action }) => actionText(action) },
      { title: 'MAIL', cell: ({ match }) => matchText(match) },
      { title: 'ENDS', cell: ({ until }) => (until === undefined ? 'by hand' : away(until, now)) },
      { title: 'BY', cell: ({ origin }) => origin.rule ?? origin.operator, drop: 2 },
      { title: 'SINCE', cell: ({ at }) => clockTime(at), drop: 1 },
      { title: 'REASON', cell: ({ reason }) => reason },
    ],
    answer.directives,
    'Nothing holds mail back.',
  );
}

function actionText({ kind, pool, limits }: AnswerValue): string {
  if (kind === 'reroute') return `reroute to ${pool}`;
  if (kind !== 'limit') return kind;
  return Object.entries((limits ?? {}) as Record<string, number>)
    .map(([name, value]) => `${name} ${value}`)
    .join(', ');
}

async function retry(context: Context): Promise<void> {
  const { client, out } = context;
  const scope = matchOf(context, RETRIED);
  const preview = context.options.preview === true;
  if (preview || scope.all) {
    const figures = await client.post('/deliveries/count', scope);
    if (preview) {
      if (out.json) return out.value(figures);
      return out.line(`${matchText(scope.match)}: ${touched(figures)}`);
    }
    await context.confirm(`To try now: ${matchText(scope.match)}, ${figures.deferred} deferred. Go on?`);
  }
  const answer = await client.post('/deliveries/retry', scope);
  if (out.json) return out.value(answer);
  out.line(`${answer.hastened} deferred deliveries are tried now.`);
  if (answer.note !== undefined) out.note(answer.note);
}

async function forget({ client, out }: Context, site: string): Promise<void> {
  const answer = await client.post(`/sites/${encodeURIComponent(site)}/forget`);
  if (out.json) return out.value(answer);
  for (const { ip, lessons } of answer.sources as AnswerValue[])
    out.line(`${ip ?? 'default'}: forgot ${(lessons as string[]).join(', ')}`);
  const hosts = (answer.hosts as string[]).join(', ');
  if (hosts !== '') out.line(`How these hosts are spoken to is learnt anew: ${hosts}`);
  for (const id of answer.directives as string[]) out.line(`${id}  ended`);
  out.note(answer.note ?? 'Deferred mail keeps its time: postern retry tries it now.');
}
