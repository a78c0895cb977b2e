/** The zone of DKIM keys in Route 53: the SDK's client against a server that takes what Route 53 takes. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, beforeEach, describe, test } from 'node:test';
import { CHANGE_KIND, DkimRecords, RECORD_KIND } from '../../lib/control/dkim-records.ts';
import { writeDkimZone } from '../../lib/control/dkim-zone-writer.ts';
import { openHostedZone } from '../../lib/engine/aws/hosted-zone.ts';
import type { HostedZone, TextRecord } from '../../lib/engine/hosted-zone.ts';
import { TestClock } from '../support/clock.ts';
import { failure } from '../support/control.ts';
import { TestConfig } from '../support/engine.ts';

const NAME = 'dkim.mail.example.com';
const KEY = `v=DKIM1; k=rsa; p=${'A'.repeat(392)}`;

/** Route 53's API for one zone (REST, XML), with its limits and its refusals. */
class FakeRoute53 {
  /** Values by name; all are TXT. */
  readonly records = new Map<string, string>();
  readonly requests: { actions: string[]; characters: number }[] = [];
  /** Answers `Throttling` to so many requests. */
  throttled = 0;
  denied = false;
  readonly #server: Server = createServer((incoming, outgoing) => {
    let body = '';
    incoming.on('data', (chunk: Buffer) => {
      body += chunk.toString();
    });
    incoming.on('end', () => {
      const { status, xml } = this.#answer(incoming.method!, new URL(incoming.url!, 'http://x'), body);
      outgoing.writeHead(status, { 'content-type': 'text/xml' }).end(xml);
    });
  });

  async listen(): Promise<string> {
    this.#server.listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  close(): void {
    this.#server.close();
  }

  #answer(method: string, { pathname, searchParams }: URL, body: string): { status: number; xml: string } {
    assert.match(pathname, /^\/2013-04-01\/hostedzone\/Z0123456789ABC\/rrset\/?$/);
    if (this.denied) return refused(403, 'AccessDenied', 'Not yours.');
    if (this.throttled > 0) {
      this.throttled -= 1;
      return refused(400, 'Throttling', 'Rate exceeded');
    }
    if (method === 'GET') return { status: 200, xml: this.#list(searchParams.get('name')!) };
    const changes = [...body.matchAll(/<Change>(.*?)<\/Change>/gs)].map(([, change = '']) => change);
    let characters = 0;
    for (const change of changes) {
      const value = text(change, 'Value');
      characters += value.length * (text(change, 'Action') === 'UPSERT' ? 2 : 1);
    }
    if (characters > 32_000 || changes.length > 500) return refused(400, 'InvalidChangeBatch', 'Too large');
    this.requests.push({ actions: changes.map((one) => text(one, 'Action')), characters });
    for (const change of changes) {
      assert.equal(text(change, 'Type'), 'TXT');
      const name = text(change, 'Name').replace(/\.$/, '');
      const value = text(change, 'Value');
      if (text(change, 'Action') === 'UPSERT') this.records.set(name, value);
      else if (this.records.get(name) === value) this.records.delete(name);
      else return refused(400, 'InvalidChangeBatch', 'the values provided do not match the current values');
    }
    return { status: 200, xml: CHANGED };
  }

  #list(from: string): string {
    const [found] = [...this.records].filter(([name]) => name >= from).sort(([a], [b]) => (a < b ? -1 : 1));
    const record = found
      ? `<ResourceRecordSet><Name>${found[0]}.</Name><Type>TXT</Type><TTL>3600</TTL><ResourceRecords><ResourceRecord><Value>${escaped(found[1])}</Value></ResourceRecord></ResourceRecords></ResourceRecordSet>`
      : '';
    return `<?xml version="1.0"?><ListResourceRecordSetsResponse xmlns="https://route53.amazonaws.com/doc/2013-04-01/"><ResourceRecordSets>${record}</ResourceRecordSets><IsTruncated>false</IsTruncated><MaxItems>1</MaxItems></ListResourceRecordSetsResponse>`;
  }
}

const CHANGED =
  '<?xml version="1.0"?><ChangeResourceRecordSetsResponse xmlns="https://route53.amazonaws.com/doc/2013-04-01/"><ChangeInfo><Id>/change/C1</Id><Status>PENDING</Status><SubmittedAt>2026-01-01T00:00:00Z</SubmittedAt></ChangeInfo></ChangeResourceRecordSetsResponse>';

function refused(status: number, code: string, message: string): { status: number; xml: string } {
  return {
    status,
    xml: `<?xml version="1.0"?><ErrorResponse xmlns="https://route53.amazonaws.com/doc/2013-04-01/"><Error><Type>Sender</Type><Code>${code}</Code><Message>${message}</Message></Error></ErrorResponse>`,
  };
}

function text(xml: string, element: string): string {
  const [, inner = ''] = new RegExp(`<${element}>(.*?)</${element}>`, 's').exec(xml) ?? [];
  return inner.replaceAll('&quot;', '"').replaceAll('&lt;', '<').replaceAll('&amp;', '&');
}

function escaped(value: string): string {
  return value.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('"', '&quot;');
}

const credentials = { accessKeyId: 'test', secretAccessKey: 'test' };

