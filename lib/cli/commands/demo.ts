/** A first look: a service of its own, a message through it, and where to go from there. */
import { once } from 'node:events';
import type { Command } from 'commander';
import { Client } from '../client.ts';
import type { Act, Context } from '../context.ts';
import { startDemo } from '../demo-service.ts';
import { CliError, EXIT, usage } from '../exit.ts';
import { followed } from './send.ts';

/** Time that the first message may take, ms. */
const PATIENCE = 20_000;
/** What of a message is shown, characters. */
const SHOWN = 1_500;

export function demo(program: Command, act: Act): void {
  act(
    program
      .command('demo')
      .helpGroup('Start:')
      .summary('try Postern without the internet')
      .description(
        'Start a service on data of its own, with a sink in place of the internet, and send a message through it. Ctrl-C ends it and removes the data.',
      )
      .option('--port <port>', 'port of the API; another one where it is taken', '8025')
      .option('--once', 'end when the message has arrived'),
    run,
  );
}

async function run(context: Context): Promise<void> {
  const { out, around } = context;
  const port = Number(context.text('port'));
  if (!Number.isInteger(port) || port < 0 || port > 65_535) throw usage('--port: a number from 0 to 65535.');
  out.progress('Starting…');
  let arrived = '';
  const service = await startDemo(port, (message) => {
    arrived = message.toString('utf8');
  });
  try {
    const client = new Client(() => service.profile);
    await client.post('/identities', { name: 'example.com' });
    const sent = await client.post('/messages', {
      from: 'Ann <ann@example.com>',
      to: ['bob@example.net'],
      subject: 'Hello from Postern',
      text: 'It was accepted, signed, queued and delivered over SMTP to the sink of this demo.\n',
    });
    const ended = await followed({ client, around, out }, sent.messages[0].id, PATIENCE);
    const [{ state, text, recipient }] = ended.deliveries;
    if (out.json) out.value(ended);
    else {
      out.line(
        arrived
          .replaceAll('\r', '')
          .replace(/[\x00-\x08\x0b-\x1f\x7f-\x9f]/g, '\ufffd')
          .slice(0, SHOWN)
          .trimEnd(),
      );
      out.line();
      out.line(`${recipient}  ${out.paint('green', state)}  ${text}`);
    }
    if (state !== 'delivered') throw new CliError(EXIT.failed, `The message is ${state}: ${text}`);
    if (context.options.once === true) return;
    const { url, key } = service.profile;
    out.note('');
    out.note(`  API      ${url}`);
    out.note(`  console  ${url}/console`);
    out.note('  In another terminal:');
    out.note(`    export POSTERN_URL=${url} POSTERN_KEY=${key}`);
    out.note(`    npx postern message ${ended.id}`);
    out.note('    npx postern top');
    out.note('  All mail goes to the sink. Ctrl-C ends it and removes its data.');
    if (!around.signal.aborted) await once(around.signal, 'abort');
  } finally {
    await service.stop();
  }
}
