/** A cable that can be cut and tapped: a TCP proxy in front of a service, one for each node and service. */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

export interface Cable {
  port: number;
  /** `reset`: connections are refused and those that there are end. `silent`: nothing passes any more. */
  cut(how: 'reset' | 'silent'): void;
  mend(): void;
  close(): void;
}

/** In an answer to ReceiveMessage; those to other calls have no receipt beside it. */
const RECEIVED = /"MessageId":"([^"]+)","ReceiptHandle"/g;
/** The longest match that may be parted between two packets. */
const OVERLAP = 100;

/**
 * Reports the messages that a stream of SQS's answers leases. One message may be reported twice.
 * @returns what takes the stream, piece by piece.
 */
export function hearReceipts(received: (messageId: string) => void): (chunk: Buffer) => void {
  let rest = '';
  return (chunk) => {
    const text = rest + chunk.toString('latin1');
    for (const [, messageId] of text.matchAll(RECEIVED)) received(messageId!);
    rest = text.slice(-OVERLAP);
  };
}

/** @param tap is called for each connection and returns the receiver of the service's answers on it. */
export async function layCable(target: number, tap?: () => (chunk: Buffer) => void): Promise<Cable> {
  const sockets = new Set<Socket>();
  let state: 'whole' | 'reset' | 'silent' = 'whole';
  const keep = (socket: Socket): void => {
    sockets.add(socket);
    socket.on('error', () => {});
    socket.on('close', () => sockets.delete(socket));
  };
  const server = createServer((near) => {
    keep(near);
    if (state === 'reset') {
      near.resetAndDestroy();
      return;
    }
    if (state === 'silent') return;
    const far = connect(target, '127.0.0.1');
    keep(far);
    if (tap) far.on('data', tap());
    near.pipe(far).pipe(near);
    near.on('close', () => far.destroy());
    far.on('close', () => near.destroy());
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    cut(how) {
      state = how;
      for (const socket of sockets) {
        if (how === 'reset') socket.resetAndDestroy();
        else socket.unpipe();
      }
    },
    mend() {
      // What was under way when the cable was cut never arrives.
      state = 'whole';
      for (const socket of sockets) socket.destroy();
    },
    close() {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}
