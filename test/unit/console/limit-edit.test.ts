import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  changed,
  entriesOf,
  LAYERS,
  LIMIT_NAMES,
  type LimitEdit,
} from '../../../lib/console/pages/limit-edit.ts';
import { limitTable } from '../../../lib/shaping/limits/table.ts';

const edit = (change: Partial<LimitEdit>): LimitEdit => ({
  layer: 'default',
  place: undefined,
  mail: {},
  limit: 'messageRate',
  value: '10/s',
  ...change,
});

test('a limit is set in its layer, for its mail, and the rest of the document stays', () => {
  const document = { default: { connections: 5, for: [{ tenant: '*', messageRate: '50/s' }] } };
  const before = structuredClone(document);
  const set = changed(
    document,
    edit({ layer: 'providers', place: 'google', limit: 'connections', value: '3' }),
  );
  assert.deepEqual(set, { value: { ...before, providers: { google: { connections: 3 } } }, was: undefined });
  const one = changed(set.value, edit({ mail: { tenant: 'shop' } }));
  assert.deepEqual((one.value as typeof document).default.for, [
    { tenant: '*', messageRate: '50/s' },
    { tenant: 'shop', messageRate: '10/s' },
  ]);
  assert.equal(changed(document, edit({ mail: { tenant: '*' } })).was, '50/s');
  assert.deepEqual(document, before, 'what is stored is not touched');
  limitTable(one.value);
});

test('a limit that is taken out leaves nothing behind', () => {
  const document = { providers: { google: { for: [{ pool: 'new', connections: 2 }] } } };
  const out = changed(
    document,
    edit({
      layer: 'providers',
      place: 'google',
      mail: { pool: 'new' },
      limit: 'connections',
      value: undefined,
    }),
  );
  assert.deepEqual(out, { value: {}, was: '2' });
  assert.deepEqual(changed(undefined, edit({ value: undefined })), { value: {}, was: undefined });
});

test('a name that every object has is no place of a document', () => {
  const { value } = changed(
    {},
    edit({ layer: 'providers', place: '__proto__', limit: 'connections', value: '3' }),
  );
  assert.equal(({} as Record<string, unknown>).connections, undefined);
  assert.throws(() =>
    limitTable(JSON.parse(JSON.stringify(value).replace('{}', '{"__proto__":{"connections":3}}'))),
  );
});

test('every limit of a document is found, and each that is offered is one that documents have', () => {
  const document = {
    default: { connections: 5, for: [{ tenant: '*', class: 'bulk', messageRate: '50/s' }] },
    sites: { 'mx.example.com': { tls: 'required' } },
  };
  assert.deepEqual(
    entriesOf(document).map(({ layer, place, mail, limit, text }) => [layer, place, mail, limit, text]),
    [
      ['default', undefined, {}, 'connections', '5'],
      ['default', undefined, { tenant: '*', class: 'bulk' }, 'messageRate', '50/s'],
      ['sites', 'mx.example.com', {}, 'tls', 'required'],
    ],
  );
  for (const limit of Object.keys(LIMIT_NAMES))
    assert.throws(
      () => limitTable({ default: { [limit]: {} } }),
      (error: Error) => !/unknown|not a member/i.test(error.message) && error.message.includes(limit),
    );
  for (const [layer, { named }] of Object.entries(LAYERS))
    limitTable({ [layer]: named === undefined ? {} : { google: {} } });
});
