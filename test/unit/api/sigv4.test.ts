import assert from 'node:assert/strict';
import { createHash, createHmac } from 'node:crypto';
import { describe, test } from 'node:test';
import { PosternError } from '../../../lib/errors.ts';
import type { RawRequest } from '../../../lib/http/raw-request.ts';
import { createSigV4 } from '../../../lib/http/sigv4.ts';
import { sign, type ToSign } from '../../support/signing.ts';

const ID = 'AKIAIOSFODNN7EXAMPLE';
const SECRET = 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY';
const NOW = Date.UTC(2026, 10, 20, 12, 0, 0);
const KEY = { id: ID, secret: SECRET, tenant: 'default', admin: true, createdAt: 0 };
const BASE: ToSign = { id: ID, secret: SECRET, at: NOW };

async function verify(
  request: RawRequest,
  now = NOW,
  sigV4 = createSigV4(async (id) => (id === ID ? KEY : undefined)),
) {
  return (await sigV4.begin(request, now)).finish(request.body);
}

function refused(request: RawRequest, code: string, message = /./, now = NOW): Promise<void> {
  return assert.rejects(
    verify(request, now),
    (error) => error instanceof PosternError && error.code === code && message.test(error.message),
    `expected ${code}`,
  );
}

/** The request with one header changed, added, or (undefined) left out. */
function withHeader(request: RawRequest, name: string, value: string | undefined): RawRequest {
  const headers = request.headers.filter(([other]) => other !== name);
  if (value !== undefined) headers.push([name, value]);
  return { ...request, headers };
}

function header(request: RawRequest, name: string): string {
  return request.headers.find(([other]) => other === name)![1];
}

