import assert from 'node:assert/strict';
import { describe, it, test } from 'node:test';
import { BOT_RULES, botLikelihood, type Engagement } from '../../lib/outcome/bots.ts';

const CHROME =
  'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0 Safari/537.36';
const reader: Engagement = { kind: 'click', userAgent: CHROME, ipAddress: '192.0.2.7', age: 60_000 };

/** Each rule by its place, with what it recognises. */
const SAMPLES: Partial<Engagement>[] = [
  {
    kind: 'open',
    userAgent: 'Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)',
    age: 10,
  },
  { userAgent: '' },
  { kind: 'open', userAgent: 'Mozilla/5.0' },
  { userAgent: 'Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)' },
  { userAgent: 'Mozilla/5.0 (compatible; Barracuda Sentinel)' },
  { userAgent: 'python-requests/2.32.3' },
  { userAgent: 'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 HeadlessChrome/140.0 Safari/537.36' },
  { userAgent: 'Mozilla/5.0 (compatible; ExampleCrawler/1.0)' },
  { ipAddress: '209.222.82.9' },
  { age: 2_999 },
  { kind: 'open', age: 999 },
];

describe('isBotEvent', () => {
  it('has a sample of each rule', () => assert.equal(SAMPLES.length, BOT_RULES.length));
  for (const [place, rule] of BOT_RULES.entries()) {
    it(`${rule.likelihood}: ${rule.name}`, () => {
      const sample = { ...reader, ...SAMPLES[place] };
      assert.equal(botLikelihood(sample), rule.likelihood);
      // The rule itself decides: readers of that kind, without what it recognises, are readers.
      assert.equal(botLikelihood({ ...reader, kind: sample.kind }), 'Unlikely');
    });
  }
});

test('browsers and mail programs of people are no bots', () => {
  for (const userAgent of [
    CHROME,
    'Mozilla/5.0 (iPhone; CPU iPhone OS 19_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148',
    'Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko)',
    'Microsoft Office/16.0 (Windows NT 10.0; Microsoft Outlook 16.0.10730; Pro)',
    'YahooMailProxy; https://help.yahoo.com/kb/yahoo-mail-proxy-SLN28749.html',
    'Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Thunderbird/140.0',
  ]) {
    for (const kind of ['open', 'click'] as const) {
      for (const ipAddress of ['192.0.2.7', '2001:db8::7', 'unknown']) {
        assert.equal(botLikelihood({ kind, userAgent, ipAddress, age: 3_000 }), 'Unlikely', userAgent);
      }
    }
  }
});

test('a hostile name costs little', () => {
  const started = process.cpuUsage();
  for (let i = 0; i < 1000; i++) botLikelihood({ ...reader, userAgent: `${'a'.repeat(990)} !${i}` });
  const { user } = process.cpuUsage(started);
  // Linear rules take some ms; a pattern that goes back over the text takes seconds.
  assert.ok(user < 3_000_000, String(user));
});
