/** System calls of a process as `strace -f -y -xx` writes them, in the order in which they ended. */
import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';

/** What a call did to a file or a socket. */
export type TracedCall =
  | { kind: 'write'; path: string; at: number | 'end'; bytes: Buffer }
  | { kind: 'sync'; path: string }
  | { kind: 'truncate'; path: string; size: number }
  | { kind: 'remove'; path: string };

/** The calls that are traced. */
export const CALLS = [
  ...['write', 'writev', 'pwrite64', 'pwritev'],
  ...['fsync', 'fdatasync', 'ftruncate', 'unlink', 'unlinkat', 'open', 'openat'],
];

const UNFINISHED = / <unfinished \.\.\.>$/;
const RESUMED = /^<\.\.\. (\w+) resumed>(.*)$/;
/** Name, arguments and result. */
const CALL = /^(\w+)\((.*)\)\s+= (-?\d+)/;

/** Reads the calls of a trace that did something. */
export async function* readTrace(path: string): AsyncGenerator<TracedCall> {
  const begun = new Map<string, string>();
  const lines = createInterface({
    input: createReadStream(path, 'latin1'),
    crlfDelay: Number.POSITIVE_INFINITY,
  });
  for await (const line of lines) {
    const blank = line.indexOf(' ');
    const thread = line.slice(0, blank);
    let text = line.slice(blank).trimStart();
    if (UNFINISHED.test(text)) {
      begun.set(thread, text.replace(UNFINISHED, ''));
      continue;
    }
    const resumed = RESUMED.exec(text);
    if (resumed) text = (begun.get(thread) ?? '') + resumed[2]!;
    const call = CALL.exec(text);
    if (call && Number(call[3]) >= 0) yield* callOf(call[1]!, call[2]!, Number(call[3]));
  }
}

function* callOf(name: string, given: string, result: number): Generator<TracedCall> {
  if (name === 'open' || name === 'openat') {
    if (given.includes('O_TRUNC')) yield { kind: 'truncate', path: stringsOf(given)[0]!.toString(), size: 0 };
    return;
  }
  if (name === 'unlink' || name === 'unlinkat') {
    yield { kind: 'remove', path: stringsOf(given)[0]!.toString() };
    return;
  }
  const path = decode(/^\d+<([^>]*)>/.exec(given)?.[1] ?? '').toString();
  if (name === 'fsync' || name === 'fdatasync') yield { kind: 'sync', path };
  else if (name === 'ftruncate') yield { kind: 'truncate', path, size: Number(/, (\d+)$/.exec(given)![1]) };
  else {
    const bytes = Buffer.concat(stringsOf(given)).subarray(0, result);
    const at = name.startsWith('pwrite') ? Number(/, (\d+)$/.exec(given)![1]) : 'end';
    yield { kind: 'write', path, at, bytes };
  }
}

/** The strings among the arguments of a call. */
function stringsOf(given: string): Buffer[] {
  return [...given.matchAll(/"([^"]*)"/g)].map(([, hex]) => decode(hex!));
}

/** `\x41\x42` as bytes. */
function decode(text: string): Buffer {
  return text.startsWith('\\x')
    ? Buffer.from(text.replaceAll('\\x', ''), 'hex')
    : Buffer.from(text, 'latin1');
}
