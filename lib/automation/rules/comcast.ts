/** Comcast (Xfinity). Codes: postmaster.comcast.net/smtp-error-codes.php. */
import type { Rule } from '../rule.ts';

export const comcast: readonly Rule[] = [
  {
    id: 'comcast.throttled',
    reason: 'Comcast throttles this IP for its reputation (RL000001 to RL000003).',
    match: { provider: 'comcast', code: '4xx', text: ['#rl000001', '#rl000002', '#rl000003'] },
    trigger: { events: 2, within: '1h' },
    action: { limit: { messageRate: '60/min', connections: 2, connectionRate: '30/min' } },
    duration: '2h',
    leaveAfter: 500,
    samples: [
      '421 4.1.0 192.0.2.10 Throttled - try again later. Please see http://postmaster.comcast.net/smtp-error-codes.php#RL000001',
      '421 4.1.0 192.0.2.10 Throttled - try again later. Please see http://postmaster.comcast.net/smtp-error-codes.php#RL000002',
      '421 4.2.0 resimta-po-10v.sys.comcast.net 192.0.2.10 Throttled - try again later. Please see http://postmaster.comcast.net/smtp-error-codes.php#RL000003',
    ],
  },
  {
    id: 'comcast.recipients',
    reason: 'Comcast has had too many recipients from this sender for now (RL000010).',
    match: { provider: 'comcast', code: '4xx', text: '#rl000010' },
    action: 'suspend',
    scope: ['tenant', 'site'],
    duration: '5m',
    samples: [
      '421 4.1.0 192.0.2.10 Throttled - try again later. Please see http://postmaster.comcast.net/smtp-error-codes.php#RL000010',
    ],
  },
  {
    id: 'comcast.dnsbl',
    reason: 'Comcast refuses this IP: it is on a block list (BL…).',
    match: { provider: 'comcast', code: 554, text: 'found on one or more dnsbls' },
    action: ['suspend', 'alert'],
    duration: '4h',
    samples: [
      '554 resimta-po-11v.sys.comcast.net resimta-po-11v.sys.comcast.net 192.0.2.10 found on one or more DNSBLs, see http://postmaster.comcast.net/smtp-error-codes.php#BL000010',
    ],
  },
  {
    id: 'comcast.spam-block',
    reason: 'Comcast refuses this IP for spam (BL000000).',
    match: { code: '5xx', provider: 'comcast', text: 'comcast block for spam' },
    action: ['suspend', 'alert'],
    duration: '4h',
    samples: [
      '554 resimta-po-16v.sys.comcast.net comcast 192.0.2.10 Comcast block for spam. Please see http://postmaster.comcast.net/smtp-error-codes.php#BL000000',
      '550 5.2.0 192.0.2.10 Comcast block for spam. Please see http://postmaster.comcast.net/smtp-error-codes.php#BL000000',
    ],
  },
  {
    id: 'comcast.dynamic-ip',
    reason: 'Comcast takes this IP for a dynamic or residential one (ES000010).',
    match: { code: '5xx', provider: 'comcast', text: ['#es000010'] },
    action: ['suspend', 'alert'],
    duration: '1d',
    samples: [
      '554 resimta-po-20v.sys.comcast.net comcast 192.0.2.10 Dynamic/residential IP. Please see http://postmaster.comcast.net/smtp-error-codes.php#ES000010',
    ],
  },
  {
    id: 'comcast.sessions',
    reason: 'Too many connections at once for Comcast (25 for one IP).',
    match: { provider: 'comcast', code: 421, text: 'too many sessions opened' },
    action: { limit: { connections: 5 } },
    duration: '1h',
    samples: ['421 resimta-po-09v.sys.comcast.net Too many sessions opened'],
  },
  {
    id: 'comcast.reverse-dns',
    reason: 'Comcast cannot resolve the name of this IP.',
    match: { provider: 'comcast', code: '4xx', text: 'reverse dns failure' },
    action: ['suspend', 'alert'],
    duration: '1h',
    samples: ['421 resimta-po-33v.sys.comcast.net Reverse DNS failure : Try again later'],
  },
];
