/** TOML with the line of each value, which the parser does not tell. */
import { parse, TomlError } from 'smol-toml';
import { SourceFault } from '../source-files.ts';

export type TomlTable = { [key: string]: unknown };

export interface TomlSource {
  readonly table: TomlTable;
  /** Line of a path of keys, or of the nearest table around it. */
  lineOf(path: readonly (string | number)[]): number;
}

/** @throws SourceFault with the line of the fault. */
export function readToml(lines: readonly string[]): TomlSource {
  let table: TomlTable;
  try {
    table = parse(lines.join('\n')) as TomlTable;
  } catch (error) {
    if (!(error instanceof TomlError)) throw error;
    const [what = ''] = error.message.split('\n');
    throw new SourceFault(
      `is no valid TOML at line ${error.line}, column ${error.column}: ${what.replace(/^Invalid TOML document: /, '')}`,
    );
  }
  const known = linesByPath(lines);
  return {
    table,
    lineOf(path) {
      for (let length = path.length; length > 0; length -= 1) {
        const line = known.get(JSON.stringify(path.slice(0, length)));
        if (line !== undefined) return line;
      }
      return 0;
    },
  };
}

/** Lines of tables and keys that begin a line; the document is valid TOML. */
function linesByPath(lines: readonly string[]): ReadonlyMap<string, number> {
  const found = new Map<string, number>();
  const counts = new Map<string, number>();
  let table: (string | number)[] = [];
  const put = (path: readonly (string | number)[], line: number): void => {
    const key = JSON.stringify(path);
    if (!found.has(key)) found.set(key, line);
  };
  for (const [i, raw] of lines.entries()) {
    const line = raw.trim();
    const header = /^(\[{1,2})([^#]*?)\]{1,2}\s*(#.*)?$/.exec(line.length > 1_000 ? '' : line);
    if (header) {
      const keys = keysOf(header[2]!.replace(/\]+$/, ''));
      if (header[1] === '[[') {
        const name = JSON.stringify(keys);
        const index = counts.get(name) ?? 0;
        counts.set(name, index + 1);
        put(keys, i + 1);
        table = [...keys, index];
      } else table = keys;
      put(table, i + 1);
      continue;
    }
    const equals = line.indexOf('=');
    if (equals > 0 && equals < 256 && !line.startsWith('#'))
      put([...table, ...keysOf(line.slice(0, equals))], i + 1);
  }
  return found;
}

/** `pool."a.b".c` as its keys; none for text that is no key. */
function keysOf(text: string): (string | number)[] {
  const keys: string[] = [];
  for (const [, double, single, bare] of text.matchAll(/"((?:[^"\\]|\\.)*)"|'([^']*)'|([\w-]+)/g)) {
    keys.push(double ?? single ?? bare!);
  }
  return keys;
}

export function isTable(value: unknown): value is TomlTable {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Date);
}
