/**
 * The inbound listener: accepts bounces, complaints, automatic replies and unsubscribe mail, and nothing else. It relays nothing and
 * sends nothing, so it can be neither an open relay nor a source of backscatter.
 *
 * ```
 *  RCPT TO        signed return path, unsubscribe address, or mailbox of aggregate reports ─► 250
 *                 postmaster@, abuse@ of this host or a domain of ours ─► 250
 *                 else 550 5.1.1
 *  end of DATA    the first 128 KB are kept: a report comes before the message that it returns
 *    return path    ─► recorder.ts           unsubscribe address ─► unsubscribe-mail.ts
 *    aggregate reports, up to 2 MB ─► aggregate-reports.ts
 *    postmaster,    a feedback report about a message of ours ─► recorder.ts
 *    abuse          anything else ─► 550 5.7.1: no person reads here, and to say 250 would be a lie
 *  storage does not answer ─► 451
 * ```
 * 250 is given only when the outcome is durable.
 */
import type { AddressInfo } from 'node:net';
import type { UnsubscribeContact } from '../contacts/unsubscriber.ts';
import type { Engine } from '../engine/ports.ts';
import type { Log } from '../log.ts';
import type { MessageReferences } from '../mail/message-reference.ts';
import type { ReportMailboxes } from '../mail/report-mailbox.ts';
import type { ReturnPaths } from '../mail/return-path.ts';
import type { UnsubscribeAddresses } from '../mail/unsubscribe-address.ts';
import type { Feedback } from '../outcome/feedback.ts';
import { MAX_PARSED, parseReport } from '../outcome/report.ts';
import type { ListenerLimits } from '../smtp-server/connection-limiter.ts';
import { type Listener, startListener } from '../smtp-server/listener.ts';
import type { SmtpBudget } from '../smtp-server/octet-budget.ts';
import type { ListenerOptions } from '../smtp-server/options.ts';
import { reply } from '../smtp-server/reply.ts';
import type { Clock } from '../time.ts';
import { AggregateReports, MAX_REPORT_MAIL } from './aggregate-reports.ts';
import { type InboundCounts, Recorder, type ReportTarget } from './recorder.ts';
import { UnsubscribeMail } from './unsubscribe-mail.ts';

export interface InboundOptions {
  listen: { host: string; port: number };
  /** Proxies in front; absent: none is trusted. */
  proxies?: ListenerOptions['proxies'];
  /** Name in the greeting; its postmaster@ and abuse@, and those of its parent domains, accept feedback reports. */
  hostname: string;
  /**
   * Whether the domain sends mail or receives bounces: role addresses of it and of its subdomains are accepted as
   * well.
   */
  ownsAny?: (domains: readonly string[]) => Promise<boolean>;
  engine: Pick<Engine, 'records' | 'rows'>;
  returnPaths: ReturnPaths;
  references: MessageReferences;
  unsubscribeAddresses: UnsubscribeAddresses;
  reportMailboxes: ReportMailboxes;
  /** Changes a contact that unsubscribes by mail; absent: this service keeps no lists. */
  unsubscribe?: UnsubscribeContact;
  /** Octets under way, shared by all SMTP listeners of the process. */
  budget: SmtpBudget;
  clock: Clock;
  log: Log;
  /** Called with each bounce and complaint before it is recorded. When it throws, the report stays with its peer. */
  onFeedback?: (feedback: Feedback, delivery: ReportTarget) => Promise<void>;
  /** PEM; absent: no STARTTLS. */
  tls?: { key: string; cert: string };
  limits?: Partial<ListenerLimits>;
}

export interface Inbound {
  address: AddressInfo;
  counts: Readonly<InboundCounts>;
  /** Sets another certificate for connections that begin from now on. */
  renew: Listener['renew'];
  /** Stops accepting connections; messages that arrived are still answered. */
  close(): Promise<void>;
}

