/**
 * The SMTP submission listener (RFC 6409), as SES's SMTP interface behaves: STARTTLS or implicit TLS, AUTH PLAIN
 * and LOGIN with the SMTP password derived from an access key's secret, `250 Ok <MessageId>`.
 *
 * A 250 is given only when the accept pipeline has made the message durable. A temporary failure is a 4yz,
 * and the client keeps the message.
 */

import { timingSafeEqual } from 'node:crypto';
import ipaddr from 'ipaddr.js';
import type { SMTPServerSession } from 'smtp-server';
import type { Accept, Caller } from '../accept/types.ts';
import { Cache } from '../cache.ts';
import { smtpPassword } from '../control/smtp-password.ts';
import type { Control } from '../control/types.ts';
import { PosternError } from '../errors.ts';
import type { Log } from '../log.ts';
import { rfc5322Date } from '../mail/date.ts';
import { type Listener, startListener } from '../smtp-server/listener.ts';
import type { SmtpBudget } from '../smtp-server/octet-budget.ts';
import { reply } from '../smtp-server/reply.ts';
import type { Clock } from '../time.ts';

export interface SubmissionOptions {
  host: string;
  port: number;
  /** Whether TLS starts at the first byte (RFC 8314) instead of by STARTTLS. */
  implicitTls: boolean;
  hostname: string;
  /** PEM. */
  tls: { key: string; cert: string };
  /** Networks in CIDR form that may submit without AUTH. */
  relayFrom: string[];
  /** Whether AUTH is allowed before TLS: only where no third party can listen, as on a loopback address. */
  allowInsecureAuth: boolean;
  maxMessageBytes: number;
  maxRecipients: number;
  /** Maximum time for the whole of a submitted message, ms. */
  dataDeadline: number;
  maxClients: number;
  region: string;
  accept: Accept;
  control: Control;
  /** Octets under way, shared by all SMTP listeners of the process. */
  budget: SmtpBudget;
  clock: Clock;
  log: Log;
}

export const DATA_DEADLINE = 10 * 60_000;
/** Maximum number of connections; half of them may be of clients that have not logged in. */
export const MAX_CLIENTS = 2000;
const ANONYMOUS_OF_ONE = 50;
/** Maximum number of derived SMTP passwords in the cache. */
const MAX_PASSWORDS = 10_000;

export type SubmissionServer = Listener;

/** Starts the listener. @returns resolves when it listens. */
export function startSubmission(options: SubmissionOptions): Promise<SubmissionServer> {
  const { accept, control, clock } = options;
  const networks = options.relayFrom.map((cidr) => ipaddr.parseCIDR(cidr));
  /** SMTP passwords by key, derived once. */
  const passwords = new Cache<string, { secret: string; password: Buffer }>(MAX_PASSWORDS);

  function passwordOf(keyId: string): Buffer | undefined {
    const key = control.keys.find(keyId);
    if (!key) return undefined;
    const known = passwords.get(keyId);
    if (known?.secret === key.secret) return known.password;
    const password = Buffer.from(smtpPassword(key.secret, options.region));
    passwords.set(keyId, { secret: key.secret, password });
    return password;
  }

  function mayRelay(address: string): boolean {
    if (networks.length === 0 || !ipaddr.isValid(address)) return false;
    const ip = ipaddr.process(address);
    return networks.some(([network, bits]) => ip.kind() === network.kind() && ip.match(network, bits));
  }

  function callerOf(session: SMTPServerSession): Caller {
    const user = session.user as unknown as Caller | undefined;
    if (user) {
      // The key may have been revoked since the login.
      if (!control.keys.find(user.keyId)) throw new PosternError('unknown_key', 'The key was revoked.');
      return user;
    }
    if (mayRelay(session.remoteAddress)) {
      return { keyId: 'relay', tenant: 'default', admin: false, sourceIp: session.remoteAddress };
    }
    throw new PosternError('missing_authentication', 'Authentication required');
  }

  function login(username: string, given: string, session: SMTPServerSession): Caller | undefined {
    const expected = passwordOf(username);
    const password = Buffer.from(given);
    // An unknown key costs the same comparison, so that the time does not reveal which keys exist.
    const reference = expected ?? Buffer.alloc(44);
    const same = password.length === reference.length && timingSafeEqual(password, reference);
    const key = expected && same ? control.keys.find(username) : undefined;
    return key && { keyId: key.id, tenant: key.tenant, admin: key.admin, sourceIp: session.remoteAddress };
  }

  async function submit(bytes: Buffer, session: SMTPServerSession): Promise<string> {
    const { mailFrom, rcptTo } = session.envelope;
    const results = await accept.submit(
      [
        {
          to: rcptTo.map((recipient) => recipient.address),
          cc: [],
          bcc: [],
          replyTo: [],
          mailFrom: mailFrom ? mailFrom.address : '',
          content: { kind: 'raw', bytes },
          trace: traceField(session),
        },
      ],
      { door: 'smtp', caller: callerOf(session) },
    );
    const result = results[0]!;
    if ('error' in result) throw result.error;
    return `Ok ${result.messageId}`;
  }

  /**
   * The trace field (RFC 5321 §4.4). The client's name and address are left out: they would show every recipient the
   * inside of the sender's network.
   */
  function traceField(session: SMTPServerSession): string {
    const protocol = `ESMTP${session.secure ? 'S' : ''}${session.user ? 'A' : ''}`;
    return `Received: by ${options.hostname} (Postern) with ${protocol} id ${session.id};\r\n\t${rfc5322Date(clock.now())}`;
  }

  return startListener({
    name: 'submission',
    host: options.host,
    port: options.port,
    hostname: options.hostname,
    tls: options.tls,
    implicitTls: options.implicitTls,
    login: { insecure: options.allowInsecureAuth, check: login, trusts: mayRelay },
    maxBytes: options.maxMessageBytes,
    dataDeadline: options.dataDeadline,
    limits: {
      connections: options.maxClients,
      anonymous: Math.ceil(options.maxClients / 2),
      anonymousOfOne: ANONYMOUS_OF_ONE,
      messagesOfOne: Number.POSITIVE_INFINITY,
    },
    budget: options.budget,
    clock,
    log: options.log,
    onMail(session) {
      callerOf(session);
    },
    onRecipient(_address, session) {
      if (session.envelope.rcptTo.length < options.maxRecipients) return;
      const text = `4.5.3 Too many recipients: ${options.maxRecipients} a message; send the rest as another one`;
      throw reply(452, text);
    },
    onMessage: submit,
  });
}
