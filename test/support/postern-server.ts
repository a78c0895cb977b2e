import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Accept } from '../../lib/accept/types.ts';
import { createApi } from '../../lib/api/app.ts';
import { ErrorAnswer } from '../../lib/api/errors.ts';
import { OPERATIONS } from '../../lib/api/openapi.ts';
import { problemsOf } from '../../lib/api/schema.ts';
import { createConsole } from '../../lib/console/console.ts';
import type { ConfigKind } from '../../lib/control/config-kinds.ts';
import { openControl } from '../../lib/control/control.ts';
import type { DkimZoneOptions } from '../../lib/control/dkim-records.ts';
import type { Control } from '../../lib/control/types.ts';
import { type HealthCheck, HealthChecks } from '../../lib/doctor/health-check.ts';
import { openEmbedded } from '../../lib/engine/embedded/open.ts';
import type { Engine } from '../../lib/engine/ports.ts';
import { FeedPull } from '../../lib/events/pull.ts';
import type { ApiDeps } from '../../lib/http/deps.ts';
import { createHttpServer, type FetchHandler } from '../../lib/http/listener.ts';
import { seededRandom, TestClock } from './clock.ts';
import { MASTER_KEY } from './control.ts';
import { testDomains } from './domains.ts';
import { FakeAccept } from './fake-accept.ts';
import { FakeTxt } from './fake-txt.ts';

/** Bearer keys: an administrator of tenant `default`, and users of `default` and of `other`. */
export const KEYS = {
  admin: { id: 'AKIAADMIN', secret: 'admin/secret+0123456789', tenant: 'default', admin: true },
  user: { id: 'AKIAUSER', secret: 'user/secret+0123456789', tenant: 'default', admin: false },
  other: { id: 'AKIAOTHER', secret: 'other/secret+0123456789', tenant: 'other', admin: false },
};

export interface CallOptions {
  key?: keyof typeof KEYS;
  /** Sent as JSON; a string is sent as it is. */
  body?: unknown;
  headers?: Record<string, string>;
}

export interface Reply {
  status: number;
  headers: Headers;
  // The tests read answers whose shape the document's schemas have checked.
  // biome-ignore lint/suspicious/noExplicitAny: see above
  json: any;
}

export interface PosternServer {
  url: string;
  /** The accepted calls of the fake pipeline. */
  accept: FakeAccept;
  control: Control;
  engine: Engine;
  clock: TestClock;
  txt: FakeTxt;
  log: { event: string; fields?: Record<string, unknown> }[];
  /** Calls the API by a real request; every answer is checked against the document. */
  call(method: string, path: string, options?: CallOptions): Promise<Reply>;
  close(): Promise<void>;
}

export interface ServerOptions {
  verifyIdentities?: boolean;
  /** Zone of the keys of Easy DKIM; absent: there is none. */
  dkimZone?: DkimZoneOptions;
  limits?: ApiDeps['limits'];
  /** Kinds of configuration documents. */
  kinds?: readonly ConfigKind[];
  installed?: ApiDeps['installed'];
  policy?: ApiDeps['policy'];
  /** Checks of the installation. */
  checks?: readonly HealthCheck[];
  /** DNS and the source addresses that checks of domains use. */
  dns?: Parameters<typeof testDomains>[2];
  explain?: ApiDeps['explain'];
  waitStatus?: ApiDeps['waitStatus'];
  laneRest?: ApiDeps['laneRest'];
  forgetSite?: ApiDeps['forgetSite'];
  held?: ApiDeps['held'];
  sources?: ApiDeps['sources'];
  /** Makes an accept pipeline in place of the fake one. */
  accept?: (engine: Engine, control: Control, clock: TestClock) => Accept;
}

