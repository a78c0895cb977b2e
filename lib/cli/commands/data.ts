/** The data and the health of an installation: backup, restore, doctor. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Command } from 'commander';
import type { AnswerValue } from '../client.ts';
import type { Act, Context } from '../context.ts';
import { CliError, EXIT } from '../exit.ts';
import { findings } from '../findings.ts';
import { bytes, clockTime, span } from '../text.ts';

/** Between two looks at long work, ms. */
const LOOK = 500;

export function data(program: Command, act: Act): void {
  act(
    program
      .command('doctor')
      .helpGroup('See:')
      .description(
        'What is wrong with this installation, why it matters, and what mends it (exit code 5: something is)',
      )
      .option('--refresh', 'look again, even if the last look was minutes ago'),
    doctor,
  );
  act(
    program
      .command('backup')
      .helpGroup('Data:')
      .description(
        'A consistent copy of the running store, with the keys that open it, on the host of the service',
      )
      .option('--list', 'the backups that there are'),
    backup,
  );
  act(
    program
      .command('restore')
      .helpGroup('Data:')
      .description(
        'Restore a backup into an empty data directory of this host; it starts with all sending paused',
      )
      .argument('<backup>', 'directory of the backup')
      .requiredOption('--data <directory>', 'the new data directory'),
    restore,
  );
}

async function doctor(context: Context): Promise<void> {
  const { client, out } = context;
  out.progress('Looking at DNS, port 25, disk, clock…');
  const report = await client.get('/health', {
    refresh: context.options.refresh === true ? true : undefined,
  });
  if (out.json) out.value(report);
  else {
    findings(out, report.findings);
    for (const { name, state, text } of report.checks as AnswerValue[])
      if (state !== 'done') out.note(`${name}: ${state}${text ? `, ${text}` : ''}`);
    out.note(`As of ${clockTime(report.checkedAt)}.`);
  }
  if (!report.ok) throw new CliError(EXIT.findings, 'The doctor found faults.');
}

async function backup(context: Context): Promise<void> {
  const { client, out, around } = context;
  if (context.options.list === true) return list(context);
  let found = await client.post('/backups');
  while (found.state === 'running') {
    const share = found.of > 0 ? ` (${Math.min(100, Math.floor((found.bytes / found.of) * 100))} %)` : '';
    out.progress(`${bytes(found.bytes)} of ${bytes(found.of)}${share}`);
    await sleep(LOOK, undefined, { signal: around.signal });
    found = await client.get(`/backups/${encodeURIComponent(found.id)}`);
  }
  if (found.state !== 'done') throw new CliError(EXIT.failed, `The backup failed: ${found.error}`);
  if (out.json) return out.value(found);
  out.line(found.directory);
  const took = span(Date.parse(found.endedAt) - Date.parse(found.startedAt));
  out.note(`${bytes(found.bytes)} in ${took}. It holds the master key: keep it safe, and on another disk.`);
  out.note(`Restored with: postern restore ${found.directory} --data <new directory>`);
}

async function list({ client, out }: Context): Promise<void> {
  const answer = await client.get('/backups');
  if (out.json) return out.value(answer);
  out.table<AnswerValue>(
    [
      { title: 'AT', cell: ({ startedAt }) => clockTime(startedAt) },
      { title: 'STATE', cell: ({ state }) => state },
      { title: 'SIZE', cell: (row) => bytes(row.bytes), right: true },
      { title: 'DIRECTORY', cell: ({ directory, error }) => (error ? `${directory}: ${error}` : directory) },
    ],
    answer.backups,
    'There is no backup.',
  );
}

async function restore(context: Context, directory: string): Promise<void> {
  const { out } = context;
  const target = context.text('data')!;
  // Loaded here alone: every other command is done without a store.
  const [{ restoreBackup }, { systemClock }] = await Promise.all([
    import('../../control/backup/restore.ts'),
    import('../../time.ts'),
  ]);
  const done = await restoreBackup(directory, target, systemClock, (what) => out.progress(`${what}…`));
  if (out.json) return out.value(done);
  const waiting = (done.counts.queue ?? 0) + (done.counts.ledger ?? 0);
  out.line(
    `${target}: ${bytes(done.bytes)}, as of ${clockTime(new Date(done.at).toISOString())}, ${waiting} deliveries wait.`,
  );
  out.note(
    `All sending is paused. Start it with POSTERN_DATA=${target} npm start, look at postern queue, then:`,
  );
  out.note(`  postern resume ${done.directive}`);
}
