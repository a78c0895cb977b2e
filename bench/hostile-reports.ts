/**
 * Sends hostile reports to the inbound listener of a running standalone and measures the cost: memory above idle, the
 * time of an answer, and how long another client waits meanwhile. Run by hand: `npm run bench:hostile-reports`.
 *
 * Each case is sent over several connections at one time, to the mailbox of aggregate reports and to abuse@.
 */
import { readFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { createGzip } from 'node:zlib';
import { dmarcRow, dmarcXml, gzip, reportMail, zip } from '../test/support/aggregate-reports.ts';
import { type BenchPostern, startPostern } from './support/postern.ts';

const AT_ONCE = 2;
const MB = 1024 * 1024;
const LIMIT = 64;

/** Zeros in gzip, without holding them. */
async function bomb(megabytes: number): Promise<Buffer> {
  const packer = createGzip();
  const parts: Buffer[] = [];
  const done = (async () => {
    for await (const part of packer) parts.push(part as Buffer);
  })();
  const zeros = Buffer.alloc(MB);
  for (let i = 0; i < megabytes; i++) {
    if (!packer.write(zeros)) await new Promise((resolve) => packer.once('drain', resolve));
  }
  packer.end();
  await done;
  return Buffer.concat(parts);
}

/** Sends one message. @returns the last reply, and the time to it, ms. */
async function send(port: number, to: string, content: Buffer): Promise<{ reply: string; ms: number }> {
  const started = performance.now();
  const socket = connect(port, '127.0.0.1');
  const steps: (string | Buffer)[] = [
    'EHLO a\r\n',
    'MAIL FROM:<>\r\n',
    `RCPT TO:<${to}>\r\n`,
    'DATA\r\n',
    content,
  ];
  return new Promise((resolve) => {
    let text = '';
    let reply = 'no answer';
    const end = (): void => resolve({ reply, ms: performance.now() - started });
    socket.on('error', end);
    socket.on('close', end);
    socket.on('data', (chunk) => {
      text += chunk.toString();
      const match = /^(?:\d{3}-.*\r\n)*(\d{3} .*)\r\n$/.exec(text);
      if (!match) return;
      reply = match[1]!;
      text = '';
      const step = steps.shift();
      if (step === undefined || /^[45]/.test(reply)) socket.destroy();
      else socket.write(step);
    });
  });
}

async function residentMemory(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  return (Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) * 1024) / MB;
}

async function mailboxOf({ api, credentials }: BenchPostern): Promise<string> {
  const url = `http://${api.host}:${api.port}/v1/identities/bench.example/reports`;
  const authorization = `Bearer ${credentials.accessKeyId}.${credentials.secretAccessKey}`;
  const { records } = (await (await fetch(url, { headers: { authorization } })).json()) as {
    records: { value: string }[];
  };
  return /mailto:(.*)$/.exec(records[0]!.value)![1]!;
}

const ended = (mail: Buffer | string): Buffer => Buffer.concat([Buffer.from(mail), Buffer.from('\r\n.\r\n')]);
const begin = Math.floor(Date.now() / 1000) - 86_400;
const about = { domain: 'bench.example', begin };

