import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import type { MessageRecord } from '../../lib/engine/items.ts';
import { feedbackOf } from '../../lib/outcome/feedback.ts';
import { parseReport } from '../../lib/outcome/report.ts';
import type { Report } from '../../lib/outcome/report-types.ts';

const RECIPIENT = 'user@example.com';
const RETURN_PATH = 'b-return-path@bounces.example.org';
const ID = '0100019b76da7c00-3c0f6f9e-5d3a-4a57-9d1f-0b7a3f1c2d4e-000000';
const MESSAGE_ID = `${ID}@example.org`;

function fixture(name: string): Buffer {
  const text = readFileSync(new URL(`../fixtures/reports/${name}.eml`, import.meta.url), 'utf8');
  return Buffer.from(text.replaceAll('\n', '\r\n'));
}

function record(id = ID): MessageRecord {
  return {
    v: 1,
    id,
    tenant: 't',
    keyId: 'k',
    door: 'smtp',
    sourceIp: '192.0.2.7',
    acceptedAt: 0,
    expiresAt: 1,
    source: 'shop@example.org',
    fromDomain: 'example.org',
    tags: {},
    class: 'transactional',
    pool: 'default',
    size: 1,
    recipients: [RECIPIENT],
    commonHeaders: { from: ['shop@example.org'], messageId: `<${id}@example.org>` },
  };
}

/** A summary of a report: kind, then for bounces status, category, hardness, and whether it names us. */
async function outcome(report: Buffer | Report, of = record()): Promise<unknown[]> {
  const parsed = Buffer.isBuffer(report) ? await parseReport(report) : report;
  const feedback = feedbackOf(parsed, of, 0);
  if (!feedback) return [parsed.kind];
  const { kind, detail } = feedback;
  if (kind === 'complaint') return [kind, detail.feedbackType, detail.userAgent, detail.recipient];
  return [kind, detail.status, detail.category, detail.hard, detail.recipient];
}

const TABLE: [string, unknown[]][] = [
  ['gmail-dsn', ['bounce', '5.1.1', 'bad-mailbox', true, RECIPIENT]],
  ['outlook-ndr', ['bounce', '5.2.2', 'quota-issues', false, RECIPIENT]],
  ['postfix-dsn', ['bounce', '5.1.1', 'bad-mailbox', true, RECIPIENT]],
  ['postfix-delayed', ['dsn']],
  ['postfix-forwarded', ['bounce', '5.1.1', 'bad-mailbox', true, 'elsewhere@example.net']],
  ['exim-text', ['bounce', '5.1.1', 'bad-mailbox', true, RECIPIENT]],
  ['exim-dsn', ['bounce', '5.0.0', 'message-expired', false, RECIPIENT]],
  ['qmail', ['bounce', '5.1.1', 'bad-mailbox', true, RECIPIENT]],
  ['qmail-local', ['bounce', '5.1.1', 'bad-mailbox', true, RECIPIENT]],
  ['exchange-2003', ['bounce', '5.1.1', 'bad-mailbox', true, RECIPIENT]],
  ['yahoo-arf', ['complaint', 'abuse', 'Yahoo!-Mail-Feedback/2.0', RECIPIENT]],
  ['comcast-arf', ['complaint', 'abuse', 'ReturnPathFBL/1.0', undefined]],
  ['outlook-jmrp', ['complaint', 'abuse', 'Outlook JMRP', RECIPIENT]],
  ['not-spam-arf', ['complaint', 'not-spam', 'SomeGenerator/1.0', RECIPIENT]],
  ['vacation', ['auto-reply']],
  ['outlook-oof', ['auto-reply']],
  ['x-autoreply', ['auto-reply']],
  ['human-reply', ['other']],
  ['human-forward', ['other']],
  ['dragonfly', ['bounce', '5.1.1', 'bad-mailbox', true, RECIPIENT]],
  ['gmx', ['bounce', '5.1.1', 'bad-mailbox', true, RECIPIENT]],
  ['ionos', ['bounce', '5.0.0', 'bad-mailbox', true, RECIPIENT]],
  ['opensmtpd', ['bounce', '5.0.0', 'bad-mailbox', true, RECIPIENT]],
  ['opensmtpd-text', ['bounce', '5.2.1', 'inactive-mailbox', true, RECIPIENT]],
  ['opensmtpd-delay', ['other']],
  ['workmail', ['bounce', '5.1.1', 'bad-mailbox', true, RECIPIENT]],
  ['zoho', ['bounce', '5.1.1', 'bad-mailbox', true, RECIPIENT]],
  ['zoho-deferred', ['bounce', '4.0.0', 'no-answer-from-host', false, RECIPIENT]],
  ['qmail-compact', ['bounce', '5.1.1', 'bad-mailbox', true, RECIPIENT]],
  ['exim-local', ['bounce', '5.0.0', 'bad-domain', true, RECIPIENT]],
  ['exim-delay', ['auto-reply']],
  ['success-dsn', ['dsn']],
  ['ironport-dsn', ['bounce', '5.0.0', 'policy-related', false, RECIPIENT]],
  ['too-large-dsn', ['bounce', '5.1.1', 'content-related', false, RECIPIENT]],
  ['header-only-arf', ['complaint', 'abuse', 'MicrosoftJMRP/2.0', RECIPIENT]],
  ['microsoft-header-only', ['complaint', 'abuse', 'MicrosoftJMRP/3.0', undefined]],
  ['yahoo-domain-only', ['complaint', 'abuse', 'Yahoo!-Mail-Feedback/2.0', undefined]],
  ['oof-de', ['auto-reply']],
  ['oof-fr', ['auto-reply']],
  ['oof-es', ['auto-reply']],
  ['oof-it', ['auto-reply']],
  ['oof-nl', ['auto-reply']],
  ['oof-ja', ['auto-reply']],
  ['oof-zh', ['auto-reply']],
  ['oof-ru', ['auto-reply']],
];