/** A report that returns a huge message whole is read at its start, and the rest is dropped as it arrives. */
export const MAX_BYTES = 64 * 1024 * 1024;
/** A feedback report to a role address returns headers, or a message of usual size: what is longer is cut off, octets. */
export const MAX_ROLE_MAIL = 4 * 1024 * 1024;
/** Maximum time for the whole of DATA, ms. */
const DATA_DEADLINE = 120_000;
/**
 * A large provider bounces a whole campaign from a few addresses within minutes, hence the generous rate; messages
 * over it are answered 4yz, and a real server retries.
 */
export const INBOUND_LIMITS: ListenerLimits = {
  connections: 500,
  anonymous: 500,
  anonymousOfOne: 50,
  messagesOfOne: 6000,
};
/** Role addresses (RFC 5321 §4.5.1, RFC 2142). */
const ROLES = /^(?:postmaster|abuse)@(.+)$/;

export async function startInbound(options: InboundOptions): Promise<Inbound> {
  const { hostname, returnPaths, references, clock, log, onFeedback } = options;
  const { records, rows } = options.engine;
  const unsubscribes = new UnsubscribeMail({
    records,
    addresses: options.unsubscribeAddresses,
    unsubscribe: options.unsubscribe,
    clock,
  });
  const aggregates = new AggregateReports({ rows, mailboxes: options.reportMailboxes, clock });
  const recorder = new Recorder({ records, returnPaths, references, clock, log, onFeedback });

  async function isRole(address: string): Promise<boolean> {
    const lower = address.toLowerCase();
    if (lower === 'postmaster') return true;
    const domain = ROLES.exec(lower)?.[1];
    if (domain === undefined) return false;
    const { ownsAny = () => Promise.resolve(false) } = options;
    return parents(hostname.toLowerCase()).includes(domain) || ownsAny(parents(domain));
  }

  /** Octets at which mail to a public address is cut off; addresses that were signed are anyone's who was written to. */
  function cutOf(recipient: string): number | undefined {
    if (aggregates.isMailbox(recipient)) return MAX_REPORT_MAIL;
    const isSigned = recorder.targetOf(recipient) ?? unsubscribes.messageOf(recipient);
    return isSigned === undefined ? MAX_ROLE_MAIL : undefined;
  }

  const { address, renew, close } = await startListener({
    name: 'inbound',
    ...options.listen,
    hostname,
    proxies: options.proxies,
    tls: options.tls,
    maxBytes: MAX_BYTES,
    keepBytes: ({ envelope }) => (aggregates.isMailbox(envelope.rcptTo[0]!) ? MAX_REPORT_MAIL : MAX_PARSED),
    cutBytes: ({ envelope }) => cutOf(envelope.rcptTo[0]!),
    dataDeadline: DATA_DEADLINE,
    limits: { ...INBOUND_LIMITS, ...options.limits },
    budget: options.budget,
    clock,
    log,
    async onRecipient(recipient, session) {
      // A report is about one delivery; each has a return path of its own.
      if (session.envelope.rcptTo.length > 0) throw reply(452, '4.5.3 One recipient at a time, please');
      if (recorder.targetOf(recipient) || unsubscribes.messageOf(recipient)) return;
      if (aggregates.isMailbox(recipient) || (await isRole(recipient))) return;
      throw reply(550, '5.1.1 No such recipient: this host takes reports to its own return paths only');
    },
    async onMessage(bytes, session) {
      const recipient = session.envelope.rcptTo[0]!;
      if (aggregates.isMailbox(recipient)) return aggregates.take(bytes, recipient);
      const report = await parseReport(bytes);
      const messageId = unsubscribes.messageOf(recipient);
      return messageId === undefined
        ? recorder.take(report, recipient)
        : unsubscribes.take(report, messageId);
    },
  });
  return { address, counts: recorder.counts, renew, close };
}

/** A domain and its parent domains, without top level domains. */
function parents(domain: string): string[] {
  const labels = domain.split('.');
  return labels.slice(0, Math.max(1, labels.length - 1)).map((_, at) => labels.slice(at).join('.'));
}
