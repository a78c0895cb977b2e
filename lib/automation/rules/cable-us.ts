/** Cable and telephone companies of the United States: Cox, Spectrum (Charter), AT&T. */
import type { Rule } from '../rule.ts';

/** Codes: cox.com/residential/support/email-error-codes.html. */
export const cox: readonly Rule[] = [
  {
    id: 'cox.blocked',
    reason: 'Cox has blocked this IP (CXBL, CDRBL).',
    match: { provider: 'cox', text: ['aup#cxbl', 'aup#cdrbl'] },
    action: ['suspend', 'alert'],
    duration: '4h',
    samples: [
      '554 cxr.mx.a.cloudfilter.net cox 192.0.2.10 blocked. Refer to Error Codes section at https://www.cox.com/residential/support/email-error-codes.html for more information. AUP#CXBL',
      '421 cxr.mx.a.cloudfilter.net cox 192.0.2.10 temporarily blocked. Refer to Error Codes section at https://www.cox.com/residential/support/email-error-codes.html for more information. AUP#CDRBL',
    ],
  },
  {
    id: 'cox.listed',
    reason: 'Cox refuses this IP: it is on a block list (IPBL…).',
    match: { code: '5xx', provider: 'cox', text: ['aup#ipbl', ' ipbl'] },
    action: ['suspend', 'alert'],
    duration: '4h',
    samples: [
      '554 cxr.mx.a.cloudfilter.net cox 192.0.2.10 blocked. Refer to Error Codes section at https://www.cox.com/residential/support/email-error-codes.html for more information. AUP#IPBL0001',
      '554 IMP 192.0.2.10 blocked. IPBL1000 - Refer to Error Codes section at https://www.cox.com/residential/support/email-error-codes.html for more information.',
    ],
  },
  {
    id: 'cox.connections',
    reason: 'Too many connections at once for Cox (10 for one IP; CXCNCT).',
    match: { code: '4xx', provider: 'cox', text: ['aup#cxcnct', 'too many sessions from'] },
    action: { limit: { connections: 2 } },
    duration: '1h',
    samples: [
      '421 cxr.mx.a.cloudfilter.net cox Too many sessions from 192.0.2.10',
      '421 cxr.mx.a.cloudfilter.net cox too many concurrent connections. Refer to Error Codes section at https://www.cox.com/residential/support/email-error-codes.html for more information. AUP#CXCNCT',
    ],
  },
  {
    id: 'cox.rate',
    reason: 'Cox has had too many recipients or messages from here for now (CXMXRT).',
    match: {
      code: '4xx',
      provider: 'cox',
      text: ['aup#cxmxrt', 'requested action aborted: try again later'],
    },
    action: { limit: { messageRate: '20/min', connections: 2 } },
    duration: '1h',
    leaveAfter: 200,
    samples: [
      '452 cxr.mx.a.cloudfilter.net cox Too many recipients. Refer to Error Codes section at https://www.cox.com/residential/support/email-error-codes.html for more information. AUP#CXMXRT',
      '452 cxr.mx.a.cloudfilter.net cox Requested action aborted: try again later',
    ],
  },
  {
    id: 'cox.messages-per-connection',
    reason: 'Cox takes 100 messages over one connection.',
    match: { code: '4xx', provider: 'cox', text: 'message threshold exceeded' },
    action: { limit: { messagesPerConnection: 50 } },
    duration: '1d',
    samples: ['421 cxr.mx.a.cloudfilter.net cox Message threshold exceeded'],
  },
  {
    id: 'cox.reverse-dns',
    reason: 'Cox cannot resolve the name of this IP (CXDNS).',
    match: {
      provider: 'cox',
      text: ['aup#cxdns', 'dns check failure - try again later', 'rejected - no rdns'],
    },
    action: ['suspend', 'alert'],
    duration: '6h',
    samples: [
      '554 cxr.mx.a.cloudfilter.net cox 192.0.2.10 rejected. Refer to Error Codes section at https://www.cox.com/residential/support/email-error-codes.html for more information. AUP#CXDNS',

      '421 cxr.mx.a.cloudfilter.net cox 192.0.2.10 DNS check failure - try again later',
      '554 cxr.mx.a.cloudfilter.net cox 192.0.2.10 rejected - no rDNS',
    ],
  },
  {
    id: 'cox.sender',
    reason: "Cox refuses this sender's domain or its authentication (CXSNDR).",
    match: { code: '5xx', provider: 'cox', text: ['aup#cxsndr', 'sender rejected. refer to error codes'] },
    trigger: { events: 5, within: '1h' },
    action: 'alert',
    scope: ['tenant', 'provider'],
    duration: '1d',
    samples: [
      '550 5.1.0 <bounce@example.org> sender rejected. Refer to Error Codes section at https://www.cox.com/residential/support/email-error-codes.html for more information. AUP#CXSNDR',
    ],
  },
];

