import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readSettings, SettingsError } from '../../egress-node/settings.ts';

const read = (environment: NodeJS.ProcessEnv) => readSettings(environment, {});

test('the environment wins over the file, the file over the way of starting', () => {
  const settings = readSettings(
    { POSTERN_API: '0.0.0.0:9000' },
    { api: { host: '127.0.0.1', port: 1 }, verifyIdentities: true },
    { verifyIdentities: false, smtpPort: 2525 },
  );
  assert.deepEqual(settings.api, { host: '0.0.0.0', port: 9000 });
  assert.equal(settings.verifyIdentities, true);
  assert.equal(settings.smtpPort, 2525);
  assert.deepEqual(settings.submission, { host: '127.0.0.1', port: 1587 });
});

test('every variable is read', () => {
  const settings = read({
    POSTERN_DATA: '/srv/postern',
    POSTERN_SUBMISSION: '[::1]:1588',
    POSTERN_INBOUND: 'localhost:25',
    POSTERN_ACCESS_KEY_ID: 'AKIA',
    POSTERN_SECRET_ACCESS_KEY: 'secret',
    POSTERN_RELAY_FROM: '127.0.0.1/32, 10.0.0.0/8',
    POSTERN_EGRESS_IPS: '192.0.2.1,2001:db8::1',
    POSTERN_DNS: '127.0.0.1:5353',
    POSTERN_SMTP_PORT: '2525',
    POSTERN_ROUTES: 'Example.com=127.0.0.1:2526,*=[::1]:2527',
    POSTERN_POLICY: '/etc/postern/policy.ts',
    POSTERN_TRACKING_URL: 'https://Track.example.com/',
    POSTERN_VERIFY_IDENTITIES: 'off',
  });
  assert.deepEqual(settings.submission, { host: '::1', port: 1588 });
  assert.deepEqual(settings.relayFrom, ['127.0.0.1/32', '10.0.0.0/8']);
  assert.deepEqual(settings.egressIps, ['192.0.2.1', '2001:db8::1']);
  assert.deepEqual(settings.dns, { host: '127.0.0.1', port: 5353 });
  assert.deepEqual(settings.routes, [
    { domain: 'example.com', host: '127.0.0.1', port: 2526 },
    { domain: '*', host: '::1', port: 2527 },
  ]);
  assert.deepEqual(settings.tracking, { url: 'https://track.example.com' });
  assert.equal(settings.verifyIdentities, false);
  assert.equal(settings.data, '/srv/postern');
  assert.equal(settings.policy, '/etc/postern/policy.ts');
  assert.equal(settings.smtpPort, 2525);
});

const WRONG: [name: string, value: string, says: RegExp][] = [
  ['POSTERN_API', '8025', /POSTERN_API: "8025" is not an address/],
  ['POSTERN_API', '127.0.0.1:65536', /POSTERN_API/],
  ['POSTERN_RELAY_FROM', '10.0.0.1', /not a network/],
  ['POSTERN_EGRESS_IPS', '192.0.2.1;192.0.2.2', /not an IP address/],
  ['POSTERN_SMTP_PORT', '0', /not a port/],
  ['POSTERN_SMTP_PORT', 'smtp', /not a port/],
  ['POSTERN_ROUTES', '127.0.0.1:25', /not a route/],
  ['POSTERN_ROUTES', 'example.com=127.0.0.1', /not an address/],
  ['POSTERN_TRACKING_URL', 'track.example.com', /not a web address without a path/],
  ['POSTERN_TRACKING_URL', 'https://example.com/mail', /not a web address without a path/],
  ['POSTERN_TRACKING_URL', 'ftp://example.com', /not a web address without a path/],
  ['POSTERN_TRACKING_URL', 'https://a:b@example.com', /not a web address without a path/],
  ['POSTERN_VERIFY_IDENTITIES', 'false', /neither on nor off/],
];

for (const [name, value, says] of WRONG) {
  test(`${name}=${value} stops the start with a sentence that names it`, () => {
    assert.throws(
      () => read({ [name]: value }),
      (error: unknown) => error instanceof SettingsError && says.test(error.message),
    );
  });
}

test('half a first key is refused', () => {
  assert.throws(() => read({ POSTERN_ACCESS_KEY_ID: 'AKIA' }), /go together/);
});
