/** Imports: where each stands, and the rows that it did not take. A tenant's key sees its own. */
import * as z from 'zod/mini';
import type { RowTarget } from '../contacts/transfer/import.ts';
import { type ImportDestination, type ImportJob, ImportJobs } from '../contacts/transfer/jobs.ts';
import type { ImportFormat } from '../contacts/transfer/suppression-rows.ts';
import { PosternError } from '../errors.ts';
import { type ApiAnswer, type ApiCall, iso, label, operation, query } from './operation.ts';
import { integer, named, text, time } from './schema.ts';

/** Failures that the answer to an import shows. */
const SHOWN = 100;
const MAX_PAGE = 1000;

/** Media types of a file, by format. */
export const MEDIA = { csv: 'text/csv', jsonl: 'application/jsonl' } as const;
export const FILE_TYPES = Object.values(MEDIA);

const Failure = z.strictObject({
  line: integer('Line of the file, from 1.', 1),
  what: text('Start of the line.'),
  why: text('Why it was not taken.'),
});

export const Import = named(
  'Import',
  z.strictObject({
    id: text('Names the import.'),
    kind: z.enum(['suppressions', 'contacts']),
    list: text('The tenant of the suppression list, or the name of the contact list.'),
    action: z.enum(['put', 'delete']),
    format: z.enum(['csv', 'jsonl']),
    url: z.optional(text('Where the file is read from; absent: it came with the call.')),
    status: z.enum(['CREATED', 'PROCESSING', 'COMPLETED', 'FAILED', 'CANCELLED']),
    createdAt: time('When it was ordered.'),
    completedAt: z.optional(time('When it ended.')),
    rows: integer('Rows seen, without the header and empty lines.'),
    taken: integer('Rows that are in force.'),
    unchanged: integer('Rows that changed nothing: a newer entry exists, or they ask for nothing.'),
    failed: integer('Rows that were not taken.'),
    error: z.optional(text('Why the import ended before the end of the file.')),
    failures: z.optional(z.array(Failure)),
    next: z.optional(integer('`after` for the failures behind these; absent: there are no more.')),
  }),
);
const Imports = named(
  'Imports',
  z.strictObject({ imports: z.array(Import), next: z.optional(text('`after` of the next page.')) }),
);
const ImportFailures = named(
  'ImportFailures',
  z.strictObject({
    failures: z.array(Failure),
    next: z.optional(integer('`after` of the next page; absent on the last one.')),
  }),
);

export const exampleImport = {
  id: '0mjv2k5c0-0f8fad5b-d9cb-469f-a165-70867728950e',
  kind: 'suppressions',
  list: 'default',
  action: 'put',
  format: 'csv',
  status: 'COMPLETED',
  createdAt: '2026-01-01T00:00:00.000Z',
  completedAt: '2026-01-01T00:00:09.000Z',
  rows: 1000,
  taken: 999,
  unchanged: 0,
  failed: 1,
};
const exampleFailure = {
  line: 17,
  what: 'ann@@example.net,BOUNCE',
  why: 'The address "ann@@example.net" is invalid.',
};
export const exampleAnswer = { ...exampleImport, failures: [exampleFailure] };

const id = label('id', 'Id of the import.');

const listImports = operation({
  method: 'get',
  path: '/imports',
  operationId: 'listImports',
  summary: 'Imports, the newest first',
  description: 'An import is kept for 30 days.',
  parameters: [
    query('max', 'Maximum entries returned: 1 to 1,000, else 100.'),
    query('after', '`next` of the page before.'),
  ],
  answer: {
    status: 200,
    description: 'A page of imports.',
    schema: Imports,
    example: { imports: [exampleImport] },
  },
  async handle(call) {
    const max = sizeOf(call);
    const { after } = call.query;
    const found = await jobsOf(call).list(call.caller.tenant, { after, max: Math.min(MAX_PAGE, max + 1) });
    const imports = found.slice(0, max);
    const next = found.length > max ? imports.at(-1)!.id : undefined;
    return { body: { imports: imports.map((job) => shown(job)), next } };
  },
});

