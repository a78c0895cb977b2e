import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SES_V2 } from '../../../lib/ses/model/models.ts';
import { matchRoute } from '../../../lib/ses/router.ts';

test('every operation is found by its method and path, with and without a trailing slash', () => {
  for (const [operation, { method, path }] of Object.entries(SES_V2.operations)) {
    const names = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name!);
    const raw = path.replace(/\{\w+\}/g, (label) => `v%20${label.slice(1, -1)}%2Fx`);
    const labels = Object.fromEntries(names.map((name) => [name, `v ${name}/x`]));
    const other = raw.endsWith('/') ? raw.slice(0, -1) : `${raw}/`;
    assert.deepEqual(matchRoute(method, raw), { operation, labels }, raw);
    assert.deepEqual(matchRoute(method, other), { operation, labels }, other);
  }
});

test('the lists of older SDKs are found where those look for them', () => {
  for (const [path, operation] of [
    ['/v2/email/identities', 'ListEmailIdentities'],
    ['/v2/email/configuration-sets', 'ListConfigurationSets'],
  ] as const)
    assert.deepEqual(matchRoute('GET', path), { operation, labels: {}, fromQuery: true });
});

test('a label is decoded once', () => {
  assert.deepEqual(matchRoute('GET', '/v2/email/identities/a%252Fb'), {
    operation: 'GetEmailIdentity',
    labels: { EmailIdentity: 'a%2Fb' },
  });
});

test('another method, an empty label, or a path of another depth matches nothing', () => {
  for (const [method, path] of [
    ['PATCH', '/v2/email/account'],
    ['PUT', '/v2/email/identities'],
    ['GET', '/v2/email/identities//dkim'],
    ['GET', '/v2/email/account//'],
    ['GET', '/V2/email/account'],
    ['GET', '/v2/email/acc%6Funt'],
    ['GET', ''],
    ['GET', '*'],
    ['GET', 'http://host/v2/email/account'],
    ['GET', '/v2/email/constructor'],
  ] as const)
    assert.equal(matchRoute(method, path), undefined, path);
});
