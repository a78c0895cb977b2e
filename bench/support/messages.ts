/** The 4 KB messages of the benchmarks. */

const LINE = 'The quick brown fox jumps over the lazy dog and writes home about it now.\r\n';

const BODY = Buffer.from(`${LINE.repeat(52)}.\r\n`, 'latin1');

/** A message as a program would submit it over SMTP: about 4 KB, with the final dot after them. */
export function smtpMessage(n: number, domain = 'bench.example'): { from: string; to: string; data: Buffer } {
  const to = `user${n}@recipient.example`;
  const head =
    `From: Bench <news@${domain}>\r\nTo: <${to}>\r\nSubject: Your weekly report number ${n}\r\n` +
    `Date: Sat, 21 Nov 2026 09:00:00 +0000\r\nMessage-ID: <${n}@${domain}>\r\nMIME-Version: 1.0\r\n` +
    `Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 7bit\r\n\r\n`;
  const data = Buffer.allocUnsafe(head.length + BODY.length);
  data.write(head, 'latin1');
  BODY.copy(data, head.length);
  return { from: `news@${domain}`, to, data };
}

const TEXT = LINE.repeat(20);
const HTML = `<html><body>\r\n${Array.from({ length: 22 }, () => `<p>${LINE.trimEnd()}</p>\r\n`).join('')}</body></html>\r\n`;

/** Body of a `SendEmail` call that makes a message of about 4 KB. */
export function sendEmailBody(n: number, domain = 'bench.example'): Buffer {
  return Buffer.from(
    JSON.stringify({
      FromEmailAddress: `Bench <news@${domain}>`,
      Destination: { ToAddresses: [`user${n}@recipient.example`] },
      Content: {
        Simple: {
          Subject: { Data: `Your weekly report number ${n}` },
          Body: { Text: { Data: TEXT }, Html: { Data: HTML } },
        },
      },
    }),
  );
}

/** Body of a `SendBulkEmail` call to `count` destinations, each message about 4 KB. */
export function bulkBody(n: number, count: number, domain = 'bench.example'): Buffer {
  return Buffer.from(
    JSON.stringify({
      FromEmailAddress: `Bench <news@${domain}>`,
      DefaultContent: {
        Template: {
          TemplateContent: {
            Subject: 'Report {{number}} for {{name}}',
            Text: `Dear {{name}},\r\n${TEXT}Yours, {{sender}}`,
            Html: HTML.replace('<body>', '<body><h1>Dear {{name}}, your number is {{number}}</h1>'),
          },
          TemplateData: JSON.stringify({ sender: 'Bench', name: 'friend', number: 0 }),
        },
      },
      BulkEmailEntries: Array.from({ length: count }, (_, i) => ({
        Destination: { ToAddresses: [`user${n}-${i}@recipient.example`] },
        ReplacementEmailContent: {
          ReplacementTemplate: {
            ReplacementTemplateData: JSON.stringify({ name: `Customer ${n}-${i}`, number: n * count + i }),
          },
        },
      })),
    }),
  );
}
