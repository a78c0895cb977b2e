/**
 * One SMTP session as a client: opened (opening.ts), then fed with transactions by `next` (pipeline.ts).
 *
 *   stage      leaves by                      to
 *   ─────────  ─────────────────────────────  ─────────────────────────────────────────────────────────
 *   connect    connected                      greeting
 *   greeting … starttls                       see opening.ts
 *   tls        handshake done                 ehlo, with a new reply parser and no extensions
 *   open       quit(), idle, maxTransactions  quit, once nothing is under way
 *   quit       any reply, loss, deadline      over, `quit`
 *   any        421, fault, loss, deadline,    over: what is under way is abandoned, `done` for each, then
 *              destroy()                      `ended`
 *
 * All that replies lead to is done and written at once, when every socket of this turn of the event loop was read: the
 * replies of all peers are on record before the first of them is sent more. A reply that came before its command was sent
 * is seen as what it is: no reply was due. Nothing is written from a source address that is not ours any more.
 */
import { PosternError } from '../errors.ts';
import { afterInput } from '../turns.ts';
import { isSafeEhloName } from './commands.ts';
import { type OpeningStage, openingMove } from './opening.ts';
import { Outbox } from './outbox.ts';
import { readExtensions, readPeer } from './peer.ts';
import { Pipeline } from './pipeline.ts';
import { ReplyParser, replyText } from './reply.ts';
import type {
  SessionEnd,
  SessionOptions,
  SmtpDeadlines,
  SmtpPhase,
  SmtpReply,
  SmtpSession,
} from './types.ts';
import { Watchdog } from './watchdog.ts';
import { Wire } from './wire.ts';

type SessionStage = 'connect' | OpeningStage | 'tls' | 'open' | 'quit' | 'over';

const NOT_OURS = 'The source address is not ours any more: its lease has run out.';

/** Deadline of each stage except `open`, where the pipeline sets it. */
const DEADLINE: Record<Exclude<SessionStage, 'open' | 'over'>, keyof SmtpDeadlines> = {
  connect: 'connect',
  greeting: 'greeting',
  ehlo: 'ehlo',
  helo: 'ehlo',
  starttls: 'starttls',
  tls: 'starttls',
  quit: 'quit',
};

/**
 * Opens a session. No callback runs before this returns.
 * @throws `bad_request` when the EHLO name is not valid in a command.
 */
export function openSession(options: SessionOptions): SmtpSession {
  if (!isSafeEhloName(options.ehloName)) {
    const name = JSON.stringify(options.ehloName);
    throw new PosternError(
      'bad_request',
      `The EHLO name ${name} is not a host name; correct the configuration.`,
    );
  }
  return new Session(options);
}

class Session implements SmtpSession {
  extensions: ReadonlyMap<string, string> = new Map();
  tls: SmtpSession['tls'];
  resumed = false;
  localAddress: string | undefined;

  readonly #options: SessionOptions;
  readonly #wire: Wire;
  readonly #watchdog: Watchdog;
  readonly #outbox: Outbox;
  #parser = new ReplyParser();
  #stage: SessionStage = 'connect';
  /** Set while open. */
  #pipeline: Pipeline | undefined;
  #quitting = false;
  #tlsBroke = false;
  /** Number of replies due for the written commands. */
  #due = 0;
  /** Whether there was progress, so that the next deadline starts now. */
  #moved = true;
  /** Whether a call is running that ends with a turn: a callback that wakes the session need not make one. */
  #turning = false;
  /** What the replies of this turn of the event loop lead to will be done at its end. */
  #planned = false;

