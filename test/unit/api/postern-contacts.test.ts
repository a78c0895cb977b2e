/** Contact lists and contacts of `/v1`, by real requests. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { KEYS, type PosternServer, startPosternServer } from '../../support/postern-server.ts';

let server: PosternServer;
before(async () => {
  server = await startPosternServer();
});
after(() => server.close());

const LIST = '/contact-lists/news';
const topics = [
  { name: 'offers', displayName: 'Offers', defaultStatus: 'OPT_OUT' },
  { name: 'tips', displayName: 'Tips', description: 'Weekly', defaultStatus: 'OPT_IN' },
];
const put = (path: string, body: object = {}) => server.call('PUT', path, { key: 'user', body });
const get = async (path: string) => (await server.call('GET', path, { key: 'user' })).json;

test('a list and its contacts are made, changed, listed and deleted by a key of their tenant', async () => {
  assert.equal((await server.call('GET', LIST, { key: 'user' })).status, 404);
  const made = await put(LIST, { topics });
  assert.equal(made.status, 200);
  const at = made.json.createdAt;
  assert.deepEqual(made.json, { name: 'news', tenant: 'default', topics, createdAt: at, updatedAt: at });
  server.clock.advance(1000);
  const changed = await put(LIST, { description: 'Ours' });
  assert.deepEqual(
    [changed.json.description, changed.json.topics.length, changed.json.createdAt],
    ['Ours', 2, at],
  );
  assert.equal(
    (await put('/contact-lists/second')).json.error.message,
    'A maximum of 1 Lists allowed per account.',
  );
  assert.equal((await get('/contact-lists')).lists.length, 1);

  const ann = await put(`${LIST}/contacts/Ann%40example.net`, {
    topics: { offers: 'OPT_IN' },
    attributes: { n: 1 },
  });
  const { createdAt, updatedAt, ...rest } = ann.json;
  assert.deepEqual(rest, {
    address: 'Ann@example.net',
    unsubscribeAll: false,
    topics: { offers: 'OPT_IN' },
    attributes: { n: 1 },
  });
  assert.equal(createdAt, updatedAt);
  await put(`${LIST}/contacts/bob%40example.net`, { unsubscribeAll: true });
  await put(`${LIST}/contacts/cy%40example.net`);
  const names = async (query: string) => {
    const page = await get(`${LIST}/contacts?${query}`);
    return [
      page.contacts.map(({ address }: { address: string }) => address.split('@')[0]).join(' '),
      page.next,
    ];
  };
  assert.deepEqual(await names(''), ['Ann bob cy', undefined]);
  assert.deepEqual(await names('status=OPT_OUT'), ['bob', undefined]);
  assert.deepEqual(await names('status=OPT_OUT&topic=offers&default=true'), ['bob cy', undefined]);
  const [first, next] = await names('max=2');
  assert.equal(first, 'Ann bob');
  assert.deepEqual(await names(`max=2&after=${encodeURIComponent(next)}`), ['cy', undefined]);
  assert.equal(
    (await server.call('DELETE', `${LIST}/contacts/ANN%40example.net`, { key: 'user' })).status,
    204,
  );
  assert.equal((await server.call('GET', `${LIST}/contacts/ann%40example.net`, { key: 'user' })).status, 404);
  assert.equal((await server.call('DELETE', LIST, { key: 'user' })).status, 204);
  assert.deepEqual((await get('/contact-lists')).lists, []);
});

test("SES's files of contacts go in, each bad row is answered, and come out again", async () => {
  await put(LIST, { topics });
  const load = async (lines: string[], query = '', type = 'text/csv') =>
    (
      await server.call('POST', `${LIST}/import${query}`, {
        key: 'user',
        headers: { 'content-type': type },
        body: lines.join('\n'),
      })
    ).json;
  const csv = await load([
    'emailAddress,unsubscribeAll,attributesData,topicPreferences.offers,topicPreferences.tips',
    'example1@amazon.com,false,{"Name": "John"},OPT_IN,OPT_OUT',
    'example2@amazon.com,true,,OPT_OUT,',
    '"q@amazon.com",,"{""a"":1,""b"":2}",,',
    'example3@amazon.com,maybe,,,',
    'example4@amazon.com,,,MAYBE,',
    'example5@amazon.com,,{"a":1,"b":2},,',
    'nobody,,,,',
    'example6@amazon.com,,[],,',
  ]);
  assert.deepEqual([csv.kind, csv.list, csv.rows, csv.taken, csv.failed], ['contacts', 'news', 8, 3, 5]);
  assert.deepEqual(
    csv.failures.map(({ line, why }: { line: number; why: string }) => [line, why.slice(0, 30)]),
    [
      [5, 'unsubscribeAll "maybe" must be'],
      [6, 'The status "MAYBE" must be OPT'],
      [7, 'A quote is not closed, or text'],
      [8, 'EmailAddress <nobody> is inval'],
      [9, 'AttributesData must be a valid'],
    ],
  );
  const json = await load(
    [
      '{"emailAddress":"example1@amazon.com","unsubscribeAll":false,"attributesData":"{\\"Name\\":\\"J\\"}","topicPreferences":[{"topicName":"tips","subscriptionStatus":"OPT_IN"}]}',
      '{"emailAddress":"j@amazon.com","topicPreferences":[{"topicName":"chess","subscriptionStatus":"OPT_IN"}]}',
      '{"emailAddress":"j@amazon.com","unsubscribeAll":"true"}',
      '{"emailAddress":',
    ],
    '',
    'application/x-ndjson',
  );
  assert.deepEqual([json.taken, json.failures.map(({ line }: { line: number }) => line)], [1, [2, 3, 4]]);
  assert.match(json.failures[0].why, /List: news doesn't contain Topic: chess/);
  // A row replaces the whole contact.
  assert.deepEqual((await get(`${LIST}/contacts/example1%40amazon.com`)).topics, { tips: 'OPT_IN' });

  const file = async (format: string) => {
    const { id, secret } = KEYS.user;
    const headers = { authorization: `Bearer ${id}.${secret}` };
    return (await fetch(`${server.url}/v1${LIST}/export?format=${format}`, { headers })).text();
  };
  const before = await get(`${LIST}/contacts`);
  const files = { csv: await file('csv'), jsonl: await file('jsonl') };
  assert.equal(files.csv.split('\r\n').length, 5);
  for (const [format, text] of Object.entries(files)) {
    const gone = await load(text.trimEnd().split('\n'), `?action=delete&format=${format}`);
    assert.deepEqual([gone.taken, gone.failed], [3, 0]);
    assert.deepEqual((await get(`${LIST}/contacts`)).contacts, []);
    await load([text], `?format=${format}`);
    const bare = ({ contacts }: { contacts: { createdAt: string; updatedAt: string }[] }) =>
      contacts.map((one) => ({ ...one, createdAt: '', updatedAt: '' }));
    assert.deepEqual(bare(await get(`${LIST}/contacts`)), bare(before), format);
  }
});

test('what is not of the tenant, or invalid, is refused with the reason', async () => {
  await put(LIST, { topics });
  for (const [method, path, key, status, message] of [
    ['GET', `${LIST}?tenant=default`, 'other', 403, /another tenant/],
    ['PUT', `${LIST}/contacts/a%40b.example?tenant=default`, 'other', 403, /another tenant/],
    ['GET', `${LIST}/export?tenant=`, 'admin', 400, /name of a tenant/],
    ['PUT', `${LIST}/contacts/a%40b.example?tenant=a%2Fb`, 'admin', 400, /name of a tenant/],
    ['GET', `${LIST}/contacts`, 'other', 404, /List with name: news doesn't exist/],
    ['GET', `${LIST}/contacts?status=MAYBE`, 'user', 400, /status: must be one of/],
    ['GET', `${LIST}/contacts?topic=tips`, 'user', 400, /status: is missing/],
    [
      'GET',
      `${LIST}/contacts?status=OPT_IN&topic=tips&default=1`,
      'user',
      400,
      /default: must be true or false/,
    ],
    ['GET', `${LIST}/contacts?status=OPT_IN&topic=chess`, 'user', 404, /doesn't contain Topic: chess/],
    ['GET', `${LIST}/contacts?max=1001`, 'user', 400, /max/],
    ['GET', `${LIST}/contacts/nobody`, 'user', 400, /EmailAddress <nobody> is invalid/],
    ['GET', '/contact-lists/bad%20name', 'user', 400, /ContactListName can contain up to 64/],
    ['POST', '/contact-lists/none/import', 'user', 404, /none/],
    ['GET', '/contact-lists/none/export', 'user', 404, /none/],
  ] as const) {
    const body = method === 'PUT' ? {} : method === 'POST' ? 'x' : undefined;
    const reply = await server.call(method, path, { key, body });
    assert.equal(reply.status, status, `${method} ${path}`);
    assert.match(reply.json.error.message, message);
  }
  const wrong = await put(`${LIST}/contacts/a%40b.example`, { topics: { tips: 'MAYBE' } });
  assert.match(wrong.json.error.message, /\/topics\/tips must be one of OPT_IN, OPT_OUT/);
  const headless = await server.call('POST', `${LIST}/import`, { key: 'user', body: 'a@b.example,false\n' });
  assert.match(headless.json.error.message, /first line must name the columns, emailAddress/);
});
