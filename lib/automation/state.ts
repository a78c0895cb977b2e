/**
 * State of automation between replies: the windows of rules that count, and the raised directives. It is bounded: the
 * longest unused entries are dropped first, which loses at worst a count (it starts anew) or a directive's end by
 * success (it ends by its time). All of it can be written to a checkpoint.
 */
import type { Dimension, DirectiveMatch } from '../directives/directive.ts';
import { EventWindow } from './window.ts';

/** Version of the checkpoint. */
const VERSION = 1;

/** Maximum number of times in all windows together. */
const MAX_TIMES = 200_000;
const MAX_RAISED = 20_000;
const MAX_WITNESSED = 20_000;
/** Interval between sweeps of expired entries, ms. */
const SWEEP = 60_000;

/** A directive or alert in force. */
export interface Raised {
  until: number;
  /** Deliveries in a row that end it, and their number until now; 0: only time ends it. */
  leaveAfter: number;
  successes: number;
  /** The mail that it covers; only for those that end by success. */
  scope?: readonly Dimension[];
  key?: string;
}

/** A tenant whose mail fired a rule, and until when that counts as evidence, since the epoch, ms. */
type Witness = readonly [tenant: string, until: number];

/** A checkpoint: plain data, to be stored as JSON. */
export interface AutomationCheckpoint {
  v: number;
  /** Key, size, times. */
  windows: [string, number, number[]][];
  raised: [string, Raised][];
  /** Absent in older checkpoints: none. */
  witnesses?: [string, readonly Witness[]][];
}

/** A kind of scope under which directives end by success, and these directives by the key of their mail. */
interface Watch {
  readonly scope: readonly Dimension[];
  readonly ids: Map<string, Set<string>>;
}

export class AutomationState {
  readonly #windows = new Map<string, EventWindow>();
  #times = 0;
  readonly #raised = new Map<string, Raised>();
  /** Watches by kind of scope. */
  readonly #watches = new Map<string, Watch>();
  /** By rule and scope: the last two tenants whose mail fired the rule. */
  readonly #witnesses = new Map<string, readonly Witness[]>();
  #sweepAt = 0;

  /** Whether any directive ends by success. While none does, deliveries need not be reported. */
  get watching(): boolean {
    return this.#watches.size > 0;
  }

