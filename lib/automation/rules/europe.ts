/** Mailbox providers of the Low Countries, Italy, Poland and Czechia. */
import type { Rule } from '../rule.ts';

export const kpn: readonly Rule[] = [
  {
    id: 'kpn.rejected',
    reason: 'KPN refuses this IP.',
    match: { provider: 'kpn', code: '5xx', text: ['mail rejected'] },
    trigger: { events: 3, within: '1h' },
    action: ['suspend', 'alert'],
    duration: '2h',
    samples: ['550 5.0.0 Mail rejected'],
  },
];

export const ziggo: readonly Rule[] = [
  {
    id: 'ziggo.listed',
    reason: 'Ziggo refuses this IP: it is on a block list (MXIN103).',
    match: { code: '5xx', provider: 'ziggo', text: ['mxin103', 'is in rbl. please see'] },
    action: ['suspend', 'alert'],
    duration: '4h',
    samples: [
      '550 mx10.tb.mail.iss.as9143.net mx10.tb.mail.iss.as9143.net MXIN103 Your IP 192.0.2.10 is in RBL. Please see http://csi.cloudmark.com/reset-request/?ip=192.0.2.10 ;id=HL3DqIsJDuQYf;sid=HL3DqIsJDuQYf;mta=mx10.tb;d=20230706;t=111323[CET];ipsrc=192.0.2.10;',
    ],
  },
];

export const telenet: readonly Rule[] = [
  {
    id: 'telenet.sessions',
    reason: 'Too many connections at once for Telenet.',
    match: { provider: 'telenet', code: 421, text: 'too many simultaneous sessions' },
    action: { limit: { connections: 1 } },
    duration: '1h',
    samples: ['421 telenet-ops.be Too many simultaneous sessions from your IP address'],
  },
  {
    id: 'telenet.greylisted',
    reason: 'Telenet lets new senders wait.',
    match: { provider: 'telenet', code: '4xx', text: 'greylisting in action' },
    trigger: { events: 20, within: '10m' },
    action: { limit: { messageRate: '30/min', connections: 2 } },
    duration: '10m',
    hint: { least: '1m', most: '30m' },
    samples: ['452 4.1.1 Greylisting in action, please come back later'],
  },
];

/** Libero, Virgilio, IOL: one company (Italiaonline), codes `LIB_…`. */
export const libero: readonly Rule[] = [
  {
    id: 'libero.listed',
    reason: 'Libero and Virgilio refuse this IP: Cloudmark lists it (LIB_102).',
    match: { code: '5xx', provider: 'libero', text: ['ip blacklisted by csi', 'lib_102'] },
    action: ['suspend', 'alert'],
    duration: '4h',
    samples: [
      '550 smtp-13.iol.local smtp-13.iol.local IP blacklisted by CSI. For remediation please use http://csi.cloudmark.com/reset-request/?ip=192.0.2.10 [smtp-13.iol.local; LIB_102]',
    ],
  },
  {
    id: 'libero.connections',
    reason: 'Too many connections at once for Libero and Virgilio.',
    match: { provider: 'libero', code: 421, text: 'too many connections' },
    action: { limit: { connections: 1 } },
    duration: '1h',
    samples: ['421 smtp-21.iol.local Too many connections to this listener'],
  },
];

export const tiscali: readonly Rule[] = [
  {
    id: 'tiscali.connections',
    reason: 'Too many connections at once for Tiscali.',
    match: { provider: 'tiscali', code: 421, text: 'too many connections' },
    trigger: { events: 3, within: '10m' },
    action: { limit: { connections: 1 } },
    duration: '1h',
    samples: ['421 etb.mail.tiscali.it Too many connections'],
  },
  {
    id: 'tiscali.greylisted',
    reason: 'Tiscali lets new senders wait.',
    match: { provider: 'tiscali', code: 450, text: 'greylisted' },
    trigger: { events: 20, within: '10m' },
    action: { limit: { messageRate: '30/min' } },
    duration: '15m',
    samples: ['450 greylisted, try again later'],
  },
];

export const wp: readonly Rule[] = [
  {
    id: 'wp.rate',
    reason: 'WP has had too much mail from here for now.',
    match: { provider: 'wp', code: '4xx', text: 'you sent too many e-mails' },
    action: { limit: { messageRate: '20/min', messagesPerConnection: 1 } },
    duration: '1h',
    leaveAfter: 200,
    samples: ['470 you sent too many e-mails'],
  },
  {
    id: 'wp.spam',
    reason: "WP refuses this sender's mail as spam.",
    match: { provider: 'wp', code: '5xx', text: "we can't accept this message because it is spam" },
    trigger: { events: 5, within: '1h' },
    action: ['suspend', 'alert'],
    scope: ['tenant', 'provider'],
    duration: '2h',
    samples: [
      "550 We can't accept this message because it is spam",
      "554 We can't accept this message because it is spam",
    ],
  },
  {
    id: 'wp.spf',
    reason: "WP cannot verify the SPF record of this sender's domain.",
    match: { code: '4xx', provider: 'wp', text: 'blad spf' },
    trigger: { events: 3, within: '1h' },
    action: 'alert',
    scope: ['tenant', 'provider'],
    duration: '1d',
    samples: [
      '451 BLAD SPF - zobacz strone / SPF Error: Please see http://www.openspf.org/Why?id=user%40example.org&ip=192.0.2.10&receiver=smtp.wp.pl',
    ],
  },
];

export const onet: readonly Rule[] = [
  {
    id: 'onet.greylisted',
    reason: 'Onet lets new senders wait.',
    match: { provider: 'onet', code: 450, text: 'greylisting in action' },
    trigger: { events: 20, within: '10m' },
    action: { limit: { messageRate: '30/min', connections: 2 } },
    duration: '15m',
    hint: { least: '1m', most: '30m' },
    samples: [
      '450 4.7.1 <user@onet.pl>: Recipient address rejected: Greylisting in action, please come back later',
    ],
  },
];

export const interia: readonly Rule[] = [
  {
    id: 'interia.connections',
    reason: 'Too many connections at once for Interia.',
    match: { provider: 'interia', code: 421, text: 'too many connections' },
    action: { limit: { connections: 1 } },
    duration: '30m',
    samples: ['421 4.7.0 mx.poczta.interia.pl Error: too many connections from 192.0.2.10'],
  },
  {
    id: 'interia.listed',
    reason: 'Interia refuses this IP: it is on a block list.',
    match: { provider: 'interia', code: '5xx', text: 'client host * blocked using' },
    action: ['suspend', 'alert'],
    duration: '4h',
    samples: ['554 5.7.1 Service unavailable; Client host [192.0.2.10] blocked using zen.spamhaus.org'],
  },
];

export const seznam: readonly Rule[] = [
  {
    id: 'seznam.greylisted',
    reason: 'Seznam lets new senders wait.',
    match: { provider: 'seznam', code: '4xx', text: ['greylisting'] },
    trigger: { events: 20, within: '10m' },
    action: { limit: { messageRate: '30/min', connections: 2 } },
    duration: '15m',
    hint: { least: '1m', most: '30m' },
    samples: ['451 4.7.1 Greylisting in action, please come back in 00:05:00'],
  },
  {
    id: 'seznam.spam',
    reason: "Seznam refuses this sender's mail as spam.",
    match: { provider: 'seznam', code: '5xx', text: ['detected as spam'] },
    trigger: { events: 5, within: '1h' },
    action: ['suspend', 'alert'],
    scope: ['tenant', 'provider'],
    duration: '2h',
    samples: ['554 5.7.1 Your email was detected as spam'],
  },
];
