/**
 * Converts Lambda Function URL events to raw requests, and responses to Lambda's form. A Function URL passes on path
 * and query as sent; an API Gateway HTTP API decodes them, and every signature over them breaks.
 */
import type { LambdaFunctionURLEvent, LambdaFunctionURLResult } from 'aws-lambda';
import { behindFront } from './cloudfront.ts';
import type { RawRequest } from './raw-request.ts';

/** Answers a request that came by a Function URL. */
export type Fetch = (request: Request, env: { incoming: RawRequest }) => Response | Promise<Response>;

/** The request as it came over the wire. */
function rawRequestOf(event: LambdaFunctionURLEvent): RawRequest {
  const { http } = event.requestContext;
  const headers: RawRequest['headers'] = [];
  for (const [name, value] of Object.entries(event.headers)) {
    // JSON holds a header as text; signatures are over its bytes.
    if (value !== undefined) headers.push([name.toLowerCase(), Buffer.from(value).toString('latin1')]);
  }
  // Lambda takes cookies out of the headers.
  if (event.cookies && event.headers.cookie === undefined)
    headers.push(['cookie', Buffer.from(event.cookies.join('; ')).toString('latin1')]);
  return {
    method: http.method,
    rawPath: event.rawPath,
    rawQuery: event.rawQueryString,
    headers,
    sourceIp: http.sourceIp,
    body: Buffer.from(event.body ?? '', event.isBase64Encoded ? 'base64' : 'utf8'),
  };
}

/**
 * Calls the application with an event. Its URL is for routing only: signatures are verified on the raw request.
 * @param frontSecret of the distribution in front, if there is one.
 */
export async function answer(
  fetch: Fetch,
  event: LambdaFunctionURLEvent,
  frontSecret?: string,
): Promise<LambdaFunctionURLResult> {
  const wire = rawRequestOf(event);
  const incoming = frontSecret === undefined ? wire : behindFront(wire, frontSecret);
  const query = incoming.rawQuery && `?${incoming.rawQuery}`;
  const url = `https://${event.requestContext.domainName}${incoming.rawPath}${query}`;
  const response = await fetch(new Request(url, { method: incoming.method }), { incoming });
  const { 'set-cookie': _, ...headers } = Object.fromEntries(response.headers);
  // An answer is for its caller alone: a cache on the way must not give one caller's to another.
  const kept = headers['cache-control']?.startsWith('private,') ? headers['cache-control'] : 'no-store';
  return {
    statusCode: response.status,
    headers: { ...headers, 'cache-control': kept },
    // Lambda joins headers of one name, and cookies have commas in them.
    cookies: response.headers.getSetCookie(),
    ...(await bodyOf(response)),
  };
}

/** Lambda accepts text unencoded, and anything else in base64. */
async function bodyOf(response: Response): Promise<{ body: string; isBase64Encoded?: true }> {
  if (!response.headers.get('content-type')?.startsWith('image/')) return { body: await response.text() };
  return { body: Buffer.from(await response.arrayBuffer()).toString('base64'), isBase64Encoded: true };
}
