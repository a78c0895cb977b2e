/**
 * CPU time to compose a 4 KB message of text and HTML: Postern's composer beside nodemailer's. And to track 20 KB of HTML
 * with 20 links, as a text and inside of raw MIME, beside the cost of an untracked message.
 *
 *     node bench/compose.ts
 */
import MailComposer from 'nodemailer/lib/mail-composer';
import { compose } from '../lib/mail/compose.ts';
import { parseMessage } from '../lib/mail/message.ts';
import { newMessageId } from '../lib/mail/message-id.ts';
import { createTrackingLinks } from '../lib/tracking/links.ts';
import { trackMessage } from '../lib/tracking/mime.ts';
import { createTracker, withoutPlaceholder } from '../lib/tracking/tracking.ts';

const LINE = 'Your order has left our warehouse and should reach you in a few days. ';
const text = `${LINE}\n`.repeat(14);
const html = `<p>${LINE.replace('order', '<b>order</b>')}</p>\n`.repeat(36);
const from = 'Postern Shop <orders@example.com>';
const to = 'Jane Doe <jane@example.net>';
const subject = 'Your order is on its way';
const ids = { messageId: '0100-bench@example.com', date: Date.now() };

/** CPU µs per call, the median of five rounds. */
async function cpu(run: () => unknown, calls: number): Promise<number> {
  for (let i = 0; i < calls; i++) await run();
  const rounds: number[] = [];
  for (let round = 0; round < 5; round++) {
    const start = process.cpuUsage();
    for (let i = 0; i < calls; i++) await run();
    const { user, system } = process.cpuUsage(start);
    rounds.push((user + system) / calls);
  }
  return rounds.sort((a, b) => a - b)[2]!;
}

const variants = [
  { name: 'ASCII', text, html, subject },
  {
    name: 'Western',
    text: text.replaceAll('u', 'ü'),
    html: html.replaceAll('few', 'für'),
    subject: 'Ihre Bestellung für Sie',
  },
];
console.log(`text and HTML, ${Buffer.byteLength(text + html)} octets`);
for (const { name, ...content } of variants) {
  const ours = await cpu(() => compose({ from, to: [to], ...content }, ids), 2000);
  const theirs = await cpu(() => new MailComposer({ from, to, ...content }).compile().build(), 500);
  console.log(
    `${name.padEnd(8)} postern ${ours.toFixed(1)} µs   nodemailer ${theirs.toFixed(1)} µs   ratio ${(theirs / ours).toFixed(1)}`,
  );
}

const links = createTrackingLinks(Buffer.alloc(32, 1));
const base = 'https://click.example.com';
const message = { messageId: newMessageId(Date.now()), n: 0 };
const track = () => createTracker(links, message, { open: base, click: { http: base, https: base } });
const row = (i: number): string =>
  `<tr><td style="padding:8px 16px;font-family:Arial,sans-serif"><a href="https://shop.example.com/product/${i}?utm_source=mail&amp;utm_campaign=spring">Product ${i}</a></td></tr>\n${'<tr><td style="padding:8px">More about it.</td></tr>\n'.repeat(16)}`;
const page = `<html><body><table>\n${Array.from({ length: 20 }, (_, i) => row(i)).join('')}</table></body></html>`;
const raw = (encoding: string, body: string) =>
  parseMessage(
    Buffer.from(
      `Content-Type: multipart/alternative; boundary=b\r\n\r\n--b\r\n\r\ntext\r\n--b\r\nContent-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: ${encoding}\r\n\r\n${body}\r\n--b--\r\n`,
    ),
  );
const crlf = page.replaceAll('\n', '\r\n');
const cases: Record<string, () => unknown> = {
  'text of HTML': () => track()(page),
  'not tracked': () => withoutPlaceholder(page),
};
for (const [encoding, body] of [
  ['7bit', crlf],
  ['quoted-printable', crlf.replaceAll('=', '=3D')],
  ['base64', Buffer.from(crlf).toString('base64').replace(/.{76}/g, '$&\r\n')],
] as const) {
  const parsed = raw(encoding, body);
  cases[`raw, ${encoding}`] = () => trackMessage(parsed, track());
}
console.log(`\n20 links and an image in HTML of ${page.length} octets`);
for (const [name, run] of Object.entries(cases)) {
  console.log(`${name.padEnd(22)} ${(await cpu(run, 1000)).toFixed(1)} µs`);
}
