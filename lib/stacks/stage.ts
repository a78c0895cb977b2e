/** The settings of a stage. */
import type { RetentionDays } from 'aws-cdk-lib/aws-logs';

/** A source address: an Elastic IP on a private address of its node. */
export interface StageSourceAddress {
  /** Its name: in EHLO, in its A record and, once `ptr` is set, in its PTR record. Unique. */
  hostname: string;
  /** Pools that send from it. */
  pools: readonly string[];
  /**
   * Sets the PTR record to `hostname`. EC2 sets it only while the A record exists, so: deploy without, publish the
   * A record that the stack shows, set this, deploy again.
   */
  ptr: boolean;
}

/** A source address that has its Elastic IP. */
export type StageAddress = StageSourceAddress & { ip: string; allocationId: string };

/** An egress node: an Auto Scaling group of one, which is replaced under the same name in any remaining zone. */
export interface NodeConfig {
  /** Unique in the stage, as `a`, and never changed: the leases of the node's addresses are under this name. */
  name: string;
  /** Arm64. A type bounds how many addresses a node may have (instance-types.ts). */
  instanceType: string;
  addresses: readonly StageSourceAddress[];
}

/**
 * Further nodes with a network, pools and lanes of their own, in a stack of their own. A stage that fits into one
 * stack needs none: its nodes are in `nodes`.
 */
export interface CellConfig {
  /** Part of the names of its stacks. */
  name: string;
  /** At most 30. A pool is in one cell only. */
  nodes: readonly NodeConfig[];
}

/** A node that runs elsewhere. */
export interface OutsideNode {
  /** Unique in the stage: the common name of its certificate. */
  name: string;
  addresses: readonly {
    /** The address that the world sees. */
    ip: string;
    /** The address of the host's interface, where the network translates addresses. */
    local?: string;
    hostname: string;
    /** Pools that send from it. They may exist outside AWS only. */
    pools: readonly string[];
  }[];
}

/** Nodes outside AWS, which get their rights by certificate (IAM Roles Anywhere). */
export interface OutsideNodes {
  /** Certificate of the authority that signs the nodes' certificates, in PEM. */
  authority: string;
  nodes: readonly OutsideNode[];
}

/** A name of your own, by a CloudFront distribution in front of a function. */
export interface CustomDomain {
  /** As `api.mail.example.com`. */
  name: string;
  /** ARN of its certificate in ACM, always in us-east-1: CloudFront takes no other. */
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
  /**
   * Domain identity of the operator whose key signs all mail beside the sender's own, so that feedback loops that go by
   * `d=` (Yahoo) cover every tenant. Create it by the API, and publish its records.
   */
  cosignDomain?: string;
  /**
   * Zone of your own in which the DKIM keys of identities are published, as `dkim.mail.example.com`: Route 53 answers
   * for it, and its parent zone must delegate it to the name servers in the outputs of the data stack. Absent: each
   * domain publishes its key itself.
   */
  dkimZone?: string;
  nodes: readonly NodeConfig[];
  /** More nodes than one stack holds. */
  cells?: readonly CellConfig[];
  outside?: OutsideNodes;
  api: {
    memoryMegabytes: number;
    /**
     * Most calls at one time, for the API and once more for tracking: it bounds the bill, and what a flood can do to
     * the rest of the account. Lambda also refuses more than ten times as many calls a second, however short they
     * are. It is reserved out of what the account allows, of which 100 must remain. Absent: what the account allows,
     * in a new one often ten, of which Lambda lets nothing be reserved.
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
   * What event destinations may name: ARNs of SNS topics, EventBridge buses and Firehose streams, and of the KMS keys
   * of encrypted topics; `*` stands for any part, as `arn:aws:sns:us-east-1:123456789012:mail-*`. Absent: none, so that
   * those destinations fail with `AccessDenied`. CloudWatch, webhooks and brokers need no entry.
   */
  eventTargets?: readonly string[];
  /**
   * Days for which events are kept for `GET /v1/events` and replays (lib/engine/aws/README.md has the price); 0: none
   * are, and both are refused. Absent: 7.
   */
  eventDays?: number;
  /**
   * Bucket of yours, of the same account and region, that import jobs read and export jobs may write (SES's `s3://` URLs).
   * Absent: import jobs are refused, and exports are results alone. A bucket with a KMS key of its own must let the
   * function of jobs use it.
   */
  files?: { bucket: string };
  /**
   * Claims every delivery before it is sent, for $0.63 a million and as much for each deferral: then a message that SQS
   * hands out twice at one time (it rarely does) goes out once, and every delivery that waits in a lane can be cancelled.
   */
  claimBeforeSend?: boolean;
  /**
   * Whether messages can be searched for, by recipient, sender, campaign and time. Absent: yes, for $0.63 a million
   * recipients. Switched off, `GET /v1/messages` is refused; what was sent meanwhile is not found later either.
   */
  searchIndex?: boolean;
  tables: {
    /** Restore to any second of the last 35 days, at $0.20 a GB and month. */
    pointInTimeRecovery: boolean;
    /** Caps of the on-demand tables, units a second: a bound of the bill. */
    maxReadUnits: number;
    maxWriteUnits: number;
    /**
     * What each table can take at once, for a fee of one time. Absent: 12,000 and 4,000, which a table doubles by
     * itself within half an hour.
     */
    warm?: { readUnits: number; writeUnits: number };
  };
  /** Stacks and tables refuse to be deleted. Data outlives its stack with and without. */
  protect: boolean;
  logRetention: RetentionDays;
  alarms: {
    /** Gets every alarm by mail. */
    email?: string;
    /** Deliveries from which on reputation is judged. */
    minimumVolume: number;
    /** US dollars: mails `email` when the account's monthly bill is forecast to exceed them. */
    monthlyDollars?: number;
  };
}

/** Where the mail of a stage is tracked, unless a configuration set names another domain. */
export function trackingUrlOf({ tracking }: Stage): string | undefined {
  return tracking && `https://${tracking.name}`;
}

/** Days for which a stage keeps events. */
export function eventDaysOf({ eventDays = 7 }: Stage): number {
  return eventDays;
}
