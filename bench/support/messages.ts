/** The messages of the benchmarks. */

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

/** Lines from which bodies are cut: 1 MB in which no two lines are the same. */
const LINES = (() => {
  const words = LINE.trimEnd().split(' ');
  const lines: string[] = [];
  for (let i = 0; i < 14_000; i++) {
    const text = Array.from({ length: 11 }, (_, k) => words[(i * (k + 3) + k) % words.length]).join(' ');
    lines.push(`${i.toString(36).padStart(4, '0')} ${text}`.slice(0, 72).padEnd(74, '.'));
  }
  return Buffer.from(lines.join('\r\n'), 'latin1');
})();
const LINE_BYTES = 76;

/** The sizes that a benchmark sends: one, or newsletters with notices and attachments between them. */
export type Sizes = 4 | 50 | 100 | 'mix';

/** The sizes of an argument. @throws Error */
export function sizesOf(text: string): Sizes {
  if (text === 'mix') return text;
  const size = ([4, 50, 100] as const).find((one) => String(one) === text);
  if (size === undefined) throw new Error(`unknown size "${text}": 4, 50, 100 or mix`);
  return size;
}

/** Body bytes of the n-th message. The mix: 70 % HTML of 10 to 60 KB, 20 % of 4 KB, 10 % of 200 KB with an attachment. */
function bytesOf(
  n: number,
  sizes: Sizes,
): { type: 'text/plain' | 'text/html' | 'attachment'; bytes: number } {
  if (sizes !== 'mix') return { type: 'text/plain', bytes: sizes * 1024 - 400 };
  const slot = n % 10;
  if (slot < 7) return { type: 'text/html', bytes: 10_240 + ((n * 7919) % 51_200) };
  if (slot < 9) return { type: 'text/plain', bytes: 3_696 };
  return { type: 'attachment', bytes: 204_800 };
}

/** As `smtpMessage`, with a body that no other message has, to one of `domains` recipient domains. */
export function variedMessage(
  n: number,
  { sizes, domains, domain = 'bench.example' }: { sizes: Sizes; domains: number; domain?: string },
): { from: string; to: string; data: Buffer } {
  const { type, bytes } = bytesOf(n, sizes);
  const to = `user${n}@r${n % domains}.example`;
  const parts = type === 'attachment';
  const head =
    `From: Bench <news@${domain}>\r\nTo: <${to}>\r\nSubject: Your weekly report number ${n}\r\n` +
    `Date: Sat, 21 Nov 2026 09:00:00 +0000\r\nMessage-ID: <${n}@${domain}>\r\nMIME-Version: 1.0\r\n` +
    (parts
      ? 'Content-Type: multipart/mixed; boundary="b1"\r\n\r\n--b1\r\nContent-Type: text/plain\r\n\r\nSee the file.\r\n' +
        '--b1\r\nContent-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n\r\n'
      : `Content-Type: ${type}; charset=utf-8\r\nContent-Transfer-Encoding: 7bit\r\n\r\n`);
  const tail = `\r\nmessage ${n}\r\n${parts ? '--b1--\r\n' : ''}.\r\n`;
  const data = Buffer.allocUnsafe(head.length + bytes + tail.length);
  let at = data.write(head, 'latin1');
  const from = ((n * 7919) % 10_000) * LINE_BYTES;
  at += LINES.copy(data, at, from, from + bytes);
  return { from: `news@${domain}`, to, data: data.subarray(0, at + data.write(tail, at, 'latin1')) };
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
