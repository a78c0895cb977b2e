/**
 * The console: pages for operators and tenants, made on the server from `/v1` answers.
 *
 * ```
 *  request ─► cookie ─► key ─► GET /v1/keys/self ─► page ─► /v1 … ─► HTML
 *                │         └── 401: the key was revoked, the session is over
 *                └── none: sign-in        POST ─► own origin? token? ─► act ─► /v1 … ─► 303 to a page
 * ```
 * It holds no right of its own: every call carries the key of the session.
 */
import { type Context, Hono } from 'hono';
import { asPosternError, PosternError } from '../errors.ts';
import type { BodyReader } from '../http/body-reader.ts';
import { createBodyReader } from '../http/body-reader.ts';
import type { ApiEnv, ApiLog } from '../http/deps.ts';
import { clientAddress, headerOf, headOf } from '../http/raw-request.ts';
import { type Clock, MINUTE, SECOND } from '../time.ts';
import { type Assets, readAssets } from './assets.ts';
import { faultPage } from './fault.ts';
import { Form } from './form.ts';
import { bare, framed } from './layout.ts';
import { LiveStreams } from './live.ts';
import type { Acted, ConsolePage, Markup, PageCall, ShownPage, SignedInKey } from './page.ts';
import { PAGES } from './pages.ts';
import { BASE } from './parts.ts';
import {
  cookieOf,
  isOwnForm,
  isSecure,
  NOTICE_COOKIE,
  PAGE_HEADERS,
  SESSION_COOKIE,
  setCookie,
} from './security.ts';
import { type ConsoleSession, ConsoleSessions } from './session.ts';
import { GRACE, Shared, viewOf } from './shared.ts';
import { SignIn } from './sign-in.ts';
import { ApiFailure, type ApiFetch, queryText, V1 } from './v1.ts';

/** Time that a page waits for what it can be without, ms. */
const SOON = 150;
/** How long a page that is shared is shown as it is, ms. */
const PAGE_AGE = 2 * SECOND;
/** Largest form: what a function is given at most, less what base64 adds. */
const MAX_FORM = 4 * 1024 * 1024;

export interface ConsoleOptions {
  /** The HTTP API of this process. */
  fetch: ApiFetch;
  masterKey: Buffer;
  clock: Clock;
  log: ApiLog;
  /** Aborted when the listener closes: streams end then. */
  closing?: AbortSignal;
}

/** The routes of the console, with their `/console`. */
export function createConsole(options: ConsoleOptions): Hono<ApiEnv> {
  return new Console(options).app;
}

/** A request with a session. */
interface Visit {
  session: ConsoleSession;
  me: SignedInKey;
  v1: V1;
}

class Console {
  readonly app = new Hono<ApiEnv>();
  readonly #options: ConsoleOptions;
  readonly #assets: Assets = readAssets();
  readonly #sessions: ConsoleSessions;
  readonly #signIn: SignIn;
  readonly #streams: LiveStreams;
  readonly #bodies: BodyReader;
  readonly #shared: Shared;

  constructor(options: ConsoleOptions) {
    const { masterKey, clock, closing, log } = options;
    this.#options = options;
    this.#shared = new Shared(clock);
    this.#sessions = new ConsoleSessions(masterKey, clock);
    this.#signIn = new SignIn({ assets: this.#assets, clock });
    this.#streams = new LiveStreams({ clock, closing, log });
    const limits = {
      bytes: MAX_FORM,
      grace: MINUTE / 3,
      rate: 16 * 1024,
      buffered: 16 * MAX_FORM,
      unproven: 16 * MAX_FORM,
    };
    this.#bodies = createBodyReader(limits, clock);
    this.#route();
  }

