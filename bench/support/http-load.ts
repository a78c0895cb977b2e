/** A load generator for the HTTP API: requests made and signed beforehand, sent over keep-alive connections. */
import { connect } from 'node:net';
import type { LoadResult } from './smtp-load.ts';

export interface HttpLoadOptions {
  host: string;
  port: number;
  connections: number;
  /** Whole requests, as bytes on the wire. */
  requests: Buffer[];
  /** Rate over all connections, requests/s; absent: as fast as answers come. */
  rate?: number;
  onAnswer?: (n: number, status: number, body: string) => void;
}

export function httpLoad(options: HttpLoadOptions): Promise<LoadResult> {
  const { requests, rate } = options;
  const latencies = new Float64Array(requests.length);
  let next = 0;
  let answered = 0;
  let accepted = 0;
  let open = options.connections;
  const beganAt = Date.now();
  const began = performance.now();

  return new Promise((resolve, reject) => {
    for (let i = 0; i < options.connections; i++) {
      const socket = connect({ host: options.host, port: options.port, noDelay: true });
      let current = -1;
      let since = 0;
      let rest = '';

      const send = (): void => {
        if (next >= requests.length) {
          socket.end();
          return;
        }
        const n = next++;
        const go = (): void => {
          current = n;
          since = rate ? began + (n * 1000) / rate : performance.now();
          socket.write(requests[n]!);
        };
        const wait = rate ? began + (n * 1000) / rate - performance.now() : 0;
        if (wait > 0) setTimeout(go, wait);
        else go();
      };
      socket.setEncoding('latin1');
      socket.on('connect', send);
      socket.on('data', (chunk) => {
        rest += chunk;
        const head = rest.indexOf('\r\n\r\n');
        if (head < 0) return;
        const length = Number(/content-length: *(\d+)/i.exec(rest.slice(0, head))?.[1] ?? 0);
        if (rest.length < head + 4 + length) return;
        const status = Number(rest.slice(9, 12));
        const body = rest.slice(head + 4, head + 4 + length);
        rest = rest.slice(head + 4 + length);
        latencies[answered++] = performance.now() - since;
        if (status < 300) accepted++;
        options.onAnswer?.(current, status, body);
        send();
      });
      socket.on('error', reject);
      socket.on('close', () => {
        if (--open > 0) return;
        resolve({
          accepted,
          refused: answered - accepted,
          beganAt,
          seconds: (performance.now() - began) / 1000,
          latencies: latencies.subarray(0, answered).sort(),
        });
      });
    }
  });
}
