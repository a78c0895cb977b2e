/** Contact lists and contacts, with SES's rules and words. */
import assert from 'node:assert/strict';
import { beforeEach, describe, test } from 'node:test';
import { type ContactFilter, chosen, defaults } from '../../../lib/contacts/contact.ts';
import type { SubscriptionStatus, Topic } from '../../../lib/contacts/contact-list.ts';
import { ContactLists } from '../../../lib/contacts/contact-lists.ts';
import { type ContactInput, Contacts } from '../../../lib/contacts/contacts.ts';
import { contactChanger } from '../../../lib/contacts/unsubscribe.ts';
import { takeUnsubscribe, unsubscribeOutcome } from '../../../lib/contacts/unsubscriber.ts';
import type { Outcome } from '../../../lib/engine/items.ts';
import { openMemory } from '../../../lib/engine/memory/open.ts';
import type { Rows } from '../../../lib/engine/ports.ts';
import type { ReaderChoices, SubscriptionDetail } from '../../../lib/outcome/details.ts';
import { TestClock } from '../../support/clock.ts';
import { failure } from '../../support/control.ts';
import { messageRecord } from '../../support/outcomes.ts';

const TENANT = 'default';
const LIST = 'news';
const topic = (name: string, defaultStatus: SubscriptionStatus): Topic => ({
  name,
  displayName: name.toUpperCase(),
  defaultStatus,
});
const IN = 'OPT_IN';
const OUT = 'OPT_OUT';

let clock: TestClock;
let rows: Rows;
let lists: ContactLists;
let contacts: Contacts;

beforeEach(async () => {
  clock = new TestClock();
  ({ rows } = openMemory({ clock }));
  lists = new ContactLists(rows, clock);
  contacts = new Contacts(rows, clock);
  await lists.create({ name: LIST, tenant: TENANT, topics: [topic('tin', IN), topic('tout', OUT)] });
});

const add = (name: string, input: ContactInput = {}) =>
  contacts.create(TENANT, LIST, `${name}@example.com`, input);
const get = async (name: string) => (await contacts.get(TENANT, LIST, `${name}@example.com`)).contact;
const prefer = (choices: Record<string, SubscriptionStatus>) =>
  Object.entries(choices).map(([name, status]) => ({ topic: name, status }));

