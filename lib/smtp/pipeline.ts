/**
 * The transactions under way in an open session, at most two: `current`, whose replies are due, and
 * `following`, whose envelope went out in the same packet as the last octets of current's body (RFC 2920
 * §3.1: a body may be the first of a group of commands, DATA only the last).
 *
 *   we     [MAIL RCPT DATA]               [body . MAIL' RCPT' DATA']                   [body' . MAIL" …]
 *   peer                   [250 250 354]                            [250 250 250 354]
 *
 * With CHUNKING nothing waits for a 354, so that a small body goes out with its own envelope. Without
 * PIPELINING there is no following, and each command waits for the reply to the last.
 */
import type { ReasonCode } from '../outcome/reasons.ts';
import { Flight, freed, type Move, type Step } from './flight.ts';
import type { Outbox } from './outbox.ts';
import { misfit, type Peer } from './peer.ts';
import type { SessionOptions, SmtpDeadlines, SmtpPhase, SmtpReply } from './types.ts';

/** Octets of a body that are written at once; a larger one waits for the kernel between its blocks. */
const BLOCK = 64 * 1024;
/**
 * Maximum wait for an early reply, ms. A peer that read an envelope behind the end of a message has the next reply
 * ready at once, or after its own check of the sender. One that dropped the envelope sends nothing until the deadline
 * of MAIL, five minutes.
 */
const EARLY_REPLY = 10_000;
/** A body must drain at no less than this many octets in each `dataBlock`. */
const DRAIN = 1024 * 1024;

const DEADLINE: Record<Step, keyof SmtpDeadlines> = {
  rset: 'mail',
  mail: 'mail',
  rcpt: 'rcpt',
  data: 'dataInit',
  send: 'dataBlock',
  body: 'dataEnd',
};

export class Pipeline {
  readonly #options: SessionOptions;
  readonly #peer: Peer;
  readonly #outbox: Outbox;
  #current: Flight | undefined;
  #following: Flight | undefined;
  /** The rest of current's body, while it goes out block by block. */
  #rest: { octets: Buffer; after: string } | undefined;
  /** In lock-step: whether the command whose reply is due has been written. */
  #asked = false;
  /** Whether the previous transaction left the peer in need of RSET. */
  #unclean = false;
  /** Number of transactions that may still be taken. */
  #left: number;
  #abandoned = false;

  constructor(options: SessionOptions, peer: Peer, outbox: Outbox) {
    this.#options = options;
    this.#peer = peer;
    this.#outbox = outbox;
    this.#left = options.maxTransactions;
  }

