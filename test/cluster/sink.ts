/**
 * The mailbox provider of the cluster test: takes everything, and writes down who sent what, from which address,
 * when it was begun and when it was answered. Takes its time for each message, so that faults meet mail under way.
 */
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';

export interface Arrival {
  recipient: string;
  ip: string;
  /** Name in EHLO, which is that of the node and the address. */
  node: string;
  /** Times of MAIL and of the final reply, ms. */
  begun: number;
  answered: number;
}

export interface ClusterSink {
  port: number;
  arrivals: Arrival[];
  /** Most connections that were open from one address by one node. */
  connections: Map<string, number>;
  close(): void;
}

/** @param thinks ms from the end of a message to its reply. */
export async function openSink(thinks: () => number): Promise<ClusterSink> {
  const arrivals: Arrival[] = [];
  const connections = new Map<string, number>();
  const open = new Map<string, number>();
  const server = createServer((socket) => {
    const ip = socket.remoteAddress!;
    let node = '';
    let begun = 0;
    let recipient = '';
    let inBody = false;
    let rest = '';
    let waiting = Promise.resolve();
    const say = (text: string): void => void waiting.then(() => socket.writable && socket.write(text));
    const count = (change: number): void => {
      const now = (open.get(`${ip} ${node}`) ?? 0) + change;
      open.set(`${ip} ${node}`, now);
      connections.set(`${ip} ${node}`, Math.max(now, connections.get(`${ip} ${node}`) ?? 0));
    };
    const command = (line: string): void => {
      const verb = line.slice(0, 4).toUpperCase();
      if (verb === 'EHLO') {
        node = line.slice(5);
        count(1);
        say('250-sink.example\r\n250 PIPELINING\r\n');
      } else if (verb === 'MAIL') {
        begun = Date.now();
        say('250 2.1.0 ok\r\n');
      } else if (verb === 'RCPT') {
        recipient = line.slice(line.indexOf('<') + 1, line.indexOf('>'));
        say('250 2.1.5 ok\r\n');
      } else if (verb === 'DATA') {
        inBody = true;
        say('354 go\r\n');
      } else if (verb === 'QUIT') {
        say('221 2.0.0 bye\r\n');
        void waiting.then(() => socket.end());
      } else say('250 2.0.0 ok\r\n');
    };
    const message = (): void => {
      inBody = false;
      const arrival = { recipient, ip, node, begun };
      waiting = waiting.then(async () => {
        await new Promise((resolve) => setTimeout(resolve, thinks()));
        // Taken whether or not the other side is there to read it: that is the window of RFC 1047.
        arrivals.push({ ...arrival, answered: Date.now() });
      });
      say('250 2.0.0 taken\r\n');
    };
    socket.setEncoding('latin1');
    socket.on('error', () => {});
    socket.on('close', () => node !== '' && count(-1));
    socket.on('data', (chunk) => {
      rest += chunk;
      for (let end = rest.indexOf('\r\n'); end >= 0; end = rest.indexOf('\r\n')) {
        const line = rest.slice(0, end);
        rest = rest.slice(end + 2);
        if (!inBody) command(line);
        else if (line === '.') message();
      }
    });
    socket.write('220 sink.example ESMTP\r\n');
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    arrivals,
    connections,
    close: () => void server.close(),
  };
}
