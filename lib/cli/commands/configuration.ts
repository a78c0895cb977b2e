/** Configuration documents: seen, changed with what changes shown first, their versions, and the way back. */
import { readFileSync } from 'node:fs';
import type { Command } from 'commander';
import type { AnswerValue } from '../client.ts';
import type { Act, Context } from '../context.ts';
import { difference, edited } from '../document-edit.ts';
import { CliError, EXIT, usage } from '../exit.ts';
import { clockTime } from '../text.ts';

const KINDS: Readonly<Record<string, string>> = {
  limits: 'Limits by provider, domain, tenant and pool',
  routing: 'Pools and splits',
  automation: 'Rules on replies',
  protection: 'Thresholds at which a tenant is paused',
};
const NAME = 'default';

export function configuration(program: Command, act: Act): void {
  for (const [kind, what] of Object.entries(KINDS)) {
    documentCommands(
      program.command(kind).helpGroup('Configure:').description(`${what}: get, set, history, diff, rollback`),
      kind,
      act,
    );
  }
}

/** The commands of one kind of document. */
export function documentCommands(command: Command, kind: string, act: Act): void {
  act(command.command('get').description('The document in force'), (context) => get(context, kind));
  act(
    command
      .command('set')
      .description(
        `Change it: from a file, the standard input (-), or single values as providers/google/messageRate=10/s`,
      )
      .argument('<file|path=value...>')
      .option('--preview', 'show what would change, and change nothing'),
    (context, ...given) => set(context, kind, given.flat()),
  );
  act(command.command('history').description('Its versions: when, and by which key'), (context) =>
    history(context, kind),
  );
  act(
    command
      .command('diff')
      .description('What a version changed; without one, the latest')
      .argument('[version]'),
    (context, version) => diff(context, kind, version),
  );
  act(
    command
      .command('rollback')
      .description('Bring an earlier version back, as a new one')
      .argument('[version]', 'absent: the one before'),
    (context, version) => rollBack(context, kind, version),
  );
}

const pathOf = (kind: string): string => `/config/${kind}/${NAME}`;

async function get({ client, out }: Context, kind: string): Promise<void> {
  const found = await stored(client, kind);
  if (found.version === 0) return out.note(`There is no ${kind} document: the built-in values hold.`);
  if (out.json) return out.value(found);
  out.note(`Version ${found.version}, ${clockTime(found.at)}, by ${found.by}`);
  for (const problem of (found.problems ?? []) as string[]) out.note(`NOT IN FORCE: ${problem}`);
  out.line(JSON.stringify(found.value ?? {}, null, 2));
}

/** The latest version; version 0 where there is none. */
async function stored(client: Context['client'], kind: string): Promise<AnswerValue> {
  try {
    return await client.get(pathOf(kind));
  } catch (error) {
    if (
      error instanceof CliError &&
      error.exit === EXIT.failed &&
      /^There is no \w+ document/.test(error.message)
    )
      return { version: 0, value: undefined };
    throw error;
  }
}

async function set(context: Context, kind: string, given: readonly string[]): Promise<void> {
  const { client, out } = context;
  const before = await stored(client, kind);
  const value = given.every((one) => one.includes('='))
    ? edited(before.value, given)
    : await read(context, given);
  const changes = difference(before.value ?? {}, value);
  if (changes.length === 0) return out.note('Nothing changes.');
  const print = out.json ? out.note.bind(out) : out.line.bind(out);
  for (const change of changes) print(out.paint(change.startsWith('+') ? 'green' : 'red', change));
  if (context.options.preview === true) return;
  await context.confirm(`Change ${kind}, version ${before.version}?`);
  const headers = { 'if-match': `"${before.version}"` };
  const after = await client.call('PUT', pathOf(kind), { body: value, headers });
  if (out.json) return out.value(after);
  out.note(
    `Version ${after.version} is in force everywhere within a second. Back with: postern ${kind} rollback`,
  );
}

async function read(context: Context, given: readonly string[]): Promise<unknown> {
  const [file, ...more] = given;
  if (more.length > 0) throw usage('One file, or changes as path=value, and not both.');
  const text = file === '-' ? await context.standardInput() : textOf(file!);
  try {
    return JSON.parse(text);
  } catch (error) {
    throw usage(`${file === '-' ? 'The standard input' : file} is no JSON: ${(error as Error).message}`);
  }
}

function textOf(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw usage(`${file} cannot be read: ${(error as Error).message}`);
  }
}

async function history({ client, out }: Context, kind: string): Promise<void> {
  const { versions } = await client.get(`${pathOf(kind)}/history`);
  if (out.json) return out.value({ versions });
  const all = versions as AnswerValue[];
  out.table<AnswerValue>(
    [
      { title: 'VERSION', cell: ({ version }) => version, right: true },
      { title: 'AT', cell: ({ at }) => clockTime(at) },
      { title: 'BY', cell: ({ by }) => by },
      {
        title: 'CHANGED',
        cell(row) {
          if (row.removed) return 'removed';
          const lines = difference(all[all.indexOf(row) + 1]?.value ?? {}, row.value ?? {});
          return [...new Set(lines.map((line) => line.slice(2).split(':')[0]))].join(' ');
        },
      },
    ],
    all,
    'There is no version.',
  );
}

async function diff({ client, out }: Context, kind: string, given?: string): Promise<void> {
  const { versions } = await client.get(`${pathOf(kind)}/history`);
  const all = versions as AnswerValue[];
  const at = given === undefined ? 0 : all.findIndex(({ version }) => String(version) === given);
  if (at < 0) {
    throw new CliError(
      EXIT.failed,
      `There is no version ${given}.`,
      `Kept: ${all.map(({ version }) => version).join(', ')}`,
    );
  }
  const lines = difference(all[at + 1]?.value ?? {}, all[at].value ?? {});
  if (out.json) return out.value({ version: all[at].version, changes: lines });
  for (const line of lines) out.line(out.paint(line.startsWith('+') ? 'green' : 'red', line));
  if (lines.length === 0) out.note('It changed nothing.');
}

async function rollBack(context: Context, kind: string, given?: string): Promise<void> {
  const { client, out } = context;
  const version = given === undefined ? undefined : Number(given);
  if (version !== undefined && !Number.isInteger(version)) throw usage(`"${given}" is no version.`);
  const { versions } = await client.get(`${pathOf(kind)}/history`);
  const [current, ...earlier] = versions as AnswerValue[];
  const target = version === undefined ? earlier[0] : earlier.find((one) => one.version === version);
  for (const line of target ? difference(current.value ?? {}, target.value ?? {}) : []) out.note(line);
  await context.confirm(`Bring ${kind} back to version ${target?.version ?? given ?? '(none)'}?`);
  const headers = { 'if-match': `"${current.version}"` };
  const body = version === undefined ? {} : { version };
  const after = await client.call('POST', `${pathOf(kind)}/rollback`, { body, headers });
  if (out.json) return out.value(after);
  out.note(`Version ${after.version} is in force everywhere within a second.`);
}
