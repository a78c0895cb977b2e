/** Import jobs: a file of a bucket that the operator has named, onto a suppression list or a contact list. */
import { ContactLists } from '../contacts/contact-lists.ts';
import { listOf } from '../contacts/suppression-list.ts';
import type { ImportDestination, ImportJob } from '../contacts/transfer/jobs.ts';
import { PosternError } from '../errors.ts';
import { placeOf } from '../jobs/s3-url.ts';
import { jobsOf, resultLink } from './job-results.ts';
import { type Call, operation } from './operation.ts';
import { pageOf } from './pages.ts';
import type { InputOf, OutputOf } from './types.ts';

type GivenDestination = InputOf<'CreateImportJob'>['ImportDestination'];

/** An administrator's: a bucket is the installation's, and may hold the files of any tenant. */
export const createImportJob = operation(
  'CreateImportJob',
  'manage',
  async ({ ImportDestination: given, ImportDataSource: source }, call) => {
    const destination = await destinationOf(given, call);
    placeOf(source.S3Url, call.deps.engine.files);
    const { tenant, keyId } = call.caller;
    const job = await jobsOf(call).orderImport({
      tenant,
      keyId,
      destination,
      format: source.DataFormat === 'CSV' ? 'csv' : 'jsonl',
      url: source.S3Url,
    });
    call.deps.wakeJobs?.();
    return { JobId: job.id };
  },
);

async function destinationOf(
  { SuppressionListDestination: suppression, ContactListDestination: contacts }: GivenDestination,
  call: Call,
): Promise<ImportDestination> {
  if ((suppression === undefined) === (contacts === undefined))
    throw new PosternError(
      'bad_request',
      'ImportDestination needs exactly one of SuppressionListDestination and ContactListDestination.',
    );
  const { deps, caller } = call;
  if (suppression) {
    const list = await listOf(deps, caller);
    return { kind: 'suppressions', action: actionOf(suppression.SuppressionListImportAction), list };
  }
  const { ContactListName: list, ContactListImportAction } = contacts!;
  try {
    await new ContactLists(deps.engine.rows, deps.clock).get(caller.tenant, list);
  } catch (error) {
    // The model has no NotFoundException here.
    if (!(error instanceof PosternError) || error.code !== 'not_found') throw error;
    throw new PosternError('bad_request', error.message);
  }
  return { kind: 'contacts', action: actionOf(ContactListImportAction), list };
}

function actionOf(action: 'PUT' | 'DELETE'): 'put' | 'delete' {
  return action === 'PUT' ? 'put' : 'delete';
}

export const getImportJob = operation('GetImportJob', 'use', async ({ JobId }, call) => {
  const job = await jobsOf(call).imports.get(call.caller.tenant, JobId);
  if (job.url === undefined)
    throw new PosternError('not_found', `Job with id: ${JobId.slice(0, 64)} doesn't exist.`);
  const failed = await resultLink(job, call);
  return {
    ...summaryOf(job),
    ImportDataSource: { S3Url: job.url, DataFormat: job.format === 'csv' ? 'CSV' : 'JSON' } as const,
    FailureInfo:
      failed === undefined && job.error === undefined
        ? undefined
        : { FailedRecordsS3Url: failed, ErrorMessage: job.error },
    CompletedTimestamp: job.completedAt === undefined ? undefined : new Date(job.completedAt),
  };
});

export const listImportJobs = operation(
  'ListImportJobs',
  'use',
  async ({ ImportDestinationType: type, NextToken, PageSize }, call) => {
    const wanted = type && (type === 'SUPPRESSION_LIST' ? 'suppressions' : 'contacts');
    const { items, ...rest } = await pageOf(
      async (from) => {
        const { after, max = 1000 } = from;
        const jobs = await jobsOf(call).imports.list(call.caller.tenant, { after, max });
        return jobs.map((job) => ({ name: job.id, job }));
      },
      { NextToken, PageSize },
      // Those of /v1 have no S3Url: their file came with the call.
      ({ job }) => job.url !== undefined && (wanted ?? job.destination.kind) === job.destination.kind,
    );
    return { ImportJobs: items.map(({ job }) => summaryOf(job)), ...rest };
  },
);

type ImportSummary = NonNullable<OutputOf<'ListImportJobs'>['ImportJobs']>[number];

function summaryOf({ id, destination, status, createdAt, counts }: ImportJob): ImportSummary {
  const { kind, list } = destination;
  const action = destination.action === 'put' ? 'PUT' : 'DELETE';
  return {
    JobId: id,
    ImportDestination:
      kind === 'suppressions'
        ? { SuppressionListDestination: { SuppressionListImportAction: action } }
        : { ContactListDestination: { ContactListName: list, ContactListImportAction: action } },
    JobStatus: status,
    CreatedTimestamp: new Date(createdAt),
    ProcessedRecordsCount: counts.rows,
    FailedRecordsCount: counts.failed,
  };
}
