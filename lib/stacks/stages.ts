/**
 * The stages of this installation, as typed code: what differs between them is here and nowhere else. Change
 * this file to your own names, then `npx cdk deploy --all -c stage=<name>`.
 */
import { RetentionDays } from 'aws-cdk-lib/aws-logs';

/** A source address: an Elastic IP on a private address of its node. */
export interface SourceAddress {
  /** Its name: in EHLO, in its A record and, once `ptr` is set, in its PTR record. Unique. */
  hostname: string;
  /** Pools that send from it. */
  pools: readonly string[];
  /**
   * Sets the PTR record to `hostname`. EC2 asks for the A record first, so: deploy without, publish the A record
   * from the stack's outputs, set this, deploy again.
   */
  ptr: boolean;
}

/** An egress node: an Auto Scaling group of one, which comes back under the same name in whatever zone is left. */
export interface NodeConfig {
  /** Unique, as `a`, and the same for ever: it holds the leases of the node's addresses. */
  name: string;
  /** Arm64. A type bounds how many addresses one interface has: four for t4g.small, fifteen for c7g.large. */
  instanceType: string;
  addresses: readonly SourceAddress[];
}

/** Nodes that run elsewhere and get their rights by a certificate (IAM Roles Anywhere). */
export interface OutsideNodes {
  /** Certificate of the authority that signs the nodes' certificates, in PEM. */
  authority: string;
  /** Names of the nodes: the common names of their certificates. */
  names: readonly string[];
}

/** A name of your own, by a CloudFront distribution in front of a function. */
export interface CustomDomain {
  /** As `api.mail.example.com`. */
  name: string;
  /** ARN of its certificate in ACM, in us-east-1 whatever the stage's region: CloudFront takes no other. */
  certificate: string;
  /** Zone of Route 53 that gets the records of the name; without it, publish the one that the stack's outputs show. */
  hostedZone?: { id: string; name: string };
}

/** SMTP submission, as SES's SMTP interface: instances behind a load balancer, on ports 587 and 465. */
export interface SubmissionService {
  /** Name that clients connect to, as `smtp.mail.example.com`; the certificate is for it. */
  hostname: string;
  /** Arm64. */
  instanceType: string;
  /** At least two, so that one takes mail while the other is replaced. */
  instances: number;
}

export interface Stage {
  /** Part of every name. */
  name: string;
  region: string;
  /** Twelve digits; that of the credentials in use when absent. */
  account?: string;
  /** Name of the service in events and greetings. */
  hostname: string;
  /** Domain of return paths where an identity has no MAIL FROM domain of its own; its MX is the nodes. */
  returnPathDomain: string;
  nodes: readonly NodeConfig[];
  outside?: OutsideNodes;
  api: {
    memoryMegabytes: number;
    /**
     * Most calls at one time: bounds both the bill and what a flood can do to the rest of the account. It is taken
     * from what the account allows, which must keep 100. Absent: what the account allows, in a new one often ten,
     * of which Lambda lets nothing be reserved.
     */
    concurrency?: number;
    domain?: CustomDomain;
  };
  /**
   * Name by which opens and clicks are tracked where a configuration set names no domain of its own, as
   * `track.mail.example.com`. Keep it: links in mail that was sent point to it. Without it, such sets are refused.
   */
  tracking?: CustomDomain;
  /** Absent: mail comes by the API only. */
  submission?: SubmissionService;
  /**
   * Claims every delivery before it is sent, for $0.63 a million: then a message that SQS hands out twice at one time
   * (it may, once in a great while) goes out once, and whatever waits in a lane can be cancelled.
   */
  claimBeforeSend?: boolean;
  tables: {
    /** Restore to any second of the last 35 days, at $0.20 a GB and month. */
    pointInTimeRecovery: boolean;
    /** Caps of the on-demand tables, units a second: a bound of the bill. */
    maxReadUnits: number;
    maxWriteUnits: number;
  };
  /** Stacks and tables refuse to be deleted. Whatever this says, no data is deleted with a stack. */
  protect: boolean;
  logRetention: RetentionDays;
  alarms: {
    /** Told of every alarm. */
    email?: string;
    /** Reputation is judged from so many deliveries on. */
    minimumVolume: number;
  };
}

const dev: Stage = {
  name: 'dev',
  region: 'us-east-1',
  hostname: 'dev.mail.example.com',
  returnPathDomain: 'bounces.dev.mail.example.com',
  nodes: [
    {
      name: 'a',
      instanceType: 't4g.micro',
      addresses: [{ hostname: 'a1.dev.mail.example.com', pools: ['default'], ptr: false }],
    },
  ],
  api: { memoryMegabytes: 512 },
  tables: { pointInTimeRecovery: false, maxReadUnits: 500, maxWriteUnits: 500 },
  protect: false,
  logRetention: RetentionDays.ONE_WEEK,
  alarms: { minimumVolume: 1_000 },
};

