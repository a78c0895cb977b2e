import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { backoffDelay } from '../../lib/shaping/backoff.ts';
import { DEFAULT_LIMITS } from '../../lib/shaping/limits/defaults.ts';
import { LoadMeter } from '../../lib/shaping/load-meter.ts';
import { overflowDelay, overShare } from '../../lib/shaping/overflow.ts';
import { LANE_GROUPS, laneGroup, providerOf } from '../../lib/shaping/providers.ts';
import { RateMeter } from '../../lib/shaping/rate-meter.ts';
import { siteName } from '../../lib/shaping/sites.ts';

describe('a provider', () => {
  it('is that of the MX hosts, by whole labels, with the longest suffix first', () => {
    const rows: [string, string][] = [
      ['aspmx.l.google.com', 'google'],
      ['smtp.google.com', 'google'],
      ['ALT1.ASPMX.L.GOOGLE.COM.', 'google'],
      ['notgoogle.com', 'other'],
      ['google.com.evil.test', 'other'],
      ['outlook-com.olc.protection.outlook.com', 'outlook'],
      ['contoso-com.mail.protection.outlook.com', 'office365'],
      ['contoso.abc-v1.mx.microsoft', 'office365'],
      ['mta5.am0.yahoodns.net', 'yahoo'],
      ['mx01.mail.icloud.com', 'apple'],
      ['us-smtp-inbound-1.mimecast.com', 'mimecast'],
      ['d1.a.ess.barracudanetworks.com', 'barracuda'],
      ['mx.kpnmail.nl', 'kpn'],
      ['mx1.netvigator.com', 'netvigator'],
      ['mx1.comcast.net', 'comcast'],
      ['mx', 'other'],
    ];
    for (const [host, provider] of rows) assert.equal(providerOf([host]), provider, host);
  });

  it('is "other" when the hosts differ or are missing', () => {
    assert.equal(providerOf(['aspmx.l.google.com', 'mx.example.com']), 'other');
    assert.equal(providerOf(['aspmx.l.google.com', 'alt1.aspmx.l.google.com']), 'google');
    assert.equal(providerOf([]), 'other');
  });

  it('has some host for every row of limits', () => {
    const hosts: Record<string, string> = {
      google: 'x.google.com',
      yahoo: 'x.yahoodns.net',
      outlook: 'x.olc.protection.outlook.com',
      office365: 'x.mail.protection.outlook.com',
      apple: 'x.icloud.com',
      comcast: 'x.comcast.net',
      mimecast: 'x.mimecast.com',
      barracuda: 'x.barracudanetworks.com',
      gmx: 'x.gmx.net',
      orange: 'x.orange.fr',
      netvigator: 'x.netvigator.com',
      kpn: 'x.kpnmail.nl',
      qq: 'x.qq.com',
      netease: 'x.netease.com',
      'yahoo-japan': 'x.mail.yahoo.co.jp',
    };
    for (const provider of Object.keys(DEFAULT_LIMITS.providers!)) {
      assert.equal(providerOf([hosts[provider] ?? '']), provider, provider);
    }
  });

  it('has a lane group by its well-known domains; every other domain has the group "other"', () => {
    assert.equal(laneGroup('gmail.com'), 'google');
    assert.equal(laneGroup('hotmail.co.uk'), 'microsoft');
    assert.equal(laneGroup('aol.com'), 'yahoo');
    assert.equal(laneGroup('me.com'), 'apple');
    assert.equal(laneGroup('yahoo.co.jp'), 'other', 'another company');
    assert.equal(laneGroup('example.com'), 'other');
    assert.equal(laneGroup('constructor'), 'other');
    assert.ok(LANE_GROUPS.includes(laneGroup('outlook.com')));
  });
});

