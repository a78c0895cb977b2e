/** The destinations of events that AWS makes durable, by one set of clients. */
import { CloudWatchClient } from '@aws-sdk/client-cloudwatch';
import { EventBridgeClient } from '@aws-sdk/client-eventbridge';
import { FirehoseClient } from '@aws-sdk/client-firehose';
import { SNSClient } from '@aws-sdk/client-sns';
import type {
  CloudWatchTarget,
  DestinationSender,
  EventBridgeTarget,
  FirehoseTarget,
  SnsTarget,
} from '../../destinations.ts';
import { cloudWatchDestination } from './cloudwatch.ts';
import { eventBridgeDestination } from './eventbridge.ts';
import { firehoseDestination } from './firehose.ts';
import { snsDestination } from './sns.ts';

export interface AwsDestinationOptions {
  /** Absent: as the SDK finds out from its environment. */
  region?: string;
  /** Other endpoints than those of AWS, for tests. */
  endpoints?: { sns?: string; eventbridge?: string; firehose?: string; cloudwatch?: string };
  credentials?: { accessKeyId: string; secretAccessKey: string };
  /** Time for the answer of one try, ms. */
  deadline?: number;
}

const CONNECT = 2_000;
const ANSWER = 4_000;
/** Tries of the SDK for one call: what fails then waits for its destination's next look. */
const TRIES = 2;

export interface AwsDestinations {
  sns: DestinationSender<SnsTarget>;
  eventbridge: DestinationSender<EventBridgeTarget>;
  firehose: DestinationSender<FirehoseTarget>;
  cloudwatch: DestinationSender<CloudWatchTarget>;
  close(): void;
}

/** Opens nothing until the first event: a service without such destinations needs no AWS credentials. */
export function openAwsDestinations(options: AwsDestinationOptions = {}): AwsDestinations {
  const { region, credentials, endpoints = {}, deadline = ANSWER } = options;
  const at = (endpoint: string | undefined) => ({
    ...(region && { region }),
    ...(credentials && { credentials }),
    ...(endpoint && { endpoint }),
    maxAttempts: TRIES,
    requestHandler: { connectionTimeout: CONNECT, requestTimeout: deadline, throwOnRequestTimeout: true },
  });
  const sns = new SNSClient(at(endpoints.sns));
  const eventbridge = new EventBridgeClient(at(endpoints.eventbridge));
  const firehose = new FirehoseClient(at(endpoints.firehose));
  const cloudwatch = new CloudWatchClient(at(endpoints.cloudwatch));
  return {
    sns: snsDestination(sns),
    eventbridge: eventBridgeDestination(eventbridge),
    firehose: firehoseDestination(firehose),
    cloudwatch: cloudWatchDestination(cloudwatch),
    close() {
      for (const client of [sns, eventbridge, firehose, cloudwatch]) client.destroy();
    },
  };
}
