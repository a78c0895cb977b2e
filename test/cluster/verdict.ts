/** Judges what the sink wrote down against what was promised and what was done to the nodes. */
import type { Arrival } from './sink.ts';

export interface ClusterFault {
  node: string;
  kind: 'kill' | 'pause' | 'cut';
  from: number;
  to: number;
}

export interface Evidence {
  /** Recipients that were answered 200, and when. */
  promised: ReadonlyMap<string, number>;
  arrivals: readonly Arrival[];
  connections: ReadonlyMap<string, number>;
  faults: readonly ClusterFault[];
  limits: { perSecond: number; connections: number };
  /** Ms within which a delivery that a node held must arrive after the node's fault. */
  takeover: number;
}

/** Ms from the sink's final reply to the durable end of the delivery: reply, batch, two requests. */
const WINDOW = 1_500;
/** Ms that an event may wait in a socket before the sink sees it. */
const BLUR = 50;

/** @returns what is wrong, and the figures. */
export function judge(evidence: Evidence): { problems: string[]; figures: string[] } {
  const { promised, arrivals, connections, faults, limits, takeover } = evidence;
  const problems: string[] = [];
  const byRecipient = Map.groupBy(arrivals, ({ recipient }) => recipient);

  const lost = [...promised.keys()].filter((recipient) => !byRecipient.has(recipient));
  if (lost.length > 0) problems.push(`${lost.length} lost, as ${lost[0]}`);

  const twice = [...byRecipient.values()].filter((all) => all.length > 1);
  let widest = 0;
  for (const all of twice) {
    for (let i = 1; i < all.length; i += 1) {
      const first = all[i - 1]!;
      const fault = faults.find(
        ({ node, from, to }) =>
          first.node === `${node}.example` &&
          from - WINDOW <= first.answered &&
          first.answered <= to + WINDOW,
      );
      if (fault) widest = Math.max(widest, fault.from - first.answered);
      else
        problems.push(`${first.recipient}: sent again by ${all[i]!.node} without a fault of ${first.node}`);
    }
  }

  let slowest = 0;
  for (const [recipient, at] of promised) {
    const first = byRecipient.get(recipient)?.[0];
    if (first) slowest = Math.max(slowest, first.answered - at);
  }
  if (slowest > takeover) problems.push(`a delivery took ${(slowest / 1000).toFixed(1)} s`);

  let most = 0;
  let handovers = 0;
  let shortestGap = Number.POSITIVE_INFINITY;
  for (const [ip, all] of Map.groupBy(arrivals, (arrival) => arrival.ip)) {
    const begun = all.toSorted((a, b) => a.begun - b.begun);
    for (let from = 0, to = 0; to < begun.length; to += 1) {
      while (begun[to]!.begun - begun[from]!.begun >= 1000 - BLUR) from += 1;
      most = Math.max(most, to - from + 1);
    }
    let last = new Map<string, number>();
    for (const { node, begun: at, answered } of begun) {
      for (const [other, until] of last) {
        if (other === node) continue;
        handovers += 1;
        shortestGap = Math.min(shortestGap, at - until);
        if (at < until) problems.push(`${ip}: ${node} began while ${other} was sending`);
        last = new Map();
      }
      last.set(node, Math.max(answered, last.get(node) ?? 0));
    }
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
      `promised ${promised.size}, arrived ${byRecipient.size}, lost ${lost.length}`,
      `twice ${twice.length}, the first copy answered at most ${widest} ms before its node's fault`,
      `sent: ${senders.join(', ')}`,
      `slowest delivery ${(slowest / 1000).toFixed(1)} s (bound ${takeover / 1000} s)`,
      `addresses changed hands ${handovers} times, never sooner than ${(shortestGap / 1000).toFixed(1)} s after the last reply`,
      `most in one second from one address ${most} (limit ${limits.perSecond}), most connections ${busiest} (limit ${limits.connections})`,
    ],
  };
}
