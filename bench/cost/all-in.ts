/**
 * Everything that AWS bills for 100 million messages a day, line by line, in dollars for a million: `npm run bench:cost` prints
 * it after the requests that it counts. List prices of us-east-1, on demand, without savings plans and free tiers, as public
 * pages named them in 2025 and 2026: hold them against AWS's price lists before a decision rests on them.
 */

/** What was counted. */
export interface Counted {
  /** Requests of a message, $ a million. */
  requests: number;
  /** What a deferral of each message adds, $ a million. */
  deferral: number;
  /** Requests of SQS for a message in a lane: sent, received and deleted. */
  laneRequests: number;
  /** Messages in one call of the API. */
  perCall: number;
  /** Bytes and items in the tables of records and deliveries, for each message. */
  stored: { bytes: number; items: number };
  /** Bytes of a message. */
  bytes: number;
  /** Requests without mail, $ a month: the lease of an IP, the changes that a node reads, the polls of a lane. */
  idle: { ip: number; node: number; lane: number };
}

interface CostLine {
  name: string;
  /** $ a million messages. */
  dollars: number;
  from: string;
}

const DAILY = 100e6;
const DAYS = 30;
/** Millions of messages a month. */
const MILLIONS = (DAILY * DAYS) / 1e6;
const HOURS = 24 * DAYS;

/** The fleet: 1,000 addresses, four on each node, in cells of thirty nodes with a pool each. */
const IPS = 1_000;
const NODES = IPS / 4;
const CELLS = Math.ceil(NODES / 30);
const LANES = CELLS * 20;
/** Part of the messages that is put off once. */
const DEFERRED = 0.1;

/** A call of the API at 1,024 MB: three round trips (p99 of `npm run scale accept`), and CPU for itself and each message, ms. */
const CALL = { waits: 18, cpu: 12, perMessage: 2.5 };
const GB_SECOND = 0.0000133334;
/**
 * A line of metrics, with 26 bytes that CloudWatch adds: START, END and REPORT of Lambda are off (lib/stacks/function.ts). An
 * environment that takes 30 calls a second writes its ten lanes every two seconds (lib/observe/paced-flush.ts).
 */
const LOG_BYTES = ((234 + 26) * 10) / 60;
/** More for a request with messages of a group, as every lane's: "fair queues" of SQS. */
const FAIR = 0.1;
/** Four days until a delivery expires, and thirty after. */
const KEPT_DAYS = 34;
/** What DynamoDB bills for each item besides its content (developer guide, "DynamoDB item sizes and formats"). */
const ITEM_OVERHEAD = 100;
/** SMTP, TLS, TCP and IP around the bytes of a message. */
const WIRE = 1.06;
const GB = 1e9;

/** Data transfer out to the internet: dollars a GB up to so many GB a month. */
const TRANSFER: readonly [gigabytes: number, dollars: number][] = [
  [10_240, 0.09],
  [40_960, 0.085],
  [102_400, 0.07],
  [Number.POSITIVE_INFINITY, 0.05],
];

function transferred(gigabytes: number): number {
  let left = gigabytes;
  let dollars = 0;
  for (const [most, price] of TRANSFER) {
    const part = Math.min(left, most);
    dollars += part * price;
    left -= part;
  }
  return dollars;
}