describe('Route 53', () => {
  let route53: FakeRoute53;
  let zone: HostedZone;
  before(async () => {
    route53 = new FakeRoute53();
    zone = openHostedZone('Z0123456789ABC', {
      endpoint: await route53.listen(),
      region: 'us-east-1',
      credentials,
    });
  });
  after(() => route53.close());
  beforeEach(() => {
    route53.records.clear();
    route53.requests.length = 0;
  });

  test('gets records in quoted strings, and loses those that are to be none', async () => {
    const [a, b] = [`a.${NAME}`, `b.${NAME}`];
    await zone.write(
      [
        { name: a, strings: [KEY.slice(0, 255), KEY.slice(255)] },
        { name: b, strings: ['"\\'] },
      ],
      60,
    );
    assert.equal(route53.records.get(a), `"${KEY.slice(0, 255)}" "${KEY.slice(255)}"`);
    assert.equal(route53.records.get(b), '"\\"\\\\"');
    await zone.write([{ name: a }, { name: b, strings: ['x'] }], 60);
    assert.deepEqual([...route53.records], [[b, '"x"']]);
    // What is not there needs no request; the record behind it in the order of names stays.
    await zone.write([{ name: a }, { name: `aa.${NAME}` }], 60);
    assert.deepEqual([...route53.records], [[b, '"x"']]);
    assert.equal(route53.requests.length, 2);
  });

  test('gets many records in requests that it takes', async () => {
    const records = Array.from({ length: 100 }, (_, n) => ({
      name: `t${n}.${NAME}`,
      strings: [KEY.slice(0, 255), KEY.slice(255)],
    }));
    await zone.write(records, 60);
    assert.equal(route53.records.size, 100);
    assert.equal(route53.requests.length, 3);
    const many = Array.from({ length: 401 }, (_, n) => ({ name: `s${n}.${NAME}`, strings: ['x'] }));
    await zone.write(many, 60);
    assert.equal(route53.requests.length, 5);
  });

  test('is asked again when it throttles, and a refusal is an error of the storage', async () => {
    route53.throttled = 2;
    await zone.write([{ name: `a.${NAME}`, strings: ['x'] }], 60);
    assert.equal(route53.records.size, 1);
    route53.denied = true;
    const write = zone.write([{ name: `a.${NAME}`, strings: ['y'] }], 60);
    await assert.rejects(
      write,
      failure('storage_unavailable', /The zone Z0123456789ABC of Route 53 cannot be written/),
    );
    route53.denied = false;
  });
});

/** A zone in memory, whose writes a test may hold up or fail. */
class MemoryZone implements HostedZone {
  readonly records = new Map<string, string>();
  before: (records: readonly TextRecord[]) => Promise<void> = async () => {};

  async write(records: readonly TextRecord[]): Promise<void> {
    await this.before(records);
    for (const { name, strings } of records) {
      if (strings) this.records.set(name, strings.join(''));
      else this.records.delete(name);
    }
  }
}

describe('the writer of the zone', () => {
  function opened() {
    const config = new TestConfig();
    const clock = new TestClock();
    const records = new DkimRecords(config, clock, { name: NAME, elsewhere: true });
    const zone = new MemoryZone();
    const write = (until = Number.POSITIVE_INFINITY) =>
      writeDkimZone({ config, zone, name: NAME, clock, until });
    const notes = async () => (await config.list(CHANGE_KIND)).length;
    return { config, clock, records, zone, write, notes };
  }

  test('brings what was noted into the zone, and nothing when nothing was', async () => {
    const { records, zone, write, notes } = opened();
    assert.equal(await write(), 0);
    await records.publish(['a', 'b'], 'example.com', 'one');
    await records.publish(['b'], 'example.com', 'two');
    assert.equal(await write(), 2);
    assert.deepEqual(
      zone.records,
      new Map([
        [`a.${NAME}`, 'one'],
        [`b.${NAME}`, 'two'],
      ]),
    );
    assert.equal(await notes(), 0);
    await records.remove('a');
    assert.equal(await write(), 1);
    assert.deepEqual([...zone.records.keys()], [`b.${NAME}`]);
  });

  test('that fails keeps its notes, for the next call', async () => {
    const { records, zone, write, notes } = opened();
    await records.publish(['a'], 'example.com', 'one');
    zone.before = () => Promise.reject(new Error('throttled'));
    await assert.rejects(write(), /throttled/);
    assert.equal(await notes(), 1);
    zone.before = async () => {};
    await write();
    assert.equal(zone.records.get(`a.${NAME}`), 'one');
  });

  test('that was overtaken by a change, and by another writer, mends what it wrote', async () => {
    const { records, zone, write, notes } = opened();
    await records.publish(['a'], 'example.com', 'old');
    let held = 0;
    zone.before = async () => {
      // The first writer has read "old" and not written it yet: the change and the second writer come in between.
      if ((held += 1) !== 1) return;
      await records.publish(['a'], 'example.com', 'new');
      await write();
      assert.equal(zone.records.get(`a.${NAME}`), 'new');
      assert.equal(await notes(), 0);
    };
    await write();
    assert.equal(zone.records.get(`a.${NAME}`), 'new');
  });

  test('works in parts, and begins none after its time', async () => {
    const { records, zone, write, notes, clock } = opened();
    const tokens = Array.from({ length: 250 }, (_, n) => `t${n}`);
    await records.publish(tokens, 'example.com', 'one');
    const sizes: number[] = [];
    zone.before = async ({ length }) => void sizes.push(length);
    assert.equal(await write(clock.now()), 100);
    assert.equal(await notes(), 150);
    assert.equal(await write(), 150);
    assert.deepEqual(sizes, [100, 100, 50]);
    assert.equal(zone.records.size, 250);
    assert.equal((await records.list()).length, 250);
    assert.equal(RECORD_KIND, records.cache.kind);
  });
});
