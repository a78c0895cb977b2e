/**
 * The pages behind the links of verification mails.
 *
 * ```
 *  GET, HEAD ─► sealed here? ─► not ended, identity there? ─► a page with a button that posts
 *                 └─ no: 404      └─ no: 302 to the template's FailureRedirectionURL
 *  POST ─► the same ─► confirmed ─► 303 to its SuccessRedirectionURL
 * ```
 * Amazon's link confirms by a GET. Scanners of mail follow each link of a mail: with that, whoever names a stranger's
 * address would own it as soon as its scanner has looked. So a GET changes nothing here.
 */
import { Hono } from 'hono';
import { VerificationTemplates } from '../control/verification-templates.ts';
import { asPosternError, PosternError } from '../errors.ts';
import type { ApiDeps, ApiEnv, Verification } from '../http/deps.ts';
import { headOf } from '../http/raw-request.ts';
import { TRACKING_PATH } from '../tracking/links.ts';
import type { AddressVerification } from '../tracking/verification-links.ts';
import { escapeHtml, pageOf } from './page.ts';

const TITLE = 'Confirm your address';

type PageDeps = Pick<ApiDeps, 'control' | 'engine' | 'clock' | 'log'>;

/** The routes of verification links. They come before those of tracking, whose paths begin alike. */
export function verificationPages(deps: PageDeps, { links }: Verification): Hono<ApiEnv> {
  const app = new Hono<ApiEnv>();
  app.all(`${TRACKING_PATH}/v/*`, async (c) => {
    const { method, rawPath } = headOf(c.env.incoming);
    const verification = links.read(rawPath);
    if (!verification) return answer(404, '<p role="alert">This link is not valid.</p>');
    if (method !== 'GET' && method !== 'HEAD' && method !== 'POST')
      return answer(405, '<p>Only GET and POST are answered here.</p>', { allow: 'GET, HEAD, POST' });
    try {
      return await (method === 'POST' ? confirm(deps, verification) : ask(deps, verification));
    } catch (cause) {
      const error = asPosternError(cause);
      deps.log.error('an address is not confirmed', { address: verification.address, error });
      const text = 'Your address could not be confirmed just now. Please try again in a minute.';
      return answer(503, `<p role="alert">${text}</p>`, { 'retry-after': '60' });
    }
  });
  return app;
}

/** Where readers go next; undefined when the template is gone. */
async function targetsOf({ engine, clock }: PageDeps, { tenant, template }: AddressVerification) {
  try {
    return await new VerificationTemplates(engine.rows, clock).find(tenant, template);
  } catch (error) {
    if (error instanceof PosternError && error.code === 'not_found') return undefined;
    throw error;
  }
}

async function ask(deps: PageDeps, verification: AddressVerification): Promise<Response> {
  const targets = await targetsOf(deps, verification);
  const { address, createdAt } = verification;
  const identity = await deps.control.identities.find(address);
  if (hasEnded(deps, verification) || identity?.createdAt !== createdAt) return failed(targets?.failureUrl);
  const next = targets ? [targets.successUrl, targets.failureUrl].map((url) => new URL(url).origin) : [];
  return answer(
    200,
    `<h1>${TITLE}</h1><p>Someone asked to send mail as <strong>${escapeHtml(address)}</strong>. ` +
      'If it was you, confirm that this address is yours. If not, close this page: nothing happens then.</p>' +
      '<form method="post"><button type="submit">Confirm</button></form>',
    {
      // The form's answer leads on to these: browsers hold it to this list, too.
      'content-security-policy': `default-src 'none'; form-action 'self' ${[...new Set(next)].join(' ')}; frame-ancestors 'none'`,
    },
  );
}

async function confirm(deps: PageDeps, verification: AddressVerification): Promise<Response> {
  const targets = await targetsOf(deps, verification);
  const { address: name, createdAt, tenant } = verification;
  if (hasEnded(deps, verification) || !(await deps.control.identities.confirm({ name, createdAt })))
    return failed(targets?.failureUrl, 303);
  deps.log.info('an address is confirmed', { tenant, address: name });
  if (targets) return leadTo(targets.successUrl, 303);
  return answer(200, '<p role="status">Your address is confirmed.</p>');
}

function hasEnded({ clock }: PageDeps, { expiresAt }: AddressVerification): boolean {
  return clock.now() >= expiresAt;
}

function failed(url: string | undefined, status: 302 | 303 = 302): Response {
  if (url !== undefined) return leadTo(url, status);
  return answer(
    410,
    '<p role="alert">This link has ended, or was replaced. Ask for another verification mail.</p>',
  );
}

function leadTo(location: string, status: 302 | 303): Response {
  return new Response(null, {
    status,
    headers: { location, 'cache-control': 'no-store', 'referrer-policy': 'no-referrer' },
  });
}

function answer(status: number, body: string, headers?: Record<string, string>): Response {
  return pageOf('en', TITLE, status, body, headers);
}
