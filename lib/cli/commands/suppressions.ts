/** Suppression lists: looked into, changed, as files both ways, and an import taken back. */
import { createReadStream, createWriteStream, statSync } from 'node:fs';
import { Readable, Transform } from 'node:stream';
import type { Command } from 'commander';
import type { AnswerValue } from '../client.ts';
import type { Act, Context } from '../context.ts';
import { CliError, EXIT, usage } from '../exit.ts';
import { bytes, clockTime } from '../text.ts';

export function suppressions(program: Command, act: Act): void {
  const list = program
    .command('suppression')
    .helpGroup('Configure:')
    .description('Suppression lists: show, add, remove, import, export, undo');
  const owned = (command: Command): Command =>
    command.option('--tenant <tenant>', 'whose list; default is the account');
  act(
    owned(
      list
        .command('show')
        .description('Whether an address is on the list, since when and why')
        .argument('<address>'),
    ),
    show,
  );
  act(
    owned(list.command('add').description('Put an address on the list').argument('<address>')).option(
      '--reason <reason>',
      'BOUNCE or COMPLAINT',
      'BOUNCE',
    ),
    async (context, address) => {
      const body = { reason: context.text('reason') };
      const entry = await context.client.call('PUT', pathOf(address), {
        body,
        query: context.query('tenant'),
      });
      if (context.out.json) return context.out.value(entry);
      context.out.note(`${entry.address} is on the list of ${entry.tenant}.`);
    },
  );
  act(
    owned(list.command('remove').description('Take an address off').argument('<address>')),
    async (context, address) => {
      await context.client.call('DELETE', pathOf(address), { query: context.query('tenant') });
      context.out.note(`${address} may be sent to.`);
    },
  );
  act(
    owned(
      list
        .command('import')
        .description(
          'Put the addresses of a file on the list: CSV, one a line, JSON lines, PowerMTA accounting (- is the standard input)',
        )
        .argument('<file>'),
    )
      .option('--reason <reason>', 'for rows that name none: BOUNCE or COMPLAINT')
      .option('--format <format>', 'csv or jsonl; else by the name of the file')
      .option('--action <action>', 'put, or delete to take them off', 'put'),
    load,
  );
  act(
    owned(
      list
        .command('export')
        .description('The list as CSV or JSON lines')
        .argument('[file]', 'absent: the standard output'),
    )
      .option('--reason <reason>', 'only for this: BOUNCE or COMPLAINT')
      .option('--from <time>', 'only what was listed since: a time, a day, or 2h')
      .option('--before <time>', 'only what was listed before')
      .option('--format <format>', 'csv or jsonl', 'csv'),
    save,
  );
  act(
    owned(
      list
        .command('undo')
        .description(
          'Take off what an import, or a person, put there within a time; what bounced or complained stays',
        ),
    )
      .requiredOption('--from <time>', 'start: a time, or how long ago as 15m')
      .option('--before <time>', 'end; absent: now')
      .option('--reason <reason>', 'only for this: BOUNCE or COMPLAINT')
      .option('--preview', 'count, and change nothing'),
    undo,
  );
}

const pathOf = (address: string): string => `/suppressions/${encodeURIComponent(address)}`;

async function show(context: Context, address: string): Promise<void> {
  const { client, out } = context;
  const entry = await client.get(pathOf(address), context.query('tenant'));
  if (out.json) return out.value(entry);
  out.pairs([
    ['Address', entry.address],
    ['List', entry.tenant],
    ['Reason', entry.reason],
    ['Since', clockTime(entry.since)],
    ['Why', entry.why],
    ['Message', entry.messageId],
  ]);
}