const getImport = operation({
  method: 'get',
  path: '/imports/{id}',
  operationId: 'getImport',
  summary: 'Where an import stands',
  parameters: [id],
  answer: { status: 200, description: 'The import.', schema: Import, example: exampleImport },
  handle: async (call) => ({ body: shown(await jobsOf(call).get(call.caller.tenant, call.params.id!)) }),
});

const listFailures = operation({
  method: 'get',
  path: '/imports/{id}/failures',
  operationId: 'listImportFailures',
  summary: 'The rows that an import did not take, by line',
  parameters: [
    id,
    query('max', 'Maximum rows returned: 1 to 1,000, else 100.'),
    query('after', 'Only those behind this line.'),
  ],
  answer: {
    status: 200,
    description: 'A page of rows.',
    schema: ImportFailures,
    example: { failures: [exampleFailure] },
  },
  async handle(call) {
    const job = await jobsOf(call).get(call.caller.tenant, call.params.id!);
    return { body: await failuresOf(call, job, sizeOf(call), lineOf(call.query.after)) };
  },
});

export const IMPORTS = [listImports, getImport, listFailures];

/** Runs an import of the uploaded file, and answers with its result and its first failures. */
export async function runUpload<T>(
  call: ApiCall,
  destination: ImportDestination,
  format: ImportFormat,
  target: RowTarget<T>,
): Promise<ApiAnswer> {
  const { tenant, keyId } = call.caller;
  const jobs = jobsOf(call);
  const job = await jobs.run(await jobs.create({ tenant, keyId, destination, format }), call.upload, target);
  return { body: { ...shown(job), ...(job.counts.failed > 0 && (await failuresOf(call, job, SHOWN, 0))) } };
}

async function failuresOf(call: ApiCall, job: ImportJob, max: number, after: number) {
  const found = await jobsOf(call).failures(job, { after, max: max + 1 });
  const failures = found.slice(0, max);
  return { failures, next: found.length > max ? failures.at(-1)!.line : undefined };
}

/** The format of a file: as the call names it, else by its media type, else CSV. @throws `bad_request` */
export function formatOf({ query, head }: ApiCall): ImportFormat {
  const { format } = query;
  if (format === 'csv' || format === 'jsonl') return format;
  if (format !== undefined) throw new PosternError('bad_request', 'format: must be csv or jsonl.');
  const type = head.headers.find(([name]) => name === 'content-type')?.[1] ?? '';
  return /^application\/(?:jsonl|json-lines|x-ndjson|ndjson)\b/i.test(type) ? 'jsonl' : 'csv';
}

/** @throws `bad_request` */
export function actionOf({ query: { action = 'put' } }: ApiCall): 'put' | 'delete' {
  if (action === 'put' || action === 'delete') return action;
  throw new PosternError('bad_request', 'action: must be put or delete.');
}

/** @throws `bad_request` */
export function sizeOf({ query: { max: text } }: ApiCall): number {
  if (text === undefined) return 100;
  const size = /^\d{1,4}$/.test(text) ? Number(text) : 0;
  if (size >= 1 && size <= MAX_PAGE) return size;
  throw new PosternError('bad_request', `max: must be a number from 1 to ${MAX_PAGE}.`);
}

function lineOf(text: string | undefined): number {
  if (text === undefined) return 0;
  if (/^\d{1,9}$/.test(text)) return Number(text);
  throw new PosternError('bad_request', 'after: must be the number of a line.');
}

function jobsOf({ deps }: ApiCall): ImportJobs {
  return new ImportJobs(deps.engine.rows, deps.clock);
}

function shown(job: ImportJob): object {
  const { id, destination, format, url, status, createdAt, completedAt, counts, error } = job;
  return {
    id,
    ...destination,
    format,
    url,
    status,
    createdAt: iso(createdAt),
    completedAt: iso(completedAt),
    ...counts,
    error,
  };
}

/** A text that is made already. */
export async function* onePiece(text: string): AsyncGenerator<string> {
  yield text;
}
