import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Outcome } from '../../lib/engine/items.ts';
import { feedbackOf } from '../../lib/outcome/feedback.ts';
import { parseReport } from '../../lib/outcome/report.ts';
import { suppressionChange } from '../../lib/outcome/suppression.ts';
import { DIALECTS, notification } from '../fixtures/dialects.ts';
import { messageRecord } from '../support/outcomes.ts';

const record = messageRecord();
const about = {
  user: record.recipients[0]!,
  messageId: record.commonHeaders.messageId,
  returnPath: 'b-return-path@bounces.example.org',
};

/** What the suppression list gets from a notification that came to the delivery's return path. */
async function changeBy(bytes: Buffer): Promise<[kind: string, action: string | undefined]> {
  const feedback = feedbackOf(await parseReport(bytes), record, 0);
  if (!feedback) return ['none', undefined];
  const { kind, detail } = feedback;
  const outcome: Outcome = { v: 1, messageId: record.id, n: 0, at: 1, kind, tenant: record.tenant, detail };
  return [kind, suppressionChange(record, outcome)?.action];
}

describe('a delivery status notification', () => {
  for (const dialect of DIALECTS) {
    const { system, language, hard, fields } = dialect;
    it(`of ${system}, in ${language}`, async () => {
      const delayed = fields.includes('Action: delayed');
      const expected = delayed ? ['none', undefined] : ['bounce', hard ? 'add' : undefined];
      assert.deepEqual(await changeBy(notification(dialect, about)), expected);
    });

    it(`of ${system}, in ${language}, about another message is ignored`, async () => {
      const other = { ...about, messageId: `<${record.id.replace('0100', '0101')}@example.org>` };
      assert.deepEqual(await changeBy(notification(dialect, other)), ['none', undefined]);
    });
  }

  it('has dialects of twenty systems and eight languages', () => {
    assert.ok(new Set(DIALECTS.map(({ system }) => system)).size >= 20);
    assert.ok(new Set(DIALECTS.map(({ language }) => language)).size >= 8);
  });

  it('suppresses nobody when its status or its reply is temporary, in any dialect', async () => {
    for (const dialect of DIALECTS) {
      const soft = dialect.fields
        .replace(/^Status: 5\.(.*)$/m, 'Status: 4.$1')
        .replace(/\b550([- ])(?:5\.\d\.\d )?/g, '450$1');
      assert.equal(
        (await changeBy(notification({ ...dialect, fields: soft }, about)))[1],
        undefined,
        dialect.system,
      );
    }
  });
});