const prod: Stage = {
  name: 'prod',
  region: 'us-east-1',
  hostname: 'mail.example.com',
  returnPathDomain: 'bounces.mail.example.com',
  nodes: ['a', 'b', 'c'].map((name) => ({
    name,
    instanceType: 't4g.small',
    addresses: [
      { hostname: `${name}1.mail.example.com`, pools: ['default'], ptr: true },
      { hostname: `${name}2.mail.example.com`, pools: ['bulk'], ptr: true },
    ],
  })),
  api: { memoryMegabytes: 1024, concurrency: 200 },
  tables: { pointInTimeRecovery: true, maxReadUnits: 10_000, maxWriteUnits: 20_000 },
  protect: true,
  logRetention: RetentionDays.ONE_MONTH,
  alarms: { email: 'postmaster@example.com', minimumVolume: 1_000 },
};

export const STAGES: Readonly<Record<string, Stage>> = { dev, prod };

/** The pool that mail goes to when nothing names another. */
const DEFAULT_POOL = 'default';
/** Pool names are part of queue names (SQS: 80 letters, digits, `-` and `_`). */
const POOL_NAME = /^[a-z0-9][a-z0-9_-]{0,23}$/;
const NAME = /^[a-z][a-z0-9]{0,15}$/;
const CLOUDFRONT_CERTIFICATE = /^arn:aws[a-z-]*:acm:us-east-1:\d{12}:certificate\/[\w-]+$/;
const HOSTNAME = /^(?=.{4,253}$)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,63}$/;

/** Where the mail of a stage is tracked, unless a configuration set says otherwise. */
export function trackingUrlOf({ tracking }: Stage): string | undefined {
  return tracking && `https://${tracking.name}`;
}

/** Every pool of a stage, `default` first. */
export function poolsOf(stage: Stage): string[] {
  const named = stage.nodes.flatMap(({ addresses }) => addresses.flatMap(({ pools }) => pools));
  return [...new Set([DEFAULT_POOL, ...named])];
}

/**
 * The stage of a name, checked. @throws Error that says what is wrong and where: names, host names, addresses that
 * two nodes claim.
 */
export function stageOf(name: string, stages: Readonly<Record<string, Stage>> = STAGES): Stage {
  const stage = stages[name];
  if (!stage) {
    throw new Error(
      `There is no stage "${name}". Use -c stage= with one of: ${Object.keys(stages).join(', ')}.`,
    );
  }
  const wrong = (what: string): never => {
    throw new Error(`lib/stacks/stages.ts, stage ${name}: ${what}`);
  };
  if (stage.name !== name || !NAME.test(name))
    wrong(`its name must be its key, a letter, then letters and digits.`);
  for (const host of [stage.hostname, stage.returnPathDomain]) requireHostname(host, wrong);
  for (const domain of [stage.api.domain, stage.tracking]) {
    if (!domain) continue;
    requireHostname(domain.name, wrong);
    if (!CLOUDFRONT_CERTIFICATE.test(domain.certificate))
      wrong(`"${domain.certificate}" is not the ARN of a certificate in us-east-1, where CloudFront looks.`);
    const zone = domain.hostedZone?.name;
    if (zone !== undefined && domain.name !== zone && !domain.name.endsWith(`.${zone}`))
      wrong(`"${domain.name}" is not a name of the zone "${zone}".`);
  }
  const { submission } = stage;
  if (submission) {
    requireHostname(submission.hostname, wrong);
    if (!Number.isInteger(submission.instances) || submission.instances < 2)
      wrong(`submission needs two instances or more, not ${submission.instances}.`);
  }
  const nodes = [...stage.nodes.map((node) => node.name), ...(stage.outside?.names ?? [])];
  requireUnique('node', nodes, wrong);
  for (const node of nodes)
    if (!NAME.test(node)) wrong(`node "${node}" is not a letter, then letters and digits.`);
  const addresses = stage.nodes.flatMap((node) => node.addresses);
  requireUnique(
    'hostname',
    addresses.map(({ hostname }) => hostname),
    wrong,
  );
  for (const { hostname, pools } of addresses) {
    requireHostname(hostname, wrong);
    for (const pool of pools)
      if (!POOL_NAME.test(pool)) wrong(`pool "${pool}" cannot be part of a queue's name.`);
  }
  for (const node of stage.nodes)
    if (node.addresses.length === 0) wrong(`node "${node.name}" has no address.`);
  return stage;
}

function requireHostname(host: string, wrong: (what: string) => never): void {
  if (!HOSTNAME.test(host)) wrong(`"${host}" is not a host name in lower case, as a1.mail.example.com.`);
}

function requireUnique(what: string, names: readonly string[], wrong: (what: string) => never): void {
  const twice = names.find((one, at) => names.indexOf(one) !== at);
  if (twice !== undefined) wrong(`two have the ${what} "${twice}".`);
}
