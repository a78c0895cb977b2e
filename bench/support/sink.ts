/**
 * A sink: an SMTP server that takes everything as fast as Node can and counts it. Raw sockets, one write for
 * each read, no parsing beyond what the protocol needs, so that a benchmark measures the sender. It offers what
 * Gmail and Outlook offer: PIPELINING, CHUNKING, 8BITMIME, SMTPUTF8, SIZE; `--no-chunking` what most others do;
 * `--tls` STARTTLS, too, with a certificate of its own.
 *
 * Run by itself (`node bench/support/sink.ts <port>`) it prints a line of JSON for each second; as a child
 * process it reports to its parent when all expected messages have arrived.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createSecureContext, type SecureContext, TLSSocket } from 'node:tls';
import { parseArgs } from 'node:util';
import { ownCertificate } from '../../lib/certificate.ts';

export interface SinkOptions {
  host?: string;
  port?: number;
  /** Called for each message when its final reply is written. `recipient` is the last RCPT. */
  onMessage?: (recipient: string, bytes: number) => void;
  /** EHLO keywords. */
  extensions?: string[];
  /** Counts messages with a signature: their first bytes are searched. */
  countSigned?: boolean;
  /** Offers STARTTLS. */
  tls?: SecureContext;
}

export interface Sink {
  address: AddressInfo;
  /** Messages accepted. */
  count(): number;
  /** Messages with a DKIM-Signature field, of those that came by DATA; 0 unless `countSigned`. */
  signed(): number;
  close(): Promise<void>;
}

const EXTENSIONS = ['PIPELINING', '8BITMIME', 'SMTPUTF8', 'SIZE 52428800', 'ENHANCEDSTATUSCODES'];
const END = Buffer.from('\r\n.\r\n');
const LINE = Buffer.from('\r\n');
const SIGNATURE = Buffer.from('DKIM-Signature:');

