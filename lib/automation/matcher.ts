/**
 * Finds all patterns of all rules in one pass over a reply: an Aho-Corasick automaton (Aho and Corasick, 1975) over
 * their fragments, completed to a table, one step for each character. Matches are linked to patterns by positions
 * alone, so the work is the length of the text plus the number of fragments met in it, for any patterns and any text:
 * nothing is ever tried twice.
 *
 * The text is normalised on the way: lower case, any run of white space (and the border of a line) one blank, at most
 * `MAX_TEXT` characters. A character that occurs in no pattern leads back to the root.
 */
import type { Fragment } from './pattern.ts';

/** Maximum length of a normalised reply that is scanned, characters. */
export const MAX_TEXT = 1000;

const MAX_NODES = 65_535;

const SPACE = 32;
const ZERO = 48;
const NINE = 57;

/** Character code to normalised character: upper case to lower, control characters to a blank. */
const FOLD = Uint8Array.from({ length: 128 }, (_, code) => {
  if (code <= SPACE || code === 127) return SPACE;
  return code >= 65 && code <= 90 ? code + 32 : code;
});

/** A pattern variant and its owner. */
export interface OwnedPattern {
  owner: number;
  fragments: readonly Fragment[];
}

interface TrieNode {
  next: Map<number, number>;
  fail: number;
  /** Steps whose fragment ends here. */
  out: number[];
}

export class PatternMatcher {
  readonly #classes = new Uint8Array(128);
  #classCount = 1;
  /** Next node by `node * classCount + class`. */
  readonly #table: Uint16Array;
  /** For each node, where its steps begin in `#out`; they end where those of the next node begin. */
  readonly #outStart: Uint32Array;
  readonly #out: Uint32Array;

  // Per step (a fragment of a pattern). The previous step of the same pattern has the number before it.
  readonly #length: number[] = [];
  readonly #glue: Fragment['glue'][] = [];
  /** Owner, for the last step of a pattern; else -1. */
  readonly #owner: number[] = [];
  /** The scan in which the step was last met, and where it ended first in that scan. */
  readonly #metIn: Uint32Array;
  readonly #end: Uint16Array;
  /** For a step before digits: all its end positions, one bit each. */
  readonly #ends: (Uint32Array | undefined)[];

  /** For each character of the text: where its run of digits begins, or `NO_RUN`. */
  readonly #run = new Uint16Array(MAX_TEXT);
  #scan = 0;

  /** @throws RangeError when there are more patterns than a table can hold. */
  constructor(patterns: readonly OwnedPattern[]) {
    const nodes: TrieNode[] = [{ next: new Map(), fail: 0, out: [] }];
    for (const { owner, fragments } of patterns) {
      for (const [i, { text, glue }] of fragments.entries()) {
        const step = this.#length.length;
        this.#length.push(text.length);
        this.#glue.push(glue);
        this.#owner.push(i === fragments.length - 1 ? owner : -1);
        this.#insert(nodes, text).out.push(step);
      }
    }
    this.#metIn = new Uint32Array(this.#length.length);
    this.#end = new Uint16Array(this.#length.length);
    this.#ends = this.#glue.map((_, step) =>
      this.#glue[step + 1] === 'digits' ? new Uint32Array((MAX_TEXT >> 5) + 1) : undefined,
    );
    this.#table = new Uint16Array(nodes.length * this.#classCount);
    this.#complete(nodes);
    this.#outStart = new Uint32Array(nodes.length + 1);
    for (const [i, { out }] of nodes.entries()) this.#outStart[i + 1] = this.#outStart[i]! + out.length;
    this.#out = Uint32Array.from(nodes.flatMap(({ out }) => out));
  }

  #insert(nodes: TrieNode[], text: string): TrieNode {
    let node = nodes[0]!;
    for (let i = 0; i < text.length; i += 1) {
      const code = text.charCodeAt(i);
      if (this.#classes[code] === 0) this.#classes[code] = this.#classCount++;
      const kind = this.#classes[code]!;
      let next = node.next.get(kind);
      if (next === undefined) {
        next = nodes.push({ next: new Map(), fail: 0, out: [] }) - 1;
        if (next > MAX_NODES) throw new RangeError('more text in patterns than one set of rules can hold');
        node.next.set(kind, next);
      }
      node = nodes[next]!;
    }
    return node;
  }

  /** Builds fail links and the full table, breadth first; a node also reports the steps of its fail link. */
  #complete(nodes: TrieNode[]): void {
    const width = this.#classCount;
    const queue: number[] = [0];
    for (const index of queue) {
      const node = nodes[index]!;
      if (node.fail !== index) node.out.push(...nodes[node.fail]!.out);
      for (let kind = 0; kind < width; kind += 1) {
        const onFail = index === 0 ? 0 : this.#table[node.fail * width + kind]!;
        const next = node.next.get(kind);
        this.#table[index * width + kind] = next ?? onFail;
        if (next === undefined) continue;
        nodes[next]!.fail = onFail;
        queue.push(next);
      }
    }
  }

  /**
   * Scans the lines of a reply.
   * @param hits collects the owner of every pattern found; an owner may appear more than once.
   * @returns the work done: characters plus fragments met.
   */
  scan(lines: readonly string[], hits: number[]): number {
    this.#scan += 1;
    const table = this.#table;
    const width = this.#classCount;
    const outStart = this.#outStart;
    let at = 0;
    let node = 0;
    let work = 0;
    let blank = false;
    let runAt = NO_RUN;
    for (const line of lines) {
      // A blank before and behind each line, so that a pattern may require the border of a word.
      for (let i = -1; i <= line.length; i += 1) {
        const raw = i < 0 || i === line.length ? SPACE : line.charCodeAt(i);
        const code = raw < 128 ? FOLD[raw]! : 0;
        if (code === SPACE && blank) continue;
        if (at === MAX_TEXT) return work;
        blank = code === SPACE;
        if (code < ZERO || code > NINE) runAt = NO_RUN;
        else if (runAt === NO_RUN) runAt = at;
        this.#run[at] = runAt;
        at += 1;
        node = table[node * width + this.#classes[code]!]!;
        const end = outStart[node + 1]!;
        for (let o = outStart[node]!; o < end; o += 1) this.#meet(this.#out[o]!, at, hits);
        work += 1 + end - outStart[node]!;
      }
    }
    return work;
  }

  /** Handles a step whose fragment ends before `end`. */
  #meet(step: number, end: number, hits: number[]): void {
    const scan = this.#scan;
    if (this.#glue[step] !== 'start') {
      if (this.#metIn[step - 1] !== scan) return;
      const start = end - this.#length[step]!;
      const fits =
        this.#glue[step] === 'gap' ? this.#end[step - 1]! <= start : this.#behindDigits(step, start);
      if (!fits) return;
    }
    const owner = this.#owner[step]!;
    if (owner >= 0) {
      hits.push(owner);
      return;
    }
    const ends = this.#ends[step];
    if (this.#metIn[step] !== scan) {
      this.#metIn[step] = scan;
      // The first end leaves most room for the text behind a gap.
      this.#end[step] = end;
      ends?.fill(0);
    }
    if (ends !== undefined) ends[end >> 5]! |= 1 << (end & 31);
  }

  /** Whether only digits, and at least one, lie between the step before and `start`. */
  #behindDigits(step: number, start: number): boolean {
    const run = start === 0 ? NO_RUN : this.#run[start - 1]!;
    return run !== NO_RUN && (this.#ends[step - 1]![run >> 5]! & (1 << (run & 31))) !== 0;
  }
}

/** Marks a character that is not a digit. */
const NO_RUN = 0xffff;
