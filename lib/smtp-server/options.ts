/** What a listener is made of: its limits, and what it asks its owner. */
import type { Log } from '../log.ts';
import type { ProxyProtocol } from '../proxy-protocol.ts';
import type { Clock } from '../time.ts';
import type { ListenerLimits } from './connection-limiter.ts';
import type { SmtpBudget } from './octet-budget.ts';

export interface ListenerOptions {
  /** Name in the log. */
  name: 'submission' | 'inbound';
  host: string;
  port: number;
  hostname: string;
  /** PEM; absent: no STARTTLS. */
  tls?: { key: string; cert: string };
  /** Whether TLS starts at the first byte (RFC 8314). */
  implicitTls?: boolean;
  /** How clients log in; absent: no AUTH is offered, and none is needed. */
  login?: Login;
  /** Value of SIZE, octets; a larger message is refused. */
  maxBytes: number;
  /** Octets from the start of a message that are kept; absent: all. */
  keepBytes?: (session: ClientSession) => number;
  /**
   * Octets at which a message is refused and its connection closed, without the rest of it: for addresses that anyone
   * may write to, and where nothing honest is as long. Absent, or undefined: its end is awaited.
   */
  cutBytes?: (session: ClientSession) => number | undefined;
  /** Maximum time for the whole content, ms. */
  dataDeadline: number;
  limits: ListenerLimits;
  /** Octet budget, shared by all listeners of the process. */
  budget: SmtpBudget;
  clock: Clock;
  log: Log;
  /** Proxies in front; absent: none is trusted. */
  proxies?: ProxyProtocol;
  /** Each throws the reply that replaces the 250: an error of `reply`, or a PosternError. */
  onMail?: (session: ClientSession) => void | Promise<void>;
  onRecipient: (address: string, session: ClientSession) => void | Promise<void>;
  /** @returns the text of the 250. `bytes` are valid until it settles. */
  onMessage: (bytes: Buffer, session: ClientSession) => Promise<string>;
}

export interface Login {
  /** Whether AUTH is allowed before TLS: only where no third party can listen, as on a loopback address. */
  insecure: boolean;
  /**
   * Checks credentials. @returns the value of `session.user`; undefined for wrong credentials. @throws PosternError
   * when they cannot be checked now.
   */
  check(username: string, password: string, session: ClientSession): Promise<object | undefined>;
  /** Whether peers at an address need no login. */
  trusts(address: string): boolean;
}

/** What is known of a peer. */
export interface ClientSession {
  /** Random; the same for all messages of a connection. */
  readonly id: string;
  readonly remoteAddress: string;
  /** Whether TLS protects the connection. */
  readonly secure: boolean;
  /** What the login gave. */
  readonly user: object | undefined;
  readonly envelope: Readonly<SessionEnvelope>;
}

/** The envelope of the message under way, with addresses as written. */
export interface SessionEnvelope {
  /** Undefined before MAIL; empty for `<>`. */
  mailFrom: string | undefined;
  /** Each once. */
  rcptTo: string[];
}
