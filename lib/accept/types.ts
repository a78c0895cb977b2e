/** Input and output of the accept pipeline. */
import type { KeyScope } from '../control/key-scope.ts';
import type { MessageClass } from '../engine/items.ts';
import type { Attachment } from '../mail/types.ts';
import type { TemplateParts } from '../template/types.ts';
import type { TrackingOverride } from './tracking.ts';
import type { UnsubscribeOptions } from './unsubscribe.ts';

/** The caller, as the protocol's authentication established it. */
export interface Caller {
  /** Access key id, or `relay`. */
  keyId: string;
  tenant: string;
  /** Whether the caller may manage keys, identities and tenants. */
  admin: boolean;
  sourceIp: string;
  /** What the key may do; absent: all that its kind may. */
  scopes?: readonly KeyScope[];
  /** Domains and addresses that it may send as; absent: those of its tenant. */
  identities?: readonly string[];
}

/** The content of a message in the forms that callers use. */
export type Content =
  /** RFC 5322 bytes as given; normalised, stripped of X-SES headers, Bcc and Return-Path, and completed. */
  | { kind: 'raw'; bytes: Buffer }
  | {
      kind: 'simple';
      subject: string;
      text?: string;
      html?: string;
      headers?: HeaderInput[];
      attachments?: Attachment[];
    }
  | {
      kind: 'template';
      /** Name of the stored template, for messages and events; absent for inline ones. */
      name?: string;
      parts: TemplateParts;
      data: Record<string, unknown>;
      headers?: HeaderInput[];
      attachments?: Attachment[];
    };

export interface HeaderInput {
  name: string;
  value: string;
}

/** One message to send. */
export interface Submission {
  /** Header From, whose identity is checked. Absent for raw content, which has its own From field. */
  from?: string;
  to: string[];
  cc: string[];
  bcc: string[];
  replyTo: string[];
  /** SMTP: MAIL FROM as given; its identity is checked too, and it is never used as the return path. */
  mailFrom?: string;
  content: Content;
  configurationSet?: string;
  /** Overrides the tracking settings of the configuration set. */
  tracking?: TrackingOverride;
  /** Where bounces and complaints are forwarded; its identity is checked. Absent: to the From, where nothing else takes them. */
  feedbackTo?: string;
  /** ARNs of the identities that the caller sends with: of the sender, the header From, and the address for feedback. */
  arns?: { source?: string; from?: string; returnPath?: string };
  /** Sends with the null return path: nothing bounces to anyone. For Postern's own reports. */
  nullReturnPath?: boolean;
  /** Lets the reader unsubscribe: fields of RFC 8058 and a link. The message has one recipient. */
  unsubscribe?: UnsubscribeOptions;
  tags?: { name: string; value: string }[];
  tenant?: string;
  campaign?: string;
  class?: MessageClass;
  pool?: string;
  /** Earliest time of the first attempt, ms. */
  sendAt?: number;
  /** Trace field that the protocol puts on top (`Received: …`, RFC 5321 §4.4), folded, without its last CRLF. */
  trace?: string;
}

/** The result of one submission of a batch. */
export type Submitted = { messageId: string } | { error: import('../errors.ts').PosternError };

export interface SubmitOptions {
  door: 'ses-v2' | 'ses-v1' | 'smtp' | 'postern';
  /** One template to many: for policies, which tell it from a single message. */
  bulk?: boolean;
  caller: Caller;
  /**
   * Makes the whole call idempotent. `digest` binds it to the request. `first`: the caller says that it makes the call for
   * the first time, so no answer is looked for before the work is done.
   */
  idempotency?: { key: string; digest: string; ttl: number; first?: boolean };
}

/** The accept pipeline. */
export interface Accept {
  /**
   * Accepts or refuses each submission of a batch on its own; all accepted ones are durable when it resolves. A
   * repeat of an idempotent call gives the first result.
   * @throws PosternError that concerns the whole call (storage, idempotency conflict).
   */
  submit(submissions: Submission[], options: SubmitOptions): Promise<Submitted[]>;
}
