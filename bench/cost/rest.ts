/** What an installation requests in a month without mail. */
import type { AwsEngine } from '../../lib/engine/aws/open.ts';
import type { Engine } from '../../lib/engine/ports.ts';
import { MINUTE } from '../../lib/time.ts';
import { moveTime } from '../../test/support/aws.ts';
import { LANE, message, usualBody } from './mail.ts';
import type { Meter } from './meter.ts';

const MONTH = 30 * 86_400;
/** Deliveries in the ledger, of which none is due. */
const WAITING = 500;

/** Requests made without mail: their period in seconds, and their origin. */
interface Idle {
  name: string;
  every: number;
  ask: (engine: AwsEngine) => Promise<unknown>;
}

const IDLE: readonly Idle[] = [
  // functions/due, by the schedule of lib/stacks/api.ts.
  { name: 'due: a look at the ledger', every: 60, ask: ({ ledger }) => ledger.plan() },
  { name: 'a node: changes of the configuration', every: 0.9, ask: lookForChanges },
  // lib/egress/source-leases.ts, lane-puller.ts.
  {
    name: 'an IP: its lease',
    every: 4,
    ask: ({ leases }) => leases.acquire('egress-ip:203.0.113.10', 'a', 12_000),
  },
  {
    name: 'a lane, by each node: a long poll',
    every: 20,
    ask: ({ queue }) => queue.lease({ lane: LANE, max: 10, visibility: MINUTE, wait: 0 }),
  },
];

/** The first look of a node, as all that follow, in the middle of a minute: at its start there are two minutes to look at. */
async function lookForChanges({ config }: Engine): Promise<void> {
  moveTime(Math.ceil(Date.now() / MINUTE) * MINUTE + MINUTE / 2);
  const leave = config.watch(() => {});
  await new Promise((resolve) => setTimeout(resolve, 1_200));
  leave();
}

/** @param bytes of each message that waits. @returns dollars a month by name. */
export async function atRest(engine: AwsEngine, meter: Meter, bytes: number): Promise<Map<string, number>> {
  const months = new Map<string, number>();
  const now = Date.now();
  const waiting = Array.from({ length: WAITING }, () => {
    const { record, body, deliveries } = message(now, usualBody(bytes));
    return { record, body, deliveries: deliveries.map((item) => ({ ...item, due: now + 60 * MINUTE })) };
  });
  await engine.queue.admit(waiting);
  process.stdout.write(`\nAt rest, ${WAITING} deliveries in the ledger\n  ${'$ / month'.padStart(60)}\n`);
  for (const { name, every, ask } of IDLE) {
    meter.take();
    await ask(engine);
    const dollars = [...meter.take().values()].reduce((sum, line) => sum + line.dollars, 0);
    const month = ((dollars / 1e6) * MONTH) / every;
    months.set(name, month);
    process.stdout.write(`  ${name.padEnd(46)}${month.toFixed(3).padStart(14)}\n`);
  }
  return months;
}
