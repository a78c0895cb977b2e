import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { dkimZone } from '../../../lib/api/dkim-zone.ts';
import type { ApiCall } from '../../../lib/api/operation.ts';
import { KEYS, type PosternServer, startPosternServer } from '../../support/postern-server.ts';

const NAME = 'dkim.mail.example.net';

let server: PosternServer;
before(async () => {
  server = await startPosternServer({
    verifyIdentities: true,
    dkimZone: { name: NAME, elsewhere: false },
  });
});
after(() => server.close());

const call = (method: string, path: string, body?: unknown) =>
  server.call(method, path, { key: 'admin', body });

async function fileOf(path = '/dkim-zone'): Promise<{ type: string; lines: string[] }> {
  const authorization = `Bearer ${KEYS.admin.id}.${KEYS.admin.secret}`;
  const answer = await fetch(`${server.url}/v1${path}`, { headers: { authorization } });
  assert.equal(answer.status, 200);
  return { type: answer.headers.get('content-type')!, lines: (await answer.text()).trim().split('\n') };
}

test('an identity shows three CNAMEs, and the zone has a key for each', async () => {
  const { status, json } = await call('POST', '/identities', { name: 'example.com' });
  assert.equal(status, 201);
  assert.deepEqual(
    json.records.map(({ type }: { type: string }) => type),
    ['CNAME', 'CNAME', 'CNAME'],
  );
  const { type, lines } = await fileOf();
  assert.match(type, /^text\/dns/);
  assert.deepEqual(lines.slice(0, 2), [`$ORIGIN ${NAME}.`, '$TTL 3600']);
  assert.match(
    lines[2]!,
    /^@ IN SOA \S+\. hostmaster\.dkim\.mail\.example\.net\. \( \d+ 3600 600 604800 60 \)$/,
  );
  assert.match(lines[3]!, /^@ IN NS /);
  const targets = json.records.map(({ value }: { value: string }) => value.slice(0, -NAME.length - 1));
  assert.deepEqual(
    lines.slice(4).map((line) => line.split(' ')[0]),
    targets.toSorted(),
  );
  for (const line of lines.slice(4)) assert.match(line, / IN TXT "v=DKIM1; k=rsa; p=[^"]{200,}" "[^"]+"$/);
});

test('a key before its time is published, and the records of the domain stay', async () => {
  const { json: before } = await call('GET', '/identities/example.com/dns');
  server.txt.zone = server.control.dkimZone;
  server.txt.publish((await server.control.identities.find('example.com'))!);
  const { json: proven } = await call('POST', '/identities/example.com/check');
  assert.equal(proven.dkimStatus, 'SUCCESS');
  const { lines } = await fileOf();
  const { status, json } = await call('POST', '/identities/example.com/signing-key');
  assert.deepEqual([status, json.records, json.dkimStatus], [200, before.records, 'SUCCESS']);
  const { lines: after } = await fileOf();
  assert.equal(
    after.slice(4).filter((line, at) => line !== lines[at + 4]).length,
    1,
    'one token has another key',
  );
  const refused = await server.call('POST', '/identities/example.com/signing-key', { key: 'user' });
  assert.deepEqual([refused.status, refused.json.error.code], [403, 'access_denied']);
});

test('the file is for administrators, and for a service that has a zone', async () => {
  const refused = await server.call('GET', '/dkim-zone', { key: 'user' });
  assert.deepEqual([refused.status, refused.json.error.code], [403, 'access_denied']);
  const without = await startPosternServer();
  const none = await without.call('GET', '/dkim-zone', { key: 'admin' });
  assert.equal(none.status, 400);
  assert.match(none.json.error.message, /no zone for DKIM keys\. Set POSTERN_DKIM_ZONE/);
  await without.close();
});

test('a transport that holds an answer whole gets it in pages, and a zone elsewhere has its own server', async () => {
  const tokens = Array.from({ length: 5_001 }, (_, n) => ({
    token: `t${String(n).padStart(5, '0')}`,
    value: 'v',
  }));
  const zone = {
    name: NAME,
    isElsewhere: true,
    list: async ({ after: from = '', max = 0 }) => tokens.filter(({ token }) => token > from).slice(0, max),
  };
  const page = (query: Record<string, string>) =>
    dkimZone.handle({
      deps: { control: { dkimZone: zone }, hostname: 'h', clock: server.clock },
      caller: { admin: true },
      query,
      unbounded: false,
    } as unknown as ApiCall);
  const first = await page({});
  let text = '';
  for await (const piece of first.text!.pieces) text += piece;
  assert.equal(text.split('\n').length, 2 + 5_000 + 1, 'neither SOA nor NS');
  assert.equal(first.next, '/v1/dkim-zone?after=t04999');
  const second = await page({ after: 't04999' });
  for await (const piece of second.text!.pieces) assert.equal(piece, 't05000 IN TXT "v"\n');
  assert.equal(second.next, undefined);
});
