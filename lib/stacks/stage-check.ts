/** What is refused of a stage before anything is made: what AWS cannot give fails here, not in a deployment. */
import { type Cell, cellsOf } from './cells.ts';
import { instanceLimits } from './instance-types.ts';
import type { CustomDomain, NodeConfig, Stage } from './stage.ts';

/** A pool's name is part of queue names (SQS: 80 letters, digits, `-` and `_`). */
const POOL_NAME = /^[a-z0-9][a-z0-9_-]{0,23}$/;
const NAME = /^[a-z][a-z0-9]{0,15}$/;
const CLOUDFRONT_CERTIFICATE = /^arn:aws[a-z-]*:acm:us-east-1:\d{12}:certificate\/[\w-]+$/;
const EVENT_TARGET =
  /^arn:aws[a-z-]*:(sns:[a-z0-9*-]+:[\d*]+:[\w.*-]+|events:[a-z0-9*-]+:[\d*]+:event-bus\/[\w./*-]+|firehose:[a-z0-9*-]+:[\d*]+:deliverystream\/[\w.*-]+|kms:[a-z0-9*-]+:[\d*]+:key\/[\w-]+)$/;
/** Records are kept for 30 days after their deliveries: an event without its record is none. */
const MAX_EVENT_DAYS = 30;
const HOSTNAME = /^(?=.{4,253}$)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,63}$/;
/** A name of the zone of DKIM keys is a token and a dot longer than the zone (RFC 1035 §2.3.4). */
const MAX_ZONE = 220;
const PEM = /^-----BEGIN CERTIFICATE-----/;

/** Names that stand for the parts of a stage in the names of its stacks. */
const PARTS = ['data', 'api', 'egress', 'submission', 'monitoring'];
/** Nodes of a cell. */
const MAX_NODES = 30;
/** Lanes of a pool take ten resources, of the 500 of a stack. */
const MAX_POOLS = { own: 22, cell: 15 };
/** Addresses that fit into a stack: each is one resource in a cell; in the stage's own, a PTR and an output more. */
const MAX_ADDRESSES = { own: 190, cell: 150 };
/** Concurrent calls that an account must keep unreserved (Lambda quotas). */
const UNRESERVED = 100;
/** What an on-demand table takes from its first second on (DynamoDB, "Warm throughput"). */
const COLD = { readUnits: 12_000, writeUnits: 4_000 };

type Refuse = (what: string) => never;

/** @throws Error with the file, the stage and the sentence that mends it. */
export function checkStage(key: string, stage: Stage): void {
  const refuse: Refuse = (what) => {
    throw new Error(`lib/stacks/stages.ts, stage ${key}: ${what}`);
  };
  if (stage.name !== key || !NAME.test(key))
    refuse('its name must be its key: a letter, then letters and digits, 16 at most.');
  for (const host of [stage.hostname, stage.returnPathDomain, stage.cosignDomain, stage.dkimZone])
    if (host !== undefined) checkHostname(host, refuse);
  for (const domain of [stage.api.domain, stage.tracking]) if (domain) checkDomain(domain, refuse);
  if (stage.dkimZone !== undefined && stage.dkimZone.length > MAX_ZONE)
    refuse(
      `dkimZone has ${stage.dkimZone.length} characters, and ${MAX_ZONE} at most: names in it are 33 longer.`,
    );
  checkCapacity(stage, refuse);
  checkEvents(stage, refuse);
  checkSubmission(stage, refuse);
  checkOutside(stage, refuse);
  checkCells(stage, refuse);
}

function checkDomain({ name, certificate, hostedZone }: CustomDomain, refuse: Refuse): void {
  checkHostname(name, refuse);
  if (!CLOUDFRONT_CERTIFICATE.test(certificate))
    refuse(`"${certificate}" is not the ARN of a certificate in us-east-1, where CloudFront looks.`);
  const zone = hostedZone?.name;
  if (zone !== undefined && name !== zone && !name.endsWith(`.${zone}`))
    refuse(`"${name}" is not a name of the zone "${zone}".`);
}

function checkCapacity({ api, tables, alarms }: Stage, refuse: Refuse): void {
  const { concurrency } = api;
  if (concurrency !== undefined && (!Number.isInteger(concurrency) || concurrency < 0))
    refuse(`api.concurrency is ${concurrency}. Give a whole number, or leave it out.`);
  const { warm, maxReadUnits, maxWriteUnits } = tables;
  if (warm) {
    for (const [name, value, least, most] of [
      ['readUnits', warm.readUnits, COLD.readUnits, maxReadUnits],
      ['writeUnits', warm.writeUnits, COLD.writeUnits, maxWriteUnits],
    ] as const) {
      if (value < least)
        refuse(`tables.warm.${name} is ${value}, but a table takes ${least} from the start. Give more.`);
      if (value > most)
        refuse(`tables.warm.${name} is ${value}, above the cap of ${most}. Raise the cap or warm less.`);
    }
  }
  if (alarms.monthlyDollars !== undefined && !alarms.email)
    refuse('alarms.monthlyDollars needs alarms.email, which is told.');
}

function checkEvents({ eventTargets = [], eventDays = 0 }: Stage, refuse: Refuse): void {
  for (const target of eventTargets) {
    if (!EVENT_TARGET.test(target))
      refuse(
        `eventTargets: "${target}" is not the ARN of an SNS topic, an EventBridge bus, a Firehose stream or a KMS key.`,
      );
  }
  if (!Number.isInteger(eventDays) || eventDays < 0 || eventDays > MAX_EVENT_DAYS)
    refuse(`eventDays is ${eventDays}. Give whole days, ${MAX_EVENT_DAYS} at most, or 0 for none.`);
}

function checkSubmission({ submission }: Stage, refuse: Refuse): void {
  if (!submission) return;
  checkHostname(submission.hostname, refuse);
  checkType('submission', submission.instanceType, refuse);
  if (!Number.isInteger(submission.instances) || submission.instances < 2)
    refuse(`submission needs two instances or more, not ${submission.instances}.`);
}

function checkOutside({ outside }: Stage, refuse: Refuse): void {
  if (!outside) return;
  if (outside.nodes === undefined)
    refuse('outside.nodes lists the nodes: [{ name, addresses: [{ ip, hostname, pools }] }].');
  if (!PEM.test(outside.authority))
    refuse(
      'outside.authority is the text of the file ca.pem, which begins with -----BEGIN CERTIFICATE-----.',
    );
  for (const { name, addresses } of outside.nodes)
    if (addresses.length === 0) refuse(`node "${name}" has no address.`);
  unique(
    'address',
    outside.nodes.flatMap(({ addresses }) => addresses.map(({ ip }) => ip)),
    refuse,
  );
}

function checkCells(stage: Stage, refuse: Refuse): void {
  const cells = cellsOf(stage);
  const names = cells.flatMap(({ name }) => (name === undefined ? [] : [name]));
  unique('cell', names, refuse);
  for (const name of names) {
    if (!NAME.test(name)) refuse(`cell "${name}" is not a letter, then letters and digits, 16 at most.`);
    if (PARTS.includes(name)) refuse(`cell "${name}" has the name of another stack. Give it another.`);
  }
  unique(
    'pool',
    cells.flatMap(({ pools }) => pools),
    refuse,
    'A pool belongs to one cell: its nodes are the only ones that read its lanes.',
  );
  const outside = stage.outside?.nodes ?? [];
  const nodes = cells.flatMap((cell) => cell.nodes);
  const nodeNames = [...nodes, ...outside].map(({ name }) => name);
  unique('node', nodeNames, refuse);
  for (const name of nodeNames)
    if (!NAME.test(name)) refuse(`node "${name}" is not a letter, then letters and digits, 16 at most.`);
  const addresses = [
    ...nodes.flatMap((node) => node.addresses),
    ...outside.flatMap((node) => node.addresses),
  ];
  unique(
    'hostname',
    addresses.map(({ hostname }) => hostname),
    refuse,
  );
  for (const { hostname, pools } of addresses) {
    checkHostname(hostname, refuse);
    if (pools.length === 0) refuse(`address "${hostname}" is in no pool.`);
    for (const pool of pools)
      if (!POOL_NAME.test(pool)) refuse(`pool "${pool}" cannot be part of a queue's name.`);
  }
  for (const node of nodes) checkNode(node, refuse);
  for (const cell of cells) checkSize(cell, refuse);
  checkConstructNames(stage.nodes, refuse);
}

function checkNode({ name, instanceType, addresses }: NodeConfig, refuse: Refuse): void {
  if (addresses.length === 0) refuse(`node "${name}" has no address.`);
  const { addresses: most } = checkType(`node "${name}"`, instanceType, refuse);
  if (addresses.length > most)
    refuse(
      `node "${name}" has ${addresses.length} addresses, but an interface of a ${instanceType} has ${most}. Take a larger type, or a further node.`,
    );
}

function checkType(what: string, type: string, refuse: Refuse): { addresses: number } {
  return (
    instanceLimits(type) ??
    refuse(`${what}: "${type}" is no type on arm64 that lib/stacks/instance-types.ts lists, as t4g.small.`)
  );
}

/** A stack holds 500 resources and 200 outputs (CloudFormation quotas). */
function checkSize({ name, nodes, pools }: Cell, refuse: Refuse): void {
  const what = name === undefined ? 'the stage' : `cell "${name}"`;
  const kind = name === undefined ? 'own' : 'cell';
  const addresses = nodes.reduce((sum, node) => sum + node.addresses.length, 0);
  const further = 'Put the others into a further cell (cells of the stage).';
  if (name !== undefined && nodes.length === 0) refuse(`${what} has no node.`);
  if (name !== undefined && nodes.length > MAX_NODES)
    refuse(`${what} has ${nodes.length} nodes; a cell has ${MAX_NODES} at most. ${further}`);
  if (addresses > MAX_ADDRESSES[kind])
    refuse(`${what} has ${addresses} addresses; its stack holds ${MAX_ADDRESSES[kind]}. ${further}`);
  if (pools.length > MAX_POOLS[kind])
    refuse(`${what} has ${pools.length} pools; its stack holds ${MAX_POOLS[kind]}. ${further}`);
}

/** In the stage's own stack an address is named by its node and number, without a sign between: a1 and 1, a and 11. */
function checkConstructNames(nodes: readonly NodeConfig[], refuse: Refuse): void {
  const names = nodes.flatMap(({ name, addresses }) => addresses.map((_, at) => `${name}${at + 1}`));
  const twice = repeated(names);
  if (twice !== undefined)
    refuse(`two addresses would have the name "${twice}" in CloudFormation. Rename one of their nodes.`);
}

function checkHostname(host: string, refuse: Refuse): void {
  if (!HOSTNAME.test(host)) refuse(`"${host}" is not a host name in lower case, as a1.mail.example.com.`);
}

function repeated(names: readonly string[]): string | undefined {
  const seen = new Set<string>();
  return names.find((name) => seen.size === seen.add(name).size);
}

function unique(what: string, names: readonly string[], refuse: Refuse, why = ''): void {
  const twice = repeated(names);
  if (twice !== undefined) refuse(`two have the ${what} "${twice}". ${why}`.trimEnd());
}

/**
 * What an account must allow for a stage and a new one does not (Service Quotas): each with the number that the stage
 * needs.
 */
export function quotasOf(stage: Stage): string[] {
  const nodes = cellsOf(stage).flatMap((cell) => cell.nodes);
  const addresses = nodes.reduce((sum, node) => sum + node.addresses.length, 0);
  const submission = stage.submission ? Array(stage.submission.instances).fill(stage.submission) : [];
  const types = [...nodes, ...submission].map(({ instanceType }) => instanceType as string);
  // While a node is replaced there is one instance more for a short time.
  const vcpus = types.reduce((sum, type) => sum + instanceLimits(type)!.vcpus, 0);
  const concurrency = stage.api.concurrency;
  const vpcs = 1 + (stage.cells?.length ?? 0);
  return [
    'EC2: outgoing port 25 (form "Request to remove email sending limitations")',
    ...(addresses > 5 ? [`EC2: "EC2-VPC Elastic IPs", 5 in a new account: ${addresses}`] : []),
    ...(vcpus > 5
      ? [`EC2: "Running On-Demand Standard instances", vCPUs, 5 in a new account: ${vcpus}`]
      : []),
    ...(vpcs > 4 ? [`VPC: "VPCs per Region", 5 in a new account, one of which exists: ${vpcs}`] : []),
    ...(concurrency
      ? [`Lambda: "Concurrent executions", 10 to 1,000 in a new account: ${2 * concurrency + UNRESERVED}`]
      : []),
  ];
}
