/** Sends a message, and follows it to its end if asked. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Command } from 'commander';
import type { AnswerValue } from '../client.ts';
import type { Act, Context } from '../context.ts';
import { CliError, EXIT, usage } from '../exit.ts';

/** Between two looks at a message, ms. */
const LOOK = 250;
const ENDED = new Set(['delivered', 'bounced', 'expired', 'suppressed', 'cancelled']);

export function send(program: Command, act: Act): void {
  act(
    program
      .command('send')
      .helpGroup('Start:')
      .summary('send a message')
      .description('Send a message. The text is read from the standard input where no --text is given.')
      .argument('<to...>', 'recipients')
      .requiredOption('--from <address>', 'sender: an address of an identity (postern domain add)')
      .option('--subject <text>', 'subject', 'A message from Postern')
      .option('--text <text>', 'plain text')
      .option('--html <html>', 'HTML')
      .option('--campaign <campaign>', 'campaign that it is part of')
      .option('--tenant <tenant>', 'tenant that it is sent for')
      .option('--bulk', 'as bulk mail')
      .option('--wait <seconds>', 'follow it until it has ended, at most so long'),
    async (context, ...to) => {
      const sent = await message(context, to.flat());
      const wait = context.text('wait');
      if (wait === undefined) {
        if (context.out.json) return context.out.value(sent);
        for (const { id } of sent.messages as AnswerValue[]) context.out.line(id);
        return context.out.note(`Where it is: postern message ${sent.messages[0].id}`);
      }
      const limit = Number(wait);
      if (!(limit > 0)) throw usage('--wait: a number of seconds.');
      const ended = await followed(context, sent.messages[0].id, limit * 1_000);
      if (context.out.json) context.out.value(ended);
      for (const { recipient, state, text } of context.out.json ? [] : (ended.deliveries as AnswerValue[]))
        context.out.line(`${recipient}  ${state}  ${text}`);
      if ((ended.deliveries as AnswerValue[]).some(({ state }) => state !== 'delivered'))
        throw new CliError(EXIT.failed, `Not all of it is delivered: postern message ${ended.id}`);
    },
  );
}

async function message(context: Context, to: string[]): Promise<AnswerValue> {
  const { around, options } = context;
  const given = context.query('from', 'subject', 'text', 'html', 'campaign', 'tenant');
  if (given.text === undefined && given.html === undefined) {
    if (around.input.isTTY === true) throw usage('What text? --text "…", or through the standard input.');
    return post(context, { ...given, to, text: await context.standardInput() }, options.bulk === true);
  }
  return post(context, { ...given, to }, options.bulk === true);
}

function post({ client }: Pick<Context, 'client'>, request: object, bulk: boolean): Promise<AnswerValue> {
  return client.post('/messages', { ...request, ...(bulk && { class: 'bulk' }) });
}

/** The message when all of its deliveries have ended, or when the time is over. */
export async function followed(
  { client, around, out }: Pick<Context, 'client' | 'around' | 'out'>,
  id: string,
  limit: number,
): Promise<AnswerValue> {
  for (const end = around.now() + limit; ; ) {
    const found = await client.get(`/messages/${encodeURIComponent(id)}`);
    const deliveries = found.deliveries as AnswerValue[];
    if (deliveries.every(({ state }) => ENDED.has(state)) || around.now() > end) return found;
    out.progress(`${deliveries.map(({ state }) => state).join(', ')}: ${deliveries[0].text}`);
    await sleep(LOOK, undefined, { signal: around.signal });
  }
}
