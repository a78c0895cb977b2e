/**
 * The permissions of each role: exactly the calls of its code, so that an attacker who takes a role over gets no
 * further than its job. The test of permissions lists the outcome, action by action.
 */
import { ArnFormat, Stack } from 'aws-cdk-lib';
import type * as iam from 'aws-cdk-lib/aws-iam';
import type * as logs from 'aws-cdk-lib/aws-logs';
import type * as route53 from 'aws-cdk-lib/aws-route53';
import { CHANGE_KIND, RECORD_KIND } from '../control/dkim-records.ts';
import { storedKind } from '../control/documents.ts';
import { KEY_USE_ROWS } from '../control/key-use.ts';
import { divisionOf } from '../egress/sharing.ts';
import { leaseOf } from '../egress/source-leases.ts';
import { CERTIFICATE, LISTED_INDEX, LOG_PREFIX, PARKED_INDEX, RECALL_PREFIX } from '../engine/aws/schema.ts';
import { EVENT_NAMESPACE } from '../engine/destinations.ts';
import { LINKS_KIND } from '../tracking/blocked-links.ts';
import type { DataStack } from './data.ts';
import {
  allow,
  bodies,
  indexArn,
  key,
  lanes,
  leases,
  objectsOf,
  ofKinds,
  openConfig,
  ownLanes,
  queue,
  results,
  rowsOfKinds,
  secrets,
  table,
  tables,
} from './grants.ts';
import type { Stage } from './stage.ts';

/** Partitions of the log of changes. */
const LOG = `${LOG_PREFIX}*`;

/** Kinds that a node writes: the directives of its rules (never an operator's order), reports about IPs, and the lanes of domains. */
const NODE_KINDS = ['rule-directive', 'warmup-report', 'lane-group'];

/** Kinds of rows that a node writes: aggregate reports about domains. */
const NODE_ROWS = ['report'];

/** Kinds of rows that the function of outcomes counts: statistics, and which batches of them it has counted. */
const COUNTED_KINDS = ['statistics', 'counted'];

/**
 * Kinds of documents that the protection of tenants and the way back of splits read: thresholds, splits, directives, and
 * each tenant's policy.
 */
const PROTECTION_KINDS = ['config-protection', 'config-routing', 'directive', 'rule-directive', 'tenant'];

/** Kinds of rows with who may be written to: read for each message of a list, and changed when a reader leaves. */
const CONTACT_KINDS = ['contact-list', 'contact'];

/** Kinds of rows of jobs, and of what imports change. */
const JOB_KINDS = ['job-due', 'import-job', 'import-failure', 'export-job', ...CONTACT_KINDS];

/** Kinds of rows by which daily quotas and rates are counted, where a tenant or a key has any. */
const QUOTA_KINDS = ['sending-quota', 'sending-rate'];

/** Kinds of keys: themselves, their lists, and their tenants. */
const KEY_KINDS = ['key', 'key-index', 'tenant'];

/** Kinds of rows by which events wait for their destinations, and are kept for those who fetch them. */
const EVENT_KINDS = [
  'event-destination',
  'event-backlog',
  'event-attempt',
  'event-test',
  'event-due',
  'event-index',
];
/** Kinds of documents in which event destinations are. */
const DESTINATION_KINDS = ['event-destination', 'event-scope'];
/** Of these, what the first process writes that needs them (lib/control/event-scopes.ts). */
const SCOPE_KINDS = ['event-scope'];
/** What a destination in each service needs; a key of KMS is that of an encrypted topic. */
const TARGET_ACTIONS = {
  sns: ['sns:Publish'],
  events: ['events:PutEvents'],
  firehose: ['firehose:PutRecordBatch'],
  kms: ['kms:GenerateDataKey', 'kms:Decrypt'],
};

/** What the state of deliveries is read and written by. */
const STATE_ACTIONS = ['GetItem', 'BatchGetItem', 'Query', 'UpdateItem', 'BatchWriteItem'];

