/** Filters in front of company mail: Mimecast, Proofpoint, Barracuda, Cisco, Broadcom (MessageLabs), Trend Micro, Cloudmark. */
import type { Rule } from '../rule.ts';

/** community.mimecast.com: Mimecast SMTP error codes. */
export const mimecast: readonly Rule[] = [
  {
    id: 'mimecast.resources',
    reason: 'Mimecast is short of resources for this account or IP.',
    match: {
      provider: 'mimecast',
      code: '4xx',
      text: '(internal resources are|internal resource) temporarily unavailable',
    },
    trigger: { events: 3, within: '1h' },
    action: 'suspend',
    duration: '30m',
    samples: [
      '451 Internal resources are temporarily unavailable - https://community.mimecast.com/docs/DOC-1369#451 [vH7Ns8biNg-p6EfZ0QaVMQ.us149]',
    ],
  },
  {
    id: 'mimecast.account-connections',
    reason: 'Too many connections at once for this Mimecast account.',
    match: { provider: 'mimecast', code: '4xx', text: 'account service is temporarily unavailable' },
    action: { limit: { connections: 1 } },
    duration: '15m',
    samples: [
      '451 Account service is temporarily unavailable - https://community.mimecast.com/docs/DOC-1369#451 [_g67iKwmNreAb9PeazQFDQ.us227]',
    ],
  },
  {
    id: 'mimecast.ip-listed-for-now',
    reason: 'Mimecast has put this IP on its list for some minutes.',
    match: { provider: 'mimecast', code: '4xx', text: 'ip temporarily blacklisted' },
    action: 'suspend',
    duration: '10m',
    samples: [
      '451 IP temporarily blacklisted - https://community.mimecast.com/docs/DOC-1369#451 [z7qZw5BPd1zlDYHka4589w.uk11]',
    ],
  },
  {
    id: 'mimecast.reputation',
    reason: 'Mimecast refuses this IP for its reputation.',
    match: { provider: 'mimecast', code: '5xx', text: ['poor reputation sender', 'local ct ip reputation'] },
    action: ['suspend', 'alert'],
    scope: ['ip', 'provider'],
    duration: '4h',
    samples: [
      '550 csi.mimecast.org Poor Reputation Sender. - https://community.mimecast.com/docs/DOC-1369#550 [vH7Ns8biNg-p6EfZ0QaVMQ.us149]',
      '550 Local CT IP Reputation - (reject) - https://community.mimecast.com/docs/DOC-1369#550 [3CjKEJq_PsONcPY2zKd-Dw.us363]',
    ],
  },
  {
    id: 'mimecast.network',
    reason: 'The recipient organisation lets Mimecast refuse this network.',
    match: { provider: 'mimecast', code: 554, text: 'host network not allowed' },
    action: ['suspend', 'alert'],
    scope: ['ip', 'domain'],
    duration: '1d',
    samples: [
      '554 Host network not allowed - https://community.mimecast.com/docs/DOC-1369#554 [z7qZw5BPd1zlDYHka4589ru.us222]',
    ],
  },
  {
    id: 'mimecast.security-policies',
    reason: "Mimecast takes this sender's mail for spam or worse.",
    match: { provider: 'mimecast', code: 554, text: 'email rejected due to security policies' },
    trigger: { events: 10, within: '1h' },
    action: ['suspend', 'alert'],
    scope: ['tenant', 'provider'],
    duration: '1h',
    samples: [
      '554 Email rejected due to security policies - https://community.mimecast.com/docs/DOC-1369#554 [6bPjXwSzOWqo3kTKsjPqGA.us25]',
      '554 email rejected due to security policies - MCSpamSignature.sa.2.2',
    ],
  },
];

export const proofpoint: readonly Rule[] = [
  {
    id: 'proofpoint.blocked',
    reason: 'Proofpoint has blocked this IP (ipcheck.proofpoint.com).',
    match: {
      code: '5xx',
      provider: 'proofpoint',
      text: ['blocked - see https://(ipcheck|support).proofpoint.com'],
    },
    action: ['suspend', 'alert'],
    scope: ['ip', 'provider'],
    duration: '4h',
    samples: [
      '554 Blocked - see https://ipcheck.proofpoint.com/?ip=192.0.2.10',
      '550 5.7.0 Blocked - see https://ipcheck.proofpoint.com/?ip=192.0.2.10',
      '554 Blocked - see https://support.proofpoint.com/dnsbl-lookup.cgi?ip=192.0.2.10',
    ],
  },
  {
    id: 'proofpoint.recipients-per-hour',
    reason: 'The organisation behind Proofpoint has had as many recipients as it takes in an hour.',
    match: { provider: 'proofpoint', code: 452, text: 'too many recipients received this hour' },
    action: { limit: { messageRate: '30/min', connections: 1 } },
    duration: '1h',
    leaveAfter: 200,
    samples: [
      '452 4.3.1 Too many recipients received this hour',
      '452 Too many recipients received this hour',
    ],
  },
  {
    id: 'proofpoint.connections',
    reason: 'Too many connections for this Proofpoint gateway.',
    match: {
      provider: 'proofpoint',
      code: '4xx',
      text: ['connection rate limit exceeded', 'too many open connections'],
    },
    action: { limit: { connections: 1, connectionRate: '10/min' } },
    duration: '30m',
    samples: [
      '421 4.3.2 Connection rate limit exceeded.',
      '452 4.3.2 Connection rate limit exceeded.',
      '421 4.3.2 Too many open connections.',
    ],
  },
];

