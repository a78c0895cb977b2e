/** Import and export jobs: ordered by the SDK, done by a worker, whatever dies in between. */
import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, test } from 'node:test';
import * as sdk from '@aws-sdk/client-sesv2';
import { startJobs } from '../../../egress-node/standalone/job-timer.ts';
import { eraseAddress } from '../../../lib/contacts/erase.ts';
import { openMemory } from '../../../lib/engine/memory/open.ts';
import type { Engine } from '../../../lib/engine/ports.ts';
import { PosternError } from '../../../lib/errors.ts';
import { Jobs, MAX_UNFINISHED } from '../../../lib/jobs/jobs.ts';
import { JobWorker } from '../../../lib/jobs/worker.ts';
import { silentLog } from '../../../lib/log.ts';
import { StatisticsRecorder } from '../../../lib/statistics/recorder.ts';
import { Tally } from '../../../lib/statistics/tally.ts';
import { DAY, MINUTE, systemClock } from '../../../lib/time.ts';
import { attempt, messageRecord, outcome } from '../../support/outcomes.ts';
import { type SesServer, startSesServer, USER } from '../../support/ses-server.ts';

const CONTEXT = { region: 'us-east-1', accountId: '123456789012', hostname: 'mail.example' };
const PUT = { SuppressionListDestination: { SuppressionListImportAction: 'PUT' } } as const;
const DELETE = { SuppressionListDestination: { SuppressionListImportAction: 'DELETE' } } as const;

/** Runs ahead of the system's clock, by which calls are signed. */
let ahead = 0;
const clock = { now: () => systemClock.now() + ahead, after: systemClock.after.bind(systemClock) };

let engine: Engine;
let server: SesServer;
let client: sdk.SESv2Client;
let user: sdk.SESv2Client;
before(async () => {
  engine = openMemory({ clock, buckets: ['my-files'] });
  server = await startSesServer({ clock, stored: engine });
  client = server.client();
  user = server.client({ credentials: { accessKeyId: USER.id, secretAccessKey: USER.secret } });
});
after(async () => {
  await server.close();
  await engine.close();
});
beforeEach(() => skipTo(0));

/** Sets the time, for the service and for those who sign. */
function skipTo(ms: number): void {
  ahead = ms;
  for (const one of [client, user]) one.config.systemClockOffset = ms;
}

const work = (changed: Partial<Engine> = {}, signal?: AbortSignal): Promise<number> =>
  new JobWorker({ engine: { ...engine, ...changed }, context: CONTEXT, clock, log: silentLog }).work(
    Number.POSITIVE_INFINITY,
    signal,
  );

async function keep(name: string, text: string): Promise<string> {
  await engine.files.bucket('my-files')!.write(name, [text] as unknown as AsyncIterable<string>);
  return `s3://my-files/${name}`;
}

async function order(
  S3Url: string,
  ImportDestination: sdk.ImportDestination = PUT,
  DataFormat: sdk.DataFormat = 'CSV',
): Promise<string> {
  const command = new sdk.CreateImportJobCommand({
    ImportDestination,
    ImportDataSource: { S3Url, DataFormat },
  });
  return (await client.send(command)).JobId!;
}

const imported = (JobId: string) => client.send(new sdk.GetImportJobCommand({ JobId }));
const exported = (JobId: string) => client.send(new sdk.GetExportJobCommand({ JobId }));
const text = async (url: string): Promise<string> => (await fetch(url)).text();

async function isListed(address: string): Promise<boolean> {
  return (await engine.suppressions.find([{ tenant: 'default', address }]))[0] !== undefined;
}

