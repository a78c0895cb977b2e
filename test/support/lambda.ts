/** Events in the form of Lambda. */
import type { Context, LambdaFunctionURLEvent, ScheduledEvent, SQSEvent } from 'aws-lambda';
import type { RawRequest } from '../../lib/http/raw-request.ts';

export const URL_DOMAIN = 'abcdefghij.lambda-url.us-east-1.on.aws';

/** A request to a Function URL: text as it is, any other body in base64. */
export function urlEvent(request: RawRequest): LambdaFunctionURLEvent {
  const headers: Record<string, string> = {};
  for (const [name, value] of request.headers) {
    const text = Buffer.from(value, 'latin1').toString();
    // Lambda joins headers of one name.
    headers[name] = headers[name] === undefined ? text : `${headers[name]},${text}`;
  }
  const isText = /^(text\/|application\/(json|javascript|xml))/.test(headers['content-type'] ?? 'text/plain');
  return {
    version: '2.0',
    routeKey: '$default',
    rawPath: request.rawPath,
    rawQueryString: request.rawQuery,
    headers,
    requestContext: {
      accountId: 'anonymous',
      apiId: 'abcdefghij',
      domainName: URL_DOMAIN,
      domainPrefix: 'abcdefghij',
      http: {
        method: request.method,
        path: decodeURIComponent(request.rawPath),
        protocol: 'HTTP/1.1',
        sourceIp: '192.0.2.77',
        userAgent: 'aws-sdk-js/3',
      },
      requestId: '5a1c7b1e-0000-4000-8000-000000000000',
      routeKey: '$default',
      stage: '$default',
      time: '01/Jan/2026:00:00:00 +0000',
      timeEpoch: 1767225600000,
    },
    ...(request.body.length > 0 && { body: request.body.toString(isText ? 'utf8' : 'base64') }),
    isBase64Encoded: request.body.length > 0 && !isText,
  };
}

/** Messages of a queue. */
export function sqsEvent(bodies: readonly string[]): SQSEvent {
  return {
    Records: bodies.map((body, at) => ({
      messageId: `message-${at}`,
      receiptHandle: `handle-${at}`,
      body,
      attributes: {
        ApproximateReceiveCount: '1',
        SentTimestamp: '1767225600000',
        SenderId: 'AIDAEXAMPLE',
        ApproximateFirstReceiveTimestamp: '1767225600001',
      },
      messageAttributes: {},
      md5OfBody: '',
      eventSource: 'aws:sqs',
      eventSourceARN: 'arn:aws:sqs:us-east-1:123456789012:postern-test-outcomes',
      awsRegion: 'us-east-1',
    })),
  };
}

export const scheduled: ScheduledEvent = {
  version: '0',
  id: '53dc4d37-cffa-4f76-80c9-8b7d4a4d2eaa',
  'detail-type': 'Scheduled Event',
  source: 'aws.events',
  account: '123456789012',
  time: '2026-01-01T00:00:00Z',
  region: 'us-east-1',
  resources: ['arn:aws:events:us-east-1:123456789012:rule/EveryMinute'],
  detail: {},
};

/** @param remaining time left, ms. */
export function contextWith(remaining: number): Context {
  return {
    callbackWaitsForEmptyEventLoop: true,
    functionName: 'due',
    functionVersion: '$LATEST',
    invokedFunctionArn: 'arn:aws:lambda:us-east-1:123456789012:function:due',
    memoryLimitInMB: '512',
    awsRequestId: '00000000-0000-4000-8000-000000000000',
    logGroupName: 'due',
    logStreamName: '2026/01/01/[$LATEST]0',
    getRemainingTimeInMillis: () => remaining,
    done() {},
    fail() {},
    succeed() {},
  };
}
