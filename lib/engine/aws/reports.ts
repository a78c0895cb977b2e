/**
 * What was reported of a message after its deliveries, as items beside its deliveries:
 *
 * | key | attribute |
 * |---|---|
 * | `r#`, when, digest | `o`: an open or a click, encoded |
 * | `r#!`, when, digest | `o`: a bounce or a complaint: before all others, so that no number of opens hides it |
 *
 * The digest is the outcome's own, so the same report, kept twice, is there once.
 */
import { createHash } from 'node:crypto';
import { isEngagement, type MessageRecord, type Outcome, REPORTS_SHOWN } from '../items.ts';
import { bytes, type Item, text, ttlOf } from './attributes.ts';
import type { DeliveryTable } from './delivery-table.ts';
import { decodeRecord, encodeRecord } from './record-codec.ts';

const PREFIX = 'r#';
/** Sorts before the digits of a time. */
const FIRST = '!';

export class Reports {
  readonly #deliveries: DeliveryTable;
  readonly #retention: number;

  /** @param retention how long they are kept after the expiry of their message's deliveries, ms. */
  constructor(deliveries: DeliveryTable, retention: number) {
    this.#deliveries = deliveries;
    this.#retention = retention;
  }

  /** Durable when it resolves. */
  async keep(reports: readonly { record: MessageRecord; outcome: Outcome }[]): Promise<void> {
    const items = new Map<string, Item>();
    for (const { record, outcome } of reports) {
      const digest = createHash('sha256').update(JSON.stringify(outcome)).digest('base64url').slice(0, 16);
      const kind = isEngagement(outcome.kind) ? '' : FIRST;
      const sk = `${PREFIX}${kind}${String(outcome.at).padStart(15, '0')}#${digest}`;
      items.set(`${record.id} ${sk}`, {
        pk: text(record.id),
        sk: text(sk),
        o: bytes(encodeRecord(outcome)),
        ttl: ttlOf(record.expiresAt + this.#retention),
      });
    }
    if (items.size > 0) await this.#deliveries.putAll([...items.values()]);
  }

  /** @param id under which the message is stored. */
  async of(id: string): Promise<Outcome[]> {
    const range = { from: PREFIX, to: `${PREFIX}~`, limit: REPORTS_SHOWN };
    const items = await this.#deliveries.query(id, range);
    const reports = items.map((item) => decodeRecord<Outcome>(item.o!.B!, 'a report'));
    return reports.sort((a, b) => a.at - b.at);
  }
}