  #route(): void {
    const { app } = this;
    app.get(`${BASE}/assets/:name`, (c) => this.#asset(c));
    app.get(`${BASE}/sign-in`, (c) => this.#page(this.#signIn.shown({ to: c.req.query('to') })));
    app.post(`${BASE}/sign-in`, (c) => this.#guarded(c, () => this.#begin(c)));
    app.post(`${BASE}/sign-out`, (c) => this.#guarded(c, () => this.#end(c)));
    app.get(`${BASE}/`, (c) => c.redirect(BASE, 308));
    for (const page of PAGES) {
      const path = `${BASE}${page.path === '/' ? '' : page.path}`;
      app.get(path, (c) => this.#guarded(c, () => this.#show(c, page)));
      app.post(path, (c) => this.#guarded(c, () => this.#act(c, page)));
    }
    app.all(`${BASE}/*`, (c) =>
      this.#guarded(c, () => {
        throw new ApiFailure(404, 'not_found', `The console has no page ${c.req.path.slice(0, 200)}.`);
      }),
    );
  }

  #asset(c: Context<ApiEnv>): Response {
    const asset = this.#assets.find(c.req.param('name')!);
    if (!asset) return new Response('There is no such file.\n', { status: 404, headers: PAGE_HEADERS });
    const headers = {
      ...PAGE_HEADERS,
      'content-type': asset.type,
      'cache-control': 'private, max-age=31536000, immutable',
    };
    return new Response(new Uint8Array(asset.bytes), { headers });
  }

  /** Runs a route; every failure becomes a page. */
  async #guarded(c: Context<ApiEnv>, run: () => Response | Promise<Response>): Promise<Response> {
    try {
      return await run();
    } catch (error) {
      const failure = failureOf(error);
      if (failure.status >= 500)
        this.#options.log.error('console', { path: c.req.path.slice(0, 200), error });
      return this.#page(bare(this.#assets, 'Not done', faultPage(failure)), failure.status);
    }
  }

  async #show(c: Context<ApiEnv>, page: ConsolePage): Promise<Response> {
    const visit = await this.#visit(c);
    if (visit instanceof Response) return visit;
    if (page.admin && !visit.me.admin) throw notForTenants(visit.me);
    const call = this.#callOf(c, visit, Form.EMPTY);
    const accept = headerOf(headOf(c.env.incoming), 'accept') ?? '';
    if (/\btext\/event-stream\b/.test(accept)) return this.#follow(page, call, visit);
    // A function does not go on once it has answered: it can make nothing for later.
    const shown = await this.#shown(page, call, call.unbounded ? GRACE : 0);
    return shown instanceof Response ? shown : this.#frame(c, page, call, visit, shown);
  }