/** Statements of the API: takes mail in, shows what became of it, changes the configuration. */
export function apiPermissions(data: DataStack): iam.PolicyStatement[] {
  return [
    table(data, 'records', ...STATE_ACTIONS),
    table(data, 'deliveries', ...STATE_ACTIONS),
    table(data, 'ledger', 'Query', 'BatchWriteItem'),
    table(data, 'suppressions', 'BatchGetItem', 'UpdateItem'),
    allow(['dynamodb:Query'], [indexArn(data, LISTED_INDEX)]),
    table(data, 'search', 'BatchWriteItem', 'Query'),
    table(data, 'rows', 'BatchGetItem', 'Query', 'PutItem', 'BatchWriteItem'),
    table(data, 'leases', 'GetItem'),
    table(data, 'config', 'GetItem', 'BatchGetItem', 'Query', 'PutItem', 'DeleteItem'),
    lanes(data, 'SendMessage', 'GetQueueAttributes'),
    queue(data.outcomes, 'SendMessage'),
    queue(data.events, 'SendMessage'),
    allow(['s3:PutObject'], [bodies(data)]),
    // Links to results are signed as the function, and may do what it may.
    allow(['s3:GetObject', 's3:DeleteObject'], [results(data)]),
    key(data, 'Decrypt', 'GenerateDataKey'),
    ...secrets(data, 'master.key', 'return-path.key', 'tracking.key'),
  ];
}

/** Statements of the submission service: takes mail in, and changes nothing. */
export function submissionPermissions(data: DataStack): iam.PolicyStatement[] {
  return [
    table(data, 'records', 'UpdateItem', 'BatchWriteItem'),
    table(data, 'deliveries', 'UpdateItem', 'BatchWriteItem'),
    table(data, 'ledger', 'BatchWriteItem'),
    table(data, 'search', 'BatchWriteItem'),
    table(data, 'suppressions', 'BatchGetItem'),
    rowsOfKinds(data, CONTACT_KINDS, 'BatchGetItem', 'PutItem'),
    rowsOfKinds(data, QUOTA_KINDS, 'Query', 'BatchWriteItem'),
    rowsOfKinds(data, [KEY_USE_ROWS], 'BatchWriteItem'),
    table(data, 'leases', 'GetItem'),
    table(data, 'config', 'GetItem', 'BatchGetItem', 'Query'),
    lanes(data, 'SendMessage'),
    queue(data.outcomes, 'SendMessage'),
    allow(['s3:PutObject'], [bodies(data)]),
    key(data, 'Decrypt', 'GenerateDataKey'),
    ...secrets(data, 'master.key', 'return-path.key', 'tracking.key'),
    allow(['s3:GetObject'], [data.secrets.arnForObjects(CERTIFICATE)]),
  ];
}

/** Statements of the function that makes the first key. */
export function firstKeyPermissions(data: DataStack): iam.PolicyStatement[] {
  return [
    ofKinds(data, KEY_KINDS, 'GetItem', 'BatchGetItem', 'Query', 'PutItem'),
    appendChange(data),
    ...secrets(data, 'master.key'),
  ];
}

/**
 * Statements of the function that makes the keys of Easy DKIM. It seals them with the master key, publishes them as
 * documents, and cannot reach Route 53.
 */
export function dkimKeysPermissions(data: DataStack): iam.PolicyStatement[] {
  const kinds = ['identity', RECORD_KIND, CHANGE_KIND];
  return [
    ofKinds(data, kinds, 'GetItem', 'BatchGetItem', 'Query', 'PutItem'),
    ofKinds(data, [RECORD_KIND], 'DeleteItem'),
    appendChange(data),
    ...secrets(data, 'master.key'),
  ];
}

/**
 * Statements of the function that writes those keys into their zone: TXT records below its apex, and nothing else. No
 * other role may change the zone.
 */
export function dkimZonePermissions(data: DataStack, zone: route53.IHostedZone): iam.PolicyStatement[] {
  const change = allow(['route53:ChangeResourceRecordSets'], [zone.hostedZoneArn]);
  change.addCondition('ForAllValues:StringEquals', {
    'route53:ChangeResourceRecordSetsRecordTypes': ['TXT'],
    'route53:ChangeResourceRecordSetsActions': ['UPSERT', 'DELETE'],
  });
  change.addCondition('ForAllValues:StringLike', {
    'route53:ChangeResourceRecordSetsNormalizedRecordNames': [`*.${zone.zoneName}`],
  });
  // A request that lacks what the conditions are about would meet them.
  change.addCondition('Null', {
    'route53:ChangeResourceRecordSetsRecordTypes': 'false',
    'route53:ChangeResourceRecordSetsNormalizedRecordNames': 'false',
  });
  return [
    ofKinds(data, [CHANGE_KIND], 'GetItem', 'Query', 'DeleteItem'),
    ofKinds(data, [RECORD_KIND], 'BatchGetItem'),
    appendChange(data),
    change,
    allow(['route53:ListResourceRecordSets'], [zone.hostedZoneArn]),
  ];
}