export function startSink(options: SinkOptions = {}): Promise<Sink> {
  const sockets = new Set<Socket>();
  let count = 0;
  let signed = 0;
  const extensions = options.extensions ?? [...EXTENSIONS, 'CHUNKING'];
  const hello = (secure: boolean): string =>
    ['sink.test', ...extensions, ...(options.tls && !secure ? ['STARTTLS'] : [])]
      .map((line, i, all) => `250${i < all.length - 1 ? '-' : ' '}${line}\r\n`)
      .join('');

  /** Talks with a client, in clear or behind its STARTTLS. */
  function converse(socket: Socket, secure: boolean): void {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    socket.on('error', () => {});
    let starts = false;
    let held: Buffer | undefined;
    let inData = false;
    let unsigned = false;
    let dataBytes = 0;
    /** Bytes of a BDAT chunk still to come. */
    let chunkLeft = 0;
    let lastChunk = false;
    let recipient = '';
    let out = '';
    const message = (): void => {
      count++;
      out += `250 2.0.0 Ok: queued as ${count.toString(36)}\r\n`;
      options.onMessage?.(recipient, dataBytes);
      dataBytes = 0;
    };

    const command = (line: string): void => {
      switch (line.charCodeAt(0) | 32) {
        case 0x6d: // MAIL
          out += '250 2.1.0 Ok\r\n';
          break;
        case 0x72: // RCPT, RSET
          if ((line.charCodeAt(1) | 32) === 0x63)
            recipient = line.slice(line.indexOf('<') + 1, line.indexOf('>'));
          out += '250 2.1.5 Ok\r\n';
          break;
        case 0x64: // DATA
          inData = true;
          unsigned = options.countSigned === true;
          out += '354 Go\r\n';
          break;
        case 0x62: {
          // BDAT
          const [, size, last] = line.split(' ');
          chunkLeft = Number(size);
          lastChunk = last?.toUpperCase() === 'LAST';
          dataBytes += chunkLeft;
          break;
        }
        case 0x65: // EHLO
          out += hello(secure);
          break;
        case 0x71: // QUIT
          out += '221 2.0.0 Bye\r\n';
          break;
        case 0x73: // STARTTLS
          starts = options.tls !== undefined && !secure;
          out += starts ? '220 2.0.0 Go\r\n' : '503 5.5.1 Not now\r\n';
          break;
        default:
          out += '250 2.0.0 Ok\r\n';
      }
    };

    if (!secure) socket.write('220 sink.test ESMTP\r\n');
    const take = (incoming: Buffer): void => {
      const buffer = held ? Buffer.concat([held, incoming]) : incoming;
      held = undefined;
      let at = 0;
      while (at < buffer.length || (chunkLeft === 0 && lastChunk)) {
        if (chunkLeft > 0 || lastChunk) {
          const taken = Math.min(chunkLeft, buffer.length - at);
          at += taken;
          chunkLeft -= taken;
          if (chunkLeft > 0) break;
          if (lastChunk) message();
          else out += '250 2.0.0 chunk\r\n';
          lastChunk = false;
        } else if (inData) {
          if (unsigned && buffer.includes(SIGNATURE, at)) {
            unsigned = false;
            signed++;
          }
          const end = buffer.indexOf(END, at);
          if (end < 0) {
            // The end may be cut in two: what could be its beginning is kept.
            const keep = Math.max(at, buffer.length - 4);
            dataBytes += keep - at;
            held = buffer.subarray(keep);
            break;
          }
          dataBytes += end + 2 - at;
          at = end + END.length;
          inData = false;
          message();
        } else {
          const end = buffer.indexOf(LINE, at);
          if (end < 0) {
            held = buffer.subarray(at);
            break;
          }
          command(buffer.toString('latin1', at, end));
          at = end + 2;
        }
      }
      if (out !== '') {
        const closes = out.endsWith('221 2.0.0 Bye\r\n');
        socket.write(out, 'latin1');
        out = '';
        if (closes) socket.end();
      }
      if (!starts) return;
      socket.off('data', take);
      converse(new TLSSocket(socket, { isServer: true, secureContext: options.tls }), true);
    };
    socket.on('data', take);
  }
  const server = createServer({ noDelay: true }, (socket) => converse(socket, false));

  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(options.port ?? 0, options.host ?? '127.0.0.1', 1024, () => {
      resolve({
        address: server.address() as AddressInfo,
        count: () => count,
        signed: () => signed,
        close: () =>
          new Promise((done) => {
            for (const socket of sockets) socket.destroy();
            server.close(() => done());
          }),
      });
    });
  });
}

/** A certificate of nobody. */
async function selfSigned(): Promise<SecureContext> {
  const directory = await mkdtemp(join(tmpdir(), 'postern-sink-'));
  try {
    return createSecureContext(await ownCertificate(directory, 'sink.test'));
  } finally {
    await rm(directory, { recursive: true });
  }
}

if (import.meta.main) {
  let expected = Number.POSITIVE_INFINITY;
  let reported = false;
  const tell = (): void => {
    if (reported || sink.count() < expected) return;
    reported = true;
    process.send?.({ reached: expected, at: Date.now() });
  };
  const { positionals, values } = parseArgs({
    allowPositionals: true,
    options: {
      'no-chunking': { type: 'boolean', default: false },
      'count-signed': { type: 'boolean', default: false },
      host: { type: 'string' },
      tls: { type: 'boolean', default: false },
    },
  });
  const sink = await startSink({
    port: Number(positionals[0] ?? 0),
    onMessage: tell,
    extensions: values['no-chunking'] ? EXTENSIONS : undefined,
    countSigned: values['count-signed'],
    host: values.host,
    tls: values.tls ? await selfSigned() : undefined,
  });
  if (process.send) {
    process.send({ port: sink.address.port });
    process.on('message', (message: { expect?: number; count?: true; signed?: true }) => {
      if (message.count) process.send?.({ count: sink.count() });
      if (message.signed) process.send?.({ signed: sink.signed() });
      if (message.expect !== undefined) {
        expected = message.expect;
        reported = false;
        tell();
      }
    });
    process.on('disconnect', () => process.exit());
  } else {
    let before = 0;
    setInterval(() => {
      const now = sink.count();
      process.stdout.write(`${JSON.stringify({ count: now, perSecond: now - before })}\n`);
      before = now;
    }, 1000);
  }
}
