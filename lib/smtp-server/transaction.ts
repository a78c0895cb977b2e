/**
 * The messages of a session, one after the other: MAIL, RCPT, DATA, content (RFC 5321 §3.3).
 *
 * ```
 *  MAIL ─► onMail     RCPT ─► onRecipient     DATA ─► content ─► onMessage ─► 250, or what it throws
 * ```
 */
import type { Answers } from './answers.ts';
import type { ServerConnection } from './connection.ts';
import type { ConnectionLimiter } from './connection-limiter.ts';
import { IncomingContent } from './content.ts';
import type { ClientSession, ListenerOptions, SessionEnvelope } from './options.ts';
import { readPath, refusalOfMail } from './path.ts';
import type { ClientPeer } from './peer.ts';
import { reply, replyLine } from './reply.ts';

export interface TransactionParts {
  readonly options: ListenerOptions;
  readonly limiter: ConnectionLimiter;
  readonly session: ClientSession;
  readonly connection: ServerConnection;
  readonly peer: ClientPeer;
  readonly answers: Answers;
  /** A message was answered, and its session goes on. */
  readonly answered: () => void;
}

export class MailTransaction {
  readonly #parts: TransactionParts;
  #envelope: SessionEnvelope = { mailFrom: undefined, rcptTo: [] };
  /** Recipients in lower case, once there are two. */
  #recipients: Set<string> | undefined;
  #content: IncomingContent | undefined;

  constructor(parts: TransactionParts) {
    this.#parts = parts;
  }

  get envelope(): SessionEnvelope {
    return this.#envelope;
  }

  /** Forgets the envelope. */
  reset(): void {
    this.#envelope = { mailFrom: undefined, rcptTo: [] };
    this.#recipients = undefined;
  }

  /** The connection is closed. */
  abort(): void {
    this.#content?.buffer.release();
    this.#content = undefined;
  }

  mail(argument: string): Promise<void> | undefined {
    const { answers, options, session } = this.#parts;
    const path = readPath('FROM', argument);
    if (path === undefined) return answers.say('501 5.1.7 Bad sender address; write MAIL FROM:<address>');
    if (typeof path === 'string') return answers.say(path);
    if (this.#envelope.mailFrom !== undefined) {
      return answers.say('503 5.5.1 There is a MAIL already; send RSET');
    }
    const refusal = refusalOfMail(path, options.maxBytes);
    if (refusal !== undefined) return answers.say(refusal);
    return this.#judge(
      () => {
        const excess = this.#parts.limiter.message(this.#parts.peer.network);
        if (excess !== undefined) throw reply(451, excess);
        return options.onMail?.(session);
      },
      () => {
        this.#envelope.mailFrom = path.address;
      },
    );
  }

  recipient(argument: string): Promise<void> | undefined {
    const { answers, options, session } = this.#parts;
    const path = readPath('TO', argument);
    if (path === undefined || (typeof path === 'object' && path.address === '')) {
      return answers.say('501 5.1.3 Bad recipient address; write RCPT TO:<address>');
    }
    if (typeof path === 'string') return answers.say(path);
    if (this.#envelope.mailFrom === undefined) return answers.say('503 5.5.1 Send MAIL first');
    const { address } = path;
    return this.#judge(
      () => options.onRecipient(address, session),
      () => this.#add(address),
    );
  }

  data(): undefined {
    const { answers, connection, options, peer, session } = this.#parts;
    if (this.#envelope.rcptTo.length === 0) return answers.say('503 5.5.1 Send RCPT first');
    const { keepBytes, cutBytes, maxBytes, dataDeadline } = options;
    this.#content = new IncomingContent(peer.buffer(keepBytes?.(session) ?? maxBytes), {
      most: maxBytes,
      cut: cutBytes?.(session) ?? Number.POSITIVE_INFINITY,
      onCut: () => connection.cut('552 5.3.4 Message too large; closing'),
    });
    peer.awaitContent(dataDeadline);
    answers.say('354 End data with <CR><LF>.<CR><LF>');
    connection.receive(this.#content);
    return undefined;
  }

  /** Answers content that has ended. */
  contentEnded(): Promise<void> | undefined {
    const { answers, peer } = this.#parts;
    const content = this.#content!;
    this.#content = undefined;
    peer.rest();
    if (content.isTooLarge) answers.refuse(reply(552, '5.3.4 Message too large'));
    else if (content.buffer.refused) {
      answers.refuse(reply(452, '4.3.1 Too much mail is under way, try again later'));
    } else return this.#pass(content);
    this.#finish(content);
    return undefined;
  }

  async #pass(content: IncomingContent): Promise<void> {
    const { answers, options, peer, session } = this.#parts;
    try {
      const text = await options.onMessage(content.buffer.bytes(), session);
      peer.progress();
      answers.say(replyLine(250, text));
    } catch (error) {
      answers.refuse(answers.refusalOf(error));
    }
    this.#finish(content);
  }

  #finish(content: IncomingContent): void {
    content.buffer.free();
    this.reset();
    if (this.#parts.connection.ended) return;
    this.#parts.peer.awaitMessage();
    this.#parts.answered();
  }

  #add(address: string): void {
    const { rcptTo } = this.#envelope;
    if (rcptTo.length > 0) {
      this.#recipients ??= new Set([rcptTo[0]!.toLowerCase()]);
      const lower = address.toLowerCase();
      if (this.#recipients.has(lower)) return;
      this.#recipients.add(lower);
    }
    rcptTo.push(address);
  }

  /** Answers a command as the owner of the listener judges it. */
  #judge(judgement: () => void | Promise<void>, accepted: () => void): Promise<void> | undefined {
    const { answers, peer } = this.#parts;
    const accept = (): void => {
      accepted();
      answers.say('250 Accepted');
    };
    const refuse = (error: unknown): void => answers.refuse(peer.refuse(answers.refusalOf(error)));
    try {
      const pending = judgement();
      if (pending) return pending.then(accept, refuse);
      accept();
    } catch (error) {
      refuse(error);
    }
    return undefined;
  }
}
