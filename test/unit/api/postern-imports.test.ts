/** Files into suppression lists and out of them, by real requests. */
import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { after, before, test } from 'node:test';
import { posternApi } from '../../../lib/api/router.ts';
import { createBodyReader } from '../../../lib/http/body-reader.ts';
import type { ApiDeps } from '../../../lib/http/deps.ts';
import { silentLog } from '../../../lib/log.ts';
import { settled } from '../../support/engine.ts';
import { KEYS, type PosternServer, startPosternServer } from '../../support/postern-server.ts';

let server: PosternServer;
before(async () => {
  server = await startPosternServer();
});
after(() => server.close());

const authorization = (key: keyof typeof KEYS) => `Bearer ${KEYS[key].id}.${KEYS[key].secret}`;

async function file(path: string, key: keyof typeof KEYS = 'admin') {
  const response = await fetch(`${server.url}/v1${path}`, { headers: { authorization: authorization(key) } });
  return { status: response.status, headers: response.headers, text: await response.text() };
}

test('a file goes into a list and out again; each bad row is answered, and kept', async () => {
  const rows = Array.from({ length: 1_200 }, (_, n) =>
    n % 4 === 0 ? `user${n}@@x,BOUNCE` : `user${n}@example.net,BOUNCE`,
  );
  const { status, json } = await server.call('POST', '/suppressions/import?tenant=files', {
    key: 'admin',
    headers: { 'content-type': 'text/csv' },
    body: rows.join('\r\n'),
  });
  assert.equal(status, 200);
  const { id, rows: seen, taken, failed, failures, next, kind, list, action, format } = json;
  assert.deepEqual([seen, taken, failed], [1_200, 900, 300]);
  assert.deepEqual(
    [kind, list, action, format, json.status],
    ['suppressions', 'files', 'put', 'csv', 'COMPLETED'],
  );
  assert.deepEqual([failures.length, failures[0].line, failures[0].what], [100, 1, 'user0@@x,BOUNCE']);
  assert.match(failures[0].why, /user0@@x/);

  const lines: number[] = failures.map(({ line }: { line: number }) => line);
  for (let behind: number | undefined = next; behind !== undefined; ) {
    const page: { failures: { line: number }[]; next?: number } = (
      await server.call('GET', `/imports/${id}/failures?after=${behind}&max=70`, { key: 'admin' })
    ).json;
    lines.push(...page.failures.map(({ line }) => line));
    behind = page.next;
  }
  assert.deepEqual(
    lines,
    Array.from({ length: 300 }, (_, n) => n * 4 + 1),
  );

  const exported = await file('/suppressions/export?tenant=files');
  assert.equal(exported.headers.get('content-type'), 'text/csv; charset=utf-8');
  assert.equal(exported.headers.get('content-disposition'), 'attachment; filename="suppressions.csv"');
  const back = exported.text.trimEnd().split('\r\n');
  assert.deepEqual([back.length, back[0]], [901, 'address,reason,since,at,why,messageId,feedbackId']);
  const first = back.find((line) => line.startsWith('user1@'))!;
  assert.match(first, /^user1@example\.net,BOUNCE,2026-.*,"Imported with the key AKIAADMIN, line 2\."/);
  const lined = await file('/suppressions/export?tenant=files&format=jsonl&reason=BOUNCE');
  assert.equal(lined.text.split('\n').length, 901);
  assert.match(JSON.parse(lined.text.split('\n')[0]!).emailAddress, /^user\d+@example\.net$/);
  assert.equal((await file('/suppressions/export?tenant=files&reason=COMPLAINT&format=jsonl')).text, '');

  const gone = await server.call('POST', '/suppressions/import?tenant=files&action=delete', {
    key: 'admin',
    body: exported.text,
  });
  assert.deepEqual([gone.json.taken, gone.json.failed], [900, 0]);
  assert.deepEqual(
    (await server.call('GET', '/suppressions?tenant=files', { key: 'admin' })).json.suppressions,
    [],
  );
});

