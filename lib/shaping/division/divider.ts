/**
 * Divides a limit between those that report a need, as the one process that may write its division.
 *
 * Nobody is granted what another may still hold: see `terms.ts`. Units are taken from a holder only when another one
 * needs them; a division that serves everybody stays as it is.
 */
import { MINUTE } from '../../time.ts';
import { maxMin } from './max-min.ts';
import { readDivision, writeDivision } from './stored.ts';
import { FOR_GOOD, type Grant, type HolderReport, TERM, WHILE_RUNNING } from './terms.ts';
import { AGES, UseLog, usedAt } from './use-log.ts';

/** Of a limit over a longer span a holder gets what it can use within this time, ms: the rest is not lost with it. */
const AHEAD = MINUTE;
/** A need that is smaller than this part of a share takes nothing from others. */
const SMALL = 1 / 20;
/** How long some have their turn where there are fewer units than holders, ms. */
const TURN = 30_000;
/** Messages that a pacer may begin beyond its pace. */
const BURST = 2;
/** In place of the count of a report that is not there. */
const LOST = -1;

/** A holder that has not ended. */
interface Live {
  readonly id: string;
  readonly report: HolderReport;
  readonly grant: Grant | undefined;
  /** It has applied its last grant, so that another one can follow. */
  readonly confirmed: boolean;
  /** Units that it may hold. */
  readonly most: number;
}

export class Divider {
  readonly #span: number;
  readonly #grants: Map<string, Grant>;
  readonly #ended: Map<string, number>;
  readonly #gone: UseLog;
  #epoch: number;
  #turn: number;
  #turnedAt: number;
  #spent: boolean;
  #needy = false;
  #ages: readonly number[];
  /** Since when a report is seen unchanged, by holder. */
  readonly #seen = new Map<string, { count: number; since: number }>();