  get busy(): number {
    return (this.#current ? 1 : 0) + (this.#following ? 1 : 0);
  }

  /** Whether no transaction is under way, and none will be. */
  get over(): boolean {
    return this.#left <= 0 && !this.#current;
  }

  get phase(): SmtpPhase {
    return this.#current?.phase ?? 'mail';
  }

  /** Whether the whole body is out, so that only its reply is missing. */
  get handed(): boolean {
    return this.#current?.handed === true;
  }

  /** Whether a body is on its way, so that a reply may come before it is due. */
  get sending(): boolean {
    return this.#current?.step === 'send';
  }

  /** Time limit of the current step (a reply, the peer reading the body, or work), ms. */
  get limit(): number {
    const current = this.#current;
    if (!current) return this.#options.idle;
    const limit = this.#options.deadlines[DEADLINE[current.step]];
    if (current.unheard) return Math.min(limit, EARLY_REPLY);
    return current.step === 'send' ? limit * Math.ceil(current.size / DRAIN) : limit;
  }

  /**
   * Handles a passed deadline.
   * @returns whether the peer dropped an envelope, so that its message can go over another connection.
   */
  dropped(): boolean {
    const current = this.#current;
    if (!current?.unheard) return false;
    current.again = true;
    return true;
  }

  /** Takes no more transactions; those taken continue. */
  stop(): void {
    this.#left = 0;
  }

  /** Puts everything that can go out now into the outbox. `drained`: the kernel has taken all earlier writes. */
  fill(drained: boolean): void {
    if (!this.#current) {
      this.#current = this.#take();
      if (!this.#current) return;
      this.#begin(this.#current, this.#unclean);
    }
    const current = this.#current;
    if (current.step === 'send') this.#sendBody(current, drained);
    else if (!this.#peer.pipelining && !current.handed && !this.#asked) {
      this.#asked = true;
      this.#outbox.commands(current.command(), 1);
    }
    if (current.handed && this.#peer.pipelining && this.#mayFollow && !this.#following) {
      this.#following = this.#take();
      if (!this.#following) return;
      this.#following.early = true;
      this.#begin(this.#following, current.leavesOpen);
    }
  }

  /** Passes the reply to the current transaction. After `fault` and `unchunked` the session cannot continue. */
  answer(reply: SmtpReply): Move {
    const flight = this.#current!;
    const move = flight.answer(reply);
    this.#asked = false;
    if (move === 'end') {
      this.#unclean = flight.leavesOpen;
      this.#current = this.#following;
      this.#following = undefined;
      this.#done(flight);
    }
    return move;
  }

  /**
   * Ends all transactions under way. A recipient without a decision is `unsent` with `code`; or `uncertain`, when the
   * whole body may have reached the peer and the peer did not state that it `declined` it.
   */
  abandon(code: ReasonCode, text: string, drained: boolean, declined: boolean): void {
    const current = this.#current;
    const following = this.#following;
    this.#current = undefined;
    this.#following = undefined;
    this.#left = 0;
    this.#abandoned = true;
    if (current) {
      // A write that also carried the next envelope may have been taken in part: up to this body's end, or not.
      const arrived = current.handed && (drained || following !== undefined);
      current.abandon(arrived && !declined, code, text);
      this.#done(current);
    }
    if (following) {
      following.abandon(following.handed && drained && !declined, code, text);
      this.#done(following);
    }
  }

  get #mayFollow(): boolean {
    return this.#options.habits?.earlyEnvelope !== false;
  }

  /** Takes the next transaction that fits this peer. Those that do not fit are done at once. */
  #take(): Flight | undefined {
    while (this.#left > 0) {
      // One reading of the clock: an attempt records the very time whose slot it took.
      const now = this.#options.clock.now();
      const item = this.#options.next(now);
      if (!item) return undefined;
      const flight = new Flight(item, this.#peer, now);
      const problem = misfit(item, this.#peer);
      if (problem) flight.abandon(false, problem.code, problem.text);
      else if (this.#abandoned)
        flight.abandon(false, 'shutting_down', 'The session ended as it took the message.');
      else if (!flight.empty) {
        this.#left = Math.max(0, this.#left - 1);
        return flight;
      }
      this.#done(flight);
    }
    return undefined;
  }

  #begin(flight: Flight, reset: boolean): void {
    if (reset) flight.step = 'rset';
    this.#asked = false;
    if (!this.#peer.pipelining) return;
    const { text, replies } = flight.envelope();
    this.#outbox.commands(text, replies);
    // Its recipients may all be refused; the peer then reads the octets and drops them (RFC 3030 §2).
    if (this.#peer.chunking && flight.size <= BLOCK) this.#hand(flight);
  }

  /** Writes a whole body. */
  #hand(flight: Flight): void {
    const { before, octets, after } = flight.body();
    this.#outbox.commands(before, 0);
    this.#outbox.octets(octets);
    this.#handed(flight, after);
  }

  #sendBody(flight: Flight, drained: boolean): void {
    if (flight.size <= BLOCK) {
      this.#hand(flight);
      return;
    }
    if (!this.#rest) {
      const { before, octets, after } = flight.body();
      this.#outbox.commands(before, 0);
      this.#rest = { octets, after };
    } else if (!drained) {
      return;
    }
    const rest = this.#rest;
    if (rest.octets.length === 0) throw freed();
    this.#outbox.octets(rest.octets.subarray(0, BLOCK));
    rest.octets = rest.octets.subarray(BLOCK);
    if (rest.octets.length > 0) return;
    this.#rest = undefined;
    this.#handed(flight, rest.after);
  }

  #handed(flight: Flight, after: string): void {
    this.#outbox.endBody(after, flight.size);
    flight.handed = true;
    if (flight.step === 'send') flight.step = 'body';
  }

  #done(flight: Flight): void {
    this.#options.done(flight.item, flight.result(this.#options.clock.now()));
  }
}
