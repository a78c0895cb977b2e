/**
 * The endpoint of unsubscribe links, beside those of opens and clicks.
 *
 * ```
 *  POST ─► link sealed here? ─► report ─► 200 once it is durable     (the mail program's own button: RFC 8058 §3.2)
 *            └─ no: 404            └─ fails: 503, to be tried again
 *  GET  ─► a page with a button that posts. It changes nothing: scanners follow links
 * ```
 * The body of a POST is not read: the link names all there is to do, and mail programs differ in what they send.
 */
import type { RequestHead } from '../http/raw-request.ts';
import type { Unsubscription } from '../tracking/unsubscribe-links.ts';

/** Answers a request for a sealed link. @param act durable when it resolves. */
export async function answerUnsubscribe(
  { method }: Pick<RequestHead, 'method'>,
  unsubscription: Unsubscription,
  act: () => Promise<void>,
): Promise<Response> {
  if (method === 'GET' || method === 'HEAD') return page(200, askPage(unsubscription));
  if (method !== 'POST') {
    return page(405, 'Only GET and POST are answered here.', { allow: 'GET, HEAD, POST' });
  }
  try {
    await act();
  } catch {
    return page(503, DOWN, { 'retry-after': '60' });
  }
  return page(200, `<p>${escapeHtml(unsubscription.address)} is unsubscribed.</p>`);
}

const DOWN = '<p>Your request could not be stored. Please try again in a minute.</p>';

function askPage({ address, contactList, topic }: Unsubscription): string {
  const from = topic ?? contactList;
  const what = from === undefined ? 'this mail' : `“${escapeHtml(from)}”`;
  return (
    `<p>Unsubscribe ${escapeHtml(address)} from ${what}?</p>` +
    '<form method="post"><input type="hidden" name="List-Unsubscribe" value="One-Click">' +
    '<button type="submit">Unsubscribe</button></form>'
  );
}

/** A page without script, which nothing may frame: a click on it is the reader's own. */
function page(status: number, body: string, headers: Record<string, string> = {}): Response {
  const html =
    '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">' +
    `<meta name="robots" content="noindex"><title>Unsubscribe</title><body>${body}</body></html>\n`;
  return new Response(html, {
    status,
    headers: {
      'content-type': 'text/html; charset=utf-8',
      'cache-control': 'no-store',
      'content-security-policy': "default-src 'none'; form-action 'self'; frame-ancestors 'none'",
      'referrer-policy': 'no-referrer',
      'x-content-type-options': 'nosniff',
      ...headers,
    },
  });
}

function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);
}