  /**
   * @param span how long a unit is in use, ms. @param stored the division as it was left.
   * @throws PosternError `storage_too_new` when a newer version has written it.
   */
  constructor(span: number, stored: unknown, now: number) {
    const division = readDivision(stored);
    this.#span = span;
    this.#grants = new Map(division?.grants);
    this.#ended = new Map(division?.ended);
    this.#gone = new UseLog(span, AGES);
    this.#ages = division?.gone ?? [];
    for (const [age, count] of this.#ages.entries()) this.#gone.add(usedAt(age, span, now), count);
    // Above every earlier one, should a division that was long unused have been deleted.
    this.#epoch = Math.max(division?.epoch ?? 0, Math.floor(now));
    this.#turn = division?.turn ?? 0;
    this.#turnedAt = now;
    this.#spent = division?.spent ?? false;
  }

  /**
   * The division, to be stored. Grants count only once it is.
   * @param left whether its divider divides no more.
   */
  stored(left: boolean): unknown {
    return writeDivision({
      epoch: this.#epoch,
      turn: this.#turn,
      grants: this.#grants,
      ended: this.#ended,
      gone: this.#ages,
      spent: this.#spent,
      left,
    });
  }

  /** Whether holders wait for units, or give some up. */
  get needy(): boolean {
    return this.#needy;
  }

  /** Holders that ended and are no longer counted, with the count of the report that may be removed. */
  get ended(): ReadonlyMap<string, number> {
    return this.#ended;
  }

  /**
   * Divides anew.
   * @param askedAt time before the reports were read: what has come since is not among them.
   * @param limit number of units.
   * @returns whether the division must be written before it counts.
   */
  divide(reports: ReadonlyMap<string, HolderReport>, limit: number, askedAt: number, now: number): boolean {
    const before = this.#ended.size;
    for (const id of this.#ended.keys()) if (!reports.has(id)) this.#ended.delete(id);
    for (const id of this.#seen.keys()) if (!reports.has(id) && !this.#grants.has(id)) this.#seen.delete(id);
    let changed = this.#ended.size !== before;
    const live: Live[] = [];
    for (const [id, report] of reports) {
      if (this.#ended.get(id) === report.count) continue;
      this.#ended.delete(id);
      if (this.#isOver(id, report, reports, askedAt, now)) {
        this.#end(id, report, now);
        changed = true;
      } else live.push(this.#liveOf(id, report));
    }
    const lost = this.#endLost(reports, askedAt, now);
    live.sort((a, b) => (a.id < b.id ? -1 : 1));
    if (this.#divideAmong(live, limit, lost.held, now) || lost.ended) changed = true;
    this.#ages = this.#gone.ages(now);
    if (changed) this.#epoch += 1;
    return changed;
  }

  /** Raises the epoch, to show that the divider lives. */
  beat(): void {
    this.#epoch += 1;
  }

  // — holders that end —

  #isOver(
    id: string,
    report: HolderReport,
    reports: ReadonlyMap<string, HolderReport>,
    askedAt: number,
    now: number,
  ): boolean {
    const seen = this.#seen.get(id);
    if (seen?.count !== report.count) this.#seen.set(id, { count: report.count, since: now });
    if (report.gone || askedAt - (this.#seen.get(id)?.since ?? now) >= TERM) return true;
    for (const { node, start } of reports.values())
      if (node === report.node && start > report.start) return true;
    return false;
  }

  /** Counts as used what a holder may have used. */
  #end(id: string, report: HolderReport, now: number): void {
    const { most, grant } = this.#liveOf(id, report);
    const since = this.#seen.get(id)!.since;
    this.#grants.delete(id);
    this.#ended.set(id, report.count);
    this.#seen.delete(id);
    if (this.#span === WHILE_RUNNING) return;
    if (this.#span === FOR_GOOD) {
      this.#gone.add(now, report.gone ? report.used : most);
      return;
    }
    const uses: [at: number, units: number][] = [];
    if (!report.gone) {
      // What it may have used since its report, as late as its pace lets it.
      const pace = Math.max(report.pace, grant?.pace ?? 0);
      const step = this.#gone.part;
      for (let age = 0; age * step < TERM; age += 1) {
        const length = Math.min(step, TERM - age * step);
        uses.push([now - age * step, Math.ceil((length * pace) / this.#span) + (age === 0 ? BURST : 0)]);
      }
    }
    const offset = report.gone ? 0 : now - since;
    for (const [age, units] of report.ages.entries())
      uses.push([usedAt(age, this.#span, now) - offset, units]);
    // It used no more units than it held: of all that it may have done, the latest.
    let left = report.gone ? report.used : most;
    for (const [at, units] of uses.sort((x, y) => y[0] - x[0])) {
      this.#gone.add(at, Math.min(left, units));
      left -= Math.min(left, units);
    }
  }

  /** Ends holders without a report, which has expired. @returns their units until then. */
  #endLost(
    reports: ReadonlyMap<string, HolderReport>,
    askedAt: number,
    now: number,
  ): { held: number; ended: boolean } {
    let held = 0;
    let ended = false;
    for (const [id, { units }] of this.#grants) {
      if (reports.has(id)) continue;
      const seen = this.#seen.get(id);
      if (seen?.count !== LOST) this.#seen.set(id, { count: LOST, since: now });
      if (askedAt - this.#seen.get(id)!.since < TERM) held += units;
      else {
        this.#grants.delete(id);
        this.#seen.delete(id);
        if (this.#span !== WHILE_RUNNING) this.#gone.add(now, units);
        ended = true;
      }
    }
    return { held, ended };
  }

  #liveOf(id: string, report: HolderReport): Live {
    const grant = this.#grants.get(id);
    const confirmed = grant === undefined || report.grant === grant.number;
    const most = confirmed ? report.held : Math.max(report.held, grant.units);
    return { id, report, grant, confirmed, most };
  }

  // — division —

  #divideAmong(live: readonly Live[], limit: number, lost: number, now: number): boolean {
    const gone = this.#gone.used(now);
    const free = limit - gone - lost - live.reduce((sum, { most }) => sum + most, 0);
    const shares = this.#shares(live, limit - gone, limit, now);
    const needs = live.map(({ report, most, confirmed }, i) =>
      confirmed && report.want > most ? Math.max(0, shares[i]!.units - most) : 0,
    );
    const needed = needs.reduce((sum, need) => sum + need, 0);
    const urgent = needs.some(
      (need, i) => need > 0 && (live[i]!.most === 0 || need > shares[i]!.units * SMALL),
    );
    this.#needy =
      urgent || live.some(({ most, grant, confirmed }) => !confirmed || most > (grant?.units ?? most));
    const spent = this.#span === FOR_GOOD && limit - gone <= used(live);
    let changed = spent !== this.#spent;
    this.#spent = spent;
    if (free < 0 || (needed > free && urgent)) {
      for (const [i, { id, most, confirmed, grant }] of live.entries()) {
        const { units, pace } = shares[i]!;
        // One that was told already gives them up as they become free.
        if (!confirmed || most <= units || (grant !== undefined && grant.units <= units)) continue;
        this.#grant(id, units, pace);
        changed = true;
      }
    }
    const grown = maxMin(Math.max(0, free), needs, this.#turn);
    for (const [i, { id, most }] of live.entries()) {
      const { units, pace } = shares[i]!;
      // In steps that are worth a write.
      if (grown[i]! === 0 || (grown[i]! < needs[i]! && grown[i]! < units * SMALL)) continue;
      this.#grant(id, most + grown[i]!, pace);
      changed = true;
    }
    return changed;
  }

  /** What each should hold and the pace that it should keep. */
  #shares(
    live: readonly Live[],
    left: number,
    limit: number,
    now: number,
  ): { units: number; pace: number }[] {
    if (live.length > limit && now >= this.#turnedAt + TURN) {
      this.#turn += Math.max(1, limit);
      this.#turnedAt = now;
    }
    if (this.#span === FOR_GOOD) {
      const more = maxMin(
        left - used(live),
        live.map(({ report }) => report.want - report.used),
        this.#turn,
      );
      return live.map(({ report }, i) => ({ units: report.used + more[i]!, pace: 0 }));
    }
    const wants = live.map(({ report }) => report.want);
    const fair = maxMin(limit, wants, this.#turn);
    // What nobody wants yet is divided too, so that a burst need not wait.
    const rest = maxMin(
      limit - fair.reduce((sum, units) => sum + units, 0),
      live.map(() => limit),
    );
    return live.map(({ report }, i) => {
      const pace = fair[i]! + rest[i]!;
      if (this.#span <= AHEAD) return { units: pace, pace };
      const ahead = Math.max(1, Math.ceil((pace * AHEAD) / this.#span));
      return { units: Math.min(pace, report.used + ahead), pace };
    });
  }

  #grant(id: string, units: number, pace: number): void {
    this.#grants.set(id, { number: this.#epoch + 1, units, pace });
  }
}

function used(live: readonly Live[]): number {
  return live.reduce((sum, { report }) => sum + report.used, 0);
}