/** Statements of the function that looks up the proofs of domains; the private keys that it reads are sealed. */
export function proofsPermissions(data: DataStack): iam.PolicyStatement[] {
  return [ofKinds(data, ['identity'], 'GetItem', 'Query', 'PutItem'), appendChange(data)];
}

/**
 * Statements of the function that moves what is due into the lanes; to read the queue of due shards is given by its event
 * source.
 */
export function duePermissions(data: DataStack): iam.PolicyStatement[] {
  return [
    table(data, 'ledger', 'Query', 'UpdateItem', 'DeleteItem', 'BatchWriteItem'),
    lanes(data, 'SendMessage'),
    queue(data.due, 'SendMessage'),
    key(data, 'Decrypt', 'GenerateDataKey'),
  ];
}

/**
 * Statements of the function that counts outcomes, keeps opens and clicks, pauses tenants, keeps the suppression lists,
 * which it cannot read, and hands events to their destinations; the queue's own are given by its event source.
 */
export function outcomesPermissions(data: DataStack, stage: Stage): iam.PolicyStatement[] {
  return [
    table(data, 'records', 'GetItem', 'Query', 'BatchWriteItem'),
    table(data, 'deliveries', 'Query', 'BatchWriteItem'),
    table(data, 'suppressions', 'UpdateItem'),
    rowsOfKinds(
      data,
      COUNTED_KINDS,
      'GetItem',
      'BatchGetItem',
      'Query',
      'PutItem',
      'UpdateItem',
      'DeleteItem',
    ),
    ofKinds(data, [...PROTECTION_KINDS, LOG], 'GetItem', 'Query'),
    ofKinds(data, ['directive'], 'PutItem', 'DeleteItem'),
    rowsOfKinds(data, CONTACT_KINDS, 'BatchGetItem', 'PutItem'),
    rowsOfKinds(data, EVENT_KINDS, 'BatchGetItem', 'PutItem', 'BatchWriteItem'),
    ...eventDestinations(data),
    queue(data.events, 'SendMessage'),
    key(data, 'Decrypt', 'GenerateDataKey'),
    ...targets(stage),
  ];
}

/**
 * Statements of the function that sends events to webhooks and brokers, and again what was not taken; the queue's own
 * are given by its event source. It opens the secrets of destinations, and disables those that want no more.
 */
export function eventsPermissions(data: DataStack, stage: Stage): iam.PolicyStatement[] {
  return [
    table(data, 'records', 'GetItem'),
    rowsOfKinds(data, EVENT_KINDS, 'BatchGetItem', 'Query', 'PutItem', 'BatchWriteItem'),
    ...eventDestinations(data),
    ofKinds(data, DESTINATION_KINDS, 'PutItem'),
    queue(data.events, 'SendMessage'),
    key(data, 'Decrypt', 'GenerateDataKey'),
    ...secrets(data, 'master.key'),
    ...targets(stage),
  ];
}

/** Reads the destinations of events, whose secrets are sealed. */
function eventDestinations(data: DataStack): iam.PolicyStatement[] {
  return [
    ofKinds(data, [...DESTINATION_KINDS, LOG], 'GetItem', 'BatchGetItem', 'Query'),
    ofKinds(data, SCOPE_KINDS, 'PutItem'),
    appendChange(data),
  ];
}

/** Publishes to what the stage lists, and to CloudWatch in one namespace. */
function targets({ eventTargets = [] }: Stage): iam.PolicyStatement[] {
  const statements = Object.entries(TARGET_ACTIONS).flatMap(([service, actions]) => {
    const own = eventTargets.filter((arn) => arn.split(':')[2] === service);
    return own.length > 0 ? [allow([...actions], own)] : [];
  });
  const metrics = allow(['cloudwatch:PutMetricData'], ['*']);
  metrics.addCondition('StringEquals', { 'cloudwatch:namespace': EVENT_NAMESPACE });
  return [...statements, metrics];
}

/** Statements of the function that reports opens and clicks: it reports, and reads which links are switched off. */
export function trackPermissions(data: DataStack): iam.PolicyStatement[] {
  return [
    ofKinds(data, [storedKind(LINKS_KIND)], 'GetItem'),
    queue(data.outcomes, 'SendMessage'),
    key(data, 'Decrypt', 'GenerateDataKey'),
    ...secrets(data, 'tracking.key'),
  ];
}

