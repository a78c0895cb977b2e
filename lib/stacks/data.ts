/**
 * The data that must survive: tables, the bucket of bodies, the lanes, the secrets, and the keys over all of it. It
 * is retained when the stack of any stage is deleted, so that a mistake in a deployment deletes neither queued mail
 * nor its records.
 */
import {
  ArnFormat,
  CfnOutput,
  Duration,
  Fn,
  RemovalPolicy,
  Stack,
  type StackProps,
  Validations,
} from 'aws-cdk-lib';
import * as dynamodb from 'aws-cdk-lib/aws-dynamodb';
import * as iam from 'aws-cdk-lib/aws-iam';
import * as kms from 'aws-cdk-lib/aws-kms';
import * as route53 from 'aws-cdk-lib/aws-route53';
import * as s3 from 'aws-cdk-lib/aws-s3';
import type * as sqs from 'aws-cdk-lib/aws-sqs';
import type { Construct } from 'constructs';
import {
  type AwsResources,
  DUE_QUEUE,
  DUE_RETENTION_SECONDS,
  EVENT_MAX_RECEIVES,
  EVENT_QUEUE,
  INDEXES,
  LANE_MAX_RECEIVES,
  OUTCOME_MAX_RECEIVES,
  OUTCOME_QUEUE,
  PARTITION_KEY,
  SORT_KEY,
  TABLES,
  type TableIndex,
  type TableName,
  TTL_ATTRIBUTE,
} from '../engine/aws/schema.ts';
import { cellsOf, lanePattern, lanesOf, queuePrefix } from './cells.ts';
import { openQueue } from './queues.ts';
import type { Stage } from './stage.ts';

/** The longest that a body may be needed (return receipts and retries end before), then S3 deletes it. */
const BODY_DAYS = 35;

/** Visibility time: six times the time limit of the consuming function, as Lambda requires, in whole minutes. */
const OUTCOME_VISIBILITY = Duration.minutes(3);
const EVENT_VISIBILITY = Duration.minutes(6);
const DUE_VISIBILITY = Duration.minutes(6);

export interface DataStackProps extends StackProps {
  stage: Stage;
}

export class DataStack extends Stack {
  readonly tables: Readonly<Record<TableName, dynamodb.TableV2>>;
  readonly bucket: s3.Bucket;
  /** ARN of the bucket as other stacks import it. */
  readonly bodiesArn: string;
  /** ARN of all lanes of the stage. */
  readonly lanesArn: string;
  readonly outcomes: sqs.Queue;
  /** Shards of the ledger that have due rows. */
  readonly due: sqs.Queue;
  readonly deadLanes: sqs.Queue;
  /** By its name, so that no stack of a cell holds an import of it. */
  readonly deadLanesArn: string;
  readonly deadOutcomes: sqs.Queue;
  /** Events for webhooks and brokers. */
  readonly events: sqs.Queue;
  readonly deadEvents: sqs.Queue;
  /** Addresses of the cells by host name, in a stage that has any. */
  readonly addresses?: dynamodb.TableV2;
  /** Zone of the keys of Easy DKIM, in a stage that has one. */
  readonly dkimZone?: route53.PublicHostedZone;
  /** Over tables, bodies and queues. */
  readonly key: kms.Key;
  /** The master key of control, and the secret of return paths. */
  readonly secrets: s3.Bucket;
  readonly secretsKey: kms.Key;

