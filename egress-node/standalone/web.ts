/** The HTTP listener: the API, the endpoint of opens and clicks, health and metrics, all on one port. */
import { createServer as createHttpsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { type ServerType, serve } from '@hono/node-server';
import { createApi } from '../../lib/api/app.ts';
import { createTracking } from '../../lib/api/tracking.ts';
import type { Outcome } from '../../lib/engine/items.ts';
import type { Engine } from '../../lib/engine/ports.ts';
import type { ApiDeps } from '../../lib/http/deps.ts';
import type { Metrics } from '../../lib/observe/metrics.ts';
import type { TrackingLinks } from '../../lib/tracking/links.ts';
import type { DeliveryHealth } from '../service/delivery-health.ts';
import type { Endpoint } from '../settings.ts';

type FetchHandler = Parameters<typeof serve>[0]['fetch'];

export interface Web {
  address: AddressInfo;
  /** Serves another certificate to connections from now on, if it serves one at all. */
  renew(tls: { key: string; cert: string }): void;
  /** Answers the requests under way, then releases the port. */
  close(): Promise<void>;
}

export interface WebOptions {
  listen: Endpoint;
  /** Key and certificate in PEM; absent: plain HTTP. */
  tls: { key: string; cert: string } | undefined;
  api: ApiDeps;
  links: TrackingLinks;
  metrics: Pick<Metrics, 'text'>;
  /** Whether mail can leave. */
  delivery: () => DeliveryHealth;
}

/** Listens. @throws what the operating system says of an address that cannot be bound. */
export async function startWeb({ listen, tls, api, links, metrics, delivery }: WebOptions): Promise<Web> {
  const { engine, clock, log, version } = api;
  const app = createApi(api);
  app.route('/', createTracking({ links, report: (outcome) => report(engine.records, outcome), clock, log }));
  app.get('/healthz', async (c) => {
    const health = await engine.health();
    return c.json({ ...health, delivery: delivery(), version }, health.ok ? 200 : 503);
  });
  app.get('/metrics', async (c) => {
    const { contentType, body } = await metrics.text();
    return c.body(body, 200, { 'content-type': contentType });
  });
  const server = await bind(app.fetch as FetchHandler, listen, tls);
  return {
    address: server.address() as AddressInfo,
    renew: ({ key, cert }) => {
      if ('setSecureContext' in server) server.setSecureContext({ key, cert });
    },
    close: () => close(server),
  };
}

/** Records an open or a click with its message, unless the message has been removed. */
async function report(records: Engine['records'], outcome: Outcome): Promise<void> {
  const message = await records.message(outcome.messageId);
  if (message) await records.append([{ ...outcome, tenant: message.tenant }]);
}

function bind(fetch: FetchHandler, { host, port }: Endpoint, tls: WebOptions['tls']): Promise<ServerType> {
  const options = { fetch, hostname: host, port };
  return new Promise((resolve, reject) => {
    const server = tls
      ? serve({ ...options, createServer: createHttpsServer, serverOptions: tls }, () => resolve(server))
      : serve(options, () => resolve(server));
    server.once('error', reject);
  });
}

function close(server: ServerType): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    if ('closeIdleConnections' in server) server.closeIdleConnections();
  });
}
