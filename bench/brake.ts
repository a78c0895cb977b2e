/**
 * What ten nodes do with mail that cannot leave, in virtual time: egress as it runs, over a queue that counts what is leased
 * and put back; and how soon it leaves when the cause is gone. A lane of 1,000,000 deliveries, whose provider is first
 * suspended by a directive, and then answers no connection; and the lane `other`, in which 20,000 deliveries are for one
 * site that is down for six hours.
 *
 *     node bench/brake.ts [nodes]
 */
import { openDirectives } from '../lib/control/directives.ts';
import { startEgress } from '../lib/egress/egress.ts';
import type { Egress, EgressOptions } from '../lib/egress/types.ts';
import { openMemory } from '../lib/engine/memory/open.ts';
import type { Engine, LeasedItem, Queue } from '../lib/engine/ports.ts';
import { HOUR } from '../lib/time.ts';
import { seededRandom, TestClock } from '../test/support/clock.ts';
import { addressesOfAll, limits } from '../test/support/egress.ts';
import { FakeSession, queueItem } from '../test/support/egress-fakes.ts';
import { settled } from '../test/support/engine.ts';
import { table } from './support/machine.ts';

const nodes = Number(process.argv[2] ?? 10);
const QUEUED = 1_000_000;
const LANE = 'default:bulk:google';
const MINUTES = 10;
const OTHER = 'default:bulk:other';
const PARKED = 20_000;
const HOURS = 6;

/** What AWS bills for a million put-backs, $ (`npm run bench:cost`): near ones, far ones, of these the body once, the index. */
const PRICES = { near: 0.89, far: 2.41, body: 3.13, parked: 0.92 };

interface Wait {
  at: number;
  site: string | undefined;
  count: number;
}

/** A lane in SQS, as far as it matters here: what is ready, and what is delayed until a time. */
class Lane {
  readonly #clock: TestClock;
  readonly #name: string;
  readonly #domain: string;
  ready: number;
  leased = 0;
  putBack = 0;
  tried = 0;
  recalled = 0;
  /** $ for all put-backs, but the bodies of those that wait for long. */
  cost = 0;
  ended = 0;
  /** Ready ones that bring news of a site: as probes, and as recalled at a time. */
  readonly #news: { site?: string; recalled?: number }[] = [];
  /** Deliveries by the second in which they are ready again, and by the site that they wait for. */
  readonly #delayed = new Map<string, Wait>();
  #nextDue = Number.POSITIVE_INFINITY;
  readonly #bytes = Buffer.from('Subject: x\r\n\r\nx\r\n');

  constructor(clock: TestClock, name: string, domain: string, count: number) {
    this.#clock = clock;
    this.#name = name;
    this.#domain = domain;
    this.ready = count;
  }

  readonly queue: Queue = {
    admit: async () => ({ kind: 'admitted' }),
    lanes: async () => [],
    depths: async () => ({ depths: [], whole: true }),
    extend: async () => {},
    lease: ({ lane, max, signal }) =>
      lane === this.#name
        ? this.#poll(max)
        : new Promise((_, reject) => signal?.addEventListener('abort', () => reject(new Error('stopped')))),
    note: () => {},
    settle: async (settlements) => {
      const now = this.#clock.now();
      for (const settlement of settlements) {
        if (settlement.kind === 'end') this.ended += 1;
        else {
          if (settlement.kind === 'release') this.putBack += 1;
          else this.tried += 1;
          const second = Math.ceil(Math.max(now, settlement.until) / 1000);
          const { site } = settlement;
          const far = settlement.until - now > 15 * 60_000;
          this.cost += (far ? PRICES.far + (site === undefined ? 0 : PRICES.parked) : PRICES.near) / 1e6;
          this.#wait(second * 1000, site, 1);
        }
      }
    },
  };

  /** As the engine on AWS: what is due within fifteen minutes is in its lane and keeps its time. */
  readonly ledger = {
    recall: async (site: string, max: number) => {
      const now = this.#clock.now();
      let recalled = 0;
      for (const [key, wait] of this.#delayed) {
        if (wait.site !== site || wait.at - now <= 15 * 60_000) continue;
        const count = Math.min(wait.count, max - recalled);
        recalled += count;
        wait.count -= count;
        for (let i = 0; i < count; i += 1) this.#news.push({ recalled: now });
        if (wait.count === 0) this.#delayed.delete(key);
        if (recalled === max) break;
      }
      this.ready += recalled;
      this.recalled += recalled;
      return { recalled, more: recalled === max };
    },
  };

