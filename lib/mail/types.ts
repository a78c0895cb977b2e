/** Types of the mail room: an address, a header section, a message before and after signing. */

/** SES's placeholder for the image that reports an open: templates pass it on, and tracking puts the image there. */
export const OPEN_TRACKER = '{{ses:openTracker}}';

/** SES's placeholder for the link by which a reader unsubscribes. */
export const UNSUBSCRIBE_URL = '{{amazonSESUnsubscribeUrl}}';

/** One mailbox, parsed once. Only this form is compared, recorded and sent. */
export interface Address {
  /** Display name, decoded; empty when there is none. */
  name: string;
  /** Local part as written, unquoted. */
  local: string;
  /** Domain as A-label, lower case (or an address literal in brackets). */
  domain: string;
  /** `local@domain`, the local part quoted where it must be: what goes into the envelope. */
  address: string;
  /** The local part is not ASCII: needs SMTPUTF8 (RFC 6531). */
  utf8: boolean;
}

/** One header field as a latin1 string, one character a byte: exact, with its folds. */
export interface HeaderField {
  /** Lower case name. */
  name: string;
  /** The whole field, `Name: value`, folded lines included, without its last CRLF. */
  raw: string;
}

/** A message split into header fields and body. Lines end in CRLF; no bare CR, LF or NUL. */
export interface ParsedMessage {
  fields: HeaderField[];
  body: Buffer;
}

/** A private key that signs for a domain. */
export interface SigningKey {
  domain: string;
  selector: string;
  algorithm: 'rsa-sha256' | 'ed25519-sha256';
  /** PKCS#8, PEM. */
  privateKey: string;
}

export interface Attachment {
  fileName?: string;
  contentType?: string;
  contentId?: string;
  description?: string;
  inline?: boolean;
  content: Buffer;
}

/** The parts of a message to compose. Strings are Unicode and untrusted. */
export interface ComposeInput {
  from: string;
  to?: string[];
  cc?: string[];
  replyTo?: string[];
  subject: string;
  text?: string;
  html?: string;
  /** Extra header fields, in order. */
  headers?: { name: string; value: string }[];
  attachments?: Attachment[];
}
