/** The console over real requests, without a browser: who gets in, what a form may do, what a page shows to whom. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { LambdaFunctionURLEvent } from 'aws-lambda';
import { createConsole } from '../../../lib/console/console.ts';
import { PAGES } from '../../../lib/console/pages.ts';
import { answer } from '../../../lib/http/function-url.ts';
import type { RawRequest } from '../../../lib/http/raw-request.ts';
import { HOUR, MINUTE } from '../../../lib/time.ts';
import { ConsoleVisitor } from '../../support/console-visitor.ts';
import { MASTER_KEY } from '../../support/control.ts';
import { KEYS, type PosternServer, startPosternServer } from '../../support/postern-server.ts';

let server: PosternServer;
let admin: ConsoleVisitor;
let user: ConsoleVisitor;
before(async () => {
  server = await startPosternServer({ installed: { ips: ['192.0.2.1'], pools: {} } });
  admin = await ConsoleVisitor.of(server.url, 'admin');
  user = await ConsoleVisitor.of(server.url, 'user');
});
after(() => server.close());

const put = (path: string, body: unknown) => server.call('PUT', path, { key: 'admin', body });
const textOf = (html: string): string => html.replace(/<[^>]+>/g, ' ').replace(/\s+/g, ' ');

describe('who gets in', () => {
  test('nobody without a session, and everybody is led to where they wanted to go', async () => {
    const stranger = new ConsoleVisitor(server.url);
    for (const { path } of PAGES) {
      const { status, headers } = await stranger.visit(path === '/' ? '' : path.replace(/:\w+/g, 'x'));
      assert.equal(status, 303, path);
      assert.match(headers.get('location')!, /^\/console\/sign-in/);
    }
    const asked = await stranger.visit('/messages?recipient=a%40example.net');
    assert.equal(
      asked.headers.get('location'),
      '/console/sign-in?to=%2Fconsole%2Fmessages%3Frecipient%3Da%2540example.net',
    );
    const { id, secret } = KEYS.user;
    const to = '/console/messages?recipient=a%40example.net';
    const { headers } = await stranger.post('/sign-in', { id, secret, to });
    assert.equal(headers.get('location'), to);
    assert.equal((await stranger.visit('/messages')).status, 200);
  });

  test('a link cannot make sign-in lead elsewhere', async () => {
    const { id, secret } = KEYS.user;
    for (const to of [
      'https://evil.example/',
      '//evil.example',
      '/console//evil.example',
      '/console/\\evil.example',
      '/consolex',
      '/v1/keys',
      '/console?\r\nx: y',
      `/console/${'x'.repeat(2000)}`,
    ]) {
      const { headers } = await new ConsoleVisitor(server.url).post('/sign-in', { id, secret, to });
      assert.equal(headers.get('location'), '/console', to);
    }
  });

  test('a link of another site opens the page by one more step, because its request has no strict cookie', async () => {
    const stranger = new ConsoleVisitor(server.url);
    const { status, text } = await stranger.visit('/messages', {
      headers: { 'sec-fetch-site': 'cross-site' },
    });
    assert.equal(status, 200);
    assert.match(text, /http-equiv="refresh" content="0"/);
  });

  test('over TLS the cookie is Secure, bound to this host', async () => {
    const visitor = new ConsoleVisitor(server.url);
    const { headers } = await visitor.signIn(KEYS.user, { 'x-forwarded-proto': 'https' });
    assert.match(
      headers.getSetCookie()[0]!,
      /^__Host-postern-console=\S+; Path=\/; HttpOnly; SameSite=Strict; Secure$/,
    );
    assert.equal((await visitor.visit('', { headers: { 'x-forwarded-proto': 'https' } })).status, 200);
    assert.equal((await visitor.visit('')).status, 303, 'not by plain HTTP');
  });

  test('wrong keys are refused in one way, counted by network, and wait ten minutes', async () => {
    const from = (address: string) => ({ 'x-forwarded-for': address });
    const { id, secret } = KEYS.user;
    const stranger = new ConsoleVisitor(server.url);
    const wrong = await stranger.signIn({ id, secret: `${secret}x` }, from('203.0.113.9'));
    const unknown = await stranger.signIn({ id: 'AKIANOBODY', secret }, from('203.0.113.8'));
    assert.deepEqual([wrong.status, unknown.status], [401, 401]);
    assert.equal(textOf(wrong.text), textOf(unknown.text));
    assert.ok(!wrong.text.includes(secret), 'a secret is not shown again');
    for (let i = 2; i < 10; i++)
      assert.equal((await stranger.signIn({ id: '', secret: '' }, from('203.0.113.7'))).status, 401);
    const limited = await stranger.signIn(KEYS.user, from('203.0.113.6'));
    assert.deepEqual([limited.status, /Wait ten minutes/.test(limited.text)], [429, true]);
    assert.equal(
      (await stranger.signIn(KEYS.user, from('198.51.100.1'))).status,
      303,
      'another network is let in',
    );
    server.clock.advance(10 * MINUTE);
    assert.equal((await stranger.signIn(KEYS.user, from('203.0.113.6'))).status, 303);
  });

  test('a session ends with its key, with its time, and by signing out', async () => {
    const made = await server.call('POST', '/keys', { key: 'admin', body: { tenant: 'default' } });
    const visitor = new ConsoleVisitor(server.url);
    await visitor.signIn(made.json);
    assert.equal((await visitor.visit('')).status, 200);
    await server.call('DELETE', `/keys/${made.json.id}`, { key: 'admin' });
    const over = await visitor.visit('/messages');
    assert.deepEqual([over.status, visitor.cookies.size], [303, 0]);

    const own = await ConsoleVisitor.of(server.url, 'user');
    const { status } = await own.post('/sign-out', {}, { origin: 'http://evil.example' });
    assert.deepEqual([status, own.cookies.size], [403, 1], 'another site signs nobody out');
    await own.post('/sign-out', {});
    assert.equal((await own.visit('')).status, 303);

    const late = await ConsoleVisitor.of(server.url, 'user');
    server.clock.advance(12 * HOUR);
    assert.equal((await late.visit('')).status, 303);
    admin = await ConsoleVisitor.of(server.url, 'admin');
    user = await ConsoleVisitor.of(server.url, 'user');
  });
});

describe('every answer', () => {
  test('forbids inline script, frames, guessing of types, and being kept', async () => {
    for (const path of ['', '/sign-in', '/messages', '/nothing', '/messages/unknown', '/assets/unknown']) {
      const { headers } = await admin.visit(path);
      const policy = headers.get('content-security-policy')!;
      assert.match(policy, /default-src 'none'; script-src 'self'; style-src 'self';/, path);
      assert.match(policy, /frame-ancestors 'none'/);
      assert.ok(!policy.includes('unsafe'), path);
      assert.equal(headers.get('x-content-type-options'), 'nosniff');
      assert.equal(headers.get('referrer-policy'), 'no-referrer');
      assert.equal(headers.get('cache-control'), 'no-store');
    }
  });

  test('names its files by what they contain, so that a browser keeps them', async () => {
    const { text } = await admin.visit('');
    const files = [...text.matchAll(/(?:src|href)="\/console(\/assets\/[^"]+)"/g)].map(([, file]) => file!);
    assert.equal(files.length, 5);
    for (const file of files) {
      const { status, headers } = await admin.visit(file);
      assert.deepEqual([status, headers.get('cache-control')], [200, 'private, max-age=31536000, immutable']);
    }
  });

  test('has no inline script, style or handler', async () => {
    for (const path of ['', '/messages', '/limits', '/keys', '/suppression']) {
      const { text } = await admin.visit(path);
      assert.doesNotMatch(text, /<script(?![^>]* src=)|<style|\son\w+=|\sstyle=|javascript:/i, path);
    }
  });
});

describe('a form', () => {
  const make = (headers: Record<string, string>, token: string) =>
    admin.post('/keys', { token, do: 'create', tenant: 'forged' }, headers);
  const keysOf = async (tenant: string) =>
    (await server.call('GET', `/keys?tenant=${tenant}`, { key: 'admin' })).json.keys.length;

  test('of another site, another session, or without a token does nothing', async () => {
    const own = /name="token" value="([^"]+)"/.exec((await admin.visit('')).text)![1]!;
    const others = /name="token" value="([^"]+)"/.exec((await user.visit('')).text)![1]!;
    for (const [headers, token] of [
      [{ origin: 'http://evil.example' }, own],
      [{ origin: 'null' }, own],
      [{ 'sec-fetch-site': 'cross-site' }, own],
      [{ 'sec-fetch-site': 'same-site' }, own],
      [{}, others],
      [{}, ''],
    ] as const) {
      const { status, text } = await make(headers, token);
      assert.equal(status, 403);
      assert.match(text, /nothing was done/);
    }
    assert.equal(await keysOf('forged'), 0);
    const { status, text } = await make({}, own);
    assert.equal(status, 200);
    assert.match(text, /shown this once/);
    assert.equal(await keysOf('forged'), 1);
  });

  test('that asks for what a page does not do, or is no form, is refused', async () => {
    assert.equal((await admin.submit('/keys', { do: 'toString' })).status, 400);
    assert.equal((await admin.submit('/keys', {})).status, 400);
    assert.equal((await admin.submit('/messages', { do: 'create' })).status, 400);
    const broken = {
      method: 'POST',
      body: '--x',
      headers: { origin: server.url, 'content-type': 'multipart/form-data; boundary=y' },
    };
    assert.equal((await admin.visit('/keys', broken)).status, 400);
    assert.equal(
      (
        await admin.visit('/keys', {
          ...broken,
          headers: { origin: server.url, 'content-type': 'text/plain' },
        })
      ).status,
      400,
    );
    const large = new URLSearchParams({ token: 'x', rows: 'x'.repeat(5 * 1024 * 1024) });
    assert.equal(
      (await admin.visit('/suppression', { method: 'POST', body: large, headers: { origin: server.url } }))
        .status,
      413,
    );
  });

  test('that is refused keeps what was entered, and says why', async () => {
    const bad = await admin.submit('/limits', {
      do: 'store',
      version: '0',
      text: '{"default": {"connections": -4}}',
    });
    assert.equal(bad.status, 400);
    assert.match(bad.text, /limits\.default\.connections/);
    assert.match(bad.text, /connections&quot;: -4/);
    const notJson = await admin.submit('/limits', { do: 'store', version: '0', text: '{' });
    assert.match(notJson.text, /The document is not JSON/);
    const key = await admin.submit('/keys', { do: 'create', tenant: 'a b', name: 'kept name' });
    assert.deepEqual([key.status, key.text.includes('value="kept name"')], [400, true]);
    const hook = await admin.submit('/webhooks', {
      do: 'create',
      name: 'kept-name',
      url: 'https://x.example/',
    });
    assert.deepEqual([hook.status, hook.text.includes('value="kept-name"')], [400, true]);
  });
});

describe('limits', () => {
  test('are changed one by one after a look, with history, and rolled back; a stale form changes nothing', async () => {
    const change = { layer: 'providers', place: 'google', limit: 'connections', version: '0' };
    const look = await admin.submit('/limits', { do: 'preview', ...change, value: '4' });
    assert.match(textOf(look.text), /Connections to a site of provider google .* → 4/);
    assert.equal(
      (await server.call('GET', '/config/limits/default', { key: 'admin' })).status,
      404,
      'a look stores nothing',
    );
    assert.equal((await admin.submit('/limits', { do: 'change', ...change, value: '4' })).status, 303);
    assert.match(
      textOf((await admin.visit('/limits')).text),
      /Version 1 is in force.*provider google Connections to a site 4/,
    );
    const stale = await admin.submit('/limits', { do: 'change', ...change, value: '5' });
    assert.equal(stale.status, 409);
    assert.equal(
      (await admin.submit('/limits', { do: 'change', ...change, version: '1', value: '5' })).status,
      303,
    );
    assert.match((await admin.visit('/limits')).text, /<del>4<\/del>\s*<ins>5<\/ins>/);
    assert.equal((await admin.submit('/limits', { do: 'restore', restore: '1', version: '2' })).status, 303);
    const { json } = await server.call('GET', '/config/limits/default', { key: 'admin' });
    assert.deepEqual([json.version, json.value], [3, { providers: { google: { connections: 4 } } }]);
    const wrong = await admin.submit('/limits', { do: 'change', ...change, version: '3', value: '0' });
    assert.deepEqual([wrong.status, /connections/.test(wrong.text)], [400, true]);
    for (const bad of [{ place: '' }, { layer: 'shared' }, { limit: 'x' }, { place: '__proto__' }])
      assert.equal(
        (await admin.submit('/limits', { do: 'preview', ...change, ...bad })).status,
        400,
        JSON.stringify(bad),
      );
  });
});

describe('suppression', () => {
  test('is imported from a file or a field, and exported', async () => {
    const token = /name="token" value="([^"]+)"/.exec((await admin.visit('')).text)![1]!;
    const data = new FormData();
    for (const [name, value] of Object.entries({ token, do: 'import', reason: 'BOUNCE', action: 'put' }))
      data.set(name, value);
    data.set('file', new File(['address,reason\na@example.net,COMPLAINT\nno address,BOUNCE\n'], 'list.csv'));
    const { status, text } = await admin.visit('/suppression', {
      method: 'POST',
      body: data,
      headers: { origin: server.url },
    });
    assert.equal(status, 200);
    assert.match(textOf(text), /2 rows: 1 taken, 0 changed nothing, 1 not taken/);
    const rows = await admin.submit('/suppression', {
      do: 'import',
      reason: 'BOUNCE',
      action: 'put',
      rows: 'b@example.net\r\nc@example.net\r\n',
    });
    assert.match(textOf(rows.text), /2 rows: 2 taken/);
    const file = await admin.visit('/suppression/export');
    assert.match(file.headers.get('content-disposition')!, /suppressions\.csv/);
    for (const address of ['a@example.net', 'b@example.net', 'c@example.net'])
      assert.ok(file.text.includes(address));
    assert.equal(
      (await admin.submit('/suppression', { do: 'remove', address: 'b@example.net' })).status,
      303,
    );
    assert.match((await admin.visit('/suppression?address=b%40example.net')).text, /role="alert"/);
    assert.equal((await admin.submit('/suppression', { do: 'import' })).status, 400);
  });
});

describe('directives', () => {
  test('are given after a count, and ended; all mail only where it is said', async () => {
    const look = await admin.visit('/directives/new?kind=suspend&provider=google&reason=Too+fast');
    assert.match(textOf(look.text), /Pause: it waits provider google 0 deliveries that wait agree/);
    const fields = { do: 'give', kind: 'suspend', provider: 'google', reason: 'Too fast' };
    assert.equal((await admin.submit('/directives/new', fields)).status, 303);
    const { json } = await server.call('GET', '/directives', { key: 'admin' });
    assert.deepEqual(json.directives[0].match, { provider: 'google' });
    assert.match((await admin.visit('')).text, /Suspended: provider google/);
    assert.equal((await admin.submit('/directives', { do: 'end', id: json.directives[0].id })).status, 303);
    assert.equal((await server.call('GET', '/directives', { key: 'admin' })).json.directives.length, 0);
    const unsaid = await admin.visit('/directives/new?kind=suspend');
    assert.match(unsaid.text, /which is all mail/);
    assert.equal(
      (
        await admin.submit('/directives/new', {
          do: 'give',
          kind: 'limit',
          provider: 'google',
          connections: 'many',
        })
      ).status,
      400,
    );
    assert.equal(
      (await user.submit('/directives/new', { do: 'give', kind: 'suspend', provider: 'google' })).status,
      403,
    );
    assert.equal(
      (await user.submit('/directives/new', { do: 'give', kind: 'suspend', tenant: 'default' })).status,
      303,
    );
    await user.submit('/directives', {
      do: 'end',
      id: (await server.call('GET', '/directives', { key: 'user' })).json.directives[0].id,
    });
  });
});

describe("a tenant's key", () => {
  test('sees its own tenant, and no page of administrators', async () => {
    await server.call('POST', '/identities', {
      key: 'admin',
      body: { name: 'others.example', tenant: 'other' },
    });
    await server.call('POST', '/identities', {
      key: 'admin',
      body: { name: 'own.example', tenant: 'default' },
    });
    const { text } = await user.visit('/domains');
    assert.ok(text.includes('own.example') && !text.includes('others.example'));
    assert.doesNotMatch(text, /href="\/console\/(keys|limits|ips|configuration)"/);
    assert.equal((await user.visit('/domains/others.example')).status, 404);
    assert.equal((await user.visit('/domains?tenant=other')).status, 403);
    for (const { path, admin: only } of PAGES.filter((one) => one.admin)) {
      assert.ok(only);
      const { status, text: page } = await user.visit(path.replace(/:\w+/g, 'limits'));
      assert.equal(status, 403, path);
      assert.match(page, /needs an administrator/);
    }
    assert.equal((await user.submit('/keys', { do: 'create', tenant: 'default' })).status, 403);
    assert.equal((await user.submit('/domains', { do: 'create', name: 'x.example' })).status, 403);
  });
});

describe('templates', () => {
  test('are shown in a frame without rights, and say what their values lack', async () => {
    await put('/templates/order', {
      subject: 'Order {{number}}',
      html: '<script>alert(1)</script><b>{{number}}</b>',
    });
    const lacking = await admin.visit('/templates/order');
    assert.match(lacking.text, /role="alert"/);
    const { text } = await admin.visit('/templates/order?data=%7B%22number%22%3A%227%22%7D');
    assert.match(text, /Order 7/);
    assert.doesNotMatch(text, /<script>alert/);
    const { headers, text: preview } = await admin.visit(
      '/templates/order/preview?data=%7B%22number%22%3A%227%22%7D',
    );
    assert.match(preview, /<b>7<\/b>/);
    assert.match(headers.get('content-security-policy')!, /^sandbox; default-src 'none'/);
    assert.equal((await admin.visit('/templates/order/preview?data=x')).status, 400);
  });
});

describe('a live page', () => {
  const live = { headers: { accept: 'text/event-stream' } };

  test('is sent at once, again when it differs, and ends with the session', async () => {
    const made = await server.call('POST', '/keys', {
      key: 'admin',
      body: { tenant: 'default', admin: true },
    });
    const visitor = new ConsoleVisitor(server.url);
    await visitor.signIn(made.json);
    const response = await visitor.open('', live);
    assert.equal(response.headers.get('content-type'), 'text/event-stream');
    const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
    const next = async (until: RegExp): Promise<string> => {
      let text = '';
      while (!until.test(text)) {
        const { done, value } = await reader.read();
        if (done) return text;
        text += value;
      }
      return text;
    };
    assert.match(await next(/\n\n/), /^event: page\ndata: <h1>Overview/);
    await server.call('POST', '/directives', {
      key: 'admin',
      body: { match: { provider: 'yahoo' }, action: { kind: 'suspend' }, reason: 'Live' },
    });
    const tick = setInterval(() => server.clock.advance(3_000), 5);
    assert.match(await next(/Suspended: provider yahoo/), /event: page/);
    await server.call('DELETE', `/keys/${made.json.id}`, { key: 'admin' });
    assert.match(await next(/event: over/), /event: over\ndata:\n\n/);
    clearInterval(tick);
  });

  test('of a browser that went away is made no more, and one key has ten at most', async () => {
    const visitor = await ConsoleVisitor.of(server.url, 'other');
    const gone = new AbortController();
    const open = await Promise.all(
      Array.from({ length: 10 }, () => visitor.open('', { ...live, signal: gone.signal })),
    );
    assert.ok(open.every(({ status }) => status === 200));
    assert.equal((await visitor.visit('', live)).status, 429);
    gone.abort();
    let status = 429;
    for (let tries = 0; status !== 200 && tries < 200; tries++) {
      const again = await visitor.open('', live);
      status = again.status;
      await again.body!.cancel();
    }
    assert.equal(status, 200, 'the places of those that went away are free');
  });
});

describe('behind a Function URL', () => {
  const posternConsole = () =>
    createConsole({
      fetch: (request, { incoming }) =>
        fetch(`${server.url}${new URL(request.url).pathname}${new URL(request.url).search}`, {
          method: request.method,
          headers: Object.fromEntries(incoming.headers.filter(([name]) => name !== 'host')),
          body: incoming.body.length > 0 ? new Uint8Array(incoming.body) : undefined,
        }),
      masterKey: MASTER_KEY,
      clock: server.clock,
      log: { info() {}, warn() {}, error() {} },
    });

  const event = (
    method: string,
    path: string,
    more: Partial<LambdaFunctionURLEvent> = {},
  ): LambdaFunctionURLEvent => {
    const [rawPath, rawQueryString = ''] = `/console${path}`.split('?');
    return {
      version: '2.0',
      rawPath: rawPath!,
      rawQueryString,
      headers: { host: 'abc.lambda-url.us-east-1.on.aws', ...more.headers },
      requestContext: {
        domainName: 'abc.lambda-url.us-east-1.on.aws',
        http: { method, sourceIp: '203.0.113.50' },
      },
      isBase64Encoded: false,
      ...more,
    } as LambdaFunctionURLEvent;
  };

  test('signs in by cookies as Lambda passes them, answers pages whole, and asks the browser to poll', async () => {
    const app = posternConsole();
    const call = (one: LambdaFunctionURLEvent) =>
      answer((request, env: { incoming: RawRequest }) => app.fetch(request, env), one) as Promise<{
        statusCode: number;
        headers: Record<string, string>;
        cookies: string[];
        body: string;
      }>;
    const origin = 'https://abc.lambda-url.us-east-1.on.aws';
    const host = 'abc.lambda-url.us-east-1.on.aws';
    const { id, secret } = KEYS.admin;
    const signedIn = await call(
      event('POST', '/sign-in', {
        headers: { host, origin, 'content-type': 'application/x-www-form-urlencoded' },
        body: Buffer.from(new URLSearchParams({ id, secret }).toString()).toString('base64'),
        isBase64Encoded: true,
      }),
    );
    assert.equal(signedIn.statusCode, 303);
    assert.match(signedIn.cookies[0]!, /^__Host-postern-console=.*; Secure$/);
    assert.equal(signedIn.headers['set-cookie'], undefined);
    const cookies = ['other=1', signedIn.cookies[0]!.split(';')[0]!];
    const page = await call(event('GET', '', { cookies }));
    assert.equal(page.statusCode, 200);
    assert.match(page.body, /data-follow="poll"/);
    assert.doesNotMatch(page.body, />Accepted</, 'a function counts it as a metric alone');
    const asset = /\/console(\/assets\/[^"]+)"/.exec(page.body)![1]!;
    assert.match(
      (await call(event('GET', asset, { cookies }))).headers['cache-control']!,
      /^private, max-age/,
    );
    const stream = await call(event('GET', '', { cookies, headers: { host, accept: 'text/event-stream' } }));
    assert.equal(stream.statusCode, 406);
    const file = await call(event('GET', '/suppression/export', { cookies }));
    assert.equal(file.statusCode, 200);
  });
});
