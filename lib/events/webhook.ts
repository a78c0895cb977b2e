/**
 * Sends an event to a webhook, signed as Standard Webhooks (https://www.standardwebhooks.com) requires.
 *
 * The URL is a tenant's: a stranger in the operator's network. Only public addresses are connected to, and the
 * address that was checked is the one that is connected to, so that a name that resolves differently on the second
 * look (DNS rebinding) reaches nothing inside. A redirect is an answer like any other, never followed.
 */
import http from 'node:http';
import https from 'node:https';
import { Webhook } from 'standardwebhooks';
import type { WebhookTarget } from '../control/event-destination.ts';
import { familyOf } from '../ip.ts';
import { pinnedLookup } from '../pinned-lookup.ts';
import { isPublicAddress } from '../public-address.ts';
import { type Clock, HOUR } from '../time.ts';

/** Milliseconds from the connect to the whole answer. */
const DEADLINE = 15_000;
/** Octets of an answer that are kept for the operator. */
const ANSWER_KEPT = 1_024;
/** The longest `Retry-After` that is followed, ms. */
const LONGEST_WAIT = HOUR;

/** What an endpoint answered, or why it did not. */
export interface WebhookAnswer {
  /** `gone`: 410, the endpoint refuses all further events. */
  kind: 'taken' | 'retry' | 'gone';
  status?: number;
  /** For a person: the first octets of the answer, or the fault. */
  text: string;
  duration: number;
  /** Delay that the endpoint requested, ms. */
  after?: number;
}

export interface WebhookOptions {
  /** All addresses of a name. */
  resolve: (hostname: string) => Promise<string[]>;
  clock: Clock;
  /** Endpoints whose address may be a private one: `host:port`. */
  allowed?: ReadonlySet<string>;
  deadline?: number;
}

export interface WebhookSender {
  /** @param id of the event: `webhook-id`, by which a receiver recognises a repeat. @param body JSON. */
  send(target: Omit<WebhookTarget, 'kind'>, id: string, body: string): Promise<WebhookAnswer>;
  close(): void;
}

export function createWebhookSender(options: WebhookOptions): WebhookSender {
  const { clock, resolve, allowed = new Set<string>(), deadline = DEADLINE } = options;
  const agents = {
    'http:': new http.Agent({ keepAlive: true, maxSockets: 16, timeout: 60_000 }),
    'https:': new https.Agent({ keepAlive: true, maxSockets: 16, timeout: 60_000 }),
  };

  return {
    async send(target, id, body) {
      const begin = clock.now();
      const url = new URL(target.url);
      const protocol = url.protocol as keyof typeof agents;
      const host = url.hostname.replace(/^\[|\]$/g, '');
      const free = allowed.has(`${host}:${url.port || (protocol === 'https:' ? '443' : '80')}`);
      // A literal address is connected to without a look-up.
      if (familyOf(host) !== 0 && !free && !isPublicAddress(host)) {
        return { kind: 'retry', text: `${host} is not a public address`, duration: 0 };
      }
      const init: http.RequestOptions = {
        method: 'POST',
        agent: agents[protocol],
        lookup: pinnedLookup(resolve, free),
        headers: {
          ...target.headers,
          'content-type': 'application/json',
          'content-length': Buffer.byteLength(body),
          'user-agent': 'Postern-Webhooks/1',
          'webhook-id': id,
          'webhook-timestamp': Math.floor(begin / 1000),
          'webhook-signature': new Webhook(target.secret).sign(id, new Date(begin), body),
        },
      };
      const { status, text, retryAfter } = await exchange(url, init, body, clock, deadline);
      const duration = clock.now() - begin;
      if (status === undefined) return { kind: 'retry', text, duration };
      if (status >= 200 && status < 300) return { kind: 'taken', status, text, duration };
      if (status === 410) return { kind: 'gone', status, text, duration };
      const after = waitOf(retryAfter, clock.now());
      return { kind: 'retry', status, text, duration, ...(after !== undefined && { after }) };
    },
    close() {
      for (const agent of Object.values(agents)) agent.destroy();
    },
  };
}

interface HttpAnswer {
  /** Absent: there was no answer; `text` has the reason. */
  status?: number;
  text: string;
  retryAfter?: string;
}

/** One request and its answer, of which the first kilobyte is kept. Never rejects. */
function exchange(
  url: URL,
  init: http.RequestOptions,
  body: string,
  clock: Clock,
  deadline: number,
): Promise<HttpAnswer> {
  return new Promise((done) => {
    const request = (url.protocol === 'https:' ? https : http).request(url, init);
    const cancel = clock.after(deadline, () => {
      done({ text: `no whole answer within ${deadline / 1000} s` });
      request.destroy();
    });
    const settle = (answer: HttpAnswer): void => {
      cancel();
      done(answer);
    };
    request.on('error', (error) => settle({ text: error.message }));
    request.on('response', (response) => {
      const kept: Buffer[] = [];
      let octets = 0;
      response.on('data', (chunk: Buffer) => {
        if (octets < ANSWER_KEPT) kept.push(chunk.subarray(0, ANSWER_KEPT - octets));
        octets += chunk.length;
        // The status is the answer: a stream behind it would hold the connection and gain its sender nothing.
        if (octets > ANSWER_KEPT) response.destroy();
      });
      response.on('close', () => {
        const text = Buffer.concat(kept).toString('utf8').toWellFormed();
        settle({ status: response.statusCode, text, retryAfter: response.headers['retry-after'] });
      });
    });
    request.end(body);
  });
}

/** RFC 9110 §10.2.3: seconds, or a date. */
function waitOf(value: string | undefined, now: number): number | undefined {
  if (value === undefined) return undefined;
  const ms = /^\d{1,9}$/.test(value) ? Number(value) * 1000 : Date.parse(value) - now;
  return ms > 0 ? Math.min(ms, LONGEST_WAIT) : undefined;
}