  #wait(at: number, site: string | undefined, count: number): void {
    const key = `${at} ${site}`;
    const wait = this.#delayed.get(key);
    if (wait) wait.count += count;
    else this.#delayed.set(key, { at, site, count });
    this.#nextDue = Math.min(this.#nextDue, at);
  }

  /** A poll that finds nothing lasts for a second. */
  async #poll(max: number): Promise<LeasedItem[]> {
    const found = this.#lease(max);
    if (found.length === 0) await new Promise<void>((resolve) => void this.#clock.after(1_000, resolve));
    return found;
  }

  #lease(max: number): LeasedItem[] {
    const now = this.#clock.now();
    for (const [key, { at, site, count }] of now >= this.#nextDue ? this.#delayed : []) {
      if (at > now) continue;
      this.ready += count;
      if (site !== undefined) for (let i = 0; i < count; i += 1) this.#news.push({ site });
      this.#delayed.delete(key);
    }
    if (now >= this.#nextDue)
      this.#nextDue = Math.min(Number.POSITIVE_INFINITY, ...[...this.#delayed.values()].map(({ at }) => at));
    const count = Math.min(max, this.ready);
    this.ready -= count;
    this.leased += count;
    return Array.from({ length: count }, () => ({
      item: queueItem(now, { lane: this.#name, domain: this.#domain, ...this.#news.shift() }),
      bytes: this.#bytes,
      receives: 1,
      receipt: undefined,
    }));
  }
}

async function pass(clock: TestClock, ms: number, step = 1_000): Promise<void> {
  for (let left = ms; left > 0; left -= step) {
    clock.advance(step);
    await settled();
  }
}

/** The nodes, whose peers take a message in 100 ms, or no connection while they are down. */
function start(
  engine: Engine,
  clock: TestClock,
  down: () => boolean,
  directives?: EgressOptions['directives'],
): Egress[] {
  return Array.from({ length: nodes }, (_, i) =>
    startEgress({
      engine,
      resolver: addressesOfAll(['8.8.8.8']),
      clock,
      random: seededRandom(i + 1),
      node: `node-${i}`,
      limits: limits({ connections: 2 }),
      ehloName: 'out.example',
      serves: ['default'],
      directives,
      open: (options) => {
        const session = new FakeSession(options, clock);
        clock.after(50, () => {
          if (down()) session.end('connect_failed', 'connect');
          else session.opened();
        });
        const serve = (): void => {
          while (session.taken.length > 0) session.finish();
          if (session.state !== 'closed') clock.after(100, serve);
        };
        clock.after(100, serve);
        return session;
      },
    }),
  );
}

async function run(how: 'suspended' | 'down'): Promise<Record<string, string | number>> {
  const clock = new TestClock();
  const lane = new Lane(clock, LANE, 'gmail.com', QUEUED);
  const memory = openMemory({ clock });
  const engines: Engine = { ...memory, queue: lane.queue };
  const directives = await openDirectives({ config: engines.config, clock });
  const order = { match: { domain: 'gmail.com' }, action: { kind: 'suspend' }, reason: 'outage' };
  const ordered = how === 'suspended' ? await directives.order(order, { operator: 'AKIAOPS' }) : undefined;
  let down = how === 'down';
  const egresses = start(engines, clock, () => down, directives);
  await settled();
  await pass(clock, 60_000);
  const before = lane.putBack;
  await pass(clock, MINUTES * 60_000);
  const each = (lane.putBack - before) / (MINUTES * 60);
  const { code } = egresses[0]!.laneRest(LANE) ?? { code: 'does not rest' };
  const ended = lane.ended;
  if (ordered !== undefined) await directives.remove(ordered.id);
  down = false;
  let waited = 0;
  for (; lane.ended === ended && waited < 3_600; waited += 1) await pass(clock, 1_000, 500);
  for (const egress of egresses) void egress.stop();
  return {
    lane: how,
    nodes,
    queued: QUEUED,
    'put back in the first minute': before,
    'put back a second, then': each.toFixed(2),
    'shown reason': code,
    'mail leaves after the cause is gone, s': waited,
  };
}

/** One site of many in a lane is down. */
async function oneSite(): Promise<Record<string, string | number>> {
  const clock = new TestClock();
  const lane = new Lane(clock, OTHER, 'down.example', PARKED);
  let down = true;
  const egresses = start(
    {
      ...openMemory({ clock }),
      queue: lane.queue,
      ledger: { ...openMemory({ clock }).ledger, ...lane.ledger },
    },
    clock,
    () => down,
  );
  await settled();
  await pass(clock, HOURS * HOUR, 5_000);
  const dollars = (lane.cost / PARKED) * 1e6 + PRICES.body;
  const ways = (lane.putBack + lane.tried) / PARKED;
  down = false;
  const since = clock.now();
  const when = new Map<number, number>();
  for (let share = 0; share < 0.99 && clock.now() - since < 8 * HOUR; share = lane.ended / PARKED) {
    for (const mark of [0.001, 0.5])
      if (share >= mark && !when.has(mark)) when.set(mark, clock.now() - since);
    await pass(clock, 5_000);
  }
  const minutes = (ms: number | undefined): string => (ms === undefined ? '-' : (ms / 60_000).toFixed(1));
  for (const egress of egresses) void egress.stop();
  return {
    lane: `one site of \`other\` down for ${HOURS} h`,
    nodes,
    waiting: PARKED,
    'times back, each and hour': (ways / HOURS).toFixed(2),
    'of them tried': (lane.tried / PARKED / HOURS).toFixed(2),
    '$ a million of them': dollars.toFixed(1),
    'back, in min: first': minutes(when.get(0.001)),
    half: minutes(when.get(0.5)),
    '99 %': lane.ended / PARKED >= 0.99 ? minutes(clock.now() - since) : 'not in 8 h',
    recalled: lane.recalled,
  };
}

process.stdout.write(`${table([await oneSite()])}\n\n`);
process.stdout.write(`${table([await run('suspended'), await run('down')])}\n`);
process.exit();
