/** Types of the SMTP client: a transaction goes in, a result comes out. */
import type { ReasonCode } from '../outcome/reasons.ts';
import type { Clock } from '../time.ts';

/** One reply (RFC 5321 §4.2), all lines. `enhanced` as `5.1.1` (RFC 3463) when the text begins with one. */
export interface SmtpReply {
  code: number;
  enhanced?: string;
  /** Text of each line, without code and enhanced code; control characters replaced; capped. */
  lines: string[];
}

export type SmtpPhase =
  | 'connect'
  | 'greeting'
  | 'ehlo'
  | 'starttls'
  | 'tls'
  | 'mail'
  | 'rcpt'
  | 'data'
  | 'body'
  | 'quit';

/** One message for one connection. The bytes are final: CRLF lines, signed, without dot-stuffing. */
export interface Transaction {
  mailFrom: string;
  recipients: string[];
  bytes: Buffer;
  eightBit: boolean;
  smtpUtf8: boolean;
}

/** The result for one recipient. */
export interface RecipientResult {
  recipient: string;
  /**
   * `accepted`: the peer answered 2xx to the body. `refused`: the peer's reply decides (4xx or 5xx). `unsent`:
   * nothing was decided (connection lost or capability missing before the body was complete); `code` gives the
   * reason. `uncertain`: the body was complete on the wire and no reply was read (RFC 1047).
   */
  kind: 'accepted' | 'refused' | 'unsent' | 'uncertain';
  phase: SmtpPhase;
  /** The reply that decided, if one did. */
  reply?: SmtpReply;
  /** For `unsent` and `uncertain`: code of the table of reasons. */
  code?: ReasonCode;
  text?: string;
}

export interface TransactionResult {
  results: RecipientResult[];
  /** Each reply of this transaction in order, for the attempt record. */
  replies: { phase: SmtpPhase; code: number; text: string }[];
  startedAt: number;
  endedAt: number;
  /** Set when the peer broke its own offer, which is now known: the message can go at once over a new connection. */
  again?: true;
}

/** How a session ended, or why it did not open. */
export interface SessionEnd {
  /**
   * Set when TLS itself failed, by an alert or a violation of the protocol: no reset, timeout or refusal of STARTTLS.
   */
  tlsBroke?: true;
  /** `quit`: we ended it in good order. */
  code: ReasonCode | 'quit';
  phase: SmtpPhase;
  reply?: SmtpReply;
  text: string;
}

/** Absolute deadlines from the last byte of the command to its whole reply (RFC 5321 §4.5.3.2), ms. */
export interface SmtpDeadlines {
  connect: number;
  greeting: number;
  ehlo: number;
  starttls: number;
  mail: number;
  rcpt: number;
  dataInit: number;
  /** Time for each `DRAIN` octets of the body, a minimum rate. */
  dataBlock: number;
  dataEnd: number;
  quit: number;
}

/** A TLS session that a later connection can resume (RFC 8446 §2.2). */
export interface TlsTicket {
  session: Buffer;
  /** Whether the certificate was valid for the host's name. A resumed handshake does not show it again. */
  verified: boolean;
}

/** Learnt habits of a peer. All sessions to it share one object. */
export interface PeerHabits {
  /** Whether it reads commands that share a packet with the end of a message; Courier 1.0 drops them. */
  earlyEnvelope: boolean;
  /** Whether it accepts BDAT as offered; some relays pass on an offer of CHUNKING that they do not keep. */
  chunking: boolean;
  readonly ticket: TlsTicket | undefined;
  /** Replaces the ticket; undefined forgets it. */
  keepTicket(ticket: TlsTicket | undefined): void;
}

export interface SessionOptions {
  /** Address to connect to (already checked), and the MX name for SNI and records. */
  address: string;
  port: number;
  host: string;
  /** Source address; absent: the host's default. */
  localAddress?: string;
  ehloName: string;
  /** `off`: never STARTTLS. `opportunistic`: if offered, any certificate. `required`: else fail. */
  tls: 'off' | 'opportunistic' | 'required';
  deadlines: SmtpDeadlines;
  /** Maximum transactions, after which the session closes in good order. */
  maxTransactions: number;
  /** Maximum time without work, after which the session closes, ms. */
  idle: number;
  clock: Clock;
  /** Habits of the peer; absent: none are known, and none are recorded. */
  habits?: PeerHabits;
  /** Called when the connection is made. */
  connected?: () => void;
  /**
   * Whether the source address is still ours; checked before every write, because a process that was stopped wakes to
   * replies that came meanwhile. Once it is not, the session ends without another byte; a body that was written
   * before is awaited, because its reply decides.
   */
  mayWrite?: () => boolean;
  /**
   * Called when the session can write another envelope: at opening, and while the last body is being answered
   * (cross-message pipelining, RFC 2920 §3.1), with the time that its attempt records. Undefined: nothing now;
   * `wake()` makes the session call it again.
   */
  next: (now: number) => Transaction | undefined;
  /** Called exactly once for each transaction that `next` returned. */
  done: (transaction: Transaction, result: TransactionResult) => void;
  /** Called once. Transactions that did not begin were never taken from `next`. */
  ended: (end: SessionEnd) => void;
  /** Full transcript on demand. `>` we, `<` peer; bodies are only counted. */
  transcript?: (direction: '>' | '<', line: string) => void;
}

/** A live session. */
export interface SmtpSession {
  readonly state: 'opening' | 'open' | 'closing' | 'closed';
  /** Extensions in the EHLO reply, upper case keywords to parameters. */
  readonly extensions: ReadonlyMap<string, string>;
  readonly tls?: { protocol: string; cipher: string; verified: boolean };
  /** Whether TLS resumed an earlier session. */
  readonly resumed?: boolean;
  /** Number of transactions taken and not yet done. */
  readonly busy: number;
  readonly localAddress?: string;
  /** Signals that there may be work now. */
  wake(): void;
  /** Ends in good order: finishes the taken transactions, sends QUIT. */
  quit(): void;
  /** Ends now. Bodies complete on the wire become `uncertain`. */
  destroy(text: string): void;
}