  /** A page, or what was lately made of it for somebody who may see the same. */
  #shown(page: ConsolePage, call: PageCall, grace: number): Promise<ShownPage | Response> {
    if (!page.shared) return page.show(call);
    const key = `${viewOf(call.me)} ${page.path}`;
    return this.#shared.of(key, PAGE_AGE, () => page.show(call), grace);
  }

  /** A stream of the page as it changes, where the process lives longer than the call. */
  #follow(page: ConsolePage, call: PageCall, { session, me: { id } }: Visit): Response {
    if (!call.unbounded)
      throw new ApiFailure(406, 'unsupported_operation', 'This installation answers page by page.');
    const render = async (): Promise<string> => {
      if (session.end <= this.#options.clock.now())
        throw new ApiFailure(401, 'unknown_key', 'The session is over.');
      const me = await call.v1.get<SignedInKey>('/keys/self');
      const now = this.#options.clock.now();
      const shown = await this.#shown(page, { ...call, me, now, recent: this.#recent(me, call.v1) }, 0);
      return shown instanceof Response ? '' : String(await shown.body);
    };
    const stream = this.#streams.open(id, render);
    const headers = { ...PAGE_HEADERS, 'content-type': 'text/event-stream', 'x-accel-buffering': 'no' };
    return new Response(stream, { headers });
  }

  async #act(c: Context<ApiEnv>, page: ConsolePage): Promise<Response> {
    const visit = await this.#visit(c);
    if (visit instanceof Response) return visit;
    const form = await this.#form(c);
    if (!isOwnForm(headOf(c.env.incoming)) || !this.#sessions.isToken(visit.session, form.text('token')))
      throw new ApiFailure(
        403,
        'access_denied',
        'The form is not of this session: nothing was done.',
        'Open the page again and repeat it.',
      );
    if (page.admin && !visit.me.admin) throw notForTenants(visit.me);
    const act = form.text('do') ?? '';
    if (!page.acts || !Object.hasOwn(page.acts, act))
      throw new ApiFailure(400, 'bad_request', 'The form asks for nothing that this page does.');
    const call = this.#callOf(c, visit, form);
    let acted: Acted;
    try {
      acted = await page.acts[act]!(call).finally(() => this.#shared.clear());
    } catch (error) {
      const failure = failureOf(error);
      if (failure.status === 401 || failure.status >= 500) throw error;
      // What was entered is kept, and the reason stands above it.
      const shown = await page.show({ ...call, problem: failure });
      return shown instanceof Response ? shown : this.#frame(c, page, call, visit, shown, failure.status);
    }
    if (acted instanceof Response) return acted;
    if (!('to' in acted)) return this.#frame(c, page, call, visit, acted);
    const secure = isSecure(headOf(c.env.incoming), c.req.url);
    const headers = new Headers({ ...PAGE_HEADERS, location: `${BASE}${acted.to}` });
    headers.append('set-cookie', setCookie(NOTICE_COOKIE, this.#sessions.notice(acted.notice), secure, 60));
    return new Response(null, { status: 303, headers });
  }

  async #begin(c: Context<ApiEnv>): Promise<Response> {
    const head = headOf(c.env.incoming);
    if (!isOwnForm(head))
      throw new ApiFailure(403, 'access_denied', 'Sign in on the page of the console itself.');
    const form = await this.#form(c);
    const bearer = `${form.text('id') ?? ''}.${form.text('secret') ?? ''}`;
    const { refused, to } = await this.#signIn.attempt(form, clientAddress(head), () =>
      this.#v1(c, bearer).get('/keys/self'),
    );
    if (refused) return this.#page(this.#signIn.shown({ to, id: form.text('id'), refused }), refused.status);
    const secure = isSecure(head, c.req.url);
    const headers = new Headers({ ...PAGE_HEADERS, location: to });
    headers.append('set-cookie', setCookie(SESSION_COOKIE, this.#sessions.begin(bearer), secure));
    return new Response(null, { status: 303, headers });
  }

  async #end(c: Context<ApiEnv>): Promise<Response> {
    if (!isOwnForm(headOf(c.env.incoming)))
      throw new ApiFailure(403, 'access_denied', 'Sign out on a page of the console itself.');
    return this.#toSignIn(c, undefined, true);
  }

  /** The session of a request, or the way to one. */
  async #visit(c: Context<ApiEnv>): Promise<Visit | Response> {
    const head = headOf(c.env.incoming);
    const session = this.#sessions.find(cookieOf(head, SESSION_COOKIE, isSecure(head, c.req.url)));
    const { pathname, search } = new URL(c.req.url);
    const here = `${pathname}${search}`;
    if (!session) {
      // A link from another site comes without a strict cookie; a request of our own page brings it.
      if (headerOf(head, 'sec-fetch-site') === 'cross-site' && c.req.method === 'GET')
        return this.#page(bare(this.#assets, 'Postern', this.#signIn.again(here)));
      return this.#toSignIn(c, here);
    }
    const v1 = this.#v1(c, session.bearer);
    try {
      return { session, v1, me: await v1.get<SignedInKey>('/keys/self') };
    } catch (error) {
      if (error instanceof ApiFailure && error.status === 401) return this.#toSignIn(c, here, true);
      throw error;
    }
  }

  #toSignIn(c: Context<ApiEnv>, here: string | undefined, over = false): Response {
    const headers = new Headers({
      ...PAGE_HEADERS,
      location: this.#signIn.path(c.req.method === 'GET' ? here : undefined),
    });
    if (over)
      headers.append(
        'set-cookie',
        setCookie(SESSION_COOKIE, '', isSecure(headOf(c.env.incoming), c.req.url), 0),
      );
    return new Response(null, { status: 303, headers });
  }

  #v1(c: Context<ApiEnv>, bearer: string): V1 {
    const head = headOf(c.env.incoming);
    return new V1({
      fetch: this.#options.fetch,
      bearer,
      host: headerOf(head, 'host') ?? '',
      sourceIp: clientAddress(head),
    });
  }

  async #form(c: Context<ApiEnv>): Promise<Form> {
    const held = await this.#bodies.read(c.env.incoming, true);
    try {
      return await Form.read(held.bytes, headerOf(headOf(c.env.incoming), 'content-type') ?? '');
    } finally {
      held.release();
    }
  }

  #callOf(c: Context<ApiEnv>, { session, me, v1 }: Visit, form: Form): PageCall {
    const { pathname, search, searchParams } = new URL(c.req.url);
    return {
      v1,
      recent: this.#recent(me, v1),
      me,
      params: c.req.param() as Record<string, string>,
      query: searchParams,
      form,
      token: this.#sessions.token(session),
      now: this.#options.clock.now(),
      soon: (found) => soon(found, this.#options.clock),
      here: `${pathname}${search}`,
      unbounded: !('rawPath' in c.env.incoming),
    };
  }

  #recent(me: SignedInKey, v1: V1): PageCall['recent'] {
    const view = viewOf(me);
    return (age, path, query = {}) =>
      this.#shared.of(`${view} GET ${path}?${queryText(query)}`, age, () => v1.get(path, query));
  }

  async #frame(
    c: Context<ApiEnv>,
    page: ConsolePage,
    call: PageCall,
    { me }: Visit,
    shown: ShownPage,
    status = 200,
  ): Promise<Response> {
    const head = headOf(c.env.incoming);
    const secure = isSecure(head, c.req.url);
    const notice = this.#sessions.noticeOf(cookieOf(head, NOTICE_COOKIE, secure));
    const follow = call.unbounded ? 'stream' : 'poll';
    const { token } = call;
    const answer = await this.#page(
      framed({ assets: this.#assets, shown, nav: page.nav, me, token, notice, follow }),
      status,
    );
    if (notice !== undefined) answer.headers.append('set-cookie', setCookie(NOTICE_COOKIE, '', secure, 0));
    return answer;
  }

  async #page(content: Markup, status = 200): Promise<Response> {
    const headers = { ...PAGE_HEADERS, 'content-type': 'text/html; charset=utf-8' };
    return new Response(String(await content), { status, headers });
  }
}

/** The result, where it comes within the time; a failure that comes later is nobody's. */
async function soon<T>(found: Promise<T>, clock: Clock): Promise<T | undefined> {
  let cancel = (): void => {};
  const late = new Promise<undefined>((resolve) => {
    cancel = clock.after(SOON, () => resolve(undefined));
  });
  try {
    return await Promise.race([found, late]);
  } finally {
    cancel();
    found.catch(() => {});
  }
}

function notForTenants({ id }: SignedInKey): ApiFailure {
  return new ApiFailure(
    403,
    'access_denied',
    `The key ${id} may not open this page: it needs an administrator's key.`,
    'Sign in with another key, or ask whoever runs this service.',
  );
}

function failureOf(error: unknown): ApiFailure {
  if (error instanceof ApiFailure) return error;
  const known = error instanceof PosternError ? error : asPosternError(error);
  return new ApiFailure(known.entry.http, known.code, known.message, known.entry.action);
}
