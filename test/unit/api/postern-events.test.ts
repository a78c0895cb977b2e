import assert from 'node:assert/strict';
import { once } from 'node:events';
import { request } from 'node:http';
import { after, before, describe, test } from 'node:test';
import type { Outcome } from '../../../lib/engine/items.ts';
import { settled } from '../../support/engine.ts';
import { attempt, messageRecord, outcome } from '../../support/outcomes.ts';
import { KEYS, type PosternServer, startPosternServer } from '../../support/postern-server.ts';

let server: PosternServer;
let made = 0;

before(async () => {
  server = await startPosternServer();
});
after(() => server.close());

/** A message with outcomes that are over, in the feed. @returns its base id. */
async function take(
  change: Parameters<typeof messageRecord>[0],
  ...kinds: Partial<Outcome>[]
): Promise<string> {
  made += 1;
  const id = `0100000000000${String(made).padStart(3, '0')}-0f8fad5b-d9cb-469f-a165-70867728950e-000000`;
  const record = messageRecord({ id, tenant: 'default', ...change });
  const settledHere = kinds.map(({ kind = 'attempt', ...rest }) => {
    const at = server.clock.now();
    return outcome(kind, { messageId: id, tenant: record.tenant, at, attempt: attempt({ at }), ...rest });
  });
  await server.engine.queue.admit([{ record, body: Buffer.alloc(0), deliveries: [], settled: settledHere }]);
  return id;
}

async function list(query: string, key: 'admin' | 'user' | 'other' = 'admin') {
  const { status, json } = await server.call('GET', `/events?${query}`, { key });
  assert.equal(status, 200);
  const shown = json.events.map(
    ({ messageId, type }: { messageId: string; type: string }) => `${messageId.slice(13, 16)} ${type}`,
  );
  return { shown, ...json };
}

describe('events that are fetched', () => {
  const refused = { attempt: attempt({ state: 'bounced', reason: 'peer_permanent', text: '550 5.1.1 no' }) };

  before(async () => {
    await take({ tags: { campaign: ['spring'] }, recipients: ['ann@example.net'] }, {});
    await take({ recipients: ['Bob@example.net', 'ann@example.net'] }, { n: 0 }, { n: 1, ...refused });
    await take({ tenant: 'other', recipients: ['ann@example.net'] }, refused);
    // What a reader causes names no tenant in its outcome.
    const open = { ipAddress: '192.0.2.1', userAgent: 'x' };
    await take({ tenant: 'other' }, { kind: 'open', tenant: '', n: undefined, detail: open });
  });

  test('come behind a cursor, by type, tenant, tag, recipient and message', async () => {
    assert.deepEqual((await list('')).shown, [
      '001 DELIVERY',
      '002 DELIVERY',
      '002 BOUNCE',
      '003 BOUNCE',
      '004 OPEN',
    ]);
    assert.deepEqual((await list('type=BOUNCE,OPEN')).shown, ['002 BOUNCE', '003 BOUNCE', '004 OPEN']);
    assert.deepEqual((await list('tenant=other')).shown, ['003 BOUNCE', '004 OPEN']);
    assert.deepEqual((await list('tag=campaign=spring')).shown, ['001 DELIVERY']);
    assert.deepEqual((await list('recipient=bob@EXAMPLE.net')).shown, ['002 DELIVERY']);
    assert.deepEqual((await list('recipient=ann@example.net&type=BOUNCE')).shown, [
      '002 BOUNCE',
      '003 BOUNCE',
    ]);
    const { events } = await list('max=1');
    assert.deepEqual((await list(`message=${events[0].messageId}`)).shown, ['001 DELIVERY']);
    assert.deepEqual((await list('after=latest')).shown, []);
  });

  test('are those of the own tenant for a key that is not an administrator’s', async () => {
    assert.deepEqual((await list('', 'user')).shown, ['001 DELIVERY', '002 DELIVERY', '002 BOUNCE']);
    assert.deepEqual((await list('', 'other')).shown, ['003 BOUNCE', '004 OPEN']);
    const { status, json } = await server.call('GET', '/events?tenant=other', { key: 'user' });
    assert.deepEqual([status, json.error.code], [403, 'access_denied']);
  });

  test('come in pages, each event once, to the end', async () => {
    const seen: string[] = [];
    for (let page = await list('max=2'); ; page = await list(`max=2&after=${page.cursor}`)) {
      seen.push(...page.shown);
      if (!page.more) break;
    }
    assert.deepEqual(seen, (await list('')).shown);
  });

  test('that few match cost a bounded scan, whose cursor goes on', async () => {
    const { cursor } = await list('');
    for (let part = 0; part < 6; part += 1) {
      await take({}, ...Array.from({ length: 1_000 }, () => ({ n: 0 })));
    }
    await take({ tags: { campaign: ['rare'] } }, {});
    const first = await list(`tag=campaign=rare&after=${cursor}`);
    assert.deepEqual([first.shown.length, first.more], [0, true]);
    const second = await list(`tag=campaign=rare&after=${first.cursor}`);
    assert.deepEqual([second.shown.length, second.more], [1, false]);
  });

  test('are refused for a wrong parameter, with the reason', async () => {
    for (const [query, code, message] of [
      ['type=SPITE', 'bad_request', /type: must be of SEND/],
      ['tag=x', 'bad_request', /tag: is written name=value/],
      ['from=yesterday', 'bad_request', /from: must be a time/],
      ['max=501', 'bad_request', /max: must be a number from 1 to 500/],
      ['tenant=a%2Fb', 'bad_request', /tenant: is not the name/],
      ['after=x', 'invalid_page_token', /cursor/],
      [`recipient=${'x'.repeat(513)}`, 'bad_request', /recipient: has more than 512/],
    ] as const) {
      const { status, json } = await server.call('GET', `/events?${query}`, { key: 'admin' });
      assert.deepEqual([status, json.error.code], [400, code], query);
      assert.match(json.error.message, message);
    }
  });
});

