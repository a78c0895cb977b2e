/** The whole HTTP API: Amazon SES v2 under `/v2/email`, SES v1 at `/`, Postern's own under `/v1`. */
import { Hono } from 'hono';
import { type DirectAnswer, toResponse } from '../http/answer.ts';
import { createBodyReader } from '../http/body-reader.ts';
import { type ApiDeps, type ApiEnv, type ApiLimits, DEFAULT_LIMITS } from '../http/deps.ts';
import { hasOneHost, headOf } from '../http/raw-request.ts';
import { sesV2Api } from '../ses/api.ts';
import { resultFiles } from './results.ts';
import { verificationPages } from './verification.ts';

/** A caller sends raw content in base64 inside JSON or a form: four bytes for three, and room for the other members. */
function requestBytes(limits: ApiLimits): number {
  return Math.ceil(limits.messageBytes / 3) * 4 + 1024 * 1024;
}

export interface Api {
  /** All routes. Signatures are verified on the raw request, which the server hands over as `c.env.incoming`. */
  app: Hono<ApiEnv>;
  /** What `app` leads to under `/v2/email`, for a server that spares the way there. */
  direct: DirectAnswer;
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
  const direct = sesV2Api(deps, bodies);
  app.all('/v2/email/*', async ({ env: { incoming } }) =>
    toResponse(await direct(headOf(incoming), incoming)),
  );
  // The next two are loaded, with model and schemas, at their first call: no other caller waits for them at a cold start.
  let v1: Promise<Hono<ApiEnv>> | undefined;
  app.on(['GET', 'POST'], '/', async (c) => {
    v1 ??= import('../ses/v1/api.ts').then(({ sesV1Api }) => sesV1Api(deps, bodies));
    return (await v1).fetch(c.req.raw, c.env);
  });
  let own: Promise<Hono<ApiEnv>> | undefined;
  app.all('/v1/*', async (c) => {
    own ??= import('./router.ts').then(({ posternApi }) =>
      new Hono<ApiEnv>().route('/v1', posternApi(deps, bodies)),
    );
    return (await own).fetch(c.req.raw, c.env);
  });
  if (deps.results) app.route('/', resultFiles(deps, deps.results));
  if (deps.verification) app.route('/', verificationPages(deps, deps.verification));
  return { app, direct };
}
