import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  nodeEnvironment,
  readNodeSettings,
  sourceSuffix,
} from '../../egress-node/service/node-environment.ts';
import {
  apiEnvironment,
  eventEnvironment,
  functionEnvironment,
  keyEnvironment,
  readApiSettings,
  readEventSettings,
  readFunctionSettings,
  readIndexSettings,
  readKeySettings,
  readTrackSettings,
  readZoneSettings,
  senderEnvironment,
  trackEnvironment,
  zoneEnvironment,
} from '../../functions/environment.ts';
import type { AwsResources } from '../../lib/engine/aws/schema.ts';
import { failure } from '../support/control.ts';

const resources: AwsResources = {
  tables: {
    records: 'r',
    deliveries: 'd',
    ledger: 'l',
    suppressions: 'n',
    search: 'f',
    rows: 'w',
    config: 'c',
    leases: 's',
  },
  bucket: 'bodies',
  queueUrlPrefix: 'https://sqs.us-east-1.amazonaws.com/123456789012/postern-test-',
  claimBeforeSend: true,
  searchIndex: true,
};
const settings = {
  resources,
  accountId: '123456789012',
  hostname: 'mail.example.com',
  returnPathDomain: 'bounces.example.com',
};
const AWS_REGION = 'us-east-1';

describe('the settings that the stacks pass', () => {
  test('are read by a function', () => {
    const environment = functionEnvironment(settings);
    assert.deepEqual(readFunctionSettings({ ...environment, AWS_REGION }), {
      ...settings,
      region: AWS_REGION,
    });
  });

  test('are read by the API', () => {
    const all = {
      ...settings,
      eventDays: 7,
      pools: ['default', 'vip'],
      returnPathDomain: 'b.example.com',
      secrets: 's',
    };
    for (const one of [
      all,
      { ...all, frontSecret: 'x', trackingUrl: 'https://t.example.com', cosignDomain: 'fbl.example' },
      { ...all, dkimZone: 'dkim.example' },
    ])
      assert.deepEqual(readApiSettings({ ...apiEnvironment(one), AWS_REGION }), {
        ...one,
        region: AWS_REGION,
      });
  });

  test('are read by the functions that send events', () => {
    for (const eventDays of [0, 30]) {
      const all = { ...settings, eventDays, secrets: 's' };
      assert.deepEqual(readEventSettings({ ...senderEnvironment(all), AWS_REGION }), {
        ...all,
        region: AWS_REGION,
      });
      const { secrets: _, ...rest } = all;
      const read = readIndexSettings({ ...eventEnvironment(rest), AWS_REGION });
      assert.deepEqual(read, { ...rest, region: AWS_REGION });
    }
  });

  test('are read by the functions of DKIM keys', () => {
    const keys = { resources, dkimZone: 'dkim.example', secrets: 's' };
    assert.deepEqual(readKeySettings(keyEnvironment(keys)), keys);
    const zone = { resources, dkimZone: 'dkim.example', zoneId: 'Z1' };
    assert.deepEqual(readZoneSettings(zoneEnvironment(zone)), zone);
    assert.throws(() => readZoneSettings(keyEnvironment(keys)), /POSTERN_DKIM_ZONE_ID/);
  });

  test('are read by tracking', () => {
    const all = { queueUrlPrefix: resources.queueUrlPrefix, configTable: 'config', secrets: 's' };
    for (const one of [all, { ...all, frontSecret: 'x' }])
      assert.deepEqual(readTrackSettings(trackEnvironment(one)), one);
    for (const name of Object.keys(trackEnvironment(all)))
      assert.throws(
        () => readTrackSettings({ ...trackEnvironment(all), [name]: '' }),
        failure('bad_request', new RegExp(name)),
      );
  });

  test('are read by an egress node, with the addresses that it took', () => {
    const node = { resources, node: 'a', secrets: 's' };
    const sources = [
      { ip: '203.0.113.5', local: '10.0.0.5', hostname: 'a1.example.com', pools: ['default'] },
      { ip: '2001:db8::5', hostname: 'a2.example.com', pools: ['vip', 'default'] },
    ];
    const POSTERN_SOURCES = sources
      .map((source) => source.ip + (source.local ? `@${source.local}` : '') + sourceSuffix(source))
      .join(',');
    assert.deepEqual(readNodeSettings({ ...nodeEnvironment(node), POSTERN_SOURCES }), { ...node, sources });
  });
});

describe('a missing or wrong setting', () => {
  test('is named', () => {
    for (const name of Object.keys(functionEnvironment(settings))) {
      const environment = { ...functionEnvironment(settings), AWS_REGION, [name]: '' };
      assert.throws(() => readFunctionSettings(environment), failure('bad_request', new RegExp(name)));
    }
    assert.throws(
      () => readFunctionSettings({ ...functionEnvironment(settings), POSTERN_CLAIM_BEFORE_SEND: 'yes' }),
      failure('bad_request', /POSTERN_CLAIM_BEFORE_SEND is "yes"/),
    );
    for (const text of [
      '10.0.0.5',
      '10.0.0.5=a1.example.com',
      '=a1.example.com:default',
      '203.0.113.5@=a:b',
      'x y=a:b',
    ]) {
      const environment = {
        ...nodeEnvironment({ resources, node: 'a', secrets: 's' }),
        POSTERN_SOURCES: text,
      };
      assert.throws(
        () => readNodeSettings(environment),
        failure('bad_request', /POSTERN_SOURCES: ".*" is not/),
      );
    }
  });
});
