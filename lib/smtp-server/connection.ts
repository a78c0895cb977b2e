/**
 * A connection of an SMTP listener: lines and content in, replies out, TLS where it begins in between.
 *
 * ```
 *  chunk ─► line ─────► dialogue ─► replies ─┐
 *        ─► line ─────► dialogue ─► replies ─┴─► one write, when all sockets of this turn are read
 *        ─► content ──► sink, to its end
 *  a line that is not answered yet holds back all behind it, and then what the peer still sends;
 *  so does content whose turn has not come, while other peers pour in theirs
 * ```
 * All replies to what arrived in one turn of the event loop leave in one write: the system call and the hand-over behind
 * each write cost more than the parsing of a message.
 */
import type { Socket } from 'node:net';
import { type SecureContext, TLSSocket } from 'node:tls';
import type { Clock } from '../time.ts';
import { afterInput, type Turns } from '../turns.ts';
import { type ContentSink, DotReader } from './dot-reader.ts';
import { Input } from './input.ts';

/** Time without an octet from the peer after which the connection is closed, ms. */
const IDLE_TIMEOUT = 60_000;
/** Time that a peer has to close its side when this side has, ms. */
const HALF_CLOSED_TIMEOUT = 5_000;

/** Replies that wait for the end of the turn, characters: a peer can send commands by the megabyte before it comes. */
const MAX_WAITING = 16 * 1024;

/** What is said on a connection. */
export interface Dialogue {
  /** Answers a line. @returns a promise while nothing more may be read, which does not reject. */
  line(text: string): Promise<void> | undefined;
  /** Answers content that has ended. @returns as `line`. */
  contentEnded(): Promise<void> | undefined;
  /** TLS has begun. */
  secured(): void;
  /** An error of the socket, or of the handshake. */
  failed(error: Error): void;
  /** Something was thrown that is a fault of this side. @returns the last reply. */
  faulty(error: unknown): string;
  closed(): void;
}

type State =
  | 'reading'
  /** The dialogue has not answered yet, or the turn of the content has not come. */
  | 'answering'
  /** The peer does not read the replies. */
  | 'blocked'
  /** A TLS handshake is under way: no octet may be written in clear, and none that was read in clear counts. */
  | 'securing'
  | 'ended';

export class ServerConnection {
  readonly #clock: Clock;
  readonly #turns: Turns;
  readonly #dialogue: Dialogue;
  readonly #input = new Input();
  readonly #reader = new DotReader();
  #socket: Socket;
  #state: State = 'reading';
  #sink: ContentSink | undefined;
  #replies = '';
  /** The replies will be sent in this turn of the event loop. */
  #flushing = false;
  #paused = false;
  #cancelClose = (): void => undefined;
  #detach = (): void => undefined;

