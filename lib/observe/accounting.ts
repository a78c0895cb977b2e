/**
 * The accounting log: one JSON line for each attempt and each final outcome of a delivery, for ELK, Graylog or a billing
 * job (PowerMTA's acct files). The fields are documented in README.md. It has no content of mail; it has addresses.
 *
 * A line is written before its outcome counts as followed, so a crash may write some lines twice, and loses none. The
 * file is opened for each batch: logrotate may move it away at any time, without a signal. While it cannot be written,
 * lines are kept in memory up to a bound; statistics and suppression go on.
 */
import { appendFile } from 'node:fs/promises';
import type { MessageRecord, Outcome } from '../engine/items.ts';
import type { Log } from '../log.ts';
import { diagnoseAttempt } from '../outcome/attempt.ts';
import { CAUSES } from '../outcome/causes.ts';
import type { BounceDetail, ComplaintDetail } from '../outcome/details.ts';
import { providerOf } from '../shaping/providers.ts';
import { cleanText } from '../text.ts';

/** Longest reply that is written, characters. */
const MAX_TEXT = 512;

/** `d` delivered · `t` put off · `b` refused or given up · `rb` bounced later · `f` complaint (feedback loop) · `s` suppressed, cancelled */
type LineType = 'd' | 't' | 'b' | 'rb' | 'f' | 's';

const TYPES: Readonly<Record<string, LineType>> = {
  delivered: 'd',
  deferred: 't',
  bounced: 'b',
  expired: 'b',
  suppressed: 's',
  cancelled: 's',
};

/** Lines kept while the file cannot be written: some 15 MB. */
const MAX_KEPT = 20_000;

export interface AccountingOptions {
  path: string;
  log: Pick<Log, 'error'>;
  /** Appends to the file; absent: the file system does. */
  append?: (path: string, text: string) => Promise<void>;
}

export class AccountingLog {
  readonly #options: AccountingOptions;
  #lines: string[] = [];
  /** The last batch may have ended within a line. */
  #torn = false;

  constructor(options: AccountingOptions) {
    this.#options = options;
  }

  /** Notes an outcome. Kinds that end or try no delivery (opens, clicks, subscriptions) have no line. */
  note(record: MessageRecord, outcome: Outcome): void {
    const line = accountingLine(record, outcome);
    if (line) this.#lines.push(`${JSON.stringify(line)}\n`);
  }

  /** Writes what was noted. A failure is logged; the lines are kept for the next call, the newest `MAX_KEPT`. */
  async flush(): Promise<void> {
    if (this.#lines.length === 0) return;
    const { path, log, append = appendTo } = this.#options;
    const lines = this.#lines;
    this.#lines = [];
    try {
      await append(path, `${this.#torn ? '\n' : ''}${lines.join('')}`);
      this.#torn = false;
    } catch (error) {
      this.#torn = true;
      const dropped = Math.max(0, lines.length - MAX_KEPT);
      this.#lines = [...lines.slice(dropped), ...this.#lines];
      log.error('the accounting log cannot be written; lines are kept in memory', { path, error, dropped });
    }
  }
}

/** Mode 0640: it names recipients. */
function appendTo(path: string, text: string): Promise<void> {
  return appendFile(path, text, { mode: 0o640 });
}

/** The line of an outcome; undefined for a kind that has none. */
export function accountingLine(record: MessageRecord, outcome: Outcome): object | undefined {
  const { n, attempt } = outcome;
  if (n === undefined) return undefined;
  const recipient = record.recipients[n] ?? '';
  const common = {
    time: new Date(outcome.at).toISOString(),
    messageId: record.id,
    n,
    queuedAt: new Date(record.acceptedAt).toISOString(),
    tenant: record.tenant,
    campaign: record.campaign,
    configurationSet: record.configurationSet,
    pool: record.pool,
    class: record.class,
    from: record.source,
    recipient,
    domain: recipient.slice(recipient.lastIndexOf('@') + 1).toLowerCase(),
  };
  switch (outcome.kind) {
    case 'attempt':
      return attempt && { type: TYPES[attempt.state], ...common, ...attemptFields(record, attempt) };
    case 'cancelled':
      return { type: 's', ...common, reason: 'cancelled' };
    case 'bounce': {
      const { bounce, category, cause } = outcome.detail as BounceDetail;
      return { type: 'rb', ...common, bounceType: bounce.type, category, cause };
    }
    case 'complaint':
      return { type: 'f', ...common, feedbackType: (outcome.detail as ComplaintDetail).feedbackType };
    default:
      return undefined;
  }
}

function attemptFields(record: MessageRecord, attempt: NonNullable<Outcome['attempt']>): object {
  const { at, duration, ip, mx, tls, state, reason, text, uncertain, until } = attempt;
  const fault = state === 'delivered' ? undefined : diagnoseAttempt(attempt);
  return {
    seconds: Math.max(0, Math.round((at + duration - record.acceptedAt) / 100) / 10),
    durationMs: duration,
    provider: attempt.provider ?? (mx ? providerOf([mx.host]) : undefined),
    sourceIp: ip,
    mxHost: mx?.host,
    mxIp: mx?.address,
    tls: tls?.protocol,
    code: attempt.replies.at(-1)?.code,
    status: fault?.status,
    reason,
    text: cleanText(text).slice(0, MAX_TEXT),
    category: fault?.category,
    cause: fault?.cause,
    fault: fault && CAUSES[fault.cause].fault,
    uncertain,
    retryAt: until === undefined || state !== 'deferred' ? undefined : new Date(until).toISOString(),
  };
}
