/** Reads Postfix's `main.cf` and `master.cf` (postconf(5), master(5)). Pure. */
import { DAY, HOUR, MINUTE, SECOND } from '../../time.ts';

/** A parameter as it is set last. */
export interface PostfixParameter {
  readonly name: string;
  readonly value: string;
  readonly line: number;
}

/** A service of `master.cf` that delivers by SMTP, or any other. */
export interface MasterService {
  readonly name: string;
  readonly type: string;
  /** Processes at most; undefined: the default. */
  readonly processes: number | undefined;
  readonly command: string;
  /** `-o name=value`, in this service alone. */
  readonly overrides: readonly PostfixParameter[];
  readonly line: number;
}

interface LogicalLine {
  text: string;
  line: number;
}

/** Joins continued lines (they begin with white space), and leaves comments and empty lines out. */
export function logicalLines(lines: readonly string[]): LogicalLine[] {
  const found: LogicalLine[] = [];
  for (const [i, line] of lines.entries()) {
    if (/^\s*(#|$)/.test(line)) continue;
    const last = found.at(-1);
    if (/^\s/.test(line) && last) last.text += ` ${line.trim()}`;
    else found.push({ text: line.trim(), line: i + 1 });
  }
  return found;
}

/** The parameters of `main.cf`, and the lines that are none. */
export function readMainCf(lines: readonly string[]): {
  parameters: Map<string, PostfixParameter>;
  wrong: LogicalLine[];
} {
  const parameters = new Map<string, PostfixParameter>();
  const wrong: LogicalLine[] = [];
  for (const { text, line } of logicalLines(lines)) {
    const parts = /^([A-Za-z0-9_][\w-]*)\s*=\s*(.*)$/s.exec(text);
    if (parts === null) wrong.push({ text, line });
    else parameters.set(parts[1]!, { name: parts[1]!, value: parts[2]!.trim(), line });
  }
  return { parameters, wrong };
}

export function readMasterCf(lines: readonly string[]): { services: MasterService[]; wrong: LogicalLine[] } {
  const services: MasterService[] = [];
  const wrong: LogicalLine[] = [];
  for (const { text, line } of logicalLines(lines)) {
    const parts = /^(\S+)\s+(\S+)\s+\S+\s+\S+\s+\S+\s+\S+\s+(\S+)\s+(\S+)(.*)$/s.exec(text);
    if (parts === null) {
      wrong.push({ text, line });
      continue;
    }
    const [, name, type, processes, command, rest] = parts;
    services.push({
      name: name!,
      type: type!,
      processes: /^\d+$/.test(processes!) ? Number(processes) : undefined,
      command: command!,
      overrides: overridesOf(rest!, line),
      line,
    });
  }
  return { services, wrong };
}

/** `-o name=value`, `-o { name = value }` and the old `-oname=value`. */
function overridesOf(text: string, line: number): PostfixParameter[] {
  const form = /-o\s*(?:\{\s*([\w-]+)\s*=\s*([^}]*)\}|([\w-]+)=(\S*))/g;
  return Array.from(text.matchAll(form), ([, braced, bracedValue, name, value]) => ({
    name: braced ?? name!,
    value: (bracedValue ?? value ?? '').trim(),
    line,
  }));
}

const DEEPEST = 20;
/** Expansions of one value: parameters that name each other twice would double at each step. */
const MOST_NAMES = 1_000;
const LONGEST_VALUE = 64 * 1024;
const NAMED = /\$(?:\$|\{([^{}?:]+)(?:([?:])([^{}]*))?\}|\(([^()]+)\)|([A-Za-z0-9_]+))/g;

/** Expands `$name`, `${name}`, `${name?text}` and `${name:text}`; a name without a value is empty. */
export function expand(text: string, settingOf: (name: string) => string | undefined): string {
  let left = MOST_NAMES;
  const within = (part: string, depth: number): string => {
    if (depth > DEEPEST || part.length > LONGEST_VALUE) return '';
    return part.replace(NAMED, (all, braced, mark, then, round, bare) => {
      if (all === '$$') return '$';
      left -= 1;
      if (left < 0) return '';
      const value = settingOf((braced ?? round ?? bare) as string);
      const isSet = value !== undefined && value !== '';
      if (mark === '?') return isSet ? within(then as string, depth + 1) : '';
      if (isSet) return within(value, depth + 1);
      return mark === ':' ? within(then as string, depth + 1) : '';
    });
  };
  return within(text, 0).slice(0, LONGEST_VALUE);
}

const UNITS: Readonly<Record<string, number>> = { s: SECOND, m: MINUTE, h: HOUR, d: DAY, w: 7 * DAY };

/** A time as Postfix writes it, ms; undefined for anything else. @param unit of a bare number. */
export function timeOf(text: string, unit = 's'): number | undefined {
  const parts = /^(\d{1,9})([smhdw]?)$/i.exec(text.trim());
  if (parts === null) return undefined;
  return Number(parts[1]) * UNITS[parts[2]!.toLowerCase() || unit]!;
}

/** A host of `relayhost` and of transports: `[host]:port`, `host:port`, `inet:host:port`. */
export function nextHopOf(text: string): { host: string; port: number; byMx: boolean } | undefined {
  const parts = /^(?:inet:)?(?:\[([^\]]+)\]|([^\s:[\]]+))(?::(\d{1,5}|[a-z][\w-]*))?$/i.exec(text.trim());
  if (parts === null) return undefined;
  const [, exact, byMx, service] = parts;
  const port = service === undefined ? 25 : (SERVICES[service.toLowerCase()] ?? Number(service));
  const host = (exact ?? byMx!).replace(/^ipv6:/i, '');
  if (!Number.isInteger(port) || port < 1 || port > 65_535) return undefined;
  return { host, port, byMx: exact === undefined };
}

const SERVICES: Readonly<Record<string, number>> = {
  smtp: 25,
  submission: 587,
  smtps: 465,
  submissions: 465,
};

/** Rows of a look-up table in its source text: `key value`, with continuation. */
export function readTable(lines: readonly string[]): { key: string; value: string; line: number }[] {
  return logicalLines(lines).flatMap(({ text, line }) => {
    const parts = /^(\S+)\s+(.*)$/s.exec(text);
    return parts ? [{ key: parts[1]!, value: parts[2]!.trim(), line }] : [];
  });
}
