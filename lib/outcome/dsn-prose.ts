/**
 * Bounces in prose, from systems that send no RFC 3464 part. Only forms that name themselves are read; in
 * anything else a program that guesses would suppress addresses by accident.
 */
import type { DsnRecipient } from './report.ts';
import { addressOf } from './report-fields.ts';

const MAX_LINES = 200;
const MAX_REASON = 500;
const ADDRESS_LINE = /^\s{0,8}<?([^\s<>"']{1,64}@[^\s<>"':;,]{1,255}?)>?:?$/;
const STATUS = /\b([45]\.[0-9]{1,3}\.[0-9]{1,3})\b/;
const REPLY = /\b([45][0-9]{2}[ -].{0,400})/;

/** @param header the report's own header field by name. @param text its text body. */
export function readProse(
  header: (name: string) => string | undefined,
  text: string,
): DsnRecipient[] | undefined {
  const lines = text.split(/\r?\n/, MAX_LINES);
  return qmail(lines) ?? exim(header, lines) ?? exchange(lines);
}

/** QSBMF (https://cr.yp.to/proto/qsbmf.txt): `Hi. This is the`, paragraphs `<address>:`, then the message. */
function qmail(lines: string[]): DsnRecipient[] | undefined {
  const start = lines.findIndex((line) => line.trim() !== '');
  if (start < 0 || !lines[start]!.startsWith('Hi. This is the ')) return undefined;
  const found: DsnRecipient[] = [];
  for (const paragraph of paragraphs(lines.slice(start))) {
    if (paragraph[0]!.startsWith('--- ')) break;
    const address = /^<(.{1,320})>:$/.exec(paragraph[0]!.trim())?.[1];
    if (address) found.push(failed(address, paragraph.slice(1)));
  }
  return found.length > 0 ? found : undefined;
}

/** Exim names the recipients of a final failure in a header field; a warning of delay has none. */
function exim(header: (name: string) => string | undefined, lines: string[]): DsnRecipient[] | undefined {
  const recipients = header('x-failed-recipients')?.split(',', 20);
  if (!recipients) return undefined;
  const copy = lines.findIndex((line) => line.startsWith('------ This is a copy of'));
  const own = copy < 0 ? lines : lines.slice(0, copy);
  const found: DsnRecipient[] = [];
  for (const recipient of recipients) {
    const address = addressOf(recipient.trim());
    if (!address) continue;
    const at = own.findIndex((line) => ADDRESS_LINE.exec(line)?.[1] === address);
    const end = own.findIndex((line, i) => i > at && line.trim() === '');
    found.push(failed(address, at < 0 ? [] : own.slice(at + 1, end < 0 ? undefined : end)));
  }
  return found.length > 0 ? found : undefined;
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

function failed(recipient: string, reason: string[]): DsnRecipient {
  const text = reason
    .map((line) => line.trim())
    .join(' ')
    .slice(0, MAX_REASON)
    .trim();
  const said = REPLY.exec(text)?.[1] ?? text;
  return {
    recipient,
    action: 'failed',
    status: STATUS.exec(text)?.[1] ?? (/^4[0-9]{2}[ -]/.test(said) ? '4.0.0' : '5.0.0'),
    diagnosticCode: said === '' ? undefined : `smtp; ${said}`,
  };
}

function paragraphs(lines: string[]): string[][] {
  const found: string[][] = [];
  let current: string[] | undefined;
  for (const line of lines) {
    if (line.trim() === '') current = undefined;
    else if (current) current.push(line);
    else found.push((current = [line]));
  }
  return found;
}
