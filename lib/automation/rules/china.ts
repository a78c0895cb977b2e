/** Mailbox providers of China: QQ (Tencent), NetEase (163, 126, yeah.net). */
import type { Rule } from '../rule.ts';

/** service.mail.qq.com/detail/122. */
export const qq: readonly Rule[] = [
  {
    id: 'qq.sender-frequency',
    reason: 'QQ has had too much mail of this sender for now.',
    match: { provider: 'qq', code: 550, text: 'sender frequency limited' },
    trigger: { events: 5, within: '1h' },
    action: 'suspend',
    scope: ['tenant', 'provider'],
    duration: '1h',
    samples: [
      '550 Sender frequency limited. https://service.mail.qq.com/detail/122/174 [MDAwMQ==/9ZK2 IP: 192.0.2.10]',
    ],
  },
  {
    id: 'qq.ip-frequency',
    reason: 'QQ has had too much mail from this IP for now.',
    match: { provider: 'qq', code: 550, text: 'ip frequency limited' },
    trigger: { events: 3, within: '1h' },
    action: 'suspend',
    scope: ['ip', 'provider'],
    duration: '1h',
    samples: [
      '550 Ip frequency limited [V2VkIEFwciAgMyAxNjozNjo1OSBKU1QgMjAxOQo=/RkNGMjlFQTVEQ0E Blocked IP 192.0.2.22].',
      '550 Ip frequency limited. https://service.mail.qq.com/detail/122/172 [MDAwMQ==/9ZK2 IP: 192.0.2.10]',
    ],
  },
  {
    id: 'qq.domain-frequency',
    reason: "QQ has had too much mail of this sender's domain for now.",
    match: { provider: 'qq', code: 550, text: 'domain frequency limited' },
    trigger: { events: 5, within: '1h' },
    action: 'suspend',
    scope: ['tenant', 'provider'],
    duration: '1h',
    samples: [
      '550 Domain frequency limited. https://service.mail.qq.com/detail/122/173 [MDAwMQ==/9ZK2 IP: 192.0.2.10]',
    ],
  },
  {
    id: 'qq.connection-frequency',
    reason: 'Too many connections from this IP for QQ.',
    match: { provider: 'qq', code: 550, text: 'connection frequency limited' },
    action: { limit: { connections: 1, connectionRate: '2/min' } },
    scope: ['ip', 'provider'],
    duration: '1h',
    samples: [
      '550 Connection frequency limited',
      '550 Connection frequency limited. https://service.mail.qq.com/detail/122/175',
    ],
  },
  {
    id: 'qq.connection-denied',
    reason: 'QQ refuses connections of this IP.',
    match: { provider: 'qq', code: 550, text: ['connection denied', 'suspected spam ip'] },
    action: ['suspend', 'alert'],
    scope: ['ip', 'provider'],
    duration: '2h',
    samples: [
      '550 Connection denied. https://service.mail.qq.com/detail/122/170',
      '550 Suspected spam ip. https://service.mail.qq.com/detail/122/66 [MDAwMQ==/9ZK2 IP: 192.0.2.10]',
    ],
  },
  {
    id: 'qq.content',
    reason: "QQ refuses the content of this sender's mail.",
    match: {
      code: '5xx',
      provider: 'qq',
      text: ['mail content denied', 'mail rejected by antispam server', 'spam is embedded in the email'],
    },
    trigger: { events: 5, within: '1h' },
    action: ['suspend', 'alert'],
    scope: ['tenant', 'provider'],
    duration: '1h',
    samples: [
      '550 Mail content denied. https://service.mail.qq.com/detail/122/171 [MDAwMQ==/9ZK2 IP: 192.0.2.10]',
      '550 Error: mail rejected by antispam server',
      '550 Spam is embedded in the email. https://service.mail.qq.com/detail/122/59',
    ],
  },
];

