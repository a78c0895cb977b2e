import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readBlockedLinks } from '../../lib/tracking/blocked-links.ts';

const NOW = Date.UTC(2026, 0, 15);
const read = (blocked: unknown) => readBlockedLinks({ blocked }, 'links');

test('a link is switched off by its domain, or by itself', () => {
  const find = read([
    { domain: 'Shop.example', reason: 'Phishing was reported.' },
    { url: 'https://a.example/offer?id=7', reason: 'Wrong.', until: '2026-01-16' },
  ]);
  for (const url of [
    'https://shop.example/',
    'http://user@www.SHOP.example:8080/x',
    'https://shop.example./x',
    'https://a.example/offer?id=7',
  ]) {
    assert.ok(find(url, NOW), url);
  }
  for (const url of [
    'https://notshop.example/',
    'https://shop.example.evil.example/',
    'https://a.example/offer?id=70',
    'https://a.example/',
    'no link',
  ]) {
    assert.equal(find(url, NOW), undefined, url);
  }
  assert.equal(find('https://a.example/offer?id=7', Date.UTC(2026, 0, 16)), undefined, 'its time is over');
  assert.equal(find('https://shop.example/', NOW)!.reason, 'Phishing was reported.');
  assert.equal(readBlockedLinks({}, 'links')('https://shop.example/', NOW), undefined);
});

test('a document that is wrong is refused with its place', () => {
  const reason = 'x';
  const wrong: [unknown, RegExp][] = [
    [[{ reason }], /^links\.blocked\[0\]: name either/],
    [[{ domain: 'a.example', url: 'https://a.example/', reason }], /name either/],
    [[{ domain: 'https://a.example', reason }], /blocked\[0\]\.domain/],
    [[{ url: 'javascript:alert(1)', reason }], /blocked\[0\]\.url/],
    [[{ domain: 'a.example' }], /reason/],
    [[{ domain: 'a.example', reason, until: 'soon' }], /until/],
    [[{ domain: 'a.example', reason, untl: '2026-01-01' }], /untl.* unknown/],
    [Array.from({ length: 1001 }, () => ({ domain: 'a.example', reason })), /more than 1000/],
  ];
  for (const [blocked, message] of wrong)
    assert.throws(() => read(blocked), { code: 'bad_request', message });
});