  constructor(socket: Socket, clock: Clock, turns: Turns, dialogue: Dialogue) {
    this.#clock = clock;
    this.#turns = turns;
    this.#dialogue = dialogue;
    this.#socket = socket;
    this.#attach(socket);
    socket.on('data', this.#receive);
  }

  get ended(): boolean {
    return this.#state === 'ended';
  }

  /** Whether a message is arriving, or an answer is awaited. */
  get busy(): boolean {
    return this.#state === 'answering' || this.#sink !== undefined;
  }

  /** Adds a reply, which leaves with the others of its chunk. */
  reply(text: string): void {
    this.#replies += `${text}\r\n`;
  }

  /** Reads content from here to its end, into `sink`. */
  receive(sink: ContentSink): void {
    this.#sink = sink;
    this.#reader.reset();
  }

  /** Sends the replies so far. */
  flush(): void {
    if (this.#replies === '' || this.#state === 'securing') return;
    const text = this.#replies;
    this.#replies = '';
    const socket = this.#socket;
    if (!socket.writable) return;
    socket.write(text);
    // A peer that sends commands and never reads would make this side keep replies without a limit.
    if (socket.writableNeedDrain && this.#state === 'reading') {
      this.#state = 'blocked';
      socket.once('drain', this.#resume);
    }
  }

  /** Sends the replies so far, and those that follow in this turn of the event loop. */
  #flushSoon(): void {
    if (this.#replies.length > MAX_WAITING) this.flush();
    if (this.#replies === '' || this.#flushing) return;
    this.#flushing = true;
    afterInput(this.#flushNow);
  }

  readonly #flushNow = (): void => {
    this.#flushing = false;
    this.flush();
  };

  /** Sends a last reply, and closes. What the peer still sends is dropped. */
  end(text: string): void {
    if (this.#state === 'ended') return;
    const wasSecuring = this.#state === 'securing';
    this.reply(text);
    this.#stop();
    if (wasSecuring) {
      this.#socket.destroy();
      return;
    }
    this.#socket.end(this.#replies);
    this.#replies = '';
    // A paused socket would not see the end of the peer's side.
    this.#socket.resume();
    this.#cancelClose = this.#clock.after(HALF_CLOSED_TIMEOUT, () => this.#socket.destroy());
  }

  /** Sends a last reply, and closes without reading what the peer still sends: in the middle of content. */
  cut(text: string): void {
    if (this.#state === 'ended') return;
    this.#stop();
    this.#socket.end(`${this.#replies}${text}\r\n`);
    this.#replies = '';
    this.#socket.destroySoon();
  }

  /** Begins TLS, as its server. What was read in clear behind this is dropped (RFC 3207 §4.2). */
  secure(context: SecureContext): void {
    this.flush();
    this.#state = 'securing';
    this.#input.clear();
    const plain = this.#socket;
    this.#detach();
    plain.on('error', () => undefined).pause();
    this.#paused = false;
    this.#socket = new TLSSocket(plain, { isServer: true, secureContext: context });
    this.#attach(this.#socket);
    this.#socket.once('secure', () => {
      if (this.#state !== 'securing') return;
      this.#state = 'reading';
      this.#socket.on('data', this.#receive);
      this.#dialogue.secured();
      this.flush();
    });
  }

  #attach(socket: Socket): void {
    const idle = (): void => this.#idle();
    const failed = (error: Error): void => this.#dialogue.failed(error);
    const closed = (): void => {
      this.#stop();
      this.#cancelClose();
      this.#dialogue.closed();
    };
    socket.setTimeout(IDLE_TIMEOUT);
    socket.on('timeout', idle).on('error', failed).once('close', closed);
    this.#detach = () => {
      socket.setTimeout(0);
      socket.off('data', this.#receive).off('timeout', idle).off('error', failed).off('close', closed);
    };
  }

  #receive = (chunk: Buffer): void => {
    if (this.#state === 'ended') return;
    this.#input.push(chunk);
    const turn = this.#state === 'reading' && this.#sink ? this.#turns.nextSmall() : undefined;
    if (turn) this.#await(turn);
    if (this.#state === 'reading') this.#read();
    else {
      this.#paused = true;
      this.#socket.pause();
    }
  };

  #resume = (): void => {
    if (this.#state !== 'answering' && this.#state !== 'blocked') return;
    this.#state = 'reading';
    this.#read();
    if (this.#paused && this.#state === 'reading') {
      this.#paused = false;
      this.#socket.resume();
    }
  };

  /** Reads on until the input ends, or an answer is awaited. Nothing that a peer sends ends the process. */
  #read(): void {
    try {
      this.#readOn();
    } catch (error) {
      this.end(this.#dialogue.faulty(error));
    }
    if (this.#input.tooLong) this.end('421 4.7.0 Command line too long; closing');
    else if (this.#state === 'reading') this.#flushSoon();
  }

  #readOn(): void {
    while (this.#state === 'reading') {
      let answered: Promise<void> | undefined;
      if (this.#sink) {
        if (!this.#input.content(this.#reader, this.#sink)) break;
        this.#sink = undefined;
        answered = this.#dialogue.contentEnded();
      } else {
        const line = this.#input.line();
        if (line === undefined) break;
        answered = this.#dialogue.line(line);
      }
      if (answered) this.#await(answered);
    }
  }

  #await(answered: Promise<void>): void {
    if (this.#state !== 'reading') return;
    this.#state = 'answering';
    void answered.then(this.#resume);
    this.#flushSoon();
  }

  #idle(): void {
    if (this.#state === 'answering') this.#socket.setTimeout(IDLE_TIMEOUT);
    else if (this.#state === 'ended') this.#socket.destroy();
    else this.end('421 4.4.2 Nothing came for a minute; closing');
  }

  #stop(): void {
    this.#state = 'ended';
    this.#sink = undefined;
    this.#input.clear();
  }
}
