/**
 * The learnt state of the sites that one IP sends to, which survives restarts and moves from node to node with the
 * IP.
 *
 * ```
 *  restore (the lease was taken) ─► open ── what was learnt, every few seconds when it changed ──► close: all of it,
 *                                    └── the process dies ──► the next one finds "open"            and every pacer
 * ```
 * Pacers move with each message and are written only at the end. A node that finds a memory open cannot tell how much
 * was sent last, and begins everywhere as if all that a limit permits had just been sent: a day limit of 24 is then
 * silent for an hour. So no limit is exceeded after a crash of any process, and messages pay nothing for it.
 */

import { HOUR } from '../time.ts';
import type { HeldRate } from './feedback/message-rate.ts';

/** A site that could not be reached, and is left alone. */
export interface Down {
  /** Whether it concerns connections with required TLS, which can fail where others work. */
  tls: boolean;
  /** Cohorts of faults in a row. */
  failures: number;
  until: number;
  code: string;
  text: string;
}

/** The state of an IP at one site. Times since the epoch, ms. */
export interface SiteMemory {
  /** When it was last updated. */
  at: number;
  /** Maximum of open connections, when faults have lowered it. */
  window?: number;
  rate?: HeldRate;
  down?: Down;
  /** Positions of the pacers. */
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

/** The JSON value of `leases.saveCheckpoint(shapingName(ip), …)`. */
export interface ShapingCheckpoint {
  v: number;
  ip: string;
  /** Whether it includes all sent messages, except those before `unknown`. */
  closed: boolean;
  /** Until when more may have been sent than it includes, ms; 0: never. */
  unknown: number;
  sites: SiteRow[];
}

const VERSION = 1;
/** How long learnt state is kept, ms: a held rate has recovered by then. */
export const LEARNT_TTL = HOUR;
/** Waits shorter than this are over before another node has the IP, ms. */
const PASSING = 250;
/**
 * Maximum size of the rows: while the IP sends, and when it is closed, characters. DynamoDB bills each begun KiB, and
 * ends at 400.
 */
const OPEN_SIZE = 8_000;
const CLOSED_SIZE = 200_000;
const MAX_TEXT = 200;

export function shapingName(ip: string): string {
  return `shaping:${ip}`;
}

/** A memory without its learnt state: only the positions of sent messages, against which limits are counted. */
export function withoutLessons({ message, connection, counters }: SiteMemory): SiteMemory {
  return { at: 0, message, connection, counters };
}

/** The kinds of learnt state in a memory. */
export function lessonsOf({ window, rate, down }: SiteMemory): Lesson[] {
  const lessons: Lesson[] = [];
  if (rate !== undefined) lessons.push('messageRate');
  if (window !== undefined) lessons.push('connections');
  if (down !== undefined) lessons.push('backOff');
  return lessons;
}

/** The part of a memory worth storing; undefined: none. @param last with the positions of pacers. */
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
 * Writes a checkpoint.
 * @param rows of `worthKeeping`. The most recently updated come first, and rows that do not fit are left out.
 * @param unknown until when more may have been sent than the rows show.
 * @param last all messages have ended: rows that are left out do not affect the next one.
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
 * Parses a checkpoint from storage. An unreadable one (of a newer program, or damaged) counts as left open, with no
 * site in it.
 * @returns undefined for an IP without any mail until now.
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