  constructor(options: SessionOptions) {
    this.#options = options;
    this.#outbox = new Outbox(options.transcript);
    this.#watchdog = new Watchdog(options.clock, () => this.#expired());
    this.#wire = new Wire(options.address, options.port, options.localAddress, {
      connected: () => this.#connected(),
      secured: () => this.#secured(),
      received: (chunk) => this.#received(chunk),
      flushed: () => this.#flushed(),
      lost: (error) => this.#lost(error),
    });
    this.#turn();
  }

  get state(): SmtpSession['state'] {
    if (this.#stage === 'over') return 'closed';
    if (this.#quitting || this.#stage === 'quit') return 'closing';
    return this.#stage === 'open' ? 'open' : 'opening';
  }

  get busy(): number {
    return this.#pipeline?.busy ?? 0;
  }

  wake(): void {
    if (this.#stage === 'open') this.#turn();
  }

  quit(): void {
    this.#quitting = true;
    this.#pipeline?.stop();
    if (this.#stage === 'connect') this.#end('quit', 'Ended before there was a connection.');
    else this.#turn();
  }

  destroy(text: string): void {
    this.#end('shutting_down', text);
  }

  // — what happens on the wire —

  #connected(): void {
    this.localAddress = this.#wire.localAddress;
    this.#options.connected?.();
    this.#stage = 'greeting';
    this.#due = 1;
    this.#moved = true;
    this.#turn();
  }

  #secured(): void {
    this.tls = this.#wire.tls;
    this.resumed = this.#wire.resumed;
    this.#parser = new ReplyParser();
    this.#hello('ehlo');
    this.#turn();
  }

  #received(chunk: Buffer): void {
    const parser = this.#parser;
    this.#turning = true;
    parser.push(chunk);
    while (this.#stage !== 'over' && this.#stage !== 'tls') {
      const reply = parser.next();
      if (!reply) break;
      this.#reply(reply);
    }
    if (parser.fault !== undefined) {
      this.#end('peer_protocol', `The peer does not write replies: ${parser.fault}.`);
    }
    this.#turning = false;
    if (this.#planned || this.#stage === 'over') return;
    this.#planned = true;
    afterInput(this.#plannedTurn);
  }

  readonly #plannedTurn = (): void => {
    this.#planned = false;
    if (this.#stage !== 'over') this.#turn();
  };

  #flushed(): void {
    if (!this.#pipeline?.busy) return;
    this.#moved ||= this.#pipeline.phase === 'body' && !this.#pipeline.sending;
    this.#turn();
  }

  #lost(error?: NodeJS.ErrnoException): void {
    const why = error ? error.message : 'the peer closed it';
    if (this.#stage === 'connect') {
      const code = error?.syscall === 'bind' ? 'no_source_ip' : 'connect_failed';
      this.#end(code, `No connection to ${this.#options.address} port ${this.#options.port}: ${why}.`);
    } else if (this.#stage === 'quit') {
      this.#end('quit', 'The peer closed the connection after QUIT.');
    } else if (this.#stage === 'tls' || error?.code?.startsWith('ERR_SSL')) {
      this.#tlsBroke = this.#stage === 'tls' && isTlsError(error);
      this.#end('tls_failed', `TLS with ${this.#options.host} failed: ${why}.`);
    } else {
      this.#end('connection_lost', `The connection was lost: ${why}.`);
    }
  }

  #expired(): void {
    if (this.#stage === 'quit') this.#end('quit', 'The peer did not answer QUIT.');
    else if (this.#stage === 'connect') this.#end('connect_failed', 'The connection was not made in time.');
    else if (this.#stage === 'tls') this.#end('tls_failed', 'The TLS handshake was not done in time.');
    else if (this.#pipeline?.busy === 0) this.quit();
    else if (this.#pipeline?.dropped()) {
      if (this.#options.habits) this.#options.habits.earlyEnvelope = false;
      this.#end('connection_lost', 'The peer dropped the commands that followed the end of a message.');
    } else this.#end('peer_timeout', `The peer did not do its part of ${this.#phase} in time.`);
  }

  // — replies —

  #reply(reply: SmtpReply): void {
    if (this.#options.transcript)
      this.#options.transcript('<', `${reply.code} ${replyText(reply)}`.trimEnd());
    this.#moved = true;
    const due = this.#due > 0;
    if (due) this.#due -= 1;

    if (this.#stage === 'open' && (due || this.#pipeline!.sending)) this.#answer(reply);
    else if (!due) this.#unasked(reply);
    else if (this.#stage === 'quit') this.#end('quit', 'The session was ended in good order.', reply);
    else this.#opening(this.#stage as OpeningStage, reply);
  }

  /** Handles an unexpected reply. The peer may send 421 at any time; any other means that it is out of step. */
  #unasked(reply: SmtpReply): void {
    if (reply.code === 421) this.#end('peer_temporary', 'The peer closes the session with 421.', reply);
    else this.#end('peer_protocol', `The peer sent ${reply.code} when no reply was due.`, reply);
  }

  #opening(stage: OpeningStage, reply: SmtpReply): void {
    if (stage === 'ehlo' && reply.code === 250) this.extensions = readExtensions(reply);
    const offered = this.extensions.has('STARTTLS');
    const move = openingMove(stage, reply, this.#options.tls, this.tls !== undefined, offered);
    if (typeof move === 'object') {
      this.#end(move.code, move.text, reply);
      return;
    }
    this.#stage = move;
    if (move === 'ehlo' || move === 'helo') this.#hello(move);
    else if (move === 'starttls') this.#outbox.commands('STARTTLS\r\n', 1);
    else if (move === 'tls') this.#secure(reply);
    else {
      this.#pipeline = new Pipeline(
        this.#options,
        readPeer(this.extensions, this.#options.habits?.chunking),
        this.#outbox,
      );
      if (this.#quitting) this.#pipeline.stop();
    }
  }

  #hello(verb: 'ehlo' | 'helo'): void {
    this.#stage = verb;
    this.#outbox.commands(`${verb.toUpperCase()} ${this.#options.ehloName}\r\n`, 1);
  }

  #secure(reply: SmtpReply): void {
    // An attacker on the path can put replies behind the 220, to be read as if TLS had carried them.
    if (this.#parser.pending) {
      this.#end('peer_protocol', 'The peer sent plaintext behind its answer to STARTTLS.', reply);
      return;
    }
    this.extensions = new Map();
    this.#wire.secure(this.#options.host, this.#options.habits);
  }

  #answer(reply: SmtpReply): void {
    const early = this.#pipeline!.sending;
    const move = this.#pipeline!.answer(reply);
    if (reply.code === 421) this.#unasked(reply);
    else if (move === 'unchunked') {
      if (this.#options.habits) this.#options.habits.chunking = false;
      this.#end(
        'connection_lost',
        `The peer offers CHUNKING and answered BDAT with ${reply.code}.`,
        reply,
        true,
      );
    } else if (move === 'fault') {
      const what = early ? 'before it had the whole message' : 'which is no answer here';
      this.#end('peer_protocol', `The peer answered ${reply.code}, ${what}.`, reply);
    }
  }

  // — writing —

  /** Does all work that is possible now, writes it at once, and sets the deadline. */
  #turn(): void {
    if (this.#turning) return;
    const mute = this.#mute;
    if (mute && !this.#pipeline?.handed) {
      this.#end('no_source_ip', NOT_OURS);
      return;
    }
    this.#turning = true;
    if (this.#pipeline && this.#stage === 'open' && !mute) this.#work(this.#pipeline);
    this.#turning = false;
    if (this.#stage === 'over') return;
    if (!this.#outbox.empty) {
      // A process that was stopped in the midst of this turn would write output that it had prepared long ago.
      if (this.#mute) {
        this.#end('no_source_ip', NOT_OURS);
        return;
      }
      this.#moved ||= this.#due === 0;
      this.#due += this.#outbox.replies;
      this.#wire.write(this.#outbox.take());
    }
    if (this.#moved) {
      this.#moved = false;
      this.#watchdog.set(this.#options.clock.now() + this.#limit);
    }
  }

  get #mute(): boolean {
    return this.#options.mayWrite?.() === false;
  }

  #work(pipeline: Pipeline): void {
    pipeline.fill(this.#wire.idle);
    if (!pipeline.over || this.state === 'closed') return;
    this.#stage = 'quit';
    this.#outbox.commands('QUIT\r\n', 1);
  }

  // — ends —

  /**
   * @param declined whether the peer refuses everything that it has not answered, which it states by 421 (RFC 5321
   * §3.8).
   */
  #end(code: SessionEnd['code'], text: string, reply?: SmtpReply, declined = reply?.code === 421): void {
    if (this.#stage === 'over') return;
    const phase = this.#phase;
    const drained = this.#wire.idle;
    // A peer that answered QUIT but never read it would keep a socket that waits to be drained.
    if (this.#stage === 'quit' && drained) this.#wire.close();
    else this.#wire.abort();
    this.#stage = 'over';
    this.#watchdog.stop();
    const reason = declined || code === 'quit' ? 'connection_lost' : code;
    this.#pipeline?.abandon(reason, text, drained, declined);
    this.#options.ended({ code, phase, reply, text, ...(this.#tlsBroke && { tlsBroke: true }) });
  }

  get #phase(): SmtpPhase {
    if (this.#stage === 'open') return this.#pipeline!.phase;
    return this.#stage === 'helo' ? 'ehlo' : (this.#stage as SmtpPhase);
  }

  /** Time limit of the current step, ms. */
  get #limit(): number {
    if (this.#stage === 'open') return this.#pipeline!.limit;
    return this.#options.deadlines[DEADLINE[this.#stage as keyof typeof DEADLINE]];
  }
}

/** An alert or a violation of the protocol; OpenSSL reports some while a record is written, as EPROTO. */
function isTlsError(error: NodeJS.ErrnoException | undefined): boolean {
  return error?.code === 'EPROTO' || error?.code?.startsWith('ERR_SSL') === true;
}
