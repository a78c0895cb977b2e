/**
 * The warm-up of all IPs of this node: how much each may still send today to each provider, and what must be on
 * storage before that.
 *
 * ```
 *  setPlan ─► unknown ── restore (the IP's lease was taken) ──► held ── close (the lease is given back) ──► unknown
 *             waits                                              sends what is leased
 * ```
 * The node that holds the IP's lease saves checkpoints while it holds it, one at a time: `checkpoint`, then `saved`
 * or `notSaved`. The node that takes over the IP after a crash restores the last one, which counts as sent everything
 * that the crashed node could have sent.
 */
import { type RampCheckpoint, readCheckpoint, type WarmupCheckpoint, writeCheckpoint } from './checkpoint.ts';
import type { WarmupDay, WarmupDays } from './history.ts';
import type { WarmupPlan } from './plan.ts';
import { Ramp, type RampPlan, type RampStatus } from './ramp.ts';
import { budgetAt, positionFor, sameSchedule, totalDays } from './schedule.ts';
import type { Signal } from './verdict.ts';

/** Wait until an IP's state is read or its lease is written, ms. */
const UNKNOWN_WAIT = 1_000;

/** Maximum number of report ids kept as counted; the oldest are dropped first. */
const HEARD = 64;
/** Maximum number of reports that are counted and not yet removed from the store. */
export const REPORTS_AT_ONCE = HEARD / 2;

interface IpWarmup {
  plan: WarmupPlan;
  /** Share of its schedule at which a provider without mail until now begins. */
  start: number;
  /** Time of the last progress entry that was applied. */
  progressAt: number;
  readonly ramps: Map<string, { ramp: Ramp; plan: RampPlan }>;
  /** Ids of counted reports: in memory, in the save under way, and on storage. */
  heard: string[];
  hearing: readonly string[];
  stored: ReadonlySet<string>;
  held: boolean;
  saving: boolean;
  changed: boolean;
}

export class WarmupBook {
  readonly #entries = new Map<string, IpWarmup>();

