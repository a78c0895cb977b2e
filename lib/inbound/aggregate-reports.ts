/**
 * Aggregate reports (DMARC: RFC 9990; TLS: RFC 8460) that arrive at the addresses made for them: read one at a time,
 * because a stranger may send one that expands to much, and stored as rows by domain and day.
 *
 * ```
 *  mail ─► the part that is a report ─► expanded and read within bounds ─► about the domain of its address? ─► row
 *             └─ none, or refused: 550 with the reason       no: 550        the day is full: 452
 * ```
 * A report that comes again replaces itself.
 */
import { hash } from 'node:crypto';
import type { Rows } from '../engine/ports.ts';
import { PosternError } from '../errors.ts';
import { decodeQuotedPrintable } from '../mail/encoding.ts';
import { parseMessage } from '../mail/message.ts';
import { checkMimeLimits } from '../mail/mime-limits.ts';
import { editLeaves, type MimeLeaf } from '../mail/mime-parts.ts';
import type { ReportMailboxes } from '../mail/report-mailbox.ts';
import { settleLines } from '../mail/sanitise.ts';
import { readDmarcReport } from '../outcome/dmarc.ts';
import { type ReportSummary, summariseDmarc, summariseTls } from '../outcome/report-summary.ts';
import { readTlsReport } from '../outcome/tls-report.ts';
import { reply } from '../smtp-server/reply.ts';
import { type Clock, DAY } from '../time.ts';

/** Kind of the rows. Their partition is the domain, their key the day, the kind of report and a digest of its name. */
export const REPORT_ROWS = 'report';
/** Maximum size of a mail with a report, octets: a packed report of 10,000 rows has a quarter of it. */
export const MAX_REPORT_MAIL = 2 * 1024 * 1024;
/** Reports about a domain and day: the address is public, and anyone may write to it. */
const MAX_OF_DAY = 100;
/** Age of a report's first day, ms: receivers send daily, and retry for some days. */
const MAX_AGE = 14 * DAY;
const KEPT = 93 * DAY;

export interface AggregateReportsParts {
  rows: Pick<Rows, 'put' | 'query'>;
  mailboxes: ReportMailboxes;
  clock: Clock;
}

export class AggregateReports {
  readonly #parts: AggregateReportsParts;
  /** The end of the report that is being read. */
  #last: Promise<unknown> = Promise.resolve();

  constructor(parts: AggregateReportsParts) {
    this.#parts = parts;
  }

  isMailbox(address: string): boolean {
    return this.#parts.mailboxes.isOurs(address);
  }

  /** Reads and stores a report. @returns the text of the 250. @throws the reply that is sent instead. */
  take(bytes: Buffer, address: string): Promise<string> {
    const taken = this.#last.then(() => this.#take(bytes, address));
    this.#last = taken.catch(() => {});
    return taken;
  }

  async #take(bytes: Buffer, address: string): Promise<string> {
    if (bytes.length >= MAX_REPORT_MAIL) throw reply(552, '5.3.4 The report is too large: send it packed');
    const found = await this.#read(bytes, address).catch((error: unknown) => {
      if (error instanceof PosternError) throw reply(550, `5.6.0 ${error.message}`);
      throw error;
    });
    const { domain, summary } = found;
    const { rows, clock } = this.#parts;
    const day = new Date(summary.begin).toISOString().slice(0, 10);
    const key = `${day}#${summary.kind}#${hash('sha256', `${summary.organisation} ${summary.reportId}`, 'hex').slice(0, 32)}`;
    const range = { from: `${day}#`, before: `${day}$` };
    const held = await rows.query({ kind: REPORT_ROWS, partition: domain, ...range, max: MAX_OF_DAY });
    if (held.length >= MAX_OF_DAY && !held.some((row) => row.key === key)) {
      throw reply(452, '4.2.2 Too many reports about that day, try again tomorrow');
    }
    const expiresAt = clock.now() + KEPT;
    await rows.put([{ kind: REPORT_ROWS, partition: domain, key, value: summary, expiresAt }]);
    return '2.0.0 Recorded';
  }

  async #read(bytes: Buffer, address: string): Promise<{ domain: string; summary: ReportSummary }> {
    const { mailboxes, clock } = this.#parts;
    const { type, content } = reportIn(bytes);
    if (type.startsWith('application/tlsrpt')) {
      const report = await readTlsReport(content);
      const domain = report.policies.find((policy) => mailboxes.isFor(address, policy.domain))?.domain;
      if (domain === undefined)
        throw refused('it is not about the domain whose reports come to this address');
      checkTime(report.begin, clock.now());
      return { domain, summary: summariseTls(report, domain) };
    }
    const report = await readDmarcReport(content);
    if (!mailboxes.isFor(address, report.domain)) {
      throw refused('it is not about the domain whose reports come to this address');
    }
    checkTime(report.begin, clock.now());
    return { domain: report.domain, summary: summariseDmarc(report) };
  }
}

const REPORT_TYPE =
  /^(?:application\/(?:tlsrpt\+(?:gzip|json)|(?:x-)?gzip|(?:x-)?zip(?:-compressed)?|xml|octet-stream)|text\/xml)$/;

/** The first part of a mail that may be a report, decoded. */
function reportIn(bytes: Buffer): { type: string; content: Buffer } {
  const message = parseMessage(settleLines(bytes, 'normalise').bytes);
  checkMimeLimits(message);
  let found: MimeLeaf | undefined;
  editLeaves(message, (leaf) => {
    if (!found && REPORT_TYPE.test(leaf.type)) found = leaf;
    return undefined;
  });
  if (!found) throw refused('it has no attachment in a format of reports (gzip, zip, XML, JSON)');
  return { type: found.type, content: decoded(found) };
}

function checkTime(begin: number, now: number): void {
  if (begin > now - MAX_AGE && begin < now + DAY) return;
  throw refused(`it is not about the last ${MAX_AGE / DAY} days`);
}

function decoded({ encoding, body }: MimeLeaf): Buffer {
  if (encoding === 'base64') return Buffer.from(body.toString('latin1'), 'base64');
  return encoding === 'quoted-printable' ? decodeQuotedPrintable(body.toString('latin1')) : body;
}

function refused(why: string): PosternError {
  return new PosternError('bad_request', `The report is refused: ${why}.`);
}
