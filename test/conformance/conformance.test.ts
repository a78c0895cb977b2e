/** The SES API against Amazon's model, by the real SDK: answers, refused inputs, errors. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { EXPORT_JOB, JobRows } from '../../lib/contacts/transfer/job-rows.ts';
import type { ExportJob } from '../../lib/jobs/export-jobs.ts';
import { HANDLERS } from '../../lib/ses/handlers.ts';
import { SES_V2 } from '../../lib/ses/model/models.ts';
import { operationsPage } from '../../lib/ses/operations-page.ts';
import type { SesOperationName } from '../../lib/ses/types.ts';
import { systemClock } from '../../lib/time.ts';
import {
  NOT_APPLICABLE,
  NOT_APPLICABLE_TO,
  PREPARATION,
  PROVOCATIONS,
  type Provocation,
  UNKNOWN,
} from './errors.ts';
import { EXAMPLES, HELD_EXPORT, type Known } from './examples.ts';
import { ConformanceService, type Input } from './service.ts';
import { departures, refusedInputs } from './shapes.ts';

const OPERATIONS = [...HANDLERS.keys()].sort() as SesOperationName[];

let service: ConformanceService;
/** Stands for the operator's buckets. */
let directory: string;
/** Input of the first valid call of each operation. */
const valid = new Map<SesOperationName, Input>();
before(async () => {
  const files = await mkdtemp(join(tmpdir(), 'postern-conformance-'));
  await mkdir(join(files, 'conformance'));
  await writeFile(join(files, 'conformance', 'list.csv'), 'gone@example.net,BOUNCE\n');
  directory = files;
  service = await ConformanceService.start({
    POSTERN_EGRESS_IPS: '127.0.0.2,127.0.0.3',
    POSTERN_TRACKING_URL: 'https://mail.example.com',
    POSTERN_S3: files,
    POSTERN_DKIM_ZONE: 'dkim.mail.example.com',
  });
  await new JobRows<ExportJob>(service.standalone.engine.rows, systemClock, EXPORT_JOB).create({
    id: HELD_EXPORT,
    tenant: 'default',
    keyId: 'AKIA',
    source: { kind: 'messages', from: 0, before: 1, max: 1 },
    format: 'CSV',
    processed: 0,
    exported: 0,
    begun: 0,
  });
});
after(async () => {
  await service.stop();
  await rm(directory, { recursive: true });
});

test('the table of operations agrees with the code (npm run ses-operations writes it)', () => {
  assert.equal(
    readFileSync(new URL('../../lib/ses/operations.md', import.meta.url), 'utf8'),
    operationsPage(),
  );
});

test('every operation that is answered has a valid call here', () => {
  const called = new Set(EXAMPLES.map(({ operation }) => operation));
  assert.deepEqual(
    OPERATIONS.filter((name) => !called.has(name)),
    [],
  );
});

test('each valid call is answered in the shape of the model, as the SDK reads it', async (t) => {
  const known: Known = {};
  for (const [i, { operation, input, keep }] of EXAMPLES.entries()) {
    const given = typeof input === 'function' ? input(known) : input;
    if (!valid.has(operation)) valid.set(operation, given);
    await t.test(`${i + 1}. ${operation}`, async () => {
      const { output, json } = await service.call(operation, given);
      const shape = SES_V2.operations[operation]!.output;
      assert.deepEqual(shape === undefined ? [] : departures(json, shape, operation), []);
      Object.assign(known, keep?.(output));
    });
  }
});

describe('an input that the model refuses is refused', () => {
  for (const operation of OPERATIONS)
    test(operation, async () => {
      const wrong: string[] = [];
      for (const { what, input } of refusedInputs(operation, valid.get(operation)!)) {
        const { status, type, message } = await service.raw(operation, input);
        if (status !== 400 || (type !== 'BadRequestException' && type !== 'SerializationException'))
          wrong.push(`${what}: ${status} ${type ?? ''} ${message ?? ''}`);
      }
      assert.deepEqual(wrong, []);
    });
});

describe('the errors of the model', () => {
  before(async () => {
    for (const [operation, input] of PREPARATION) await service.call(operation, input);
  });

  const unknown: Provocation[] = (Object.keys(UNKNOWN) as SesOperationName[]).map((operation) => ({
    operation,
    error: 'NotFoundException',
    input: UNKNOWN[operation]!,
  }));
  const provocations = [...unknown, ...PROVOCATIONS];

  test('each that applies is provoked', (t) => {
    const provoked = new Set(provocations.map(({ operation, error }) => `${operation} ${error}`));
    const missing = OPERATIONS.flatMap((operation) =>
      SES_V2.operations[operation]!.errors.filter((error) => !isExempt(operation, error))
        .map((error) => `${operation} ${error}`)
        .filter((one) => !provoked.has(one)),
    );
    const apply = OPERATIONS.flatMap((operation) =>
      SES_V2.operations[operation]!.errors.filter((error) => !isExempt(operation, error)),
    ).length;
    t.diagnostic(`${apply - missing.length} of ${apply} modelled errors that apply are provoked`);
    assert.deepEqual(missing, []);
  });

  for (const { operation, error, input, before: first = [], afterwards = [] } of provocations)
    test(`${operation}: ${error}`, async () => {
      for (const [name, given] of first) await service.call(name, given);
      try {
        await assert.rejects(
          service.call(operation, { ...valid.get(operation), ...input }),
          (refusal: Error) => {
            assert.equal(refusal.name, error, refusal.message);
            return true;
          },
        );
      } finally {
        for (const [name, given] of afterwards) await service.call(name, given);
      }
    });
});

/** Whether an error needs no provocation: it cannot be met, or the refused inputs have met it. */
function isExempt(operation: SesOperationName, error: string): boolean {
  if (NOT_APPLICABLE[error] !== undefined || NOT_APPLICABLE_TO[operation]?.[error] !== undefined) return true;
  return error === 'BadRequestException';
}