  /** Counts an event of a rule in a scope. @returns whether it fires the rule. */
  count(key: string, events: number, within: number, now: number): boolean {
    let window = this.#windows.get(key);
    if (window !== undefined) {
      this.#windows.delete(key);
      this.#times -= window.size;
      if (window.size !== events) window = new EventWindow(events, window.times());
    }
    window ??= new EventWindow(events);
    this.#windows.set(key, window);
    this.#times += events;
    for (const [oldest, { size }] of this.#windows) {
      if (this.#times <= MAX_TIMES || oldest === key) break;
      this.#windows.delete(oldest);
      this.#times -= size;
    }
    return window.count(now, within);
  }

  /**
   * Records that a tenant's mail fired a rule.
   * @param until when this stops being evidence.
   * @returns the other tenant whose mail fired it and whose evidence still counts; undefined for none.
   */
  witness(key: string, tenant: string, until: number, now: number): string | undefined {
    const known = this.#witnesses.get(key) ?? [];
    const others = known.filter(([other, end]) => other !== tenant && end > now);
    this.#witnesses.delete(key);
    this.#witnesses.set(key, [...others.slice(-1), [tenant, until]]);
    if (this.#witnesses.size > MAX_WITNESSED) this.#witnesses.delete(this.#witnesses.keys().next().value!);
    return others.at(-1)?.[0];
  }

  raised(id: string): Raised | undefined {
    return this.#raised.get(id);
  }

  raise(id: string, raised: Raised): void {
    this.drop(id);
    this.#raised.set(id, raised);
    const { scope, key } = raised;
    if (scope !== undefined && key !== undefined) {
      const kind = scope.join();
      let watch = this.#watches.get(kind);
      if (watch === undefined) this.#watches.set(kind, (watch = { scope, ids: new Map() }));
      const ids = watch.ids.get(key);
      if (ids === undefined) watch.ids.set(key, new Set([id]));
      else ids.add(id);
    }
    if (this.#raised.size > MAX_RAISED) this.drop(this.#raised.keys().next().value!);
  }

  drop(id: string): void {
    const raised = this.#raised.get(id);
    if (raised === undefined) return;
    this.#raised.delete(id);
    if (raised.scope === undefined || raised.key === undefined) return;
    const kind = raised.scope.join();
    const watch = this.#watches.get(kind)!;
    const ids = watch.ids.get(raised.key)!;
    ids.delete(id);
    if (ids.size === 0) watch.ids.delete(raised.key);
    if (watch.ids.size === 0) this.#watches.delete(kind);
  }

  /** Handles a successful delivery. @returns the ids of directives that it ends, which are then forgotten. */
  succeeded(mail: DirectiveMatch, now: number): string[] {
    const ended: string[] = [];
    for (const { scope, ids } of this.#watches.values()) {
      const key = scopeKey(scope, mail);
      for (const id of (key === undefined ? undefined : ids.get(key)) ?? []) {
        const raised = this.#raised.get(id)!;
        raised.successes += 1;
        if (raised.successes >= raised.leaveAfter && raised.until > now) ended.push(id);
      }
    }
    for (const id of ended) this.drop(id);
    return ended;
  }

  /** Removes what concerns a site, alone or with some mail to it: counts, evidence, and what was raised. */
  forgetSite(site: string): void {
    for (const [key, window] of this.#windows) {
      if (!namesSite(key, site)) continue;
      this.#windows.delete(key);
      this.#times -= window.size;
    }
    for (const key of this.#witnesses.keys()) if (namesSite(key, site)) this.#witnesses.delete(key);
    for (const id of this.#raised.keys()) if (namesSite(id, site)) this.drop(id);
  }

  /** Removes expired entries, once in a while. */
  sweep(now: number): void {
    if (now < this.#sweepAt) return;
    this.#sweepAt = now + SWEEP;
    for (const [id, { until }] of this.#raised) if (until <= now) this.drop(id);
    for (const [key, witnesses] of this.#witnesses) {
      if (witnesses.every(([, until]) => until <= now)) this.#witnesses.delete(key);
    }
  }

  checkpoint(): AutomationCheckpoint {
    return {
      v: VERSION,
      windows: [...this.#windows].map(([key, window]) => [key, window.size, window.times()]),
      raised: [...this.#raised],
      witnesses: [...this.#witnesses],
    };
  }

  /** Restores a checkpoint; empty for one of another version, whose meaning is unknown. */
  static restore(checkpoint: AutomationCheckpoint): AutomationState {
    const state = new AutomationState();
    if (checkpoint.v !== VERSION) return state;
    for (const [key, size, times] of checkpoint.windows) {
      state.#windows.set(key, new EventWindow(size, times));
      state.#times += size;
    }
    for (const [id, raised] of checkpoint.raised) state.raise(id, { ...raised });
    for (const [key, witnesses] of checkpoint.witnesses ?? []) state.#witnesses.set(key, witnesses);
    return state;
  }
}

/** Whether a site is in a key that ends with a `scopeKey`. Names of sites may have commas in them. */
function namesSite(key: string, site: string): boolean {
  const member = `site=${site}`;
  const start = key.indexOf(member);
  const end = start + member.length;
  return start >= 0 && (end === key.length || /^,[a-z]+=/.test(key.slice(end)));
}

/**
 * `ip=192.0.2.1,site=mx.example.com`: the mail that a scope selects, derived from one reply. Undefined when the reply
 * has no value in one of its dimensions, as mail without a campaign: leaving the dimension out would cover far more
 * mail than the rule intends. Only an IP may be missing beside others: a node that sends from its host's default
 * address has no second address that could be covered by mistake.
 */
export function scopeKey(scope: readonly Dimension[], mail: DirectiveMatch): string | undefined {
  let key = '';
  for (const dimension of scope) {
    const value = mail[dimension];
    if (value !== undefined) key += key === '' ? `${dimension}=${value}` : `,${dimension}=${value}`;
    else if (dimension !== 'ip') return undefined;
  }
  return key === '' ? undefined : key;
}