  constructor(scope: Construct, id: string, props: DataStackProps) {
    super(scope, id, props);
    const { stage } = props;
    this.key = this.#dataKey(stage);
    this.tables = Object.fromEntries(TABLES.map((name) => [name, this.#table(name, stage)])) as Record<
      TableName,
      dynamodb.TableV2
    >;
    if (stage.cells?.length) this.addresses = this.#table('addresses', stage);
    if (stage.dkimZone !== undefined) this.dkimZone = this.#zone(stage.dkimZone);
    this.bucket = this.#bodies();
    this.bodiesArn = this.exportValue(this.bucket.bucketArn);
    const settings = { stage, key: this.key };
    this.deadLanes = openQueue(this, 'dead-lanes', settings);
    this.deadLanesArn = this.formatArn({ service: 'sqs', resource: `${queuePrefix(stage)}dead-lanes` });
    this.deadOutcomes = openQueue(this, 'dead-outcomes', settings);
    this.outcomes = openQueue(this, OUTCOME_QUEUE, {
      ...settings,
      dead: { queue: this.deadOutcomes, maxReceiveCount: OUTCOME_MAX_RECEIVES },
      visibilityTimeout: OUTCOME_VISIBILITY,
    });
    this.deadEvents = openQueue(this, `dead-${EVENT_QUEUE}`, settings);
    this.events = openQueue(this, EVENT_QUEUE, {
      ...settings,
      dead: { queue: this.deadEvents, maxReceiveCount: EVENT_MAX_RECEIVES },
      visibilityTimeout: EVENT_VISIBILITY,
    });
    this.due = openQueue(this, DUE_QUEUE, {
      ...settings,
      undying: 'Its messages name shards, and are sent again each minute while these have due rows.',
      visibilityTimeout: DUE_VISIBILITY,
      retentionPeriod: Duration.seconds(DUE_RETENTION_SECONDS),
    });
    const dead = { queue: this.deadLanes, maxReceiveCount: LANE_MAX_RECEIVES };
    for (const pool of cellsOf(stage)[0]!.pools)
      for (const lane of lanesOf(stage, pool))
        openQueue(this, lane.slice(queuePrefix(stage).length), { ...settings, dead });
    this.lanesArn = this.formatArn({ service: 'sqs', resource: lanePattern(stage) });
    this.secretsKey = new kms.Key(this, 'SecretsKey', {
      description: 'Postern: secrets that only the functions that need them may read',
      enableKeyRotation: true,
      removalPolicy: RemovalPolicy.RETAIN,
    });
    this.secrets = this.#secrets();
    new CfnOutput(this, 'SecretsBucket', {
      value: this.secrets.bucketName,
      description: 'Back its objects up, away from the account',
    });
  }

  /** Where everything is and how it is used, for functions and nodes. */
  resources(stage: Stage): AwsResources {
    return {
      tables: Object.fromEntries(TABLES.map((name) => [name, this.tables[name].tableName])) as Record<
        TableName,
        string
      >,
      bucket: this.bucket.bucketName,
      filesBucket: stage.files?.bucket,
      queueUrlPrefix: Fn.join('', [
        'https://sqs.',
        this.region,
        '.',
        this.urlSuffix,
        '/',
        this.account,
        `/${queuePrefix(stage)}`,
      ]),
      claimBeforeSend: stage.claimBeforeSend ?? false,
      searchIndex: stage.searchIndex ?? true,
    };
  }

  #dataKey(stage: Stage): kms.Key {
    const key = new kms.Key(this, 'DataKey', {
      description: 'Postern: mail at rest in tables, queues and the bucket',
      enableKeyRotation: true,
      removalPolicy: RemovalPolicy.RETAIN,
    });
    // As the policy of DynamoDB's own managed key: who may use a table may use its key, through DynamoDB only.
    key.addToResourcePolicy(
      new iam.PolicyStatement({
        sid: 'ThroughDynamoDB',
        principals: [new iam.AnyPrincipal()],
        actions: [
          'kms:Encrypt',
          'kms:Decrypt',
          'kms:ReEncrypt*',
          'kms:GenerateDataKey*',
          'kms:CreateGrant',
          'kms:DescribeKey',
        ],
        resources: ['*'],
        conditions: {
          StringEquals: {
            'kms:CallerAccount': this.account,
            'kms:ViaService': `dynamodb.${this.region}.amazonaws.com`,
          },
        },
      }),
    );
    // CloudWatch Logs encrypts by itself: the log groups of the stage, known by the names of its stacks.
    key.addToResourcePolicy(
      new iam.PolicyStatement({
        sid: 'Logs',
        principals: [new iam.ServicePrincipal(`logs.${this.region}.amazonaws.com`)],
        actions: ['kms:Encrypt', 'kms:Decrypt', 'kms:ReEncrypt*', 'kms:GenerateDataKey*', 'kms:DescribeKey'],
        resources: ['*'],
        conditions: {
          ArnLike: {
            'kms:EncryptionContext:aws:logs:arn': this.formatArn({
              service: 'logs',
              resource: 'log-group',
              resourceName: `${queuePrefix(stage)}*`,
              arnFormat: ArnFormat.COLON_RESOURCE_NAME,
            }),
          },
        },
      }),
    );
    return key;
  }

  #table(name: TableName | 'addresses', stage: Stage): dynamodb.TableV2 {
    const { pointInTimeRecovery, maxReadUnits, maxWriteUnits, warm } = stage.tables;
    const table = new dynamodb.TableV2(this, `${name[0]!.toUpperCase()}${name.slice(1)}Table`, {
      partitionKey: { name: PARTITION_KEY, type: dynamodb.AttributeType.STRING },
      sortKey: { name: SORT_KEY, type: dynamodb.AttributeType.STRING },
      timeToLiveAttribute: TTL_ATTRIBUTE,
      globalSecondaryIndexes: INDEXES.filter((one) => one.table === name).map((one) => indexOf(one, stage)),
      billing: dynamodb.Billing.onDemand({
        maxReadRequestUnits: maxReadUnits,
        maxWriteRequestUnits: maxWriteUnits,
      }),
      warmThroughput: warm && {
        readUnitsPerSecond: warm.readUnits,
        writeUnitsPerSecond: warm.writeUnits,
      },
      encryption: dynamodb.TableEncryptionV2.customerManagedKey(this.key),
      pointInTimeRecoverySpecification: { pointInTimeRecoveryEnabled: pointInTimeRecovery },
      deletionProtection: stage.protect,
      removalPolicy: RemovalPolicy.RETAIN,
    });
    if (!pointInTimeRecovery) {
      Validations.of(table).acknowledge({
        id: 'AwsSolutions-DDB3',
        reason: `Point-in-time recovery is off in the stage ${stage.name}, which holds no mail of value.`,
      });
    }
    return table;
  }

  #zone(zoneName: string): route53.PublicHostedZone {
    const zone = new route53.PublicHostedZone(this, 'DkimZone', { zoneName, comment: 'Postern: DKIM keys' });
    // Its name servers are in the delegation: another zone of the same name would have others.
    zone.applyRemovalPolicy(RemovalPolicy.RETAIN);
    new CfnOutput(this, 'DkimZoneNameServers', {
      value: Fn.join(' ', zone.hostedZoneNameServers!),
      description: `Delegate ${zoneName} to them, by NS records in its parent zone`,
    });
    return zone;
  }

