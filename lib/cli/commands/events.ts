/** Events: read, followed, sent once more. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Command } from 'commander';
import type { AnswerValue } from '../client.ts';
import type { Act, Context } from '../context.ts';
import { CliError, EXIT } from '../exit.ts';
import { clockTime } from '../text.ts';

/** Between two looks where the service streams nothing, and before a stream is opened again, ms. */
const PAUSE = 2_000;

export function events(program: Command, act: Act): void {
  const command = program
    .command('events')
    .helpGroup('See:')
    .description('Events, one a line: what was sent, delivered, bounced, opened')
    .option('-f, --follow', 'go on as they happen')
    .option('--after <cursor>', 'behind this cursor; with --follow absent: from now on')
    .option('--max <events>', 'at most', '100');
  for (const [name, what] of [
    ['type', 'only of these types, with commas, as BOUNCE,COMPLAINT'],
    ['tenant', 'only of this tenant'],
    ['recipient', 'only about this address'],
    ['message', 'only of this message'],
    ['tag', 'only with this tag, as name=value'],
  ] as const)
    command.option(`--${name} <${name}>`, what);
  act(
    command
      .option('--from <time>', 'only what happened since: a time, a day, or 2h')
      .option('--to <time>', 'only what happened before'),
    read,
  );
  act(
    program
      .command('destinations')
      .helpGroup('See:')
      .description('Where events are sent, and how each destination stands'),
    destinations,
  );
  act(
    program
      .command('replay')
      .helpGroup('Steer:')
      .description('Send the events of a time to a destination once more')
      .argument('<destination>', 'its id')
      .requiredOption('--from <time>', 'start: a time, a day, or 2h')
      .option('--to <time>', 'end; absent: now'),
    replay,
  );
}

async function read(context: Context): Promise<void> {
  const { client, out } = context;
  const names = ['type', 'tenant', 'recipient', 'message', 'tag'];
  const query = { ...context.query(...names), from: context.time('from'), to: context.time('to') };
  if (context.options.follow === true) return follow(context, query);
  const page = await client.get('/events', { ...query, ...context.query('after', 'max') });
  if (out.json) return out.value(page);
  for (const event of page.events as AnswerValue[]) print(context, event);
  out.note(`${page.more ? 'There is more' : 'Up to now'}: --after ${page.cursor}`);
}

async function follow(context: Context, query: Record<string, string | undefined>): Promise<void> {
  const { client, out, around } = context;
  const { signal } = around;
  let after = context.text('after') ?? 'latest';
  let away = false;
  for (;;) {
    try {
      // A stream is opened first: it answers at once, and says where it began.
      for await (const event of stream(context, query, after)) {
        if (away) out.note('The service is there again.');
        away = false;
        if (event.cursor !== undefined) after = event.cursor;
        if (event.event !== undefined) print(context, event);
      }
    } catch (error) {
      if (signal.aborted) throw error;
      if (!(error instanceof CliError)) {
        away = true;
      } else if (/streams no events/.test(error.message)) {
        const page = await client.get('/events', { ...query, after, max: 500 });
        for (const event of page.events as AnswerValue[]) print(context, event);
        after = page.cursor;
        if (page.more) continue;
      } else if (error.exit === EXIT.unreachable) {
        if (!away) out.note(`${error.message} It is tried again.`);
        away = true;
      } else throw error;
    }
    await sleep(PAUSE, undefined, { signal });
  }
}

/** Events of a stream (WHATWG HTML §9.2); one without `event` is a cursor alone. */
async function* stream(
  { client, around }: Context,
  query: Record<string, string | undefined>,
  after: string,
): AsyncGenerator<AnswerValue> {
  const headers = { accept: 'text/event-stream' };
  const response = await client.open('GET', '/events', {
    query: { ...query, after },
    headers,
    signal: around.signal,
  });
  const decoder = new TextDecoder();
  let rest = '';
  for await (const chunk of response.body as unknown as AsyncIterable<Uint8Array>) {
    rest += decoder.decode(chunk, { stream: true });
    for (let end = rest.indexOf('\n\n'); end >= 0; end = rest.indexOf('\n\n')) {
      const block = rest.slice(0, end);
      rest = rest.slice(end + 2);
      const data = /^data: ?(.*)$/m.exec(block)?.[1];
      const cursor = /^id: ?(.*)$/m.exec(block)?.[1];
      if (data !== undefined) yield { ...JSON.parse(data), cursor };
      else if (cursor !== undefined) yield { cursor };
    }
  }
}

function print({ out }: Context, event: AnswerValue): void {
  if (out.json) {
    out.line(JSON.stringify(event));
    return;
  }
  const { at, type, tenant, messageId } = event;
  const { mail = {} } = event.event ?? {};
  const to = ((mail.destination ?? []) as string[]).join(',');
  out.line(
    `${clockTime(at)}  ${out.paint('bold', String(type).padEnd(10))}  ${tenant}  ${to}  ${messageId}  ${detailOf(event.event)}`.trimEnd(),
  );
}

function detailOf(event: AnswerValue): string {
  const { bounce, deliveryDelay, delivery, complaint, reject } = event ?? {};
  const [bounced] = (bounce?.bouncedRecipients ?? deliveryDelay?.delayedRecipients ?? []) as AnswerValue[];
  return (
    bounced?.diagnosticCode ??
    delivery?.smtpResponse ??
    complaint?.complaintFeedbackType ??
    reject?.reason ??
    ''
  ).replace(/[\x00-\x1f\x7f-\x9f]+/g, ' ');
}

async function destinations({ client, out }: Context): Promise<void> {
  const answer = await client.get('/event-destinations');
  if (out.json) return out.value(answer);
  out.table<AnswerValue>(
    [
      { title: 'ID', cell: ({ id }) => id },
      { title: 'NAME', cell: ({ name }) => name },
      { title: 'KIND', cell: ({ target }) => target.kind },
      {
        title: 'STATE',
        cell: ({ enabled, disabledBecause, health }) => stateOf(enabled, disabledBecause, health),
      },
      { title: 'WAITING', cell: ({ health }) => health?.waiting, right: true, drop: 1 },
      { title: 'TAKEN', cell: ({ health }) => health?.taken, right: true, drop: 2 },
      { title: 'DROPPED', cell: ({ health }) => health?.dropped, right: true, drop: 2 },
    ],
    answer.eventDestinations,
    'Events are sent nowhere.',
  );
}

function stateOf(enabled: boolean, because: string | undefined, health: AnswerValue): string {
  if (!enabled) return `off${because ? `: ${because}` : ''}`;
  if (health?.replaying) return 'replaying';
  return health?.failures > 0 ? `failing: ${health.lastError ?? ''}` : 'on';
}

async function replay(context: Context, id: string): Promise<void> {
  const { client, out } = context;
  const body = { from: context.time('from'), to: context.time('to') };
  const answer = await client.post(`/event-destinations/${encodeURIComponent(id)}/replay`, body);
  if (out.json) return out.value(answer);
  out.note(`The replay to ${answer.name} has begun: postern destinations shows how it stands.`);
}
