import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Validator } from '@seriousme/openapi-schema-validator';
import * as z from 'zod/mini';
import { OPERATIONS, openapi } from '../../../lib/api/openapi.ts';
import { posternApi } from '../../../lib/api/router.ts';
import {
  integer,
  jsonSchemas,
  map,
  problemsOf,
  requireValid,
  type Schema,
  text,
  time,
} from '../../../lib/api/schema.ts';
import type { BodyReader } from '../../../lib/http/body-reader.ts';
import type { ApiDeps } from '../../../lib/http/deps.ts';
import { failure } from '../../support/control.ts';

describe('the document', () => {
  const document = JSON.parse(JSON.stringify(openapi('1.2.3'))) as {
    openapi: string;
    paths: Record<string, Record<string, unknown>>;
    components: { schemas: Record<string, unknown> };
  };

  test('is OpenAPI 3.1 to a public validator', async () => {
    const validator = new Validator();
    const { valid, errors } = await validator.validate(
      structuredClone(document) as object as Record<string, unknown>,
    );
    assert.ok(valid, JSON.stringify(errors, undefined, 1));
    assert.equal(validator.version, '3.1');
  });

  test('groups operations by resource, and says how each refuses', () => {
    const tags = new Set((document as object as { tags: { name: string }[] }).tags.map(({ name }) => name));
    for (const [path, methods] of Object.entries(document.paths))
      for (const one of Object.values(methods) as { tags: string[]; responses: object }[]) {
        assert.ok(one.tags.length === 1 && tags.has(one.tags[0]!), path);
        assert.ok('4XX' in one.responses, path);
      }
  });

  test('has every route, and a route for every operation', () => {
    // The test calls no route, so that it needs no dependency.
    const { routes } = posternApi({} as ApiDeps, {} as BodyReader).app;
    const served = routes
      .filter((route) => route.method !== 'ALL')
      .map((route) => `${route.method} ${route.path.replace('/v1', '').replace(/:(\w+)/g, '{$1}')}`);
    const documented = Object.entries(document.paths).flatMap(([path, methods]) =>
      Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`),
    );
    assert.deepEqual(served.sort(), documented.sort());
  });

  test('has an example that fits its schema for every request and answer', () => {
    for (const { request, answer, operationId } of OPERATIONS) {
      for (const [name, example] of Object.entries(request?.examples ?? {})) {
        assert.deepEqual(problemsOf(request!.schema, example), [], name);
      }
      if (answer.schema === undefined) continue;
      assert.notEqual(answer.example, undefined, operationId);
      assert.deepEqual(problemsOf(answer.schema, answer.example), [], operationId);
    }
  });

  test('declares every path parameter, and names every operation once', () => {
    for (const { path, parameters = [] } of OPERATIONS) {
      const labels = [...path.matchAll(/\{(\w+)\}/g)].map((match) => match[1]);
      const named = parameters.filter((one) => one.in === 'path').map((one) => one.name);
      assert.deepEqual(named, labels, path);
    }
    const ids = OPERATIONS.map(({ operationId }) => operationId);
    assert.equal(new Set(ids).size, ids.length);
  });

  test('contains exactly the schemas that it refers to', () => {
    const referred = new Set(
      [...JSON.stringify(document).matchAll(/"#\/components\/schemas\/(\w+)"/g)].map((match) => match[1]!),
    );
    assert.deepEqual(referred, new Set(Object.keys(document.components.schemas)));
    assert.equal(document.openapi, '3.1.0');
  });

  test('states the rules that requests are checked by', () => {
    // biome-ignore lint/suspicious/noExplicitAny: members of a JSON Schema
    const send = (jsonSchemas() as any).SendRequest;
    assert.deepEqual(send.required, ['from']);
    assert.equal(send.additionalProperties, false);
    assert.deepEqual([send.properties.recipients.minItems, send.properties.recipients.maxItems], [1, 1_000]);
    assert.deepEqual(send.properties.recipients.items, { $ref: '#/components/schemas/Recipient' });
    assert.equal(send.properties.tags.maxProperties, 50);
    assert.equal(send.properties.tags.additionalProperties.pattern, '^[A-Za-z0-9_-]{1,256}$');
    assert.equal(send.properties.sendAt.format, 'date-time');
    assert.equal(send.properties.substitutions.additionalProperties, true);
  });
});

describe('the check of a request', () => {
  const cases: [what: string, schema: Schema, good: unknown[], bad: [unknown, string][]][] = [
    [
      'string lengths',
      text('', z.minLength(1), z.maxLength(3)),
      ['a', 'abc'],
      [
        ['', '/ must have at least 1 character'],
        ['abcd', '/ has 4 characters; it may have at most 3'],
        [1, '/ must be a string'],
        [null, '/ must be a string'],
      ],
    ],
    [
      'patterns',
      text('', z.regex(/^[a-z]+$/u)),
      ['ab'],
      [
        ['a b', '/ must match ^[a-z]+$'],
        ['ab\n', '/ must match ^[a-z]+$'],
      ],
    ],
    [
      'words',
      z.enum(['x', 'y']),
      ['x'],
      [
        ['z', '/ must be one of x, y'],
        [1, '/ must be a string'],
      ],
    ],
    [
      'integers',
      integer('').check(z.maximum(5)),
      [0, 5],
      [
        [-1, '/ must be at least 0'],
        [6, '/ must be at most 5'],
        [1.5, '/ must be an integer'],
        ['1', '/ must be an integer'],
      ],
    ],
    [
      'booleans',
      z.boolean(),
      [true, false],
      [
        ['true', '/ must be true or false'],
        [0, '/ must be true or false'],
      ],
    ],
    [
      'lists',
      z.array(text()).check(z.minLength(1), z.maxLength(2)),
      [['a'], ['a', 'b']],
      [
        [[], '/ must have at least 1 item'],
        [['a', 'b', 'c'], '/ has 3 items; it may have at most 2'],
        [['a', 1], '/1 must be a string'],
        [{ 0: 'a' }, '/ must be an array'],
      ],
    ],
    [
      'objects',
      z.strictObject({ a: text(), n: z.optional(z.enum(['x'])), u: z.optional(z.union([text(), z.int()])) }),
      [{ a: 'x' }, { a: 'x', u: 1 }],
      [
        [{}, '/a is missing'],
        [{ a: null }, '/a must be a string'],
        [{ a: 'x', b: 1 }, '/b is not a member of this request'],
        [{ a: 'x', 'c/d~e': 1 }, '/c~1d~0e is not a member of this request'],
        [JSON.parse('{"a":"x","__proto__":1}'), '/__proto__ is not a member of this request'],
        [{ a: 'x', toString: 1 }, '/toString is not a member of this request'],
        [[], '/ must be an object'],
        [null, '/ must be an object'],
      ],
    ],
    [
      'maps',
      map(2, text('', z.regex(/^[a-z]$/u)), text(), ''),
      [{}, { a: 'x', b: 'y' }],
      [
        [{ a: 1 }, '/a must be a string'],
        [{ A: 'x' }, '/A: the name must match ^[a-z]$'],
        [{ a: '', b: '', c: '' }, '/ has 3 members; it may have at most 2'],
        [[], '/ must be an object'],
      ],
    ],
    [
      'alternatives',
      z.union([text('', z.maxLength(1)), z.strictObject({ n: integer('') })]),
      ['a', { n: 1 }],
      [
        ['ab', '/ has 2 characters; it may have at most 1'],
        [{ n: 'x' }, '/n must be an integer'],
        [{}, '/n is missing'],
        [3, '/ must be a string or an object'],
      ],
    ],
    [
      'required enumerations and alternatives',
      z.strictObject({ e: z.enum(['x']), u: z.union([text(), z.int()]) }),
      [{ e: 'x', u: 'y' }],
      [
        [{ u: 1 }, '/e is missing'],
        [{ e: 'x' }, '/u is missing'],
      ],
    ],
    [
      'times',
      time(''),
      ['2026-01-31T12:00:00Z', '2026-01-31T12:00:00.123+01:00'],
      ['2026-01-31', '2026-01-31T12:00:00', '2026-13-01T00:00:00Z', 'tomorrow', '1767225600'].map((bad) => [
        bad,
        '/ must be a time as 2026-01-31T12:00:00Z (RFC 3339, with its offset)',
      ]),
    ],
  ];
  for (const [what, schema, good, bad] of cases) {
    test(`covers ${what}`, () => {
      for (const value of good) assert.deepEqual(problemsOf(schema, value), []);
      for (const [value, problem] of bad) assert.deepEqual(problemsOf(schema, value), [problem]);
    });
  }

  test('names at most 20 problems', () => {
    assert.equal(problemsOf(z.array(text()), new Array(10_000).fill(1)).length, 20);
    const unknown = Object.fromEntries(
      Array.from({ length: 1_000 }, (_, n) => [`${'x'.repeat(1_000)}${n}`, 1]),
    );
    const problems = problemsOf(z.strictObject({ a: z.optional(text()) }), unknown);
    assert.equal(problems.length, 20);
    assert.ok(problems.join().length < 4_000, 'and none of them is as long as its name');
  });

  test('bounds every list and map of a request before its members are checked', () => {
    const { schema } = OPERATIONS.find((one) => one.operationId === 'sendMessages')!.request!;
    const many = Array.from({ length: 100_000 }, () => ({}));
    const tags = Object.fromEntries(many.map((_, n) => [`name ${n}`, 1]));
    for (const member of ['to', 'cc', 'bcc', 'recipients', 'replyTo', 'headers', 'attachments']) {
      assert.throws(
        () => requireValid(schema, { from: 'a@example.com', [member]: many }),
        failure('bad_request', new RegExp(`^/${member} has 100000 items; it may have at most \\d+\\.$`)),
      );
    }
    assert.throws(
      () => requireValid(schema, { from: 'a@example.com', tags }),
      failure('bad_request', /^\/tags has 100000 members; it may have at most 50\.$/),
    );
  });
});
