import { once } from 'node:events';
import { type IncomingMessage, request, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { SESClient, type SESClientConfig } from '@aws-sdk/client-ses';
import { SESv2Client, type SESv2ClientConfig } from '@aws-sdk/client-sesv2';
import { createApi } from '../../lib/api/app.ts';
import { openControl } from '../../lib/control/control.ts';
import type { Control } from '../../lib/control/types.ts';
import { type HealthCheck, HealthChecks } from '../../lib/doctor/health-check.ts';
import { openMemory } from '../../lib/engine/memory/open.ts';
import type { Engine, Rows, Suppressions } from '../../lib/engine/ports.ts';
import type { ApiDeps } from '../../lib/http/deps.ts';
import { createHttpServer, type FetchHandler } from '../../lib/http/listener.ts';
import { createResultLinks } from '../../lib/jobs/result-links.ts';
import { type Clock, systemClock } from '../../lib/time.ts';
import { createVerificationLinks } from '../../lib/tracking/verification-links.ts';
import { seededRandom } from './clock.ts';
import { MASTER_KEY } from './control.ts';
import { testDomains } from './domains.ts';
import { TestConfig } from './engine.ts';
import { FakeAccept } from './fake-accept.ts';
import { FakeTxt } from './fake-txt.ts';
import { sign, type ToSign } from './signing.ts';

export const KEY = { id: 'AKIAPOSTERNADMIN0001', secret: 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY' };
export const USER = { id: 'AKIAPOSTERNTENANT002', secret: 'je7MtGbClwBF/2Zp9Utk/h3yCo8nvbEXAMPLEKEY' };

export interface SesServer {
  url: string;
  port: number;
  accept: FakeAccept;
  control: Control;
  /** The store under `control`. */
  config: TestConfig;
  /** Answers of the resolver under `control`. */
  txt: FakeTxt;
  server: Server;
  /** How many requests went by way of Hono. */
  byHono(): number;
  /** States of addresses by name. */
  checkpoints: Map<string, unknown>;
  /** Lines of the log. */
  log: { event: string; fields?: Record<string, unknown> }[];
  /** A client with the key of the tenant's administrator, or with other settings. */
  client(config?: Partial<SESv2ClientConfig>): SESv2Client;
  /** The same of SES v1. */
  clientV1(config?: Partial<SESClientConfig>): SESClient;
  close(): Promise<void>;
}

export interface SesServerOptions {
  clock?: Clock;
  limits?: ApiDeps['limits'];
  verifyIdentities?: boolean;
  /** Zone of the keys of Easy DKIM; absent: there is none. */
  dkimZone?: string;
  installed?: ApiDeps['installed'];
  /** Absent: this process sends no events. */
  events?: ApiDeps['events'];
  /** The suppression lists. */
  suppressions?: Suppressions;
  /** What contacts and jobs are kept in. */
  rows?: Rows;
  /** Records of messages, and rows. */
  stored?: Pick<Engine, 'records' | 'rows'> & Partial<Pick<Engine, 'files' | 'suppressions'>>;
  /** Where readers of mail reach this API; undefined: nowhere. Absent: `https://mail.example`. */
  url?: string | undefined;
  /** Checks of the installation. */
  checks?: readonly HealthCheck[];
  /** DNS and the source addresses that checks of domains use. */
  dns?: Parameters<typeof testDomains>[2];
  /** Gets each request before the API; true when it has answered. */
  before?: (incoming: IncomingMessage, outgoing: ServerResponse) => boolean;
}

/** The SES v2 API on a real server on loopback, with fakes behind it. */
export async function startSesServer(options: SesServerOptions = {}): Promise<SesServer> {
  const clock = options.clock ?? systemClock;
  const accept = new FakeAccept();
  const config = new TestConfig();
  const txt = new FakeTxt();
  const { records, rows, files, suppressions } = openMemory({ clock });
  const control = await openControl({
    config,
    keyUse: { rows, random: seededRandom(1) },
    masterKey: MASTER_KEY,
    clock,
    verifyIdentities: options.verifyIdentities ?? false,
    resolveTxt: txt.resolve,
    dkimZone: options.dkimZone === undefined ? undefined : { name: options.dkimZone, elsewhere: false },
  });
  txt.zone = control.dkimZone;
  await control.keys.create({ ...KEY, tenant: 'default', admin: true });
  await control.keys.create({ ...USER, tenant: 'tenant-2', admin: false });
  const checkpoints = new Map<string, unknown>();
  const log: SesServer['log'] = [];
  const note = (event: string, fields?: Record<string, unknown>): void => {
    log.push({ event, fields });
  };
  const deps: ApiDeps = {
    accept,
    control,
    // Beside accept and control, the SES routes reach the state of addresses, suppression lists, records and rows.
    engine: {
      leases: { checkpoint: async (name: string) => checkpoints.get(name) },
      suppressions: options.suppressions ?? suppressions,
      files,
      records,
      rows: options.rows ?? rows,
      ...options.stored,
    } as Engine,
    installed: options.installed ?? { ips: [], pools: {} },
    domains: testDomains(control, clock, options.dns),
    health: new HealthChecks({ checks: options.checks ?? [], clock }),
    clock,
    region: 'us-east-1',
    forwardsFeedback: true,
    accountId: '123456789012',
    hostname: 'postern.example',
    version: '0.0.0',
    log: { info: note, warn: note, error: note },
    limits: options.limits,
    verification: {
      links: createVerificationLinks(MASTER_KEY),
      url: () => ('url' in options ? options.url : 'https://mail.example'),
    },
    results: { links: createResultLinks(MASTER_KEY), url: (host) => `http://${host}` },
    checkAnswers: true,
    events: options.events,
  };
  const { app, direct } = createApi(deps);
  let byHono = 0;
  const fetch: FetchHandler = (request, env) => {
    byHono += 1;
    return (app.fetch as FetchHandler)(request, env);
  };
  const server = createHttpServer({ fetch, direct, clock });
  const { before } = options;
  if (before) {
    const [listener] = server.listeners('request') as ((i: IncomingMessage, o: ServerResponse) => void)[];
    server.removeAllListeners('request');
    server.on('request', (incoming, outgoing) => {
      if (!before(incoming, outgoing)) listener!(incoming, outgoing);
    });
  }
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const url = `http://127.0.0.1:${port}`;
  const clients: { destroy(): void }[] = [];
  const settings = {
    endpoint: url,
    region: 'us-east-1',
    credentials: { accessKeyId: KEY.id, secretAccessKey: KEY.secret },
    maxAttempts: 1,
  };
  const kept = <T extends { destroy(): void }>(client: T): T => {
    clients.push(client);
    return client;
  };
  return {
    url,
    port,
    accept,
    control,
    config,
    txt,
    server,
    byHono: () => byHono,
    checkpoints,
    log,
    client: (more) => kept(new SESv2Client({ ...settings, ...more })),
    clientV1: (more) => kept(new SESClient({ ...settings, ...more })),
    async close() {
      for (const client of clients) client.destroy();
      await control.close();
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

export interface RawReply {
  status: number;
  headers: IncomingMessage['headers'];
  text: string;
  /** The body, parsed; empty when it is no JSON. */
  json: Record<string, unknown>;
}

/** Sends requests that the SDK would not send: by default signed by the administrator. */
export async function send(
  server: SesServer,
  input: Partial<ToSign> & { extra?: Record<string, string>; chunked?: boolean } = {},
): Promise<RawReply> {
  const { body = '', method = 'POST', rawPath = '/v2/email/outbound-emails', rawQuery = '' } = input;
  const signed = await sign({ ...KEY, at: Date.now(), ...input, method, rawPath });
  const length = input.chunked ? {} : { 'content-length': Buffer.byteLength(body) };
  const outgoing = request({
    port: server.port,
    method,
    path: rawQuery ? `${rawPath}?${rawQuery}` : rawPath,
    headers: { ...Object.fromEntries(signed.headers), ...length, ...input.extra },
  });
  outgoing.end(body);
  const [incoming] = (await once(outgoing, 'response')) as [IncomingMessage];
  let text = '';
  for await (const chunk of incoming.setEncoding('utf8')) text += chunk;
  return {
    status: incoming.statusCode!,
    headers: incoming.headers,
    text,
    json: text.startsWith('{') ? (JSON.parse(text) as Record<string, unknown>) : {},
  };
}