describe('a site', () => {
  it('has one name for any order, case and repetition of its hosts', () => {
    const hosts = ['alt1.aspmx.l.google.com', 'aspmx.l.google.com', 'ALT2.aspmx.l.google.com'];
    const name = siteName(hosts);
    assert.equal(name, '(alt1.aspmx,alt2.aspmx,aspmx).l.google.com');
    assert.equal(siteName([...hosts, ...hosts].reverse()), name);
  });

  it('has different names for different sets', () => {
    assert.equal(siteName(['mx.example.com']), 'mx.example.com');
    assert.equal(siteName(['a.test', 'b.example']), '(a.test,b.example)');
    assert.equal(siteName(['example.com', 'mx.example.com']), '(example,mx.example).com');
    assert.notEqual(siteName(['a.x.test', 'b.x.test']), siteName(['a.x.test', 'b.y.test']));
  });
});

describe('back-off', () => {
  it('grows with the square of the failures up to 30 minutes', () => {
    const middle = () => 0.5;
    assert.deepEqual(
      [1, 2, 3, 10, 11, 1000].map((n) => backoffDelay(n, middle) / 1000),
      [15, 60, 135, 1500, 1800, 1800],
    );
    assert.equal(
      backoffDelay(1, () => 0),
      13_500,
    );
    assert.ok(backoffDelay(1, () => 0.999) < 16_500);
  });
});

describe('sharing the room', () => {
  it('limits a slow destination by the free room, and a fast or new one not at all', () => {
    assert.equal(
      overShare(100, 101, () => 0),
      false,
    );
    assert.equal(
      overShare(101, 101, () => 0),
      true,
    );
    assert.equal(
      overShare(101, 0, () => 20),
      true,
      '101 at 20 a second take more than 5 s',
    );
    assert.equal(
      overShare(100, 0, () => 20),
      false,
    );
    assert.equal(
      overShare(4000, 0, () => undefined),
      false,
    );
    assert.equal(
      overShare(7, 0, () => 0),
      false,
      'a few are always allowed',
    );
  });

  it('rechecks when the destination should have drained, within limits', () => {
    const middle = () => 0.5;
    assert.equal(overflowDelay(100, 10, 0, middle), 10_000);
    assert.equal(overflowDelay(100, 1000, 0, middle), 1_000);
    assert.equal(overflowDelay(10_000, 1, 0, middle), 300_000);
    for (const [loaded, delay] of [
      [0, 5_000],
      [20_000, 20_000],
      [600_000, 60_000],
    ] as const)
      assert.equal(overflowDelay(10, 0, loaded, middle), delay, 'takes nothing');
  });

  it('the rate under load is that of the limits until it is measured', () => {
    const load = new LoadMeter();
    const count = (from: number, to: number, every: number) => {
      for (let now = from; now < to; now += every) {
        load.ended(now);
        load.rate(now, 100);
      }
    };
    load.begin(0);
    assert.equal(load.rate(0, 100), 100);
    count(0, 5_000, 1_000);
    load.begin(5_000);
    assert.equal(load.rate(5_900, 100), 100, 'a trickle is no measurement');
    count(6_000, 9_000, 20);
    assert.ok(Math.abs(load.rate(9_000, 100)! - 50) < 1, 'measured from the first end on');
    load.begin(20_000);
    assert.equal(load.rate(20_999, Number.POSITIVE_INFINITY), undefined);
    assert.equal(load.rate(21_000, Number.POSITIVE_INFINITY), 0, 'without a limit silence is judged soon');
    assert.equal(load.rate(29_999, 100), 100);
    assert.equal(load.rate(30_000, 100), 0);
  });

  it('measures the rate of a destination after one second and follows it', () => {
    const meter = new RateMeter(0);
    for (let i = 0; i < 50; i += 1) meter.count();
    assert.equal(meter.rate(500), undefined);
    for (let i = 0; i < 50; i += 1) meter.count();
    assert.equal(meter.rate(1000), 100);
    for (let now = 1500; now <= 12_000; now += 500) meter.rate(now);
    assert.ok(meter.rate(12_000)! < 1);
  });
});
