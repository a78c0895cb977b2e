/**
 * `npm run sink`: an SMTP server that takes every message and shows it, in place of the internet.
 *
 *     npm run sink [-- --port 2525]
 *     POSTERN_ROUTES='*=127.0.0.1:2525' npm start
 */
import { parseArgs } from 'node:util';
import PostalMime from 'postal-mime';
import { SMTPServer } from 'smtp-server';

const { values } = parseArgs({ options: { port: { type: 'string', default: '2525' } } });
const port = Number(values.port);
/** What is shown of a text, characters. */
const SHOWN = 2_000;
/** A terminal would run the escape sequences of a message. */
const CONTROLS = /[\x00-\x08\x0b-\x1f\x7f-\x9f]/g;

let count = 0;
const server = new SMTPServer({
  banner: 'Postern sink',
  disabledCommands: ['AUTH', 'STARTTLS'],
  disableReverseLookup: true,
  logger: false,
  onData(stream, { envelope }, callback) {
    const chunks: Buffer[] = [];
    stream.on('data', (chunk: Buffer) => chunks.push(chunk));
    stream.on('end', () => {
      callback();
      void show(
        Buffer.concat(chunks),
        envelope.rcptTo.map(({ address }) => address),
      );
    });
  },
});

async function show(bytes: Buffer, recipients: string[]): Promise<void> {
  const number = ++count;
  const { from, subject = '', text, html, attachments } = await PostalMime.parse(bytes);
  const body = (text ?? html ?? '').trimEnd().slice(0, SHOWN);
  const lines = [
    `#${number}  ${new Date().toISOString()}  ${bytes.length} octets`,
    `From:    ${from?.address ?? ''}`,
    `To:      ${recipients.join(', ')}`,
    `Subject: ${subject}`,
    ...(attachments.length > 0
      ? [`Files:   ${attachments.map((one) => one.filename ?? one.mimeType).join(', ')}`]
      : []),
    '',
    ...body.split('\n').map((line) => `  ${line}`),
    '',
  ];
  process.stdout.write(`${lines.join('\n').replaceAll('\r', '').replace(CONTROLS, '\ufffd')}\n`);
}

server.on('error', (error: NodeJS.ErrnoException) => {
  if (error.syscall !== 'listen') return;
  const why = error.code === 'EADDRINUSE' ? 'is in use' : `cannot be opened (${error.message})`;
  process.stderr.write(`sink: 127.0.0.1:${port} ${why}. Set another port: npm run sink -- --port 2626\n`);
  process.exit(1);
});
server.listen(port, '127.0.0.1', () => {
  const { port: bound } = server.server.address() as { port: number };
  process.stdout.write(
    `The sink listens on 127.0.0.1:${bound} and shows what arrives. Mail goes to it with POSTERN_ROUTES='*=127.0.0.1:${bound}'.\n\n`,
  );
});
