/** One message and its timeline, the search for messages, and why mail waits. */
import type { Command } from 'commander';
import type { AnswerValue } from '../client.ts';
import type { Act, Context } from '../context.ts';
import type { Printer } from '../output.ts';
import { away, bytes, clockTime, span } from '../text.ts';

const STATES: Readonly<Record<string, 'green' | 'red' | 'yellow'>> = {
  delivered: 'green',
  bounced: 'red',
  expired: 'red',
  suppressed: 'red',
  deferred: 'yellow',
};

export function messages(program: Command, act: Act): void {
  act(
    program
      .command('message')
      .helpGroup('See:')
      .description('Where a message is and why: each delivery, each attempt with its SMTP replies')
      .argument('<id>')
      .option('--events', 'its events too'),
    message,
  );
  act(
    program
      .command('cancel')
      .helpGroup('Steer:')
      .description('Cancel what waits of a message')
      .argument('<id>'),
    cancel,
  );
  const search = program
    .command('search')
    .helpGroup('See:')
    .description('Messages, newest first')
    .argument('[recipient]', 'address that it was sent to');
  for (const [name, what] of [
    ['tenant', 'of this tenant'],
    ['sender', 'with this address in From'],
    ['subject', 'whose subject begins so'],
    ['campaign', 'of this campaign'],
    ['tag', 'with this tag, as name=value'],
    ['state', 'with a delivery in this state'],
    ['provider', 'with an attempt at this provider'],
    ['from', 'accepted at this time or later: a time, a day, or 2h'],
    ['to', 'accepted before this time'],
    ['after', 'the next page, as the page before named it'],
  ] as const)
    search.option(`--${name} <${name}>`, what);
  act(search.option('--max <messages>', 'at most', '50'), find);
  act(
    program
      .command('explain')
      .helpGroup('See:')
      .description('Why mail to a domain, or of a message, waits: every limit, and the one that binds')
      .argument('<domain|message>')
      .option('--tenant <tenant>', 'as for mail of this tenant')
      .option('--pool <pool>', 'as for mail of this pool')
      .option('--ip <ip>', 'only from this source address')
      .option('--campaign <campaign>', 'as for mail of this campaign')
      .option('--class <class>', 'transactional or bulk')
      .option('--all', 'every limit, also those that delay nothing'),
    explain,
  );
}

async function message(context: Context, id: string): Promise<void> {
  const { client, out } = context;
  const path = `/messages/${encodeURIComponent(id)}`;
  const found = await client.get(path);
  const listed = context.options.events === true ? (await client.get(`${path}/events`)).events : undefined;
  if (out.json) return out.value(listed === undefined ? found : { ...found, events: listed });
  out.pairs([
    ['Message', found.id],
    ['Accepted', `${clockTime(found.acceptedAt)}  by ${found.door}, key ${found.keyId}`],
    ['From', found.from],
    ['Subject', found.subject],
    ['Tenant', found.tenant],
    ['Campaign', found.campaign],
    ['Sent by', `pool ${found.pool}, ${found.class}, ${bytes(found.size)}`],
  ]);
  for (const delivery of found.deliveries as AnswerValue[]) showDelivery(delivery, context);
  for (const event of (listed ?? []) as AnswerValue[])
    out.line(`  ${event.eventType.padEnd(12)} ${JSON.stringify(event[event.eventType.toLowerCase()] ?? {})}`);
}

function showDelivery(delivery: AnswerValue, { out, now }: Context): void {
  out.line();
  out.line(`${delivery.recipient}  ${stateText(out, delivery.state)}`);
  if (delivery.state !== 'delivered')
    out.pairs([
      ['  Why', delivery.text],
      ['  Do', delivery.action],
    ]);
  if (delivery.nextAttemptAt) out.line(`  Looked at again ${away(delivery.nextAttemptAt, now)}`);
  for (const [i, attempt] of (delivery.attempts as AnswerValue[]).entries()) {
    const { mx, tls, sourceIp, durationMs } = attempt;
    const to = mx === undefined ? '' : `  ${sourceIp ?? ''} → ${mx.host} [${mx.address}]`;
    const secured =
      tls === undefined ? (mx ? '  in clear' : '') : `  ${tls.protocol}${tls.verified ? ', verified' : ''}`;
    out.line(
      `  ${i + 1}. ${clockTime(attempt.at)}  ${stateText(out, attempt.state)}  ${span(durationMs)}${to}${secured}`,
    );
    const replies = attempt.replies as AnswerValue[];
    for (const { phase, code, text } of replies) out.pairs([[`     ${phase.padEnd(8)}`, `${code} ${text}`]]);
    if (replies.length === 0) out.pairs([['     ', attempt.text]]);
    if (attempt.uncertain) out.line('     All was sent and no reply was read: it may have arrived.');
  }
}