test("imports are listed, the newest first, to their tenant's keys alone", async () => {
  const load = async (body: string, key: keyof typeof KEYS) => {
    server.clock.advance(1);
    return (await server.call('POST', '/suppressions/import?format=jsonl', { key, body })).json.id as string;
  };
  const ids = [
    await load('{"emailAddress":"a@example.net","reason":"BOUNCE"}\n', 'other'),
    await load('', 'other'),
  ];
  const listed = await server.call('GET', '/imports?max=1', { key: 'other' });
  assert.deepEqual([listed.json.imports.length, listed.json.imports[0].id], [1, ids[1]]);
  const second = await server.call('GET', `/imports?after=${listed.json.next}`, { key: 'other' });
  assert.deepEqual(
    second.json.imports.map(({ id }: { id: string }) => id),
    [ids[0]],
  );
  assert.equal(second.json.next, undefined);
  assert.equal((await server.call('GET', `/imports/${ids[0]}`, { key: 'other' })).json.taken, 1);
  for (const path of [`/imports/${ids[0]}`, `/imports/${ids[0]}/failures`, '/imports/x'])
    assert.equal((await server.call('GET', path, { key: 'user' })).status, 404, path);
});

test('what cannot be imported is refused with the reason', async () => {
  for (const [path, key, status, message] of [
    ['/suppressions/import?format=xls', 'user', 400, /format: must be csv or jsonl/],
    ['/suppressions/import?action=burn', 'user', 400, /action: must be put or delete/],
    ['/suppressions/import?reason=SPITE', 'user', 400, /reason: must be one of/],
    ['/suppressions/import?tenant=other', 'user', 403, /another tenant/],
    ['/suppressions/import', undefined, 401, /bearer/i],
  ] as const) {
    const reply = await server.call('POST', path, { key, body: 'ann@example.net,BOUNCE' });
    assert.equal(reply.status, status, path);
    assert.match(reply.json.error.message, message);
  }
  const utf16 = Buffer.from('\ufeffann@example.net,BOUNCE', 'utf16le');
  const response = await fetch(`${server.url}/v1/suppressions/import`, {
    method: 'POST',
    headers: { authorization: authorization('user') },
    body: utf16,
  });
  assert.equal(response.status, 400);
  const [last] = (await server.call('GET', '/imports?max=1', { key: 'user' })).json.imports;
  assert.deepEqual([last.status, last.rows], ['FAILED', 0]);
  assert.match(last.error, /UTF-16/);
});

test('a cut connection leaves the rows before it in force, and the import FAILED', async () => {
  // The newest import is told by its time.
  server.clock.advance(1);
  const { hostname, port } = new URL(server.url);
  const socket = connect(Number(port), hostname);
  const rows = Array.from({ length: 600 }, (_, n) => `cut${n}@example.net,BOUNCE\n`).join('');
  socket.write(
    `POST /v1/suppressions/import HTTP/1.1\r\nHost: x\r\nAuthorization: ${authorization('user')}\r\n` +
      `Content-Type: text/csv\r\nContent-Length: ${rows.length + 100}\r\n\r\n${rows}`,
  );
  const newest = async () => (await server.call('GET', '/imports?max=1', { key: 'user' })).json.imports[0];
  const listed = async () =>
    (await server.engine.suppressions.list({ tenant: 'default', max: 1_000 })).filter(({ address }) =>
      address.startsWith('cut'),
    ).length;
  while ((await listed()) < 500) await settled();
  socket.destroy();
  while ((await newest()).status === 'PROCESSING') await settled();
  const { status, error } = await newest();
  assert.equal(status, 'FAILED');
  assert.match(error, /connection closed/);
});

test('a Lambda answer has 10,000 entries at most, and names the rest', async () => {
  const { engine, clock, control } = server;
  const put = (n: number) =>
    engine.suppressions.put({
      tenant: 'many',
      address: `u${n}@example.net`,
      reason: 'BOUNCE',
      at: clock.now() - 20_000 + n,
    });
  await Promise.all(Array.from({ length: 10_001 }, (_, n) => put(n)));
  const limits = { bytes: 1, grace: 1, rate: 1, buffered: 1, unproven: 1 };
  const deps = { engine, clock, control, log: silentLog } as unknown as ApiDeps;
  const api = posternApi(deps, createBodyReader(limits, clock)).app;
  const call = async (path: string) => {
    const incoming = {
      method: 'GET',
      rawPath: path,
      rawQuery: '',
      headers: [['authorization', authorization('admin')]] as [string, string][],
      sourceIp: '192.0.2.1',
      body: Buffer.alloc(0),
    };
    return api.fetch(new Request(`https://x/v1${path}`), { incoming });
  };
  const first = await call('/suppressions/export?tenant=many&format=jsonl');
  assert.equal((await first.text()).split('\n').length, 10_001);
  const next = /^<\/v1(\/suppressions\/export\?.*)>; rel="next"$/.exec(first.headers.get('link')!)![1]!;
  const rest = await call(next);
  assert.equal(JSON.parse(await rest.text()).emailAddress, 'u10000@example.net');
  assert.equal(rest.headers.get('link'), null);
});
