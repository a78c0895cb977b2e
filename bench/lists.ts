/**
 * Suppression lists and contact lists of any length, over the embedded store: a file of suppressed addresses and one of
 * contacts are imported, and at a tenth of the length and at the whole of it look-ups and pages are timed. What is flat
 * takes the same time at both. The same of identities and templates, with pages at the front and at the end of a listing.
 *
 *     node bench/lists.ts [suppressed addresses] [contacts] [identities and templates]
 */
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ContactLists } from '../lib/contacts/contact-lists.ts';
import { Contacts } from '../lib/contacts/contacts.ts';
import { contactTarget } from '../lib/contacts/transfer/contact-lines.ts';
import { importRows, type RowTarget } from '../lib/contacts/transfer/import.ts';
import { exportList } from '../lib/contacts/transfer/suppression-export.ts';
import { suppressionTarget } from '../lib/contacts/transfer/suppression-rows.ts';
import { openControl } from '../lib/control/control.ts';
import { openEmbedded } from '../lib/engine/embedded/open.ts';
import { systemClock } from '../lib/time.ts';
import { quantile, residentMb, table } from './support/machine.ts';

const [suppressed = 1_000_000, people = 100_000, documents = 10_000] = process.argv.slice(2).map(Number);
const TENANT = 'default';
/** Times that each step is measured. */
const SAMPLES = 400;
/** Of pages, which take longer. */
const PAGES = 60;
/** Documents of a page, as SES's listings show them, and how many are made at one time. */
const PAGE_OF_DOCUMENTS = 100;
const AT_ONCE = 64;
const STEPS = [
  'one',
  'one that is absent',
  `first page of ${PAGE_OF_DOCUMENTS}`,
  `last page of ${PAGE_OF_DOCUMENTS}`,
];
/** Names in the order in which they are made. */
const nameOf = (n: number): string => `sender${String(n).padStart(6, '0')}@example.net`;
/** Every so many rows of the file are broken. */
const BROKEN = 1_000;

const directory = await mkdtemp(join(tmpdir(), 'postern-bench-lists-'));
const engine = await openEmbedded({ directory, clock: systemClock });
const lists = new ContactLists(engine.rows, systemClock);
const contacts = new Contacts(engine.rows, systemClock);
const deps = { engine, clock: systemClock, control: undefined as never };

/** Lines in pieces of 64 KB, as a socket brings them. */
async function* file(from: number, to: number, line: (n: number) => string): AsyncGenerator<Buffer> {
  let piece = '';
  for (let n = from; n < to; n += 1) {
    piece += `${n % BROKEN === 0 ? `broken ${n}` : line(n)}\n`;
    if (piece.length < 65_536) continue;
    yield Buffer.from(piece);
    piece = '';
  }
  yield Buffer.from(piece);
}

async function load<T>(
  target: RowTarget<T>,
  source: AsyncIterable<Buffer>,
): Promise<{ seconds: number; rows: number; failed: number }> {
  const began = performance.now();
  const { rows, failed } = await importRows({ source, target, onFailures: async () => {} });
  return { seconds: (performance.now() - began) / 1000, rows, failed };
}

/** Median and p99 of a step, µs. */
async function timed(step: (n: number) => unknown, samples = SAMPLES): Promise<string> {
  const times = new Float64Array(samples);
  for (let n = -20; n < samples; n += 1) {
    const began = performance.now();
    await step(n + 20);
    if (n >= 0) times[n] = (performance.now() - began) * 1000;
  }
  times.sort();
  return `${quantile(times, 0.5).toFixed(0)} / ${quantile(times, 0.99).toFixed(0)}`;
}

const pick = (n: number, count: number): number => 1 + ((n * 7919) % (count - 1));

async function listFigures(count: number): Promise<Record<string, string | number>> {
  const find = (address: (n: number) => string) =>
    timed((n) => engine.suppressions.find([{ tenant: TENANT, address: address(n) }]));
  const middle = await engine.suppressions.find([
    { tenant: TENANT, address: `user${Math.floor(count / 2) + 1}@example.net` },
  ]);
  return {
    'suppressed addresses': count,
    'listed, µs': await find((n) => `user${pick(n, count)}@example.net`),
    'not listed, µs': await find((n) => `nobody${n}@example.net`),
    'first page of 1,000, µs': await timed(
      () => engine.suppressions.list({ tenant: TENANT, max: 1_000 }),
      PAGES,
    ),
    'page in the middle, µs': await timed(
      () => engine.suppressions.list({ tenant: TENANT, max: 1_000, after: middle[0] }),
      PAGES,
    ),
    'resident MB': residentMb(process.pid).toFixed(0),
  };
}

async function contactFigures(count: number): Promise<Record<string, string | number>> {
  const list = 'news';
  const after = `user${Math.floor(count / 2)}@example.net`;
  return {
    contacts: count,
    'one, µs': await timed((n) => contacts.get(TENANT, list, `user${pick(n, count)}@example.net`)),
    'list and one, µs': await timed((n) =>
      contacts.lookUp(TENANT, list, [`user${pick(n, count)}@example.net`]),
    ),
    'first page of 100, µs': await timed(() => contacts.page(TENANT, list, { max: 100 })),
    'page in the middle, µs': await timed(() => contacts.page(TENANT, list, { max: 100, after })),
    'filtered by topic, µs': await timed(
      () =>
        contacts.page(TENANT, list, {
          max: 100,
          after,
          filter: { status: 'OPT_OUT', topic: { name: 'offers', useDefault: true } },
        }),
      PAGES,
    ),
    'resident MB': residentMb(process.pid).toFixed(0),
  };
}

