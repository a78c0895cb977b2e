/**
 * One mailbox provider of the demo's internet: a real SMTP server with the manners of a large receiver. It
 * refuses connections above its limit, slows down those who send too fast, does not know some mailboxes, and
 * makes strangers wait (greylisting), each in the words that such providers use.
 */
import type { AddressInfo } from 'node:net';
import { SMTPServer } from 'smtp-server';

export interface ProviderRules {
  name: string;
  domains: string[];
  /** Share of all mail that goes here. */
  weight: number;
  /** Connections from one address at one time; more are answered with `tooMany`. */
  maxConnections?: number;
  tooMany?: string;
  /** Messages a second, counted over half a second; more are answered with `tooFast`. */
  maxRate?: number;
  tooFast?: string;
  /** Share of recipients that do not exist. */
  unknown: number;
  noMailbox: string;
  /** A first attempt to each recipient is answered with this 4yz. */
  greylist?: string;
  /** Time to answer each message, ms. */
  think: number;
}

export interface Provider {
  rules: ProviderRules;
  port: number;
  close(): Promise<void>;
}

function refusal(text: string): Error {
  return Object.assign(new Error(text.slice(4)), { responseCode: Number(text.slice(0, 3)) });
}

/** Whether a mailbox exists: decided by its name, so that a retry finds the same. */
function exists(address: string, unknown: number): boolean {
  let hash = 2166136261;
  for (let i = 0; i < address.length; i++) hash = Math.imul(hash ^ address.charCodeAt(i), 16777619);
  return (hash >>> 8) / 2 ** 24 >= unknown;
}

export function startProvider(rules: ProviderRules): Promise<Provider> {
  let connections = 0;
  let windowStart = 0;
  let inWindow = 0;
  const seen = new Set<string>();

  /** Whether one more message now is within the rate. */
  const inRate = (): boolean => {
    if (rules.maxRate === undefined) return true;
    const now = performance.now();
    if (now - windowStart >= 500) {
      windowStart = now;
      inWindow = 0;
    }
    return ++inWindow <= rules.maxRate / 2;
  };

  const server = new SMTPServer({
    name: `mx.${rules.domains[0]}`,
    disabledCommands: ['AUTH', 'STARTTLS'],
    disableReverseLookup: true,
    logger: false,
    onConnect(_session, callback) {
      connections++;
      if (rules.maxConnections !== undefined && connections > rules.maxConnections) {
        callback(refusal(rules.tooMany ?? '421 4.7.0 Too many connections, try again later'));
      } else callback();
    },
    onClose() {
      connections--;
    },
    onRcptTo({ address }, _session, callback) {
      if (!exists(address, rules.unknown)) callback(refusal(rules.noMailbox));
      else if (rules.greylist && !seen.has(address)) {
        seen.add(address);
        callback(refusal(rules.greylist));
      } else if (!inRate()) callback(refusal(rules.tooFast ?? '451 4.7.1 Slow down'));
      else callback();
    },
    onData(stream, _session, callback) {
      stream.resume();
      stream.on('end', () => setTimeout(() => callback(null, '2.0.0 OK'), rules.think));
    },
  });
  server.on('error', () => {});
  return new Promise((resolve) => {
    server.listen(0, '127.0.0.1', () => {
      resolve({
        rules,
        port: (server.server.address() as AddressInfo).port,
        close: () => new Promise((done) => server.close(() => done())),
      });
    });
  });
}

/** The demo's internet. */
export const INTERNET: ProviderRules[] = [
  {
    name: 'google',
    domains: ['gmail.com', 'googlemail.com'],
    weight: 38,
    maxRate: 400,
    tooFast:
      '421 4.7.28 Gmail has detected an unusual rate of unsolicited mail originating from your IP address. Try again later.',
    unknown: 0.01,
    noMailbox: '550 5.1.1 The email account that you tried to reach does not exist. NoSuchUser',
    think: 15,
  },
  {
    name: 'microsoft',
    domains: ['outlook.com', 'hotmail.com', 'live.com'],
    weight: 24,
    maxConnections: 10,
    tooMany: '421 4.3.2 The maximum number of concurrent server connections has exceeded a limit',
    unknown: 0.02,
    noMailbox: '550 5.5.0 Requested action not taken: mailbox unavailable (S2017062302).',
    think: 25,
  },
  {
    name: 'yahoo',
    domains: ['yahoo.com', 'aol.com'],
    weight: 14,
    maxRate: 120,
    tooFast: '421 4.7.0 [TSS04] Messages temporarily deferred due to unexpected volume or user complaints',
    unknown: 0.03,
    noMailbox: '554 delivery error: dd This user does not have a mailbox here - mta1.mail.yahoo.com',
    think: 20,
  },
  {
    name: 'apple',
    domains: ['icloud.com', 'me.com'],
    weight: 9,
    unknown: 0.01,
    noMailbox: '550 5.1.1 unknown or illegal alias',
    think: 30,
  },
  {
    name: 'orange',
    domains: ['orange.fr', 'wanadoo.fr'],
    weight: 5,
    maxConnections: 2,
    tooMany: '421 mwinf5c04 ME Trop de connexions, veuillez verifier votre configuration. OFR_108',
    unknown: 0.02,
    noMailbox: '550 5.1.1 Adresse d au moins un destinataire invalide. OFR_416',
    think: 40,
  },
  {
    name: 'greylisting',
    domains: ['university.example'],
    weight: 4,
    unknown: 0.01,
    noMailbox: '550 5.1.1 User unknown in virtual mailbox table',
    greylist: '450 4.2.0 Greylisted, please try again in 2 seconds',
    think: 5,
  },
  {
    name: 'small hosts',
    domains: ['company.example', 'shop.example', 'club.example'],
    weight: 6,
    unknown: 0.04,
    noMailbox: '550 5.1.1 User unknown',
    think: 10,
  },
];
