/** The whole HTTP API: Amazon SES v2 under `/v2/email`, SES v1 at `/`, Postern's own under `/v1`. */
import { Hono } from 'hono';
import { type DirectAnswer, type DirectRoutes, toResponse } from '../http/answer.ts';
import { createBodyReader } from '../http/body-reader.ts';
import { type ApiDeps, type ApiEnv, type ApiLimits, DEFAULT_LIMITS } from '../http/deps.ts';
import { hasOneHost, headOf } from '../http/raw-request.ts';
import { sesV2Api } from '../ses/api.ts';
import { resultFiles } from './results.ts';
import type { PosternApi } from './router.ts';
import { verificationPages } from './verification.ts';

/** A caller sends raw content in base64 inside JSON or a form: four bytes for three, and room for the other members. */
function requestBytes(limits: ApiLimits): number {
  return Math.ceil(limits.messageBytes / 3) * 4 + 1024 * 1024;
}

export interface Api {
  /** All routes. Signatures are verified on the raw request, which the server hands over as `c.env.incoming`. */
  app: Hono<ApiEnv>;
  /** What `app` leads to, for a server that spares the way there. */
  direct: DirectRoutes;
}

export function createApi(deps: ApiDeps): Api {
  const limits: ApiLimits = { ...DEFAULT_LIMITS, ...deps.limits };
  const bodies = createBodyReader(
    {
      bytes: requestBytes(limits),
      grace: limits.bodyGrace,
      rate: limits.bodyRate,
      buffered: limits.bufferedBytes,
      unproven: Math.max(limits.unprovenBytes, requestBytes(limits)),
    },
    deps.clock,
  );
  const app = new Hono<ApiEnv>();
  app.use(async (c, next) => {
    if (hasOneHost(headOf(c.env.incoming))) return next();
    return c.json({ message: 'The request must have one Host header (RFC 9112 §3.2).' }, 400);
  });
  const sesV2 = sesV2Api(deps, bodies);
  app.all('/v2/email/*', async ({ env: { incoming } }) =>
    toResponse(await sesV2(headOf(incoming), incoming)),
  );
  // The next two are loaded, with model and schemas, at their first call: no other caller waits for them at a cold start.
  let sesV1: DirectAnswer | undefined;
  app.on(['GET', 'POST'], '/', async ({ env: { incoming } }) => {
    sesV1 ??= (await import('../ses/v1/api.ts')).sesV1Api(deps, bodies);
    return toResponse(await sesV1(headOf(incoming), incoming));
  });
  let own: PosternApi | undefined;
  app.all('/v1/*', async (c) => {
    own ??= (await import('./router.ts')).posternApi(deps, bodies);
    return own.app.fetch(c.req.raw, c.env);
  });
  if (deps.results) app.route('/', resultFiles(deps, deps.results));
  if (deps.verification) app.route('/', verificationPages(deps, deps.verification));
  const direct: DirectRoutes = (method, path) => {
    if (path.startsWith('/v2/email/')) return sesV2;
    if (path === '/') return method === 'GET' || method === 'POST' ? sesV1 : undefined;
    return own?.direct(method, path);
  };
  return { app, direct };
}