/** The Postern API on a real server over the embedded engine, with an accept pipeline that records its calls. */
export async function startPosternServer(options: ServerOptions = {}): Promise<PosternServer> {
  const directory = await mkdtemp(join(tmpdir(), 'postern-api-'));
  const clock = new TestClock();
  const engine = await openEmbedded({ directory, clock, minimumFree: 0 });
  const txt = new FakeTxt();
  const { verifyIdentities = false, limits, kinds, policy } = options;
  const control = await openControl({
    config: engine.config,
    keyUse: { rows: engine.rows, random: seededRandom(1) },
    masterKey: MASTER_KEY,
    clock,
    verifyIdentities,
    resolveTxt: txt.resolve,
    dkimZone: options.dkimZone,
    kinds,
  });
  for (const key of Object.values(KEYS)) await control.keys.create(key);
  const accept = new FakeAccept();
  const closing = new AbortController();
  const log: PosternServer['log'] = [];
  const note = (event: string, fields?: Record<string, unknown>) => void log.push({ event, fields });
  const { app, direct } = createApi({
    accept: options.accept?.(engine, control, clock) ?? accept,
    control,
    engine,
    installed: options.installed ?? { ips: [], pools: {} },
    domains: testDomains(control, clock, options.dns),
    health: new HealthChecks({ checks: options.checks ?? [], clock }),
    clock,
    region: 'us-east-1',
    accountId: '123456789012',
    hostname: 'postern.example',
    forwardsFeedback: true,
    reportAddress: (domain, mailFrom) => `reports@${mailFrom ?? `bounces.${domain}`}`,
    version: '0.0.0',
    pull: new FeedPull({
      records: engine.records,
      context: { region: 'us-east-1', accountId: '123456789012', hostname: 'postern.example' },
      clock,
    }),
    closing: closing.signal,
    log: { info: note, warn: note, error: note },
    limits,
    policy,
    explain: options.explain,
    waitStatus: options.waitStatus,
    laneRest: options.laneRest,
    forgetSite: options.forgetSite,
    held: options.held,
    sources: options.sources,
  });
  app.route(
    '/',
    createConsole({
      fetch: (request, env) => app.fetch(request, env),
      masterKey: MASTER_KEY,
      clock,
      log: { info: note, warn: note, error: note },
      closing: closing.signal,
    }),
  );
  const server = createHttpServer({ fetch: app.fetch as FetchHandler, direct, clock });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    url,
    accept,
    control,
    engine,
    clock,
    txt,
    log,
    async call(method, path, { key, body, headers = {} } = {}) {
      const bearer = key && `Bearer ${KEYS[key].id}.${KEYS[key].secret}`;
      const response = await fetch(`${url}/v1${path}`, {
        method,
        headers: bearer ? { authorization: bearer, ...headers } : headers,
        body: body === undefined || typeof body === 'string' ? body : JSON.stringify(body),
      });
      const text = await response.text();
      const reply = {
        status: response.status,
        headers: response.headers,
        json: text === '' ? undefined : JSON.parse(text),
      };
      checkAnswer(method, path, reply);
      return reply;
    },
    async close() {
      closing.abort();
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
      await control.close();
      await engine.close();
      await rm(directory, { recursive: true });
    },
  };
}

/** Asserts that an answer matches the document of its operation. */
function checkAnswer(method: string, path: string, { status, headers, json }: Reply): void {
  assert.match(headers.get('x-request-id') ?? '', /^[0-9a-f-]{36}$/);
  const bare = path.split('?')[0]!;
  const operation = OPERATIONS.find(
    (one) =>
      one.method === method.toLowerCase() &&
      new RegExp(`^${one.path.replace(/\{\w+\}/g, '[^/]+').replaceAll('.', '\\.')}$`).test(bare),
  );
  if (status === 204) assert.equal(json, undefined);
  else if (status >= 400) assert.deepEqual(problemsOf(ErrorAnswer, json), []);
  else if (bare !== '/openapi.json') {
    assert.equal(operation?.answer.status, status, `${method} ${bare} answers ${status}`);
    assert.deepEqual(problemsOf(operation.answer.schema!, json), []);
  }
  if (status >= 400) assert.equal(json.error.requestId, headers.get('x-request-id'));
}
