/** Queues of a stage: retained, encrypted, reached over TLS only. */
import { Duration, RemovalPolicy, Validations } from 'aws-cdk-lib';
import * as iam from 'aws-cdk-lib/aws-iam';
import type * as kms from 'aws-cdk-lib/aws-kms';
import * as sqs from 'aws-cdk-lib/aws-sqs';
import type { Construct } from 'constructs';
import { LANE_MAX_RECEIVES, QUEUE_RETENTION_SECONDS } from '../engine/aws/schema.ts';
import { lanesOf, queuePrefix } from './cells.ts';
import type { Stage } from './stage.ts';

export interface QueueSettings {
  stage: Stage;
  key: kms.IKey;
  dead?: sqs.DeadLetterQueue;
  visibilityTimeout?: Duration;
  /** Absent: as long as any delivery is tried. */
  retentionPeriod?: Duration;
  /** Why it has no dead-letter queue. Absent: it is one. */
  undying?: string;
  /** False where one policy does for several queues. Default true. */
  enforceSSL?: boolean;
}

/** A queue with a name, because processes derive its URL from the lane. Queued mail outlives the stack. */
export function openQueue(scope: Construct, name: string, settings: QueueSettings): sqs.Queue {
  const { stage, key, dead, visibilityTimeout, enforceSSL = true } = settings;
  const { retentionPeriod = Duration.seconds(QUEUE_RETENTION_SECONDS) } = settings;
  const queue = new sqs.Queue(scope, `Queue-${name}`, {
    queueName: `${queuePrefix(stage)}${name}`,
    ...(name.endsWith('.fifo') && {
      fifo: true,
      // Groups are independent of each other, in their order and in their rate.
      deduplicationScope: sqs.DeduplicationScope.MESSAGE_GROUP,
      fifoThroughputLimit: sqs.FifoThroughputLimit.PER_MESSAGE_GROUP_ID,
    }),
    encryption: sqs.QueueEncryption.KMS,
    encryptionMasterKey: key,
    // How long SQS keeps a data key: the longest is the cheapest.
    dataKeyReuse: Duration.days(1),
    enforceSSL,
    retentionPeriod,
    maxMessageSizeBytes: 1_048_576,
    receiveMessageWaitTime: Duration.seconds(20),
    deadLetterQueue: dead,
    visibilityTimeout,
    removalPolicy: RemovalPolicy.RETAIN,
  });
  if (!dead) {
    Validations.of(queue).acknowledge({
      id: 'AwsSolutions-SQS3',
      reason: settings.undying ?? 'It is a dead-letter queue; an alarm tells of the first message in it.',
    });
  }
  return queue;
}

/**
 * The lanes of a cell's pools. One policy stands for all of them, so that they count once among the 500 resources of
 * the stack.
 */
export function openLanes(
  scope: Construct,
  { stage, key, pools, dead }: { stage: Stage; key: kms.IKey; pools: readonly string[]; dead: sqs.IQueue },
): void {
  const queues = pools
    .flatMap((pool) => lanesOf(stage, pool))
    .map((lane) =>
      openQueue(scope, lane.slice(queuePrefix(stage).length), {
        stage,
        key,
        dead: { queue: dead, maxReceiveCount: LANE_MAX_RECEIVES },
        enforceSSL: false,
      }),
    );
  new sqs.CfnQueuePolicy(scope, 'LanePolicy', {
    queues: queues.map(({ queueUrl }) => queueUrl),
    policyDocument: new iam.PolicyDocument({
      statements: [
        new iam.PolicyStatement({
          effect: iam.Effect.DENY,
          principals: [new iam.AnyPrincipal()],
          actions: ['sqs:*'],
          resources: ['*'],
          conditions: { Bool: { 'aws:SecureTransport': 'false' } },
        }),
      ],
    }),
  });
}
