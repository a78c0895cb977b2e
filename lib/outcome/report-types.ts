/** Types of the messages to a return path or to a role address. */

/** The delivery status of one recipient. */
export interface DsnRecipient {
  recipient?: string;
  /** The address as first sent, when it is not the final one (RFC 3464 §2.3.1). */
  originalRecipient?: string;
  /** `failed`, `delayed`, `delivered`, `relayed` or `expanded`. */
  action: string;
  /** Enhanced status code, as `5.1.1`. */
  status: string;
  /** `smtp; 550 5.1.1 user unknown`. */
  diagnosticCode?: string;
}

/** Facts of the returned message (or its header). */
export interface Original {
  messageId?: string;
  /** References in its header (X-Postern-Ref, Feedback-ID), unchecked. */
  references: string[];
  /** Envelope senders that the report claims: its return path must be among them, or be the recipient. */
  returnPaths: string[];
}

export type Report =
  | { kind: 'dsn'; reportingMta?: string; recipients: DsnRecipient[]; original: Original }
  | {
      kind: 'complaint';
      feedbackType: string;
      userAgent?: string;
      /** ms since the epoch. */
      arrivalDate?: number;
      recipients: string[];
      original: Original;
    }
  | { kind: 'auto-reply' }
  | { kind: 'other' };

/** The parts of a parsed message from which reports are read. */
export interface ReportMail {
  /** The first field of a name, lower case, in the header of the report itself. */
  header(name: string): string | undefined;
  /** The content of the first part of one of these types. */
  part(types: ReadonlySet<string>): string | undefined;
  /** Number of parts of these types. */
  count(types: ReadonlySet<string>): number;
  /** The text body. */
  text: string;
  date?: string;
}
