/** Contract of the search of messages: newest first, by what a record has, in pages that miss and repeat nothing. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { MessageRecord } from '../../lib/engine/items.ts';
import type { MessageSearch } from '../../lib/engine/search.ts';
import { admit, type EngineUnderTest, mail, newLane, newTenant } from './harness.ts';

/** Time until a message is found everywhere, ms. */
const SHOWS = 1_000;

export function searchContract(under: () => EngineUnderTest): void {
  /** Takes a message in. @returns its id. */
  async function sent(
    tenant: string,
    recipients: string[],
    change: Partial<MessageRecord> = {},
  ): Promise<string> {
    const { engine, clock } = under();
    const message = mail(clock.now(), { tenant, lane: newLane(), recipients });
    Object.assign(message.record, change);
    await admit(engine, message);
    await clock.advance(10);
    return message.record.id;
  }

  /** All that a search finds, page by page. */
  async function found(search: Omit<MessageSearch, 'max'>, max = 100): Promise<string[]> {
    const ids: string[] = [];
    for (let { after } = search, pages = 0; ; pages += 1) {
      assert.ok(pages < 500, 'the search ends');
      const page = await under().engine.records.search({ ...search, max, after });
      assert.ok(page.messages.length <= max);
      ids.push(...page.messages.map(({ id }) => id));
      assert.equal(page.cursors.length, page.messages.length);
      if (page.next === undefined) return ids;
      after = page.next;
    }
  }

  describe('search', () => {
    test('finds the messages of a tenant, newest first, in pages of any size', async () => {
      const [tenant, other] = [newTenant(), newTenant()];
      const ids: string[] = [];
      for (let n = 0; n < 12; n += 1) ids.unshift(await sent(tenant, [`user${n}@example.net`]));
      await sent(other, ['user1@example.net']);
      await under().clock.advance(SHOWS);
      for (const max of [1, 5, 100]) assert.deepEqual(await found({ tenant }, max), ids);
      assert.deepEqual(await found({ tenant: newTenant() }), []);
    });

    test('goes on behind any message of a page', async () => {
      const tenant = newTenant();
      const ids: string[] = [];
      for (let n = 0; n < 3; n += 1) ids.unshift(await sent(tenant, ['a@example.net', 'b@example.net']));
      await under().clock.advance(SHOWS);
      for (const recipient of [undefined, 'b@example.net']) {
        const { cursors } = await under().engine.records.search({ tenant, recipient, max: 9 });
        for (const [at, after] of cursors.entries())
          assert.deepEqual(await found({ tenant, recipient, after }), ids.slice(at + 1));
      }
    });

    test('by recipient in any case, whichever of a message it is', async () => {
      const tenant = newTenant();
      const first = await sent(tenant, ['Ann@Example.net', 'bob@example.net']);
      await sent(tenant, ['ann@example.net.invalid']);
      const second = await sent(tenant, ['cy@example.net', 'ann@example.net']);
      await sent(newTenant(), ['ann@example.net']);
      await under().clock.advance(SHOWS);
      assert.deepEqual(await found({ tenant, recipient: 'ANN@example.NET' }), [second, first]);
      assert.deepEqual(await found({ tenant, recipient: 'ann@example.net' }, 1), [second, first]);
      assert.deepEqual(await found({ tenant, recipient: 'bob@example.net' }), [first]);
      assert.deepEqual(await found({ tenant, recipient: 'dee@example.net' }), []);
    });

    test('by sender, campaign, and all of them together', async () => {
      const tenant = newTenant();
      const source = 'Ann "x" <Ann@Example.com>';
      const spring = await sent(tenant, ['a@example.net'], { source, campaign: 'spring' });
      const plain = await sent(tenant, ['a@example.net'], { source });
      const autumn = await sent(tenant, ['a@example.net'], { campaign: 'autumn' });
      await under().clock.advance(SHOWS);
      assert.deepEqual(await found({ tenant, sender: 'ann@example.com' }), [plain, spring]);
      assert.deepEqual(await found({ tenant, campaign: 'autumn' }), [autumn]);
      const both = { tenant, recipient: 'A@example.net', sender: 'Ann@example.com' };
      assert.deepEqual(await found(both), [plain, spring]);
      assert.deepEqual(await found({ ...both, campaign: 'spring' }), [spring]);
      assert.deepEqual(await found({ ...both, campaign: 'autumn' }), []);
    });

    test('by time: from here on, and before', async () => {
      const tenant = newTenant();
      const { clock } = under();
      const [one, at] = [await sent(tenant, ['a@example.net']), clock.now()];
      const two = await sent(tenant, ['a@example.net']);
      const after = clock.now();
      const three = await sent(tenant, ['a@example.net']);
      await clock.advance(SHOWS);
      for (const recipient of [undefined, 'a@example.net']) {
        assert.deepEqual(await found({ tenant, recipient, from: at, before: after }), [two]);
        assert.deepEqual(await found({ tenant, recipient, from: at }), [three, two]);
        assert.deepEqual(await found({ tenant, recipient, before: at }), [one]);
        assert.deepEqual(await found({ tenant, recipient, from: after, before: at }), []);
      }
    });

    test('an address with letters that JSON or SQL read otherwise is found', async () => {
      const tenant = newTenant();
      for (const address of [`"a\\"b%_'*"@example.net`, 'jösé@bücher.example', 'ÉMILE@example.net']) {
        const id = await sent(tenant, [address]);
        await under().clock.advance(SHOWS);
        assert.deepEqual(await found({ tenant, recipient: address }), [id]);
      }
    });

    test('a cursor that no answer had is refused', async () => {
      for (const after of ['x', '-1', '1 OR 1', '9'.repeat(40)]) {
        const search = { tenant: newTenant(), after, max: 1 };
        await assert.rejects(under().engine.records.search(search), { code: 'invalid_page_token' });
      }
    });
  });
}
