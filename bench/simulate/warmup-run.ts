/** One run of the warm-up: nodes with their IPs, storage, providers, new mail and deferred mail. */
import { Router, readRouting } from '../../lib/routing/router.ts';
import { DAY } from '../../lib/time.ts';
import { WarmupBook } from '../../lib/warmup/book.ts';
import type { WarmupCheckpoint } from '../../lib/warmup/checkpoint.ts';
import { readPlan } from '../../lib/warmup/plan.ts';
import { signalOf } from '../../lib/warmup/signals.ts';
import type { Signal } from '../../lib/warmup/verdict.ts';
import { binomial, seeded } from './random.ts';
import { Acquaintance, type Conditions, PROFILES, RESULTS, type Result } from './warming-provider.ts';

export const MINUTE = 60_000;
export const START = Date.UTC(2026, 2, 1);
export const DAYS = 30;
export const IPS = 50;
const NODES = 3;
const RETRY = 20 * MINUTE;
/** Chance that a node fails in a minute: about two failures a day of all three. */
const FAILURE = 2 / NODES / (DAY / MINUTE);
const PLAN = readPlan({ schedule: 'fast' }, 'warmup');

const NORMAL: Conditions = { bounces: 0.006, complaints: 0.0003, listed: 0 };

/** Faults of the run. */
const INCIDENTS = [
  { from: 9, to: 10, provider: 'yahoo', conditions: { bounces: 0.07, complaints: 0.006, listed: 0 } },
  { from: 13, to: 16, provider: 'google', ips: 5, conditions: { ...NORMAL, listed: 0.5 } },
] as const;

interface Node {
  book: WarmupBook;
  ips: string[];
  /** No node owns its IPs until then: their leases have to run out. */
  downUntil: number;
}

export class Run {
  readonly random;
  readonly newIps = Array.from({ length: IPS }, (_, n) => `198.51.100.${n + 1}`);
  readonly warmIps = Array.from({ length: 10 }, (_, n) => `203.0.113.${n + 1}`);
  readonly nodes: Node[];
  readonly stored = new Map<string, WarmupCheckpoint>();
  readonly router: Router;
  readonly nodeOf = new Map<string, Node>();
  /** By IP, then provider. */
  readonly acquaintances: Map<string, Acquaintance[]>;
  readonly place: Map<string, number>;
  /** Deferred messages, by the minute in which they are due, then provider. */
  readonly due = new Map<number, number[]>();
  /** By day, provider, IP. */
  readonly sent: number[][][] = [];
  readonly overflowed: number[][] = [];
  readonly budgets: number[][][] = [];
  readonly borne: number[][][] = [];
  readonly tally = { delivered: 0, bounced: 0, throttled: 0, blocked: 0, greylisted: 0, complained: 0 };
  crashes = 0;
  handOvers = 0;
  held = 0;
  steppedBack = 0;
  exceeded = 0;
  /** Largest part of a day's budget that a crash has wasted. */
  wasted = 0;
  pushed = false;
  readonly #signals = new Map<string, Signal | undefined>();

  constructor(seed: number) {
    this.random = seeded(seed);
    this.place = new Map([...this.newIps, ...this.warmIps].map((ip, n) => [ip, n]));
    this.nodes = Array.from({ length: NODES }, (_, n) => ({
      book: new WarmupBook(),
      ips: this.newIps.filter((__, i) => i % NODES === n),
      downUntil: 0,
    }));
    for (const node of this.nodes) {
      for (const ip of node.ips) this.nodeOf.set(ip, node);
      this.#open(node);
    }
    this.acquaintances = new Map(
      this.newIps.map((ip) => [ip, PROFILES.map((profile) => new Acquaintance(profile, this.random))]),
    );
    const table = readRouting(
      { pools: { growing: { ips: this.newIps, overflow: 'warm' }, warm: { ips: this.warmIps } } },
      'simulation',
    );
    this.router = new Router(
      table,
      {
        usable: (ip, _, now) => (this.nodeOf.get(ip)?.downUntil ?? 0) <= now,
        wait: (ip, provider, now) => this.nodeOf.get(ip)?.book.wait(ip, provider, now) ?? 0,
        warming: (ip, provider) => this.nodeOf.get(ip)?.book.warming(ip, provider) ?? false,
        load: () => 0,
      },
      [],
    );
  }

