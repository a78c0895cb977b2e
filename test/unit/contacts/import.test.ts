/** Files of addresses: lines, CSV, rows of suppression lists, and the import of a stream. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { csvLine, fieldsOf, inert } from '../../../lib/contacts/transfer/csv.ts';
import { type ImportOptions, importRows, type RowFailure } from '../../../lib/contacts/transfer/import.ts';
import { MAX_LINE, readLines } from '../../../lib/contacts/transfer/lines.ts';
import { exportList } from '../../../lib/contacts/transfer/suppression-export.ts';
import {
  type SuppressionImport,
  suppressionTarget,
} from '../../../lib/contacts/transfer/suppression-rows.ts';
import { openMemory } from '../../../lib/engine/memory/open.ts';
import type { Suppressions } from '../../../lib/engine/ports.ts';
import type { Suppression } from '../../../lib/engine/suppression.ts';
import { PosternError } from '../../../lib/errors.ts';
import { DAY } from '../../../lib/time.ts';
import { TestClock } from '../../support/clock.ts';
import { failure } from '../../support/control.ts';

async function* bytes(...pieces: (string | Uint8Array)[]): AsyncGenerator<Uint8Array> {
  for (const piece of pieces) yield typeof piece === 'string' ? Buffer.from(piece) : piece;
}

async function lines(...pieces: (string | Uint8Array)[]): Promise<unknown[]> {
  const all: unknown[] = [];
  for await (const { number, ...line } of readLines(bytes(...pieces)))
    all.push([number, 'text' in line ? line.text : `! ${line.fault}`]);
  return all;
}

describe('lines', () => {
  test('end with LF or CRLF, wherever the pieces end; empty ones count', async () => {
    const expected = [
      [1, 'a'],
      [2, 'b'],
      [4, 'c'],
      [5, 'd'],
    ];
    assert.deepEqual(await lines('\ufeffa\r\nb\n\nc\r', '\n', 'd'), expected);
    const whole = Buffer.from('\ufeffa\r\nb\n \nc\r\nd\n');
    for (let size = 1; size < 9; size += 1) {
      const pieces = Array.from({ length: Math.ceil(whole.length / size) }, (_, n) =>
        whole.subarray(n * size, (n + 1) * size),
      );
      assert.deepEqual(await lines(...pieces), expected);
    }
    assert.deepEqual(await lines(), []);
  });

  test('that cannot be read cost nobody else theirs', async () => {
    const long = 'x'.repeat(MAX_LINE);
    assert.deepEqual(await lines(`${long}\n`, `y${long}`, long, '\na\n', Buffer.from([0xff, 0x0a]), 'é\n'), [
      [1, long],
      [2, `! is longer than ${MAX_LINE} octets`],
      [3, 'a'],
      [4, '! is not text in UTF-8'],
      [5, 'é'],
    ]);
    const utf16 = Buffer.from('\ufeffann@example.net\n', 'utf16le');
    await assert.rejects(lines(utf16), failure('bad_request', /UTF-16. Save it in UTF-8/));
  });
});

describe('CSV', () => {
  test('is read as RFC 4180 and as SES writes it', () => {
    for (const [line, fields] of [
      ['a,b', ['a', 'b']],
      [' a , b ', ['a', 'b']],
      ['"a ""b"", c" , d', ['a "b", c', 'd']],
      ['a,,', ['a', '', '']],
      [
        'ann@example.net,false,{"Name": "John"},OPT_IN',
        ['ann@example.net', 'false', '{"Name": "John"}', 'OPT_IN'],
      ],
      ['', ['']],
      ['"a', undefined],
      ['"a"b,c', undefined],
    ] as const) {
      assert.deepEqual(fieldsOf(line), fields, line);
    }
  });

  test('that is written is read back', () => {
    const field = fc.string({ unit: 'binary' }).filter((text) => !/[\r\n]/.test(text));
    fc.assert(
      fc.property(fc.array(field, { minLength: 1, maxLength: 8 }), (fields) => {
        assert.deepEqual(fieldsOf(csvLine(fields).slice(0, -2)), fields);
      }),
    );
  });

  test('has no formulas', () => {
    assert.equal(inert('=HYPERLINK("x")'), `'=HYPERLINK("x")`);
    assert.equal(inert('550 5.1.1'), '550 5.1.1');
  });
});

/** A file into a list, and what became of it. */
async function imported(
  file: string[],
  change: Partial<SuppressionImport> = {},
  more: Partial<ImportOptions<never>> = {},
) {
  const clock = new TestClock();
  const engine = openMemory({ clock });
  const failures: RowFailure[] = [];
  const deps = { engine, clock, control: undefined as never };
  const options: SuppressionImport = {
    tenant: 'shop',
    format: 'csv',
    action: 'put',
    origin: 'Imported',
    ...change,
  };
  const run = (source: AsyncIterable<Uint8Array>) =>
    importRows({
      source,
      target: suppressionTarget(deps, options),
      onFailures: async (some) => void failures.push(...some),
      ...more,
    });
  const counts = await run(bytes(`${file.join('\n')}\n`));
  const entries = async (): Promise<Suppression[]> =>
    (await engine.suppressions.list({ tenant: 'shop', max: 10_000 })).toSorted((a, b) =>
      a.address < b.address ? -1 : 1,
    );
  return { clock, engine, counts, failures, entries, run, deps };
}

