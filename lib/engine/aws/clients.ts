/**
 * The AWS clients, and what their errors mean.
 *
 * Two clients for SQS: what sends must not be repeated blindly, because a send whose answer was lost may have
 * been taken; whoever sends decides (admission refuses, settlement repeats what is claimed before it is used).
 */
import { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { S3Client } from '@aws-sdk/client-s3';
import { SQSClient, type SQSClientConfig } from '@aws-sdk/client-sqs';
import { PosternError } from '../../errors.ts';

/** How the AWS services are reached; by default as the SDK finds out from its environment. */
export interface ClientOptions {
  region?: string;
  credentials?: SQSClientConfig['credentials'];
  /** Other endpoints than those of AWS: emulators, interface endpoints. */
  endpoints?: { sqs?: string; dynamodb?: string; s3?: string };
  /** Called with each client before its first use: counts requests, injects faults. */
  instrument?: (client: AnyClient) => void;
}

export type AnyClient = SQSClient | DynamoDBClient | S3Client;

export interface Clients {
  /** Receives, deletes, changes visibility: all may be repeated. */
  sqs: SQSClient;
  /** Sends; never repeats by itself. */
  sender: SQSClient;
  dynamo: DynamoDBClient;
  s3: S3Client;
  destroy(): void;
}

const CONNECT = 2_000;
/** Milliseconds for an answer; a long poll takes up to 20 s. */
const ANSWER = 8_000;
const LONG_POLL_ANSWER = 28_000;
const SOCKETS = 256;
/** Five tries with the SDK's jittered back-off: some two seconds of throttling or of a lost connection. */
const ATTEMPTS = 5;

export function createClients(options: ClientOptions): Clients {
  const { region, credentials, endpoints = {}, instrument } = options;
  const shared = { ...(region && { region }), ...(credentials && { credentials }) };
  const handler = (requestTimeout: number) => ({
    connectionTimeout: CONNECT,
    requestTimeout,
    throwOnRequestTimeout: true,
    httpAgent: { maxSockets: SOCKETS, keepAlive: true },
    httpsAgent: { maxSockets: SOCKETS, keepAlive: true },
  });
  const at = (endpoint: string | undefined) => (endpoint ? { endpoint } : {});
  const clients = {
    sqs: new SQSClient({
      ...shared,
      ...at(endpoints.sqs),
      maxAttempts: ATTEMPTS,
      requestHandler: handler(LONG_POLL_ANSWER),
    }),
    sender: new SQSClient({
      ...shared,
      ...at(endpoints.sqs),
      maxAttempts: 1,
      requestHandler: handler(ANSWER),
    }),
    dynamo: new DynamoDBClient({
      ...shared,
      ...at(endpoints.dynamodb),
      maxAttempts: ATTEMPTS,
      requestHandler: handler(ANSWER),
    }),
    s3: new S3Client({
      ...shared,
      ...at(endpoints.s3),
      forcePathStyle: endpoints.s3 !== undefined,
      maxAttempts: ATTEMPTS,
      requestHandler: handler(LONG_POLL_ANSWER),
    }),
  };
  for (const client of Object.values(clients)) instrument?.(client);
  return {
    ...clients,
    destroy: () => {
      for (const client of Object.values(clients)) client.destroy();
    },
  };
}

interface ServiceFailure {
  name?: string;
  code?: string;
  message?: string;
  $metadata?: { httpStatusCode?: number };
}

/** Name of the error as the service gives it. */
export function errorName(error: unknown): string {
  return (error as ServiceFailure | undefined)?.name ?? '';
}

const THROTTLES =
  /Throttl|OverLimit|ProvisionedThroughputExceeded|RequestLimitExceeded|SlowDown|ServiceUnavailable/;

/** The service was asked for too much at a time; the same later succeeds. */
export function isThrottle(error: unknown): boolean {
  return THROTTLES.test(errorName(error)) || (error as ServiceFailure)?.$metadata?.httpStatusCode === 429;
}

const NOT_SENT = new Set(['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'CredentialsProviderError']);

/** Whether it is certain that the request did nothing. A timeout, a reset and a 500 leave it open. */
export function didNothing(error: unknown): boolean {
  const { $metadata, code, name } = (error ?? {}) as ServiceFailure;
  const status = $metadata?.httpStatusCode ?? 0;
  if (isThrottle(error) || (status >= 400 && status < 500)) return true;
  return NOT_SENT.has(code ?? '') || NOT_SENT.has(name ?? '');
}

/** Codes of SQS and DynamoDB for a request whose own content is at fault: the same again is refused again. */
const REFUSALS = new Set([
  'InvalidMessageContents',
  'InvalidParameterValue',
  'InvalidParameterValueException',
  'BatchRequestTooLong',
  'ValidationException',
  'ItemCollectionSizeLimitExceededException',
]);

/** Whether a code refuses what was sent, and not who sent it or when. */
export function isRefusal(code: string | undefined): boolean {
  // Over the JSON protocol codes may come as `com.amazonaws.sqs#Name`, or as `AWS.SimpleQueueService.Name`.
  return REFUSALS.has(code?.replace(/^.*[#.]/, '') ?? '');
}

/** A failed call as an error of the storage group. @param what could not be done, as "The lane x cannot be read". */
export function storageError(what: string, error: unknown): PosternError {
  if (error instanceof PosternError) return error;
  const { name, message } = (error ?? {}) as ServiceFailure;
  if (name === 'QueueDoesNotExist' || name === 'ResourceNotFoundException' || name === 'NoSuchBucket') {
    return new PosternError(
      'storage_unavailable',
      `${what}: it is not there. Deploy the data stack with this pool and stage, and check the names in the settings.`,
      { cause: error },
    );
  }
  const code = isRefusal(name) ? 'storage_refused' : 'storage_unavailable';
  return new PosternError(code, `${what}: ${name}: ${message}.`, { cause: error });
}
