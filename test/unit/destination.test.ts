import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, it } from 'node:test';
import { createResolver } from '../../lib/dns/resolver.ts';
import { dnsServers } from '../../lib/dns/servers.ts';
import { Destinations, type Target } from '../../lib/egress/destination.ts';
import { type Route, Routes } from '../../lib/egress/routes.ts';
import { isPublicAddress } from '../../lib/public-address.ts';
import { type Clock, systemClock } from '../../lib/time.ts';
import { a, aaaa, mx, startDnsServer, type TestDnsServer } from '../support/dns-server.ts';

let server: TestDnsServer;
let shift = 0;
/** Real timers, since the sockets are real, and a date that the test moves. */
const clock: Clock = { now: () => Date.now() + shift, after: systemClock.after };

before(async () => {
  server = await startDnsServer();
});
after(() => server.close());
beforeEach(() => {
  server.zone.clear();
  server.questions.length = 0;
  shift = 0;
});

function destinations(routes: Route[] = []): Destinations {
  const resolver = createResolver({ servers: dnsServers(server.endpoint), clock, timeouts: [500] });
  return new Destinations({ resolver, clock, routes: new Routes(routes), port: 25 });
}

/** The destination of a domain: `host address` of each target by preference, or `code: text`. */
async function where(domain: string, routes?: Route[]): Promise<string[] | string> {
  const all = destinations(routes);
  const found = await all.find(domain);
  if (found.kind === 'fault') return `${found.code}: ${found.text}`;
  const targets = await all.targets(found);
  if (targets.kind === 'fault') return `${targets.code}: ${targets.text}`;
  const order = (one: Target, other: Target) =>
    one.preference - other.preference || one.family - other.family;
  return targets.targets.sort(order).map(({ host, address, port }) => `${host} ${address} ${port}`);
}

