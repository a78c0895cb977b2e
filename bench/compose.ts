/**
 * CPU time to compose a 4 KB message of text and HTML: Postern's composer beside nodemailer's.
 *
 *     node bench/compose.ts
 */
import MailComposer from 'nodemailer/lib/mail-composer';
import { compose } from '../lib/mail/compose.ts';

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