/** Median of a step, µs. */
async function median(step: (n: number) => Promise<unknown>): Promise<number> {
  const times: number[] = [];
  for (let n = -20; n < PAGES * 2; n += 1) {
    const began = performance.now();
    await step(n + 20);
    if (n >= 0) times.push((performance.now() - began) * 1000);
  }
  return times.sort((a, b) => a - b)[PAGES]!;
}

/** Look-up of one document and pages of its list, medians in µs. */
async function documentFigures(
  count: number,
  list: (page: { max: number; after?: string }) => Promise<readonly unknown[]>,
  find: (name: string) => Promise<unknown>,
): Promise<number[]> {
  const end = nameOf(count - PAGE_OF_DOCUMENTS - 1);
  return [
    await median((n) => find(nameOf(pick(n, count)))),
    await median((n) => find(`absent${count}-${n}@example.net`)),
    await median(() => list({ max: PAGE_OF_DOCUMENTS })),
    await median(() => list({ max: PAGE_OF_DOCUMENTS, after: end })),
  ];
}

/** Makes documents in two parts, and prints what look-ups and pages take after each, with the ratio of the two. */
async function documentsOf(
  what: string,
  make: (name: string) => Promise<unknown>,
  ...steps: [Parameters<typeof documentFigures>[1], Parameters<typeof documentFigures>[2]]
): Promise<void> {
  const at: number[][] = [];
  for (const [from, to] of [
    [0, documents / 10],
    [documents / 10, documents],
  ] as const) {
    for (let n = from; n < to; n += AT_ONCE) {
      const names = Array.from({ length: Math.min(AT_ONCE, to - n) }, (_, one) => nameOf(n + one));
      await Promise.all(names.map(make));
    }
    at.push(await documentFigures(to, ...steps));
  }
  const rows = STEPS.map((step, row) => ({
    [what]: step,
    [`${documents / 10}, µs`]: at[0]![row]!.toFixed(0),
    [`${documents}, µs`]: at[1]![row]!.toFixed(0),
    ratio: (at[1]![row]! / at[0]![row]!).toFixed(2),
  }));
  process.stdout.write(`${table(rows)}\n\n`);
}

const options = { tenant: TENANT, format: 'csv', action: 'put', origin: 'Imported' } as const;
const addresses = (from: number, to: number) =>
  load(
    suppressionTarget(deps, options),
    file(from, to, (n) => `user${n}@example.net,BOUNCE`),
  );
await lists.create({
  name: 'news',
  tenant: TENANT,
  topics: [{ name: 'offers', displayName: 'Offers', defaultStatus: 'OPT_IN' }],
});
const header = (from: number) => (from === 0 ? 'emailAddress,topicPreferences.offers\n' : '');
const target = contactTarget(contacts, { tenant: TENANT, list: 'news', format: 'csv', action: 'put' });
const readers = (from: number, to: number) =>
  load(
    target,
    (async function* () {
      yield Buffer.from(header(from));
      yield* file(from, to, (n) => `user${n}@example.net,${n % 10 === 0 ? 'OPT_OUT' : ''}`);
    })(),
  );

const idle = residentMb(process.pid);
const tenth = await addresses(0, suppressed / 10);
const small = await listFigures(suppressed / 10);
const rest = await addresses(suppressed / 10, suppressed);
process.stdout.write(`${table([small, await listFigures(suppressed)])}\n\n`);

const began = performance.now();
let bytes = 0;
for await (const piece of exportList(deps, { tenant: TENANT }, 'csv')) bytes += piece.length;
const exported = (performance.now() - began) / 1000;

await readers(0, people / 10);
const few = await contactFigures(people / 10);
const more = await readers(people / 10, people);
process.stdout.write(`${table([few, await contactFigures(people)])}\n\n`);

process.stdout.write(
  `${table([
    {
      file: 'suppressed addresses in',
      rows: tenth.rows + rest.rows,
      'bad rows': tenth.failed + rest.failed,
      'rows/s': ((tenth.rows + rest.rows) / (tenth.seconds + rest.seconds)).toFixed(0),
    },
    {
      file: 'suppressed addresses out',
      rows: suppressed,
      'bad rows': '',
      'rows/s': (suppressed / exported).toFixed(0),
    },
    {
      file: 'contacts in',
      rows: more.rows,
      'bad rows': more.failed,
      'rows/s': (more.rows / more.seconds).toFixed(0),
    },
  ])}\n\n${(bytes / 1e6).toFixed(0)} MB exported; ${idle.toFixed(0)} MB resident before the first row\n`,
);
const control = await openControl({
  config: engine.config,
  clock: systemClock,
  masterKey: randomBytes(32),
  verifyIdentities: true,
});
await documentsOf(
  'identities',
  (name) => control.identities.create({ name, tenant: TENANT }),
  (page) => control.identities.list(TENANT, page),
  (name) => control.identities.find(name),
);
const templateOf = (name: string): string => name.replace(/@.*/, '');
await documentsOf(
  'templates',
  (name) =>
    control.templates.create({
      name: templateOf(name),
      tenant: TENANT,
      subject: 'Hello {{name}}',
      html: `<p>${'x'.repeat(2_000)}</p>`,
      createdAt: systemClock.now(),
    }),
  ({ max, after }) => control.templates.list(TENANT, { max, after: after && templateOf(after) }),
  (name) => control.templates.find(templateOf(name), TENANT),
);
await control.close();
await engine.close();
await rm(directory, { recursive: true });
