/** A cable that can be cut: a TCP proxy in front of a service, one for each node and service. */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

export interface Cable {
  port: number;
  /** `reset`: connections are refused and those that there are end. `silent`: nothing passes any more. */
  cut(how: 'reset' | 'silent'): void;
  mend(): void;
  close(): void;
}

export async function layCable(target: number): Promise<Cable> {
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