describe('where mail goes', () => {
  it('to the MX hosts by preference, at their IPv4 and IPv6 addresses', async () => {
    server.zone.set('MX d.test', mx([20, 'b.d.test'], [10, 'a.d.test'], [10, 'a.d.test']));
    server.zone.set('A a.d.test', a('8.8.8.1'));
    server.zone.set('AAAA a.d.test', aaaa('2001:4860:4860::1'));
    server.zone.set('A b.d.test', a('8.8.8.2'));
    assert.deepEqual(await where('d.test'), [
      'a.d.test 8.8.8.1 25',
      'a.d.test 2001:4860:4860::1 25',
      'b.d.test 8.8.8.2 25',
    ]);
  });

  it('to the domain itself when it has addresses and no MX', async () => {
    server.zone.set('A d.test', a('8.8.8.1'));
    assert.deepEqual(await where('d.test'), ['d.test 8.8.8.1 25']);
    server.zone.set('AAAA six.test', aaaa('2001:4860:4860::1'));
    assert.deepEqual(await where('six.test'), ['six.test 2001:4860:4860::1 25']);
  });

  it('nowhere, for good, with a null MX or with mail hosts without an address', async () => {
    server.zone.set('MX null.test', mx([0, '.']));
    server.zone.set('MX dangling.test', mx([10, 'a.dangling.test'], [20, 'b.dangling.test']));
    server.zone.set('TXT b.dangling.test', { answers: [{ type: 'TXT', data: 'x' }] });
    assert.match(String(await where('null.test')), /^dns_null_mx:/);
    assert.match(
      String(await where('dangling.test')),
      /^dns_no_mx_host: .*a\.dangling\.test, b\.dangling\.test/,
    );
  });

  it('nowhere, for good, when a domain does not exist or has no records, confirmed a minute later', async () => {
    server.zone.set('TXT nothing.test', { answers: [{ type: 'TXT', data: 'x' }] });
    const all = destinations();
    const code = async (domain: string): Promise<string> => {
      const found = await all.find(domain);
      return found.kind === 'fault' ? `${found.code}: ${found.text}` : found.kind;
    };
    assert.match(await code('gone.test'), /^dns_unconfirmed: The domain gone\.test does not exist/);
    assert.match(await code('nothing.test'), /^dns_unconfirmed: .*neither MX nor address/);
    assert.match(await code('back.test'), /^dns_unconfirmed: /);
    shift = 59_000;
    assert.match(await code('gone.test'), /^dns_unconfirmed: /);
    shift = 61_000;
    server.zone.set('MX back.test', mx([10, 'mx.back.test']));
    assert.match(await code('gone.test'), /^dns_no_domain: The domain gone\.test does not exist/);
    assert.match(await code('nothing.test'), /^dns_no_domain: .*neither MX nor address/);
    assert.equal(await code('back.test'), 'site', 'in spite of the answer that is cached');
    server.zone.delete('MX back.test');
    shift = 4_000_000;
    assert.match(await code('back.test'), /^dns_unconfirmed: /, 'the doubt of that time is over');
    assert.equal(all.known('back.test', clock.now() + 60_001), undefined, 'a retry can query it again');
  });

  it('somewhere, when only one name server denies a domain or its mail host', async () => {
    const wrong = await startDnsServer({ 'MX half.test': mx([10, 'mx.half.test']) });
    server.zone.set('MX d.test', mx([10, 'mx.half.test']));
    server.zone.set('A mx.half.test', a('8.8.8.1'));
    const servers = [...dnsServers(wrong.endpoint), ...dnsServers(server.endpoint)];
    const resolver = createResolver({ servers, clock, timeouts: [500, 500] });
    const all = new Destinations({ resolver, clock, routes: new Routes([]), port: 25 });
    await all.find('d.test');
    shift = 61_000;
    assert.equal((await all.find('d.test')).kind, 'site');
    const half = await all.find('half.test');
    assert.ok(half.kind === 'site');
    assert.equal((await all.targets(half)).kind, 'targets');
    await wrong.close();
  });

  it('a null MX beside another is ignored', async () => {
    server.zone.set('MX d.test', mx([0, '.'], [10, 'a.d.test']));
    server.zone.set('A a.d.test', a('8.8.8.1'));
    assert.deepEqual(await where('d.test'), ['a.d.test 8.8.8.1 25']);
  });

  it('nowhere for now, when DNS fails at any step', async () => {
    server.zone.set('MX broken.test', { rcode: 2 });
    server.zone.set('MX half.test', mx([10, 'a.half.test']));
    server.zone.set('A a.half.test', { rcode: 2 });
    server.zone.set('AAAA a.half.test', {});
    server.zone.set('A implicit.test', { rcode: 2 });
    server.zone.set('MX odd.test', mx([10, 'not a host'], [20, '-x.test']));
    assert.match(String(await where('broken.test')), /^dns_failure: .*SERVFAIL/);
    assert.match(String(await where('half.test')), /^dns_failure: A of a\.half\.test: .*SERVFAIL/);
    assert.match(String(await where('implicit.test')), /^dns_failure: A of implicit\.test/);
    assert.match(String(await where('odd.test')), /^dns_failure: .*name no host/);
  });

  it('never to a private address, and to the public ones beside it', async () => {
    server.zone.set('MX in.test', mx([10, 'a.in.test'], [20, 'b.in.test']));
    server.zone.set('A a.in.test', a('169.254.169.254', '127.0.0.1'));
    server.zone.set('A b.in.test', a('10.1.2.3'));
    assert.equal(
      await where('in.test'),
      'mx_prohibited: Not a public address: a.in.test [169.254.169.254], a.in.test [127.0.0.1], b.in.test [10.1.2.3].',
    );
    server.zone.set('A b.in.test', a('10.1.2.3', '8.8.8.2'));
    assert.deepEqual(await where('in.test'), ['b.in.test 8.8.8.2 25']);
    assert.match(String(await where('[127.0.0.1]')), /^mx_prohibited/);
    assert.match(String(await where('[IPv6:::ffff:127.0.0.1]')), /^mx_prohibited/);
    assert.deepEqual(await where('[8.8.4.4]'), ['8.8.4.4 8.8.4.4 25']);
  });

  it('to at most 20 hosts, and 16 addresses of each', async () => {
    server.zone.set(
      'MX huge.test',
      mx(...Array.from({ length: 60 }, (_, i) => [i, `m${i}.huge.test`] as [number, string])),
    );
    for (let i = 0; i < 60; i += 1) {
      server.zone.set(`A m${i}.huge.test`, a(...Array.from({ length: 30 }, (_, j) => `8.8.${i}.${j}`)));
    }
    assert.equal((await where('huge.test')).length, 20 * 16);
    assert.equal(server.questions.length, 1 + 20 * 2);
  });

  it('by static route, exact before *, private and named hosts included, without MX', async () => {
    server.zone.set('A relay.test', a('10.0.0.5'));
    const routes = [
      { domain: '*', host: '127.0.0.1', port: 2525 },
      { domain: 'Bücher.example', host: 'relay.test', port: 26 },
      { domain: 'six.test', host: '::1', port: 27 },
      { domain: 'local.test', host: 'localhost', port: 28 },
    ];
    assert.deepEqual(await where('any.test', routes), ['127.0.0.1 127.0.0.1 2525']);
    assert.deepEqual(server.questions, []);
    assert.deepEqual(await where('xn--bcher-kva.example', routes), ['relay.test 10.0.0.5 26']);
    assert.deepEqual(await where('six.test', routes), ['::1 ::1 27']);
    assert.deepEqual(await where('local.test', routes), ['localhost 127.0.0.1 28']);
  });

  it('is cached until it expires', async () => {
    server.zone.set('MX d.test', mx([10, 'a.d.test']));
    const all = destinations();
    assert.equal(all.known('d.test', Date.now()), undefined);
    const found = await all.find('d.test');
    assert.equal(all.known('d.test', Date.now()), found);
    assert.equal(all.known('d.test', found.expiresAt), undefined);
  });
});

