/** Mail hosters: Rackspace, GoDaddy, Zoho, Fastmail, Proton. */
import type { Rule } from '../rule.ts';

export const rackspace: readonly Rule[] = [
  {
    id: 'rackspace.listed',
    reason: 'Rackspace refuses this IP: it is on a block list.',
    match: { code: '5xx', provider: 'rackspace', text: 'acl dns_rbl' },
    action: ['suspend', 'alert'],
    scope: ['ip', 'provider'],
    duration: '4h',
    samples: [
      '554 5.7.1 ACL dns_rbl; Client host [192.0.2.10] blocked using sa-ip4tset.blagr.emailsrvr.com=127.26.0.2 Cloudmark CSI. Please visit http://csi.cloudmark.com/reset-request for more information on why this message could not be delivered (G28)',
      '554 5.7.1 ACL dns_rbl; Client host [192.0.2.10] blocked using sa-ip4tset.blagr.emailsrvr.com=127.24.0.2 Spamhaus XBL. Please visit http://www.spamhaus.org/lookup/ for more information on why this message could not be delivered',
    ],
  },
  {
    id: 'rackspace.rate',
    reason: 'Rackspace has had too much mail from this IP for now.',
    match: { provider: 'rackspace', code: '4xx', text: ['too much mail'] },
    action: { limit: { messageRate: '30/min', connections: 2 } },
    duration: '1h',
    leaveAfter: 200,
    samples: ['450 4.7.1 Error: too much mail from 192.0.2.10'],
  },
];

/** godaddy.com/help: fix bounced email, codes `IB…`. */
export const godaddy: readonly Rule[] = [
  {
    id: 'godaddy.sessions',
    reason: 'Too many connections at once for GoDaddy (IB007).',
    match: { code: '4xx', provider: 'godaddy', text: ['ib007'] },
    action: { limit: { connections: 1 } },
    scope: ['ip', 'provider'],
    duration: '1h',
    samples: [
      '421 p3plibsmtp03-05.prod.phx3.secureserver.net bizsmtp IB007. Connection refused, too many sessions from This IP. Lower the number of concurrent sessions.',
    ],
  },
  {
    id: 'godaddy.unavailable',
    reason: 'GoDaddy has more mail than it can take for now (IB101).',
    match: { code: '4xx', provider: 'godaddy', text: 'ib101' },
    trigger: { events: 3, within: '10m' },
    action: 'suspend',
    duration: '10m',
    samples: [
      '421 p3plibsmtp01-04.prod.phx3.secureserver.net bizsmtp IB101. Server temporarily unavailable. Try again later.',
    ],
  },
  {
    id: 'godaddy.reputation',
    reason:
      'GoDaddy refuses this IP: Cloudmark or Spamhaus lists it, or it has no valid name (IB103 to IB108).',
    match: { code: '5xx', provider: 'godaddy', text: 'ib10(3|4|5|6|7|8)' },
    action: ['suspend', 'alert'],
    scope: ['ip', 'provider'],
    duration: '4h',
    samples: [
      '554 p3plibsmtp02-03.prod.phx3.secureserver.net bizsmtp IB103. Connection refused. 192.0.2.10 has a poor reputation on Cloudmark Sender Intelligence (CSI). Please visit http://csi.cloudmark.com/reset-request/?ip=192.0.2.10 to request a delisting.',
      '554 mx.recipient.example bizsmtp IB105. Connection refused. 192.0.2.10 is listed on the Exploits Block List (XBL) <http://www.spamhaus.org/query/ip/192.0.2.10> Please visit http://www.spamhaus.org/xbl/ for more information.',
    ],
  },
  {
    id: 'godaddy.blocked-hour',
    reason: 'GoDaddy has blocked this IP for an hour: spam or unknown recipients (IB110, IB112).',
    match: { code: '5xx', provider: 'godaddy', text: 'ib11(0|2)' },
    action: ['suspend', 'alert'],
    scope: ['ip', 'provider'],
    duration: '1h',
    samples: [
      '554 p3plibsmtp01-10.prod.phx3.secureserver.net bizsmtp IB110. This IP has been temporarily blocked for attempting to send too many messages containing content judged to be spam by the Internet community.',
      '554 p3plibsmtp03-01.prod.phx3.secureserver.net bizsmtp IB112. This IP has been temporarily blocked for attempting to mail too many invalid recipients.',
    ],
  },
  {
    id: 'godaddy.blocked-day',
    reason: 'GoDaddy has blocked this IP for the day: spam or unknown recipients (IB111, IB113).',
    match: { code: '5xx', provider: 'godaddy', text: 'ib11(1|3)' },
    action: ['suspend', 'alert'],
    scope: ['ip', 'provider'],
    duration: '12h',
    samples: [
      '554 p3plibsmtp01-02.prod.phx3.secureserver.net bizsmtp IB111. This IP has been blocked for the day, for attempting to send too many messages containing content judged to be spam by the Internet community.',
      '554 p3plibsmtp02-08.prod.phx3.secureserver.net bizsmtp IB113. This IP has been blocked for the day, for attempting to mail too many invalid recipients.',
    ],
  },
  {
    id: 'godaddy.hourly',
    reason:
      'GoDaddy has had as many messages or recipients from this IP as it takes in an hour (IB504, IB607).',
    match: { code: '5xx', provider: 'godaddy', text: ['ib504', 'ib607'] },
    action: 'suspend',
    scope: ['ip', 'provider'],
    duration: '1h',
    samples: [
      '550 5.1.1 <user@example.com>  - 192.0.2.10 has sent to too many recipients this hour. IB607  <http://x.co/rlbounce>',
      '550 This IP has sent too many messages this hour. IB504',
    ],
  },
  {
    id: 'godaddy.messages-per-connection',
    reason: 'Too many messages over one connection for GoDaddy (IB510).',
    match: { code: '5xx', provider: 'godaddy', text: 'ib510' },
    action: { limit: { messagesPerConnection: 10 } },
    duration: '1d',
    samples: [
      '550 This message has exceeded the max number of messages per session. Open a new session and try again. IB510',
    ],
  },
];

