/** The capacity of the machine, and the share of a process. */
import { execFile } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { promisify } from 'node:util';

/**
 * RSA-2048 signatures/s on both cores of the machine: the yardstick of the throughput figures.
 * @throws when `openssl` is not installed.
 */
export async function rsaLimit(seconds = 3): Promise<number> {
  const { stdout } = await promisify(execFile)('openssl', [
    'speed',
    '-seconds',
    String(seconds),
    '-multi',
    '2',
    'rsa2048',
  ]);
  const rate = /rsa\s+2048 bits\s+\S+\s+\S+\s+([\d.]+)/.exec(stdout)?.[1];
  if (!rate) throw new Error(`openssl speed printed no rate:\n${stdout}`);
  return Number(rate);
}

/** CPU time in µs (user and system) in the `stat` file of a process or a thread. */
function statMicros(path: string): number {
  const stat = readFileSync(path, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  // utime and stime, in clock ticks of 10 ms.
  return (Number(fields[11]) + Number(fields[12])) * 10_000;
}

/** CPU time in µs (user and system, all threads) that a process has used. */
export function cpuMicros(pid: number): number {
  return statMicros(`/proc/${pid}/stat`);
}

/**
 * CPU time in µs of processes and all that descend from them. Those that have ended count as long as their parents have
 * waited for them.
 */
export function treeMicros(roots: readonly number[]): number {
  const stats = new Map<number, { parent: number; micros: number }>();
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    try {
      const stat = readFileSync(`/proc/${name}/stat`, 'utf8');
      const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
      // utime, stime, and both of the children that were waited for, in clock ticks of 10 ms.
      const ticks = fields.slice(11, 15).reduce((sum, field) => sum + Number(field), 0);
      stats.set(Number(name), { parent: Number(fields[1]), micros: ticks * 10_000 });
    } catch {
      // It has ended since it was listed.
    }
  }
  const within = (pid: number): boolean => {
    for (let at: number | undefined = pid; at !== undefined; at = stats.get(at)?.parent)
      if (roots.includes(at)) return true;
    return false;
  };
  let sum = 0;
  for (const [pid, { micros }] of stats) if (within(pid)) sum += micros;
  return sum;
}

const THREADS: Record<string, string> = {
  MainThread: 'event loop',
  'libuv-worker': 'signing',
  WorkerThread: 'storage',
  V8Worker: 'V8 helpers',
};

/**
 * CPU time in µs by kind of thread of a Node process. The signing threads do one RSA signature a message, so that the
 * others divided by theirs can be compared between runs, however fast or busy the machine was.
 */
export function threadMicros(pid: number): Record<string, number> {
  const sums: Record<string, number> = Object.fromEntries(Object.values(THREADS).map((name) => [name, 0]));
  for (const thread of readdirSync(`/proc/${pid}/task`)) {
    const directory = `/proc/${pid}/task/${thread}`;
    const name = THREADS[readFileSync(`${directory}/comm`, 'utf8').trim()];
    if (name) sums[name]! += statMicros(`${directory}/stat`);
  }
  return sums;
}

/** Resident memory of a process in MB. */
export function residentMb(pid: number): number {
  const kb = /VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
  return Number(kb ?? 0) / 1024;
}

/** The value below which a share of sorted numbers lies. */
export function quantile(sorted: Float64Array, share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}

/** Rows as a text table. */
export function table(rows: Record<string, string | number>[]): string {
  const names = Object.keys(rows[0] ?? {});
  const cells = [names, ...rows.map((row) => names.map((name) => String(row[name] ?? '')))];
  const widths = names.map((_, i) => Math.max(...cells.map((line) => line[i]!.length)));
  return cells
    .map((line) =>
      line
        .map((cell, i) => cell.padEnd(widths[i]!))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}
