import assert from 'node:assert/strict';
import { beforeEach, describe, it } from 'node:test';
import { FeedbackForwarder } from '../../lib/accept/feedback-forwarder.ts';
import type { MessageRecord, Outcome } from '../../lib/engine/items.ts';
import { silentLog } from '../../lib/log.ts';
import { FEEDBACK_SENDER } from '../../lib/outcome/feedback-mail.ts';
import { parseReport } from '../../lib/outcome/report.ts';
import { HOUR } from '../../lib/time.ts';
import { accepted, openTestAccept, raw, refusal, simple, type TestAccept } from '../support/accept.ts';
import { attempt, outcome } from '../support/outcomes.ts';

let t: TestAccept;
let forwarder: FeedbackForwarder;

beforeEach(async () => {
  t = await openTestAccept();
  const context = { region: 'us-east-1', accountId: '123456789012', hostname: 'mx.example.com' };
  forwarder = new FeedbackForwarder({
    accept: t.accept,
    control: t.control,
    clock: t.clock,
    context,
    log: silentLog,
  });
});

/** An accepted message, and what becomes of it. */
async function sent(submission = simple()): Promise<MessageRecord> {
  const { admission } = await accepted(t, submission);
  t.queue.admissions.length = 0;
  return admission.record;
}

const bounced = (of: MessageRecord, at = 1): Outcome =>
  outcome('attempt', {
    messageId: of.id,
    n: 0,
    at,
    attempt: attempt({
      state: 'bounced',
      reason: 'peer_refused',
      text: '550 5.1.1 User unknown',
      phase: 'rcpt',
    }),
  });
const complained = (of: MessageRecord, feedbackType = 'abuse'): Outcome =>
  outcome('complaint', { messageId: of.id, n: 0, at: 2, detail: { feedbackType, userAgent: 'Loop/1.0' } });

/** Forwards, and returns the reports that were accepted: to whom, and their bytes. */
async function forwarded(of: MessageRecord, ...outcomes: Outcome[]) {
  await forwarder.forward(outcomes, new Map([[of.id, of]]));
  return t.queue.admissions.splice(0).map(({ record, body, deliveries }) => ({
    record,
    to: record.recipients,
    mailFrom: deliveries.map(({ mailFrom }) => mailFrom),
    bytes: Buffer.from(body),
  }));
}

describe('a bounce', () => {
  it('is forwarded to the From of its message as a report that programs read, with the null return path', async () => {
    const message = await sent(simple({ content: { kind: 'simple', subject: 'Grüße', text: 'x' } }));
    const [report, ...others] = await forwarded(message, bounced(message));
    assert.deepEqual(others, []);
    assert.deepEqual([report!.to, report!.mailFrom], [['ann@example.com'], ['']]);
    const text = report!.bytes.toString();
    assert.match(text, /^DKIM-Signature: .*d=example\.com/s);
    assert.match(text, /\r\nFrom: "Mail Delivery Subsystem" <ann@example\.com>\r\n/);
    assert.match(text, /\r\nAuto-Submitted: auto-replied\r\n/);
    const parsed = await parseReport(report!.bytes);
    assert.equal(parsed.kind, 'dsn');
    assert.deepEqual(parsed.kind === 'dsn' && parsed.recipients[0], {
      recipient: 'bob@gmail.com',
      originalRecipient: undefined,
      action: 'failed',
      status: '5.1.1',
      diagnosticCode: 'smtp; 550 5.1.1 User unknown',
    });
    assert.equal(parsed.kind === 'dsn' && parsed.original.messageId, message.commonHeaders.messageId);
  });

  it('is forwarded once, though the feed is read again', async () => {
    const message = await sent();
    assert.equal((await forwarded(message, bounced(message))).length, 1);
    assert.equal((await forwarded(message, bounced(message))).length, 0);
  });

  it('of a forwarded report ends there', async () => {
    const message = await sent();
    const [report] = await forwarded(message, bounced(message));
    assert.equal(report!.record.keyId, FEEDBACK_SENDER);
    assert.deepEqual(
      await forwarded(report!.record, bounced(report!.record, 9), complained(report!.record)),
      [],
    );
  });

  it('is not forwarded where the identity has it off, or an event destination takes it', async () => {
    const message = await sent();
    await t.control.identities.update('example.com', (one) => ({ ...one, feedbackForwarding: false }));
    assert.deepEqual(await forwarded(message, bounced(message)), []);
    await t.control.identities.update('example.com', (one) => ({ ...one, feedbackForwarding: true }));
    await t.control.eventDestinations.create({
      name: 'hook',
      tenant: 'default',
      enabled: true,
      types: ['BOUNCE'],
      target: { kind: 'file', path: '-' },
    });
    assert.deepEqual(await forwarded(message, bounced(message)), []);
    assert.equal((await forwarded(message, complained(message))).length, 1, 'which takes no complaints');
  });

  it('goes to the address that the message names, with an event destination too', async () => {
    const addressed = [
      simple({ feedbackTo: 'bounces@example.com' }),
      raw(['From: ann@example.com', 'Return-Path: <bounces@example.com>', '', 'x']),
      raw(['From: ann@example.com', '', 'x'], { mailFrom: 'bounces@example.com' }),
    ];
    for (const submission of addressed) {
      const message = await sent(submission);
      await t.control.identities.update('example.com', (one) => ({ ...one, feedbackForwarding: false }));
      const [report] = await forwarded(message, bounced(message));
      assert.deepEqual(report!.to, ['bounces@example.com']);
    }
    const foreign = await refusal(await openTestAccept(), simple({ feedbackTo: 'x@other.example' }));
    assert.equal(foreign.code, 'identity_not_verified');
  });

  it('is forwarded a hundred times an hour to one address, and no more', async () => {
    const message = await sent();
    const many = Array.from({ length: 150 }, (_, n) => bounced(message, n + 10));
    assert.equal((await forwarded(message, ...many)).length, 100);
    t.clock.advance(HOUR);
    const more = Array.from({ length: 150 }, (_, n) => bounced(message, n + 1000));
    assert.equal((await forwarded(message, ...more)).length, 100);
  });
});

it('a complaint is forwarded as a feedback report, unless it was taken back', async () => {
  const message = await sent();
  assert.deepEqual(await forwarded(message, complained(message, 'not-spam')), []);
  const [report] = await forwarded(message, complained(message));
  const parsed = await parseReport(report!.bytes);
  assert.equal(parsed.kind, 'complaint');
  assert.deepEqual(parsed.kind === 'complaint' && [parsed.feedbackType, parsed.recipients], [
    'abuse',
    ['bob@gmail.com'],
  ]);
});

it('a service that forwards nothing refuses an address for it, and takes one that is the From', async () => {
  t = await openTestAccept({ forwardsFeedback: false });
  const returnPath = (address: string) =>
    raw(['From: ann@example.com', `Return-Path: <${address}>`, '', 'x']);
  for (const submission of [simple({ feedbackTo: 'b@example.com' }), returnPath('b@example.com')]) {
    assert.match((await refusal(t, submission)).message, /not forwarded by mail/);
  }
  await accepted(t, returnPath('ann@example.com'));
  await accepted(t, raw(['From: ann@example.com', '', 'x'], { mailFrom: 'b@example.com' }));
});