/** Codes: spectrum.net/support/internet/understanding-email-error-codes. */
export const spectrum: readonly Rule[] = [
  {
    id: 'spectrum.blocked',
    reason: 'Spectrum has blocked this IP for suspicious activity (1000).',
    match: { code: '5xx', provider: 'spectrum', text: ['aup#in-1000'] },
    action: ['suspend', 'alert'],
    duration: '4h',
    samples: [
      '554 p-impin004.msg.pkvw.co.charter.net cmsmtp 192.0.2.10 blocked. Please see https://www.spectrum.net/support/internet/understanding-email-error-codes for more information. AUP#In-1000',
    ],
  },
  {
    id: 'spectrum.reverse-dns',
    reason: 'Spectrum wants the name of this IP to lead back to it (1100 to 1150).',
    match: { code: '5xx', provider: 'spectrum', text: 'aup#in-11(00|10|20|30|40|50)' },
    action: ['suspend', 'alert'],
    duration: '6h',
    samples: [
      '550 5.1.0 192.0.2.10 rejected. Please see https://www.spectrum.net/support/internet/understanding-email-error-codes for more information. AUP#In-1130',
    ],
  },
  {
    id: 'spectrum.listed',
    reason: 'Spectrum refuses this IP: Cloudmark or Spamhaus lists it (1200 to 1250).',
    match: { code: '5xx', provider: 'spectrum', text: 'aup#in-12(00|10|20|30|40|50)' },
    action: ['suspend', 'alert'],
    duration: '4h',
    samples: [
      '554 p-impin020.msg.pkvw.co.charter.net cmsmtp Connection Rejected - see http://www.spamhaus.org/query/ip/192.0.2.10 AUP#In-1240',
      '554 p-impin011.msg.pkvw.co.charter.net cmsmtp Connection Rejected - see http://csi.cloudmark.com/reset-request/?ip=192.0.2.10 AUP#In-1210',
    ],
  },
  {
    id: 'spectrum.connections',
    reason: 'Too many connections at once for Spectrum (1300 to 1340).',
    match: { provider: 'spectrum', text: 'aup#in-13(00|10|20|30|40)' },
    action: { limit: { connections: 2, connectionRate: '20/min' } },
    duration: '1h',
    samples: [
      '421 p-impin013.msg.pkvw.co.charter.net cmsmtp 192.0.2.10 too many concurrent connections. Please see https://www.spectrum.net/support/internet/understanding-email-error-codes for more information. AUP#In-1310',
      '550 5.1.0 <bounce@example.org> sender rejected. Please see https://www.spectrum.net/support/internet/understanding-email-error-codes for more information. AUP#In-1310',
    ],
  },
  {
    id: 'spectrum.rate',
    reason: 'Spectrum has had too much mail from here for now (1350 to 1490, 1580).',
    match: {
      provider: 'spectrum',
      text: ['aup#in-13(50|60|70|80|90)', 'aup#in-14(00|10|20|30|40|50|60|70|80|90)', 'aup#in-1580'],
    },
    action: { limit: { messageRate: '20/min', connections: 2 } },
    duration: '1h',
    leaveAfter: 200,
    samples: [
      '550 5.1.0 <bounce@example.org> sender rejected. Please see https://www.spectrum.net/support/internet/understanding-email-error-codes for more information. AUP#In-1580',

      '452 4.1.0 <bounce@example.org> sender rejected. Please see https://www.spectrum.net/support/internet/understanding-email-error-codes for more information. AUP#In-1430',
      '421 p-impin002.msg.pkvw.co.charter.net cmsmtp 192.0.2.10 rate limit exceeded. Please see https://www.spectrum.net/support/internet/understanding-email-error-codes for more information. AUP#In-1380',
    ],
  },
  {
    id: 'spectrum.messages-per-connection',
    reason: 'Too many messages over one connection for Spectrum (1540).',
    match: { code: '4xx', provider: 'spectrum', text: 'aup#in-1540' },
    action: { limit: { messagesPerConnection: 10 } },
    duration: '6h',
    samples: [
      '452 4.1.0 Max messages per session exceeded. Please see https://www.spectrum.net/support/internet/understanding-email-error-codes for more information. AUP#In-1540',
    ],
  },
];

export const att: readonly Rule[] = [
  {
    id: 'att.blocked',
    reason: 'AT&T has blocked this IP for abuse.',
    match: {
      code: '5xx',
      provider: 'att',
      text: ['blocked for abuse', 'dnsbl:rbl 521<', 'dnsbl:attrbl 521<'],
    },
    action: ['suspend', 'alert'],
    duration: '4h',
    samples: [
      '550 Error - Blocked for abuse. See http://att.net/blocks',
      '553 5.3.0 flpd594 DNSBL:RBL 521< 192.0.2.10 >_is_blocked.For assistance forward this email to abuse_rbl@abuse-att.net',
      '553 5.3.0 flph825 DNSBL:ATTRBL 521< 192.0.2.10 >_is_blocked.For assistance forward this email to abuse_rbl@abuse-att.net',
      '521 flpi113.prodigy.net Error - Blocked for abuse. See http://att.net/blocks',
    ],
  },
  {
    id: 'att.connections',
    reason: 'Too many or too frequent connections for AT&T.',
    match: { provider: 'att', code: '4xx', text: ['too frequent connects from', 'has too many connections'] },
    trigger: { events: 3, within: '5m' },
    action: { limit: { connections: 2, connectionRate: '20/min' } },
    duration: '1h',
    samples: [
      '450 too frequent connects from 192.0.2.10, please try again later',
      '450 192.0.2.10 has too many connections',
    ],
  },
  {
    id: 'att.reverse-dns',
    reason: 'AT&T wants a valid PTR record for this IP.',
    match: { code: '5xx', provider: 'att', text: 'fix reverse dns for' },
    action: ['suspend', 'alert'],
    duration: '6h',
    samples: [
      '550 5.7.1 Connections not accepted from servers without a valid sender domain.flph840 Fix reverse DNS for 192.0.2.10',
    ],
  },
  {
    id: 'att.aborted',
    reason: 'AT&T puts this IP off.',
    match: { provider: 'att', code: 450, text: ['requested action aborted', 'temporary failure'] },
    trigger: { events: 5, within: '10m' },
    action: 'suspend',
    duration: '30m',
    samples: ['450 Requested action aborted', '450 temporary failure'],
  },
];
