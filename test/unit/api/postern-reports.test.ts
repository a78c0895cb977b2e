import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { REPORT_ROWS } from '../../../lib/inbound/aggregate-reports.ts';
import { readDmarcReport } from '../../../lib/outcome/dmarc.ts';
import { summariseDmarc, summariseTls } from '../../../lib/outcome/report-summary.ts';
import { readTlsReport } from '../../../lib/outcome/tls-report.ts';
import { dmarcRow, dmarcXml, tlsJson } from '../../support/aggregate-reports.ts';
import { type PosternServer, startPosternServer } from '../../support/postern-server.ts';

let server: PosternServer;
before(async () => {
  server = await startPosternServer();
  await server.control.identities.create({ name: 'example.com', tenant: 'default' });
  await server.control.identities.create({ name: 'a@example.com', tenant: 'default' });
  await server.control.identities.create({ name: 'foreign.example', tenant: 'other' });
});
after(() => server.close());

const read = (path: string) => server.call('GET', `/identities/${path}`, { key: 'user' });

test('the reports about a domain are shown by day, with the records that make receivers send them', async () => {
  const dmarc = summariseDmarc(await readDmarcReport(Buffer.from(dmarcXml(dmarcRow('192.0.2.1', 7)))));
  const tls = summariseTls(await readTlsReport(Buffer.from(tlsJson(3))), 'example.com');
  const row = (key: string, value: object) => ({ kind: REPORT_ROWS, partition: 'example.com', key, value });
  await server.engine.rows.put([
    row('2025-12-30#dmarc#a', dmarc),
    row('2025-12-31#tls#b', tls),
    ...Array.from({ length: 100 }, (_, n) => row(`2025-11-01#dmarc#${n + 100}`, dmarc)),
  ]);
  const { status, json } = await read('example.com/reports');
  assert.equal(status, 200);
  assert.deepEqual(
    json.records.map(({ name, value }: { name: string; value: string }) => [name, value]),
    [
      ['_dmarc.example.com', 'v=DMARC1; p=none; rua=mailto:reports@bounces.example.com'],
      ['_smtp._tls.example.com', 'v=TLSRPTv1; rua=mailto:reports@bounces.example.com'],
    ],
  );
  assert.deepEqual(
    json.reports.slice(0, 3).map(({ day, kind }: { day: string; kind: string }) => [day, kind]),
    [
      ['2025-12-31', 'tls'],
      ['2025-12-30', 'dmarc'],
      ['2025-11-01', 'dmarc'],
    ],
  );
  assert.deepEqual([json.reports[0].failed, json.reports[1].messages], [3, 7]);
  const rest = (await read(`example.com/reports?after=${encodeURIComponent(json.next)}`)).json;
  assert.deepEqual([json.reports.length, rest.reports.length, rest.next], [100, 2, undefined]);
  const some = (await read('example.com/reports?from=2025-12-30&before=2025-12-31')).json;
  assert.deepEqual(some.reports.length, 1);
});

test('reports of another domain of the return path need its consent, which is shown', async () => {
  await server.control.identities.update('example.com', (one) => ({
    ...one,
    mailFromDomain: 'mail.example.net',
  }));
  const { json } = await read('example.com/reports');
  assert.deepEqual(json.records.at(-1), {
    name: 'example.com._report._dmarc.mail.example.net',
    type: 'TXT',
    value: 'v=DMARC1',
  });
});

test('a return path whose DNS does not lead here yet gets no reports', async (t) => {
  const strict = await startPosternServer({ verifyIdentities: true });
  t.after(() => strict.close());
  const { identities } = strict.control;
  await identities.create({ name: 'example.com', tenant: 'default' });
  await identities.update('example.com', (one) => ({ ...one, mailFromDomain: 'mail.example.net' }));
  const { json } = await strict.call('GET', '/identities/example.com/reports', { key: 'user' });
  assert.match(json.records[0].value, /rua=mailto:reports@bounces\.example\.com$/);
});

test('an address, a foreign identity and a wrong day are refused', async () => {
  assert.equal((await read('a@example.com/reports')).status, 400);
  assert.equal((await read('foreign.example/reports')).status, 404);
  assert.equal((await read('example.com/reports?from=yesterday')).status, 400);
});