export const zoho: readonly Rule[] = [
  {
    id: 'zoho.greylisted',
    reason: 'Zoho lets new senders wait.',
    match: { provider: 'zoho', code: '4xx', text: ['greylisted'] },
    trigger: { events: 20, within: '10m' },
    action: { limit: { messageRate: '30/min', connections: 2 } },
    duration: '10m',
    samples: ['451 4.7.1 Greylisted, try again after some time'],
  },
  {
    id: 'zoho.reputation',
    reason: 'Zoho refuses this IP for its reputation.',
    match: {
      code: '5xx',
      provider: 'zoho',
      text: ['mail rejected due to antispam policy', 'has been blacklisted'],
    },
    action: ['suspend', 'alert'],
    scope: ['ip', 'provider'],
    duration: '4h',
    samples: [
      '541 5.4.1 Mail rejected due to antispam policy',
      '554 5.7.1 Your IP 192.0.2.10 has been blacklisted',
    ],
  },
];

export const fastmail: readonly Rule[] = [
  {
    id: 'fastmail.rate',
    reason: 'Fastmail has had too much mail, or too many connections, from this IP for now.',
    match: {
      provider: 'fastmail',
      code: '4xx',
      text: ['too many connections', 'too much mail from'],
    },
    action: { limit: { messageRate: '30/min', connections: 1 } },
    duration: '30m',
    leaveAfter: 100,
    samples: [
      '421 4.7.0 mx1.messagingengine.com Error: too many connections from 192.0.2.10',
      '450 4.7.1 Error: too much mail from 192.0.2.10',
    ],
  },
  {
    id: 'fastmail.listed',
    reason: 'Fastmail refuses this IP: it is on a block list.',
    match: { provider: 'fastmail', code: '5xx', text: 'blocked using' },
    action: ['suspend', 'alert'],
    duration: '4h',
    samples: [
      '554 5.7.1 Service unavailable; Client host [192.0.2.10] blocked using zen.spamhaus.org; https://www.spamhaus.org/query/ip/192.0.2.10',
    ],
  },
];

export const proton: readonly Rule[] = [
  {
    id: 'proton.rate',
    reason: 'Proton Mail has had too much mail, or too many connections, from this IP for now.',
    match: {
      provider: 'proton',
      code: '4xx',
      text: ['too many connections', 'too much mail from'],
    },
    action: { limit: { messageRate: '30/min', connections: 1 } },
    duration: '30m',
    leaveAfter: 100,
    samples: [
      '421 4.7.0 mailin001.protonmail.ch Error: too many connections from 192.0.2.10',
      '450 4.7.1 Error: too much mail from 192.0.2.10',
    ],
  },
  {
    id: 'proton.listed',
    reason: 'Proton Mail refuses this IP: it is on a block list.',
    match: { provider: 'proton', code: '5xx', text: 'blocked using' },
    action: ['suspend', 'alert'],
    duration: '4h',
    samples: [
      '554 5.7.1 Service unavailable; Client host [192.0.2.10] blocked using zen.spamhaus.org; https://www.spamhaus.org/query/ip/192.0.2.10',
    ],
  },
];