describe('accepts what the SDK signs', () => {
  const cases: Record<string, Partial<ToSign>> = {
    'a plain request': { body: '{"a":1}' },
    'an empty body': {},
    'no declared payload hash (boto3)': { body: '{"a":1}', checksum: false },
    'another region': { region: 'ap-southeast-2' },
    'a path with encoded characters': { rawPath: '/v2/email/identities/a%2Bb%27%28x%29%21%2A%40example.com' },
    'an ARN in one segment': {
      rawPath: '/v2/email/reputation/entities/RESOURCE/arn%3Aaws%3Ases%3Aeu%3A1%3Atenant%2Ft1%2Ftn-abc',
    },
    'a path in UTF-8': { rawPath: '/v2/email/templates/%E2%82%AC%20x' },
    'a trailing slash': { rawPath: '/v2/email/insights/abc/' },
    'the root': { rawPath: '/' },
    'dot and empty segments': { rawPath: '/v2//email/./x/../account' },
    'a path prefix': { rawPath: '/stage/ses/v2/email/account' },
    'repeated names in the query': { rawQuery: 'TagKeys=b&TagKeys=a%20b', query: { TagKeys: ['b', 'a b'] } },
    'an empty value': { rawQuery: 'a=&b', query: { a: '', b: '' } },
    'names that sort before and after =': {
      rawQuery: 'a-=1&a=2&aa=0&A=9',
      query: { 'a-': '1', a: '2', aa: '0', A: '9' },
    },
    'reserved characters in the query': {
      rawQuery: "q=%21'()%2A~%2B%3D%26%2F&arn=arn%3Aaws%3Ases",
      query: { q: "!'()*~+=&/", arn: 'arn:aws:ses' },
    },
    'unicode in the query': { rawQuery: 'n=%F0%9F%93%A7%C3%A9', query: { n: '📧é' } },
    'blanks around and inside header values': { headers: { 'x-note': '  a   b \t c  ' } },
    'a header in UTF-8': { headers: { 'x-note': 'à bientôt' } },
    'a session token that is signed': { token: 'FwoGZXIvYXdzEXAMPLE==' },
    'a clock five minutes behind': { at: NOW - 300_000 },
    'a clock five minutes ahead': { at: NOW + 300_000 },
    'the last second of a day': { at: Date.UTC(2026, 10, 20, 11, 59, 59) },
  };
  for (const [name, change] of Object.entries(cases)) {
    test(name, async () => {
      const { key, bodyHash } = await verify(await sign({ ...BASE, ...change }));
      assert.equal(key, KEY);
      assert.match(bodyHash, /^[0-9a-f]{64}$/);
    });
  }

  test('a header in two lines', async () => {
    const request = await sign({ ...BASE, headers: { 'x-note': 'a,b c' } });
    const headers = request.headers.filter(([name]) => name !== 'x-note');
    headers.unshift(['x-note', ' a '], ['x-note', 'b  c']);
    assert.equal((await verify({ ...request, headers })).key, KEY);
  });

  test('commas without a space, and the parts in another order', async () => {
    const request = await sign(BASE);
    const [, credential, signed, signature] = /Credential=(.*), SignedHeaders=(.*), Signature=(.*)/.exec(
      header(request, 'authorization'),
    )!;
    const value = `AWS4-HMAC-SHA256 Signature=${signature},SignedHeaders=${signed},Credential=${credential}`;
    assert.equal((await verify(withHeader(request, 'authorization', value))).key, KEY);
  });

  test("raw UTF-8 in the query, as a server and as Lambda show it (AWS's get-vanilla-utf8-query)", async () => {
    const request = await sign({ ...BASE, rawQuery: '%E1%88%B4=bar', query: { ሴ: 'bar' } });
    for (const rawQuery of ['%E1%88%B4=bar', Buffer.from('ሴ=bar').toString('latin1'), 'ሴ=bar'])
      await verify({ ...request, rawQuery });
    await refused({ ...request, rawQuery: 'ስ=bar' }, 'invalid_signature');
  });

  test('unsigned headers that a proxy added', async () => {
    const request = await sign(BASE);
    assert.equal((await verify(withHeader(request, 'x-forwarded-for', '203.0.113.9'))).key, KEY);
  });

  test('a line that was verified before, and only with a signature of its own', async () => {
    const sigV4 = createSigV4(async (id) => (id === ID ? KEY : undefined));
    const [one, other] = [await sign({ ...BASE, body: '1' }), await sign({ ...BASE, body: '2' })];
    await verify(one, NOW, sigV4);
    await verify(other, NOW, sigV4);
    const stolen = withHeader(other, 'authorization', header(one, 'authorization'));
    await assert.rejects(verify(stolen, NOW, sigV4), { code: 'invalid_signature' });
    const short = withHeader(other, 'authorization', header(other, 'authorization').slice(0, -1));
    await assert.rejects(verify(short, NOW, sigV4), { code: 'incomplete_signature' });
    const upper = header(other, 'authorization').replace(/[0-9a-f]{64}$/, (hex) => hex.toUpperCase());
    await assert.rejects(verify(withHeader(other, 'authorization', upper), NOW, sigV4), {
      code: 'incomplete_signature',
    });
    await verify(other, NOW, sigV4);
  });

  test('a request after another with the same key, day and region', async () => {
    const sigV4 = createSigV4(async () => KEY);
    const request = await sign(BASE);
    for (let i = 0; i < 3; i++) assert.equal((await verify(request, NOW, sigV4)).key, KEY);
  });
});