describe('an import into a suppression list', () => {
  test("takes SES's CSV, and a line for each bad row", async () => {
    const { counts, failures, entries, clock } = await imported([
      'ann@EXAMPLE.net,BOUNCE',
      'bob@example.net , complaint',
      'nobody,BOUNCE',
      '"cy@example.net,BOUNCE',
      'dan@example.net,SPITE',
      'eve@example.net',
      ',BOUNCE',
      'bounce@simulator.amazonses.com,BOUNCE',
      'fay@example.net,BOUNCE,',
    ]);
    assert.deepEqual(counts, { rows: 9, taken: 3, unchanged: 0, failed: 6 });
    assert.deepEqual(
      failures.map(({ line, what }) => [line, what]),
      [
        [3, 'nobody,BOUNCE'],
        [4, '"cy@example.net,BOUNCE'],
        [5, 'dan@example.net,SPITE'],
        [6, 'eve@example.net'],
        [7, ',BOUNCE'],
        [8, 'bounce@simulator.amazonses.com,BOUNCE'],
      ],
    );
    for (const [at, why] of [
      /nobody/,
      /quote/,
      /"SPITE" must be BOUNCE or COMPLAINT/,
      /reason is missing/,
      /address is missing/,
      /simulator/,
    ].entries())
      assert.match(failures[at]!.why, why);
    const [ann, bob] = await entries();
    const at = clock.now();
    assert.deepEqual(ann, {
      tenant: 'shop',
      address: 'ann@example.net',
      reason: 'BOUNCE',
      at,
      since: at,
      why: 'Imported, line 1.',
    });
    assert.equal(bob!.reason, 'COMPLAINT');
  });

  test("takes SES's JSON lines", async () => {
    const { counts, failures } = await imported(
      [
        '{"emailAddress":"ann@example.net","reason":"BOUNCE"}',
        '{"EmailAddress":"bob@example.net","Reason":"COMPLAINT","x":null}',
        '{"emailAddress":"cy@example.net"}',
        '[1]',
        'null',
        '{"emailAddress":"dan@example.net","reason":',
        '{"emailAddress":1,"reason":"BOUNCE"}',
      ],
      { format: 'jsonl' },
    );
    assert.deepEqual([counts.taken, failures.map(({ line }) => line)], [2, [3, 4, 5, 6, 7]]);
  });

  test('takes addresses alone for the named reason, and a header in any order', async () => {
    const plain = await imported(['ann@example.net', 'bob@example.net'], { reason: 'COMPLAINT' });
    assert.deepEqual(
      (await plain.entries()).map(({ address, reason }) => `${address} ${reason}`),
      ['ann@example.net COMPLAINT', 'bob@example.net COMPLAINT'],
    );
    const headed = await imported(['Name,Reason,E-Mail', 'Ann,BOUNCE,ann@example.net', 'Bob']);
    assert.deepEqual([headed.counts.rows, headed.counts.taken], [2, 1]);
    assert.match(headed.failures[0]!.why, /address is missing/);
  });

  test("takes hard bounces and complaints of PowerMTA's accounting files, at their time", async () => {
    const { counts, entries, failures, clock } = await imported([
      'type,timeLogged,orig,rcpt,dsnStatus,dsnDiag,bounceCat',
      'b,2025-11-29 12:00:00+0100,a@x.example,ann@example.net,5.1.1 (bad),"smtp;550 5.1.1 no such user",bad-mailbox',
      'b,2025-11-29 12:00:00+0100,a@x.example,bob@example.net,5.7.1,smtp;550 spam,spam-related',
      'd,2025-11-29 12:00:00+0100,a@x.example,cy@example.net,2.0.0,ok,',
      'rb,1764414000,a@x.example,dan@example.net,5.1.2,,bad-domain',
      'f,2025-11-29 12:00:00+0100,a@x.example,eve@example.net,,,',
      'b,yesterday,a@x.example,fay@example.net,5.1.1,,bad-mailbox',
    ]);
    assert.deepEqual(counts, { rows: 6, taken: 3, unchanged: 2, failed: 1 });
    assert.match(failures[0]!.why, /"yesterday" must be as/);
    const at = Date.UTC(2025, 10, 29, 11);
    assert.ok(at < clock.now());
    const [ann, dan, eve] = await entries();
    assert.deepEqual([ann!.at, ann!.why], [at, 'smtp;550 5.1.1 no such user']);
    assert.deepEqual([dan!.address, dan!.at], ['dan@example.net', at]);
    assert.deepEqual([eve!.reason, eve!.at], ['COMPLAINT', at]);
  });

  test('leaves newer entries, and a removal after it, as they are', async () => {
    const t = await imported(['ann@example.net,BOUNCE']);
    const old = `address,reason,at\nann@example.net,COMPLAINT,${new Date(t.clock.now() - DAY).toISOString()}\n`;
    const future = `bob@example.net,BOUNCE,${new Date(t.clock.now() + DAY).toISOString()}\n`;
    assert.deepEqual(await t.run(bytes(old, future)), { rows: 2, taken: 0, unchanged: 1, failed: 1 });
    assert.match(t.failures[0]!.why, /in the future/);
    assert.equal((await t.entries())[0]!.reason, 'BOUNCE');
  });

  test('takes addresses off; one that is not listed is a bad row', async () => {
    const t = await imported(['ann@example.net,BOUNCE', 'bob@example.net,BOUNCE']);
    t.clock.advance(1);
    const target = suppressionTarget(t.deps, { tenant: 'shop', format: 'csv', action: 'delete', origin: '' });
    const failures: RowFailure[] = [];
    const counts = await importRows({
      source: bytes('Ann@example.net\ncy@example.net\n'),
      target,
      onFailures: async (some) => void failures.push(...some),
    });
    assert.deepEqual(counts, { rows: 2, taken: 1, unchanged: 0, failed: 1 });
    assert.deepEqual(failures, [
      { line: 2, what: 'cy@example.net', why: 'cy@example.net is not on the list.' },
    ]);
    assert.deepEqual(
      (await t.entries()).map(({ address }) => address),
      ['bob@example.net'],
    );
  });

  test('of one address many times leaves the last row in force', async () => {
    const rows = Array.from({ length: 40 }, (_, n) => `ann@example.net,${n % 2 ? 'COMPLAINT' : 'BOUNCE'}`);
    const { counts, entries } = await imported(rows);
    assert.equal(counts.taken, 40);
    const [ann, ...others] = await entries();
    assert.deepEqual([ann!.reason, ann!.why, others], ['COMPLAINT', 'Imported, line 40.', []]);
  });

  test('ends when the store fails, and may be sent again', async () => {
    const t = await imported(['ann@example.net,BOUNCE']);
    let calls = 0;
    const suppressions: Pick<Suppressions, 'put'> = {
      put: (entry) =>
        ++calls > 700
          ? Promise.reject(new PosternError('storage_full', 'The disk is full.'))
          : t.engine.suppressions.put(entry),
    };
    const deps = { ...t.deps, engine: { suppressions: suppressions as Suppressions } };
    const target = suppressionTarget(deps, { tenant: 'shop', format: 'csv', action: 'put', origin: '' });
    const rows = Array.from({ length: 2_000 }, (_, n) => `user${n}@example.net,BOUNCE\n`);
    await assert.rejects(
      importRows({ source: bytes(...rows), target, onFailures: async () => {} }),
      failure('storage_full', /disk/),
    );
    assert.equal((await t.entries()).length, 701);
    assert.equal((await t.run(bytes(...rows))).taken, 2_000);
  });

  test('holds a window of rows at a time, and hands failures over in the order of lines', async () => {
    let most = 0;
    let held = 0;
    const source = (async function* () {
      for (let n = 0; n < 3_000; n += 1) {
        held += 1;
        most = Math.max(most, held);
        yield Buffer.from(
          n % 3 === 0 ? `bad ${n}\n` : n % 3 === 1 ? `nobody${n},BOUNCE\n` : `u${n}@example.net,BOUNCE\n`,
        );
      }
    })();
    const t = await imported(
      [],
      {},
      { onProgress: async ({ rows }) => void (held = Math.min(held, rows ? 1 : 0)) },
    );
    const counts = await t.run(source);
    assert.deepEqual([counts.rows, counts.taken, counts.failed], [3_000, 1_000, 2_000]);
    assert.ok(most < 1_000, `${most} rows were held`);
    const order = t.failures.map(({ line }) => line);
    assert.deepEqual(
      order,
      order.toSorted((a, b) => a - b),
    );
  });
});

test('what is exported is imported as it was, in both formats', async () => {
  const t = await imported(['ann@example.net,BOUNCE', '"a ""b"" c"@example.net,BOUNCE']);
  const odd: Suppression = {
    tenant: 'shop',
    address: '=1+1@example.net',
    reason: 'COMPLAINT',
    at: t.clock.now() - DAY,
    why: '=1+1, "quoted"',
    messageId: 'm-1',
    feedbackId: 'f-1',
  };
  await t.engine.suppressions.put(odd);
  for (const format of ['csv', 'jsonl'] as const) {
    let file = '';
    for await (const piece of exportList(t.deps, { tenant: 'shop' }, format)) file += piece;
    const again = await imported(file.trimEnd().split(/\r?\n/), { format });
    assert.deepEqual(again.failures, []);
    const strip = (entry: Suppression) => ({ ...entry, since: 0, why: entry.why!.replace(/^'/, '') });
    assert.deepEqual((await again.entries()).map(strip), (await t.entries()).map(strip), format);
  }
});