  #open(node: Node): void {
    node.book = new WarmupBook();
    for (const ip of node.ips) {
      node.book.setPlan(ip, PLAN);
      node.book.restore(ip, JSON.parse(JSON.stringify(this.stored.get(ip) ?? null)) ?? undefined);
    }
  }

  #save(node: Node): void {
    for (const ip of node.book.unsaved()) {
      this.stored.set(ip, node.book.checkpoint(ip));
      node.book.saved(ip);
    }
  }

  /** Nodes die between two saves, or hand their IPs over in order. */
  fail(now: number, ms: number): void {
    for (const node of this.nodes) {
      if (binomial(this.random, Math.round(ms / MINUTE), FAILURE) === 0) continue;
      const before = this.#spentOf(node, now);
      if (this.random() < 0.3) {
        for (const ip of node.ips) this.stored.set(ip, node.book.close(ip)!);
        this.handOvers += 1;
      } else {
        this.crashes += 1;
        node.downUntil = now + MINUTE;
      }
      this.#open(node);
      const after = this.#spentOf(node, now);
      const budgets = this.budgets.at(-1)!;
      for (const [n, ip] of node.ips.entries()) {
        for (const p of PROFILES.keys()) {
          const lost = after[n]![p]! - before[n]![p]!;
          this.wasted = Math.max(this.wasted, lost / budgets[p]![this.place.get(ip)!]!);
        }
      }
    }
  }

  /** By IP of the node, then provider. */
  #spentOf(node: Node, now: number): number[][] {
    return node.ips.map((ip) => {
      const status = node.book.status(ip, now);
      return PROFILES.map(({ name }) => status[name]?.sent ?? 0);
    });
  }

  /** A new day: checks the sent mail against the budget, and updates the providers' view of the IPs. */
  dawn(day: number): void {
    const now = START + day * DAY;
    if (day > 0) this.#dusk(day - 1, now);
    if (day === DAYS) return;
    const table = (): number[][] => PROFILES.map(() => new Array<number>(IPS).fill(0));
    this.sent.push(table());
    this.budgets.push(table());
    this.borne.push(table());
    this.overflowed.push(PROFILES.map(() => 0));
    for (const [i, ip] of this.newIps.entries()) {
      const status = this.nodeOf.get(ip)!.book.status(ip, now);
      for (const [p, { name }] of PROFILES.entries()) {
        const row = status[name];
        const first = PLAN.schedule[0]!.messages;
        this.budgets[day]![p]![i] = row === undefined ? first : (row.budget ?? Number.POSITIVE_INFINITY);
        this.borne[day]![p]![i] = this.acquaintances.get(ip)![p]!.bears;
      }
    }
    // Reading the state of a budget also requests its first lease, and a save takes less than a step.
    for (const node of this.nodes) this.#save(node);
  }

  #dusk(day: number, now: number): void {
    for (const [i, ip] of this.newIps.entries()) {
      // The last moment of the day, before its verdict.
      const status = this.nodeOf.get(ip)!.book.status(ip, now - 1);
      const after = this.nodeOf.get(ip)!.book.status(ip, now);
      for (const [p, { name }] of PROFILES.entries()) {
        if (this.sent[day]![p]![i]! > this.budgets[day]![p]![i]!) this.exceeded += 1;
        const row = status[name];
        if (row !== undefined && !row.warm) {
          if (row.steppedBack) this.steppedBack += 1;
          else if (after[name]!.cause !== undefined) this.held += 1;
        }
        this.acquaintances.get(ip)![p]!.night();
      }
    }
  }

  /** One step of time. @param fresh messages by provider that arrive in it. */
  step(now: number, ms: number, fresh: readonly number[]): void {
    this.pushed = false;
    this.fail(now, ms);
    const again = PROFILES.map(() => 0);
    for (let minute = now / MINUTE; minute < (now + ms) / MINUTE; minute += 1) {
      const row = this.due.get(minute);
      this.due.delete(minute);
      for (const [p, count] of (row ?? []).entries()) again[p]! += count;
    }
    const day = Math.floor((now - START) / DAY);
    for (const p of PROFILES.keys()) {
      this.#send(p, again[p]!, true, day, now);
      this.#send(p, fresh[p]!, false, day, now);
    }
    for (const node of this.nodes) this.#save(node);
  }

  #send(p: number, count: number, again: boolean, day: number, now: number): void {
    const provider = PROFILES[p]!.name;
    const batch = Math.ceil(count / 150);
    for (let left = count; left > 0; ) {
      const choice = this.router.choose('growing', 'sender', provider, now);
      if (choice.kind !== 'ip') throw new Error('The warm pool is always there.');
      const { ip } = choice;
      const node = this.nodeOf.get(ip);
      const room = node?.book.room(ip, provider, now) ?? Number.POSITIVE_INFINITY;
      const sending = Math.min(left, batch, room);
      left -= sending;
      if (node === undefined) {
        this.overflowed[day]![p]! += sending;
        this.tally.delivered += sending;
        continue;
      }
      node.book.take(ip, provider, now, sending);
      this.sent[day]![p]![this.place.get(ip)!]! += sending;
      this.#settle(node.book, ip, p, sending, again, now);
    }
  }

  #settle(book: WarmupBook, ip: string, p: number, count: number, again: boolean, now: number): void {
    const provider = PROFILES[p]!.name;
    const conditions = this.#conditions(ip, provider, now);
    const results = this.acquaintances.get(ip)![p]!.attempt(count, again, conditions);
    for (const [result, n] of Object.entries(results) as [Result, number][]) {
      if (n === 0) continue;
      this.tally[result] += n;
      const signal = this.#signal(result, again);
      if (signal !== undefined) book.outcome(ip, provider, signal, now, n);
    }
    const complaints = binomial(this.random, results.delivered, conditions.complaints);
    if (complaints > 0) book.outcome(ip, provider, 'complained', now, complaints);
    this.tally.complained += complaints;
    const putOff = results.throttled + results.greylisted;
    if (results.throttled > 0) this.pushed = true;
    if (putOff > 0) {
      const minute = (now + RETRY) / MINUTE;
      let row = this.due.get(minute);
      if (row === undefined) this.due.set(minute, (row = PROFILES.map(() => 0)));
      row[p]! += putOff;
    }
  }

  #signal(result: Result, again: boolean): Signal | undefined {
    const key = `${result} ${again}`;
    if (!this.#signals.has(key)) this.#signals.set(key, signalOf(RESULTS[result], again ? 1 : 0));
    return this.#signals.get(key);
  }

  #conditions(ip: string, provider: string, now: number): Conditions {
    const day = (now - START) / DAY;
    for (const incident of INCIDENTS) {
      if (incident.provider !== provider || day < incident.from || day >= incident.to) continue;
      if (!('ips' in incident) || this.place.get(ip)! < incident.ips) return incident.conditions;
    }
    return NORMAL;
  }
}
