import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { PosternError } from '../../lib/errors.ts';
import { createSigV4 } from '../../lib/http/sigv4.ts';
import { parseAuthorization } from '../../lib/http/sigv4-authorization.ts';
import { matchRoute } from '../../lib/ses/router.ts';
import { sign } from '../support/signing.ts';

const SEED = 20261120;
const NOW = Date.UTC(2026, 10, 20, 12, 0, 0);
const KEY = { id: 'AKIAIOSFODNN7EXAMPLE', secret: 'secret/+=', tenant: 't', admin: true, createdAt: 0 };

/** Strict percent-encoding, as the SDKs encode path labels and queries. */
function encode(text: string): string {
  return encodeURIComponent(text).replace(
    /[!'()*]/g,
    (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}

const text = fc.string({ unit: 'grapheme', maxLength: 12 });
const query = fc.dictionary(
  fc.string({ unit: 'grapheme', minLength: 1, maxLength: 6 }).filter((name) => name !== '__proto__'),
  fc.oneof(text, fc.array(text, { minLength: 2, maxLength: 3 })),
  { maxKeys: 5 },
);
const request = fc.record({
  segments: fc.array(fc.string({ unit: 'grapheme', minLength: 1, maxLength: 12 }), { maxLength: 5 }),
  query,
  note: fc.string({ unit: 'grapheme', maxLength: 20 }).map((value) => value.replace(/[^\x20-\x7e]/g, '')),
  body: text,
  checksum: fc.boolean(),
});

function wireQuery(pairs: Record<string, string | string[]>): string {
  return Object.entries(pairs)
    .flatMap(([name, values]) => [values].flat().map((value) => `${encode(name)}=${encode(value)}`))
    .join('&');
}

test('every request that the SDK signs is verified, and none with one byte changed', async () => {
  const sigV4 = createSigV4(async (id) => (id === KEY.id ? KEY : undefined));
  await fc.assert(
    fc.asyncProperty(request, fc.nat(), async ({ segments, query: pairs, note, body, checksum }, at) => {
      const signed = await sign({
        ...KEY,
        at: NOW,
        rawPath: `/${segments.map(encode).join('/')}`,
        rawQuery: wireQuery(pairs),
        query: pairs,
        headers: { 'x-note': note },
        body,
        checksum,
      });
      assert.equal((await sigV4.begin(signed, NOW)).finish(signed.body).key, KEY);

      const tampered = Buffer.from(`${body}.`);
      tampered[at % tampered.length]! ^= 1;
      await assert.rejects(async () => (await sigV4.begin(signed, NOW)).finish(tampered), {
        code: 'invalid_signature',
      });
    }),
    { seed: SEED, numRuns: 200 },
  );
});

const noise = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 300 }),
  fc
    .array(
      fc.constantFrom(
        'AWS4-HMAC-SHA256',
        ' ',
        ',',
        ', ',
        '=',
        ';',
        '/',
        'Credential=',
        'SignedHeaders=',
        'Signature=',
        'AKIA/20261120/eu/ses/aws4_request',
        'host;x-amz-date',
        '0'.repeat(64),
        '__proto__',
      ),
      { maxLength: 20 },
    )
    .map((parts) => `AWS4-HMAC-SHA256 ${parts.join('')}`),
);

test('any other Authorization header is refused with a clear error', () => {
  fc.assert(
    fc.property(noise, (value) => {
      try {
        assert.match(parseAuthorization(value).signature, /^[0-9a-f]{64}$/);
      } catch (error) {
        if (!(error instanceof PosternError)) throw error;
      }
    }),
    { seed: SEED, numRuns: 3000 },
  );
});

test('an Authorization header of a megabyte is refused in linear time', () => {
  for (const filler of [',', '=', ';', '/', ' ', 'a=b,']) {
    const value = `AWS4-HMAC-SHA256 Credential=${filler.repeat(1_000_000 / filler.length)}`;
    assert.throws(() => parseAuthorization(value), { code: 'incomplete_signature' });
  }
});

test('any other request head is refused with a clear error', async () => {
  const sigV4 = createSigV4(async () => undefined);
  const headers = fc.array(
    fc.tuple(
      fc.constantFrom(
        'authorization',
        'host',
        'x-amz-date',
        'date',
        'x-amz-content-sha256',
        'x-amz-security-token',
      ),
      fc.oneof(noise, fc.constant('20261120T120000Z'), fc.constant('mail.example')),
    ),
    { maxLength: 8 },
  );
  await fc.assert(
    fc.asyncProperty(headers, fc.string(), fc.string(), async (list, rawPath, rawQuery) => {
      const head = { method: 'POST', rawPath, rawQuery, headers: list, sourceIp: '' };
      await assert.rejects(
        async () => (await sigV4.begin(head, NOW)).finish(Buffer.alloc(0)),
        (error) => error instanceof PosternError,
      );
    }),
    { seed: SEED, numRuns: 2000 },
  );
});

test('any other path matches no route', () => {
  fc.assert(
    fc.property(fc.constantFrom('GET', 'POST', 'PUT'), fc.string({ unit: 'binary' }), (method, path) => {
      try {
        matchRoute(method, `/v2/email/identities/${path}`);
      } catch (error) {
        if (!(error instanceof PosternError)) throw error;
      }
    }),
    { seed: SEED, numRuns: 2000 },
  );
});
