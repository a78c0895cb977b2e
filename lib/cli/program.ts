/** The command line: every command with its options, from the files of `commands/`. */
import { Command, CommanderError, Option } from 'commander';
import { completion } from './commands/completion.ts';
import { configuration } from './commands/configuration.ts';
import { data } from './commands/data.ts';
import { demo } from './commands/demo.ts';
import { domains } from './commands/domains.ts';
import { events } from './commands/events.ts';
import { ips } from './commands/ips.ts';
import { keys } from './commands/keys.ts';
import { login } from './commands/login.ts';
import { messages } from './commands/messages.ts';
import { migration } from './commands/migration.ts';
import { orders } from './commands/orders.ts';
import { queue } from './commands/queue.ts';
import { send } from './commands/send.ts';
import { statistics } from './commands/statistics.ts';
import { suppressions } from './commands/suppressions.ts';
import { tenants } from './commands/tenants.ts';
import { type Act, Context, type Options, type Surroundings } from './context.ts';
import { CliError, EXIT, failureText } from './exit.ts';

/** Groups of commands, in the order of the help. A further one is a file of `commands/` and its line here. */
const GROUPS = [
  login,
  queue,
  messages,
  orders,
  configuration,
  ips,
  domains,
  keys,
  tenants,
  suppressions,
  statistics,
  events,
  data,
  migration,
  send,
  demo,
  completion,
] as const;

export function createProgram(around: Surroundings, version: string): Command {
  const program = new Command('postern')
    .description('Sees and steers a Postern service, over its /v1 API.')
    .version(version)
    .addOption(new Option('-p, --profile <name>', 'profile of the configuration file').helpGroup('Global:'))
    .addOption(new Option('--url <url>', 'the service, in place of that of the profile').helpGroup('Global:'))
    .addOption(new Option('--json', 'print the answer as JSON, for programs').helpGroup('Global:'))
    .addOption(new Option('-y, --yes', 'do not ask').helpGroup('Global:'))
    .exitOverride()
    .configureOutput({
      writeOut: (text) => void around.out.write(text),
      writeErr: (text) => void around.err.write(text),
      getOutHelpWidth: () => around.out.columns ?? 80,
    })
    .showHelpAfterError('Run with --help for what it takes.')
    .showSuggestionAfterError()
    .addHelpText(
      'after',
      '\nExit codes: 0 done, 1 refused, 2 wrong command line, 3 service away or busy, 4 no right, 5 findings, 130 Ctrl-C.',
    );
  const act: Act = (command, handler) =>
    command.action(async (...given: unknown[]) => {
      const self = given.at(-1) as Command;
      const args = given.slice(0, -2) as string[];
      await handler(new Context(around, self.optsWithGlobals() as Options), ...args);
    });
  for (const group of GROUPS) group(program, act);
  return program;
}

/** Runs a command line. @returns its exit code. */
export async function run(args: readonly string[], around: Surroundings, version: string): Promise<number> {
  const program = createProgram(around, version);
  try {
    await program.parseAsync(args, { from: 'user' });
    return EXIT.done;
  } catch (error) {
    // Readline takes Ctrl-C for itself while it asks.
    if (around.signal.aborted || (error as Error).name === 'AbortError') return EXIT.interrupted;
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.done : EXIT.usage;
    const failure = error instanceof CliError ? error : new CliError(EXIT.failed, (error as Error).message);
    around.err.write(failureText(failure));
    return failure.exit;
  }
}
