/** A distance to a local server: a TCP relay that delays each byte in both directions. */
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

/**
 * @param rtt round-trip time, ms.
 * @returns the port of the relay.
 */
export async function farAway(port: number, rtt: number): Promise<{ port: number; close(): void }> {
  const sockets = new Set<Socket>();
  const server = createServer({ noDelay: true }, (near) => {
    const far = connect({ port, host: '127.0.0.1', noDelay: true });
    carry(near, far, rtt / 2);
    carry(far, near, rtt / 2);
    for (const socket of [near, far]) {
      sockets.add(socket);
      socket.on('close', () => sockets.delete(socket));
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as AddressInfo).port,
    close() {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}

/** Timers of one length fire in the order in which they were set: bytes do not overtake each other. */
function carry(from: Socket, to: Socket, delay: number): void {
  from.on('data', (bytes) => setTimeout(() => to.writable && to.write(bytes), delay));
  from.on('end', () => setTimeout(() => to.end(), delay));
  from.on('error', () => to.destroy());
}
