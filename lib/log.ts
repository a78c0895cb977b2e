/** Logs: one JSON object a line, so that CloudWatch and journald can search them by field. */

export type LogLevel = 'debug' | 'info' | 'warn' | 'error';

/** What a line says besides. Its own members are not for callers: theirs would take their place. */
type Fields = Record<string, unknown> & { time?: never; level?: never; message?: never };

export interface Log {
  debug(message: string, fields?: Fields): void;
  info(message: string, fields?: Fields): void;
  warn(message: string, fields?: Fields): void;
  error(message: string, fields?: Fields): void;
}

const ORDER: readonly LogLevel[] = ['debug', 'info', 'warn', 'error'];

/** Never written, whatever a caller passes: secrets and the content of mail. */
const REDACTED = new Set(['secret', 'password', 'authorization', 'privateKey', 'body', 'bytes']);

/**
 * A log that writes lines of `level` and above.
 * @param write where a finished line goes (with its line end).
 */
export function createLog(options: {
  level: LogLevel;
  now: () => number;
  write: (line: string) => void;
}): Log {
  const least = ORDER.indexOf(options.level);
  const line = (level: LogLevel) =>
    ORDER.indexOf(level) < least
      ? () => {}
      : (message: string, fields?: Fields) => {
          const time = new Date(options.now()).toISOString();
          options.write(`${JSON.stringify({ time, level, message, ...fields }, safe)}\n`);
        };
  return { debug: line('debug'), info: line('info'), warn: line('warn'), error: line('error') };
}

function safe(key: string, value: unknown): unknown {
  if (REDACTED.has(key)) return '[redacted]';
  if (value instanceof Error) {
    const { name, message, stack, cause } = value;
    return { name, message, stack, cause, code: (value as { code?: unknown }).code };
  }
  return value;
}

/** A log that says nothing, for tests and benchmarks. */
export const silentLog: Log = { debug() {}, info() {}, warn() {}, error() {} };
