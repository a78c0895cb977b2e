/**
 * Records reports, at most once for each delivery and kind, and only when the outcome is durable.
 *
 * ```
 *  report ─► delivery: the signed return path that it came to; else what it shows: the message's reference
 *               (X-Postern-Ref, Feedback-ID) with its return path or recipient, the return path alone, or Message-ID
 *               and recipient. Two that differ, or one that is forged or has expired, end the search
 *    about another message, a notice, an automatic reply ─► counted, 250
 *    delivery still under way (its own result is being written) ─► 451: the peer comes again
 *    bounce of a delivery that bounced, complaint that is recorded already ─► counted, 250
 *    news ─► onFeedback ─► records ─► 250
 * ```
 * Repeats are found in the records, not in memory: one message gives one complaint and one `not-spam`, at any number
 * of repeats, on any node, and after a restart.
 */
import type { MessageRecord } from '../engine/items.ts';
import { SCHEMA_VERSION } from '../engine/items.ts';
import type { Engine } from '../engine/ports.ts';
import { FINAL_STATES } from '../engine/states.ts';
import type { Log } from '../log.ts';
import { isMessageId, messageIdIn } from '../mail/message-id.ts';
import type { MessageReferences } from '../mail/message-reference.ts';
import type { ReturnPaths } from '../mail/return-path.ts';
import type { ComplaintDetail } from '../outcome/details.ts';
import { type Feedback, feedbackOf } from '../outcome/feedback.ts';
import type { Original, Report } from '../outcome/report-types.ts';
import { sameAddress } from '../outcome/suppression.ts';
import { reply } from '../smtp-server/reply.ts';
import type { Clock } from '../time.ts';

/** The delivery that a report is about. */
export interface ReportTarget {
  messageId: string;
  n: number;
  /**
   * Whether no signature names the recipient: the delivery was found by its Message-ID, or by a reference to a message
   * of several recipients.
   */
  unsigned?: boolean;
}

/** Messages by result, since the start. */
export interface InboundCounts {
  bounces: number;
  complaints: number;
  autoReplies: number;
  /** Reports that were recorded before. */
  repeats: number;
  /** Delay and success notices, reports of other messages, and unreadable messages. */
  ignored: number;
}

export interface RecorderParts {
  records: Pick<Engine['records'], 'message' | 'state' | 'reports' | 'append'>;
  returnPaths: ReturnPaths;
  references: MessageReferences;
  clock: Clock;
  log: Log;
  /** Called with each bounce and complaint before it is recorded. When it throws, the report stays with its peer. */
  onFeedback?: (feedback: Feedback, delivery: ReportTarget) => Promise<void>;
}

export class Recorder {
  readonly counts: InboundCounts = { bounces: 0, complaints: 0, autoReplies: 0, repeats: 0, ignored: 0 };
  readonly #parts: RecorderParts;
  /** Deliveries whose report is being recorded. */
  readonly #busy = new Set<string>();

  constructor(parts: RecorderParts) {
    this.#parts = parts;
  }

  /** The delivery that a signed return path names. */
  targetOf(address: string): ReportTarget | undefined {
    return this.#parts.returnPaths.read(address, this.#parts.clock.now());
  }

  /** Handles a report. @returns the text of the 250. @throws the reply that is sent instead. */
  async take(report: Report, recipient: string): Promise<string> {
    const target = this.targetOf(recipient) ?? (await this.#targetIn(report));
    if (!target) {
      throw reply(550, '5.7.1 Only feedback reports about mail from here are taken; no person reads this');
    }
    const { messageId, n } = target;
    const message = await this.#parts.records.message(messageId);
    const feedback = message && n < message.recipients.length ? feedbackOf(report, message, n) : undefined;
    if (!message || !feedback) {
      this.counts[report.kind === 'auto-reply' ? 'autoReplies' : 'ignored'] += 1;
      return '2.0.0 Taken note of';
    }
    const key = `${feedback.kind} ${messageId} ${n}`;
    if (this.#busy.has(key)) throw underWay();
    this.#busy.add(key);
    try {
      return await this.#record(feedback, message, target);
    } finally {
      this.#busy.delete(key);
    }
  }

  async #record(feedback: Feedback, message: MessageRecord, target: ReportTarget): Promise<string> {
    const { records, clock, log, onFeedback } = this.#parts;
    const { n } = target;
    if (await this.#isRepeat(feedback, message, n)) {
      this.counts.repeats += 1;
      return '2.0.0 Known already';
    }
    await onFeedback?.(feedback, target);
    const { kind } = feedback;
    const detail = target.unsigned ? { ...feedback.detail, unsigned: true } : feedback.detail;
    const { id: messageId, tenant } = message;
    await records.append([{ v: SCHEMA_VERSION, messageId, n, at: clock.now(), kind, tenant, detail }]);
    this.counts[kind === 'bounce' ? 'bounces' : 'complaints'] += 1;
    log.info('report', { kind, messageId, n, recipient: message.recipients[n] });
    return '2.0.0 Recorded';
  }

  /**
   * Whether a report is recorded already. @throws a temporary error while the delivery's own result is missing,
   * because a fast peer bounces first.
   */
  async #isRepeat(feedback: Feedback, message: MessageRecord, n: number): Promise<boolean> {
    const { records } = this.#parts;
    const state = await records.state(message.id, n);
    if (state === undefined || !FINAL_STATES.has(state)) throw underWay();
    if (feedback.kind === 'bounce') return state !== 'delivered';
    const recorded = await records.reports(message.id);
    return recorded.some(
      ({ kind, n: of, detail }) =>
        kind === 'complaint' &&
        of === n &&
        isTakenBack(detail as ComplaintDetail) === isTakenBack(feedback.detail),
    );
  }

  /** The delivery that a complaint at a role address is about. */
  async #targetIn(report: Report): Promise<ReportTarget | undefined> {
    if (report.kind !== 'complaint') return undefined;
    const { original, recipients } = report;
    const id = this.#messageIn(original);
    if (id === undefined) return undefined;
    for (const address of original.returnPaths) {
      const target = this.targetOf(address);
      if (target) return target.messageId === id ? target : undefined;
    }
    const message = await this.#parts.records.message(id);
    if (!message) return { messageId: id, n: 0, unsigned: true };
    const signed = original.references.length > 0;
    if (signed && message.recipients.length === 1) return { messageId: id, n: 0 };
    const [recipient, ...others] = new Set(recipients);
    if (recipient === undefined || others.length > 0) return undefined;
    const n = message.recipients.findIndex((address) => sameAddress(recipient, address));
    return n < 0 ? undefined : { messageId: id, n, unsigned: true };
  }

  /** The message that a complaint shows, by the first of: reference, return path, Message-ID. */
  #messageIn({ references, returnPaths, messageId }: Original): string | undefined {
    if (references.length > 0) {
      const now = this.#parts.clock.now();
      const [id, ...others] = new Set(references.map((text) => this.#parts.references.read(text, now)));
      return others.length > 0 ? undefined : id;
    }
    if (returnPaths.length > 0) {
      return returnPaths.map((address) => this.targetOf(address)).find((target) => target)?.messageId;
    }
    const id = messageId && messageIdIn(messageId);
    return id && isMessageId(id) ? id : undefined;
  }
}

function isTakenBack({ feedbackType }: ComplaintDetail): boolean {
  return feedbackType === 'not-spam';
}

/** Answers 451: the peer's queue brings the report again when the delivery's own result is recorded. */
function underWay(): Error {
  return reply(451, '4.3.0 This delivery is still being recorded, try again later');
}