  #bodies(): s3.Bucket {
    const bucket = new s3.Bucket(this, 'Bodies', {
      encryption: s3.BucketEncryption.KMS,
      encryptionKey: this.key,
      // One key request for many objects, not one for each: bodies are many.
      bucketKeyEnabled: true,
      blockPublicAccess: s3.BlockPublicAccess.BLOCK_ALL,
      enforceSSL: true,
      lifecycleRules: [
        { expiration: Duration.days(BODY_DAYS), abortIncompleteMultipartUploadAfter: Duration.days(1) },
      ],
      removalPolicy: RemovalPolicy.RETAIN,
    });
    acknowledgeAccessLogs(bucket, 'Bodies come and go with the mail, whose records say who sent them when.');
    return bucket;
  }

  #secrets(): s3.Bucket {
    const bucket = new s3.Bucket(this, 'Secrets', {
      encryption: s3.BucketEncryption.KMS,
      encryptionKey: this.secretsKey,
      bucketKeyEnabled: true,
      blockPublicAccess: s3.BlockPublicAccess.BLOCK_ALL,
      enforceSSL: true,
      // A secret that is overwritten by mistake is everything that was sealed with it.
      versioned: true,
      removalPolicy: RemovalPolicy.RETAIN,
    });
    acknowledgeAccessLogs(bucket, 'Every read needs the key of its own, whose use CloudTrail logs.');
    return bucket;
  }
}

/** An index, capped as its table is: what it could not take would hold the table's own writes up. */
function indexOf(index: TableIndex, { tables }: Stage): dynamodb.GlobalSecondaryIndexPropsV2 {
  const { name, partitionKey, sortKey, sortType } = index;
  const type = sortType === 'N' ? dynamodb.AttributeType.NUMBER : dynamodb.AttributeType.STRING;
  return {
    indexName: name,
    partitionKey: { name: partitionKey, type: dynamodb.AttributeType.STRING },
    sortKey: { name: sortKey, type },
    maxReadRequestUnits: tables.maxReadUnits,
    maxWriteRequestUnits: tables.maxWriteUnits,
  };
}

function acknowledgeAccessLogs(bucket: s3.Bucket, reason: string): void {
  Validations.of(bucket).acknowledge({ id: 'AwsSolutions-S1', reason });
}
