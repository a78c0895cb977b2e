/** A zone is lost: what its nodes held goes to the others, and what arrives twice is what RFC 1047 knows. */
import type { AwsEngine } from '../../lib/engine/aws/open.ts';
import type { LeasedItem } from '../../lib/engine/ports.ts';
import { attempt, mail } from '../../test/contract/harness.ts';
import { chart } from '../simulate/chart.ts';
import { SimulatedClock } from '../simulate/clock.ts';
import { seeded } from '../simulate/random.ts';
import type { Scenario } from '../simulate/report.ts';
import { Verdicts } from './verdicts.ts';
import { VirtualAws } from './virtual-aws.ts';
import { IN_FLIGHT } from './virtual-sqs.ts';

/** Nodes of one cell, in three zones, and what each sends. 100 million a day are 1,160 a second: 39 for each of thirty. */
const NODES = 30;
const RATE = 39;
const MAIL = 40_000;
/** In hand: what leaves in 30 s. */
const IN_HAND = RATE * 30;
const VISIBILITY = 120_000;
const LOST_AT = 15_000;
const END = 200_000;
/** How long settlements are gathered, ms. */
const GATHER = 250;
const LANE = 'default:bulk:google';
const START = Date.UTC(2026, 0, 1);

export const zone: Scenario = {
  name: 'zone',
  title: `${NODES} nodes of a cell send ${NODES * RATE} a second; a third of them vanish after ${LOST_AT / 1000} s`,
  async run(seed) {
    const verdicts = new Verdicts();
    const clock = new SimulatedClock(START);
    const aws = new VirtualAws({ clock, random: seeded(seed) });
    const api = await aws.open();
    const ids: string[] = [];
    let filled = false;
    const filling = (async () => {
      for (let n = 0; n < MAIL; n += 50) {
        const batch = Array.from({ length: 50 }, () =>
          mail(START, { lane: LANE, body: 'Subject: x\r\n\r\n' }),
        );
        ids.push(...batch.map(({ record }) => record.id));
        await api.queue.admit(batch);
      }
      filled = true;
    })();
    const sent = new Map<string, number>();
    let twice = 0;
    let unsettled = 0;
    let lastOfDead = 0;
    const held = new Set<string>();
    const nodes = Array.from({ length: NODES }, (_, n) => n);
    for (const n of nodes) {
      const dies = n % 3 === 0;
      const dead = (): boolean => dies && clock.now() >= START + LOST_AT;
      const engine = await aws.open(dead);
      runNode(engine, clock, dead, {
        took: (id) => dies && held.add(id),
        sent: (id) => {
          if (sent.has(id)) twice += 1;
          else {
            sent.set(id, clock.now() - START);
            if (!dies && held.has(id)) lastOfDead = Math.max(lastOfDead, clock.now() - START - LOST_AT);
          }
        },
        settled: (id) => held.delete(id),
        lost: (count) => {
          unsettled += count;
        },
      });
    }
    await clock.runAsync(START + END);
    await filling;
    const queue = aws.sqs.queue(`/lane-${LANE.replaceAll(':', '-')}`);
    verdicts.atLeast(
      'messages promised that left',
      ids.filter((id) => sent.has(id)).length,
      filled ? MAIL : 0,
    );
    verdicts.atMost('sent twice, of those sent and not yet recorded at the loss', twice, unsettled);
    verdicts.atMost('the last of what was held there left after', lastOfDead / 1000, 135, ' s');
    verdicts.atMost('most in flight of the lane', queue.mostHeld, IN_FLIGHT);
    verdicts.show('held by the lost zone', String(held.size));
    verdicts.show(
      'in flight of a lane, of what SQS allows',
      `${((100 * queue.mostHeld) / IN_FLIGHT).toFixed(0)} %`,
    );
    return verdicts.report({ zone: plot([...sent.values()]) });
  },
};

interface NodeWatcher {
  took(id: string): void;
  sent(id: string): void;
  settled(id: string): void;
  /** How much was sent and not recorded when it vanished. */
  lost(count: number): void;
}

/** A node that sends what it leases at its rate, and settles what it sent in batches. */
function runNode(engine: AwsEngine, clock: SimulatedClock, dead: () => boolean, watcher: NodeWatcher): void {
  const hand: LeasedItem[] = [];
  /** Sent, and sent and on its way to the record. */
  const done = new Set<LeasedItem>();
  const recording = new Set<LeasedItem>();
  let leasing = false;
  const lease = async (): Promise<void> => {
    leasing = true;
    const request = {
      lane: LANE,
      max: Math.min(100, IN_HAND - hand.length),
      visibility: VISIBILITY,
      wait: 5_000,
    };
    const leased = await engine.queue.lease(request);
    leasing = false;
    for (const one of leased) watcher.took(one.item.messageId);
    hand.push(...leased);
  };
  let counted = false;
  const sending = (): void => {
    if (dead()) {
      if (!counted) watcher.lost(done.size + recording.size);
      counted = true;
      return;
    }
    const next = hand.shift();
    if (next) {
      watcher.sent(next.item.messageId);
      done.add(next);
    }
    if (!leasing && hand.length < IN_HAND / 2) void lease();
    clock.after(1000 / RATE, sending);
  };
  const settling = (): void => {
    if (dead()) return;
    const part = [...done];
    done.clear();
    if (part.length > 0) {
      for (const one of part) recording.add(one);
      const settlements = part.map(
        (leased) =>
          ({
            kind: 'end',
            leased,
            state: 'delivered',
            attempt: attempt(clock.now(), 'delivered'),
          }) as const,
      );
      void engine.queue.settle(settlements).then(() => {
        for (const one of part) {
          recording.delete(one);
          watcher.settled(one.item.messageId);
        }
      });
    }
    clock.after(GATHER, settling);
  };
  sending();
  settling();
}

function plot(times: readonly number[]): string {
  const perSecond = new Map<number, number>();
  for (const at of times)
    perSecond.set(Math.floor(at / 1000), (perSecond.get(Math.floor(at / 1000)) ?? 0) + 1);
  return chart({
    title: 'A cell loses a zone',
    subtitle: `${NODES} nodes, ${RATE} messages a second each`,
    x: { name: 's', min: 0, max: END / 1000 },
    y: { name: 'messages a second', max: NODES * RATE * 1.2 },
    series: [{ name: 'sent', points: [...perSecond].sort(([a], [b]) => a - b) }],
    bands: [
      { from: LOST_AT / 1000, to: LOST_AT / 1000 + VISIBILITY / 1000, name: 'hidden: visibility time' },
    ],
  });
}
