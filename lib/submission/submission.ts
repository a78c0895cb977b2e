/**
 * The SMTP submission listener (RFC 6409), as SES's SMTP interface behaves: STARTTLS or implicit TLS, AUTH PLAIN
 * and LOGIN with the SMTP password derived from an access key's secret, `250 Ok <MessageId>`.
 *
 * A 250 is given only when the accept pipeline has made the message durable. A temporary failure is a 4yz,
 * and the client keeps the message.
 */
import type { Accept } from '../accept/types.ts';
import type { Control } from '../control/types.ts';
import type { Log } from '../log.ts';
import { rfc5322Date } from '../mail/date.ts';
import { type Listener, startListener } from '../smtp-server/listener.ts';
import type { SmtpBudget } from '../smtp-server/octet-budget.ts';
import type { ClientSession, ListenerOptions } from '../smtp-server/options.ts';
import { reply } from '../smtp-server/reply.ts';
import type { Clock } from '../time.ts';
import { Callers } from './callers.ts';

export interface SubmissionOptions {
  host: string;
  port: number;
  /** Whether TLS starts at the first byte (RFC 8314) instead of by STARTTLS. */
  implicitTls: boolean;
  hostname: string;
  /** PEM. */
  tls: { key: string; cert: string };
  /** Proxies in front; absent: none is trusted. */
  proxies?: ListenerOptions['proxies'];
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

export type SubmissionServer = Listener;

/** Starts the listener. @returns resolves when it listens. */
export function startSubmission(options: SubmissionOptions): Promise<SubmissionServer> {
  const { accept, control, clock } = options;
  const callers = new Callers(control, options.region, options.relayFrom, options.clock);

  async function submit(bytes: Buffer, session: ClientSession): Promise<string> {
    const { mailFrom, rcptTo } = session.envelope;
    const caller = callers.of(session);
    const results = await accept.submit(
      [
        {
          to: rcptTo,
          cc: [],
          bcc: [],
          replyTo: [],
          mailFrom: mailFrom ?? '',
          content: { kind: 'raw', bytes },
          trace: traceField(session),
        },
      ],
      // What is at hand is not waited for: each turn of promises costs.
      { door: 'smtp', caller: caller instanceof Promise ? await caller : caller },
    );
    const result = results[0]!;
    if ('error' in result) throw result.error;
    return `Ok ${result.messageId}`;
  }

  /**
   * The trace field (RFC 5321 §4.4). The client's name and address are left out: they would show every recipient the
   * inside of the sender's network.
   */
  function traceField(session: ClientSession): string {
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
    proxies: options.proxies,
    login: {
      insecure: options.allowInsecureAuth,
      check: (username, password, session) => callers.login(username, password, session),
      trusts: (address) => callers.mayRelay(address),
    },
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
      const caller = callers.of(session);
      return caller instanceof Promise ? caller.then(() => undefined) : undefined;
    },
    onRecipient(_address, session) {
      if (session.envelope.rcptTo.length < options.maxRecipients) return;
      const text = `4.5.3 Too many recipients: ${options.maxRecipients} a message; send the rest as another one`;
      throw reply(452, text);
    },
    onMessage: submit,
  });
}