describe('reports', () => {
  for (const [name, expected] of TABLE) {
    it(name, async () => assert.deepEqual(await outcome(fixture(name)), expected));
  }

  it('reads the details of a delivery status notification', async () => {
    const report = await parseReport(fixture('postfix-dsn'));
    assert.deepEqual(report, {
      kind: 'dsn',
      reportingMta: 'dns; mx.example.com',
      recipients: [
        {
          recipient: RECIPIENT,
          originalRecipient: RECIPIENT,
          action: 'failed',
          status: '5.1.1',
          diagnosticCode:
            'smtp; 550 5.1.1 <user@example.com>: Recipient address rejected: User unknown in virtual mailbox table',
        },
      ],
      original: { messageId: `<${MESSAGE_ID}>`, references: [], returnPaths: [RETURN_PATH] },
    });
  });

  it('finds the return path anywhere in a complaint', async () => {
    for (const name of ['yahoo-arf', 'comcast-arf', 'outlook-jmrp']) {
      const report = await parseReport(fixture(name));
      assert.ok(report.kind === 'complaint');
      assert.equal(report.original.returnPaths[0], RETURN_PATH, name);
    }
    const yahoo = await parseReport(fixture('yahoo-arf'));
    assert.equal(yahoo.kind === 'complaint' && yahoo.arrivalDate, Date.UTC(2026, 10, 20, 19, 59, 58));
  });

  it('ignores a report that returns another message', async () => {
    assert.deepEqual(await outcome(fixture('postfix-dsn'), record('other@mail.example.org')), ['dsn']);
    assert.deepEqual(await outcome(fixture('yahoo-arf'), record('other@mail.example.org')), ['complaint']);
  });

  it('is no hard bounce when either code is temporary', async () => {
    const bytes = (status: string, code: string) =>
      Buffer.from(
        fixture('postfix-dsn')
          .toString()
          .replace('Status: 5.1.1', `Status: ${status}`)
          .replace('smtp; 550 5.1.1', `smtp; ${code}`),
      );
    assert.deepEqual((await outcome(bytes('4.4.7', '550 5.1.1')))[3], false);
    assert.deepEqual((await outcome(bytes('5.1.1', '450 4.1.1')))[3], false);
    assert.deepEqual((await outcome(bytes('5.0.0', '550 5.1.1')))[3], true);
  });

  it('keeps control characters out of what it records', async () => {
    const report = await parseReport(
      Buffer.from(fixture('postfix-dsn').toString().replace('rejected: User', '\u001b[31m\u0085 User')),
    );
    assert.ok(report.kind === 'dsn');
    assert.doesNotMatch(report.recipients[0]!.diagnosticCode!, /[\u0000-\u001f\u007f-\u009f]/);
  });

  it('classifies hostile and empty input as "other"', async () => {
    const part = (depth: number): string =>
      depth === 0
        ? 'x'
        : `Content-Type: multipart/mixed; boundary=b${depth}\r\n\r\n--b${depth}\r\n${part(depth - 1)}\r\n`;
    for (const text of [
      '',
      '\r\n',
      ':',
      part(300),
      `Subject: ${'=?utf-8?q?a?= '.repeat(20_000)}\r\n\r\n`,
      `To: ${'<'.repeat(60_000)}\r\n\r\n`,
      'Content-Type: message/feedback-report\r\n\r\n\r\n',
      'Content-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; x\r\n',
      `Content-Type: multipart/report; boundary=b\r\n\r\n${'--b\r\n\r\nx\r\n'.repeat(100_000)}`,
      'a'.repeat(2_000_000),
      '\r\n'.repeat(1_000_000),
    ]) {
      assert.equal((await parseReport(Buffer.from(text))).kind, 'other', text.slice(0, 40));
    }
  });
});
