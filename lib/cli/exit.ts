/** How the command ends when it fails: what, where, what to do next, and an exit code that scripts rely on. */

export const EXIT = {
  done: 0,
  /** The service refused, or something does not exist. */
  failed: 1,
  /** The command line is wrong. */
  usage: 2,
  /** The service cannot be reached, or is busy: try again. */
  unreachable: 3,
  /** No key, a revoked one, or one without the right. */
  access: 4,
  /** The check was made, and found something. */
  findings: 5,
  interrupted: 130,
} as const;

export class CliError extends Error {
  readonly exit: number;
  /** What to do next. */
  readonly next: string | undefined;

  constructor(exit: number, message: string, next?: string) {
    super(message);
    this.exit = exit;
    this.next = next;
  }
}

export function usage(message: string, next?: string): CliError {
  return new CliError(EXIT.usage, message, next);
}

/** The sentence, and below it what to do next. */
export function failureText({ message, next }: CliError): string {
  return next === undefined ? `postern: ${message}\n` : `postern: ${message}\n  ${next}\n`;
}
