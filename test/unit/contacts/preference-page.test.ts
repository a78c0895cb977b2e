/** The page on which a reader chooses topics: no script, a form that posts to its own sealed link. */
import assert from 'node:assert/strict';
import { beforeEach, describe, test } from 'node:test';
import type { Context } from 'hono';
import { parse } from 'parse5';
import { textsFor } from '../../../lib/api/preference-texts.ts';
import { createTracking } from '../../../lib/api/tracking.ts';
import { ContactLists } from '../../../lib/contacts/contact-lists.ts';
import { Contacts } from '../../../lib/contacts/contacts.ts';
import { contactChanger } from '../../../lib/contacts/unsubscribe.ts';
import { takeUnsubscribe } from '../../../lib/contacts/unsubscriber.ts';
import { openMemory } from '../../../lib/engine/memory/open.ts';
import type { RawRequest } from '../../../lib/http/raw-request.ts';
import { silentLog } from '../../../lib/log.ts';
import { TestClock } from '../../support/clock.ts';
import { messageRecord } from '../../support/outcomes.ts';
import { BASE, HOST, LINKS, MESSAGE, UNSUBSCRIBE } from '../../support/tracking.ts';

const WHO = {
  messageId: MESSAGE.messageId,
  tenant: 'default',
  address: 'ann@example.net',
  contactList: 'news',
};
const LINK = UNSUBSCRIBE.links.make(HOST, { ...WHO, topic: 'tips' });

let clock: TestClock;
let contacts: Contacts;
let lists: ContactLists;
let call: (method: string, body?: string, language?: string, path?: string) => Promise<Response>;

beforeEach(async () => {
  clock = new TestClock();
  const { rows } = openMemory({ clock });
  contacts = new Contacts(rows, clock);
  lists = new ContactLists(rows, clock);
  await lists.create({
    tenant: 'default',
    name: 'news',
    description: 'From <us>',
    topics: [
      { name: 'tips', displayName: 'Tips & "tricks"', description: 'Each <week>', defaultStatus: 'OPT_IN' },
      { name: 'offers', displayName: 'Offers', defaultStatus: 'OPT_OUT' },
    ],
  });
  const record = messageRecord({ id: WHO.messageId, recipients: [WHO.address] });
  const parts = {
    records: { message: async () => record, reports: async () => [] },
    unsubscribe: contactChanger(contacts),
  };
  const app = createTracking({
    links: LINKS,
    unsubscribeLinks: UNSUBSCRIBE.links,
    contacts,
    report: async (outcome) => void (await takeUnsubscribe(parts, outcome)),
    clock,
    log: silentLog,
  });
  call = async (method, body = '', language = '', path = LINK) => {
    clock.advance(1);
    const headers: [string, string][] = [
      ['host', HOST],
      ['accept-language', language],
    ];
    const incoming: RawRequest = {
      method,
      rawPath: path,
      rawQuery: '',
      headers,
      sourceIp: '192.0.2.7',
      body: Buffer.from(body),
    };
    return app.fetch(new Request(`${BASE}${path}`, { method }), { incoming } as Context['env']);
  };
});

interface Field {
  type: string;
  name: string;
  value: string;
  checked: boolean;
}

/** The fields of the page's form, as a browser reads them. */
function fieldsOf(html: string): Field[] {
  const found: Field[] = [];
  const walk = (node: {
    tagName?: string;
    attrs?: { name: string; value: string }[];
    childNodes?: object[];
  }): void => {
    if (node.tagName === 'script') assert.fail('the page has a script');
    if (node.tagName === 'input') {
      const of = (name: string) => node.attrs!.find((one) => one.name === name)?.value;
      found.push({
        type: of('type')!,
        name: of('name')!,
        value: of('value')!,
        checked: of('checked') !== undefined,
      });
    }
    for (const child of node.childNodes ?? []) walk(child);
  };
  walk(parse(html) as never);
  return found;
}

