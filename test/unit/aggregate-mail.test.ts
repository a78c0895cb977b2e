import assert from 'node:assert/strict';
import { beforeEach, describe, it } from 'node:test';
import { openMemory } from '../../lib/engine/memory/open.ts';
import type { Engine } from '../../lib/engine/ports.ts';
import { AggregateReports, MAX_REPORT_MAIL, REPORT_ROWS } from '../../lib/inbound/aggregate-reports.ts';
import { createReportMailboxes } from '../../lib/mail/report-mailbox.ts';
import type { DmarcSummary } from '../../lib/outcome/report-summary.ts';
import { DAY } from '../../lib/time.ts';
import { dmarcRow, dmarcXml, gzip, reportMail, tlsJson, zip } from '../support/aggregate-reports.ts';
import { TestClock } from '../support/clock.ts';

const mailboxes = createReportMailboxes(Buffer.alloc(32, 7));
const ADDRESS = mailboxes.make('example.com', 'mail.example.net');
const clock = new TestClock();
let engine: Engine;
let reports: AggregateReports;

beforeEach(() => {
  engine = openMemory({ clock });
  reports = new AggregateReports({ rows: engine.rows, mailboxes, clock });
});

const take = (type: string, content: Buffer | string, address = ADDRESS): Promise<string> =>
  reports.take(reportMail(type, Buffer.from(content)), address).catch((error: Error) => error.message);
const stored = () => engine.rows.query({ kind: REPORT_ROWS, partition: 'example.com', max: 1000 });

describe('the mailbox of reports about a domain', () => {
  it('takes mail about that domain alone', () => {
    assert.match(ADDRESS, /^r[a-z2-7]{32}@mail\.example\.net$/);
    assert.ok(mailboxes.isOurs(ADDRESS.toUpperCase()));
    assert.ok(mailboxes.isFor(ADDRESS, 'example.com'));
    assert.ok(!mailboxes.isFor(ADDRESS, 'other.example'));
    const other = createReportMailboxes(Buffer.alloc(32, 8));
    const altered = ADDRESS.slice(0, 5) + (ADDRESS[5] === 'a' ? 'b' : 'a') + ADDRESS.slice(6);
    for (const bad of [altered, other.make('example.com', 'x'), 'r@x', `r${'a'.repeat(32)}@x`]) {
      assert.ok(!mailboxes.isOurs(bad), bad);
    }
  });

  it('stores what receivers send, packed in any way, by domain and day, each report once', async () => {
    const rows =
      dmarcRow('192.0.2.1', 7) + dmarcRow('192.0.2.2', 90, { dkim: 'fail' }) + dmarcRow('192.0.2.1', 3);
    const xml = dmarcXml(rows);
    for (const [type, content] of [
      ['application/gzip', gzip(xml)],
      ['application/zip', zip(Buffer.from(xml))],
      ['text/xml', xml],
      ['application/octet-stream', gzip(xml)],
    ] as const) {
      assert.equal(await take(type, content), '2.0.0 Recorded', type);
    }
    assert.equal(await take('application/tlsrpt+gzip', gzip(tlsJson(10))), '2.0.0 Recorded');
    assert.equal(await take('application/tlsrpt+json', tlsJson(11)), '2.0.0 Recorded');
    const found = await stored();
    assert.deepEqual(
      found.map(({ key }) => key.slice(0, 17)),
      ['2025-12-31#dmarc#', '2025-12-31#tls#'.padEnd(17, found[1]!.key.slice(15, 17))],
    );
    const { sources, ...sums } = found[0]!.value as DmarcSummary;
    assert.deepEqual([sums.messages, sums.dkim, sums.spf, sums.passed], [100, 10, 0, 10]);
    assert.deepEqual(
      sources.map(({ ip, messages, dkim }) => [ip, messages, dkim]),
      [
        ['192.0.2.2', 90, 0],
        ['192.0.2.1', 10, 10],
      ],
    );
    assert.equal((found[1]!.value as { failed: number }).failed, 11);
  });

  it('refuses a report about another domain, about another time, and mail without a report', async () => {
    assert.match(
      await take('text/xml', dmarcXml('', { domain: 'other.example' })),
      /^5\.6\.0 .*not about the domain/,
    );
    assert.match(await take('application/tlsrpt+json', tlsJson(1, 'other.example')), /not about the domain/);
    for (const days of [-15, 2]) {
      const begin = (clock.now() + days * DAY) / 1000;
      assert.match(
        await take('text/xml', dmarcXml('', { begin })),
        /not about the last 14 days/,
        String(days),
      );
    }
    assert.match(await take('text/xml', dmarcXml('', { begin: 1e300 })), /^5\.6\.0 /);
    assert.match(await take('image/png', 'x'), /no attachment/);
    assert.deepEqual(await stored(), []);
  });

  it('refuses hostile reports, each with the reason', async () => {
    const nested = `${'<a>'.repeat(100)}x`;
    const entities = '<!DOCTYPE f [<!ENTITY a "aaaa">]>';
    const many = (n: number): string => dmarcXml(dmarcRow('192.0.2.1', 1).repeat(n));
    const cases: [string, Buffer | string, RegExp][] = [
      ['application/gzip', gzip('x'.repeat(17 * 1024 * 1024)), /expands to more than/],
      ['application/zip', zip(Buffer.alloc(17 * 1024 * 1024)), /expands to more than/],
      ['application/gzip', gzip('x').subarray(0, 10), /cannot be expanded/],
      ['text/xml', dmarcXml('', { head: entities }), /document type/],
      ['application/gzip', gzip(dmarcXml(nested)), /nested more than/],
      ['application/gzip', gzip(many(10_001)), /more than 10000 rows/],
      ['application/gzip', gzip(`<${'a'.repeat(200_000)}>`), /a tag has more than/],
      ['application/tlsrpt+gzip', gzip('['.repeat(3 * 1024 * 1024)), /more than 2097152 octets/],
      ['application/tlsrpt+json', '{', /not JSON/],
    ];
    for (const [type, content, reason] of cases) assert.match(await take(type, content), reason);
    const whole = Buffer.alloc(MAX_REPORT_MAIL, 'x');
    await assert.rejects(reports.take(whole, ADDRESS), /5\.3\.4 .*too large/);
    assert.deepEqual(await stored(), []);
  });

  it('holds a hundred reports of a day, and a repeat of one of them', async () => {
    const one = (id: number): Promise<string> => take('text/xml', dmarcXml('', { id: `r-${id}` }));
    for (let id = 0; id < 100; id++) assert.equal(await one(id), '2.0.0 Recorded');
    assert.match(await one(100), /^4\.2\.2 /);
    assert.equal(await one(99), '2.0.0 Recorded');
    assert.equal((await stored()).length, 100);
  });
});
