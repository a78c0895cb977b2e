/** The state of a connection's peer: its trust, its deadline, its failures. */
import type { Clock } from '../time.ts';
import type { ServerConnection } from './connection.ts';
import type { Ticket } from './connection-limiter.ts';
import { MessageBuffer } from './message-buffer.ts';
import type { OctetBudget, SmtpBudget } from './octet-budget.ts';
import { reply } from './reply.ts';

/** Maximum time from the connection to a login, ms. */
export const LOGIN_DEADLINE = 60_000;
/**
 * Maximum time from the connection, the login or the last message to the next DATA, ms (RFC 5321 §4.5.3.2.7: 5
 * minutes).
 */
export const MESSAGE_DEADLINE = 300_000;
const MAX_FAILED_LOGINS = 3;

export class ClientPeer {
  readonly connection: ServerConnection;
  readonly #ticket: Ticket;
  readonly #budget: SmtpBudget;
  readonly #clock: Clock;
  #trusted = false;
  #failedLogins = 0;
  #cancel = (): void => undefined;

  constructor(connection: ServerConnection, ticket: Ticket, budget: SmtpBudget, clock: Clock) {
    this.connection = connection;
    this.#ticket = ticket;
    this.#budget = budget;
    this.#clock = clock;
  }

  get network(): string {
    return this.#ticket.network;
  }

  trust(): void {
    this.#trusted = true;
    this.#ticket.trust();
  }

  awaitLogin(): void {
    this.#within(LOGIN_DEADLINE, '4.7.0 Log in sooner; closing');
  }

  awaitMessage(): void {
    this.#within(MESSAGE_DEADLINE, '4.4.2 No message came in time; closing');
  }

  awaitContent(time: number): void {
    this.#within(time, '4.4.2 The message took too long to arrive; closing');
  }

  /** Removes the deadline: the peer waits for this side, or is gone. */
  rest(): void {
    this.#cancel();
  }

  /** Makes the buffer of the next message. */
  buffer(keep: number): MessageBuffer {
    const budget: OctetBudget = this.#trusted ? this.#budget.trusted : this.#budget.anonymous(this.network);
    return new MessageBuffer(budget, keep);
  }

  /** Refuses the message that is arriving, and closes the connection: what is still sent of it is not read. */
  cut(): void {
    this.#cancel();
    this.connection.cut('552 5.3.4 Message too large; closing');
  }

  failedLogin(): Error {
    this.#failedLogins += 1;
    if (this.#failedLogins < MAX_FAILED_LOGINS) return reply(535, 'Authentication Credentials Invalid');
    return reply(421, '4.7.0 Too many failed logins; closing');
  }

  /** @returns the reply to a refused command: this one, or the end of the connection. */
  refuse(refusal: Error): Error {
    return this.connection.refused() ? reply(421, '4.7.0 Too many refused commands; closing') : refusal;
  }

  #within(time: number, text: string): void {
    this.#cancel();
    this.#cancel = this.#clock.after(time, () => this.connection.send(421, text, false));
  }
}
