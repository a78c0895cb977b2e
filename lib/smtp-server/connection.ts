/**
 * Extends a connection of the SMTP server library by two things that the library lacks: a limit of commands that lead
 * to no message, and addresses as RFC 5321 §4.1.2 defines them.
 *
 * A client may send NOOP, RSET, EHLO and MAIL without end, and each costs a reply; the library limits them only where
 * AUTH is compulsory. Its address parser cuts at blanks, so it refuses `"a b"@example.net` and accepts
 * `(c)x@example.net`, whose comment is no part of an SMTP address.
 */
import { SMTPConnection } from 'smtp-server/lib/smtp-connection.js';

/** Maximum number of commands until a message is accepted, RCPT and the lines of a message aside. */
export const MAX_COMMANDS = 100;
/** Maximum number of refused senders, recipients and logins until a message is accepted. */
export const MAX_REFUSALS = 20;

const RECIPIENT = /^\s*RCPT\s/i;
/** Dot-string of atoms (RFC 5321 §4.1.2; with UTF-8 by RFC 6531), here with dots anywhere: the library checks those. */
const DOT_STRING = /^[^\s()<>[\]:;,"\\@\u0000-\u001f\u007f]+$/;
const QUOTED =
  /^((?:mail from|rcpt to)\s*:\s*)<("(?:[^"\\\u0000-\u001f\u007f]|\\[\u0020-\u007e]){0,62}")@([^<>\s]+)>(.*)$/i;

type Parsed = ReturnType<SMTPConnection['_parseAddressCommand']>;

export class ServerConnection extends SMTPConnection {
  #commands = 0;
  #refusals = 0;

  /** Resets the limits after an accepted message, because the peer is one that sends mail. */
  progress(): void {
    this.#commands = 0;
    this.#refusals = 0;
  }

  /** Counts a refused command. @returns whether the limit is reached. */
  refused(): boolean {
    this.#refusals += 1;
    return this.#refusals >= MAX_REFUSALS;
  }

  /** Sends a last reply and closes the connection, in the middle of a message too. */
  cut(reply: string): void {
    const { _socket: socket } = this;
    if (socket.destroyed || socket.writableEnded) return;
    socket.end(`${reply}\r\n`);
    socket.destroySoon();
  }

  override _onCommand(command: Buffer, callback?: () => void): void {
    if (!RECIPIENT.test(command.subarray(0, 8).toString('latin1'))) this.#commands += 1;
    if (this.#commands > MAX_COMMANDS) {
      this.send(421, '4.7.0 Too many commands without a message; closing', false);
      return;
    }
    super._onCommand(command, callback);
  }

  override _parseAddressCommand(rawName: string, rawCommand: Buffer | string): Parsed {
    const quoted = QUOTED.exec(rawCommand.toString());
    if (quoted) {
      const [, command, local, domain, parameters] = quoted;
      const parsed = super._parseAddressCommand(rawName, `${command}<x@${domain}>${parameters}`);
      if (parsed) parsed.address = `${local}${parsed.address.slice(1)}`;
      return parsed;
    }
    const parsed = super._parseAddressCommand(rawName, rawCommand);
    if (!parsed) return false;
    const at = parsed.address.lastIndexOf('@');
    return at < 0 || DOT_STRING.test(parsed.address.slice(0, at)) ? parsed : false;
  }
}