async function load(context: Context, file: string): Promise<void> {
  const { client, out, around } = context;
  const size = file === '-' ? undefined : sizeOf(file);
  const source = file === '-' ? around.input : createReadStream(file);
  let sent = 0;
  const counted = source.pipe(
    new Transform({
      transform(chunk: Buffer, _, done) {
        sent += chunk.length;
        const share = size ? ` of ${bytes(size)} (${Math.floor((sent / size) * 100)} %)` : '';
        out.progress(`${bytes(sent)}${share} sent`);
        done(null, chunk);
      },
    }),
  );
  const format = context.text('format') ?? (/\.(jsonl|ndjson)$/.test(file) ? 'jsonl' : 'csv');
  const result = await client.call('POST', '/suppressions/import', {
    query: { ...context.query('tenant', 'reason', 'action'), format },
    headers: { 'content-type': format === 'csv' ? 'text/csv' : 'application/x-ndjson' },
    bytes: Readable.toWeb(counted) as ReadableStream<Uint8Array>,
    signal: around.signal,
  });
  if (out.json) return out.value(result);
  out.pairs(
    Object.entries(result as Record<string, unknown>).filter(([, value]) => typeof value !== 'object') as [
      string,
      string,
    ][],
  );
  for (const failure of (result.failures ?? []) as AnswerValue[])
    out.note(`line ${failure.line}: ${failure.text ?? failure.error}`);
  out.note(
    `Taken back with: postern suppression undo --from ${new Date(Date.parse(result.createdAt ?? '') || context.now).toISOString()}`,
  );
}

function sizeOf(file: string): number {
  try {
    return statSync(file).size;
  } catch (error) {
    throw usage(`${file} cannot be read: ${(error as Error).message}`);
  }
}

async function save(context: Context, file?: string): Promise<void> {
  const { client, out, around } = context;
  let path: string | undefined = '/suppressions/export';
  let query: Record<string, string | undefined> = {
    ...(context.query('tenant', 'reason', 'format') as Record<string, string | undefined>),
    from: context.time('from'),
    before: context.time('before'),
  };
  const target = file === undefined ? undefined : createWriteStream(file, { mode: 0o600 });
  let received = 0;
  for (let page = 0; path !== undefined; page += 1) {
    const response: Response = await client.open('GET', path, { query, signal: around.signal });
    const body = response.body as unknown as AsyncIterable<Uint8Array>;
    // Each page of a CSV has the header again.
    let head = page > 0 && query.format === 'csv';
    for await (const chunk of body) {
      let text = Buffer.from(chunk);
      if (head) {
        const end = text.indexOf('\n');
        text = text.subarray(end + 1);
        head = end < 0;
      }
      received += text.length;
      out.progress(`${bytes(received)} received`);
      await write(target ?? around.out, text);
    }
    const next: string | undefined = /<([^>]+)>;\s*rel="next"/.exec(response.headers.get('link') ?? '')?.[1];
    if (next === undefined) break;
    const url = new URL(next, client.url);
    query = { ...Object.fromEntries(url.searchParams) };
    path = url.pathname.replace(/^.*\/v1/, '');
  }
  if (target !== undefined) {
    await new Promise<void>((resolve, reject) => {
      target.on('error', reject);
      target.end(() => resolve());
    });
    out.note(`${bytes(received)} in ${file}.`);
  }
}

async function write(
  target: { write(text: string): unknown } | NodeJS.WritableStream,
  text: Buffer,
): Promise<void> {
  if ('once' in target) {
    if (!target.write(text)) await new Promise((resolve) => target.once('drain', resolve));
  } else target.write(text.toString('utf8'));
}

async function undo(context: Context): Promise<void> {
  const { client, out } = context;
  const query = {
    ...context.query('tenant', 'reason'),
    from: context.time('from'),
    before: context.time('before') ?? new Date(context.now).toISOString(),
  };
  const call = (preview: boolean): Promise<AnswerValue> =>
    client.call('DELETE', '/suppressions', { query: { ...query, preview } });
  const found = await call(true);
  const text = `${found.more ? 'At least ' : ''}${found.removed} entries since ${query.from}; ${found.kept} others of that time stay.`;
  if (context.options.preview === true) {
    if (out.json) return out.value(found);
    return out.line(text);
  }
  if (found.removed === 0) throw new CliError(EXIT.failed, `Nothing to take off: ${text}`);
  await context.confirm(`${text}\nTake them off?`);
  let removed = 0;
  for (let more = true; more; ) {
    const step = await call(false);
    removed += step.removed;
    // What stays is looked at again: without progress, all of it stays.
    more = step.more && step.removed > 0;
    out.progress(`${removed} taken off`);
  }
  if (out.json) return out.value({ removed });
  out.line(`${removed} entries are taken off.`);
}