describe('an import', () => {
  test('takes the good rows, and gives the bad ones by line at a signed URL', async () => {
    const url = await keep(
      '2026/list.csv',
      'ann@a.example,BOUNCE\nno address\nbob@a.example,COMPLAINT\n=x@,BOUNCE\n',
    );
    const id = await order(url);
    assert.equal((await imported(id)).JobStatus, 'CREATED');
    assert.equal(await work(), 1);
    const job = await imported(id);
    assert.equal(job.JobStatus, 'COMPLETED');
    assert.equal(job.ProcessedRecordsCount, 4);
    assert.equal(job.FailedRecordsCount, 2);
    assert.deepEqual(job.ImportDataSource, { S3Url: url, DataFormat: 'CSV' });
    assert.deepEqual(job.ImportDestination, PUT);
    assert.ok(job.CompletedTimestamp);
    const link = job.FailureInfo!.FailedRecordsS3Url!;
    assert.match(await text(link), /^line,record,error\r\n2,no address,.*\r\n4,"'=x@,BOUNCE",/);
    assert.equal((await fetch(`${link.slice(0, -1)}${link.endsWith('A') ? 'B' : 'A'}`)).status, 404);
    skipTo(61 * MINUTE);
    assert.equal((await fetch(link)).status, 404, 'a link ends after an hour');
    skipTo(0);
    assert.ok(await isListed('ann@a.example'));
    const found = await client.send(
      new sdk.ListImportJobsCommand({ ImportDestinationType: 'SUPPRESSION_LIST' }),
    );
    assert.equal(found.ImportJobs![0]!.JobId, id);
    const none = await client.send(new sdk.ListImportJobsCommand({ ImportDestinationType: 'CONTACT_LIST' }));
    assert.deepEqual(none.ImportJobs, []);
    assert.equal(await work(), 0, 'nothing is left to do');
  });

  test('of contacts, and their removal', async () => {
    await client.send(new sdk.CreateContactListCommand({ ContactListName: 'news' }));
    const url = await keep('c.json', '{"emailAddress":"ann@c.example"}\n{"emailAddress":7}\n');
    const list = (ContactListImportAction: 'PUT' | 'DELETE') => ({
      ContactListDestination: { ContactListName: 'news', ContactListImportAction },
    });
    const id = await order(url, list('PUT'), 'JSON');
    await work();
    assert.equal((await imported(id)).FailedRecordsCount, 1);
    const Contact = { ContactListName: 'news', EmailAddress: 'ann@c.example' };
    await client.send(new sdk.GetContactCommand(Contact));
    const removal = await order(url, list('DELETE'), 'JSON');
    await work();
    assert.deepEqual((await imported(removal)).ImportDestination, list('DELETE'));
    await assert.rejects(client.send(new sdk.GetContactCommand(Contact)), { name: 'NotFoundException' });
    await assert.rejects(
      order(url, { ContactListDestination: { ContactListName: 'none', ContactListImportAction: 'PUT' } }),
      { name: 'BadRequestException' },
    );
  });

  test('of a file that is not there fails with a sentence', async () => {
    const id = await order('s3://my-files/none.csv');
    await work();
    const { JobStatus, FailureInfo } = await imported(id);
    assert.equal(JobStatus, 'FAILED');
    assert.match(FailureInfo!.ErrorMessage!, /no file "none.csv"/);
  });

  test('reads no bucket but those that the operator has named, and for an administrator alone', async () => {
    for (const url of [
      's3://other-files/a',
      's3://../a',
      's3://MY-FILES/a',
      's3://my-files/../../etc/passwd',
    ])
      await assert.rejects(
        order(url).then(async (id) => {
          await work();
          const { FailureInfo } = await imported(id);
          throw Object.assign(new Error(FailureInfo!.ErrorMessage), { name: 'BadRequestException' });
        }),
        { name: 'BadRequestException' },
        url,
      );
    const ImportDataSource = { S3Url: 's3://my-files/a', DataFormat: 'CSV' } as const;
    await assert.rejects(
      user.send(new sdk.CreateImportJobCommand({ ImportDestination: PUT, ImportDataSource })),
      {
        name: 'AccessDeniedException',
      },
    );
    await assert.rejects(
      client.send(new sdk.CreateImportJobCommand({ ImportDestination: {}, ImportDataSource })),
      /exactly one of/,
    );
  });

  test('that is stopped goes on behind the last window that was noted', async () => {
    const rows = Array.from({ length: 1700 }, (_, n) =>
      n % 100 === 50 ? `bad ${n}` : `s${n}@stop.example,BOUNCE`,
    );
    const id = await order(await keep('stop.csv', rows.join('\n')));
    const stopping = new AbortController();
    let puts = 0;
    const suppressions = Object.assign(Object.create(engine.suppressions) as Engine['suppressions'], {
      put: (entry: Parameters<Engine['suppressions']['put']>[0]) => {
        if ((puts += 1) === 600) stopping.abort();
        return engine.suppressions.put(entry);
      },
    });
    assert.equal(await work({ suppressions }, stopping.signal), 0);
    const half = await imported(id);
    assert.equal(half.JobStatus, 'PROCESSING');
    assert.ok(half.ProcessedRecordsCount! > 0 && half.ProcessedRecordsCount! < 1700);
    const before = puts;
    assert.equal(await work({ suppressions }), 1);
    const { JobStatus, ProcessedRecordsCount, FailedRecordsCount, FailureInfo } = await imported(id);
    assert.deepEqual([JobStatus, ProcessedRecordsCount, FailedRecordsCount], ['COMPLETED', 1700, 17]);
    assert.ok(puts - before <= 1683 - 495, 'noted rows are not stored again');
    assert.equal(
      (await text(FailureInfo!.FailedRecordsS3Url!)).trim().split('\r\n').length,
      18,
      'each failure once',
    );
  });

  test('whose worker dies is taken over when its claim has ended', async () => {
    const rows = Array.from({ length: 1200 }, (_, n) => `d${n}@die.example`);
    for (const one of rows)
      await engine.suppressions.put({ tenant: 'default', address: one, reason: 'BOUNCE', at: clock.now() });
    const id = await order(await keep('die.csv', rows.join('\n')), DELETE);
    let calls = 0;
    const suppressions = Object.assign(Object.create(engine.suppressions) as Engine['suppressions'], {
      remove: (...args: Parameters<Engine['suppressions']['remove']>) => {
        // The second window is half done when the store is gone.
        if ((calls += 1) > 700) throw new PosternError('storage_unavailable', 'gone');
        return engine.suppressions.remove(...args);
      },
    });
    assert.equal(await work({ suppressions }), 0);
    assert.equal(await work(), 0, 'another worker leaves it alone while it is claimed');
    skipTo(6 * MINUTE);
    assert.equal(await work(), 1);
    const { JobStatus, ProcessedRecordsCount, FailedRecordsCount } = await imported(id);
    assert.deepEqual([JobStatus, ProcessedRecordsCount, FailedRecordsCount], ['COMPLETED', 1200, 0]);
    assert.equal(await isListed('d1199@die.example'), false);
  });

  test('is one of ten of a tenant at most', async () => {
    const url = await keep('few.csv', 'x@few.example,BOUNCE');
    const ids = [];
    for (let n = 0; n < MAX_UNFINISHED; n += 1) ids.push(await order(url));
    await assert.rejects(order(url), { name: 'LimitExceededException' });
    await new Jobs(engine.rows, clock).orderImport({
      tenant: 'another',
      keyId: 'k',
      destination: { kind: 'suppressions', action: 'put', list: 'another' },
      format: 'csv',
      url,
    });
    assert.equal(await work(), MAX_UNFINISHED + 1);
    await order(url);
    await work();
  });
});

