import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { classify } from '../../lib/outcome/classify.ts';
import { feedbackOf } from '../../lib/outcome/feedback.ts';
import { readGroups } from '../../lib/outcome/fields.ts';
import { parseReport } from '../../lib/outcome/report.ts';
import { suppressionChange } from '../../lib/outcome/suppression.ts';
import { messageRecord, outcome } from '../support/outcomes.ts';

const directory = new URL('../fixtures/reports/', import.meta.url);
const fixtures = readdirSync(directory).map((name) =>
  Buffer.from(readFileSync(new URL(name, directory), 'utf8').replaceAll('\n', '\r\n')),
);
const SEED = { seed: 20_261_121, numRuns: 300 };

/** Cuts, doubles, moves and overwrites pieces of a report. */
const mutated = fc
  .tuple(
    fc.constantFrom(...fixtures),
    fc.array(fc.tuple(fc.nat(5000), fc.nat(300), fc.uint8Array({ maxLength: 40 }), fc.nat(3)), {
      maxLength: 8,
    }),
  )
  .map(([fixture, edits]) => {
    let bytes = fixture;
    for (const [at, length, junk, kind] of edits) {
      const start = at % (bytes.length + 1);
      const piece = bytes.subarray(start, start + length);
      const head = bytes.subarray(0, start);
      const tail = bytes.subarray(start + length);
      if (kind === 0) bytes = Buffer.concat([head, tail]);
      else if (kind === 1) bytes = Buffer.concat([head, piece, piece, tail]);
      else if (kind === 2) bytes = Buffer.concat([piece, head, tail]);
      else bytes = Buffer.concat([head, junk, tail]);
    }
    return bytes;
  });

describe('reports, mutated', () => {
  it('never throws, and never suppresses an address that is not the recipient', async () => {
    const record = messageRecord();
    await fc.assert(
      fc.asyncProperty(mutated, async (bytes) => {
        const report = await parseReport(bytes);
        assert.ok(['dsn', 'complaint', 'auto-reply', 'other'].includes(report.kind));
        const feedback = feedbackOf(report, record, 0);
        if (!feedback) return;
        const change = suppressionChange(record, outcome(feedback.kind, { detail: feedback.detail }));
        assert.equal(change?.entry.address ?? record.recipients[0], record.recipients[0]);
        JSON.stringify(feedback);
      }),
      SEED,
    );
  });

  it('parses any bytes without an error', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 2000 }), async (bytes) => {
        await parseReport(Buffer.from(bytes));
      }),
      SEED,
    );
  });

  it('parses any field groups without an error', () => {
    const line = fc.oneof(
      fc.string({ maxLength: 60, unit: 'binary' }),
      fc.constantFrom('', 'Final-Recipient: rfc822; a@b', ' folded', '\tx', ':', 'Action: failed'),
    );
    fc.assert(
      fc.property(fc.array(line, { maxLength: 60 }), (lines) => {
        for (const group of readGroups(lines.join('\r\n'))) {
          for (const [name, values] of group) {
            assert.match(name, /^[!-9;-~]{1,80}$/);
            for (const value of values) assert.ok(value.length <= 1000);
          }
        }
      }),
      SEED,
    );
  });
});

describe('replies, any', () => {
  it('classifies each and ends a delivery only on a 5xx', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: -10, max: 1200 }),
        fc.option(fc.string({ maxLength: 12 }), { nil: undefined }),
        fc.array(fc.string({ maxLength: 200, unit: 'binary' }), { maxLength: 5 }),
        fc.constantFrom(
          'connect',
          'greeting',
          'ehlo',
          'starttls',
          'tls',
          'mail',
          'rcpt',
          'data',
          'body',
          'quit',
          '?',
        ),
        (code, enhanced, lines, phase) => {
          const { state, text } = classify({ kind: 'refused', phase, reply: { code, enhanced, lines } });
          assert.ok(state === 'deferred' || (state === 'bounced' && code >= 500 && code <= 599));
          assert.ok(text.length <= 1000);
        },
      ),
      { ...SEED, numRuns: 2000 },
    );
  });
});
