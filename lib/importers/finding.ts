/** What became of each directive of the files that were read: the report of an import. */

/**
 * `taken`: as it was. `changed`: taken, and not quite the same. `already`: Postern does so, or needs it not.
 * `impossible`: not taken, and the text names what to do instead. `aside`: it does not concern sending. `unknown`: not
 * a directive of the product as far as is known. `fault`: it could not be read.
 */
export const STATES = ['taken', 'changed', 'already', 'impossible', 'aside', 'unknown', 'fault'] as const;
export type FindingState = (typeof STATES)[number];

/** A place in a file, and the directive there. */
export interface SourcePlace {
  readonly file: string;
  /** From 1; 0 for the file as a whole. */
  readonly line: number;
  readonly directive: string;
  readonly value?: string;
}

export interface ImportFinding extends SourcePlace {
  readonly state: FindingState;
  /** What was done, or what to do instead. */
  readonly text: string;
}

/** States that a person must look at before `--apply`. */
export const OPEN: ReadonlySet<FindingState> = new Set(['impossible', 'unknown', 'fault']);

/** Findings that are kept one by one; a file of 10 MB has hundreds of thousands, and nobody reads them. */
const MOST = 20_000;

export class Findings {
  readonly list: ImportFinding[] = [];
  readonly counts: Record<FindingState, number> = {
    taken: 0,
    changed: 0,
    already: 0,
    impossible: 0,
    aside: 0,
    unknown: 0,
    fault: 0,
  };
  /** Findings that are counted and not kept. */
  left = 0;

  add(place: SourcePlace, state: FindingState, text: string): void {
    this.counts[state] += 1;
    if (this.list.length < MOST) this.list.push({ ...place, state, text });
    else this.left += 1;
  }
}

/** A value of whatever type, as the report shows it. */
export function shownValue(value: unknown): string {
  return typeof value === 'string' ? value : (JSON.stringify(value) ?? '');
}