export const barracuda: readonly Rule[] = [
  {
    id: 'barracuda.reputation',
    reason: 'Barracuda refuses this IP for its reputation.',
    match: {
      code: '5xx',
      provider: 'barracuda',
      text: [
        'blocked using barracuda reputation',
        'blocked using b.barracudacentral.org',
        'barracudanetworks.com/reputation/',
      ],
    },
    action: ['suspend', 'alert'],
    scope: ['ip', 'provider'],
    duration: '4h',
    samples: [
      '554 Service unavailable; Client host [mail.example.org] blocked using Barracuda Reputation; http://www.barracudanetworks.com/reputation/?r=1&ip=192.0.2.10',
      '550 5.7.1 Service unavailable; Client host [192.0.2.10] blocked using b.barracudacentral.org; http://www.barracudanetworks.com/reputation/?pr=1&ip=192.0.2.10',
    ],
  },
  {
    id: 'barracuda.connections',
    reason: 'Too many connections from this IP for Barracuda.',
    match: { provider: 'barracuda', code: '4xx', text: 'too many connections' },
    action: { limit: { connections: 1, connectionRate: '10/min' } },
    duration: '30m',
    samples: ['421 Too many connections from your host'],
  },
  {
    id: 'barracuda.blocked',
    reason: "Barracuda blocks this sender's mail for a recipient organisation.",
    match: {
      provider: 'barracuda',
      code: 550,
      text: 'permanent failure for one or more recipients * :blocked',
    },
    trigger: { events: 5, within: '1h' },
    action: 'alert',
    scope: ['tenant', 'domain'],
    duration: '1d',
    samples: ['550 permanent failure for one or more recipients (user@example.com:blocked)'],
  },
];

/** Cisco Secure Email (IronPort), in the cloud; appliances elsewhere send the same words (`generic.ts`). */
export const ironport: readonly Rule[] = [
  {
    id: 'ironport.reputation',
    reason: 'Cisco (Talos, SenderBase) refuses this IP for its reputation.',
    match: { code: '5xx', provider: 'ironport', text: "rejected due to the sending mta's poor reputation" },
    action: ['suspend', 'alert'],
    scope: ['ip', 'provider'],
    duration: '4h',
    samples: [
      "554 esa2.hc1234-56.iphmx.com Your access to this mail system has been rejected due to the sending MTA's poor reputation. If you believe that this failure is in error, please contact the intended recipient via alternate means.",
    ],
  },
  {
    id: 'ironport.domain-reputation',
    reason: 'Cisco refuses a domain in the mail of this sender for its reputation.',
    match: {
      code: '5xx',
      provider: 'ironport',
      text: 'poor reputation of a domain used in message transfer',
    },
    trigger: { events: 3, within: '1h' },
    action: ['suspend', 'alert'],
    scope: ['tenant', 'provider'],
    duration: '4h',
    samples: [
      '554 esa1.hc1234-56.iphmx.com Your access to this mail system has been rejected due to poor reputation of a domain used in message transfer',
    ],
  },
  {
    id: 'ironport.connections',
    reason: 'Too many connections for this Cisco gateway.',
    match: {
      provider: 'ironport',
      code: 421,
      text: '#4.4.5 too many connections (to this|from your) (host|listener)',
    },
    action: { limit: { connections: 1 } },
    duration: '30m',
    samples: [
      '421 #4.4.5 Too many connections to this listener.',
      '421 #4.4.5 Too many connections from your host.',
      '421 #4.4.5 Too many connections to this host.',
    ],
  },
  {
    id: 'ironport.messages-per-connection',
    reason: 'Too many messages over one connection for this Cisco gateway.',
    match: { provider: 'ironport', code: 421, text: 'too many messages for this session' },
    action: { limit: { messagesPerConnection: 5 } },
    duration: '6h',
    samples: ['421 Too many messages for this session'],
  },
  {
    id: 'ironport.recipients-per-hour',
    reason: 'This Cisco gateway has had as many recipients from this IP as it takes in an hour.',
    match: { provider: 'ironport', code: '4xx', text: 'too many recipients received this hour' },
    action: { limit: { messageRate: '10/min', connections: 1 } },
    duration: '1h',
    leaveAfter: 100,
    samples: [
      '452 #4.5.3 Too many recipients received this hour',
      '452 Too many recipients received this hour',
    ],
  },
];

