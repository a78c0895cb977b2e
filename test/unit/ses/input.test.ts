/** Input and output of operations by a model: types, bounds and required members, in SES's words. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { PosternError } from '../../../lib/errors.ts';
import type { ServiceModel } from '../../../lib/ses/model/form.ts';
import { type GivenInput, InputReaders } from '../../../lib/ses/model/input.ts';
import { OutputWriters } from '../../../lib/ses/model/output.ts';

const MODEL: ServiceModel = {
  version: '2000-01-01',
  operations: {},
  errors: {},
  shapes: {
    Request: {
      type: 'structure',
      required: ['Name', 'Policy'],
      members: {
        Name: { shape: 'Name', in: 'path', name: 'NAME' },
        Sizes: { shape: 'Sizes', in: 'query', name: 'Size' },
        Since: { shape: 'timestamp', in: 'query' },
        PageSize: { shape: 'integer', in: 'query' },
        Policy: 'Policy',
        Enabled: 'Enabled',
        Wrapped: 'boolean',
        Count: 'Count',
        Weight: 'double',
        Big: 'long',
        Data: 'blob',
        At: 'timestamp',
        Words: 'Sizes',
        Tags: 'Tags',
        Filter: 'Filter',
        Coded: 'Coded',
      },
    },
    Name: { type: 'string', min: 2, max: 4, pattern: '[a-z]+' },
    Coded: { type: 'string', pattern: 's3://.*' },
    Size: { type: 'string', enum: ['LARGE', 'SMALL'] },
    Sizes: { type: 'list', member: 'Size', max: 3 },
    Policy: { type: 'string', enum: ['A', 'B'] },
    Enabled: { type: 'boolean', primitive: true },
    Count: { type: 'integer', min: 1, max: 10 },
    Tags: { type: 'list', member: 'Tag' },
    Tag: { type: 'structure', required: ['Key'], members: { Key: 'Name', Value: 'string' } },
    Filter: { type: 'map', key: 'Size', value: 'Name', max: 1 },
    Form: {
      type: 'structure',
      members: {
        Enabled: 'Enabled',
        Count: 'Count',
        At: 'timestamp',
        Data: 'blob',
        Tags: 'Tags',
        Weight: 'double',
      },
    },
  },
};

const readers = new InputReaders(MODEL);
const read = (body: Record<string, unknown>, more: Partial<GivenInput> = {}): unknown =>
  readers.input('Request')({ query: {}, labels: { NAME: 'abc' }, body: { Policy: 'A', ...body }, ...more });

const refusal = (body: Record<string, unknown>, more?: Partial<GivenInput>): string => {
  try {
    read(body, more);
  } catch (error) {
    assert.ok(error instanceof PosternError, String(error));
    return `${error.code}: ${error.message}`;
  }
  return 'accepted';
};
const broken = (at: string, constraint: string): string =>
  `bad_request: 1 validation error detected: Value at '${at}' failed to satisfy constraint: Member must ${constraint}`;

describe('input', () => {
  test('is read by place and type; null is absent; unknown members are dropped', () => {
    assert.deepEqual(
      read(
        {
          Enabled: true,
          Wrapped: null,
          Count: 10,
          Weight: 0.5,
          Big: 2 ** 40,
          Data: 'aGk=',
          At: 1.5,
          Words: ['SMALL'],
          Tags: [{ Key: 'key', Value: null, Other: 1 }],
          Filter: { LARGE: 'ab' },
          Other: {},
          Name: 'body',
          PageSize: 1,
        },
        { query: { Size: 'LARGE', Since: '2026-01-31T12:00:00.5Z', PageSize: '7', Policy: 'B' } },
      ),
      {
        Name: 'abc',
        Sizes: ['LARGE'],
        Since: new Date('2026-01-31T12:00:00.500Z'),
        PageSize: 7,
        Policy: 'A',
        Enabled: true,
        Count: 10,
        Weight: 0.5,
        Big: 2 ** 40,
        Data: Buffer.from('hi'),
        At: new Date(1500),
        Words: ['SMALL'],
        Tags: [{ Key: 'key' }],
        Filter: { LARGE: 'ab' },
      },
    );
    assert.deepEqual(read({}, { query: { Size: ['LARGE', 'SMALL'] } }), {
      Name: 'abc',
      Sizes: ['LARGE', 'SMALL'],
      Policy: 'A',
    });
  });

  test('of another JSON type is a SerializationException in the words of SES', () => {
    for (const [body, words] of [
      [{ Enabled: 1 }, 'NUMBER_VALUE can not be converted to a Boolean'],
      [{ Enabled: null }, 'NULL_VALUE can not be converted to a Boolean'],
      [{ Enabled: [] }, 'Start of list found where not expected'],
      [{ Policy: 1 }, 'NUMBER_VALUE can not be converted to a String'],
      [{ Policy: true }, 'TRUE_VALUE can not be converted to a String'],
      [{ Policy: {} }, 'Start of structure or map found where not expected.'],
      [{ Count: '1' }, 'STRING_VALUE can not be converted to an Integer'],
      [{ Count: 1.5 }, 'NUMBER_VALUE can not be converted to an Integer'],
      [{ Count: 2 ** 31 }, 'NUMBER_VALUE can not be converted to an Integer'],
      [{ Big: 2 ** 53 }, 'NUMBER_VALUE can not be converted to a Long'],
      [{ Weight: 'x' }, 'STRING_VALUE can not be converted to a Double'],
      [{ At: '2026-01-31' }, 'STRING_VALUE can not be converted to milliseconds since epoch'],
      [{ At: 1e300 }, 'NUMBER_VALUE can not be converted to milliseconds since epoch'],
      [{ Data: 'a' }, "Value at 'data' must be valid base64."],
      [{ Words: 'SMALL' }, 'Expected list or null'],
      [{ Words: {} }, 'Start of structure or map found where not expected.'],
      [{ Words: [1] }, 'NUMBER_VALUE can not be converted to a String'],
      [{ Tags: ['x'] }, 'Expected null'],
      [{ Tags: [[]] }, 'Start of list found where not expected'],
      [{ Filter: 'x' }, 'Expected map or null'],
      [{ Filter: [] }, 'Start of list found where not expected'],
    ] as [Record<string, unknown>, string][])
      assert.equal(refusal(body), `malformed_request: ${words}`, JSON.stringify(body));
    assert.deepEqual(read({ Enabled: 'false' }), { Name: 'abc', Policy: 'A', Enabled: true }, 'as SES does');
    for (const query of [{ PageSize: 'x' }, { PageSize: ['1', '2'] }, { Since: 'yesterday' }])
      assert.match(refusal({}, { query: query as unknown as GivenInput['query'] }), /^malformed_request: /);
  });

  test('at each bound is taken, and one past it refused', () => {
    for (const [body, at, constraint] of [
      [{ Count: 0 }, 'count', 'have value greater than or equal to 1'],
      [{ Count: 11 }, 'count', 'have value less than or equal to 10'],
      [{ Policy: 'a' }, 'policy', 'satisfy enum value set: [A, B]'],
      [{ Policy: null }, 'policy', 'not be null'],
      [{ Words: ['LARGE', 'SMALL', 'SMALL', 'SMALL'] }, 'words', 'have length less than or equal to 3'],
      [
        { Words: ['X', 'Y'] },
        'words',
        'satisfy constraint: [Member must satisfy enum value set: [LARGE, SMALL]]',
      ],
      [
        { Words: [null] },
        'words',
        'satisfy constraint: [Member must satisfy enum value set: [LARGE, SMALL]]',
      ],
      [
        { Tags: [{ Key: 'abcd' }, { Key: 'abcde' }] },
        'tags.2.member.key',
        'have length less than or equal to 4',
      ],
      [{ Tags: [{ Key: 'aB' }] }, 'tags.1.member.key', 'satisfy regular expression pattern: [a-z]+'],
      [{ Tags: [{ Key: 'ab\n' }] }, 'tags.1.member.key', 'satisfy regular expression pattern: [a-z]+'],
      [{ Tags: [{}] }, 'tags.1.member.key', 'not be null'],
      [{ Tags: [null] }, 'tags.1.member', 'not be null'],
      [
        { Filter: { X: 'ab' } },
        'filter',
        'satisfy constraint: [Member must satisfy enum value set: [LARGE, SMALL]]',
      ],
      [{ Filter: { LARGE: 'a' } }, 'filter.LARGE.member', 'have length greater than or equal to 2'],
      [{ Filter: { LARGE: 'ab', SMALL: 'ab' } }, 'filter', 'have length less than or equal to 1'],
      [{ Coded: 's4://x' }, 'coded', 'satisfy regular expression pattern: s3://.*'],
      [{ Coded: `s3://${'x'.repeat(4092)}` }, 'coded', 'satisfy regular expression pattern: s3://.*'],
    ] as [Record<string, unknown>, string, string][]) {
      const words = refusal(body);
      assert.equal(words, broken(at, constraint));
    }
    for (const body of [{ Count: 1 }, { Count: 10 }, { Coded: `s3://${'x'.repeat(4091)}` }, { Words: [] }])
      assert.equal(refusal(body), 'accepted');
    assert.equal(refusal({}, { labels: {} }), broken('name', 'not be null'));
  });

  test('names every broken constraint, up to twenty', () => {
    assert.equal(
      refusal({ Policy: 'x', Count: 0 }),
      "bad_request: 2 validation errors detected: Value at 'policy' failed to satisfy constraint: Member must satisfy enum value set: [A, B]; " +
        "Value at 'count' failed to satisfy constraint: Member must have value greater than or equal to 1",
    );
    assert.match(
      refusal({ Tags: Array(1000).fill({ Key: 'A' }) }),
      /^bad_request: 20 validation errors detected: /,
    );
  });

  test('that is named as what every object has is what it says', () => {
    assert.equal(refusal(JSON.parse('{"constructor": 1, "__proto__": {"Count": 0}}')), 'accepted');
    assert.equal(
      refusal({ Filter: JSON.parse('{"__proto__": "ab"}') }),
      broken('filter', 'satisfy constraint: [Member must satisfy enum value set: [LARGE, SMALL]]'),
    );
  });

  test('of a form is text throughout', () => {
    const form = readers.textInput('Form');
    assert.deepEqual(
      form({
        Enabled: 'true',
        Count: '3',
        At: '2026-01-31T12:00:00Z',
        Data: 'aGk=',
        Weight: '1.5',
        Tags: [{ Key: 'ab' }],
      }),
      {
        Enabled: true,
        Count: 3,
        At: new Date('2026-01-31T12:00:00Z'),
        Data: Buffer.from('hi'),
        Weight: 1.5,
        Tags: [{ Key: 'ab' }],
      },
    );
    for (const bad of [{ Enabled: 'yes' }, { Count: '1e1' }, { Weight: 'NaN' }, { At: '1' }])
      assert.throws(() => form(bad), { code: 'malformed_request' });
  });
});

describe('output', () => {
  test('has times in seconds, bytes in base64, and known members only', () => {
    const write = new OutputWriters(MODEL, { check: false }).output('Request');
    assert.deepEqual(
      write({
        At: new Date(1500),
        Data: Buffer.from('hi'),
        Tags: [{ Key: 'ab', Value: undefined, Other: 1 }],
        Filter: { LARGE: 'ab' },
        Words: undefined,
        Other: 1,
      }),
      { At: 1.5, Data: 'aGk=', Tags: [{ Key: 'ab' }], Filter: { LARGE: 'ab' } },
    );
    assert.deepEqual(new OutputWriters(MODEL, { check: true }).output(undefined)(undefined), {});
  });

  test('is held against its shape where that is wanted', () => {
    const write = new OutputWriters(MODEL, { check: true }).output('Request');
    const whole = { Name: 'abc', Policy: 'A' };
    assert.deepEqual(write(whole), whole);
    for (const [more, message] of [
      [{ Other: 1 }, "The answer's Request.Other is not in the model."],
      [{ Policy: undefined }, "The answer's Request.Policy is not there."],
      [{ Policy: 'C' }, "The answer's Request.Policy is not A or B."],
      [{ Count: '1' }, "The answer's Request.Count is not integer."],
      [{ At: 1 }, "The answer's Request.At is not timestamp."],
      [{ Tags: {} }, "The answer's Request.Tags is not a list."],
      [{ Tags: [{ Key: new Date(0) }] }, "The answer's Request.Tags[0].Key is not string."],
      [{ Filter: 1 }, "The answer's Request.Filter is not a map."],
      [{ Tags: [1] }, "The answer's Request.Tags[0] is not a structure."],
    ] as [Record<string, unknown>, string][])
      assert.throws(() => write({ ...whole, ...more }), { message });
  });
});
