/** Profiles: the services that the command knows, each with a key. */
import type { Command } from 'commander';
import { Client } from '../client.ts';
import type { Act, Context } from '../context.ts';
import { usage } from '../exit.ts';
import { LOCAL, profilePath, readProfiles, writeProfiles } from '../profile.ts';

export function login(program: Command, act: Act): void {
  act(
    program
      .command('login')
      .helpGroup('Start:')
      .summary('keep a service and a key as a profile')
      .description(
        'Keep a service and a key as a profile. The key is asked for, or read from the standard input: <access key id>.<secret>, as the first start prints it.',
      )
      .option('--env', 'take POSTERN_KEY, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY'),
    keep,
  );
  act(
    program.command('profiles').helpGroup('Start:').description('The profiles, the current one marked'),
    list,
  );
  act(
    program
      .command('use')
      .helpGroup('Start:')
      .description('Make a profile the current one')
      .argument('<profile>'),
    use,
  );
}

async function keep(context: Context): Promise<void> {
  const { env, input } = context.around;
  const path = profilePath(env);
  const file = readProfiles(path);
  const name = context.text('profile') ?? 'default';
  const url = (context.text('url') ?? file.profiles[name]?.url ?? env.POSTERN_URL ?? LOCAL).replace(
    /\/+$/,
    '',
  );
  const key = (await givenKey(context, input.isTTY === true, url)).trim();
  if (!/^[^\s.]+\.\S+$/.test(key)) {
    throw usage('That is no key.', 'It is <access key id>.<secret>, the "Bearer token" of the first start.');
  }
  const self = await new Client(() => ({ url, key })).get('/keys/self');
  writeProfiles(path, { current: name, profiles: { ...file.profiles, [name]: { url, key } } });
  const rights = self.admin ? 'an administrator' : `tenant ${self.tenant}`;
  context.out.note(`Profile "${name}" in ${path}: ${url}, key ${self.id} of ${rights}.`);
}

async function givenKey(context: Context, terminal: boolean, url: string): Promise<string> {
  const { env } = context.around;
  if (context.options.env === true) {
    const ofSdk = env.AWS_ACCESS_KEY_ID && `${env.AWS_ACCESS_KEY_ID}.${env.AWS_SECRET_ACCESS_KEY ?? ''}`;
    return env.POSTERN_KEY ?? ofSdk ?? '';
  }
  if (!terminal) return context.standardInput();
  return context.ask(`Key for ${url} (<access key id>.<secret>, not shown): `, '', true);
}

function list({ around, out }: Context): void {
  const path = profilePath(around.env);
  const { current = 'default', profiles } = readProfiles(path);
  const rows = Object.entries(profiles).map(([name, { url, key }]) => ({
    name,
    url,
    key: key.split('.')[0]!,
    current: name === current,
  }));
  if (out.json) {
    out.value(rows);
    return;
  }
  out.table(
    [
      { title: '', cell: (row) => (row.current ? '*' : ' ') },
      { title: 'PROFILE', cell: ({ name }) => name },
      { title: 'SERVICE', cell: ({ url }) => url },
      { title: 'KEY', cell: ({ key }) => key, drop: 1 },
    ],
    rows,
    `There is no profile in ${path}. Run: postern login`,
  );
}

function use({ around, out }: Context, name: string): void {
  const path = profilePath(around.env);
  const file = readProfiles(path);
  if (file.profiles[name] === undefined) throw usage(`There is no profile "${name}" in ${path}.`);
  writeProfiles(path, { ...file, current: name });
  out.note(`"${name}" is the current profile.`);
}
