/**
 * A load generator for SMTP submission on raw sockets. An ordinary client sends an envelope in one packet (RFC 2920),
 * waits for 354, sends the body, and waits for its reply; an eager one sends the next envelope in the packet of the
 * body (RFC 2920 §3.1), as few do. With `tls` it takes STARTTLS first, and does not ask whose certificate it is. With `rate` it is open-loop: messages are due at fixed times and latency counts
 * from then.
 */
import { connect, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';

export interface SmtpLoadOptions {
  host: string;
  port: number;
  connections: number;
  /** Total number of messages. */
  total: number;
  /** Rate over all connections, messages/s; absent: as fast as replies come. */
  rate?: number;
  /** Sends the next envelope with the body; not with `rate`, under which each message has its own time. */
  eager?: boolean;
  /** Over STARTTLS. */
  tls?: boolean;
  /** Envelope and bytes (dot-stuffed, with the final dot) of the n-th message. */
  message: (n: number) => { from: string; to: string; data: Buffer };
  /** Called with the reply to the n-th message's final dot. */
  onReply?: (n: number, code: number, text: string) => void;
}

export interface LoadResult {
  accepted: number;
  refused: number;
  /** Time of the first byte (ms since the epoch), and time from there to the last reply. */
  beganAt: number;
  seconds: number;
  /** Sorted times from a message being sent (or due, with a rate) to its 250, ms. */
  latencies: Float64Array;
}

export function smtpLoad(options: SmtpLoadOptions): Promise<LoadResult> {
  const { total, rate } = options;
  const latencies = new Float64Array(total);
  let next = 0;
  let answered = 0;
  let accepted = 0;
  let open = options.connections;
  let beganAt = Date.now();
  let began = performance.now();
  /** Connections that have sent EHLO, and how each begins. The server may greet late to catch early talkers. */
  const ready: (() => void)[] = [];

  return new Promise((resolve, reject) => {
    const finish = (): void =>
      resolve({
        accepted,
        refused: answered - accepted,
        beganAt,
        seconds: (performance.now() - began) / 1000,
        latencies: latencies.subarray(0, answered).sort(),
      });

    for (let i = 0; i < options.connections; i++) {
      const plain = connect({ host: options.host, port: options.port, noDelay: true });
      let socket: Socket = plain;
      /** Replies expected, oldest first: -1 MAIL or RCPT, -2 DATA, n ≥ 0 the final dot of message n. */
      let expected: number[] = [];
      let current = -1;
      let body: Buffer | undefined;
      let stage: 'greeting' | 'clear' | 'starttls' | 'ehlo' | 'ready' = 'greeting';
      let rest = '';
      let since = 0;
      let idle: (() => void) | undefined;

      const due = (n: number): number => (rate ? began + (n * 1000) / rate : 0);
      const envelope = (n: number): string => {
        const { from, to, data } = options.message(n);
        body = data;
        expected.push(-1, -1, -2);
        return `MAIL FROM:<${from}>\r\nRCPT TO:<${to}>\r\nDATA\r\n`;
      };
      const begin = (): void => {
        if (next >= total) {
          socket.end('QUIT\r\n');
          return;
        }
        const n = next++;
        const wait = due(n) - performance.now();
        const go = (): void => {
          idle = undefined;
          current = n;
          socket.write(envelope(n));
        };
        if (wait > 0) {
          idle = go;
          setTimeout(() => idle?.(), wait);
        } else go();
      };
      const sendBody = (): void => {
        const n = current;
        const data = body!;
        since = rate ? Math.max(due(n), 0) : performance.now();
        expected.push(n);
        if (options.eager && !rate && next < total) {
          current = next++;
          const text = envelope(current);
          socket.cork();
          socket.write(data);
          socket.write(text);
          socket.uncork();
        } else {
          current = -1;
          socket.write(data);
        }
      };
      const reply = (line: string): void => {
        const code = Number(line.slice(0, 3));
        if (stage === 'greeting') {
          stage = options.tls ? 'clear' : 'ehlo';
          socket.write('EHLO load.test\r\n');
          return;
        }
        if (stage === 'clear') {
          stage = 'starttls';
          socket.write('STARTTLS\r\n');
          return;
        }
        if (stage === 'starttls') {
          if (code !== 220) reject(new Error(`STARTTLS was answered "${line}"`));
          stage = 'ehlo';
          plain.removeAllListeners('data');
          socket = connectTls({ socket: plain, rejectUnauthorized: false });
          socket.once('secureConnect', () => socket.write('EHLO load.test\r\n'));
          listen();
          return;
        }
        if (stage === 'ehlo') {
          stage = 'ready';
          ready.push(begin);
          // The clock of the load starts when all are connected, so that no greeting counts as a late answer.
          if (ready.length === options.connections) {
            beganAt = Date.now();
            began = performance.now();
            for (const start of ready) start();
          }
          return;
        }
        const what = expected.shift();
        if (what === undefined) return;
        if (what === -2) {
          if (code === 354) sendBody();
          else reject(new Error(`DATA was answered "${line}"`));
        } else if (what >= 0) {
          latencies[answered++] = performance.now() - since;
          if (code === 250) accepted++;
          options.onReply?.(what, code, line);
          if (current < 0) begin();
        } else if (code >= 400) {
          reject(new Error(`The envelope was refused: "${line}"`));
        }
      };
      const listen = (): void => {
        socket.on('data', (chunk) => {
          rest += chunk.toString('latin1');
          for (;;) {
            const end = rest.indexOf('\r\n');
            if (end < 0) break;
            const line = rest.slice(0, end);
            rest = rest.slice(end + 2);
            if (line[3] !== '-') reply(line);
          }
        });
        socket.on('error', reject);
      };
      listen();
      plain.on('close', () => {
        expected = [];
        if (--open === 0) finish();
      });
    }
  });
}
