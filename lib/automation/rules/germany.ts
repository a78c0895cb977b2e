/** Mailbox providers of Germany: GMX, WEB.DE and mail.com (one platform), T-Online. */
import type { Rule } from '../rule.ts';

/** postmaster.gmx.net/en/error-messages. */
export const gmx: readonly Rule[] = [
  {
    id: 'gmx.connections',
    reason: 'Too many connections at once for GMX and WEB.DE.',
    match: { provider: 'gmx', code: '4xx', text: 'too many connections' },
    trigger: { events: 3, within: '1h' },
    action: { limit: { connections: 1 } },
    duration: '30m',
    samples: ['421 gmx.net (mxgmx016) Nemesis ESMTP Service not available Too many connections'],
  },
  {
    id: 'gmx.rate',
    reason: 'GMX and WEB.DE have had too much mail from this IP for now.',
    match: { code: '4xx', provider: 'gmx', text: 'rate limit reached' },
    action: { limit: { messageRate: '10/min', connections: 1 } },
    duration: '2h',
    samples: [
      '421 web.de (mxweb112) Nemesis ESMTP Service not available Rate limit reached. Please try again later',
    ],
  },
  {
    id: 'gmx.policy-violations',
    reason:
      'GMX and WEB.DE have blocked this IP for now: too many unknown recipients, or a changing EHLO name.',
    match: { code: '4xx', provider: 'gmx', text: 'reject due to policy violations' },
    action: ['suspend', 'alert'],
    duration: '1h',
    samples: [
      '421 gmx.net (mxgmx104) Nemesis ESMTP Service not available Reject due to policy violations',
      '450 Reject due to policy violations. For explanation visit https://postmaster.gmx.net/en/error-messages?ip=192.0.2.10&c=rep',
    ],
  },
  {
    id: 'gmx.policy-restrictions-slow',
    reason: 'GMX and WEB.DE put mail of this IP off for policy reasons.',
    match: { provider: 'gmx', code: '4xx', text: 'reject due to policy restrictions' },
    trigger: { events: 5, within: '1h' },
    action: { limit: { messageRate: '1/min', connections: 1 } },
    duration: '1h',
    samples: [
      '421 Reject due to policy restrictions. For explanation visit https://postmaster.gmx.net/en/error-messages?ip=192.0.2.10&c=hi',
    ],
  },
  {
    id: 'gmx.policy-restrictions',
    reason: 'GMX and WEB.DE refuse this IP for policy reasons.',
    match: { provider: 'gmx', code: '5xx', text: 'reject due to policy restrictions' },
    trigger: { events: 5, within: '1h' },
    action: ['suspend', 'alert'],
    duration: '2h',
    samples: [
      '554 Transaction failed Reject due to policy restrictions. For explanation visit https://postmaster.gmx.net/en/error-messages?ip=192.0.2.10&c=hi',
      '550 Requested action not taken: mailbox unavailable Reject due to policy restrictions. For explanation visit https://postmaster.web.de/en/error-messages?ip=192.0.2.10&c=spf',
    ],
  },
  {
    id: 'gmx.black-listed',
    reason: 'GMX, WEB.DE and mail.com refuse this IP: it is on a block list.',
    match: {
      provider: 'gmx',
      code: '5xx',
      text: ['ip address is (black|block) listed', 'bad dns ptr resource record'],
    },
    action: ['suspend', 'alert'],
    duration: '4h',
    samples: [
      '554 mail.com (mxgmxus002) Nemesis ESMTP Service not available No SMTP service IP address is black listed. For explanation visit https://www.mail.com/senderguidelines?ip=192.0.2.10&c=bl',
      '554 gmx.net (mxgmx011) Nemesis ESMTP Service not available No SMTP service IP address is block listed. For explanation visit https://postmaster.gmx.net/en/case?c=r1001&i=ip&v=192.0.2.10',
      '554 gmx.net (mxgmx017) Nemesis ESMTP Service not available No SMTP service Bad DNS PTR resource record. For explanation visit https://postmaster.gmx.net/en/error-messages?ip=192.0.2.10&c=rdns',
    ],
  },
];

/** postmaster.t-online.de: IPs that are unknown, or long unused, are refused until they are made known. */
export const tOnline: readonly Rule[] = [
  {
    id: 't-online.reputation',
    reason: 'T-Online does not know this IP, or not well (tobr@rx.t-online.de resets it).',
    match: { code: '5xx', provider: 't-online', text: 'none/bad reputation' },
    action: ['suspend', 'alert'],
    duration: '4h',
    samples: [
      '554 IP=192.0.2.10 - None/bad reputation. Ask your postmaster for help or to contact tobr@rx.t-online.de for reset. (NOWL)',
    ],
  },
  {
    id: 't-online.blocked',
    reason: 'T-Online has blocked this IP (tosa@rx.t-online.de clarifies).',
    match: { code: '5xx', provider: 't-online', text: ' - a problem occurred' },
    action: ['suspend', 'alert'],
    duration: '4h',
    samples: [
      '554 IP=192.0.2.10 - A problem occurred. (Ask your postmaster for help or to contact tosa@rx.t-online.de to clarify.) (BL)',
      '554 IP:192.0.2.10 - A problem occurred. (Ask your postmaster for help or to contact tosa@rx.t-online.de to clarify.)',
    ],
  },
  {
    id: 't-online.dynamic-ip',
    reason: 'T-Online takes this IP for a dynamic one.',
    match: { code: '5xx', provider: 't-online', text: 'dialup/transient ip' },
    action: ['suspend', 'alert'],
    duration: '1d',
    samples: [
      '554 IP=192.0.2.10 - Dialup/transient IP not allowed. Use a mailserver/smarthost or contact tosa@rx.t-online.de to clarify. (DIAL)',
    ],
  },
  {
    id: 't-online.spam',
    reason: "T-Online refuses this sender's mail as spam.",
    match: { code: '5xx', provider: 't-online', text: 'rejected due to spam or virus classification' },
    trigger: { events: 10, within: '1h' },
    action: ['suspend', 'alert'],
    scope: ['tenant', 'site'],
    duration: '2h',
    samples: [
      '550 5.7.0 Message considered as spam or virus, rejected: Your message has been rejected due to spam or virus classification (D).',
    ],
  },
];
