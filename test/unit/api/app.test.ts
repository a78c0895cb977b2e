import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { type SesServer, startSesServer } from '../../support/ses-server.ts';

let server: SesServer;
before(async () => {
  server = await startSesServer();
});
after(() => server.close());

test('both APIs answer on one server, each in its own format', async () => {
  const ses = await fetch(`${server.url}/v2/email/account`);
  assert.equal(ses.status, 403);
  assert.equal(ses.headers.get('x-amzn-errortype'), 'MissingAuthenticationTokenException');
  assert.match(ses.headers.get('x-amzn-requestid')!, /^[0-9a-f-]{36}$/);
  assert.deepEqual(await ses.json(), {
    __type: 'MissingAuthenticationTokenException',
    message: 'Missing Authentication Token',
  });

  const document = await fetch(`${server.url}/v1/openapi.json`);
  assert.equal(document.status, 200);
  assert.ok('paths' in ((await document.json()) as object));
});

test('any other path is not found', async () => {
  for (const path of ['/v1x', '/v2', '/v2/emails', '/v3/email/account'])
    assert.equal((await fetch(`${server.url}${path}`)).status, 404, path);
});