  /** Begins, changes or (without a plan) ends the warm-up of an IP. Its progress stays. */
  setPlan(ip: string, plan: WarmupPlan | undefined): void {
    const entry = this.#entries.get(ip);
    if (plan === undefined) {
      this.#entries.delete(ip);
    } else if (entry === undefined) {
      const ramps = new Map();
      this.#entries.set(ip, {
        plan,
        start: 0,
        progressAt: 0,
        ramps,
        heard: [],
        hearing: [],
        stored: new Set(),
        held: false,
        saving: false,
        changed: false,
      });
    } else {
      entry.plan = plan;
      entry.changed = true;
      for (const [provider, each] of entry.ramps) {
        each.plan = planOf(plan, provider);
        each.ramp.follow(each.plan);
      }
      if (entry.held) this.#obey(entry);
    }
  }

  /** IPs that have a plan. */
  ips(): string[] {
    return [...this.#entries.keys()];
  }

  // — the way of a message —

  /** Messages that may start now: `Infinity` for an IP that does not warm up or is warm at the provider. */
  room(ip: string, provider: string, now: number): number {
    const entry = this.#entries.get(ip);
    if (entry === undefined) return Number.POSITIVE_INFINITY;
    return entry.held ? this.#ramp(entry, provider, now).room(now) : 0;
  }

  /** Wait until a message may start from an IP to a provider, ms; 0 for none. */
  wait(ip: string, provider: string, now: number): number {
    const entry = this.#entries.get(ip);
    if (entry === undefined) return 0;
    return entry.held ? this.#ramp(entry, provider, now).wait(now) : UNKNOWN_WAIT;
  }

  /** Counts messages that start. The caller checked `wait` (or `room`, for more than one) before. */
  take(ip: string, provider: string, now: number, count = 1): void {
    const entry = this.#entries.get(ip);
    if (entry !== undefined) this.#ramp(entry, provider, now).take(now, count);
  }

  /** Counts the results of messages (`signals.ts`). */
  outcome(ip: string, provider: string, signal: Signal, now: number, count = 1): void {
    const entry = this.#entries.get(ip);
    if (entry !== undefined) this.#ramp(entry, provider, now).outcome(signal, count, now);
  }

  /**
   * Counts a later report about a message, once for each report.
   * @param id of the report; nothing is counted while the state of the IP is unknown.
   * @returns whether it is counted on storage, so that the report may be removed.
   */
  report(ip: string, id: string, provider: string, signal: Signal, now: number): boolean {
    const entry = this.#entries.get(ip);
    if (entry === undefined || !entry.held) return false;
    if (entry.heard.includes(id)) return entry.stored.has(id);
    entry.heard = [...entry.heard, id].slice(-HEARD);
    entry.changed = true;
    this.#ramp(entry, provider, now).outcome(signal, 1, now);
    return false;
  }

  /** Whether an IP has a budget at a provider. */
  warming(ip: string, provider: string): boolean {
    const entry = this.#entries.get(ip);
    return entry !== undefined && entry.ramps.get(provider)?.ramp.warm !== true;
  }

  #ramp(entry: IpWarmup, provider: string, now: number): Ramp {
    let each = entry.ramps.get(provider);
    if (each === undefined) {
      const plan = planOf(entry.plan, provider);
      each = { plan, ramp: Ramp.begin(plan, entry.start * totalDays(plan.schedule), now) };
      entry.ramps.set(provider, each);
    }
    return each.ramp;
  }

  // — storage —

  /**
   * Restores the state of an IP whose lease this node has just acquired.
   * @param value result of `leases.checkpoint(checkpointName(ip))`; undefined for an IP that never warmed up.
   * @throws PosternError `storage_damaged`, `storage_too_new`; the IP then goes on to wait.
   */
  restore(ip: string, value: unknown): void {
    const entry = this.#entries.get(ip);
    if (entry === undefined) return;
    const checkpoint = value === undefined ? undefined : readCheckpoint(value, ip);
    entry.ramps.clear();
    entry.start = checkpoint?.start ?? 0;
    entry.progressAt = checkpoint?.progressAt ?? 0;
    entry.heard = [...(checkpoint?.heard ?? [])];
    entry.stored = new Set(entry.heard);
    for (const [provider, row] of Object.entries(checkpoint?.ramps ?? {})) {
      const plan = planOf(entry.plan, provider);
      const position = samePlace(row, plan);
      entry.ramps.set(provider, { plan, ramp: new Ramp(plan, { ...row, position }) });
    }
    entry.held = true;
    entry.saving = false;
    this.#obey(entry);
  }

  /** Applies the plan's progress to an IP, unless it was applied before. */
  #obey(entry: IpWarmup): void {
    const { progress } = entry.plan;
    if (progress === undefined || progress.at <= entry.progressAt) return;
    entry.start = progress.percent / 100;
    entry.progressAt = progress.at;
    entry.changed = true;
    for (const { ramp } of entry.ramps.values()) ramp.set(entry.start);
  }

  /** IPs whose state is to be restored here as soon as their lease is held: a plan may come later than that. */
  unread(): string[] {
    return [...this.#entries].filter(([, { held }]) => !held).map(([ip]) => ip);
  }

  /**
   * IPs with unsaved changes.
   * @param urgent only those whose mail waits for the save; check often, because budgets are released only as they
   * are saved.
   */
  unsaved(urgent = false): string[] {
    const found: string[] = [];
    for (const [ip, entry] of this.#entries) {
      if (!entry.held || entry.saving) continue;
      const ramps = [...entry.ramps.values()];
      if (entry.changed || ramps.some(({ ramp }) => (urgent ? ramp.urgent : ramp.unsaved))) found.push(ip);
    }
    return found;
  }

  /** The checkpoint of an IP to save now, with the next parts of its budgets leased. Only while its lease is held. */
  checkpoint(ip: string): WarmupCheckpoint {
    const entry = this.#entries.get(ip);
    if (entry?.held !== true) throw new Error(`The warm-up state of ${ip} is not held here.`);
    entry.saving = true;
    entry.changed = false;
    entry.hearing = entry.heard;
    return this.#write(ip, entry, false);
  }

  /** Days of an IP that ended since they were last taken, by provider; undefined: none did. */
  takeEnded(ip: string): WarmupDays | undefined {
    const ended: Record<string, WarmupDay[]> = {};
    for (const [provider, { ramp }] of this.#entries.get(ip)?.ramps ?? []) {
      const days = ramp.takeEnded();
      if (days.length > 0) ended[provider] = days;
    }
    return Object.keys(ended).length > 0 ? ended : undefined;
  }

  saved(ip: string): void {
    const entry = this.#entries.get(ip);
    if (entry === undefined || !entry.saving) return;
    entry.saving = false;
    entry.stored = new Set(entry.hearing);
    for (const { ramp } of entry.ramps.values()) ramp.saved();
  }

  /** Handles a save that failed, or whose result is unknown. */
  notSaved(ip: string): void {
    const entry = this.#entries.get(ip);
    if (entry === undefined || !entry.saving) return;
    entry.saving = false;
    entry.changed = true;
    for (const { ramp } of entry.ramps.values()) ramp.notSaved();
  }

  /**
   * Closes an IP, so that this node sends nothing more from it.
   * @returns the checkpoint to save before its lease is released, which counts exactly the sent messages. Undefined
   * when its state was never read. When the lease is lost already, it must not be saved.
   */
  close(ip: string): WarmupCheckpoint | undefined {
    const entry = this.#entries.get(ip);
    if (entry === undefined || !entry.held) return undefined;
    entry.held = false;
    return this.#write(ip, entry, true);
  }

  #write(ip: string, entry: IpWarmup, last: boolean): WarmupCheckpoint {
    const rows: Record<string, RampCheckpoint> = {};
    for (const [provider, { ramp, plan }] of entry.ramps) {
      rows[provider] = { ...ramp.save(last), schedule: plan.schedule };
    }
    return writeCheckpoint(ip, entry.start, entry.progressAt, rows, entry.heard);
  }

  // — for people —

  /** The state of an IP at each provider that had mail from it. */
  status(ip: string, now: number): Record<string, RampStatus> {
    const ramps = this.#entries.get(ip)?.ramps ?? [];
    return Object.fromEntries([...ramps].map(([provider, { ramp }]) => [provider, ramp.status(now)]));
  }

  /** Why a message waits for an IP's warm-up, as text for its reason. */
  explain(ip: string, provider: string, now: number): string {
    const entry = this.#entries.get(ip);
    if (entry?.held !== true) return `The warm-up state of ${ip} has not been read yet.`;
    const { day, days, budget, sent, next, cause } = this.#ramp(entry, provider, now).status(now);
    if (budget === undefined) return `${ip} is warm at ${provider}.`;
    const held = cause === undefined ? '' : `; last held back by ${cause}`;
    const more = next === undefined ? '' : ` More from ${new Date(next).toISOString()}.`;
    return `${ip} warms up at ${provider}: ${sent} of ${budget} messages today, day ${day} of ${days}${held}.${more}`;
  }
}

function planOf(plan: WarmupPlan, provider: string): RampPlan {
  const { thresholds, spread } = plan;
  return { schedule: plan.providers.get(provider) ?? plan.schedule, thresholds, spread };
}

/** Position of a stored ramp in the plan's schedule, which may have been changed since. */
function samePlace(row: RampCheckpoint, plan: RampPlan): number {
  if (sameSchedule(row.schedule, plan.schedule)) return row.position;
  return positionFor(plan.schedule, budgetAt(row.schedule, row.position));
}
