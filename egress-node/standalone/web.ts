/** The HTTP listener: the API, the console, the endpoint of opens and clicks, health and metrics, all on one port. */
import type { Server } from 'node:http';
import { Server as HttpsServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import ipaddr from 'ipaddr.js';
import { createApi } from '../../lib/api/app.ts';
import { authenticate } from '../../lib/api/authenticate.ts';
import { createTracking } from '../../lib/api/tracking.ts';
import { createConsole } from '../../lib/console/console.ts';
import type { ApiFetch } from '../../lib/console/v1.ts';
import type { Contacts } from '../../lib/contacts/contacts.ts';
import { DOCUMENT, LINKS } from '../../lib/control/config-kinds.ts';
import type { Outcome } from '../../lib/engine/items.ts';
import type { ApiDeps } from '../../lib/http/deps.ts';
import { createHttpServer, type FetchHandler } from '../../lib/http/listener.ts';
import { headerOf, headOf, type RequestHead } from '../../lib/http/raw-request.ts';
import type { Metrics } from '../../lib/observe/metrics.ts';
import type { ProxyProtocol } from '../../lib/proxy-protocol.ts';
import { ConnectionLimiter } from '../../lib/smtp-server/connection-limiter.ts';
import type { TrackingLinks } from '../../lib/tracking/links.ts';
import type { UnsubscribeLinks } from '../../lib/tracking/unsubscribe-links.ts';
import type { DeliveryHealth } from '../service/delivery-health.ts';
import type { Endpoint } from '../settings.ts';

export interface Web {
  address: AddressInfo;
  /** Sets another certificate for connections that begin from now on, if it serves one at all. */
  renew(tls: { key: string; cert: string }): void;
  /** Answers the requests under way, then releases the port. */
  close(): Promise<void>;
}

/** Maximum number of connections, in all and from one network: with 64 KB each they hold 128 MB at most. */
const MAX_CONNECTIONS = 2_000;
const MAX_OF_ONE = 500;
/** Address ranges from which a proxy or an application of our own connects. */
const BESIDE_US = new Set(['loopback', 'private', 'uniqueLocal', 'linkLocal']);

export interface WebOptions {
  listen: Endpoint;
  /** Key and certificate in PEM; absent: plain HTTP. */
  tls: { key: string; cert: string } | undefined;
  /** Proxies in front that speak the PROXY protocol. */
  proxies: ProxyProtocol;
  api: ApiDeps;
  /** Seals the sessions of the console. */
  masterKey: Buffer;
  links: TrackingLinks;
  unsubscribeLinks: UnsubscribeLinks;
  /** For the preference page of contact lists. */
  contacts: Pick<Contacts, 'lookUp'>;
  /** Records what a reader did. Durable when it resolves. */
  report(outcome: Outcome): Promise<void>;
  metrics: Pick<Metrics, 'text'>;
  /** Whether mail can leave. */
  delivery: () => DeliveryHealth;
}

/** Opens the listener. @throws the operating system's error for an address that cannot be bound. */
export async function startWeb(options: WebOptions): Promise<Web> {
  const { listen, tls, api, masterKey, links, unsubscribeLinks, contacts, report, metrics, delivery } =
    options;
  const { engine, clock, log, version } = api;
  const closing = new AbortController();
  const { app, direct } = createApi({ ...api, closing: closing.signal });
  app.route(
    '/',
    createTracking({
      links,
      unsubscribeLinks,
      blocked: () => api.control.documents.read(LINKS, DOCUMENT),
      contacts,
      report,
      clock,
      log,
    }),
  );
  app.get('/healthz', async (c) => {
    const { ok, ...details } = await engine.health();
    const shown = (await mayObserve(api, headOf(c.env.incoming))) ? { ...details, delivery: delivery() } : {};
    return c.json({ ok, version, ...shown }, ok ? 200 : 503);
  });
  // The process answers: what a restart could mend is nothing else.
  app.get('/healthz/live', (c) => c.json({ ok: true, version }));
  app.get('/healthz/delivery', (c) => {
    const { ok } = delivery();
    return c.json({ ok }, ok ? 200 : 503);
  });
  app.get('/metrics', async (c) => {
    if (!(await mayObserve(api, headOf(c.env.incoming)))) {
      return c.text("Metrics are for this host, or for an administrator's key as a bearer token.\n", 403);
    }
    const { contentType, body } = await metrics.text();
    return c.body(body, 200, { 'content-type': contentType });
  });
  const { signal } = closing;
  const fetchApi: ApiFetch = (request, env) => app.fetch(request, env);
  app.route('/', createConsole({ fetch: fetchApi, masterKey, clock, log, closing: signal }));
  const server = await bind(
    createHttpServer({ fetch: app.fetch as FetchHandler, direct, host: listen.host, clock, tls }),
    listen,
  );
  limitConnections(server, clock);
  options.proxies.guard(server);
  return {
    address: server.address() as AddressInfo,
    renew: ({ key, cert }) => {
      if (server instanceof HttpsServer) server.setSecureContext({ key, cert });
    },
    close: () => {
      closing.abort();
      return close(server);
    },
  };
}

/**
 * Whether the request may see names and figures of the service: from this host itself, but not through a proxy on it,
 * or with an administrator's key.
 */
async function mayObserve({ control, clock }: ApiDeps, head: RequestHead): Promise<boolean> {
  const { sourceIp } = head;
  const forwarded = ['forwarded', 'x-forwarded-for', 'via'].some(
    (name) => headerOf(head, name) !== undefined,
  );
  const here = ipaddr.isValid(sourceIp) && ipaddr.process(sourceIp).range() === 'loopback';
  if (here && !forwarded) return true;
  try {
    return (await authenticate(control, head, clock.now())).admin;
  } catch {
    return false;
  }
}

/** Limits the connections in all and from one network; a proxy on this host or a private network is not one peer. */
function limitConnections(server: Server, clock: ApiDeps['clock']): void {
  const limiter = new ConnectionLimiter(
    {
      connections: MAX_CONNECTIONS,
      anonymous: MAX_CONNECTIONS,
      anonymousOfOne: MAX_OF_ONE,
      messagesOfOne: Number.POSITIVE_INFINITY,
    },
    clock,
  );
  server.on('connection', (socket: Socket) => {
    const address = socket.remoteAddress ?? '';
    const ticket = limiter.admit(address);
    if (typeof ticket === 'string') {
      socket.destroy();
      return;
    }
    socket.once('close', () => ticket.release());
    if (ipaddr.isValid(address) && BESIDE_US.has(ipaddr.process(address).range())) ticket.trust();
  });
}

function bind(server: Server, { host, port }: Endpoint): Promise<Server> {
  return new Promise((resolve, reject) => {
    server.once('error', reject).listen(port, host, () => resolve(server));
  });
}

function close(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    if ('closeIdleConnections' in server) server.closeIdleConnections();
  });
}
