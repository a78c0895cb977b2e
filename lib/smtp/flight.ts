/**
 * A transaction under way: which reply is due next and what it decides. It reads and writes nothing.
 *
 *   step   due reply        then
 *   ─────  ───────────────  ────────────────────────────────────────────────────────────────────────────
 *   rset   2xx              mail
 *   mail   2xx              rcpt
 *          4xx 5xx          every recipient refused; pipelined: rcpt (those replies still come), else end
 *   rcpt   2xx              this one will get the body  ┐ after the last one:
 *          4xx 5xx          this one refused            ┘ DATA: data · BDAT: send, or body if already sent
 *                                                         none left: end (pipelined DATA: data, see below)
 *   data   354              send; with no recipient left, a lone dot (RFC 2920 §3.1)
 *          4xx 5xx          those left refused; end
 *   send   —                body, once the session has handed the last octet over
 *          4xx 5xx          early refusal: those left refused; fault, for it is open what the peer reads
 *   body   2xx 4xx 5xx      those left accepted or refused; end
 *          500 502-504      (send, too) to BDAT, with recipients accepted: unchunked, for the peer knows no BDAT
 *   ─────  ───────────────  ────────────────────────────────────────────────────────────────────────────
 *   any    any other code   fault: the session cannot go on (the pipeline is out of step)
 *
 * 421 counts as 4xx here; the session closes after it (RFC 5321 §3.8).
 */
import { PosternError } from '../errors.ts';
import type { ReasonCode } from '../outcome/reasons.ts';
import { dotStuff, endOfData } from './body.ts';
import { bdatCommand, isSafePath, mailCommand, rcptCommand } from './commands.ts';
import { needsUtf8, type Peer } from './peer.ts';
import { replyClass, replyText } from './reply.ts';
import type { RecipientResult, SmtpPhase, SmtpReply, Transaction, TransactionResult } from './types.ts';

export type Step = 'rset' | 'mail' | 'rcpt' | 'data' | 'send' | 'body';

/**
 * `more`: another reply is due. `send`: the body may go. `end`: all is decided. `fault`: see the table. `unchunked`:
 * the peer reads the octets of BDAT as commands; the session is of no more use, and the message can go by DATA.
 */
export type Move = 'more' | 'send' | 'end' | 'fault' | 'unchunked';

/** Unknown command, not implemented, bad sequence, unknown parameter (RFC 5321 §4.2.2). */
const NO_COMMAND = new Set([500, 502, 503, 504]);

/** A body that is gone before its end is out: the session cannot go on, and must not write that end. */
export function freed(): PosternError {
  return new PosternError('internal', 'The memory of a message was freed while it was being sent.');
}

export class Flight {
  readonly item: Transaction;
  /** Octets of the body, as announced to the peer. */
  readonly size: number;
  step: Step = 'mail';
  /** Whether the last octet of the body has been written to the connection. */
  handed = false;
  /** Whether its envelope went out with the end of the previous message. */
  early = false;
  /** Whether the cause of its failure is now known and will be avoided. */
  again = false;

  readonly #peer: Peer;
  readonly #results: (RecipientResult | undefined)[];
  readonly #replies: TransactionResult['replies'] = [];
  readonly #startedAt: number;
  /** Indices, among the recipients, of those that are named to the peer. */
  readonly #places: number[] = [];
  #answered = 0;
  #accepted = 0;
  #mailRefused = false;
  #bodyAccepted = false;

  constructor(item: Transaction, peer: Peer, now: number) {
    this.item = item;
    this.size = item.bytes.length;
    this.#peer = peer;
    this.#startedAt = now;
    this.#results = new Array(item.recipients.length);
    for (let place = 0; place < item.recipients.length; place++) {
      const recipient = item.recipients[place]!;
      if (isSafePath(recipient)) this.#places.push(place);
      else {
        const text = 'The recipient address cannot be written in an RCPT command.';
        this.#results[place] = { recipient, kind: 'unsent', phase: 'rcpt', code: 'invalid_address', text };
      }
    }
  }

  /** Whether no recipient is left. */
  get empty(): boolean {
    return this.#places.length === 0;
  }

  get phase(): SmtpPhase {
    return this.step === 'rset' ? 'mail' : this.step === 'send' ? 'body' : this.step;
  }

