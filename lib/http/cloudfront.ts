/**
 * Supports a CloudFront distribution in front of the Function URL, which gives the API a name of its own. CloudFront
 * sends the Function URL's name as `Host`, because Lambda accepts no other, and its own address instead of the
 * caller's. Signatures cover the name in the caller's request; so a function at the edge copies name and address into
 * headers, and the distribution adds a secret that vouches for them. Without the secret any caller may have set the
 * headers, and they are ignored.
 */
import { hash, timingSafeEqual } from 'node:crypto';
import { headerOf, type RawRequest } from './raw-request.ts';

/** Header that the distribution sets, replacing any that a caller sends. */
export const FRONT_SECRET = 'x-postern-front';
const VIEWER_HOST = 'x-postern-viewer-host';
const VIEWER_ADDRESS = 'x-postern-viewer-address';

/** The function at the edge, on viewer requests (CloudFront Functions, runtime 2.0). */
export const FRONT_FUNCTION = `function handler(event) {
  var request = event.request;
  request.headers['${VIEWER_HOST}'] = { value: request.headers.host.value };
  request.headers['${VIEWER_ADDRESS}'] = { value: event.viewer.ip };
  return request;
}
`;

/** Restores the request as sent to the distribution; unchanged when it came another way. */
export function behindFront(request: RawRequest, secret: string): RawRequest {
  const given = headerOf(request, FRONT_SECRET);
  if (given === undefined || !timingSafeEqual(digest(given), digest(secret))) return request;
  const host = headerOf(request, VIEWER_HOST);
  const sourceIp = headerOf(request, VIEWER_ADDRESS);
  if (host === undefined || sourceIp === undefined) return request;
  const own = [FRONT_SECRET, VIEWER_HOST, VIEWER_ADDRESS, 'host'];
  const headers = request.headers.filter(([name]) => !own.includes(name));
  return { ...request, headers: [['host', host], ...headers], sourceIp };
}

/** Of the same length for every text, so that the comparison takes constant time. */
function digest(text: string): Buffer {
  return hash('sha256', text, 'buffer');
}
