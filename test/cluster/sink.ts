/**
 * The mailbox provider of the cluster test: accepts everything, and records which node sent what, from which address,
 * when it was begun and when it was answered. Takes its time for each message, so that faults meet mail under way.
 * A process of its own that goes before the others, so that its times are those at which bytes came.
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { setPriority } from 'node:os';
import { seededRandom } from '../support/clock.ts';

export interface Arrival {
  recipient: string;
  ip: string;
  /** Each node connects to a port of its own. */
  node: string;
  /** Times of MAIL and of the final reply, ms. */
  begun: number;
  answered: number;
}

/** A period in which one node alone sent from an address: its first and last bytes, and the number of packets. */
export interface Tenure {
  ip: string;
  node: string;
  from: number;
  to: number;
  packets: number;
}

/** The sink's record. */
export interface Seen {
  arrivals: Arrival[];
  /** In the order in which they began. */
  tenures: Tenure[];
  /** Maximum number of connections that one node had open from one address. */
  connections: ReadonlyMap<string, number>;
}

export interface ClusterSink extends Seen {
  ports: Readonly<Record<string, number>>;
  close(): void;
}

/** Time between two reports to the parent, ms. */
const REPORT = 200;
/** Raises the priority of the sink above all other processes, where that is allowed. */
const PRIORITY = -10;

/** Starts the sink as a child, and keeps what it reports. */
export async function startSink(nodes: readonly string[], seed: string): Promise<ClusterSink> {
  const child = fork(import.meta.filename, [...nodes, seed], { serialization: 'advanced' });
  const [{ ports }] = (await once(child, 'message')) as [{ ports: Record<string, number> }];
  const sink: ClusterSink = {
    ports,
    arrivals: [],
    tenures: [],
    connections: new Map(),
    close: () => child.disconnect(),
  };
  child.on('message', ({ arrivals, tenures, connections }: Seen) => {
    sink.arrivals.push(...arrivals);
    sink.tenures = tenures;
    sink.connections = connections;
  });
  return sink;
}

/** @param thinks time from the end of a message to its reply, ms. */
async function openSink(nodes: readonly string[], thinks: () => number): Promise<Omit<ClusterSink, 'close'>> {
  const arrivals: Arrival[] = [];
  const tenures: Tenure[] = [];
  const connections = new Map<string, number>();
  const open = new Map<string, number>();
  const speaking = new Map<string, Tenure>();
  const heard = (ip: string, node: string): void => {
    const now = Date.now();
    let tenure = speaking.get(ip);
    if (tenure?.node !== node) {
      tenure = { ip, node, from: now, to: now, packets: 0 };
      speaking.set(ip, tenure);
      tenures.push(tenure);
    }
    tenure.to = now;
    tenure.packets += 1;
  };
  const serve = (node: string, socket: Socket): void => {
    const ip = socket.remoteAddress!;
    const who = `${node} from ${ip}`;
    let begun = 0;
    let recipient = '';
    let inBody = false;
    let rest = '';
    let waiting = Promise.resolve();
    const say = (text: string): void => void waiting.then(() => socket.writable && socket.write(text));
    const count = (change: number): void => {
      const now = (open.get(who) ?? 0) + change;
      open.set(who, now);
      connections.set(who, Math.max(now, connections.get(who) ?? 0));
    };
    const command = (line: string): void => {
      const verb = line.slice(0, 4).toUpperCase();
      if (verb === 'EHLO') {
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
    socket.on('close', () => count(-1));
    socket.on('data', (chunk) => {
      heard(ip, node);
      rest += chunk;
      for (let end = rest.indexOf('\r\n'); end >= 0; end = rest.indexOf('\r\n')) {
        const line = rest.slice(0, end);
        rest = rest.slice(end + 2);
        if (!inBody) command(line);
        else if (line === '.') message();
      }
    });
    count(1);
    socket.write('220 sink.example ESMTP\r\n');
  };
  const servers = nodes.map((node) => createServer((socket) => serve(node, socket)).listen(0, '127.0.0.1'));
  await Promise.all(servers.map((server) => once(server, 'listening')));
  const ports = servers.map((server) => (server.address() as AddressInfo).port);
  return {
    ports: Object.fromEntries(nodes.map((node, n) => [node, ports[n]!])),
    arrivals,
    tenures,
    connections,
  };
}

if (import.meta.main) {
  const nodes = process.argv.slice(2, -1);
  const random = seededRandom(Number(process.argv.at(-1)));
  try {
    setPriority(PRIORITY);
  } catch {
    // Only root may.
  }
  const { ports, arrivals, tenures, connections } = await openSink(nodes, () => 5 + random() * 100);
  process.send!({ ports });
  process.on('disconnect', () => process.exit());
  setInterval(() => process.send!({ arrivals: arrivals.splice(0), tenures, connections }), REPORT);
}