  /**
   * Whether the peer may still hold this transaction open, so that RSET must come before the next MAIL. After a body
   * by DATA it never does; after a refused or unanswered BDAT RFC 3030 §2 leaves it open.
   */
  get leavesOpen(): boolean {
    if (this.#mailRefused) return false;
    return this.#peer.chunking ? !this.#bodyAccepted : !this.handed;
  }

  /** The commands up to the body, for a pipeline; `replies` is the number of their replies. */
  envelope(): { text: string; replies: number } {
    const reset = this.step === 'rset';
    let text = reset ? 'RSET\r\n' : '';
    text += this.#mail();
    for (const place of this.#places) text += rcptCommand(this.item.recipients[place]!);
    let replies = this.#places.length + (reset ? 2 : 1);
    if (!this.#peer.chunking) {
      text += 'DATA\r\n';
      replies += 1;
    }
    return { text, replies };
  }

  /** The command whose reply is due next, for lock-step. */
  command(): string {
    switch (this.step) {
      case 'rset':
        return 'RSET\r\n';
      case 'mail':
        return this.#mail();
      case 'rcpt':
        return rcptCommand(this.item.recipients[this.#places[this.#answered]!]!);
      default:
        return 'DATA\r\n';
    }
  }

  /**
   * The body in the form for this peer: the text before it, the octets, the text behind them.
   * @throws PosternError `internal` when its memory has been freed: nothing would be delivered as the message.
   */
  body(): { before: string; octets: Buffer; after: string } {
    const { bytes } = this.item;
    if (bytes.length !== this.size) throw freed();
    if (this.#peer.chunking) return { before: bdatCommand(bytes.length), octets: bytes, after: '' };
    if (this.#accepted === 0) return { before: '', octets: bytes.subarray(0, 0), after: '.\r\n' };
    return { before: '', octets: dotStuff(bytes), after: endOfData(bytes) };
  }

  /** Handles the due reply. */
  answer(reply: SmtpReply): Move {
    const kind = replyClass(reply);
    const refused = kind === 4 || kind === 5;
    // A good reply to RSET ends the previous transaction; here it would read as a second reply to MAIL.
    if (this.step !== 'rset' || kind !== 2)
      this.#replies.push({ phase: this.phase, code: reply.code, text: replyText(reply) });
    switch (this.step) {
      case 'rset':
        if (kind !== 2) return 'fault';
        this.early = false;
        this.step = 'mail';
        return 'more';
      case 'mail':
        if (kind !== 2 && !refused) return 'fault';
        this.step = 'rcpt';
        if (!refused) return 'more';
        this.#mailRefused = true;
        this.#decide('refused', 'mail', reply);
        return this.#peer.pipelining ? 'more' : 'end';
      case 'rcpt':
        return this.#recipient(reply, kind === 2, refused);
      case 'data':
        if (reply.code === 354) {
          this.step = 'send';
          return 'send';
        }
        if (!refused) return 'fault';
        this.#decide('refused', 'data', reply);
        return 'end';
      case 'send':
        if (this.#unchunked(reply)) return 'unchunked';
        if (refused) this.#decide('refused', 'body', reply);
        return 'fault';
      case 'body':
        if (this.#unchunked(reply)) return 'unchunked';
        if (kind !== 2 && !refused) return 'fault';
        this.#bodyAccepted = kind === 2;
        this.#decide(refused ? 'refused' : 'accepted', 'body', reply);
        return 'end';
    }
  }

  /**
   * Abandons the transaction: a recipient without a decision is `uncertain` when the whole body may have reached the
   * peer, and otherwise `unsent` with `code`.
   */
  abandon(mayHaveArrived: boolean, code: ReasonCode, text: string): void {
    const phase = this.phase;
    for (let place = 0; place < this.#results.length; place++) {
      const recipient = this.item.recipients[place]!;
      this.#results[place] ??= mayHaveArrived
        ? { recipient, kind: 'uncertain', phase, code: 'uncertain', text }
        : { recipient, kind: 'unsent', phase, code, text };
    }
  }

  /** The record, once every recipient is decided. */
  result(now: number): TransactionResult {
    return {
      results: this.#results as RecipientResult[],
      replies: this.#replies,
      startedAt: this.#startedAt,
      endedAt: now,
      ...(this.again && { again: true }),
    };
  }

  /** Whether no reply has come to an envelope that went out with the end of the previous message. */
  get unheard(): boolean {
    return this.early && !this.handed && this.#replies.length === 0 && this.step !== 'rcpt';
  }

  #unchunked({ code }: SmtpReply): boolean {
    this.again = this.#peer.chunking && this.#accepted > 0 && NO_COMMAND.has(code);
    return this.again;
  }

  #mail(): string {
    const { item } = this;
    return mailCommand(
      item.mailFrom,
      this.#peer.size ? this.size : undefined,
      item.eightBit,
      needsUtf8(item),
    );
  }

  #recipient(reply: SmtpReply, accepted: boolean, refused: boolean): Move {
    // A recipient of a transaction that never began: the peer is out of step, and a body would be misread.
    if ((!accepted && !refused) || (accepted && this.#mailRefused)) return 'fault';
    const place = this.#places[this.#answered]!;
    if (accepted) this.#accepted += 1;
    else {
      const recipient = this.item.recipients[place]!;
      this.#results[place] ??= { recipient, kind: 'refused', phase: 'rcpt', reply };
    }
    this.#answered += 1;
    if (this.#answered < this.#places.length) return 'more';
    if (this.handed) this.step = 'body';
    else if (this.#accepted === 0 && (this.#peer.chunking || !this.#peer.pipelining)) return 'end';
    else this.step = this.#peer.chunking ? 'send' : 'data';
    return this.step === 'send' ? 'send' : 'more';
  }

  #decide(kind: 'accepted' | 'refused', phase: SmtpPhase, reply: SmtpReply): void {
    for (let place = 0; place < this.#results.length; place++) {
      this.#results[place] ??= { recipient: this.item.recipients[place]!, kind, phase, reply };
    }
  }
}
