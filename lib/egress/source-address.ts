/**
 * A source address, and the limits that hold for it at all destinations. Mail leaves from it only while
 * this node holds its lease (law 3), so that every count here is the whole truth about that IP.
 */
import type { LeaseHolder } from '../engine/ports.ts';
import { familyOf } from '../ip.ts';
import type { Constraint } from '../shaping/constraint.ts';
import { PathLimiter } from '../shaping/path-limiter.ts';
import {
  LEARNT_TTL,
  type Lesson,
  lessonsOf,
  type ShapingCheckpoint,
  type SiteMemory,
  type SiteRow,
  withoutLessons,
  worthKeeping,
  writeShaping,
} from '../shaping/site-memory.ts';
import { ConnectionLimits } from './connection-limits.ts';

/** Nothing is begun in the last moments of a lease: transactions end before another node may begin, ms. */
const MARGIN = 4_000;
/** Nothing at all is sent in its very last ones: what the kernel has taken must have left, ms. */
const LEAST = 1_000;

/** A lease that is not held is taken over within about this time, or is not, ms. */
const LEASE_WAIT = 10_000;

export class SourceAddress {
  /** The address that the world sees; undefined: the host chooses. */
  readonly ip: string | undefined;
  /** The address of this host that stands for it. */
  readonly local: string | undefined;
  /** The IP, as limits and directives name it; `default` where the host chooses. */
  readonly name: string;
  readonly family: 0 | 4 | 6;
  readonly ehloName: string;
  /** On whose behalf its checkpoints are read and written. */
  readonly holder: LeaseHolder | undefined;
  /** End of the lease on the IP, ms; 0 while it is not ours. */
  heldUntil = 0;
  /** It was usable when its lease was last looked at. */
  inUse = false;
  /** Why it may not be used, for a person. */
  trouble = 'Its lease has not been taken yet.';
  /** Deliveries in flight from it. */
  held = 0;
  readonly connections = new ConnectionLimits();
  readonly #limiters = new Map<string, PathLimiter>();
  /** What is known of sites that nothing was sent to since this node has it. */
  readonly #remembered = new Map<string, SiteMemory>();
  /** Until then more may have been sent than is known, ms. */
  #unknown = 0;

  /** @param holder the lease on the IP and its owner; undefined where the host chooses. */
  constructor(ip: string | undefined, ehloName: string, local = ip, holder?: LeaseHolder) {
    this.ip = ip;
    this.holder = holder;
    this.local = local;
    this.name = ip ?? 'default';
    this.family = ip === undefined ? 0 : familyOf(ip);
    this.ehloName = ehloName;
  }

  /** Whether mail may begin to leave from it now. */
  usable(now: number): boolean {
    return this.heldUntil - MARGIN > now;
  }

  /** Whether what has begun may go on. */
  mayGoOn(now: number): boolean {
    return this.heldUntil - LEAST > now;
  }

  /** What keeps mail from leaving from it. */
  *constraints(now: number): Iterable<Constraint> {
    if (this.usable(now)) return;
    const { trouble } = this;
    yield {
      limit: 'source IP',
      word: 'source IP',
      value: trouble,
      origin: 'leases',
      wait: LEASE_WAIT,
      code: 'no_source_ip',
      text: trouble,
    };
  }

  /** Counts what is sent from it to a site. */
  limiter(site: string): PathLimiter {
    let limiter = this.#limiters.get(site);
    if (limiter === undefined) {
      limiter = new PathLimiter(this.#remembered.get(site), this.#unknown);
      this.#remembered.delete(site);
      this.#limiters.set(site, limiter);
    }
    return limiter;
  }

  /**
   * Goes on where its owner before left off.
   * @param checkpoint undefined: it never had an owner.
   * @param forgotten when a site was last to be forgotten, ms: what was learnt of it until then is left out.
   */
  resume(checkpoint: ShapingCheckpoint | undefined, now: number, forgotten: (site: string) => number): void {
    this.#limiters.clear();
    this.#remembered.clear();
    this.#unknown = checkpoint === undefined ? 0 : checkpoint.closed ? checkpoint.unknown : now;
    for (const { site, ...memory } of checkpoint?.sites ?? [])
      this.#remembered.set(site, memory.at <= forgotten(site) ? withoutLessons(memory) : memory);
  }

  /** What its next owner can go on from. @param last nothing more is sent from it here. */
  checkpoint(now: number, last: boolean): ShapingCheckpoint {
    const rows: SiteRow[] = [];
    const keep = (site: string, memory: SiteMemory): void => {
      const kept = worthKeeping(memory, now, last);
      if (kept !== undefined) rows.push({ site, ...kept });
    };
    for (const [site, memory] of this.#remembered) keep(site, memory);
    for (const [site, limiter] of this.#limiters) {
      if (last || now - limiter.learntAt < LEARNT_TTL) keep(site, limiter.memory);
    }
    return writeShaping(this.name, rows, this.#unknown, last);
  }

  /** The limiter of a site, for a look at it: what was never used is not kept. */
  peekLimiter(site: string): PathLimiter {
    return this.#limiters.get(site) ?? new PathLimiter(this.#remembered.get(site), this.#unknown);
  }

  /** The limiter of a site that was used. */
  knownLimiter(site: string): PathLimiter | undefined {
    return this.#limiters.get(site);
  }

  /** Drops the limiter of a site on which nothing of the past bears. */
  forget(site: string): void {
    this.#limiters.delete(site);
  }

  /** Forgets what was learnt of a site. @returns what that was. */
  forgetLessons(site: string, now: number): Lesson[] {
    const limiter = this.#limiters.get(site);
    if (limiter !== undefined) return limiter.forget(now);
    const memory = this.#remembered.get(site);
    if (memory === undefined) return [];
    this.#remembered.set(site, withoutLessons(memory));
    return lessonsOf(memory);
  }
}
