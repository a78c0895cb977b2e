/** Words that many servers use, at any provider. Considered only when no rule of a provider matched. */
import type { Rule } from '../rule.ts';

export const generic: readonly Rule[] = [
  {
    id: 'generic.connections',
    reason: 'Too many connections at once.',
    match: {
      code: '4xx',
      text: [
        'too many (concurrent|simultaneous|) connections',
        'too many (concurrent|simultaneous|) smtp connections',
        'too many (concurrent|simultaneous|) sessions',
        'too many smtp sessions',
        'too many open connections',
        'connection limit exceeded',
        'concurrent connections has exceeded',
      ],
    },
    action: { limit: { connections: 1 } },
    duration: '30m',
    fallback: true,
    samples: [
      '421 4.3.2 Too many open connections.',
      '421 Too many sessions from 192.0.2.10',
      '421 too many SMTP sessions for this host',

      '421 4.7.0 mx1.example.com Error: too many connections from 192.0.2.10',
      '421 Too many concurrent SMTP connections; please try again later.',
      '421 #4.4.5 Too many connections to this listener.',
      '421 4.3.2 The maximum number of concurrent connections has exceeded a limit, closing transmission channel',
      '421 Too many concurrent connections from this client',
      '450 4.7.1 Connection limit exceeded',
    ],
  },
  {
    id: 'generic.connection-rate',
    reason: 'Connections are opened too fast.',
    match: {
      code: '4xx',
      text: ['connection rate limit', 'too frequent connects'],
    },
    action: { limit: { connections: 2, connectionRate: '6/min' } },
    duration: '30m',
    fallback: true,
    samples: [
      '421 4.3.2 Connection rate limit exceeded.',
      '421 4.7.0 mx1.example.com Error: Connection rate limit exceeded (anvil)',
      '450 too frequent connects from 192.0.2.10, please try again later',
    ],
  },
  {
    id: 'generic.message-rate',
    reason: 'Too much mail from here for now.',
    match: {
      code: '4xx',
      text: [
        'too much mail from',
        'temporarily rate limited',
        'exceeded the rate limit',
        'sending rate exceeded',
        'throttled',
        'throttling',
        'try again slower',
        'temporarily deferred due to',
      ],
    },
    // No rate: the site's rate is learnt from these replies (`shaping/feedback`), and one rate for all sites would be
    // wrong for nearly each of them: one a minute kept 690 messages back that a site had deferred once.
    trigger: { events: 3, within: '5m' },
    action: { limit: { connections: 2 } },
    duration: '10m',
    leaveAfter: 20,
    fallback: true,
    samples: [
      '421 4.7.0 [TSS04] Messages from 192.0.2.10 temporarily deferred due to unexpected volume or user complaints',
      '421 4.1.0 192.0.2.10 Throttled - try again later',
      '451 4.7.650 The mail server [192.0.2.10] has been temporarily rate limited due to IP reputation.',

      '450 4.7.1 Error: too much mail from 192.0.2.10',
      '451 4.7.1 You have exceeded the rate limit. Please try again slower',
      '421 4.7.1 Messages from 192.0.2.10 temporarily deferred due to excessive volume',
      '452 4.3.2 Throttling failure: maximum sending rate exceeded.',
    ],
  },
  {
    id: 'generic.recipient-rate',
    reason: 'Too many recipients from here for now.',
    match: {
      code: '4xx',
      text: ['too many recipients received', 'recipients per hour'],
    },
    action: { limit: { messageRate: '10/min', connections: 1 } },
    duration: '1h',
    leaveAfter: 100,
    fallback: true,
    samples: ['452 Too many recipients received this hour', '452 4.5.3 Recipients per hour limit exceeded'],
  },
  {
    id: 'generic.messages-per-connection',
    reason: 'Too many messages over one connection.',
    match: {
      code: '4xx',
      text: [
        'too many messages (for|in) this (session|connection)',
        'messages per (session|connection)',
        'messages exceeds maximum per connection',
        'mails-per-session limit',
        'transaction limit reached',
        'max message per connection',
      ],
    },
    action: { limit: { messagesPerConnection: 5 } },
    duration: '6h',
    fallback: true,
    samples: [
      '421 Number of messages exceeds maximum per connection',
      '421 Transaction limit reached',
      '421 Max message per connection reached, closing transmission channel',

      '421 Too many messages for this session',
      '421 4.7.0 Too many messages in this connection',
      '452 4.1.0 Maximum number of messages per session exceeded',
      '421 Mails-per-session limit reached',
    ],
  },
  {
    id: 'generic.retry-in',
    reason: 'The peer named a time before which it wants nothing more from this IP.',
    match: {
      code: '4xx',
      text: [
        'temporarily blocked * try again in',
        'blocked for \\d (seconds|minutes|hours)',
        'retry after \\d seconds',
        'your network is temporary blacklisted',
        'has been temporarily blocked',
      ],
    },
    action: 'suspend',
    duration: '15m',
    hint: { least: '1m', most: '6h' },
    fallback: true,
    samples: [
      '450 4.7.1 Your network is temporary blacklisted',

      '421 Your IP is temporarily blocked, please try again in 30 minutes',
      '421 4.7.1 Too many errors. You are blocked for 60 minutes',
      '450 4.7.1 Please retry after 3600 seconds',
      '421 4.7.0 Your IP address has been temporarily blocked. Please try again in 2 hours',
    ],
    overlaps: [
      {
        rule: 'generic.too-many-errors',
        why: 'Errors set off the block: wait for its end, then make fewer.',
      },
    ],
  },
  {
    id: 'generic.too-many-errors',
    reason: 'The peer breaks off: too many errors of this IP.',
    match: {
      code: '4xx',
      text: ['too many errors', 'too many bad commands', 'too many invalid recipients'],
    },
    trigger: { events: 3, within: '10m' },
    action: { limit: { connections: 1, messagesPerConnection: 5 } },
    duration: '30m',
    fallback: true,
    samples: [
      '421 too many bad commands from 192.0.2.10',

      '421 4.7.0 mx1.example.com Error: too many errors',
      '421 4.5.1 Too many errors, you have been temporarily blacklisted',
      '450 4.1.1 Too many invalid recipients',
    ],
  },
  {
    id: 'generic.unavailable',
    reason: 'The server is not available, or short of resources.',
    match: {
      code: [421, 451, 452],
      text: [
        'service not available',
        'service temporarily unavailable',
        'server busy',
        'server too busy',
        'insufficient system (storage|resources)',
        'all server ports are busy',
        'insufficient disk space',
      ],
    },
    trigger: { events: 5, within: '5m' },
    action: 'suspend',
    duration: '10m',
    fallback: true,
    samples: [
      '421 Service Temporarily Unavailable',
      '421 4.4.5 Server busy, try again later.',

      '421 mx1.example.com Service not available, closing transmission channel',
      '421 4.3.2 All server ports are busy',
      '452 4.3.1 Insufficient system storage',
      '421 Server too busy.',
      '452 4.4.5 Insufficient disk space; try again later',
    ],
  },
  {
    id: 'generic.greylisted',
    reason: 'The server lets new senders wait.',
    match: { code: '4xx', text: ['greylist', 'graylist', 'postgrey'] },
    trigger: { events: 20, within: '5m' },
    // No rate: the second try of each recipient passes, and a rate would only delay it.
    action: { limit: { connections: 2 } },
    duration: '10m',
    fallback: true,
    samples: [
      '450 4.2.0 <user@example.com>: Recipient address rejected: Greylisted, see http://postgrey.schweikert.ch/help/example.com.html',
      '451 4.7.1 Greylisting in action, please come back later',
      '450 4.2.0 <user@example.com>: Recipient address rejected: Greylisted for 300 seconds',
      '451 4.7.1 Graylisted, please try again in 5 minutes',
      '450 4.7.1 <user@example.com>: Recipient address rejected: Policy Rejection- Please try later. Delayed by postgrey',
    ],
  },
];
