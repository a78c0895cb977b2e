import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import type { QueueItem } from '../../lib/engine/items.ts';
import { SCHEMA_VERSION } from '../../lib/engine/items.ts';
import { openMemory } from '../../lib/engine/memory/open.ts';
import { Recorder } from '../../lib/inbound/recorder.ts';
import { silentLog } from '../../lib/log.ts';
import { newMessageId } from '../../lib/mail/message-id.ts';
import { createReferences } from '../../lib/mail/message-reference.ts';
import { createReturnPaths } from '../../lib/mail/return-path.ts';
import { parseReport } from '../../lib/outcome/report.ts';
import { suppressionChange } from '../../lib/outcome/suppression.ts';
import { DAY } from '../../lib/time.ts';
import { TestClock } from '../support/clock.ts';

import { attempt, MESSAGE_ID, messageRecord } from '../support/outcomes.ts';

const LANE = 'default:transactional:other';
const clock = new TestClock();
const engine = openMemory({ clock });
const returnPaths = createReturnPaths(Buffer.alloc(32, 7));
const references = createReferences(Buffer.alloc(32, 7));
const recorder = new Recorder({ records: engine.records, returnPaths, references, clock, log: silentLog });

/** A delivered message, with its reference and the return path of its first recipient. */
async function sent(...recipients: string[]) {
  const id = newMessageId(clock.now());
  const record = messageRecord({ id, recipients, acceptedAt: clock.now(), expiresAt: clock.now() + DAY });
  const deliveries = recipients.map((recipient, n): QueueItem => {
    const { acceptedAt, expiresAt, tenant } = record;
    const where = { lane: LANE, recipient, domain: 'example.com', mailFrom: '' };
    const needs = { eightBit: false, smtpUtf8: false, requireTls: false };
    return {
      v: SCHEMA_VERSION,
      messageId: id,
      n,
      tenant,
      acceptedAt,
      expiresAt,
      attempts: 0,
      due: 0,
      ...where,
      ...needs,
    };
  });
  await engine.queue.admit([{ record, body: Buffer.from('x\r\n'), deliveries }]);
  const leased = await engine.queue.lease({ lane: LANE, max: 100, visibility: DAY, wait: 0 });
  await engine.queue.settle(
    leased.map((one) => ({
      kind: 'end',
      leased: one,
      state: 'delivered',
      attempt: attempt({ state: 'delivered', text: '250 OK' }),
    })),
  );
  return {
    id,
    record,
    reference: references.make(id, clock.now() + DAY),
    returnPath: returnPaths.make(id, 0, 'bounces.example.org', clock.now() + DAY),
  };
}

/** A fixture about a message; `change` alters its text. @returns the answer, or the refusal. */
async function complain(
  name: string,
  of: { id: string; reference: string },
  change: (text: string) => string = (text) => text,
): Promise<string> {
  const text = readFileSync(new URL(`../fixtures/reports/${name}.eml`, import.meta.url), 'utf8')
    .replaceAll(MESSAGE_ID, of.id)
    .replaceAll('m-reference', of.reference);
  const report = await parseReport(Buffer.from(change(text).replaceAll('\n', '\r\n')));
  return recorder.take(report, 'abuse@mx.example.org').catch((error: Error) => error.message);
}

/** Complaints recorded about a message: recipient, and what becomes of the suppression list. */
async function recorded({ id, record }: { id: string; record: ReturnType<typeof messageRecord> }) {
  const reports = await engine.records.reports(id);
  return reports.map((one) => [record.recipients[one.n!], suppressionChange(record, one)?.action]);
}

const REFUSED = /^5\.7\.1/;

describe('a complaint at a role address', () => {
  for (const name of ['microsoft-header-only', 'yahoo-domain-only']) {
    it(`is matched by the reference alone: ${name}`, async () => {
      const message = await sent('ann@example.com');
      assert.match(await complain(name, message), /Recorded/);
      assert.deepEqual(await recorded(message), [['ann@example.com', 'add']]);
    });
  }

  it('is recorded once, however often it is replayed', async () => {
    const message = await sent('ann@example.com');
    assert.match(await complain('yahoo-domain-only', message), /Recorded/);
    assert.match(await complain('yahoo-domain-only', message), /Known already/);
    assert.match(await complain('microsoft-header-only', message), /Known already/);
    assert.equal((await recorded(message)).length, 1);
  });

  it('is refused with a reference that is forged, expired, of another use, or of another secret', async () => {
    const message = await sent('ann@example.com');
    const { id, reference, returnPath } = message;
    const forged = reference.slice(0, 9) + (reference[9] === 'a' ? 'b' : 'a') + reference.slice(10);
    const expired = references.make(id, clock.now() - DAY);
    const ofReturnPath = `m${returnPath.slice(1, 57)}`;
    const foreign = createReferences(Buffer.alloc(32, 8)).make(id, clock.now() + DAY);
    for (const bad of [forged, expired, ofReturnPath, foreign, 'm', 'x'.repeat(57)]) {
      assert.match(await complain('microsoft-header-only', { id, reference: bad }), REFUSED, bad);
    }
    assert.deepEqual(await recorded(message), []);
  });

  it('is refused when what it shows is of two messages', async () => {
    const [one, other] = [await sent('ann@example.com'), await sent('ann@example.com')];
    const second = `X-Postern-Ref: ${one.reference}\nX-Postern-Ref: ${other.reference}`;
    const twice = (text: string) => text.replace(/^X-Postern-Ref: .*$/m, second);
    assert.match(await complain('microsoft-header-only', one, twice), REFUSED);
    const path = `X-Postern-Ref: ${one.reference}\nReturn-Path: <${other.returnPath}>`;
    const differs = (text: string) => text.replace(/^X-Postern-Ref: .*$/m, path);
    assert.match(await complain('microsoft-header-only', one, differs), REFUSED);
    const originals = (text: string) =>
      text.replace('--jmrp_26--', `--jmrp_26\nContent-Type: message/rfc822\n\nFrom: x@y\n\nx\n--jmrp_26--`);
    assert.match(await complain('microsoft-header-only', one, originals), REFUSED);
    // The Message-ID of another message beside a good reference.
    assert.match(await complain('microsoft-header-only', { ...one, id: other.id }), /Taken note/);
    assert.deepEqual([...(await recorded(one)), ...(await recorded(other))], []);
  });

  it('of one of several recipients suppresses nobody, unless its return path names the recipient', async () => {
    const message = await sent('ann@example.com', 'bob@example.com');
    const named = (address: string) => (text: string) =>
      text.replace('Version: 1\n', `Version: 1\nOriginal-Rcpt-To: ${address}\n`);
    assert.match(await complain('microsoft-header-only', message), REFUSED, 'no recipient named');
    assert.match(await complain('microsoft-header-only', message, named('eve@example.com')), REFUSED);
    const both = (text: string) => named('ann@example.com')(named('bob@example.com')(text));
    assert.match(await complain('microsoft-header-only', message, both), REFUSED, 'two named');
    assert.match(await complain('microsoft-header-only', message, named('bob@example.com')), /Recorded/);
    assert.deepEqual(await recorded(message), [['bob@example.com', undefined]]);
    const path = (text: string) =>
      text.replace('From: Shop', `Return-Path: <${message.returnPath}>\nFrom: Shop`);
    assert.match(await complain('microsoft-header-only', message, path), /Recorded/);
    assert.deepEqual((await recorded(message))[1], ['ann@example.com', 'add']);
  });
});
