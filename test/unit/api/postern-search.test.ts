/** `GET /v1/messages` over a real server: what is found, in pages, and what is refused. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { MessageRecord } from '../../../lib/engine/items.ts';
import { attempt, messageRecord, outcome } from '../../support/outcomes.ts';
import { type PosternServer, startPosternServer } from '../../support/postern-server.ts';

describe('the search of messages', () => {
  let server: PosternServer;
  const times: string[] = [];

  /** A message whose deliveries ended at once. */
  async function ended(id: string, change: Partial<MessageRecord>, bounced = false): Promise<void> {
    const at = server.clock.now();
    times.push(new Date(at).toISOString());
    const record = messageRecord({ id, tenant: 'default', acceptedAt: at, ...change });
    const google = { host: 'aspmx.l.google.com', address: '192.0.2.1', port: 25 };
    const last = bounced
      ? attempt({ at, state: 'bounced', reason: 'peer_permanent', text: '550 5.1.1 no' })
      : attempt({ at, mx: google });
    const settled = record.recipients.map((_, n) =>
      outcome('attempt', { messageId: id, n, at, attempt: last }),
    );
    await server.engine.queue.admit([{ record, body: Buffer.alloc(0), deliveries: [], settled }]);
    server.clock.advance(1_000);
  }

  before(async () => {
    server = await startPosternServer();
    const headers = (subject: string) => ({ ...messageRecord().commonHeaders, subject });
    await ended('one', { recipients: ['ann@example.net'], commonHeaders: headers('Your order 1') });
    await ended('two', { recipients: ['bob@example.net', 'Ann@example.net'], campaign: 'spring' }, true);
    await ended('three', { tags: { kind: ['receipt'] }, source: 'Shop <shop@example.org>' });
    await ended('four', { tenant: 'other', recipients: ['ann@example.net'] });
    await ended('five', { recipients: ['ann@example.net'], commonHeaders: headers('your ORDER 2') });
  });
  after(() => server.close());

  const search = (query: string, key: 'admin' | 'user' | 'other' = 'user') =>
    server.call('GET', `/messages?${query}`, { key });
  const ids = async (query: string, key?: 'admin' | 'user' | 'other'): Promise<string[]> =>
    (await search(query, key)).json.messages.map(({ id }: { id: string }) => id);

  test('by each of what it knows, newest first', async () => {
    assert.deepEqual(await ids(''), ['five', 'three', 'two', 'one']);
    assert.deepEqual(await ids('recipient=ANN@example.net'), ['five', 'two', 'one']);
    assert.deepEqual(await ids('sender=shop@example.org'), ['three']);
    assert.deepEqual(await ids('subject=Your order'), ['five', 'one']);
    assert.deepEqual(await ids('campaign=spring'), ['two']);
    assert.deepEqual(await ids('tag=kind=receipt'), ['three']);
    assert.deepEqual(await ids('state=bounced'), ['two']);
    assert.deepEqual(await ids('provider=google'), ['five', 'three', 'one']);
    assert.deepEqual(await ids(`from=${times[1]}&to=${times[4]}`), ['three', 'two']);
    assert.deepEqual(await ids('recipient=ann@example.net&state=delivered&subject=your order 2'), ['five']);
    assert.deepEqual(await ids('recipient=nobody@example.net'), []);
  });

  test('shows each with its deliveries', async () => {
    const { json } = await search('campaign=spring');
    const [{ deliveries, recipients, campaign }] = json.messages;
    assert.deepEqual([recipients, campaign], [2, 'spring']);
    assert.deepEqual(deliveries, [
      { recipient: 'bob@example.net', state: 'bounced', reason: 'peer_permanent' },
      { recipient: 'Ann@example.net', state: 'bounced', reason: 'peer_permanent' },
    ]);
  });

  test('in pages that go on behind the last message shown', async () => {
    const pages: string[][] = [];
    for (let after = ''; ; ) {
      const { json } = await search(`subject=your&max=1${after}`);
      if (json.messages.length > 0) pages.push(json.messages.map(({ id }: { id: string }) => id));
      if (json.next === undefined) break;
      after = `&after=${json.next}`;
    }
    assert.deepEqual(pages, [['five'], ['one']]);
  });

  test("a key finds its own tenant's messages, an administrator's those of any", async () => {
    assert.deepEqual(await ids('recipient=ann@example.net', 'other'), ['four']);
    assert.deepEqual(await ids('tenant=other', 'admin'), ['four']);
    assert.equal((await search('tenant=default', 'other')).status, 403);
  });

  test('what cannot be searched for is refused with the parameter and why', async () => {
    const cases: [string, RegExp, string?][] = [
      ['state=lost', /^state: must be one of accepted/],
      ['tag=spring', /^tag: is written name=value/],
      ['max=201', /^max: must be a number from 1 to 200/],
      ['from=yesterday', /^from: must be a time/],
      [`subject=${'x'.repeat(513)}`, /^subject: has more than 512/],
      ['after=nowhere', /cursor/, 'invalid_page_token'],
    ];
    for (const [query, message, code = 'bad_request'] of cases) {
      const { status, json } = await search(query);
      assert.deepEqual([query.slice(0, 20), status, json.error.code], [query.slice(0, 20), 400, code]);
      assert.match(json.error.message, message);
    }
  });
});