/** Broadcom Email Security.cloud (Symantec, MessageLabs). */
export const messagelabs: readonly Rule[] = [
  {
    id: 'messagelabs.refused',
    reason: 'MessageLabs refuses this IP by its policy, or shapes its traffic.',
    match: {
      provider: 'messagelabs',
      text: ['connection rejected by policy', 'service temporarily unavailable'],
    },
    action: 'suspend',
    scope: ['ip', 'provider'],
    duration: '1h',
    samples: [
      '501 Connection rejected by policy [7.7] 20805, please visit www.messagelabs.com/support for more details about this error message.',
      '421 Service Temporarily Unavailable',
    ],
  },
  {
    id: 'messagelabs.reputation',
    reason: 'MessageLabs refuses this IP for its reputation.',
    match: { code: '5xx', provider: 'messagelabs', text: 'symantec zodiac' },
    action: ['suspend', 'alert'],
    scope: ['ip', 'provider'],
    duration: '4h',
    samples: ['500 5.7.1 Symantec Zodiac'],
  },
  {
    id: 'messagelabs.pattern',
    reason: "MessageLabs takes this sender's mail for spam.",
    match: { provider: 'messagelabs', code: 553, text: 'message filtered' },
    trigger: { events: 10, within: '1h' },
    action: ['suspend', 'alert'],
    scope: ['tenant', 'provider'],
    duration: '1h',
    samples: [
      '553 Message filtered. Refer to the Troubleshooting page at http://www.symanteccloud.com/troubleshooting for more information. (#5.7.1)',
    ],
  },
];

export const trendmicro: readonly Rule[] = [
  {
    id: 'trendmicro.blocked',
    reason: 'Trend Micro Email Reputation Services block this IP.',
    match: { provider: 'trendmicro', code: '5xx', text: 'blocked using trend micro' },
    action: ['suspend', 'alert'],
    scope: ['ip', 'provider'],
    duration: '4h',
    samples: [
      '550 5.7.1 Service unavailable; Client host [192.0.2.10] blocked using Trend Micro RBL+. Please see http://www.mail-abuse.com/cgi-bin/lookup?ip_address=192.0.2.10; Mail from 192.0.2.10 blocked using Trend Micro Email Reputation database.',
      '554 Connection rejected -- blocked using Trend Micro Email Reputation Services',
    ],
  },
  {
    id: 'trendmicro.deferred',
    reason: 'Trend Micro Email Reputation Services put this IP off.',
    match: {
      provider: 'trendmicro',
      code: '4xx',
      text: ['deferred using trend micro'],
    },
    action: 'suspend',
    scope: ['ip', 'provider'],
    duration: '1h',
    samples: [
      '450 4.7.1 Service temporarily unavailable; Mail from 192.0.2.10 deferred using Trend Micro Email Reputation database. Please see http://www.mail-abuse.com/cgi-bin/lookup?ip_address=192.0.2.10',
    ],
  },
];

/** Cloudmark Cloud, in front of cable and telephone companies; `generic.ts` covers its gateways elsewhere. */
export const cloudmark: readonly Rule[] = [
  {
    id: 'cloudmark.csi',
    reason: 'Cloudmark Sender Intelligence lists this IP.',
    match: { code: '5xx', provider: 'cloudmark', text: 'csi.cloudmark.com' },
    action: ['suspend', 'alert'],
    scope: ['ip', 'provider'],
    duration: '4h',
    samples: [
      '554 5.7.1 Service unavailable; Client host [192.0.2.10] blocked using cm-csi-v11; Cloudmark Poor Reputation Sender Blacklist http://csi.cloudmark.com/reset-request/?ip=192.0.2.10',
      '554 eir-01.mx.a.cloudfilter.net cmsmtp 192.0.2.10 blocked. Please see http://csi.cloudmark.com/reset-request/?ip=192.0.2.10',
    ],
  },
  {
    id: 'cloudmark.spamhaus',
    reason: 'Spamhaus lists this IP, says a Cloudmark gateway.',
    match: { code: '5xx', provider: 'cloudmark', text: 'ip blacklisted by spamhaus' },
    action: ['suspend', 'alert'],
    scope: ['ip', 'provider'],
    duration: '4h',
    samples: [
      '554 eir-02.mx.a.cloudfilter.net cmsmtp 1sSZcfhLEUv3Q IP blacklisted by Spamhaus. For remediation please use https://www.spamhaus.org/lookup/ [103]',
    ],
  },
  {
    id: 'cloudmark.sessions',
    reason: 'Too many connections at once for this Cloudmark gateway.',
    match: { provider: 'cloudmark', code: '4xx', text: 'too many (sessions|connections)' },
    action: { limit: { connections: 2 } },
    duration: '30m',
    samples: ['421 eir-01.mx.a.cloudfilter.net cmsmtp too many sessions from 192.0.2.10'],
  },
];
