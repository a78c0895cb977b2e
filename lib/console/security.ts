/** What stands between the console and other sites: headers of every answer, the origin of every form, cookies. */
import { headerOf, type RequestHead } from '../http/raw-request.ts';

/** Nothing but this origin's own files, no inline script or style, and no frame around it. */
const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' data:",
  "connect-src 'self'",
  "frame-src 'self'",
  "form-action 'self'",
  "base-uri 'none'",
  "frame-ancestors 'none'",
].join('; ');
/** For HTML of a template, which is a stranger's: no script, no request, no form, an origin of its own. */
const PREVIEW_POLICY =
  "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'self'";

const COMMON = {
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'cache-control': 'no-store',
};

export const PAGE_HEADERS: Readonly<Record<string, string>> = {
  ...COMMON,
  'content-security-policy': POLICY,
  'x-frame-options': 'DENY',
};
export const PREVIEW_HEADERS: Readonly<Record<string, string>> = {
  ...COMMON,
  'content-type': 'text/html; charset=utf-8',
  'content-security-policy': PREVIEW_POLICY,
};

export const SESSION_COOKIE = 'postern-console';
export const NOTICE_COOKIE = 'postern-console-notice';

/**
 * Whether the browser states that a form is of a page of this origin. Where `Sec-Fetch-Site` is sent, no page can set
 * it and no proxy changes it; else `Origin` must name this host. A request without either is refused: a program uses
 * `/v1`.
 */
export function isOwnForm(head: RequestHead): boolean {
  const site = headerOf(head, 'sec-fetch-site');
  if (site !== undefined) return site === 'same-origin';
  const origin = /^https?:\/\/(.+)$/.exec(headerOf(head, 'origin') ?? '')?.[1];
  return origin !== undefined && origin === headerOf(head, 'host');
}

/** Whether the browser reached us over TLS: by our own listener, or by a proxy that says so. */
export function isSecure(head: RequestHead, url: string): boolean {
  return url.startsWith('https:') || headerOf(head, 'x-forwarded-proto') === 'https';
}

/** With `__Host-` no other host of the domain can set it. */
function cookieName(name: string, secure: boolean): string {
  return secure ? `__Host-${name}` : name;
}

/** @param life seconds; absent: until the browser closes; 0: now. */
export function setCookie(name: string, value: string, secure: boolean, life?: number): string {
  const age = life === undefined ? '' : `; Max-Age=${life}`;
  return `${cookieName(name, secure)}=${value}; Path=/${age}; HttpOnly; SameSite=Strict${secure ? '; Secure' : ''}`;
}

export function cookieOf(head: RequestHead, name: string, secure: boolean): string | undefined {
  const begin = `${cookieName(name, secure)}=`;
  for (const [header, value] of head.headers) {
    if (header !== 'cookie') continue;
    const found = value.split('; ').find((one) => one.startsWith(begin));
    if (found !== undefined) return found.slice(begin.length);
  }
  return undefined;
}