function stateText(out: Printer, state: string): string {
  const colour = STATES[state];
  return colour === undefined ? state : out.paint(colour, state);
}

async function cancel({ client, out }: Context, id: string): Promise<void> {
  const answer = await client.post(`/messages/${encodeURIComponent(id)}/cancel`);
  if (out.json) return out.value(answer);
  for (const { recipient } of answer.cancelled as AnswerValue[]) out.line(`${recipient}  cancelled`);
  for (const { recipient, state, text } of answer.tooLate as AnswerValue[])
    out.line(`${recipient}  too late: ${state}, ${text}`);
}

async function find(context: Context, recipient?: string): Promise<void> {
  const { client, out } = context;
  const names = ['tenant', 'sender', 'subject', 'campaign', 'tag', 'state', 'provider', 'after', 'max'];
  const query = { ...context.query(...names), recipient, from: context.time('from'), to: context.time('to') };
  const answer = await client.get('/messages', query);
  if (out.json) return out.value(answer);
  out.table<AnswerValue>(
    [
      { title: 'ACCEPTED', cell: ({ acceptedAt }) => clockTime(acceptedAt) },
      { title: 'ID', cell: ({ id }) => id },
      { title: 'FROM', cell: ({ from }) => from, drop: 2 },
      { title: 'TO', cell: ({ deliveries, recipients }) => recipientsText(deliveries, recipients) },
      {
        title: 'STATE',
        cell: ({ deliveries }) =>
          [...new Set((deliveries as AnswerValue[]).map(({ state }) => state))].join(', '),
      },
      { title: 'SUBJECT', cell: ({ subject }) => subject, drop: 1 },
    ],
    answer.messages,
    'No message was found.',
  );
  if (answer.next !== undefined) out.note(`More: --after ${answer.next}`);
}

function recipientsText(deliveries: AnswerValue[], count: number): string {
  const first = deliveries[0]?.recipient ?? '';
  return count > 1 ? `${first} and ${count - 1} more` : first;
}

async function explain(context: Context, what: string): Promise<void> {
  const { client, out, now } = context;
  // No domain has a hyphen-separated id of this form, and no id has a dot.
  const about = what.includes('.') ? { domain: what.replace(/^.*@/, '') } : { message: what };
  const query = { ...about, ...context.query('tenant', 'pool', 'ip', 'campaign', 'class') };
  const answer = await client.get('/shaping/explain', query);
  if (out.json) return out.value(answer);
  const explanations = answer.explanations as AnswerValue[];
  if (explanations.length === 0) out.note('No delivery of it waits.');
  for (const [i, one] of explanations.entries()) {
    if (i > 0) out.line();
    const { binding } = one;
    out.pairs([
      ['To', [one.recipient, one.site, `(${one.provider})`].filter(Boolean).join('  ')],
      ['From', one.ip ?? "the host's default address"],
      ['Waiting', one.waiting],
      [
        'Binds',
        binding
          ? `${binding.limit} ${binding.value}, set by ${binding.origin}`
          : 'nothing: the next message may go now',
      ],
      ['Next', binding && away(one.nextAt, now)],
    ]);
    const limits = (one.limits as AnswerValue[]).filter(
      ({ waitMs, used }) => context.options.all === true || waitMs !== undefined || used !== undefined,
    );
    out.line();
    out.table<AnswerValue>(
      [
        { title: 'LIMIT', cell: ({ limit }) => limit },
        { title: 'VALUE', cell: ({ value }) => value },
        { title: 'SET BY', cell: ({ origin }) => origin, drop: 1 },
        { title: 'USED', cell: ({ used }) => used, drop: 2 },
        { title: 'WAITS', cell: ({ waitMs }) => (waitMs === undefined ? '' : span(waitMs)), right: true },
      ],
      limits,
      'No limit is in use.',
    );
  }
}
