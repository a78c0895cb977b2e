/** `GET /v1/identities/{name}/check` with a real DNS server. */
import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import { createResolver } from '../../../lib/dns/resolver.ts';
import { systemClock } from '../../../lib/time.ts';
import { mx, startDnsServer, type TestDnsServer } from '../../support/dns-server.ts';
import { txt } from '../../support/doctor.ts';
import { type PosternServer, startPosternServer } from '../../support/postern-server.ts';

let dns: TestDnsServer;
let server: PosternServer;
before(async () => {
  dns = await startDnsServer();
  const resolver = createResolver({
    servers: [{ address: '127.0.0.1', port: dns.port }],
    clock: systemClock,
  });
  server = await startPosternServer({ dns: { resolver, sources: ['8.8.4.4', '10.0.0.1'] } });
  await server.control.identities.create({ name: 'example.com', tenant: 'default' });
  await server.control.identities.create({ name: 'a@example.com', tenant: 'default' });
  await server.control.identities.create({ name: 'foreign.example', tenant: 'other' });
});
after(async () => {
  await server.close();
  await dns.close();
});
beforeEach(() => {
  // Past the time for which a report is given again.
  server.clock.advance(30_000);
  dns.zone.clear();
  dns.questions.length = 0;
});

const read = (name: string) => server.call('GET', `/identities/${name}/check`, { key: 'user' });
const ids = (json: { findings: { id: string }[] }): string[] => json.findings.map(({ id }) => id);

test('what is missing comes with the exact records, the worst first', async () => {
  const { status, json } = await read('example.com');
  assert.equal(status, 200);
  assert.deepEqual(
    [json.domain, json.ok, json.checkedAt],
    ['example.com', false, '2026-01-01T00:00:30.000Z'],
  );
  assert.deepEqual(ids(json).sort(), [
    'bimi.missing',
    'dkim.missing',
    'dmarc.missing',
    'return-path.no-mx',
    'spf.missing',
  ]);
  assert.equal(json.findings.at(-1).severity, 'notice');
  const { dkim } = (await server.control.identities.find('example.com'))!;
  const recordOf = (id: string) => json.findings.find((one: { id: string }) => one.id === id).record;
  assert.deepEqual(recordOf('dkim.missing'), dkim.records[0]);
  // A private address is no source that receivers see.
  assert.deepEqual(recordOf('spf.missing').value, 'v=spf1 ip4:8.8.4.4 ~all');
  assert.deepEqual(recordOf('return-path.no-mx').value, '10 postern.example');
});

test('the published records are shown, and nothing is left to find', async () => {
  const { dkim } = (await server.control.identities.find('example.com'))!;
  for (const { name, value } of dkim.records) dns.zone.set(`TXT ${name}`, txt(value));
  dns.zone.set('TXT bounces.example.com', txt('v=spf1 ip4:8.8.4.4 -all'));
  dns.zone.set('MX bounces.example.com', mx([10, 'postern.example']));
  dns.zone.set('TXT _dmarc.example.com', txt('v=DMARC1; p=reject; rua=mailto:x@example.com'));
  const { json } = await read('example.com');
  assert.deepEqual(ids(json), ['bimi.missing']);
  assert.equal(json.ok, true);
  assert.deepEqual(
    json.seen.find(({ check }: { check: string }) => check === 'spf'),
    { check: 'spf', name: 'bounces.example.com', type: 'TXT', values: ['v=spf1 ip4:8.8.4.4 -all'] },
  );
  // An address is signed and judged by its domain.
  const { json: address } = await read('a@example.com');
  assert.deepEqual([address.domain, ids(address)], ['example.com', ['bimi.missing']]);
});

test('who asks at once or again within half a minute makes no more queries', async () => {
  const [one, two] = await Promise.all([read('example.com'), read('example.com')]);
  const asked = dns.questions.length;
  assert.ok(asked > 5);
  assert.deepEqual(new Set(dns.questions).size, asked, 'no name twice');
  server.clock.advance(29_999);
  const three = await read('example.com');
  assert.deepEqual([two.json, three.json], [one.json, one.json]);
  assert.equal(dns.questions.length, asked);
  server.clock.advance(1);
  await read('example.com');
  assert.equal(dns.questions.length, 2 * asked);
});

test('the identity of another tenant, and one that does not exist, are not found', async () => {
  assert.equal((await read('foreign.example')).status, 404);
  assert.equal((await read('nowhere.example')).status, 404);
  assert.equal(dns.questions.length, 0);
});