describe('refuses', () => {
  test('no signature', async () => {
    const request = await sign(BASE);
    await refused(
      withHeader(request, 'authorization', undefined),
      'missing_authentication',
      /Missing Authentication/,
    );
  });

  test('a signature in the query', async () => {
    const request = withHeader(await sign(BASE), 'authorization', undefined);
    const rawQuery = 'X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Signature=00';
    await refused({ ...request, rawQuery }, 'incomplete_signature', /query string/);
  });

  test('a changed body, declared or not', async () => {
    for (const checksum of [true, false]) {
      const request = await sign({ ...BASE, body: '{"a":1}', checksum });
      await refused({ ...request, body: Buffer.from('{"a":2}') }, 'invalid_signature');
    }
  });

  test('a changed path, query, method, signed header or signature', async () => {
    const request = await sign({ ...BASE, rawQuery: 'a=1', query: { a: '1' } });
    await refused({ ...request, rawPath: '/v2/email/identities' }, 'invalid_signature', /does not match/);
    await refused({ ...request, rawQuery: 'a=2' }, 'invalid_signature');
    await refused({ ...request, method: 'GET' }, 'invalid_signature');
    await refused(withHeader(request, 'content-type', 'text/plain'), 'invalid_signature');
    const authorization = header(request, 'authorization');
    await refused(
      withHeader(
        request,
        'authorization',
        authorization.replace(/.$/, (c) => (c === '0' ? '1' : '0')),
      ),
      'invalid_signature',
    );
  });

  test('an unknown key, and a wrong secret', async () => {
    await refused(await sign({ ...BASE, id: 'AKIAUNKNOWN000000000' }), 'unknown_key', /security token/);
    await refused(await sign({ ...BASE, secret: 'other' }), 'invalid_signature');
  });

  test('a key that was revoked or replaced after its signing key was cached', async () => {
    let key: typeof KEY | undefined = KEY;
    const sigV4 = createSigV4(async () => key);
    const request = await sign(BASE);
    await verify(request, NOW, sigV4);
    key = { ...KEY, secret: 'replaced' };
    await assert.rejects(verify(request, NOW, sigV4), { code: 'invalid_signature' });
    key = undefined;
    await assert.rejects(verify(request, NOW, sigV4), { code: 'unknown_key' });
  });

  test('a clock more than five minutes off, either way', async () => {
    await refused(
      await sign({ ...BASE, at: NOW - 301_000 }),
      'clock_skew',
      /Signature expired: 20261120T115459Z/,
    );
    await refused(await sign({ ...BASE, at: NOW + 301_000 }), 'clock_skew', /not yet current/);
  });

  test('the same request replayed after its time', async () => {
    await refused(await sign(BASE), 'clock_skew', /./, NOW + 300_001);
  });

  test('a scope of another day, service or terminator', async () => {
    const request = await sign(BASE);
    const authorization = header(request, 'authorization');
    await refused(
      withHeader(request, 'authorization', authorization.replace('/20261120/', '/20261119/')),
      'invalid_signature',
      /Credential scope/,
    );
    await refused(await sign({ ...BASE, service: 's3' }), 'invalid_signature', /correct service: 'ses'/);
    await refused(
      withHeader(request, 'authorization', authorization.replace('aws4_request', 'aws5_request')),
      'incomplete_signature',
      /terminator/,
    );
  });

  test('a scope of another region than the signature', async () => {
    const request = await sign(BASE);
    const value = header(request, 'authorization').replace('eu-west-1', 'us-east-1');
    await refused(withHeader(request, 'authorization', value), 'invalid_signature');
  });

  test('unsigned and streaming payloads, and an invalid payload hash', async () => {
    for (const value of ['UNSIGNED-PAYLOAD', 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD', 'abc']) {
      const request = await sign({ ...BASE, headers: { 'x-amz-content-sha256': value } });
      await refused(request, 'invalid_signature', /SHA-256 of the body/);
    }
  });

  test('a session token that was added after signing', async () => {
    await refused(
      withHeader(await sign(BASE), 'x-amz-security-token', 'abc'),
      'incomplete_signature',
      /signed header/,
    );
  });

  test('a host or a date that is unsigned or occurs twice', async () => {
    const request = await sign(BASE);
    const authorization = header(request, 'authorization');
    await refused(
      withHeader(request, 'authorization', authorization.replace('host;', '')),
      'incomplete_signature',
      /Host/,
    );
    await refused(
      withHeader(request, 'authorization', authorization.replace(';x-amz-date', '')),
      'incomplete_signature',
      /X-Amz-Date/,
    );
    for (const name of ['host', 'x-amz-date', 'authorization', 'x-amz-content-sha256']) {
      const headers: [string, string][] = [...request.headers, [name, header(request, name)]];
      await refused({ ...request, headers }, 'incomplete_signature', /more than once/);
    }
  });

  test('a signed header that is missing', async () => {
    const request = await sign({ ...BASE, headers: { 'x-note': 'a' } });
    await refused(withHeader(request, 'x-note', undefined), 'incomplete_signature', /'x-note'/);
  });

  test('headers that are not a signature', async () => {
    const request = await sign(BASE);
    const good = header(request, 'authorization');
    for (const value of [
      '',
      'Bearer abc',
      'AWS4-HMAC-SHA256',
      'AWS4-HMAC-SHA256 ',
      'AWS4-ECDSA-P256-SHA256 Credential=x',
      good.replace('Signature=', 'Sig='),
      good.replace('SignedHeaders=', 'SignedHeaders=Host;'),
      good.replace('SignedHeaders=', 'SignedHeaders=host;'),
      good.replace('Credential=', 'Credential=/'),
      good.replace(/Signature=..../, 'Signature='),
      good.replace(/Signature=.*/, (s) => s.toUpperCase()),
      `${good}, Signature=00`,
      `${good},`,
    ])
      await refused(withHeader(request, 'authorization', value), 'incomplete_signature');
  });

  test('invalid percent-encoding in the query', async () => {
    await refused({ ...(await sign(BASE)), rawQuery: 'a=%ff' }, 'bad_request', /percent-encoding/);
  });
});

/** A request with `Date` and no `X-Amz-Date`, which the SDK's signer does not make: signed by hand. */
function signWithDate(date: string): RawRequest {
  const hash = (text: string): string => createHash('sha256').update(text).digest('hex');
  const hmac = (key: string | Buffer, text: string): Buffer =>
    createHmac('sha256', key).update(text).digest();
  const scope = '20261120/eu-west-1/ses/aws4_request';
  const canonical = `GET\n/v2/email/account\n\ndate:${date}\nhost:mail.example\n\ndate;host\n${hash('')}`;
  const toSign = `AWS4-HMAC-SHA256\n20261120T120000Z\n${scope}\n${hash(canonical)}`;
  const signature = hmac(scope.split('/').reduce(hmac, `AWS4${SECRET}`) as Buffer, toSign).toString('hex');
  return {
    method: 'GET',
    rawPath: '/v2/email/account',
    rawQuery: '',
    headers: [
      ['host', 'mail.example'],
      ['date', date],
      [
        'authorization',
        `AWS4-HMAC-SHA256 Credential=${ID}/${scope}, SignedHeaders=date;host, Signature=${signature}`,
      ],
    ],
    sourceIp: '127.0.0.1',
    body: Buffer.alloc(0),
  };
}

test('a Date header stands in for X-Amz-Date', async () => {
  assert.equal((await verify(signWithDate('Fri, 20 Nov 2026 12:00:00 GMT'))).key, KEY);
  assert.equal((await verify(signWithDate('20261120T120000Z'))).key, KEY);
  await refused(signWithDate('Fri, 20 Nov 2026 12:06:00 GMT'), 'clock_skew', /not yet current/);
  await refused(signWithDate('sometime'), 'incomplete_signature', /Date/);
});

test('requests of more regions than the key cache holds are verified, each twice', async () => {
  const sigV4 = createSigV4(async () => KEY);
  const requests: RawRequest[] = [];
  for (let i = 0; i < 1100; i++) requests.push(await sign({ ...BASE, region: `region-${i}` }));
  for (const request of [...requests, ...requests])
    assert.equal((await verify(request, NOW, sigV4)).key, KEY);
});