/** mail.163.com/help/help_spam_16.htm. */
export const netease: readonly Rule[] = [
  {
    id: 'netease.unknown-recipients',
    reason: 'Too many recipients of this IP do not exist at NetEase (HL:REP).',
    match: { provider: 'netease', code: 421, text: 'hl:rep' },
    action: ['suspend', 'alert'],
    duration: '15m',
    samples: [
      '421 HL:REP 163 smtp10,PcCowAD3_2RkZ1pN,1515874149 http://mail.163.com/help/help_spam_16.htm?ip=192.0.2.10&hostid=smtp10&time=1515874149',
    ],
  },
  {
    id: 'netease.connections',
    reason: 'Too many connections at once for NetEase (HL:ICC).',
    match: { provider: 'netease', code: 421, text: ['hl:icc', 'too many connections'] },
    action: { limit: { connections: 1 } },
    duration: '1h',
    samples: [
      '421 HL:ICC 163 smtp14,EsCowACHj0hp8VdY,1482158441 http://mail.163.com/help/help_spam_16.htm?ip=192.0.2.10',
      '421 Too many connections',
    ],
  },
  {
    id: 'netease.frequency',
    reason: 'NetEase has had too much mail from this IP for now (HL:IFC).',
    match: { provider: 'netease', code: 421, text: 'hl:ifc' },
    action: 'suspend',
    duration: '15m',
    samples: [
      '421 HL:IFC 163 smtp1,C8CowAB3E0hn8VdY,1482158439 http://mail.163.com/help/help_spam_16.htm?ip=192.0.2.10',
    ],
  },
  {
    id: 'netease.forged-senders',
    reason: 'NetEase sees forged sender domains from this IP (HL:MEP).',
    match: { provider: 'netease', code: 421, text: 'hl:mep' },
    action: ['suspend', 'alert'],
    duration: '15m',
    samples: [
      '421 HL:MEP 126 mx12,N8mowABHhMNo8VdY,1482158440 http://mail.163.com/help/help_spam_16.htm?ip=192.0.2.10',
    ],
  },
  {
    id: 'netease.messages-per-connection',
    reason: 'Too many messages or recipients over one connection for NetEase (MI:DMC, RP:DRC).',
    match: { provider: 'netease', code: '4xx', text: ['mi:dmc', 'rp:drc'] },
    action: { limit: { messagesPerConnection: 3 } },
    duration: '6h',
    samples: [
      '450 MI:DMC 163 mx7,M8CowEDp8Ehq8VdY,1482158442 http://mail.163.com/help/help_spam_16.htm?ip=192.0.2.10',
      '450 RP:DRC 163 mx3,LsCowEAZ8Uhr8VdY,1482158443 http://mail.163.com/help/help_spam_16.htm?ip=192.0.2.10',
    ],
  },
  {
    id: 'netease.spam-later',
    reason: 'NetEase puts mail like this off as spam (DT:SPM).',
    match: { provider: 'netease', code: 451, text: 'dt:spm' },
    trigger: { events: 5, within: '10m' },
    action: 'suspend',
    duration: '15m',
    samples: [
      '451 DT:SPM 163 mx29,U8CowECpzUho8VdY,1482158440, please try again http://mail.163.com/help/help_spam_16.htm?ip=192.0.2.10',
    ],
  },
  {
    id: 'netease.spam',
    reason: 'NetEase refuses mail like this as spam (DT:SPM).',
    match: { provider: 'netease', code: ['550-554'], text: 'dt:spm' },
    trigger: { events: 7, within: '10m' },
    action: [{ limit: { connections: 1, messageRate: '10/min' } }, 'alert'],
    duration: '1h',
    samples: [
      '554 DT:SPM 163 mx6,McCowEDJ5UVd8VdY,1482158429 http://mail.163.com/help/help_spam_16.htm?ip=192.0.2.10&hostid=mx6&time=1482158429',
      '550 DT:SPM mx14,QMCowACnvUNh8VdY,1482158433',
    ],
  },
  {
    id: 'netease.quota',
    reason: 'NetEase has had as much from here as it takes in a day (RP:ORQ, RP:TRC, MI:STC, MI:SFQ).',
    match: { provider: 'netease', text: ['rp:orq', 'rp:trc', 'mi:stc', 'mi:sfq'] },
    action: 'suspend',
    duration: '1h',
    samples: [
      '451 MI:SFQ 163 smtp5,D9CowABX8kpm8VdY,1482158438 http://mail.163.com/help/help_spam_16.htm?ip=192.0.2.10',

      '550 RP:ORQ 163 mx31,VMCowEAJ1kpk8VdY,1482158436 http://mail.163.com/help/help_spam_16.htm?ip=192.0.2.10',
      '550 RP:TRC 126 mx1,KcmowECJ3Utl8VdY,1482158437 http://mail.163.com/help/help_spam_16.htm?ip=192.0.2.10',
      '554 MI:STC 163 mx9,O8CowACX_Uxm8VdY,1482158438 http://mail.163.com/help/help_spam_16.htm?ip=192.0.2.10',
    ],
  },
  {
    id: 'netease.listed',
    reason: 'NetEase refuses this IP: it is on a block list (DT:RBL, HL:ITC, HL:IHU).',
    match: { provider: 'netease', text: ['dt:rbl', 'hl:itc', 'hl:ihu', 'wm:bli'] },
    action: ['suspend', 'alert'],
    duration: '4h',
    samples: [
      '450 WM:BLI 163 mx2,H8CowEDJ6U5o8VdY,1482158440 http://mail.163.com/help/help_spam_16.htm?ip=192.0.2.10',

      '450 DT:RBL 163 mx21,SMCowEBJ7E1n8VdY,1482158439 http://mail.163.com/help/help_spam_16.htm?ip=192.0.2.10',
      '554 HL:ITC 163 mx15,QcCowEDJ6U5o8VdY,1482158440 http://mail.163.com/help/help_spam_16.htm?ip=192.0.2.10',
      '554 HL:IHU 163 mx4,L8CowEBp709p8VdY,1482158441 http://mail.163.com/help/help_spam_16.htm?ip=192.0.2.10',
    ],
  },
  {
    id: 'netease.headers',
    reason: 'NetEase refuses mail whose envelope sender and From do not agree (DT:SUM).',
    match: { provider: 'netease', code: 554, text: 'dt:sum' },
    trigger: { events: 5, within: '1h' },
    action: 'alert',
    scope: ['tenant', 'provider'],
    duration: '1d',
    samples: [
      '554 DT:SUM 163 mx10,PMCowEBJ8lBq8VdY,1482158442 http://mail.163.com/help/help_spam_16.htm?ip=192.0.2.10',
    ],
  },
];
