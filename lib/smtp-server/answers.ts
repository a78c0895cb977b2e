/** The answers of a session: replies, and the refusals of whatever was thrown. */
import type { ServerConnection } from './connection.ts';
import type { ListenerOptions } from './options.ts';
import { type RefusedCommand, replyFor, replyLine } from './reply.ts';

export class Answers {
  readonly #connection: ServerConnection;
  readonly #options: Pick<ListenerOptions, 'name' | 'log'>;

  constructor(connection: ServerConnection, options: Pick<ListenerOptions, 'name' | 'log'>) {
    this.#connection = connection;
    this.#options = options;
  }

  /** Adds a reply, a whole line of our own words. */
  say(line: string): undefined {
    this.#connection.reply(line);
  }

  /** Sends a last reply and closes the connection. */
  end(line: string): undefined {
    this.#connection.end(line);
  }

  /** The refusal of a thrown value; a fault of this side is logged. */
  refusalOf(error: unknown): RefusedCommand {
    return replyFor(error, this.#options.name, this.#options.log);
  }

  /** Refuses; 421 closes the connection (RFC 5321 §3.8). */
  refuse({ responseCode, message }: RefusedCommand): undefined {
    const line = replyLine(responseCode, message);
    return responseCode === 421 ? this.end(line) : this.say(line);
  }
}