/** A stream as its reader has it, by a raw request: fetch reads ahead. */
async function stream(
  query = '',
  key: { id: string; secret: string } = KEYS.admin,
  headers: Record<string, string> = {},
) {
  const { id, secret } = key;
  const sent = request(`${server.url}/v1/events?${query}`, {
    headers: { authorization: `Bearer ${id}.${secret}`, accept: 'text/event-stream', ...headers },
  });
  sent.end();
  const [response] = await once(sent, 'response');
  response.setEncoding('utf8');
  let text = '';
  response.on('data', (chunk: string) => (text += chunk));
  return {
    response,
    text: () => text,
    /** Lets time pass until it shows; events are looked for each 250 ms. */
    async until(pattern: RegExp, step = 250): Promise<RegExpExecArray> {
      for (const end = performance.now() + 10_000; ; ) {
        const found = pattern.exec(text);
        if (found) return found;
        assert.ok(performance.now() < end, `${pattern} never came; there is ${text}`);
        server.clock.advance(step);
        await server.engine.records.feedEnd();
        await settled();
      }
    },
    close: () => sent.destroy(),
  };
}

describe('a stream of events', () => {
  test('brings what happens from now on, to its tenant alone, and goes on behind Last-Event-ID', async () => {
    const live = await stream('', KEYS.user);
    assert.equal(live.response.headers['content-type'], 'text/event-stream');
    await live.until(/retry: \d+/);
    await take({ tenant: 'other' }, {});
    const first = await take({}, {});
    const [, cursor, data] = await live.until(/id: (\d+)\nevent: DELIVERY\ndata: (.*)\n\n/);
    const event = JSON.parse(data!);
    assert.ok(event.messageId.startsWith(first));
    assert.equal(event.event.eventType, 'Delivery');
    assert.doesNotMatch(live.text(), /"tenant":"other"/);
    live.close();

    const second = await take({}, {});
    const again = await stream('', KEYS.user, { 'last-event-id': cursor! });
    const [, , rest] = await again.until(/id: (\d+)\nevent: DELIVERY\ndata: (.*)\n\n/);
    assert.ok(JSON.parse(rest!).messageId.startsWith(second));
    again.close();
  });

  test('says each 15 s that it is alive, with the cursor, so that a filter that matches nothing advances', async () => {
    const idle = await stream('tag=campaign=none');
    await take({}, {});
    const end = await server.engine.records.feedEnd();
    await idle.until(new RegExp(`id: ${end}\\n: nothing new`), 5_000);
    idle.close();
  });

  test('ends when its key is revoked', async () => {
    const key = await server.control.keys.create({ tenant: 'default', admin: false });
    const live = await stream('', key);
    await live.until(/retry/);
    const over = once(live.response, 'end');
    await server.control.keys.revoke(key.id);
    await take({}, {});
    let ended = false;
    void over.then(() => (ended = true));
    while (!ended) {
      server.clock.advance(250);
      await server.engine.records.feedEnd();
      await settled();
    }
    assert.doesNotMatch(live.text(), /DELIVERY/);
  });

  test('is one of ten of a key', async () => {
    const open = await Promise.all(Array.from({ length: 10 }, () => stream('', KEYS.other)));
    const refused = await server.call('GET', '/events', {
      key: 'other',
      headers: { accept: 'text/event-stream' },
    });
    assert.deepEqual([refused.status, refused.json.error.code], [429, 'throttled']);
    for (const one of open) one.close();
    for (;;) {
      const again = await stream('', KEYS.other);
      again.close();
      if (again.response.statusCode === 200) break;
    }
  });

  test('whose reader stops reading holds one page, and is given all when it reads on', async () => {
    const { cursor } = await list('after=latest');
    const subject = 'x'.repeat(8_000);
    const mail = () =>
      take({ commonHeaders: { ...messageRecord().commonHeaders, subject } }, ...Array(50).fill({}));
    for (let n = 0; n < 40; n += 1) await mail();
    let read = 0;
    const { feed } = server.engine.records;
    server.engine.records.feed = async (...call) => {
      read += 1;
      return feed.apply(server.engine.records, call);
    };
    const live = await stream(`after=${cursor}`);
    live.response.pause();
    let before = -1;
    while (before !== read) {
      before = read;
      for (let turn = 0; turn < 100; turn += 1) {
        await server.engine.records.feedEnd();
        await settled();
      }
    }
    // 2,000 events of 16 KB in pages of 20: connection buffers take a part of them only.
    assert.ok(read < 90, `${read} pages were read for a reader that does not read`);
    live.response.resume();
    let events = 0;
    live.response.on('data', (chunk: string) => (events += chunk.split('event: DELIVERY').length - 1));
    while (events < 2_000) await settled();
    live.close();
    server.engine.records.feed = feed;
  });
});
