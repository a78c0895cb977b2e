/** Ten thousand of everything: a page stays a page. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createConsole } from '../../../lib/console/console.ts';
import type { RawRequest } from '../../../lib/http/raw-request.ts';
import { TestClock } from '../../support/clock.ts';

const MANY = 10_000;
const LARGEST = 400_000;
const many = <T>(make: (n: number) => T): T[] => Array.from({ length: MANY }, (_, n) => make(n));
const at = '2026-01-01T00:00:00.000Z';

const ANSWERS: Record<string, unknown> = {
  '/v1/keys/self': { id: 'AKIA', tenant: 'default', admin: true },
  '/v1/directives': {
    directives: many((n) => ({
      id: `d${n}`,
      match: { tenant: `t${n}` },
      action: { kind: 'suspend' },
      reason: 'r',
      at,
      origin: {},
    })),
  },
  '/v1/event-destinations': {
    eventDestinations: many((n) => ({
      id: `e${n}`,
      name: `n${n}`,
      enabled: true,
      types: [],
      target: { kind: 'webhook' },
      createdAt: at,
      health: { failures: 9, lastError: 'away' },
    })),
  },
  '/v1/ips': {
    ips: [
      {
        ip: '192.0.2.1',
        pools: many((n) => `pool-${n}`),
        paused: [],
        warm: true,
        percentage: 100,
        today: {},
      },
    ],
  },
  '/v1/warmup': { ips: [] },
  '/v1/config/limits/default': {
    kind: 'limits',
    name: 'default',
    version: 1,
    at,
    by: 'k',
    removed: false,
    value: { default: { for: many((n) => ({ pool: `pool-${n}`, connections: 2 })) } },
  },
  '/v1/config/limits/default/history': { versions: [] },
  '/v1/stats': { points: [], total: {} },
  '/v1/queues': { at, rows: [], total: { ready: 1_000_000, inHand: 0, later: 0 }, notes: [] },
};

function answerOf({ rawPath }: RawRequest): Response {
  if (rawPath in ANSWERS) return Response.json(ANSWERS[rawPath]);
  return Response.json({ error: { code: 'not_found', message: 'No.' } }, { status: 404 });
}

test('a page of ten thousand pools, directives or destinations is a page, with a way to the next', async () => {
  const app = createConsole({
    fetch: (_request, { incoming }) => answerOf(incoming),
    masterKey: Buffer.alloc(32),
    clock: new TestClock(),
    log: { info() {}, warn() {}, error() {} },
  });
  let cookie = '';
  const call = (method: string, path: string, body = ''): Response | Promise<Response> => {
    const [rawPath, rawQuery = ''] = `/console${path}`.split('?') as [string, string?];
    const headers: [string, string][] = [
      ['host', 'x.example'],
      ['origin', 'http://x.example'],
      ['content-type', 'application/x-www-form-urlencoded'],
      ['cookie', cookie],
    ];
    const incoming: RawRequest = {
      method,
      rawPath,
      rawQuery,
      headers,
      sourceIp: '127.0.0.1',
      body: Buffer.from(body),
    };
    return app.fetch(new Request(`http://x.example/console${path}`, { method }), { incoming });
  };
  const signedIn = await call('POST', '/sign-in', 'id=AKIA&secret=s');
  cookie = signedIn.headers.getSetCookie()[0]!.split(';')[0]!;
  for (const [path, next] of [
    ['', /And 19,988 more/],
    ['/directives', /after=100/],
    ['/directives?after=9900', /d9999/],
    ['/webhooks', /after=100/],
    ['/ips', /and 9,992 more/],
  ] as const) {
    const text = await (await call('GET', path)).text();
    assert.ok(text.length < LARGEST, `${path}: ${text.length}`);
    assert.match(text, next, path);
  }
  const limits = await (await call('GET', '/limits')).text();
  assert.match(limits, /And 9,800 more/);
  assert.ok(limits.split('<textarea')[0]!.length < LARGEST);
});
