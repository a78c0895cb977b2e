/**
 * The AWS clients, and the meaning of their errors.
 *
 * SQS has three clients: long polls hold their connections, and sends must not be repeated blindly, because a send
 * whose answer was lost may have been accepted; the sender decides (admission refuses, settlement repeats copies that
 * are claimed before use).
 */
import { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { S3Client } from '@aws-sdk/client-s3';
import { SQSClient, type SQSClientConfig } from '@aws-sdk/client-sqs';
import { PosternError } from '../../errors.ts';
import { Sha256 } from './digest.ts';
import { HttpExchange } from './exchange.ts';
import { keepSockets } from './sockets.ts';

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
  /** Deletes and changes of visibility, all of which may be repeated. */
  sqs: SQSClient;
  /** Long polls: each holds a connection for twenty seconds, which must not be missing elsewhere. */
  poller: SQSClient;
  /** Sends; never repeats by itself. {@link dropIdle} before each send. */
  sender: SQSClient;
  /** Drops connections of the sender that the other side may have closed. */
  dropIdle(): void;
  dynamo: DynamoDBClient;
  s3: S3Client;
  destroy(): void;
}

const CONNECT = 2_000;
/** Maximum time for an answer, ms. */
const ANSWER = 8_000;
/** Maximum time for an answer of a long poll (up to 20 s) or of S3, ms. */
const LONG_ANSWER = 28_000;
const SOCKETS = 256;
/**
 * Maximum number of polls: a node with 500 pools polls ten lanes of each, and receives eight times at once where
 * there is much mail.
 */
const POLLS = 8_192;
/** Maximum tries with the SDK's jittered back-off: about two seconds of throttling or of a lost connection. */
const ATTEMPTS = 5;

/**
 * What every client of a hot path saves. The stack of middleware is resolved once for each command and not for each
 * request: `instrument` has changed it by then.
 */
const LEAN = { cacheMiddleware: true, sha256: Sha256 } as const;
/** TLS protects what SQS sends and takes: a body is not digested once more. */
const LEAN_SQS = { ...LEAN, md5: false } as const;

/** @param steady clock in ms that never goes back and advances while the process is stopped. */
export function createClients(options: ClientOptions, steady: () => number): Clients {
  const { region, credentials, endpoints = {}, instrument } = options;
  const shared = { ...(region && { region }), ...(credentials && { credentials }) };
  const exchange = (answer: number, sockets = keepSockets(SOCKETS, steady)) =>
    new HttpExchange(sockets, { connection: CONNECT, answer });
  const ofSender = keepSockets(SOCKETS, steady);
  const ofBodies = keepSockets(SOCKETS, steady);
  const at = (endpoint: string | undefined) => (endpoint ? { endpoint } : {});
  const clients = {
    sqs: new SQSClient({
      ...LEAN_SQS,
      ...shared,
      ...at(endpoints.sqs),
      maxAttempts: ATTEMPTS,
      requestHandler: exchange(ANSWER),
    }),
    poller: new SQSClient({
      ...LEAN_SQS,
      ...shared,
      ...at(endpoints.sqs),
      maxAttempts: ATTEMPTS,
      requestHandler: exchange(LONG_ANSWER, keepSockets(POLLS, steady)),
    }),
    sender: new SQSClient({
      ...LEAN_SQS,
      ...shared,
      ...at(endpoints.sqs),
      maxAttempts: 1,
      requestHandler: exchange(ANSWER, ofSender),
    }),
    dynamo: new DynamoDBClient({
      ...LEAN,
      ...shared,
      ...at(endpoints.dynamodb),
      maxAttempts: ATTEMPTS,
      requestHandler: exchange(ANSWER),
    }),
    s3: new S3Client({
      ...shared,
      ...at(endpoints.s3),
      forcePathStyle: endpoints.s3 !== undefined,
      maxAttempts: ATTEMPTS,
      requestHandler: {
        connectionTimeout: CONNECT,
        requestTimeout: LONG_ANSWER,
        throwOnRequestTimeout: true,
        httpAgent: ofBodies.httpAgent,
        httpsAgent: ofBodies.httpsAgent,
      },
    }),
  };
  const { s3: _, ...signed } = clients;
  for (const client of Object.values(signed)) lighten(client);
  for (const client of Object.values(clients)) instrument?.(client);
  return {
    ...clients,
    dropIdle: () => ofSender.dropIdle(),
    destroy: () => {
      for (const client of Object.values(clients)) client.destroy();
    },
  };
}

/**
 * Takes from a client what it does for each request anew with the same result, or for nobody: the User-Agent is composed
 * by a dozen regular expressions, and signed; and a signer is made, always of the same service, region and source of
 * credentials.
 */
function lighten({ config, middlewareStack }: SQSClient | DynamoDBClient): void {
  middlewareStack.remove('getUserAgentMiddleware');
  const make = config.signer;
  let made: ReturnType<typeof make> | undefined;
  config.signer = (scheme) => {
    made ??= make(scheme).catch((error: unknown) => {
      // The region may be found the next time.
      made = undefined;
      throw error;
    });
    return made;
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

/** Whether a service throttled the request, so that it succeeds later. */
export function isThrottle(error: unknown): boolean {
  return THROTTLES.test(errorName(error)) || (error as ServiceFailure)?.$metadata?.httpStatusCode === 429;
}

const NOT_SENT = new Set(['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'CredentialsProviderError']);

/** Whether the request certainly had no effect. A timeout, a reset and a 500 leave it open. */
export function didNothing(error: unknown): boolean {
  const { $metadata, code, name } = (error ?? {}) as ServiceFailure;
  const status = $metadata?.httpStatusCode ?? 0;
  if (isThrottle(error) || (status >= 400 && status < 500)) return true;
  return NOT_SENT.has(code ?? '') || NOT_SENT.has(name ?? '');
}

/** Whether a call failed because the role of this process lacks a right: a fault of the deployment, never of the moment. */
export function isDenied(error: unknown): boolean {
  const { cause } = error as { cause?: unknown };
  return /AccessDenied|NotAuthorized|Unauthorized/.test(errorName(cause ?? error));
}

/** Codes of SQS and DynamoDB for a request whose own content is at fault: it would be refused again. */
const REFUSALS = new Set([
  'InvalidMessageContents',
  'InvalidParameterValue',
  'InvalidParameterValueException',
  'BatchRequestTooLong',
  'ValidationException',
  'ItemCollectionSizeLimitExceededException',
]);

/** Whether a code refuses the content, and not the sender or the time. */
export function isRefusal(code: string | undefined): boolean {
  // Over the JSON protocol codes may come as `com.amazonaws.sqs#Name`, or as `AWS.SimpleQueueService.Name`.
  return REFUSALS.has(code?.replace(/^.*[#.]/, '') ?? '');
}

/**
 * Converts a failed call to an error of the storage group. @param what the failed action, as "The lane x cannot be
 * read".
 */
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
