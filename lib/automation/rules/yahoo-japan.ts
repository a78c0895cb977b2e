/** Yahoo! JAPAN: another company, with an older generation of Yahoo's codes. */
import type { Rule } from '../rule.ts';

export const yahooJapan: readonly Rule[] = [
  {
    id: 'yahoo-japan.deferred',
    reason: 'Yahoo! JAPAN defers this IP.',
    match: { provider: 'yahoo-japan', code: '4xx', text: ['vs98-ip0 deferred', '[tss04]', '[ipts04]'] },
    trigger: { events: 2, within: '1h' },
    action: 'suspend',
    duration: '1h',
    samples: [
      '421 VS98-IP0 deferred - see https://support.yahoo-net.jp/PccMail/s/article/H000007319',
      '421 [TSS04] Messages from 192.0.2.10 temporarily deferred due to unexpected volume or user complaints',
      '421 [IPTS04] Messages from 192.0.2.10 temporarily deferred',
    ],
  },
  {
    id: 'yahoo-japan.command-timeout',
    reason: 'Yahoo! JAPAN closes connections of this IP before their time.',
    match: { provider: 'yahoo-japan', code: 421, text: 'timeout waiting for command' },
    trigger: { events: 3, within: '10m' },
    action: 'suspend',
    duration: '30m',
    samples: ['421 Timeout waiting for command'],
  },
];
