/**
 * Reads bounces in prose, from systems that send no RFC 3464 part. Only forms that identify themselves are read;
 * guessing at others would suppress addresses by accident. A notice of delay is never a bounce.
 *
 * | system                            | how it names itself                                              |
 * |-----------------------------------|------------------------------------------------------------------|
 * | Exim                              | `X-Failed-Recipients`                                            |
 * | qmail (QSBMF)                     | `Hi. This is the`, then `<address>:`                             |
 * | DragonFly Mail Agent              | `This is the DragonFly Mail Agent`                               |
 * | OpenSMTPD                         | `This is the MAILER-DAEMON`, then `address: reason`              |
 * | GMX, web.de, IONOS, Zoho          | `This message was created automatically by mail delivery`        |
 * | Exchange before 2007              | `The following recipient(s) could not be reached`                |
 * | Amazon WorkMail and others        | the fields of RFC 3464 in the text                               |
 */
import { addressOf, printable, readGroups } from './fields.ts';
import type { DsnRecipient, Original, Report, ReportMail } from './report-types.ts';

const MAX_LINES = 200;
const MAX_REASON = 500;
const ADDRESS_LINE = /^\s{0,8}<?([^\s<>"']{1,64}@[^\s<>"':;,]{1,255}?)>?:?$/;
/** `address: reason` or `address reason` on one line. */
const ADDRESS_AND_REASON = /^\s{0,8}<?([^\s<>"':]{1,64}@[^\s<>"':;,]{1,255}?)>?(?::\s+|\s{1,3})(\S.{0,400})$/;
const STATUS = /\b([45]\.[0-9]{1,3}\.[0-9]{1,3})\b/;
const REPLY = /\b([45][0-9]{2}[ -].{0,400})/;
/** Zoho: `ERROR_CODE :550, ERROR_CODE :5.1.1 text` and `ResponseCode 421, , text`. */
const ZOHO_CODE = /(?:ERROR_CODE ?:|ResponseCode ?)([45][0-9]{2})[,\s]{1,4}(?:ERROR_CODE ?:)?(.{0,400})/i;
const DELAY =
  /\b(?:has not (?:yet )?been delivered|message is delayed|delivery (?:has been |is )?delayed|will (?:continue to )?be (?:re)?tried|still be(?:ing)? attempt|no action is required|warning: (?:could not send|message)|transient non-fatal)/i;
/** Lines after which the returned message follows. */
const COPY =
  /^(?:-{2,}[ -]*(?:this is a copy|below this line|the header of the original|original message|forwarded message)|message headers follow|below is a copy of the original)/i;

/** Reads a bounce in prose. */
export function readProse(mail: ReportMail, original: Original): Report | undefined {
  const lines = ownLines(mail.text);
  const text = lines.join('\n');
  if (DELAY.test(text)) return undefined;
  const recipients =
    qmail(lines) ??
    exim(mail.header, lines) ??
    exchange(lines) ??
    (isDaemon(mail.header) ? (named(lines, text) ?? fieldsIn(text)) : undefined);
  if (!recipients) return undefined;
  return { kind: 'dsn', recipients: recipients.map(clean), original };
}

/** The reason that the text gives for a recipient, as a Diagnostic-Code. */
export function reasonFor(recipient: string, text: string): string | undefined {
  const reason = reasonIn(ownLines(text), recipient);
  return reason.length === 0 ? undefined : clean(failed(recipient, reason)).diagnosticCode;
}

/** Whether a program sent the message: a person who forwards a bounce has a name. */
function isDaemon(header: ReportMail['header']): boolean {
  const from = header('from') ?? '';
  return from.includes('<>') || /mailer-?daemon|postmaster|mail delivery|bounce/i.test(from);
}

/** The lines before the returned message. */
function ownLines(text: string): string[] {
  const lines = text.split(/\r?\n/, MAX_LINES);
  const copy = lines.findIndex((line) => COPY.test(line.trim()));
  return copy < 0 ? lines : lines.slice(0, copy);
}

/** QSBMF (https://cr.yp.to/proto/qsbmf.txt): `Hi. This is the`, paragraphs `<address>:`, then the message. */
function qmail(lines: string[]): DsnRecipient[] | undefined {
  const start = lines.findIndex((line) => line.trim() !== '');
  if (start < 0 || !lines[start]!.startsWith('Hi. This is the ')) return undefined;
  const found: DsnRecipient[] = [];
  let reason: string[] | undefined;
  // Some write no empty line between the introduction and the first recipient.
  for (const line of lines.slice(start + 1)) {
    const address = /^<(.{1,320})>:$/.exec(line.trim())?.[1];
    if (address) {
      reason = [];
      found.push({ recipient: address, action: 'failed', status: '5.0.0' });
    } else if (line.trim() === '') {
      reason = undefined;
    } else if (reason) {
      reason.push(line);
      found[found.length - 1] = failed(found.at(-1)!.recipient!, reason);
    }
  }
  return found.length > 0 ? found : undefined;
}

/** Exim names the recipients of a final failure in a header field; a warning of delay has none. */
function exim(header: ReportMail['header'], lines: string[]): DsnRecipient[] | undefined {
  const recipients = header('x-failed-recipients')?.split(',', 20);
  if (!recipients) return undefined;
  const found = recipients
    .map((recipient) => addressOf(recipient.trim()))
    .filter((address) => address !== undefined)
    .map((address) => failed(address, reasonIn(lines, address)));
  return found.length > 0 ? found : undefined;
}

/** Reads bounces of systems that identify themselves in a sentence and then name each recipient on a line. */
function named(lines: string[], text: string): DsnRecipient[] | undefined {
  if (/^This is the DragonFly Mail Agent/m.test(text)) {
    const address = /error delivering your mail to <([^\s<>]{3,320})>/.exec(text)?.[1];
    const at = lines.findIndex((line) => line.includes('error delivering your mail'));
    return address === undefined ? undefined : [failed(address, lines.slice(at + 1))];
  }
  if (!/^\s*This is the MAILER-DAEMON|^This message was created automatically by mail delivery/m.test(text)) {
    return undefined;
  }
  const found: DsnRecipient[] = [];
  for (const line of lines) {
    const address = ADDRESS_LINE.exec(line)?.[1] ?? ADDRESS_AND_REASON.exec(line)?.[1];
    if (address) found.push(failed(address, reasonIn(lines, address)));
  }
  const bracketed = /\[Status: Error, Address: <([^\s<>]{3,320})>, (ResponseCode .{0,300})\]/.exec(text);
  if (bracketed) found.push(failed(bracketed[1]!, [bracketed[2]!]));
  return found.length > 0 ? found : undefined;
}

/** Reads the fields of a delivery status from the text. */
function fieldsIn(text: string): DsnRecipient[] | undefined {
  const start = text.search(/^(?:Reporting-MTA|Final-Recipient):/m);
  if (start < 0) return undefined;
  const fields = new Map(readGroups(text.slice(start)).flatMap((group) => [...group]));
  const recipient = addressOf(fields.get('final-recipient')?.[0]);
  const action = fields.get('action')?.[0]?.toLowerCase();
  const status = STATUS.exec(fields.get('status')?.[0] ?? '')?.[1];
  if (!recipient || action !== 'failed' || !status) return undefined;
  return [{ recipient, action, status, diagnosticCode: fields.get('diagnostic-code')?.[0] }];
}

/** Exchange before 2007: `<host #5.1.1 smtp;550 5.1.1 ...>` under each recipient. */
function exchange(lines: string[]): DsnRecipient[] | undefined {
  const start = lines.findIndex((line) =>
    /following recipient\(s\) (?:could not|cannot) be reached/i.test(line),
  );
  if (start < 0) return undefined;
  const found: DsnRecipient[] = [];
  let address: string | undefined;
  for (const line of lines.slice(start + 1)) {
    address = /^\s{0,16}'?([^\s@<>']{1,64}@[^\s@<>']{1,255}?)'?(?: on .{0,80})?$/.exec(line)?.[1] ?? address;
    const code = /<\S{1,255} #([45]\.[0-9]{1,3}\.[0-9]{1,3})(.{0,400})/.exec(line);
    if (!address || !code) continue;
    const reason = code[2]!
      .replace(/>\s*$/, '')
      .replace(/^ *smtp; */i, '')
      .trim();
    found.push({
      recipient: address,
      action: 'failed',
      status: code[1]!,
      diagnosticCode: `smtp; ${reason || code[1]!}`,
    });
    address = undefined;
  }
  return found.length > 0 ? found : undefined;
}

/** The lines that follow a recipient, or the rest of its own line. */
function reasonIn(lines: string[], recipient: string): string[] {
  for (const [at, line] of lines.entries()) {
    const same = ADDRESS_AND_REASON.exec(line);
    if (same?.[1] === recipient) return [same[2]!];
    if (ADDRESS_LINE.exec(line)?.[1] !== recipient) continue;
    const rest = lines.slice(at + 1);
    const end = rest.findIndex((next) => next.trim() === '');
    return end < 0 ? rest : rest.slice(0, end);
  }
  return [];
}

function failed(recipient: string, reason: string[]): DsnRecipient {
  const text = reason
    .map((line) => line.trim())
    .join(' ')
    .slice(0, MAX_REASON)
    .trim();
  const zoho = ZOHO_CODE.exec(text);
  const said = zoho ? `${zoho[1]} ${zoho[2]!.trim()}` : (REPLY.exec(text)?.[1] ?? text);
  return {
    recipient,
    action: 'failed',
    status: STATUS.exec(text)?.[1] ?? (/^4[0-9]{2}[ -]/.test(said) ? '4.0.0' : '5.0.0'),
    diagnosticCode: said === '' ? undefined : `smtp; ${said}`,
  };
}

function clean(recipient: DsnRecipient): DsnRecipient {
  return { ...recipient, diagnosticCode: recipient.diagnosticCode && printable(recipient.diagnosticCode) };
}
