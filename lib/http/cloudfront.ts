/**
 * A CloudFront distribution in front of the Function URL, which is how the API gets a name of its own. CloudFront
 * sends the Function URL's name as `Host`, because Lambda takes no other, and its own address instead of the
 * caller's. Signatures are over the name that the caller asked for; so a function at the edge copies name and
 * address into headers, and the distribution adds a secret that vouches for them. Without the secret the headers
 * are any caller's, and count for nothing.
 */
import { hash, timingSafeEqual } from 'node:crypto';
import { headerOf, type RawRequest } from './raw-request.ts';

/** Added by the distribution, over whatever a caller sends under this name. */
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

/** The request as the caller sent it to the distribution; as it is when it did not come through there. */
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

/** Of one length whatever is given: the comparison takes the same time for all. */
function digest(text: string): Buffer {
  return hash('sha256', text, 'buffer');
}