describe('a contact list', () => {
  test('is made, shown, changed and deleted with its contacts', async () => {
    const list = await lists.get(TENANT, LIST);
    const { createdAt, updatedAt } = list;
    assert.deepEqual([createdAt, updatedAt], [clock.now(), clock.now()]);
    clock.advance(5);
    await lists.update(TENANT, LIST, { description: 'Ours' });
    const changed = await lists.get(TENANT, LIST);
    assert.deepEqual(changed, { ...list, description: 'Ours', updatedAt: createdAt + 5 });
    await lists.update(TENANT, LIST, { topics: [topic('tin', OUT)] });
    assert.equal((await lists.get(TENANT, LIST)).description, 'Ours');
    assert.deepEqual(
      (await lists.list(TENANT, { max: 10 })).map(({ name, topics }) => [name, topics.length]),
      [[LIST, 1]],
    );
    await add('ann');
    await lists.delete(TENANT, LIST);
    assert.deepEqual(await lists.list(TENANT, { max: 10 }), []);
    assert.deepEqual(await rows.query({ kind: 'contact', partition: `${TENANT}/${LIST}`, max: 10 }), []);
    await assert.rejects(
      lists.get(TENANT, LIST),
      failure('not_found', /^List with name: news doesn't exist\.$/),
    );
    await assert.rejects(lists.delete(TENANT, LIST), failure('not_found', /news/));
    await lists.create({ name: 'other', tenant: TENANT, topics: [] });
  });

  test('is the only one of its tenant', async () => {
    const second = (name: string) => lists.create({ name, tenant: TENANT, topics: [] });
    for (const name of ['second', LIST])
      await assert.rejects(
        second(name),
        failure('bad_request', /^A maximum of 1 Lists allowed per account\.$/),
      );
    await lists.create({ name: LIST, tenant: 'shop', topics: [] });
    const made = await Promise.allSettled(
      ['a', 'b', 'c'].map((name) => lists.create({ name, tenant: 'race', topics: [] })),
    );
    const stand = await lists.list('race', { max: 10 });
    assert.ok(stand.length <= 1);
    assert.equal(made.filter(({ status }) => status === 'fulfilled').length, stand.length);
  });

  test("keeps SES's limits, at their edge", async () => {
    const topics = (count: number) => Array.from({ length: count }, (_, n) => topic(`t${n}`, IN));
    await lists.update(TENANT, LIST, { topics: topics(20), description: 'd'.repeat(500) });
    for (const [change, message] of [
      [{ topics: topics(21) }, /^Maximum of <20> topics allowed per ContactList$/],
      [{ description: 'd'.repeat(501) }, /^List description can contain up to 500 characters\.$/],
      [
        { topics: [topic('x', IN), topic('x', OUT)] },
        /^Duplicate topic names are not allowed within a List\.$/,
      ],
      [{ topics: [topic('', IN)] }, /^TopicName can't be blank\.$/],
      [
        { topics: [{ ...topic('x', IN), displayName: 'd'.repeat(129) }] },
        /^Topic DisplayName can contain up to <128>/,
      ],
      [{ topics: [topic('x'.repeat(65), IN)] }, /^TopicName can contain up to 64 characters\./],
    ] as const) {
      await assert.rejects(
        lists.update(TENANT, LIST, { ...change, topics: change.topics && [...change.topics] }),
        failure('bad_request', message),
      );
    }
    await lists.update(TENANT, LIST, {
      topics: [{ ...topic('x'.repeat(64), IN), displayName: 'd'.repeat(128) }],
    });
    for (const name of ['bad name!', 'a'.repeat(65), ''])
      await assert.rejects(lists.get(TENANT, name), failure('bad_request', /^ContactListName can/));
  });
});

describe('a contact', () => {
  test('is made with its choices; the others follow the list', async () => {
    await add('Alice', { preferences: prefer({ tin: OUT }), attributes: '{"name":"Alice"}' });
    const { list, contact } = await contacts.get(TENANT, LIST, 'alice@EXAMPLE.com');
    assert.equal(contact.address, 'Alice@example.com');
    assert.deepEqual(chosen(list, contact), prefer({ tin: OUT }));
    assert.deepEqual(defaults(list, contact), prefer({ tout: OUT }));
    assert.deepEqual([contact.unsubscribeAll, contact.attributes], [false, '{"name":"Alice"}']);
    const again = contacts.create(TENANT, LIST, 'ALICE@example.com', {});
    await assert.rejects(again, failure('already_exists', /^ALICE@example\.com already exists in List\.$/));
  });

  test('is updated: choices are merged, attributes replaced, a departure stays', async () => {
    await add('ann', { preferences: prefer({ tin: OUT }), attributes: '{}', unsubscribeAll: true });
    clock.advance(7);
    await contacts.update(TENANT, LIST, 'ann@example.com', { preferences: prefer({ tout: IN }) });
    const ann = await get('ann');
    assert.deepEqual(ann.topics, { tin: OUT, tout: IN });
    assert.deepEqual(
      [ann.attributes, ann.unsubscribeAll, ann.updatedAt - ann.createdAt],
      [undefined, true, 7],
    );
    await contacts.put(TENANT, LIST, 'ann@example.com', {});
    const { topics, unsubscribeAll, createdAt } = await get('ann');
    assert.deepEqual([topics, unsubscribeAll, createdAt], [{}, false, ann.createdAt]);
    await contacts.delete(TENANT, LIST, 'ANN@example.com');
    const missing = failure('not_found', /^ann@example\.com doesn't exist in List\.$/);
    await assert.rejects(get('ann'), missing);
    await assert.rejects(contacts.update(TENANT, LIST, 'ann@example.com', {}), missing);
    await assert.rejects(contacts.delete(TENANT, LIST, 'ann@example.com'), missing);
  });

  test('that is invalid is refused', async () => {
    const wide = `{"a":"${'x'.repeat(32_768 - 8)}"}`;
    await add('wide', { attributes: wide });
    for (const [call, message] of [
      [() => contacts.create(TENANT, LIST, 'not-an-email', {}), /^EmailAddress <not-an-email> is invalid$/],
      [() => contacts.get(TENANT, 'none', 'not-an-email'), /^EmailAddress <not-an-email> is invalid$/],
      [() => contacts.create(TENANT, LIST, '', {}), /^EmailAddress can't be blank\.$/],
      [() => add('a', { preferences: prefer({ nope: IN }) }), /^List: news doesn't contain Topic: nope$/],
      [
        () => add('a', { preferences: [...prefer({ tin: IN }), ...prefer({ tin: OUT })] }),
        /tin is named twice/,
      ],
      [() => add('a', { attributes: '[1]' }), /must be a valid JSON object/],
      [() => add('a', { attributes: 'x' }), /must be a valid JSON object/],
      [() => add('a', { attributes: `${wide} ` }), /has 32769 bytes; it may have 32768/],
    ] as const) {
      await assert.rejects(call, failure('bad_request', message));
    }
    const nowhere = contacts.create(TENANT, 'none', 'a@example.com', {});
    await assert.rejects(nowhere, failure('not_found', /^List with name: none doesn't exist\.$/));
  });

  test('is never lost to others who change it at the same time', async () => {
    await lists.update(TENANT, LIST, { topics: Array.from({ length: 8 }, (_, n) => topic(`t${n}`, IN)) });
    await add('ann');
    await Promise.all(
      Array.from({ length: 8 }, (_, n) =>
        contacts.update(TENANT, LIST, 'ann@example.com', { preferences: prefer({ [`t${n}`]: OUT }) }),
      ),
    );
    assert.equal(Object.keys((await get('ann')).topics).length, 8);
  });

  test('of a list that was deleted meanwhile is not in a later one of its name', async () => {
    const { createdAt } = await lists.get(TENANT, LIST);
    await lists.delete(TENANT, LIST);
    const value = {
      address: 'ann@example.com',
      unsubscribeAll: false,
      topics: {},
      createdAt,
      updatedAt: createdAt,
      list: createdAt,
    };
    await rows.put([{ kind: 'contact', partition: `${TENANT}/${LIST}`, key: 'ann@example.com', value }]);
    clock.advance(1);
    await lists.create({ name: LIST, tenant: TENANT, topics: [] });
    await assert.rejects(get('ann'), failure('not_found', /ann/));
    assert.deepEqual((await contacts.page(TENANT, LIST, { max: 10 })).contacts, []);
    await add('ann');
    assert.equal((await get('ann')).createdAt, createdAt + 1);
  });
});

describe('a page of contacts', () => {
  /** The contacts with which the filter was tried at Amazon SES. */
  beforeEach(async () => {
    await add('c1', { preferences: prefer({ tin: OUT, tout: IN }) });
    await add('c2', { preferences: prefer({ tin: IN, tout: OUT }) });
    await add('c3');
    await add('c4', { unsubscribeAll: true });
    await add('c5', { unsubscribeAll: true, preferences: prefer({ tin: IN, tout: IN }) });
    await add('c6', { preferences: prefer({ tin: OUT }) });
    await add('c7', { preferences: prefer({ tout: IN }) });
  });
  const page = async (
    filter: ContactFilter | undefined,
    max = 100,
    after?: string,
  ): Promise<[string, string | undefined]> => {
    const found = await contacts.page(TENANT, LIST, { filter, max, after });
    return [found.contacts.map(({ address }) => address[1]).join(''), found.after];
  };
  const ofTopic = (status: SubscriptionStatus, name: string, useDefault: boolean): ContactFilter => ({
    status,
    topic: { name, useDefault },
  });

  test('has the contacts that SES answers', async () => {
    for (const [filter, expected] of [
      [undefined, '1234567'],
      [{ status: IN }, '12367'],
      [{ status: OUT }, '45'],
      [ofTopic(IN, 'tin', false), '2'],
      [ofTopic(IN, 'tin', true), '237'],
      [ofTopic(OUT, 'tin', false), '1456'],
      [ofTopic(OUT, 'tin', true), '1456'],
      [ofTopic(IN, 'tout', false), '17'],
      [ofTopic(IN, 'tout', true), '17'],
      [ofTopic(OUT, 'tout', false), '245'],
      [ofTopic(OUT, 'tout', true), '23456'],
    ] as const) {
      assert.deepEqual(await page(filter), [expected, undefined], JSON.stringify(filter));
    }
    await assert.rejects(
      page(ofTopic(IN, 'nope', true)),
      failure('not_found', /doesn't contain Topic: nope/),
    );
  });

  test('is full, and the last one has no other behind it', async () => {
    const [first, after] = await page({ status: IN }, 2);
    assert.equal(first, '12');
    const [second, more] = await page({ status: IN }, 2, after);
    assert.equal(second, '36');
    assert.deepEqual(await page({ status: IN }, 2, more), ['7', undefined]);
    assert.deepEqual(await page({ status: OUT }, 2), ['45', undefined]);
    for (const max of [1, 2, 3, 6, 7]) {
      let all = '';
      let at: string | undefined;
      do {
        const [some, next] = await page(undefined, max, at);
        all += some;
        at = next;
      } while (at !== undefined);
      assert.equal(all, '1234567');
    }
  });
});

describe('a reader', () => {
  const ask = (address: string, change: object = {}) => {
    clock.advance(1);
    const request = { tenant: TENANT, list: LIST, address, messageId: 'm', at: clock.now(), ...change };
    return contactChanger(contacts)(request);
  };
  const status = (tin: string, tout: string, unsubscribeAll = false) => ({
    unsubscribeAll,
    topicSubscriptionStatus: [
      { topicName: 'tin', subscriptionStatus: tin },
      { topicName: 'tout', subscriptionStatus: tout },
    ],
  });

  test('leaves a topic or the list; a repeat changes nothing', async () => {
    await add('ann', { preferences: prefer({ tout: IN }) });
    const left = { before: status('OptIn', 'OptIn'), after: status('OptOut', 'OptIn') };
    assert.deepEqual(await ask('Ann@example.com', { topic: 'tin' }), left);
    assert.deepEqual(await ask('ann@example.com', { topic: 'tin' }), {
      before: left.after,
      after: left.after,
    });
    const gone = status('OptOut', 'OptIn', true);
    assert.deepEqual(await ask('ann@example.com'), { before: left.after, after: gone });
    assert.deepEqual((await get('ann')).topics, { tout: IN, tin: OUT });
    assert.equal((await get('ann')).unsubscribeAll, true);
  });

  test('chooses topics, and may come back', async () => {
    await add('ann', { unsubscribeAll: true, attributes: '{"n":1}' });
    const choices = { unsubscribeAll: false, topics: { tin: OUT, tout: IN, gone: IN } };
    const { before, after } = (await ask('ann@example.com', { choices }))!;
    assert.deepEqual([before, after], [status('OptIn', 'OptOut', true), status('OptOut', 'OptIn')]);
    const ann = await get('ann');
    assert.deepEqual(
      [ann.topics, ann.unsubscribeAll, ann.attributes],
      [{ tin: OUT, tout: IN }, false, '{"n":1}'],
    );
  });

  test('whose very same request comes again gets the same answer', async () => {
    await add('ann');
    clock.advance(1);
    const request = {
      tenant: TENANT,
      list: LIST,
      address: 'ann@example.com',
      messageId: 'm',
      at: clock.now(),
    };
    const first = await contactChanger(contacts)(request);
    assert.deepEqual(first, { before: status('OptIn', 'OptOut'), after: status('OptIn', 'OptOut', true) });
    assert.deepEqual(await contactChanger(contacts)(request), first);
  });

  test('needs no contact to be left alone', async () => {
    assert.equal((await ask('new@example.com'))!.after.unsubscribeAll, true);
    assert.equal((await get('new')).unsubscribeAll, true);
  });

  test('finds a list that is gone as good as left, and a topic too', async () => {
    assert.equal(await ask('ann@example.com', { list: 'none' }), undefined);
    const { before, after } = (await ask('ann@example.com', { topic: 'gone' }))!;
    assert.deepEqual(before, after);
  });

  test('is recorded with the message once for each change', async () => {
    const record = messageRecord({ recipients: ['ann@example.com'] });
    const recorded: Outcome[] = [];
    const parts = {
      records: { message: async () => record, reports: async () => recorded },
      unsubscribe: contactChanger(contacts),
    };
    const who = { messageId: record.id, tenant: TENANT, address: 'ann@example.com', contactList: LIST };
    const take = async (choices?: ReaderChoices) => {
      clock.advance(1);
      const outcome = unsubscribeOutcome(who, clock.now(), choices);
      const taken = await takeUnsubscribe(parts, outcome);
      if (taken?.recorded === false) recorded.push(taken.outcome);
      return { outcome, taken };
    };
    const { outcome } = await take();
    assert.equal((await takeUnsubscribe(parts, outcome))!.recorded, true, 'a queue brought it twice');
    assert.equal((await take()).taken, undefined, 'it changes nothing');
    await take({ unsubscribeAll: false, topics: {} });
    await take();
    assert.deepEqual(
      recorded.map(({ detail }) => (detail as SubscriptionDetail).after!.unsubscribeAll),
      [true, false, true],
    );
  });
});
