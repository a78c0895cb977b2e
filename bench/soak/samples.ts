/** What a soak watches of a process, and whether it stayed flat. */
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { residentMb } from '../support/machine.ts';

export interface Sample {
  /** Since the start of the load, minutes. */
  at: number;
  resident: number;
  descriptors: number;
  files: number;
  disk: number;
  loop: number;
  waiting: number;
  age: number;
  rate: number;
}

/** A figure of the samples: how it is plotted, and by how much its second half may lie above the first. */
export interface Figure {
  of: Exclude<keyof Sample, 'at'>;
  name: string;
  title: string;
  /** Growth that is allowed, as a share of the first half and in units of the figure: the larger counts. */
  allowed: { share: number; units: number };
}

export const FIGURES: readonly Figure[] = [
  { of: 'resident', name: 'MB', title: 'Resident memory', allowed: { share: 0.05, units: 10 } },
  { of: 'descriptors', name: 'open', title: 'File descriptors', allowed: { share: 0.1, units: 20 } },
  { of: 'files', name: 'files', title: 'Files in the data directory', allowed: { share: 0, units: 2 } },
  { of: 'disk', name: 'MB', title: 'Data directory', allowed: { share: 0.15, units: 16 } },
  { of: 'loop', name: 'ms', title: 'Event loop delay, p99', allowed: { share: 0.5, units: 10 } },
  { of: 'waiting', name: 'deliveries', title: 'Deliveries that wait', allowed: { share: 0.25, units: 500 } },
  {
    of: 'age',
    name: 'ms',
    title: 'Accept to arrival where mail is taken at once, p99',
    allowed: { share: 0.5, units: 100 },
  },
  {
    of: 'rate',
    name: 'messages/s',
    title: 'Arrivals where mail is taken at once',
    allowed: { share: 0.1, units: 5 },
  },
];

/** Open descriptors of a process. */
export function descriptors(pid: number): number {
  return readdirSync(`/proc/${pid}/fd`).length;
}

/** Files below a directory and their bytes. */
export function usage(directory: string): { files: number; bytes: number } {
  let files = 0;
  let bytes = 0;
  for (const entry of readdirSync(directory, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    files += 1;
    // A file may go between the listing and this.
    bytes += statSync(join(entry.parentPath, entry.name), { throwIfNoEntry: false })?.size ?? 0;
  }
  return { files, bytes };
}

export function memory(pid: number): number {
  return residentMb(pid);
}

function mean(values: number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

/**
 * Compares the last quarter with the quarter before it: what leaks grows in both. The first half is warm-up: caches
 * fill, records reach the age at which they are removed.
 */
export function verdict(
  figure: Figure,
  samples: readonly Sample[],
): { before: number; after: number; flat: boolean } {
  const half = samples.slice(Math.floor(samples.length / 2));
  const middle = Math.floor(half.length / 2);
  const before = mean(half.slice(0, middle).map((sample) => sample[figure.of]));
  const after = mean(half.slice(middle).map((sample) => sample[figure.of]));
  const allowed = Math.max(figure.allowed.share * before, figure.allowed.units);
  return { before, after, flat: after - before <= allowed };
}