describe('an address', () => {
  it('that is public may be connected to', () => {
    for (const address of [
      '8.8.8.8',
      '1.1.1.1',
      '223.255.255.254',
      '2001:4860:4860::8888',
      '2a00:1450::1',
      '172.32.0.1',
      '100.128.0.1',
    ])
      assert.equal(isPublicAddress(address), true, address);
  });

  it('of any other range may not', () => {
    const inside = [
      '0.0.0.0',
      '0.1.2.3',
      '10.0.0.1',
      '100.64.0.1',
      '100.100.100.200',
      '127.0.0.1',
      '127.255.255.255',
      '169.254.169.254',
      '169.254.170.2',
      '172.16.0.1',
      '172.31.255.255',
      '192.0.0.1',
      '192.0.0.192',
      '192.0.2.1',
      '192.88.99.1',
      '192.168.1.1',
      '198.18.0.1',
      '198.51.100.1',
      '203.0.113.1',
      '224.0.0.1',
      '240.0.0.1',
      '255.255.255.255',
      '168.63.129.16',
      '::',
      '::1',
      '::127.0.0.1',
      '::ffff:127.0.0.1',
      '::ffff:8.8.8.8',
      '64:ff9b::7f00:1',
      '64:ff9b:1::1',
      '100::1',
      '2001::1',
      '2001:db8::1',
      '2002:7f00:1::',
      '3fff::1',
      '4000::1',
      '5f00::1',
      'fc00::1',
      'fd00:ec2::254',
      'fe80::1',
      'fec0::1',
      'ff02::1',
      '',
      'localhost',
      '8.8.8',
      '010.0.0.1',
      '0x7f.1',
      '2130706433',
      '8.8.8.8 ',
      '[::1]',
      'fe80::1%eth0',
    ];
    for (const address of inside) assert.equal(isPublicAddress(address), false, address);
  });
});
