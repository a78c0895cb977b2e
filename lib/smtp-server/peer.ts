/** The peer of a connection: its trust, its deadline, its failures. */
import type { Clock } from '../time.ts';
import type { ServerConnection } from './connection.ts';
import type { Ticket } from './connection-limiter.ts';
import { MovingDeadline } from './deadline.ts';
import { MessageBuffer } from './message-buffer.ts';
import type { OctetBudget, SmtpBudget } from './octet-budget.ts';
import { type RefusedCommand, reply } from './reply.ts';

/** Maximum time from the connection to a login, ms. */
export const LOGIN_DEADLINE = 60_000;
/**
 * Maximum time from the connection, the login or the last message to the next DATA, ms (RFC 5321 §4.5.3.2.7: 5
 * minutes).
 */
export const MESSAGE_DEADLINE = 300_000;
const MAX_FAILED_LOGINS = 3;
/** Maximum number of commands until a message is accepted, RCPT and the lines of a message aside. */
export const MAX_COMMANDS = 100;
/** Maximum number of refused senders, recipients and logins until a message is accepted. */
export const MAX_REFUSALS = 20;
/** Maximum number of unknown commands until a message is accepted: what sends these speaks another protocol. */
export const MAX_UNKNOWN = 10;

export class ClientPeer {
  readonly #ticket: Ticket;
  readonly #budget: SmtpBudget;
  readonly #deadline: MovingDeadline;
  #trusted = false;
  #failedLogins = 0;
  #commands = 0;
  #refusals = 0;
  #unknown = 0;

  constructor(connection: ServerConnection, ticket: Ticket, budget: SmtpBudget, clock: Clock) {
    this.#ticket = ticket;
    this.#budget = budget;
    this.#deadline = new MovingDeadline(clock, (text) => connection.end(text));
  }

  get network(): string {
    return this.#ticket.network;
  }

  trust(): void {
    this.#trusted = true;
    this.#ticket.trust();
  }

  awaitLogin(): void {
    this.#deadline.set(LOGIN_DEADLINE, '421 4.7.0 Log in sooner; closing');
  }

  awaitMessage(): void {
    this.#deadline.set(MESSAGE_DEADLINE, '421 4.4.2 No message came in time; closing');
  }

  awaitContent(time: number): void {
    this.#deadline.set(time, '421 4.4.2 The message took too long to arrive; closing');
  }

  /** Removes the deadline: the peer waits for this side. */
  rest(): void {
    this.#deadline.rest();
  }

  /** The peer is gone. */
  leave(): void {
    this.#deadline.end();
    this.#ticket.release();
  }

  /** Makes the buffer of the next message. */
  buffer(keep: number): MessageBuffer {
    const budget: OctetBudget = this.#trusted ? this.#budget.trusted : this.#budget.anonymous(this.network);
    return new MessageBuffer(budget, keep);
  }

  /** Resets the limits after an accepted message, because the peer is one that sends mail. */
  progress(): void {
    this.#commands = 0;
    this.#refusals = 0;
    this.#unknown = 0;
  }

  /** Counts a command. @returns whether it is one too many. */
  command(): boolean {
    this.#commands += 1;
    return this.#commands > MAX_COMMANDS;
  }

  /** Counts an unknown command. @returns whether the limit is reached. */
  unknown(): boolean {
    this.#unknown += 1;
    return this.#unknown >= MAX_UNKNOWN;
  }

  failedLogin(): RefusedCommand {
    this.#failedLogins += 1;
    if (this.#failedLogins < MAX_FAILED_LOGINS) return reply(535, 'Authentication Credentials Invalid');
    return reply(421, '4.7.0 Too many failed logins; closing');
  }

  /** @returns the reply to a refused command: this one, or the end of the connection. */
  refuse(refusal: RefusedCommand): RefusedCommand {
    this.#refusals += 1;
    return this.#refusals < MAX_REFUSALS ? refusal : reply(421, '4.7.0 Too many refused commands; closing');
  }
}
