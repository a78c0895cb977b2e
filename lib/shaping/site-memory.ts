/**
 * What has been learnt of the sites that one IP sends to, as it is stored between restarts and handed from node to
 * node with the IP.
 *
 * ```
 *  restore (the lease was taken) ─► open ── what was learnt, every few seconds when it changed ──► close: all of it,
 *                                    └── the process dies ──► the next one finds "open"            and every pacer
 * ```
 * Pacers move with each message and are written only in the end. Who finds a memory open does not know what was
 * sent last, and begins everywhere as if all that a limit allows had just been sent: a day limit of 24 is then
 * silent for an hour. So no limit is exceeded, whichever process dies, and the way of a message pays nothing for it.
 */
import type { HeldRate } from './feedback/message-rate.ts';

/** A site that could not be reached, and is left alone. */
export interface Down {
  /** The way with required TLS, which can fail where the other works. */
  tls: boolean;
  /** Cohorts of faults in a row. */
  failures: number;
  until: number;
  code: string;
  text: string;
}

/** What is known of an IP at one site. Times in ms since the epoch. */
export interface SiteMemory {
  /** When it was last learnt from. */
  at: number;
  /** Connections that may be open, when faults have lowered them. */
  window?: number;
  rate?: HeldRate;
  down?: Down;
  /** Places of the pacers. */
  message?: number;
  connection?: number;
  counters?: Record<string, number>;
}

/** What an IP has learnt of a site. */
export type Lesson = 'messageRate' | 'connections' | 'messagesPerConnection' | 'backOff';

/** What was forgotten of a site. */
export interface ForgottenLessons {
  /** Source addresses that had learnt something of it; without `ip` the host's default. */
  sources: { ip?: string; lessons: Lesson[] }[];
  /** MX hosts of which it was remembered how they are spoken to: TLS, PIPELINING, CHUNKING. */
  hosts: string[];
}

export interface SiteRow extends SiteMemory {
  site: string;
}

/** JSON; the value of `leases.saveCheckpoint(shapingName(ip), …)`. */
export interface ShapingCheckpoint {
  v: number;
  ip: string;
  /** All that was sent is in it, but for what is `unknown`. */
  closed: boolean;
  /** Until then more may have been sent than is in it, ms; 0: never. */
  unknown: number;
  sites: SiteRow[];
}

const VERSION = 1;
/** How long a lesson is kept, ms: a rate that is held has come back by then. */
export const LEARNT_TTL = 3_600_000;
/** Waits shorter than this are over before another node has the IP, ms. */
const PASSING = 250;
/** Characters of rows: while it sends, when it is closed. DynamoDB bills each begun KiB, and ends at 400. */
const OPEN_SIZE = 8_000;
const CLOSED_SIZE = 200_000;
const MAX_TEXT = 200;

export function shapingName(ip: string): string {
  return `shaping:${ip}`;
}

/** The same without what was learnt: only what was sent, which limits are held against. */
export function withoutLessons({ message, connection, counters }: SiteMemory): SiteMemory {
  return { at: 0, message, connection, counters };
}

/** What was learnt. */
export function lessonsOf({ window, rate, down }: SiteMemory): Lesson[] {
  const lessons: Lesson[] = [];
  if (rate !== undefined) lessons.push('messageRate');
  if (window !== undefined) lessons.push('connections');
  if (down !== undefined) lessons.push('backOff');
  return lessons;
}

/** What of a memory is worth keeping; undefined: nothing. @param last with the places of pacers. */
export function worthKeeping(memory: SiteMemory, now: number, last: boolean): SiteMemory | undefined {
  const { at, window, rate, down } = memory;
  const kept: SiteMemory = { at };
  if (now - at < LEARNT_TTL) {
    if (window !== undefined) kept.window = window;
    if (rate !== undefined) kept.rate = rate;
    if (down !== undefined) kept.down = { ...down, text: down.text.slice(0, MAX_TEXT) };
  }
  if (last) {
    const bears = (next: number | undefined): next is number => next !== undefined && next > now + PASSING;
    if (bears(memory.message)) kept.message = memory.message;
    if (bears(memory.connection)) kept.connection = memory.connection;
    const counters = Object.entries(memory.counters ?? {}).filter(([, next]) => bears(next));
    if (counters.length > 0) kept.counters = Object.fromEntries(counters);
  }
  return Object.keys(kept).length > 1 ? kept : undefined;
}

/**
 * @param rows of `worthKeeping`. Those that were learnt from last come first, and what does not fit is left out.
 * @param unknown until when more may have been sent than the rows say.
 * @param last everything has ended: what is not in it has no bearing on what comes.
 */
export function writeShaping(
  ip: string,
  rows: readonly SiteRow[],
  unknown: number,
  last: boolean,
): ShapingCheckpoint {
  const sites: SiteRow[] = [];
  let room = last ? CLOSED_SIZE : OPEN_SIZE;
  for (const row of rows.toSorted((a, b) => b.at - a.at)) {
    room -= JSON.stringify(row).length;
    if (room < 0) break;
    sites.push(row);
  }
  return { v: VERSION, ip, closed: last && sites.length === rows.length, unknown, sites };
}

/**
 * A checkpoint as it was read from storage. One that cannot be read (it is of a newer program, or damaged) says
 * that there was something, and not what: it is as if left open, with no site in it.
 * @returns undefined for an IP that nothing was ever sent from.
 */
export function readShaping(value: unknown, ip: string): ShapingCheckpoint | undefined {
  if (value === undefined) return undefined;
  const checkpoint = (value ?? {}) as ShapingCheckpoint;
  const { v, ip: of, closed, unknown, sites } = checkpoint;
  const head = v === VERSION && of === ip && typeof closed === 'boolean' && isNumber(unknown);
  if (head && Array.isArray(sites) && sites.every(isRow)) return checkpoint;
  return { v: VERSION, ip, closed: false, unknown: 0, sites: [] };
}

const RATE = ['ceiling', 'floor', 'since', 'regain', 'pauses', 'silentSince', 'pausedUntil'] as const;

function isRow(row: SiteRow | null): boolean {
  if (typeof row !== 'object' || row === null || typeof row.site !== 'string' || !isNumber(row.at))
    return false;
  const { window, rate, down, message = 0, connection = 0, counters = {} } = row;
  return (
    isNumber(window ?? 1) &&
    (rate === undefined || RATE.every((member) => isNumber(rate?.[member]))) &&
    (down === undefined ||
      (typeof down?.tls === 'boolean' &&
        isNumber(down.failures) &&
        isNumber(down.until) &&
        typeof down.code === 'string' &&
        typeof down.text === 'string')) &&
    [message, connection, ...Object.values(counters ?? { none: '' })].every(isNumber)
  );
}

function isNumber(value: unknown): boolean {
  return typeof value === 'number' && value >= 0;
}
