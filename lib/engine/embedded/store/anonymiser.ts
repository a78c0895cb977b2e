/** Takes an address out of messages and of what happened to them, a step of messages at a time: no index finds it. */
import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { createEraser, type Eraser } from '../../erased.ts';
import type { MessageRecord } from '../../items.ts';
import type { Anonymised } from '../../ports.ts';
import type { Argument } from '../protocol.ts';

/** Messages that one step looks at: other calls must not wait long. */
const STEP = 500;

export class Anonymiser {
  readonly #messages: StatementSync;
  readonly #underWay: StatementSync;
  readonly #saveRecord: StatementSync;
  readonly #outcomes: StatementSync;
  readonly #orphans: StatementSync;
  readonly #saveOutcome: StatementSync;

  constructor(db: DatabaseSync) {
    this.#messages = db.prepare(`SELECT seq, record FROM messages WHERE seq > ? ORDER BY seq LIMIT ${STEP}`);
    // A body stays as long as a delivery has not ended.
    this.#underWay = db.prepare('SELECT 1 FROM bodies WHERE message = ?');
    this.#saveRecord = db.prepare('UPDATE messages SET record = ? WHERE seq = ?');
    this.#outcomes = db.prepare('SELECT seq, json FROM outcomes WHERE message = ?');
    this.#orphans = db.prepare('SELECT seq, json FROM outcomes WHERE message IS NULL');
    this.#saveOutcome = db.prepare('UPDATE outcomes SET json = ? WHERE seq = ?');
  }

  step({ address, tenant, after }: Argument<'anonymise'>): Anonymised {
    const eraser = createEraser(address);
    const result: Anonymised = { messages: 0, outcomes: 0, underWay: 0 };
    if (after === 0) result.outcomes += this.#eraseOutcomes(this.#orphans.all(), eraser, tenant);
    const rows = this.#messages.all(after) as { seq: number; record: string }[];
    for (const { seq, record: json } of rows) {
      if (!eraser.mayHold(json)) continue;
      const record = JSON.parse(json) as MessageRecord;
      if (record.tenant !== tenant || !record.recipients.some(eraser.is)) continue;
      if (this.#underWay.get(seq)) {
        result.underWay += 1;
        continue;
      }
      this.#saveRecord.run(JSON.stringify(anonymous(record, eraser)), seq);
      result.messages += 1;
      result.outcomes += this.#eraseOutcomes(this.#outcomes.all(seq), eraser, tenant);
    }
    return rows.length < STEP ? result : { ...result, next: rows.at(-1)!.seq };
  }

  #eraseOutcomes(rows: unknown[], eraser: Eraser, tenant: string): number {
    let count = 0;
    for (const { seq, json } of rows as { seq: number; json: string }[]) {
      if (!eraser.mayHold(json)) continue;
      const outcome = JSON.parse(json) as { tenant: string };
      const erased = JSON.stringify(eraser.erase(outcome));
      if (outcome.tenant !== tenant || erased === json) continue;
      this.#saveOutcome.run(erased, seq);
      count += 1;
    }
    return count;
  }
}

function anonymous(record: MessageRecord, eraser: Eraser): MessageRecord {
  const { commonHeaders, headers } = record;
  const whole = (texts: string[] | undefined) => texts?.map(eraser.eraseWhole);
  const { to, cc, replyTo } = commonHeaders;
  return eraser.erase({
    ...record,
    commonHeaders: { ...commonHeaders, to: whole(to), cc: whole(cc), replyTo: whole(replyTo) },
    headers: headers && {
      ...headers,
      fields: headers.fields.map(([name, value]): [string, string] => [name, eraser.eraseWhole(value)]),
    },
  });
}
