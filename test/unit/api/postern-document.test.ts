import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { openapi, PATHS } from '../../../lib/api/openapi.ts';
import { posternApi } from '../../../lib/api/router.ts';
import { createValidator, type Schema } from '../../../lib/api/schema.ts';
import { SCHEMAS } from '../../../lib/api/schemas.ts';
import type { ApiDeps } from '../../../lib/http/deps.ts';
import type { BodyReader } from '../../../lib/http/raw-request.ts';

const validator = createValidator(SCHEMAS);
const operations = Object.entries(PATHS).flatMap(([path, methods]) =>
  Object.entries(methods).map(([method, operation]) => ({ path, method, operation })),
);

describe('the document', () => {
  test('has every route, and every operation of it has a route', () => {
    // Routes are made without anything being called, so nothing stands behind them here.
    const { routes } = posternApi({} as ApiDeps, {} as BodyReader);
    const served = routes
      .filter((route) => route.method !== 'ALL')
      .map((route) => `${route.method} ${route.path.replace(/:(\w+)/g, '{$1}')}`);
    const documented = operations.map(({ path, method }) => `${method.toUpperCase()} ${path}`);
    assert.deepEqual(served.sort(), documented.sort());
  });

  test('has examples that fit, of every request and every answer', () => {
    for (const { operation } of operations) {
      const { request, answer } = operation;
      for (const [name, example] of Object.entries(request?.examples ?? {})) {
        assert.deepEqual(validator.problems(SCHEMAS[request!.schema]!, example), [], name);
      }
      if (answer.schema === undefined) continue;
      assert.notEqual(answer.example, undefined, operation.operationId);
      assert.deepEqual(
        validator.problems(SCHEMAS[answer.schema]!, answer.example),
        [],
        operation.operationId,
      );
    }
  });

  test('names what is in a path as a parameter, and every operation once', () => {
    for (const { path, operation } of operations) {
      const labels = [...path.matchAll(/\{(\w+)\}/g)].map((match) => match[1]);
      const named = (operation.parameters ?? []).filter((one) => one.in === 'path').map((one) => one.name);
      assert.deepEqual(named, labels, path);
    }
    const ids = operations.map(({ operation }) => operation.operationId);
    assert.equal(new Set(ids).size, ids.length);
  });

  test('refers to schemas that are there, and has none that nobody refers to', () => {
    const text = JSON.stringify(openapi('1.2.3'));
    const referred = new Set(
      [...text.matchAll(/"#\/components\/schemas\/(\w+)"/g)].map((match) => match[1]!),
    );
    assert.deepEqual(referred, new Set(Object.keys(SCHEMAS)));
    assert.equal((JSON.parse(text) as { openapi: string }).openapi, '3.1.0');
  });
});

describe('the validator', () => {
  const text = (rules: object): Schema => ({ type: 'string', ...rules });
  const object = (properties: Record<string, Schema>, rules: object = {}): Schema => ({
    type: 'object',
    properties,
    additionalProperties: false,
    ...rules,
  });

  const cases: [what: string, schema: Schema, good: unknown[], bad: [unknown, string][]][] = [
    [
      'string lengths',
      text({ minLength: 1, maxLength: 3 }),
      ['a', 'abc'],
      [
        ['', ' must have at least 1 character'],
        ['abcd', ' has 4 characters; it may have at most 3'],
        [1, '/ must be a string'],
        [null, '/ must be a string'],
      ],
    ],
    [
      'patterns',
      text({ pattern: '^[a-z]+$' }),
      ['ab'],
      [
        ['a b', ' must match ^[a-z]+$'],
        ['ab\n', ' must match ^[a-z]+$'],
      ],
    ],
    ['words', text({ enum: ['x', 'y'] }), ['x'], [['z', ' must be one of x, y']]],
    [
      'integers',
      { type: 'integer', minimum: 0, maximum: 5 },
      [0, 5],
      [
        [-1, ' must be at least 0'],
        [6, ' must be at most 5'],
        [1.5, '/ must be an integer'],
        ['1', '/ must be an integer'],
      ],
    ],
    [
      'truth',
      { type: 'boolean' },
      [true, false],
      [
        ['true', '/ must be true or false'],
        [0, '/ must be true or false'],
      ],
    ],
    [
      'lists',
      { type: 'array', items: text({}), minItems: 1, maxItems: 2 },
      [['a'], ['a', 'b']],
      [
        [[], ' must have at least 1 item'],
        [['a', 'b', 'c'], ' has 3 items; it may have at most 2'],
        [['a', 1], '/1 must be a string'],
        [{ 0: 'a' }, '/ must be an array'],
      ],
    ],
    [
      'objects',
      object({ a: text({}) }, { required: ['a'] }),
      [{ a: 'x' }],
      [
        [{}, '/a is missing'],
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
      {
        type: 'object',
        additionalProperties: text({}),
        propertyNames: { type: 'string', pattern: '^[a-z]$' },
        maxProperties: 2,
      },
      [{}, { a: 'x', b: 'y' }],
      [
        [{ a: 1 }, '/a must be a string'],
        [{ A: 'x' }, '/A: the name must match ^[a-z]$'],
        [{ a: '', b: '', c: '' }, '/ has 3 members; it may have at most 2'],
      ],
    ],
    [
      'alternatives',
      { anyOf: [text({ maxLength: 1 }), object({ n: { type: 'integer' } })] },
      ['a', { n: 1 }],
      [
        ['ab', ' has 2 characters; it may have at most 1'],
        [{ n: 'x' }, '/n must be an integer'],
        [3, '/ must be a string or an object'],
      ],
    ],
    [
      'times',
      text({ format: 'date-time' }),
      ['2026-01-31T12:00:00Z', '2026-01-31T12:00:00.123+01:00'],
      ['2026-01-31', '2026-01-31T12:00:00', '2026-13-01T00:00:00Z', 'tomorrow', '1767225600'].map((bad) => [
        bad,
        ' must be a time as 2026-01-31T12:00:00Z (RFC 3339, with its offset)',
      ]),
    ],
  ];
  for (const [what, schema, good, bad] of cases) {
    test(`checks ${what}`, () => {
      for (const value of good) assert.deepEqual(validator.problems(schema, value), []);
      for (const [value, problem] of bad) assert.deepEqual(validator.problems(schema, value), [problem]);
    });
  }

  test('tells at most 20 problems, however many there are', () => {
    const schema: Schema = { type: 'array', items: text({}) };
    assert.equal(validator.problems(schema, new Array(100_000).fill(1)).length, 20);
    const unknown = Object.fromEntries(
      Array.from({ length: 1_000 }, (_, n) => [`${'x'.repeat(1_000)}${n}`, 1]),
    );
    const told = validator.problems(object({}), unknown);
    assert.equal(told.length, 20);
    assert.ok(told.join().length < 4_000, 'and none of them is as long as its name');
  });
});
