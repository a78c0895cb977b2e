/** Compares the sink's record with what was promised and with the faults of the nodes. */
import type { Attempt } from '../../lib/engine/items.ts';
import type { Receipt } from './node-process.ts';
import type { Arrival, Tenure } from './sink.ts';

export interface ClusterFault {
  node: string;
  kind: 'kill' | 'pause' | 'cut';
  from: number;
  to: number;
}

export interface Evidence {
  /** Recipients that were answered 200, and when. */
  promised: ReadonlyMap<string, { at: number }>;
  /** As the nodes recorded them. */
  attempts: readonly Attempt[];
  arrivals: readonly Arrival[];
  tenures: readonly Tenure[];
  connections: ReadonlyMap<string, number>;
  receipts: readonly Receipt[];
  faults: readonly ClusterFault[];
  limits: { perSecond: number; connections: number };
  /** Maximum time after a node's death until another has its deliveries, ms. */
  takeover: number;
}

/** Time from the sink's final reply to the durable end of the delivery (reply, batch, two requests), ms. */
const WINDOW = 1_500;
/** A node that loses an address writes no byte in the last second of its lease, by its own clock. */
const SILENCE = 1_000;
/**
 * A process can be paused between its last check of its lease and the system call that writes: it cannot check
 * and write at once. That one packet leaves when the process wakes, within this time, ms.
 */
const WAKING = 500;
/** Maximum time from a node's write to the sink's timestamp on an overloaded machine, ms. */
const BLUR = 100;

/** @returns the problems, and the figures. */
export function judge(evidence: Evidence): { problems: string[]; figures: string[] } {
  const { promised, attempts, arrivals, tenures, connections, receipts, faults, limits, takeover } = evidence;
  const problems: string[] = [];
  const byRecipient = Map.groupBy(arrivals, ({ recipient }) => recipient);

  const twice = [...byRecipient.values()].filter((all) => all.length > 1);
  const causes: string[] = [];
  for (const all of twice) {
    for (let i = 1; i < all.length; i += 1) {
      const first = all[i - 1]!;
      const fault = faults.find(
        ({ node, from, to }) =>
          first.node === node && from - WINDOW <= first.answered && first.answered <= to + WINDOW,
      );
      if (fault) causes.push(nearness(first.answered, fault));
      else
        problems.push(`${first.recipient}: sent again by ${all[i]!.node} without a fault of ${first.node}`);
    }
  }

  let slowest = 0;
  for (const [recipient, { at }] of promised) {
    const first = byRecipient.get(recipient)?.[0];
    if (first) slowest = Math.max(slowest, first.answered - at);
  }

  const taken = takeovers(receipts, faults);
  const longest = Math.max(0, ...taken);
  if (longest > takeover)
    problems.push(`what a dead node held was taken over after ${(longest / 1000).toFixed(1)} s`);

  const left = mostIn(
    1_000,
    attempts.map(({ ip = '', at }) => ({ ip, at })),
  );
  const seen = mostIn(
    1_000 - BLUR,
    arrivals.map(({ ip, begun }) => ({ ip, at: begun })),
  );
  const most = Math.max(left, seen);
  const stray = tenures.filter((tenure) => interrupted(tenure, faults));
  const hands = handovers(tenures.filter((tenure) => !stray.includes(tenure)));
  for (const { before, after, gap } of hands) {
    if (gap < SILENCE - BLUR)
      problems.push(`${after.ip}: ${after.node} spoke ${gap} ms after the last byte of ${before.node}`);
  }
  if (most > limits.perSecond) problems.push(`${most} messages in one second from one address`);
  const busiest = Math.max(...connections.values());
  if (busiest > limits.connections) problems.push(`${busiest} connections from one address`);

  const senders = [...Map.groupBy(arrivals, ({ ip, node }) => `${node} from ${ip}`)]
    .map(([who, all]) => `${who} ${all.length}`)
    .sort();
  const count = (kind: string): number => faults.filter((fault) => fault.kind === kind).length;
  return {
    problems,
    figures: [
      `faults: ${count('kill')} kills, ${count('pause')} pauses of 20 s, ${count('cut')} cuts`,
      `promised ${promised.size}, arrived ${byRecipient.size}`,
      `twice ${twice.length}${causes.map((cause) => `; ${cause}`).join('')}`,
      `sent: ${senders.join(', ')}`,
      `taken over from dead nodes: ${taken.length}, the last after ${(longest / 1000).toFixed(1)} s (bound ${takeover / 1000} s)`,
      `slowest delivery ${(slowest / 1000).toFixed(1)} s, by as many takeovers as it met dying nodes`,
      `addresses changed hands ${hands.length} times, never sooner than ${(Math.min(...hands.map(({ gap }) => gap)) / 1000).toFixed(1)} s after the last byte of the node before`,
      `packets that nodes were writing when they were stopped, and wrote when they woke: ${stray.length}`,
      `most in any second from one address ${left} as the nodes noted it, ${seen} in ${1_000 - BLUR} ms at the sink (limit ${limits.perSecond}), most connections ${busiest} (limit ${limits.connections})`,
    ],
  };
}

/** When the first of two copies was answered, beside the fault of its node. */
function nearness(answered: number, { kind, node, from }: ClusterFault): string {
  const gap = answered - from;
  return `${Math.abs(gap)} ms ${gap < 0 ? 'before' : 'after'} the ${kind} of ${node}`;
}

/** Time from each death of a node until its deliveries were leased again, ms. */
function takeovers(receipts: readonly Receipt[], faults: readonly ClusterFault[]): number[] {
  const times: number[] = [];
  for (const all of Map.groupBy(receipts, ({ messageId }) => messageId).values()) {
    const inOrder = all.toSorted((a, b) => a.at - b.at);
    for (const [n, next] of inOrder.entries()) {
      const holder = inOrder[n - 1];
      const death = faults.find(
        ({ node, kind, from }) =>
          kind === 'kill' && node === holder?.node && holder.at <= from && from <= next.at,
      );
      if (death) times.push(next.at - death.from);
    }
  }
  return times;
}

/** Maximum number of events of one address in any window of this length. */
function mostIn(window: number, events: readonly { ip: string; at: number }[]): number {
  let most = 0;
  for (const all of Map.groupBy(events, ({ ip }) => ip).values()) {
    const times = all.map(({ at }) => at).sort((a, b) => a - b);
    for (let from = 0, to = 0; to < times.length; to += 1) {
      while (times[to]! - times[from]! >= window) from += 1;
      most = Math.max(most, to - from + 1);
    }
  }
  return most;
}

/** Whether a node's only bytes from an address are the packet that it was writing when it was paused. */
function interrupted({ node, from, packets }: Tenure, faults: readonly ClusterFault[]): boolean {
  const woke = (fault: ClusterFault): boolean =>
    fault.kind === 'pause' && fault.node === node && Math.abs(from - fault.to) <= WAKING;
  return packets === 1 && faults.some(woke);
}

/** Each change of the node that sends from an address, and the gap between the two, ms. */
function handovers(tenures: readonly Tenure[]): { before: Tenure; after: Tenure; gap: number }[] {
  return [...Map.groupBy(tenures, ({ ip }) => ip).values()].flatMap((all) =>
    all
      .slice(1)
      .map((after, n) => ({ before: all[n]!, after, gap: after.from - all[n]!.to }))
      .filter(({ before, after }) => before.node !== after.node),
  );
}
