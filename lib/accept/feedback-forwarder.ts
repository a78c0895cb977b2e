/**
 * Forwards bounces and complaints to senders by mail, as SES does: where the identity has it on and no event
 * destination takes them, or where the message names an address for them.
 *
 * ```
 *  outcome ─► about a forwarded report itself? no ─► wanted? ─► within the rate of that address? ─► accept, as any mail
 *                 yes: end                          no: end       no: dropped, logged
 * ```
 * Loop-safe twice: the report travels with the null return path, so nothing bounces to anyone, and what becomes of it is
 * never reported. An outcome that is read again is accepted once, by its idempotency key.
 */
import { hash } from 'node:crypto';
import { Cache } from '../cache.ts';
import type { Control } from '../control/types.ts';
import type { MessageRecord, Outcome } from '../engine/items.ts';
import { asPosternError } from '../errors.ts';
import type { Log } from '../log.ts';
import { parseAddress } from '../mail/address.ts';
import { feedbackId, sesEvents } from '../outcome/events.ts';
import { FEEDBACK_SENDER, feedbackMail, isForwarded } from '../outcome/feedback-mail.ts';
import type { EventContext } from '../outcome/mail-object.ts';
import { type Clock, DAY, HOUR } from '../time.ts';
import type { Accept } from './types.ts';

/** Reports to one address: a campaign to a dead domain must not become as many mails to its sender. */
const REPORTS_AN_HOUR = 100;
/** Addresses whose reports are counted at one time. */
const MAX_ADDRESSES = 10_000;

export interface FeedbackForwarderParts {
  accept: Accept;
  control: Pick<Control, 'identities' | 'eventDestinations'>;
  clock: Clock;
  context: EventContext;
  log: Log;
}

export class FeedbackForwarder {
  readonly #parts: FeedbackForwarderParts;
  /** Reports to each address, since the start of its hour. */
  readonly #reports = new Cache<string, { begin: number; count: number }>(MAX_ADDRESSES);

  constructor(parts: FeedbackForwarderParts) {
    this.#parts = parts;
  }

  /**
   * Forwards what is to be forwarded of some outcomes; the same may come again. @param records of their messages.
   * @throws PosternError of the storage group: some may be forwarded, and all may be repeated.
   */
  async forward(outcomes: readonly Outcome[], records: ReadonlyMap<string, MessageRecord>): Promise<void> {
    for (const outcome of outcomes) {
      const record = records.get(outcome.messageId);
      if (record && mayBeForwarded(outcome)) {
        await this.#forwardOne(record, outcome);
      }
    }
  }

  async #forwardOne(record: MessageRecord, outcome: Outcome): Promise<void> {
    const { context, log, accept } = this.#parts;
    const event = sesEvents(record, outcome, context).find(isForwarded);
    const from = event && senderOf(record);
    if (!from || !(await this.#isWanted(record, from, event.eventType === 'Bounce' ? 'BOUNCE' : 'COMPLAINT')))
      return;
    const { tenant, feedbackTo: to = from } = record;
    const id = feedbackId(outcome);
    const about = { messageId: record.id, n: outcome.n, to };
    if (!this.#mayReport(`${tenant} ${to}`)) {
      log.warn('feedback not forwarded: too many reports to one address', about);
      return;
    }
    const { hostname } = context;
    const boundary = `=_${hash('sha256', id, 'hex').slice(0, 32)}`;
    const bytes = feedbackMail(event, record, outcome, { from, to, hostname, boundary });
    const [result] = await accept.submit(
      [
        {
          to: [to],
          cc: [],
          bcc: [],
          replyTo: [],
          content: { kind: 'raw', bytes },
          pool: record.pool,
          nullReturnPath: true,
        },
      ],
      {
        door: record.door,
        caller: { keyId: FEEDBACK_SENDER, tenant, admin: false, sourceIp: '127.0.0.1' },
        idempotency: { key: id, digest: id, ttl: DAY },
      },
    );
    if (result && 'error' in result) {
      const error = asPosternError(result.error);
      // A refusal stays one: the identity is gone, or the tenant is paused.
      log.warn('feedback not forwarded', { ...about, error });
    } else log.info('feedback forwarded', { ...about, as: result?.messageId });
  }

  /** Counts a report to an address. @returns whether it is within the rate. */
  #mayReport(address: string): boolean {
    const now = this.#parts.clock.now();
    let hour = this.#reports.get(address);
    if (!hour || now >= hour.begin + HOUR) this.#reports.set(address, (hour = { begin: now, count: 0 }));
    hour.count += 1;
    return hour.count <= REPORTS_AN_HOUR;
  }

  async #isWanted(record: MessageRecord, from: string, type: 'BOUNCE' | 'COMPLAINT'): Promise<boolean> {
    if (record.feedbackTo !== undefined) return true;
    const { identities, eventDestinations } = this.#parts.control;
    const takers = await eventDestinations.takers(record);
    if (takers.some(({ types }) => types.includes(type))) return false;
    // Another tenant's, where the tenant may only use it.
    const identity =
      (await identities.forSender(from, record.tenant)) ?? (await identities.covering(from))[0];
    return identity?.feedbackForwarding === true;
  }
}

/** Whether an outcome may lead to a report, before it is looked at closely: most are deliveries. */
function mayBeForwarded({ kind, attempt }: Outcome): boolean {
  if (kind === 'bounce' || kind === 'complaint') return true;
  return kind === 'attempt' && attempt !== undefined && ENDED_BADLY.has(attempt.state);
}

const ENDED_BADLY: ReadonlySet<string> = new Set(['bounced', 'expired', 'suppressed']);

/** The address of a message's From; undefined when no parser reads it from the record. */
function senderOf({ source }: MessageRecord): string | undefined {
  try {
    return parseAddress(source).address;
  } catch {
    return undefined;
  }
}
