import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { type ForgottenSites, openForgottenSites } from '../../../lib/control/forgotten-sites.ts';
import { type PosternServer, startPosternServer } from '../../support/postern-server.ts';

const SITE = '(a,b).mx.example.test';
const PATH = `/sites/${encodeURIComponent(SITE)}/forget`;

let server: PosternServer;
/** Another process on the same store. */
let other: ForgottenSites;
const asked: string[] = [];

before(async () => {
  server = await startPosternServer({
    forgetSite(site) {
      asked.push(site);
      return { sources: [{ ip: '192.0.2.1', lessons: ['messageRate'] }], hosts: [SITE] };
    },
  });
  other = await openForgottenSites(server.engine.config, server.clock);
});
after(async () => {
  other.close();
  await server.close();
});

describe('forgetting what was learnt of a site', () => {
  test('ends directives of rules for it, is stored for every node, and lists what was forgotten', async () => {
    const raise = (id: string, site: string) => ({
      id,
      match: { site },
      action: { kind: 'suspend' as const },
      reason: 'The site asks to wait',
      until: server.clock.now() + 60_000,
      origin: { rule: 'test.wait', reply: '421 later' },
    });
    server.control.directives.raise([raise('one', SITE), raise('two', 'mx.other.test')]);
    const byHand = await server.control.directives.order(
      { match: { site: SITE }, action: { kind: 'suspend' }, reason: 'maintenance' },
      { operator: 'AKIAOPS' },
    );
    const seen: string[] = [];
    const unwatch = other.watch((site) => seen.push(site));
    const { status, json } = await server.call('POST', PATH, { key: 'admin' });
    assert.equal(status, 200);
    assert.deepEqual(json, {
      site: SITE,
      at: '2026-01-01T00:00:00.000Z',
      directives: ['one'],
      sources: [{ ip: '192.0.2.1', lessons: ['messageRate'] }],
      hosts: [SITE],
    });
    assert.deepEqual(asked, [SITE]);
    const left = server.control.directives.list().map(({ id }) => id);
    assert.deepEqual(left, [byHand.id, 'two']);
    for (let i = 0; i < 1000 && seen.length === 0; i += 1)
      await new Promise<void>((resolve) => setImmediate(resolve));
    assert.deepEqual(seen, [SITE]);
    assert.equal(other.at(SITE), server.clock.now());
    unwatch();
  });

  test("needs an administrator's key, and the name of a site", async () => {
    const { status, json } = await server.call('POST', PATH, { key: 'user' });
    assert.deepEqual([status, json.error.code], [403, 'access_denied']);
    const wrong = await server.call('POST', `/sites/${encodeURIComponent('a site')}/forget`, {
      key: 'admin',
    });
    assert.equal(wrong.status, 400);
    assert.equal(asked.length, 1);
  });
});

describe('forgetting a site in a process without egress', () => {
  test('is stored too, with a note', async () => {
    const silent = await startPosternServer();
    const { status, json } = await silent.call('POST', PATH, { key: 'admin' });
    assert.equal(status, 200);
    assert.match(json.note, /each node forgets/);
    await silent.close();
  });
});