/** The body that a browser posts after a reader has set boxes. */
function filledIn(html: string, boxes: Record<string, boolean>): string {
  const form = new URLSearchParams();
  for (const { type, name, value, checked } of fieldsOf(html)) {
    if (type === 'hidden' || (boxes[name === 'all' ? 'all' : value] ?? checked)) form.append(name, value);
  }
  return form.toString();
}

const contact = async () => (await contacts.get('default', 'news', WHO.address)).contact;

describe('the preference page', () => {
  test('shows what holds, and stores what a reader chose', async () => {
    const page = await call('GET');
    const html = await page.text();
    assert.equal(page.status, 200);
    assert.match(page.headers.get('content-security-policy')!, /default-src 'none'; form-action 'self'/);
    assert.deepEqual(
      fieldsOf(html)
        .filter(({ type }) => type === 'checkbox')
        .map(({ value, checked }) => [value, checked]),
      [
        ['tips', true],
        ['offers', false],
        ['1', false],
      ],
    );
    assert.ok(
      html.includes('Tips &#38; &#34;tricks&#34;') &&
        html.includes('Each &#60;week&#62;') &&
        html.includes('From &#60;us&#62;'),
    );
    await assert.rejects(contact(), 'looking changes nothing');

    const saved = await call('POST', filledIn(html, { tips: false, offers: true }));
    assert.equal(saved.status, 200);
    assert.match(await saved.text(), /Your choices are saved/);
    assert.deepEqual((await contact()).topics, { tips: 'OPT_OUT', offers: 'OPT_IN' });

    const again = await (await call('GET')).text();
    await call('POST', filledIn(again, { all: true }));
    const left = await contact();
    assert.deepEqual([left.unsubscribeAll, left.topics], [true, { tips: 'OPT_OUT', offers: 'OPT_IN' }]);
    const gone = await (await call('GET')).text();
    assert.ok(fieldsOf(gone).find(({ name }) => name === 'all')!.checked);
    await call('POST', filledIn(gone, { all: false, tips: true }));
    assert.deepEqual([(await contact()).unsubscribeAll, (await contact()).topics.tips], [false, 'OPT_IN']);
  });

  test('unsubscribes from the topic by any other POST', async () => {
    for (const body of ['List-Unsubscribe=One-Click', '', 'x'.repeat(20_000)]) {
      const answer = await call('POST', body);
      assert.match(await answer.text(), /ann@example\.net is unsubscribed/);
      assert.deepEqual((await contact()).topics, { tips: 'OPT_OUT' });
      await contacts.delete('default', 'news', WHO.address);
    }
  });

  test('takes nothing from a form but topics of the list', async () => {
    const names = ['tips', 'nope', '__proto__', 'a b', 'x'.repeat(65)];
    const form = new URLSearchParams([
      ['preferences', '1'],
      ...names.map((name) => ['shown', name] as [string, string]),
    ]);
    assert.equal((await call('POST', form.toString())).status, 200);
    assert.deepEqual(Object.entries((await contact()).topics), [['tips', 'OPT_OUT']]);
  });

  test('has one button where the list is gone, or the sender keeps it', async () => {
    await lists.delete('default', 'news');
    const own = UNSUBSCRIBE.links.make(HOST, { ...WHO, contactList: undefined });
    for (const path of [LINK, own]) {
      const html = await (await call('GET', '', '', path)).text();
      assert.deepEqual(
        fieldsOf(html).map(({ name }) => name),
        ['List-Unsubscribe'],
      );
      assert.equal((await call('POST', '', '', path)).status, 200);
    }
  });

  test("speaks the reader's language", async () => {
    const german = await call('GET', '', 'xx, de-AT;q=0.9, en;q=0.5');
    assert.equal(german.headers.get('content-language'), 'de');
    assert.match(await german.text(), /<html lang="de">.*Ihre Abonnements/);
    for (const [accepted, language] of [
      [undefined, 'en'],
      ['', 'en'],
      ['zz', 'en'],
      ['fr;q=0, es', 'es'],
      ['en;q=0.1,fr;q=0.7', 'fr'],
      ['__proto__', 'en'],
      [';q=x,'.repeat(1_000), 'en'],
    ] as const) {
      assert.equal(textsFor(accepted).language, language, accepted);
    }
  });
});
