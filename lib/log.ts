/** Logs: one JSON object a line, so that CloudWatch and journald can search them by field. */

export type LogLevel = 'debug' | 'info' | 'warn' | 'error';

/** Further members of a line. The log's own members are not for callers: a caller's value would replace them. */
type LogFields = Record<string, unknown> & { time?: never; level?: never; message?: never };

export interface Log {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
}

const ORDER: readonly LogLevel[] = ['debug', 'info', 'warn', 'error'];

/** Members that are never written, even when a caller passes them: secrets, and the content of mail. */
const REDACTED =
  /^(?:.*(?:secret|password|passphrase|privatekey|masterkey|accesskey|token|credentials?|signature)|authorization|proxyauthorization|bearer|(?:set)?cookie|pass|sealed|pem|body|bytes|html|attachments|substitutions|templatedata)$/;
/** Secrets inside of text, as errors quote them: bearer keys, AUTH commands, private keys. */
const SECRETS =
  /(\bbearer +)[^\s"',]+|(\bauth +(?:plain|login|cram-md5) +)[^\s"',]+|-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)/gi;

/**
 * A log that writes lines of `level` and above. The level is read at each line, so that it may change.
 * @param write where a finished line goes (with its line end).
 */
export function createLog(options: {
  level: LogLevel;
  now: () => number;
  write: (line: string) => void;
}): Log {
  const line = (level: LogLevel) => (message: string, fields?: LogFields) => {
    if (ORDER.indexOf(level) < ORDER.indexOf(options.level)) return;
    const time = new Date(options.now()).toISOString();
    options.write(`${textOf({ time, level, message, ...fields })}\n`);
  };
  return { debug: line('debug'), info: line('info'), warn: line('warn'), error: line('error') };
}

/** A line that JSON cannot hold (a circle, a bigint) loses its fields; a log never fails the work it reports. */
function textOf(line: { time: string; level: LogLevel; message: string }): string {
  try {
    return JSON.stringify(line, safe);
  } catch (error) {
    const { time, level, message } = line;
    return JSON.stringify({ time, level, message, unwritable: String(error).split('\n')[0] }, safe);
  }
}

function safe(key: string, value: unknown): unknown {
  if (typeof value === 'string') {
    return isRedacted(key) ? '[redacted]' : value.replace(SECRETS, '$1$2[redacted]');
  }
  if (typeof value !== 'object' || value === null) return value;
  if (isRedacted(key)) return '[redacted]';
  if (value instanceof Error) {
    const { name, message, stack, cause } = value;
    return { name, message, stack, cause, code: (value as { code?: unknown }).code };
  }
  const { type, data } = value as { type?: unknown; data?: unknown };
  return type === 'Buffer' && Array.isArray(data) ? `[${data.length} octets]` : value;
}

function isRedacted(key: string): boolean {
  return REDACTED.test(key.replace(/[-_]/g, '').toLowerCase());
}

/** A log that writes nothing, for tests and benchmarks. */
export const silentLog: Log = { debug() {}, info() {}, warn() {}, error() {} };