export function allIn({
  requests,
  deferral,
  laneRequests,
  perCall,
  stored,
  bytes,
  idle,
}: Counted): CostLine[] {
  const month = (dollars: number): number => dollars / MILLIONS;
  const calls = 1 / perCall;
  const seconds = ((CALL.waits + CALL.cpu) * calls + CALL.perMessage) / 1000;
  const kept = ((stored.bytes + stored.items * ITEM_OVERHEAD) * 1e6 * KEPT_DAYS) / DAYS / GB;
  // Metrics by lane and by node (lib/stacks/README.md).
  const metrics = LANES * 8 + NODES * 3;
  return [
    {
      name: 'requests of SQS and DynamoDB',
      dollars: requests,
      from: 'counted; $0.40 SQS, $0.625 and $0.125 DynamoDB',
    },
    {
      name: 'fair queues',
      dollars: laneRequests * FAIR,
      from: 'counted; SQS, $0.10 a million requests more',
    },
    { name: `a deferral of ${DEFERRED * 100} % of them`, dollars: deferral * DEFERRED, from: 'counted' },
    { name: 'Lambda: calls', dollars: calls * 0.2, from: 'Lambda, $0.20 a million' },
    {
      name: 'Lambda: time of the API',
      dollars: seconds * 1e6 * GB_SECOND,
      from: 'Lambda, Arm, $0.0000133334 a GB-s; ms assumed',
    },
    {
      name: 'Lambda: outcomes and due',
      dollars: 0.001 * 0.5 * 1e6 * GB_SECOND,
      from: 'same; 1 ms at 512 MB assumed',
    },
    { name: 'logs', dollars: ((calls * LOG_BYTES * 1e6) / GB) * 0.5, from: 'CloudWatch Logs, $0.50 a GB' },
    {
      name: `records, ${KEPT_DAYS} days`,
      dollars: kept * 0.25,
      from: 'counted; DynamoDB, $0.25 a GB and month',
    },
    { name: 'point-in-time recovery', dollars: kept * 0.2, from: 'DynamoDB, $0.20 a GB and month' },
    {
      name: 'traffic to the internet',
      dollars: month(transferred((DAILY * DAYS * bytes * WIRE) / GB)),
      from: 'EC2, $0.09 to $0.05 a GB',
    },
    { name: `${IPS} public addresses`, dollars: month(IPS * 0.005 * HOURS), from: 'VPC, $0.005 an hour' },
    {
      name: `${NODES} t4g.small, four addresses each`,
      dollars: month(NODES * 0.0168 * HOURS),
      from: 'EC2, $0.0168 an hour',
    },
    { name: 'their disks, 8 GB', dollars: month(NODES * 8 * 0.08), from: 'EBS gp3, $0.08 a GB and month' },
    { name: 'leases of addresses', dollars: month(IPS * idle.ip), from: 'counted' },
    {
      name: 'polls of lanes and configuration',
      dollars: month(NODES * (idle.node + 20 * idle.lane)),
      from: 'counted',
    },
    { name: `${metrics} metrics`, dollars: month(metrics * 0.3), from: 'CloudWatch, $0.30 a month' },
    { name: 'alarms', dollars: month((113 + CELLS * 60) * 0.1), from: 'CloudWatch, $0.10 a month' },
    {
      name: 'keys',
      dollars: month(3 + 1_000 * 0.03),
      from: 'KMS, $1 a key, $0.03 for 10,000 uses; uses assumed',
    },
  ];
}

/** Prints the lines of several kinds of load beside each other. @returns the sum of each. */
export function showAllIn(kinds: readonly (readonly [name: string, lines: readonly CostLine[]])[]): number[] {
  const cell = (text: string): string => text.padStart(16);
  process.stdout.write(`\nAll in, 100 million a day, $ a million\n  ${''.padEnd(38)}`);
  process.stdout.write(`${kinds.map(([name]) => cell(name)).join('')}\n`);
  for (const [at, { name, from }] of kinds[0]![1].entries()) {
    const each = kinds.map(([, lines]) => cell(lines[at]!.dollars.toFixed(3))).join('');
    process.stdout.write(`  ${name.padEnd(38)}${each}  ${from}\n`);
  }
  const sums = kinds.map(([, lines]) => lines.reduce((sum, { dollars }) => sum + dollars, 0));
  process.stdout.write(`  ${'all'.padEnd(38)}${sums.map((sum) => cell(sum.toFixed(2))).join('')}\n`);
  return sums;
}