describe('an export', () => {
  const at = () => clock.now() - 60_000;
  const range = () => ({ StartDate: new Date(at() - DAY), EndDate: new Date(at() + DAY) });

  async function orderExport(
    ExportDataSource: sdk.ExportDataSource,
    ExportDestination: sdk.ExportDestination = { DataFormat: 'CSV' },
    by = client,
  ): Promise<string> {
    return (await by.send(new sdk.CreateExportJobCommand({ ExportDataSource, ExportDestination }))).JobId!;
  }

  async function run(source: sdk.ExportDataSource, format: sdk.DataFormat = 'CSV'): Promise<string> {
    const id = await orderExport(source, { DataFormat: format });
    await work();
    const job = await exported(id);
    assert.equal(job.JobStatus, 'COMPLETED', job.FailureInfo?.ErrorMessage);
    return text(job.ExportDestination!.S3Url!);
  }

  before(async () => {
    const tally = new Tally();
    const when = at();
    const add = (to: string, state: 'delivered' | 'bounced') => {
      const record = messageRecord({ tenant: 'default', recipients: [to], acceptedAt: when });
      const ended = attempt(
        state === 'bounced'
          ? { state, reason: 'peer_permanent', text: '550 5.1.1 user unknown', mx: undefined }
          : { mx: undefined },
      );
      tally.add(record, outcome('attempt', { attempt: ended, at: when }));
      return { record, ended };
    };
    for (let n = 0; n < 3; n += 1) add(`a${n}@gmail.com`, 'delivered');
    add('b@gmail.com', 'bounced');
    await new StatisticsRecorder({ rows: engine.rows, shards: 1 }).count('batch', tally);
    await engine.queue.admit(
      ['ann@gmail.com', 'bob@example.net', 'cay@example.net'].map((to, n) => {
        const record = messageRecord({
          id: `0100019${n}0000-00000000-0000-4000-8000-00000000000${n}-000000`,
          tenant: n === 2 ? 'tenant-2' : 'default',
          recipients: [to],
          acceptedAt: when + n,
          commonHeaders: { from: ['shop@example.com'], messageId: '<x>', subject: `=Offer ${n}` },
        });
        const ended = attempt({
          at: when + 9,
          ...(n > 0 && { state: 'bounced', reason: 'peer_permanent', text: '550 5.1.1 no' }),
        });
        const settled = [
          outcome('attempt', {
            messageId: record.id,
            tenant: record.tenant,
            n: 0,
            at: when + n,
            attempt: ended,
          }),
        ];
        return { record, body: Buffer.from('x'), deliveries: [], settled };
      }),
    );
  });

  test('of metrics has a row for each value, with volumes and rates', async () => {
    const source = (values: string[]): sdk.ExportDataSource => ({
      MetricsDataSource: {
        ...range(),
        Namespace: 'VDM',
        Dimensions: { ISP: values },
        Metrics: [
          { Name: 'SEND', Aggregation: 'VOLUME' },
          { Name: 'DELIVERY', Aggregation: 'RATE' },
          { Name: 'PERMANENT_BOUNCE' },
        ],
      },
    });
    const csv = await run(source(['*']));
    assert.match(csv, /^StartDate,EndDate,ISP,SEND_VOLUME,DELIVERY_RATE,PERMANENT_BOUNCE_VOLUME\r\n/);
    assert.match(csv, /,Gmail,4,0\.75,1\r\n/);
    const json = await run(source(['Yahoo']), 'JSON');
    assert.equal((JSON.parse(json) as { SEND_VOLUME: string }).SEND_VOLUME, '0');
    const shown = await client.send(
      new sdk.ListExportJobsCommand({ ExportSourceType: 'METRICS_DATA', PageSize: 1 }),
    );
    assert.equal(shown.ExportJobs!.length, 1);
    assert.ok(shown.NextToken);
  });

  test('of messages has a row for each recipient that the filters leave', async () => {
    const source = (more: Partial<sdk.MessageInsightsDataSource>): sdk.ExportDataSource => ({
      MessageInsightsDataSource: { ...range(), ...more },
    });
    const all = await run(source({}));
    assert.match(
      all,
      /^MessageId,SendTimestamp,TenantName,.*\r\n.*bob@example.net,'=Offer 1,,PERMANENT_BOUNCE,.*\r\n.*ann@gmail.com,'=Offer 0,Gmail,DELIVERY,/,
    );
    assert.doesNotMatch(all, /cay@/, 'of its tenant alone');
    const rows = async (more: Partial<sdk.MessageInsightsDataSource>) =>
      (await run(source(more), 'JSON')).match(/"Destination":"\w+/g) ?? [];
    assert.deepEqual(await rows({ Include: { Isp: ['gmail'] } }), ['"Destination":"ann']);
    assert.deepEqual(await rows({ Include: { LastDeliveryEvent: ['PERMANENT_BOUNCE'] } }), [
      '"Destination":"bob',
    ]);
    assert.deepEqual(await rows({ Include: { Subject: ['offer 1'] } }), ['"Destination":"bob']);
    assert.deepEqual(await rows({ Exclude: { Destination: ['BOB@example.net'] } }), ['"Destination":"ann']);
    assert.deepEqual(await rows({ Include: { LastEngagementEvent: ['OPEN'] } }), []);
    assert.deepEqual(await rows({ MaxResults: 1 }), ['"Destination":"bob']);
    assert.deepEqual(await rows({ Include: { TenantName: ['tenant-2'] } }), ['"Destination":"cay']);
  });

  test('may be written to a bucket of the operator, by an administrator', async () => {
    const destination = { DataFormat: 'JSON', S3Url: 's3://my-files/out/a.json' } as const;
    const id = await orderExport({ MessageInsightsDataSource: range() }, destination);
    await work();
    const { ExportDestination, Statistics, ExportDataSource } = await exported(id);
    assert.deepEqual(ExportDestination, destination);
    assert.equal(Statistics!.ExportedRecordsCount, 2);
    assert.equal(ExportDataSource!.MessageInsightsDataSource!.MaxResults, 10_000);
    let written = '';
    for await (const piece of engine.files.bucket('my-files')!.read('out/a.json'))
      written += Buffer.from(piece).toString();
    assert.equal(written.trim().split('\n').length, 2);
    await assert.rejects(orderExport({ MessageInsightsDataSource: range() }, destination, user), {
      name: 'AccessDeniedException',
    });
  });

  test('asks for what there is', async () => {
    const metrics = {
      ...range(),
      Namespace: 'VDM',
      Dimensions: { ISP: ['*'] },
      Metrics: [{ Name: 'SEND' }],
    } as const;
    const refused = (source: sdk.ExportDataSource, message: RegExp) =>
      assert.rejects(orderExport(source), message);
    await refused({}, /exactly one of/);
    await refused(
      { MetricsDataSource: { ...metrics, Metrics: [{ Name: 'DELIVERY_OPEN' }] } } as never,
      /DELIVERY_OPEN is not kept/,
    );
    await refused(
      { MetricsDataSource: { ...metrics, Dimensions: { ISP: ['*'], CONFIGURATION_SET: ['a'] } } } as never,
      /two dimensions/,
    );
    await refused(
      { MetricsDataSource: { ...metrics, Dimensions: { NONE: ['*'] } } } as never,
      /enum value set/,
    );
    await refused({ MetricsDataSource: { ...metrics, StartDate: new Date(0) } } as never, /days at most/);
    await refused(
      { MessageInsightsDataSource: { StartDate: new Date(1), EndDate: new Date(1) } },
      /StartDate must be/,
    );
    const of = { Include: { TenantName: ['default'] } };
    await assert.rejects(orderExport({ MessageInsightsDataSource: { ...range(), ...of } }, undefined, user), {
      name: 'AccessDeniedException',
    });
  });

  test('that is cancelled has no file, before its work and in it', async () => {
    const waiting = await orderExport({ MessageInsightsDataSource: range() });
    await client.send(new sdk.CancelExportJobCommand({ JobId: waiting }));
    await work();
    assert.equal((await exported(waiting)).JobStatus, 'CANCELLED');
    await assert.rejects(
      client.send(new sdk.CancelExportJobCommand({ JobId: waiting })),
      /CANCELLED and cannot be/,
    );

    const id = await orderExport({ MessageInsightsDataSource: range() });
    let cancelled = false;
    const records = Object.assign(Object.create(engine.records) as Engine['records'], {
      search: async (search: Parameters<Engine['records']['search']>[0]) => {
        if (!cancelled) await client.send(new sdk.CancelExportJobCommand({ JobId: id }));
        cancelled = true;
        return engine.records.search(search);
      },
    });
    await work({ records });
    const job = await exported(id);
    assert.equal(job.JobStatus, 'CANCELLED');
    assert.equal(job.ExportDestination!.S3Url, undefined);
    await assert.rejects(engine.files.results.read(`exports/${id}.csv`)[Symbol.asyncIterator]().next(), {
      code: 'not_found',
    });
    await work();
    assert.equal((await new Jobs(engine.rows, clock).due()).length, 0, 'no worker looks at it again');
  });

  test('that takes every process down is given up', async () => {
    const id = await orderExport({ MessageInsightsDataSource: range() });
    const records = Object.assign(Object.create(engine.records) as Engine['records'], {
      search: () => Promise.reject(new PosternError('storage_unavailable', 'gone')),
    });
    for (let n = 1; n <= 4; n += 1) {
      await work({ records });
      skipTo(ahead + 6 * MINUTE);
    }
    const { JobStatus, FailureInfo } = await exported(id);
    assert.equal(JobStatus, 'FAILED');
    assert.match(FailureInfo!.ErrorMessage!, /did not end in 3 runs/);
  });

  test('belongs to its tenant, and goes with the address that is erased', async () => {
    const id = await orderExport({ MessageInsightsDataSource: range() });
    await work();
    const link = (await exported(id)).ExportDestination!.S3Url!;
    await assert.rejects(user.send(new sdk.GetExportJobCommand({ JobId: id })), {
      name: 'NotFoundException',
    });
    assert.equal((await fetch(link)).status, 200);
    await eraseAddress(
      { engine, clock },
      { tenant: 'default', address: 'ann@gmail.com', keepSuppression: false, origin: 'x' },
    );
    assert.equal((await fetch(link)).status, 410);
  });

  test('leaves its file for a week', async () => {
    const id = await orderExport({ MessageInsightsDataSource: range() });
    await work();
    const link = (await exported(id)).ExportDestination!.S3Url!;
    assert.equal(await engine.files.prune(clock.now() - 1000, 1000), 0);
    assert.equal((await fetch(link)).status, 200);
    assert.ok((await engine.files.prune(clock.now() + 1000, 1000)) > 0);
    assert.equal((await fetch(link)).status, 410);
  });
});

test('standalone works on a job when it is ordered, and on what the process before has left', async () => {
  const url = await keep('timer.csv', 'ann@timer.example,BOUNCE');
  const left = await order(url);
  const timer = startJobs({ engine, context: CONTEXT, clock, log: silentLog });
  const ended = async (id: string) => {
    while ((await imported(id)).JobStatus !== 'COMPLETED') await new Promise(setImmediate);
  };
  await ended(left);
  const next = await order(url);
  timer.wake();
  await ended(next);
  await timer.stop();
  timer.wake();
});
