/** The accounting log: a line for each attempt and outcome, in a file that may be moved away or be unwritable. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, renameSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Attempt, MessageRecord, Outcome } from '../../lib/engine/items.ts';
import { silentLog } from '../../lib/log.ts';
import { AccountingLog, accountingLine } from '../../lib/observe/accounting.ts';

const AT = Date.UTC(2026, 10, 29, 12);
const RECORD = {
  id: '0100-1',
  tenant: 'shop',
  campaign: 'spring',
  pool: 'default',
  class: 'bulk',
  source: 'ann@example.com',
  recipients: ['Bob@Example.net', 'eve@example.org'],
  acceptedAt: AT,
} as unknown as MessageRecord;

function attempt(more: Partial<Attempt> = {}): Attempt {
  return {
    at: AT + 2_000,
    duration: 61,
    ip: '192.0.2.1',
    mx: { host: 'gmail-smtp-in.l.google.com', address: '198.51.100.7', port: 25 },
    tls: { protocol: 'TLSv1.3', cipher: 'x', verified: true },
    replies: [{ phase: 'data', code: 250, text: '2.0.0 OK' }],
    state: 'delivered',
    reason: 'delivered',
    text: '250 2.0.0 OK',
    ...more,
  };
}

function outcome(kind: Outcome['kind'], more: Partial<Outcome> = {}): Outcome {
  return { v: 1, messageId: '0100-1', n: 0, at: AT + 2_061, kind, tenant: 'shop', ...more } as Outcome;
}

const line = (one: Outcome) => accountingLine(RECORD, one) as Record<string, unknown> | undefined;

test('an attempt has a line with every documented field', () => {
  const delivered = JSON.parse(JSON.stringify(line(outcome('attempt', { attempt: attempt() }))));
  assert.deepEqual(delivered, {
    type: 'd',
    time: '2026-11-29T12:00:02.061Z',
    messageId: '0100-1',
    n: 0,
    queuedAt: '2026-11-29T12:00:00.000Z',
    tenant: 'shop',
    campaign: 'spring',
    pool: 'default',
    class: 'bulk',
    from: 'ann@example.com',
    recipient: 'Bob@Example.net',
    domain: 'example.net',
    seconds: 2.1,
    durationMs: 61,
    provider: 'google',
    sourceIp: '192.0.2.1',
    mxHost: 'gmail-smtp-in.l.google.com',
    mxIp: '198.51.100.7',
    tls: 'TLSv1.3',
    code: 250,
    reason: 'delivered',
    text: '250 2.0.0 OK',
  });
  const readme = readFileSync(join(import.meta.dirname, '../../lib/observe/README.md'), 'utf8');
  for (const field of Object.keys(delivered)) assert.ok(readme.includes(`\`${field}\``), field);
});

test('refusals are diagnosed, cut and cleaned; deferrals say when they are tried again', () => {
  const text = `550 5.1.1 The email account that you tried to reach does not exist\r\n${'x'.repeat(2_000)}`;
  const bounced = line(
    outcome('attempt', {
      attempt: attempt({
        state: 'bounced',
        reason: 'peer',
        phase: 'rcpt',
        replies: [{ phase: 'rcpt', code: 550, text: text.slice(4) }],
        text,
      }),
    }),
  )!;
  assert.deepEqual(
    [bounced.type, bounced.code, bounced.category, bounced.cause, bounced.fault],
    ['b', 550, 'bad-mailbox', 'unknown_user', 'recipient'],
  );
  assert.equal(String(bounced.text).length, 512);
  assert.doesNotMatch(String(bounced.text), /[\r\n]/);
  const deferred = line(
    outcome('attempt', { attempt: attempt({ state: 'deferred', reason: 'greylisted', until: AT + 60_000 }) }),
  )!;
  assert.deepEqual([deferred.type, deferred.retryAt], ['t', '2026-11-29T12:01:00.000Z']);
  assert.equal(
    line(outcome('attempt', { attempt: attempt({ state: 'expired', reason: 'expired' }) }))!.type,
    'b',
  );
  assert.equal(
    line(outcome('attempt', { attempt: attempt({ uncertain: true, state: 'deferred' }) }))!.uncertain,
    true,
  );
});

test('later reports and cancellations have a line, opens and clicks have none', () => {
  const bounce = { bounce: { type: 'Permanent' }, category: 'bad-mailbox', cause: 'unknown_user' };
  assert.equal(line(outcome('bounce', { detail: bounce as Outcome['detail'] }))!.type, 'rb');
  assert.equal(
    line(outcome('complaint', { detail: { feedbackType: 'abuse' } as Outcome['detail'] }))!.feedbackType,
    'abuse',
  );
  assert.equal(line(outcome('cancelled'))!.type, 's');
  for (const kind of ['open', 'click', 'subscription', 'accepted'] as const)
    assert.equal(line(outcome(kind)), undefined);
  assert.equal(line(outcome('reject', { n: undefined })), undefined);
});

test('a file that was moved away is made anew, readable by its group alone', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'postern-accounting-'));
  const path = join(directory, 'accounting.jsonl');
  const accounting = new AccountingLog({ path, log: silentLog });
  const write = async (): Promise<void> => {
    accounting.note(RECORD, outcome('attempt', { attempt: attempt() }));
    accounting.note(RECORD, outcome('open'));
    await accounting.flush();
  };
  await write();
  await write();
  renameSync(path, `${path}.1`);
  await write();
  const lines = (file: string) => readFileSync(file, 'utf8').trimEnd().split('\n');
  assert.deepEqual([lines(`${path}.1`).length, lines(path).length], [2, 1]);
  assert.equal(JSON.parse(lines(path)[0]!).type, 'd');
  assert.equal(statSync(path).mode & 0o137, 0);
  rmSync(directory, { recursive: true });
});

test('while it cannot be written, the newest lines are kept, and none is torn', async () => {
  let full = true;
  let written = '';
  const errors: unknown[] = [];
  const accounting = new AccountingLog({
    path: '/x',
    log: { error: (_, fields) => void errors.push(fields?.dropped) },
    append: async (_, text) => {
      if (!full) written += text;
      else {
        // Half a line, as a full disk leaves it.
        written += text.slice(0, 10);
        throw new Error('ENOSPC');
      }
    },
  });
  for (let n = 0; n < 20_005; n += 1) accounting.note(RECORD, outcome('cancelled', { at: AT + n }));
  await accounting.flush();
  full = false;
  accounting.note(RECORD, outcome('cancelled', { at: AT + 99_999 }));
  await accounting.flush();
  const [half, ...whole] = written.trimEnd().split('\n');
  assert.deepEqual([errors, half!.length, whole.length], [[5], 10, 20_001]);
  assert.equal(JSON.parse(whole.at(-1)!).time, new Date(AT + 99_999).toISOString());
  assert.equal(JSON.parse(whole[0]!).time, new Date(AT + 5).toISOString());
});
