/** Text of strangers in every column of every page: answers of the API in which every text is an attack. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Hono } from 'hono';
import { parse } from 'parse5';
import { OPERATIONS } from '../../../lib/api/openapi.ts';
import { createConsole } from '../../../lib/console/console.ts';
import { PAGES } from '../../../lib/console/pages.ts';
import type { ApiEnv } from '../../../lib/http/deps.ts';
import type { RawRequest } from '../../../lib/http/raw-request.ts';
import { TestClock } from '../../support/clock.ts';

const HOSTILE = `"'><script>alert(1)</script><img src=x onerror=alert(1)></textarea></title><a href="javascript:alert(1)">x</a>\u2028`;
/** What lists of the document's examples leave out. */
const ROW = { at: 'x', eventId: 'x', eventType: 'x', messageId: 'x', result: 'x', text: 'x' };
const MORE: Record<string, object> = {
  getMessage: { subject: 'x', campaign: 'x', configurationSet: 'x', tags: { x: ['x'] } },
  listEventDestinationAttempts: { attempts: [ROW, ROW] },
  identityReports: { reports: [{ kind: 'x', day: 'x', organisation: 'x', messages: 3, passed: 1 }] },
  messageEvents: {
    events: [
      {
        eventType: 'Click',
        mail: { timestamp: 'x' },
        click: { link: 'x', userAgent: 'x', ipAddress: 'x', timestamp: 'x' },
      },
      {
        eventType: 'Bounce',
        bounce: { bounceType: 'x', bouncedRecipients: [{ emailAddress: 'x', diagnosticCode: 'x' }] },
      },
    ],
  },
  listWarmup: {
    ips: [
      {
        ip: 'x',
        pools: ['x'],
        warm: false,
        percentage: 1,
        providers: [
          {
            provider: 'x',
            day: 1,
            days: 2,
            budget: 5,
            sent: 1,
            counts: {},
            cause: 'x',
            ahead: [5],
            past: [{ at: 'x', budget: 1, sent: 1, counts: {}, verdict: 'x', cause: 'x' }],
          },
        ],
      },
    ],
  },
  getDocument: {
    problems: ['x'],
    value: {
      x: 'x',
      default: { x: 'x', for: [{ tenant: 'x', messageRate: 'x' }] },
      providers: { x: { connections: 1 } },
    },
  },
};

function hostile(value: unknown): unknown {
  if (typeof value === 'string') return HOSTILE;
  if (Array.isArray(value)) return value.map(hostile);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, one]) => [name === 'x' ? HOSTILE : name, hostile(one)]),
  );
}

/** An API that answers each call with its example, every text of which is an attack. */
function answerOf({ method, rawPath }: Pick<RawRequest, 'method' | 'rawPath'>): Response {
  const path = rawPath.slice('/v1'.length);
  if (path === '/keys/self')
    return Response.json({ id: HOSTILE, tenant: HOSTILE, admin: true, name: HOSTILE });
  const operation = OPERATIONS.find(
    (one) =>
      one.method === method.toLowerCase() &&
      new RegExp(`^${one.path.replace(/\{\w+\}/g, '[^/]+')}$`).test(path),
  );
  if (operation === undefined)
    return Response.json(
      { error: { code: 'not_found', message: HOSTILE, action: HOSTILE } },
      { status: 404 },
    );
  if (operation.answer.media) return new Response('x');
  const { status, example } = operation.answer;
  const { operationId } = operation;
  if (status === 204) return new Response(null, { status });
  return Response.json(hostile({ ...(example as object), ...MORE[operationId] }), { status });
}

const app = new Hono<ApiEnv>();
app.route(
  '/',
  createConsole({
    fetch: (_request, { incoming }) => answerOf(incoming),
    masterKey: Buffer.alloc(32),
    clock: new TestClock(),
    log: {
      info() {},
      warn() {},
      error(event, fields) {
        console.error(event, fields);
      },
    },
  }),
);

let cookie = '';
async function call(method: string, path: string, fields?: Record<string, string>): Promise<Response> {
  const [rawPath, rawQuery = ''] = `/console${path}`.split('?') as [string, string?];
  const headers: [string, string][] = [
    ['host', 'x.example'],
    ['sec-fetch-site', 'same-origin'],
    ['cookie', cookie],
  ];
  if (fields) headers.push(['content-type', 'application/x-www-form-urlencoded']);
  const body = Buffer.from(new URLSearchParams(fields).toString());
  const incoming: RawRequest = { method, rawPath, rawQuery, headers, sourceIp: '127.0.0.1', body };
  return app.fetch(new Request(`http://x.example/console${path}`, { method }), { incoming });
}

interface PageNode {
  nodeName: string;
  attrs?: { name: string; value: string }[];
  childNodes?: PageNode[];
}

/** Asserts that a page has no element and no attribute that came with text. */
function assertHarmless(html: string, where: string): void {
  let shown = false;
  const walk = ({ nodeName, attrs = [], childNodes = [] }: PageNode): void => {
    const of = (name: string): string => attrs.find((one) => one.name === name)?.value ?? '';
    if (nodeName === 'script') assert.match(of('src'), /^\/console\/assets\//, where);
    assert.notEqual(nodeName, 'img', where);
    for (const { name, value } of attrs) {
      assert.doesNotMatch(name, /^on|^style$|["'<]/, `${where}: attribute ${name}`);
      if (['href', 'src', 'action'].includes(name))
        assert.match(value, /^(\/console(?=[/?#]|$)|#)/, `${where}: ${value}`);
      if (value.includes('alert(1)')) shown = true;
    }
    childNodes.forEach(walk);
  };
  walk(parse(html) as unknown as PageNode);
  assert.ok(shown || html.includes('alert(1)'), `${where} shows the text`);
}

test('text of strangers is text on every page', async () => {
  const signedIn = await call('POST', '/sign-in', { id: 'a', secret: 'b' });
  cookie = signedIn.headers.getSetCookie()[0]!.split(';')[0]!;
  const query = new URLSearchParams(
    Object.fromEntries(
      [
        'domain',
        'recipient',
        'subject',
        'address',
        'tenant',
        'data',
        'reason',
        'provider',
        'campaign',
        'id',
        'tag',
        'name',
      ].map((name) => [name, HOSTILE]),
    ),
  );
  let checked = 0;
  for (const { path } of PAGES) {
    const label = path === '/configuration/:kind' ? 'routing' : encodeURIComponent(HOSTILE);
    const own = path === '/' ? '' : path.replace(/:\w+/g, label);
    for (const asked of [own, `${own}?${query.toString()}`]) {
      const response = await call('GET', asked);
      assert.ok(response.status < 500, `${asked}: ${response.status}`);
      if (!response.headers.get('content-type')?.startsWith('text/html') || path.endsWith('/preview'))
        continue;
      assertHarmless(await response.text(), asked);
      checked++;
    }
  }
  assert.ok(checked > 30, `${checked} pages`);
  assertHarmless(await (await call('GET', `/${encodeURIComponent(HOSTILE)}`)).text(), 'an unknown page');
  assertHarmless(
    await (await call('GET', `/sign-in?to=${encodeURIComponent(HOSTILE)}&x=alert(1)`))
      .text()
      .then((page) => `${page}<!--alert(1)-->`),
    'sign-in',
  );
});
