/**
 * `/healthz` of a long-lived process: for its operator, and for a load balancer that decides whether to send it more.
 */
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Endpoint } from '../settings.ts';

/** Whether the process can do its work now, and further facts for the operator. */
export interface Condition {
  ok: boolean;
}

export interface NodeHealth {
  /** Port of the listener. */
  readonly port: number;
  close(): void;
}

/**
 * Answers every request with the condition as JSON: 200 when it is healthy, else 503. Open it before any work begins:
 * a start that finds the port taken has then cut off no work.
 * @param look must not reject. @throws the error of the socket: the port is taken, or not permitted.
 */
export async function openHealth(
  { host, port }: Endpoint,
  look: () => Promise<Condition>,
): Promise<NodeHealth> {
  const server = createServer((_, response) => {
    void look().then((condition) => {
      response.writeHead(condition.ok ? 200 : 503, { 'content-type': 'application/json' });
      response.end(JSON.stringify(condition));
    });
  }).listen(port, host);
  await once(server, 'listening');
  return { port: (server.address() as AddressInfo).port, close: () => void server.close() };
}