function casesOf(bombBytes: Buffer): [name: string, mail: Buffer][] {
  const rows = (n: number): string => dmarcXml(dmarcRow('192.0.2.1', 1).repeat(n), about);
  const head = `From: a@b.example\r\nMIME-Version: 1.0\r\n`;
  const nestedMime = Array.from(
    { length: 5000 },
    (_, i) => `Content-Type: multipart/mixed; boundary=b${i}\r\n\r\n--b${i}\r\n`,
  ).join('');
  const arf = `${head}Content-Type: multipart/report; report-type=feedback-report; boundary=r\r\n\r\n--r\r\nContent-Type: message/feedback-report\r\n\r\nFeedback-Type: abuse\r\n`;
  return [
    ['an honest report of 10,000 rows', reportMail('application/gzip', gzip(rows(10_000)))],
    ['1 GB of zeros in gzip', reportMail('application/gzip', bombBytes)],
    ['60 MB of zeros in zip', reportMail('application/zip', zip(Buffer.alloc(60 * MB)))],
    ['1,000,000 rows', reportMail('application/gzip', gzip(rows(1_000_000)))],
    [
      'entities that expand',
      reportMail(
        'text/xml',
        Buffer.from(
          dmarcXml('', { ...about, head: '<!DOCTYPE a [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]>' }),
        ),
      ),
    ],
    ['1,000,000 nested tags', reportMail('application/gzip', gzip(dmarcXml('<a>'.repeat(1_000_000), about)))],
    ['one tag of 15 MB', reportMail('application/gzip', gzip(dmarcXml(`<${'a'.repeat(15 * MB)}>`, about)))],
    ['one text of 15 MB', reportMail('application/gzip', gzip(dmarcXml('x'.repeat(15 * MB), about)))],
    ['JSON of 15 MB of brackets', reportMail('application/tlsrpt+gzip', gzip('['.repeat(15 * MB)))],
    ['60 MB of base64', reportMail('application/gzip', Buffer.alloc(44 * MB, 'x'))],
    [
      '100 MB of text',
      Buffer.from(
        `${head}\r\n${'x'.repeat(76)}\r\n`.repeat(1).concat(`${'x'.repeat(76)}\r\n`.repeat(1_350_000)),
      ),
    ],
    ['5,000 nested multiparts', Buffer.from(head + nestedMime)],
    [
      '4 MB of empty lines',
      Buffer.from(`${head}Content-Type: multipart/mixed; boundary=b\r\n\r\n${'\r\n'.repeat(MB - 200)}`),
    ],
    ['2 MB of header fields', Buffer.from('A: b\r\n'.repeat(340_000))],
    ['ARF with 60 MB behind it', Buffer.from(`${arf}${'X-A: b\r\n'.repeat(7_500_000)}`)],
  ];
}

const postern = await startPostern({ routes: '*=127.0.0.1:1' });
let failed = false;
try {
  const mailbox = await mailboxOf(postern);
  const cases = casesOf(await bomb(1024));
  // The first report makes the parsers' code, which stays.
  await send(postern.inbound.port, mailbox, ended(cases[0]![1]));
  await new Promise((resolve) => setTimeout(resolve, 2000));
  const idle = await residentMemory(postern.pid);
  console.log(`idle: ${idle.toFixed(0)} MB; each case over ${AT_ONCE} connections to each address\n`);
  for (const [name, mail] of cases) {
    let most = 0;
    let slowest = 0;
    let done = false;
    const watching = (async () => {
      while (!done) {
        most = Math.max(most, await residentMemory(postern.pid));
        const asked = performance.now();
        await fetch(`http://${postern.api.host}:${postern.api.port}/healthz`).then((one) => one.text());
        slowest = Math.max(slowest, performance.now() - asked);
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    })();
    const content = ended(mail);
    const answers = await Promise.all(
      [mailbox, 'abuse@bench.example'].flatMap((to) =>
        Array.from({ length: AT_ONCE }, () => send(postern.inbound.port, to, content)),
      ),
    );
    done = true;
    await watching;
    const above = most - idle;
    failed ||= above > LIMIT;
    const time = Math.max(...answers.map(({ ms }) => ms));
    console.log(
      `${name.padEnd(32)} ${above.toFixed(0).padStart(4)} MB above idle, answered in ${time.toFixed(0)} ms, ` +
        `another client waits ${slowest.toFixed(0)} ms: ${answers[0]!.reply.slice(0, 90)}`,
    );
  }
  console.log(failed ? `\nMore than ${LIMIT} MB above idle.` : `\nAt most ${LIMIT} MB above idle.`);
} finally {
  await postern.dispose();
}
process.exitCode = failed ? 1 : 0;