/** Statements of the function that works on import and export jobs: it reads mail's records, and changes lists of addresses. */
export function jobsPermissions(data: DataStack, { files }: Stage): iam.PolicyStatement[] {
  return [
    tables(data, ['records', 'deliveries'], 'GetItem', 'BatchGetItem', 'Query'),
    table(data, 'search', 'Query'),
    table(data, 'suppressions', 'BatchGetItem', 'UpdateItem'),
    rowsOfKinds(data, JOB_KINDS, 'BatchGetItem', 'Query', 'PutItem', 'BatchWriteItem'),
    rowsOfKinds(data, ['statistics'], 'Query'),
    allow(['s3:PutObject', 's3:AbortMultipartUpload', 's3:DeleteObject'], [results(data)]),
    ...(files
      ? [allow(['s3:GetObject', 's3:PutObject', 's3:AbortMultipartUpload'], [objectsOf(files.bucket)])]
      : []),
    key(data, 'Decrypt', 'GenerateDataKey'),
  ];
}

/** Which lanes and addresses are a node's own. */
export interface NodeScope {
  stage: Stage;
  /** Its pools. */
  pools: readonly string[];
  /** Its addresses as the world sees them. */
  ips: readonly string[];
}

/**
 * Statements of an egress node, in AWS and outside. It reads the lanes of its own pools and holds the leases of its own
 * addresses; it puts back into any lane, because a directive may name another pool.
 */
export function egressPermissions(data: DataStack, { stage, pools, ips }: NodeScope): iam.PolicyStatement[] {
  return [
    allow(
      ['sqs:ReceiveMessage', 'sqs:DeleteMessage', 'sqs:ChangeMessageVisibility', 'sqs:GetQueueAttributes'],
      ownLanes(data, stage, pools),
    ),
    lanes(data, 'SendMessage'),
    queue(data.outcomes, 'SendMessage'),
    // The state of mail of earlier versions is in the table of records.
    tables(data, ['records', 'deliveries'], ...STATE_ACTIONS),
    table(data, 'ledger', 'BatchWriteItem'),
    ...recalls(data),
    rowsOfKinds(data, NODE_ROWS, 'Query', 'BatchWriteItem'),
    // Readers unsubscribe by mail, which comes to nodes.
    rowsOfKinds(data, CONTACT_KINDS, 'BatchGetItem', 'PutItem'),
    // All nodes share limits, plans and checkpoints; an address is its node's.
    leases(data, 'ForAllValues:StringNotLike', [leaseOf('*')]),
    leases(data, 'ForAllValues:StringEquals', ips.map(leaseOf)),
    divisions(data),
    openConfig(data, 'GetItem', 'Query'),
    ofKinds(data, NODE_KINDS, 'PutItem', 'DeleteItem'),
    appendChange(data),
    allow(['s3:GetObject', 's3:PutObject'], [bodies(data)]),
    allow(['s3:ListBucket'], [data.bucket.bucketArn]),
    key(data, 'Decrypt', 'GenerateDataKey'),
    ...secrets(data, 'return-path.key'),
  ];
}

/** Statement of a host that ships its log with the CloudWatch agent. @param stream its own; absent: any. */
export function shipLog(logGroup: logs.ILogGroup, stream?: string): iam.PolicyStatement[] {
  const all = logGroup.logGroupArn;
  const own =
    stream === undefined
      ? all
      : Stack.of(logGroup).formatArn({
          service: 'logs',
          resource: 'log-group',
          resourceName: `${logGroup.logGroupName}:log-stream:${stream}`,
          arnFormat: ArnFormat.COLON_RESOURCE_NAME,
        });
  return [
    allow(['logs:CreateLogStream', 'logs:PutLogEvents'], [own]),
    allow(['logs:DescribeLogStreams'], [all]),
  ];
}

/** Reports about shared limits, which the node that divides a limit reads, and removes when their holders ended. */
function divisions(data: DataStack): iam.PolicyStatement {
  const statement = table(data, 'leases', 'Query', 'DeleteItem');
  statement.addCondition('ForAllValues:StringLike', { 'dynamodb:LeadingKeys': [divisionOf('*')] });
  return statement;
}

/** Recalls what waits in the ledger for a site: finds it in the index, and claims the site, and no shard. */
function recalls(data: DataStack): iam.PolicyStatement[] {
  const claim = table(data, 'ledger', 'UpdateItem');
  claim.addCondition('ForAllValues:StringLike', { 'dynamodb:LeadingKeys': [`${RECALL_PREFIX}*`] });
  return [allow(['dynamodb:Query'], [indexArn(data, PARKED_INDEX)]), claim];
}

/** Appends to the log of changes, as each change does. No role removes a row. */
function appendChange(data: DataStack): iam.PolicyStatement {
  return ofKinds(data, [LOG], 'PutItem');
}
