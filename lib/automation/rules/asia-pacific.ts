/** Mailbox providers of Japan, Korea, Hong Kong and Australia. */
import type { Rule } from '../rule.ts';

/** nttdocomo.co.jp: at most 100 recipients in a session; a reset or refusal when mail comes too densely. */
export const docomo: readonly Rule[] = [
  {
    id: 'docomo.recipients',
    reason: 'Too many recipients in one session for docomo.',
    match: { code: '5xx', provider: 'docomo', text: ['too many recipients', 'transaction failed'] },
    action: { limit: { messagesPerConnection: 20, connections: 2 } },
    duration: '1h',
    samples: ['552 Too many recipients', '554 Transaction failed'],
  },
  {
    id: 'docomo.busy',
    reason: 'docomo cannot take more mail for now.',
    match: { provider: 'docomo', code: 421 },
    trigger: { events: 3, within: '10m' },
    action: [{ limit: { messageRate: '60/min', connections: 1 } }],
    duration: '30m',
    leaveAfter: 200,
    samples: ['421 Service not available, closing transmission channel'],
  },
];

/** au.com: mail that comes too densely is deferred or the connection reset. */
export const kddi: readonly Rule[] = [
  {
    id: 'kddi.busy',
    reason: 'au (KDDI) cannot take more mail for now.',
    match: { provider: 'kddi', code: '421-452', phase: ['greeting', 'ehlo', 'mail'] },
    trigger: { events: 3, within: '10m' },
    action: { limit: { messageRate: '60/min', connections: 1 } },
    duration: '30m',
    leaveAfter: 200,
    samples: [
      '421 Service not available, closing transmission channel',
      '450 Requested mail action not taken: mailbox unavailable',
    ],
  },
];

/** softbank.jp: a limit of recipients in a day, which locks the sender for 24 hours. */
export const softbank: readonly Rule[] = [
  {
    id: 'softbank.busy',
    reason: 'SoftBank cannot take more mail for now.',
    match: { provider: 'softbank', code: '421-452', phase: ['greeting', 'ehlo', 'mail'] },
    trigger: { events: 3, within: '10m' },
    action: { limit: { messageRate: '60/min', connections: 1 } },
    duration: '30m',
    leaveAfter: 200,
    samples: ['421 Service not available, closing transmission channel'],
  },
];

export const netvigator: readonly Rule[] = [
  {
    id: 'netvigator.messages-per-connection',
    reason: 'Too many messages over one connection for Netvigator.',
    match: { code: '4xx', provider: 'netvigator', text: 'too many messages for this session' },
    action: { limit: { messagesPerConnection: 5 } },
    duration: '6h',
    samples: ['421 Too many messages for this session'],
    overlaps: [
      { rule: 'netvigator.session-limit', why: 'The same reply: a pause first, fewer messages afterwards.' },
    ],
  },
  {
    id: 'netvigator.session-limit',
    reason: 'Netvigator breaks off sessions of this IP.',
    match: { code: '4xx', provider: 'netvigator', text: 'too many messages for this session' },
    trigger: { events: 3, within: '30m' },
    action: 'suspend',
    duration: '30m',
    samples: ['421 Too many messages for this session'],
    overlaps: [
      {
        rule: 'netvigator.messages-per-connection',
        why: 'The same reply; the first one already lowers the limit.',
      },
    ],
  },
];

export const naver: readonly Rule[] = [
  {
    id: 'naver.filtered',
    reason: 'Naver filters this IP; it wants to be registered.',
    match: { code: '4xx', provider: 'naver', text: 'is filtered and this connection will be closed' },
    action: ['suspend', 'alert'],
    duration: '4h',
    samples: [
      '421 4.3.2 Your IP(192.0.2.10) is filtered and this connection will be closed. You must register your IP to http://realip.naver.com',
    ],
  },
  {
    id: 'naver.too-many',
    reason: 'Naver has had too much mail from here for now.',
    match: { provider: 'naver', code: '4xx', text: 'you send too many messages' },
    action: { limit: { messageRate: '30/min', connections: 1 } },
    duration: '1h',
    leaveAfter: 200,
    samples: ['421 4.3.1 You send too many messages.'],
  },
];

export const daum: readonly Rule[] = [
  {
    id: 'daum.anti-spam',
    reason: 'Daum blocks mail of this IP as spam (DAS…).',
    match: { code: '5xx', provider: 'daum', text: 'your mail is blocked automatically by anti-spam system' },
    trigger: { events: 3, within: '1h' },
    action: ['suspend', 'alert'],
    duration: '1d',
    samples: ['554 5.7.1 DAS51 192.0.2.10: Your mail is blocked automatically by anti-spam system. (E06)'],
  },
  {
    id: 'daum.denied',
    reason: 'Daum takes nothing from this IP for 24 hours: too much mail came from it.',
    match: {
      code: '5xx',
      provider: 'daum',
      text: 'you are not allowed to send more e-mails within \\d hours',
    },
    action: ['suspend', 'alert'],
    duration: '1d',
    samples: [
      '550 5.7.1 <user@hanmail.net>... Error.your access was denied. Since you sent too many e-mails,you are not allowed to send more e-mails within 24 hours.After 24 hours,you can send e-mails as usual.',
    ],
  },
];

export const telstra: readonly Rule[] = [
  {
    id: 'telstra.sessions',
    reason: 'Too many connections at once for Telstra (BigPond).',
    match: { provider: 'telstra', code: 421, text: 'connection refused too many sessions' },
    action: { limit: { connections: 1 } },
    duration: '1h',
    samples: ['421 extmail.bigpond.com BigPond Inbound Connection refused too many sessions. IB007'],
  },
  {
    id: 'telstra.messages-per-connection',
    reason: 'Too many messages over one connection for Telstra (BigPond).',
    match: { provider: 'telstra', code: 452, text: 'max messages per session' },
    action: { limit: { messagesPerConnection: 5 } },
    duration: '6h',
    samples: ['452 4.1.0 extmail.bigpond.com Max messages per session exceeded'],
  },
  {
    id: 'telstra.csi',
    reason: 'Telstra (BigPond) refuses this IP: Cloudmark lists it.',
    match: { provider: 'telstra', code: 554, text: 'cloudmark sender intelligence' },
    action: ['suspend', 'alert'],
    duration: '4h',
    samples: [
      '554 extmail.bigpond.com BigPond Inbound IB103. Connection refused. 192.0.2.10 has a poor reputation on Cloudmark Sender Intelligence (CSI). Please visit http://csi.cloudmark.com/reset-request/?ip=192.0.2.10',
    ],
  },
];
