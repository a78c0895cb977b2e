/**
 * One SMTP session as a client: opened (opening.ts), then fed with transactions (flight.ts) by `next`.
 *
 *   stage      leaves by                      to
 *   ─────────  ─────────────────────────────  ─────────────────────────────────────────────────────────
 *   connect    connected                      greeting
 *   greeting … starttls                       as opening.ts says
 *   tls        handshake done                 ehlo, with a new reply parser and no extensions
 *   open       quit(), idle, maxTransactions  quit, once nothing is under way
 *   quit       any reply, close, deadline     over, `quit`
 *   any        421, fault, loss, deadline,    over: what is under way is abandoned, `done` for each, then
 *              destroy()                      `ended`
 *
 * While open, at most two transactions are under way: `current`, whose replies are due, and `following`,
 * whose envelope went out in the same packet as the last octets of current's body (RFC 2920 §3.1).
 *
 *   we     [MAIL RCPT DATA]               [body . MAIL' RCPT' DATA']                   [body' . MAIL" …]
 *   peer                   [250 250 354]                            [250 250 250 354]
 *
 * Everything that one chunk of replies leads to is written at once, after the whole chunk was read. So a
 * reply that came before its command was sent is seen as what it is: nothing was due.
 */
import { type ErrorCode, PosternError } from '../../lib/errors.ts';
import { isSafeEhloName } from './commands.ts';
import { Flight } from './flight.ts';
import { type OpeningStage, openingMove } from './opening.ts';
import { Outbox } from './outbox.ts';
import { misfit, type Peer, readExtensions, readPeer } from './peer.ts';
import { ReplyParser, replyText } from './reply.ts';
import type { SessionEnd, SessionOptions, SmtpPhase, SmtpReply, SmtpSession } from './types.ts';
import { Watchdog } from './watchdog.ts';
import { Wire } from './wire.ts';

/** Octets of a body that are handed over at once; a larger one waits for the kernel between its blocks. */
const BLOCK = 64 * 1024;
/** A body must drain at no less than this many octets in each `dataBlock`. */
const DRAIN = 1024 * 1024;

type Stage = 'connect' | OpeningStage | 'tls' | 'open' | 'quit' | 'over';

/**
 * Opens a session. Nothing is called back before this returns.
 * @throws `bad_request` when the EHLO name could not be written in a command.
 */
export function openSession(options: SessionOptions): SmtpSession {
  if (!isSafeEhloName(options.ehloName))
    throw new PosternError(
      'bad_request',
      `The EHLO name ${JSON.stringify(options.ehloName)} is not a host name.`,
    );
  return new Session(options);
}

class Session implements SmtpSession {
  extensions: ReadonlyMap<string, string> = new Map();
  tls: SmtpSession['tls'];
  localAddress: string | undefined;

  readonly #options: SessionOptions;
  readonly #wire: Wire;
  readonly #watchdog: Watchdog;
  readonly #outbox = new Outbox();
  #parser = new ReplyParser();
  #stage: Stage = 'connect';
  #peer: Peer = readPeer(this.extensions);
  #current: Flight | undefined;
  #following: Flight | undefined;
  /** The rest of a body that is larger than a block. */
  #rest: { octets: Buffer; after: string } | undefined;
  /** In lock-step, the command of the current step has been written. */
  #asked = false;
  /** The transaction before left the peer in need of RSET. */
  #unclean = false;
  #taken = 0;
  #quitting = false;
  /** Replies due for what has been written, and for what still lies in the outbox. */
  #due = 0;
  #owed = 0;
  /** Something moved, so that the next deadline starts now. */
  #moved = true;
  /** Inside a call that ends with a turn of its own: callbacks from here need not make one. */
  #turning = false;

