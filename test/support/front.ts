/** CloudFront as the stacks set it up, between a caller and the API's Function URL. */
import { Readable } from 'node:stream';
import { runInNewContext } from 'node:vm';
import { SESv2Client } from '@aws-sdk/client-sesv2';
import type { LambdaFunctionURLEvent, LambdaFunctionURLResult } from 'aws-lambda';
import { FRONT_FUNCTION, FRONT_SECRET } from '../../lib/http/cloudfront.ts';
import type { RawRequest } from '../../lib/http/raw-request.ts';
import { URL_DOMAIN, urlEvent } from './lambda.ts';

/** Address of the caller in the eyes of CloudFront. */
export const VIEWER = '203.0.113.9';

interface EdgeEvent {
  version: string;
  context: { distributionDomainName: string; eventType: string };
  viewer: { ip: string };
  request: {
    method: string;
    uri: string;
    querystring: Record<string, never>;
    headers: Record<string, { value: string }>;
    cookies: Record<string, never>;
  };
}

const edge = runInNewContext(`${FRONT_FUNCTION}; handler`) as (event: EdgeEvent) => EdgeEvent['request'];

/**
 * A request to the distribution as Lambda gets it: the function at the edge has run, the name in `Host` is
 * the Function URL's, and the secret replaces the value of the caller.
 */
export function throughCloudFront(request: RawRequest, secret: string): LambdaFunctionURLEvent {
  const { headers } = edge({
    version: '1.0',
    context: { distributionDomainName: 'd111111abcdef8.cloudfront.net', eventType: 'viewer-request' },
    viewer: { ip: VIEWER },
    request: {
      method: request.method,
      uri: request.rawPath,
      querystring: {},
      headers: Object.fromEntries(request.headers.map(([name, value]) => [name, { value }])),
      cookies: {},
    },
  });
  const passed = Object.entries(headers).map(([name, { value }]): [string, string] => [name, value]);
  const sent = new Map([
    ...passed,
    ['host', URL_DOMAIN],
    ['via', '2.0 3f1c.cloudfront.net (CloudFront)'],
    ['x-amz-cf-id', 'bI2l1gWx'],
    ['x-forwarded-for', VIEWER],
    [FRONT_SECRET, secret],
  ]);
  return urlEvent({ ...request, headers: [...sent] });
}

/** The request that the SDK would send. */
interface Signed {
  method: string;
  path: string;
  query?: Record<string, string | string[] | null>;
  headers: Record<string, string>;
  body?: string | Uint8Array;
}

/** A client of AWS's SDK for an endpoint whose calls end in `reach`, signed as they would go over the wire. */
export function sdkThrough(
  endpoint: string,
  key: { accessKeyId: string; secretAccessKey: string },
  reach: (request: RawRequest) => Promise<LambdaFunctionURLResult>,
): SESv2Client {
  return new SESv2Client({
    endpoint,
    region: 'us-east-1',
    credentials: key,
    maxAttempts: 1,
    requestHandler: {
      async handle(signed: Signed) {
        const query = Object.entries(signed.query ?? {}).flatMap(([name, values]) =>
          [values ?? ''].flat().map((value) => `${encodeURIComponent(name)}=${encodeURIComponent(value)}`),
        );
        const result = await reach({
          method: signed.method,
          rawPath: signed.path,
          rawQuery: query.join('&'),
          headers: Object.entries(signed.headers).map(([name, value]) => [name.toLowerCase(), value]),
          sourceIp: '',
          body: Buffer.from(signed.body ?? ''),
        });
        if (typeof result === 'string') throw new Error('An answer without a status.');
        return {
          response: {
            statusCode: result.statusCode!,
            headers: result.headers as Record<string, string>,
            body: Readable.from([Buffer.from(result.body ?? '')]),
          } as never,
        };
      },
    },
  });
}
