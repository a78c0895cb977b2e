import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { type ConfigFile, loadSettings, readSettings, SettingsError } from '../../egress-node/settings.ts';

const read = (environment: NodeJS.ProcessEnv) => readSettings(environment, {});

test('the environment overrides the file, and the file the defaults', () => {
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
    POSTERN_START: 'paused',
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
    POSTERN_DKIM_ZONE: 'DKIM.mail.example.com.',
    POSTERN_DKIM_ZONE_DNS: '0.0.0.0:53',
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
  assert.equal(settings.dkimZone, 'dkim.mail.example.com');
  assert.deepEqual(settings.dkimZoneDns, { host: '0.0.0.0', port: 53 });
  assert.deepEqual(settings.tracking, { url: 'https://track.example.com' });
  assert.equal(settings.verifyIdentities, false);
  assert.equal(settings.data, '/srv/postern');
  assert.equal(settings.startPaused, true);
  assert.equal(settings.policy, '/etc/postern/policy.ts');
  assert.equal(settings.smtpPort, 2525);
});

const WRONG: [name: string, value: string, says: RegExp][] = [
  ['POSTERN_API', '8025', /POSTERN_API: "8025" is not an address/],
  ['POSTERN_API', '127.0.0.1:65536', /POSTERN_API/],
  ['POSTERN_START', 'stopped', /neither paused nor sending/],
  ['POSTERN_RELAY_FROM', '10.0.0.1', /not a network/],
  ['POSTERN_EGRESS_IPS', '192.0.2.1;192.0.2.2', /not an IP address/],
  ['POSTERN_SMTP_PORT', '0', /not a port/],
  ['POSTERN_SMTP_PORT', 'smtp', /not a port/],
  ['POSTERN_ROUTES', '127.0.0.1:25', /not a route/],
  ['POSTERN_ROUTES', 'example.com=127.0.0.1', /not an address/],
  ['POSTERN_DKIM_ZONE', 'localhost', /POSTERN_DKIM_ZONE: "localhost" is not a zone/],
  ['POSTERN_DKIM_ZONE', 'dkim..example.com', /not a zone/],
  ['POSTERN_DKIM_ZONE', `${'a.'.repeat(105)}example.com`, /not a zone of at most 220 characters/],
  ['POSTERN_DKIM_ZONE_DNS', '127.0.0.1:53', /answers for POSTERN_DKIM_ZONE: set that, too/],
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

/** Settings of a file that TypeScript would not take, or that a plain JavaScript file can hold. */
const WRONG_FILE: [file: Record<string, unknown>, says: string][] = [
  [{ api: '127.0.0.1:24201' }, 'api must be an object'],
  [{ api: { host: '127.0.0.1' } }, 'api.port is missing'],
  [{ api: { host: '127.0.0.1', port: 65_536 } }, 'api.port must be at most 65535'],
  [{ api: { host: '', port: 1 } }, 'api.host "" is empty'],
  [{ smtpPort: 'abc' }, 'smtpPort must be a whole number'],
  [{ smtpPort: 0 }, 'smtpPort must be at least 1'],
  [{ smptPort: 26 }, 'smptPort is not a setting'],
  [{ maxRecipients: -5 }, 'maxRecipients must be at least 1'],
  [{ maxAgeDays: 0 }, 'maxAgeDays must be more than 0'],
  [{ retrySeconds: [] }, 'retrySeconds must have at least 1 item'],
  [{ retrySeconds: [60, '5m'] }, 'retrySeconds.1 must be a number'],
  [{ logLevel: 'loud' }, 'logLevel must be one of debug, info, warn, error'],
  [{ accountId: '1' }, 'accountId "1" is not an account id of twelve digits'],
  [{ relayFrom: ['10.0.0.1'] }, 'relayFrom.0 "10.0.0.1" is not a network'],
  [{ egressIps: '192.0.2.1' }, 'egressIps must be an array'],
  [{ tracking: { url: 'track.example.com' } }, 'tracking.url "track.example.com" is not a web address'],
  [{ routes: [{ domain: '*', host: '::1' }] }, 'routes.0.port is missing'],
  [{ pools: { news: ['192.0.2.300'] } }, 'pools.news.0 "192.0.2.300" is not an IP address'],
  [{ pools: { vip: { ips: ['192.0.2.1'], dedicated: [] } } }, 'pools.vip'],
  [{ pools: { vip: { ips: ['192.0.2.1'], dedicatedTo: {} } } }, 'pools.vip.dedicatedTo: names nobody'],
];

for (const [file, says] of WRONG_FILE) {
  test(`${JSON.stringify(file)} in the file stops the start with a sentence that names it`, () => {
    assert.throws(
      () => readSettings({}, file as ConfigFile),
      (error: unknown) =>
        error instanceof SettingsError &&
        error.message.includes(says) &&
        /^postern\.config\.ts: .*\.$/.test(error.message),
    );
  });
}

test('every problem is named at once, and an unknown variable with the known ones', () => {
  assert.throws(
    () =>
      readSettings({ POSTERN_EGRESS_IP: '192.0.2.1', POSTERN_API: '8025' }, {
        smtpPort: 0,
        x: 1,
      } as ConfigFile),
    (error: Error) => {
      assert.deepEqual(
        error.message.split('\n').map((line) => line.replace(/; .*/, '')),
        [
          'postern.config.ts: smtpPort must be at least 1.',
          'postern.config.ts: x is not a setting.',
          'POSTERN_EGRESS_IP is not a variable of Postern',
          'POSTERN_API: "8025" is not an address',
        ],
      );
      assert.match(error.message, /there are .*POSTERN_EGRESS_IPS/);
      return true;
    },
  );
  assert.throws(
    () => readSettings({ POSTERN_EGRESS_IPS: '192.0.2.1,here' }, {}),
    new SettingsError('POSTERN_EGRESS_IPS: "here" is not an IP address.'),
  );
});

test('pools may be dedicated to tenants', () => {
  const pools = { acme: { ips: ['192.0.2.1'], dedicatedTo: { tenants: ['acme'] } }, news: ['192.0.2.2'] };
  assert.deepEqual(readSettings({}, { pools }).pools, pools);
});

test('a policy file that is named must exist; the default one need not', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'postern-settings-'));
  try {
    assert.equal((await loadSettings({}, directory)).policy, './postern.policy.ts');
    await assert.rejects(
      loadSettings({ POSTERN_POLICY: 'rules.ts' }, directory),
      new RegExp(`POSTERN_POLICY: the file ${directory}/rules.ts does not exist`),
    );
    await writeFile(join(directory, 'rules.ts'), '');
    assert.equal((await loadSettings({ POSTERN_POLICY: 'rules.ts' }, directory)).policy, 'rules.ts');
    await writeFile(join(directory, 'postern.config.ts'), "export default { policy: 'none.ts' };");
    await assert.rejects(
      loadSettings({}, directory),
      /postern\.config\.ts: policy: the file .* does not exist/,
    );
  } finally {
    await rm(directory, { recursive: true });
  }
});