  constructor(options: SessionOptions) {
    this.#options = options;
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
    return (this.#current ? 1 : 0) + (this.#following ? 1 : 0);
  }

  wake(): void {
    if (this.#stage === 'open') this.#turn();
  }

  quit(): void {
    this.#quitting = true;
    if (this.#stage === 'connect') this.#end('quit', 'Ended before there was a connection.');
    else this.#turn();
  }

  destroy(text: string): void {
    this.#end('shutting_down', text);
  }

  // — what happens on the wire —

  #connected(): void {
    this.localAddress = this.#wire.localAddress;
    this.#stage = 'greeting';
    this.#due = 1;
    this.#moved = true;
    this.#turn();
  }

  #secured(): void {
    this.tls = this.#wire.tls;
    this.#parser = new ReplyParser();
    this.#sayHello('ehlo');
    this.#turn();
  }

  #received(chunk: Buffer): void {
    const parser = this.#parser;
    this.#turning = true;
    parser.push(chunk);
    let reply: SmtpReply | undefined;
    while (this.#stage !== 'over' && this.#stage !== 'tls' && (reply = parser.next())) this.#reply(reply);
    if (parser.fault !== undefined)
      this.#end('peer_protocol', `The peer's reply is malformed: ${parser.fault}.`);
    this.#turning = false;
    this.#turn();
  }

  #flushed(): void {
    if (this.#current?.step === 'body') this.#moved = true;
    this.#turn();
  }

  #lost(error?: NodeJS.ErrnoException): void {
    const why = error ? `: ${error.message}` : '.';
    if (this.#stage === 'connect') {
      const code = error?.syscall === 'bind' ? 'no_source_ip' : 'connect_failed';
      this.#end(code, `No connection to ${this.#options.address} port ${this.#options.port}${why}`);
    } else if (this.#stage === 'quit') {
      this.#end('quit', 'The peer closed the connection after QUIT.');
    } else if (this.#stage === 'tls' || error?.code?.startsWith('ERR_SSL')) {
      this.#end(
        'tls_failed',
        `TLS with ${this.#options.host} failed${error ? why : ': the peer closed the connection.'}`,
      );
    } else {
      this.#end('connection_lost', `The connection was lost${error ? why : ': the peer closed it.'}`);
    }
  }

  #expired(): void {
    if (this.#stage === 'quit') this.#end('quit', 'The peer did not answer QUIT.');
    else if (this.#stage === 'open' && !this.#current) this.quit();
    else if (this.#stage === 'connect') this.#end('connect_failed', 'The connection was not made in time.');
    else if (this.#stage === 'tls') this.#end('tls_failed', 'The TLS handshake was not done in time.');
    else this.#end('peer_timeout', `The peer did not do its part of ${this.#phase} in time.`);
  }

  // — replies —

  #reply(reply: SmtpReply): void {
    this.#log('<', reply);
    this.#moved = true;
    if (this.#due > 0) {
      this.#due -= 1;
    } else if (this.#current?.step !== 'send' || this.#stage !== 'open') {
      this.#unasked(reply);
      return;
    }

    if (this.#stage === 'open') this.#answer(this.#current!, reply);
    else if (this.#stage === 'quit') this.#end('quit', 'The session was ended in good order.', reply);
    else this.#opening(this.#stage as OpeningStage, reply);
  }

  /** A reply to nothing: the peer may say 421 at any time, and anything else means it is out of step. */
  #unasked(reply: SmtpReply): void {
    if (reply.code === 421) this.#end('peer_temporary', 'The peer closes the session with 421.', reply);
    else this.#end('peer_protocol', `The peer sent ${reply.code} when no reply was due.`, reply);
  }

  #opening(stage: OpeningStage, reply: SmtpReply): void {
    if (stage === 'ehlo' || stage === 'helo') {
      this.extensions = stage === 'ehlo' && reply.code === 250 ? readExtensions(reply) : new Map();
      this.#peer = readPeer(this.extensions);
    }
    const offered = this.extensions.has('STARTTLS');
    const move = openingMove(stage, reply, this.#options.tls, this.tls !== undefined, offered);
    if (typeof move === 'object') {
      this.#end(move.code, move.text, reply);
      return;
    }
    if (move === 'ehlo' || move === 'helo') {
      this.#sayHello(move);
      return;
    }
    if (move === 'starttls') this.#say('STARTTLS\r\n', 1);
    if (move === 'tls') {
      // Whoever sits on the path can put replies behind the 220 and have them read as if TLS had carried them.
      if (this.#parser.pending) {
        this.#end('peer_protocol', 'The peer sent plaintext behind its answer to STARTTLS.', reply);
        return;
      }
      this.extensions = new Map();
      this.#wire.secure(this.#options.host);
    }
    this.#stage = move;
  }

  #sayHello(verb: 'ehlo' | 'helo'): void {
    this.#stage = verb;
    this.#say(`${verb.toUpperCase()} ${this.#options.ehloName}\r\n`, 1);
  }

  #answer(flight: Flight, reply: SmtpReply): void {
    const move = flight.answer(reply);
    this.#asked = false;
    if (move === 'end') {
      this.#unclean = flight.leavesOpen;
      this.#current = this.#following;
      this.#following = undefined;
      this.#finish(flight);
    }
    if (this.#stage === 'over') return;
    if (reply.code === 421) this.#end('peer_temporary', 'The peer closes the session with 421.', reply);
    else if (move === 'fault')
      this.#end('peer_protocol', `The peer answered ${reply.code}, which is not an answer here.`, reply);
  }

  // — writing —

  /** Does all that can be done now, writes it at once, and sets the deadline. */
  #turn(): void {
    if (this.#turning || this.#stage === 'over') return;
    this.#turning = true;
    if (this.#stage === 'open') this.#transact();
    if (!this.#isOver() && !this.#outbox.empty) {
      if (this.#due === 0) this.#moved = true;
      this.#due += this.#owed;
      this.#owed = 0;
      this.#wire.write(this.#outbox.take());
    }
    this.#turning = false;
    if (this.#moved && !this.#isOver()) {
      this.#moved = false;
      this.#watchdog.set(this.#options.clock.now() + this.#limit());
    }
  }

  #transact(): void {
    if (!this.#current) {
      this.#current = this.#take();
      if (!this.#current) {
        if (this.#isOver()) return;
        if (this.#quitting || this.#taken >= this.#options.maxTransactions) {
          this.#stage = 'quit';
          this.#say('QUIT\r\n', 1);
        }
        return;
      }
      this.#begin(this.#current, this.#unclean);
    }
    const current = this.#current;
    if (current.step === 'send') this.#sendBody(current);
    else if (!this.#peer.pipelining && !current.handed && !this.#asked) {
      this.#asked = true;
      this.#say(current.command(), 1);
    }
    if (current.handed && this.#peer.pipelining && !this.#following) {
      this.#following = this.#take();
      if (this.#following) this.#begin(this.#following, current.leavesOpen);
    }
  }

  /** The next transaction that this peer can be given. Those that it cannot are done at once. */
  #take(): Flight | undefined {
    while (!this.#isOver() && !this.#quitting && this.#taken < this.#options.maxTransactions) {
      const item = this.#options.next();
      if (!item) return undefined;
      const flight = new Flight(item, this.#peer, this.#options.clock.now());
      const problem = misfit(item, this.#peer);
      if (problem) flight.abandon(false, problem.code, problem.text);
      if (this.#isOver()) flight.abandon(false, 'shutting_down', 'The session ended as it took the message.');
      if (!problem && !flight.empty && !this.#isOver()) {
        this.#taken += 1;
        return flight;
      }
      this.#finish(flight);
    }
    return undefined;
  }

  #begin(flight: Flight, reset: boolean): void {
    if (reset) flight.step = 'rset';
    this.#asked = false;
    if (!this.#peer.pipelining) return;
    const { text, replies } = flight.envelope();
    this.#say(text, replies);
    // A small body need not wait for the answers to its envelope: a refused one is discarded (RFC 3030 §2).
    if (this.#peer.chunking && flight.item.bytes.length <= BLOCK) this.#hand(flight);
  }

  #sendBody(flight: Flight): void {
    if (flight.item.bytes.length <= BLOCK) {
      this.#hand(flight);
      return;
    }
    if (!this.#rest) {
      const { before, octets, after } = flight.body();
      this.#outbox.text(before);
      this.#rest = { octets, after };
    } else if (!this.#wire.idle) {
      return;
    }
    const rest = this.#rest;
    if (rest.octets.length > BLOCK) {
      this.#outbox.bytes(rest.octets.subarray(0, BLOCK));
      rest.octets = rest.octets.subarray(BLOCK);
      return;
    }
    this.#outbox.bytes(rest.octets);
    this.#handed(flight, rest.after);
    this.#rest = undefined;
  }

  /** Hands a whole body over. */
  #hand(flight: Flight): void {
    const { before, octets, after } = flight.body();
    this.#outbox.text(before);
    this.#outbox.bytes(octets);
    this.#handed(flight, after);
  }

  #handed(flight: Flight, after: string): void {
    this.#outbox.text(after);
    this.#owed += 1;
    flight.handed = true;
    if (flight.step === 'send') flight.step = 'body';
    this.#options.transcript?.('>', `[${flight.item.bytes.length} octets]`);
  }

  #say(commands: string, replies: number): void {
    this.#outbox.text(commands);
    this.#owed += replies;
    if (this.#options.transcript)
      for (const line of commands.split('\r\n').slice(0, -1)) this.#options.transcript('>', line);
  }

  // — ends —

  #finish(flight: Flight): void {
    this.#options.done(flight.item, flight.result(this.#options.clock.now()));
  }

  #end(code: SessionEnd['code'], text: string, reply?: SmtpReply): void {
    if (this.#stage === 'over') return;
    const phase = this.#phase;
    const orderly = this.#stage === 'quit';
    const current = this.#current;
    const following = this.#following;
    // A write that also carried the next envelope may have been taken in part: enough for this body, or not.
    const delivered = this.#wire.idle || following !== undefined;
    this.#stage = 'over';
    this.#current = undefined;
    this.#following = undefined;
    this.#watchdog.stop();
    if (orderly) this.#wire.close();
    else this.#wire.abort();
    const reason: ErrorCode = code === 'quit' || reply?.code === 421 ? 'connection_lost' : code;
    // With 421 the peer says that it stops here: what it has not answered it does not take (RFC 5321 §3.8).
    const said421 = reply?.code === 421;
    if (current) {
      current.abandon(current.handed && delivered && !said421, reason, text);
      this.#finish(current);
    }
    if (following) {
      following.abandon(following.handed && this.#wire.idle && !said421, reason, text);
      this.#finish(following);
    }
    this.#options.ended({ code, phase, reply, text });
  }

  /** A function, so that the compiler does not take for granted what a callback may have changed. */
  #isOver(): boolean {
    return this.#stage === 'over';
  }

  get #phase(): SmtpPhase {
    if (this.#stage === 'open' || this.#stage === 'over') return this.#current?.phase ?? 'mail';
    return this.#stage === 'helo' ? 'ehlo' : this.#stage;
  }

  /** Ms for what is due now. */
  #limit(): number {
    const { deadlines, idle } = this.#options;
    switch (this.#stage) {
      case 'helo':
        return deadlines.ehlo;
      case 'tls':
        return deadlines.starttls;
      case 'open':
        break;
      case 'over':
        return Number.POSITIVE_INFINITY;
      default:
        return deadlines[this.#stage];
    }
    switch (this.#current?.step) {
      case undefined:
        return idle;
      case 'rset':
      case 'mail':
        return deadlines.mail;
      case 'rcpt':
        return deadlines.rcpt;
      case 'data':
        return deadlines.dataInit;
      case 'send':
        return deadlines.dataBlock * Math.ceil(this.#current.item.bytes.length / DRAIN);
      case 'body':
        return deadlines.dataEnd;
    }
  }

  #log(direction: '<', reply: SmtpReply): void {
    if (!this.#options.transcript) return;
    const text = replyText(reply);
    this.#options.transcript(direction, text === '' ? `${reply.code}` : `${reply.code} ${text}`);
  }
}
