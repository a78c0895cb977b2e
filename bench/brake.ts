/**
 * What ten nodes do with a lane of 1,000,000 deliveries that cannot leave, in virtual time: egress as it runs, over a
 * queue that counts what is leased and put back. First its provider is suspended by a directive, then its hosts answer
 * no connection; and how soon mail leaves when the cause is gone.
 *
 *     node bench/brake.ts [nodes]
 */
import { openDirectives } from '../lib/control/directives.ts';
import { startEgress } from '../lib/egress/egress.ts';
import { openMemory } from '../lib/engine/memory/open.ts';
import type { Engine, LeasedItem, Queue } from '../lib/engine/ports.ts';
import { seededRandom, TestClock } from '../test/support/clock.ts';
import { addressesOfAll, limits } from '../test/support/egress.ts';
import { FakeSession, queueItem } from '../test/support/egress-fakes.ts';
import { settled } from '../test/support/engine.ts';
import { table } from './support/machine.ts';

const nodes = Number(process.argv[2] ?? 10);
const QUEUED = 1_000_000;
const LANE = 'default:bulk:google';
const MINUTES = 10;

/** A lane in SQS, as far as it matters here: what is ready, and what is delayed until a time. */
class Lane {
  readonly #clock: TestClock;
  ready = QUEUED;
  leased = 0;
  putBack = 0;
  ended = 0;
  /** Deliveries by the second in which they are ready again. */
  readonly #delayed = new Map<number, number>();
  readonly #bytes = Buffer.from('Subject: x\r\n\r\nx\r\n');

  constructor(clock: TestClock) {
    this.#clock = clock;
  }

  readonly queue: Queue = {
    admit: async () => ({ kind: 'admitted' }),
    lanes: async () => [],
    depths: async () => ({ depths: [], whole: true }),
    extend: async () => {},
    lease: ({ lane, max, signal }) =>
      lane === LANE
        ? Promise.resolve(this.#lease(max))
        : new Promise((_, reject) => signal?.addEventListener('abort', () => reject(new Error('stopped')))),
    note: () => {},
    settle: async (settlements) => {
      const now = this.#clock.now();
      for (const settlement of settlements) {
        if (settlement.kind === 'end') this.ended += 1;
        else {
          if (settlement.kind === 'release') this.putBack += 1;
          const second = Math.ceil(Math.max(now, settlement.until) / 1000);
          this.#delayed.set(second, (this.#delayed.get(second) ?? 0) + 1);
        }
      }
    },
  };

  #lease(max: number): LeasedItem[] {
    const now = this.#clock.now();
    for (const [second, count] of this.#delayed) {
      if (second * 1000 > now) continue;
      this.ready += count;
      this.#delayed.delete(second);
    }
    const count = Math.min(max, this.ready);
    this.ready -= count;
    this.leased += count;
    return Array.from({ length: count }, () => ({
      item: queueItem(now, { lane: LANE, domain: 'gmail.com' }),
      bytes: this.#bytes,
      receives: 1,
      receipt: undefined,
    }));
  }
}

async function run(how: 'suspended' | 'down'): Promise<Record<string, string | number>> {
  const clock = new TestClock();
  const lane = new Lane(clock);
  const engines: Engine = { ...openMemory({ clock }), queue: lane.queue };
  const directives = await openDirectives({ config: engines.config, clock });
  const order = { match: { domain: 'gmail.com' }, action: { kind: 'suspend' }, reason: 'outage' };
  const ordered = how === 'suspended' ? await directives.order(order, { operator: 'AKIAOPS' }) : undefined;
  let down = how === 'down';
  const egresses = Array.from({ length: nodes }, (_, i) =>
    startEgress({
      engine: engines,
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
          if (down) session.end('connect_failed', 'connect');
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
  const pass = async (ms: number, step = 1_000): Promise<void> => {
    for (let left = ms; left > 0; left -= step) {
      clock.advance(step);
      await settled();
    }
  };
  await settled();
  await pass(60_000);
  const before = lane.putBack;
  await pass(MINUTES * 60_000);
  const each = (lane.putBack - before) / (MINUTES * 60);
  const { code } = egresses[0]!.laneRest(LANE) ?? { code: 'does not rest' };
  const ended = lane.ended;
  if (ordered !== undefined) await directives.remove(ordered.id);
  down = false;
  let waited = 0;
  for (; lane.ended === ended && waited < 3_600; waited += 1) await pass(1_000, 500);
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

process.stdout.write(`${table([await run('suspended'), await run('down')])}\n`);
process.exit();
