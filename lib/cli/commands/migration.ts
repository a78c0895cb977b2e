/** The way in from another product, and the split of traffic while its server is left. */
import { Argument, type Command } from 'commander';
import type { TargetOptions } from '../../importers/target.ts';
import type { Act, Context } from '../context.ts';
import { CliError, EXIT, usage } from '../exit.ts';
import { chosenProfile } from '../profile.ts';

/** As `lib/importers` has them; it is loaded when it is needed, because it brings an SDK. */
const PRODUCTS = ['postfix', 'exim', 'powermta', 'kumomta', 'ses'] as const;

export function migration(program: Command, act: Act): void {
  act(
    program
      .command('import')
      .helpGroup('Data:')
      .summary("read another product's configuration")
      .description(
        "Read another product's configuration, line by line: what is taken, changed, or not possible and what to do instead. Nothing is changed without --apply.",
      )
      .addArgument(new Argument('<product>', 'which').choices(PRODUCTS))
      .argument('[path]', 'file or directory; for ses another endpoint than Amazon’s')
      .option('--apply', 'write it to the service')
      .option('--root <directory>', 'directory below which files that it names may be read')
      .option('--region <region>', 'region of the SES account')
      .option('--all', 'also what does not concern sending'),
    load,
  );
  act(
    program
      .command('split')
      .helpGroup('Data:')
      .summary('share traffic with the former server')
      .description(
        'How much of a pool’s mail Postern sends itself while the former server takes the rest: a percentage, back (none), or end (all, and no split). Without one it is shown.',
      )
      .argument('[share]', 'percent, back or end')
      .option('--relay <host:port>', 'the former server; absent: that of before')
      .option('--pool <pool>', 'pool whose mail is split')
      .option('--tenants <tenants>', 'tenants whose mail Postern always sends itself, with commas')
      .option('--bounces <percent>', 'of bounces, from which on all mail goes back')
      .option('--deferrals <percent>', 'of deferrals, from which on all mail goes back')
      .option('--volume <attempts>', 'below which a rate means nothing'),
    split,
  );
}

async function load(context: Context, product: string, path?: string): Promise<void> {
  const { out, options } = context;
  const apply = options.apply === true;
  const { runImport } = await import('../../importers/import.ts');
  if (apply) await context.confirm(`Write what ${path ?? product} says to ${context.client.url}?`);
  const code = await runImport(
    {
      product: product as (typeof PRODUCTS)[number],
      path,
      root: context.text('root'),
      region: context.text('region'),
      apply,
      all: options.all === true,
      json: out.json,
      target: targetOf(context, apply),
    },
    (line) => out.line(line),
    (line) => out.note(line),
  );
  if (code !== EXIT.done) throw new CliError(code, 'The import found faults.');
}

async function split(context: Context, given?: string): Promise<void> {
  const { out } = context;
  const share = given === undefined || given === 'back' || given === 'end' ? given : percent('share', given);
  const bound = (name: string): number | undefined => {
    const value = context.text(name);
    return value === undefined ? undefined : percent(`--${name}`, value);
  };
  const volume = context.text('volume');
  if (volume !== undefined && !/^\d{1,9}$/.test(volume)) throw usage('--volume: a number of attempts.');
  if (share !== undefined)
    await context.confirm(`Split the mail of pool ${context.text('pool') ?? 'default'}: ${given}?`);
  const { runSplit } = await import('../../importers/split.ts');
  const code = await runSplit(
    {
      share,
      relay: context.text('relay'),
      pool: context.text('pool'),
      tenants: context.text('tenants')?.split(','),
      bounces: bound('bounces'),
      deferrals: bound('deferrals'),
      volume: volume === undefined ? undefined : Number(volume),
      target: targetOf(context, true)!,
    },
    (line) => out.line(line),
    (line) => out.note(line),
  );
  if (code !== EXIT.done) throw new CliError(code, 'The split was not changed.');
}

function percent(name: string, text: string): number {
  const value = Number(text);
  if (text !== '' && value >= 0 && value <= 100) return value;
  throw usage(`${name}: a percentage from 0 to 100, and not "${text}".`);
}

/** The service; without a key, and where none is needed, undefined. @throws CliError */
function targetOf({ around, options }: Context, needed: boolean): TargetOptions | undefined {
  const { profile, url } = options as { profile?: string; url?: string };
  try {
    const chosen = chosenProfile(around.env, { profile, url });
    const dot = chosen.key.indexOf('.');
    return {
      url: chosen.url,
      accessKeyId: chosen.key.slice(0, dot),
      secretAccessKey: chosen.key.slice(dot + 1),
      region: around.env.AWS_REGION,
    };
  } catch (error) {
    if (!needed && error instanceof CliError && error.exit === EXIT.access) return undefined;
    throw error;
  }
}
