/**
 * The receivers of the soak: most take mail at once, some as the demo's providers do, and some behave badly: one
 * closes in the middle of a dialogue, one answers a byte at a time, one stops answering, one refuses for a while.
 */
import { type AddressInfo, createServer, type Socket } from 'node:net';
import type { Random } from '../../lib/time.ts';
import { INTERNET, startProvider } from '../demo/provider.ts';
import { startSink } from '../support/sink.ts';

export interface SoakPeer {
  name: string;
  domains: string[];
  /** Share of all mail, of the sum over all peers. */
  weight: number;
  port: number;
  close(): Promise<void>;
}

/** What a bad peer does with a line that was sent to it. */
type Manners = (socket: Socket, line: string, say: (text: string) => void) => void;

const REPLIES: Readonly<Record<string, string>> = {
  EHLO: '250 2.0.0 hello',
  DATA: '354 go on',
  QUIT: '221 2.0.0 bye',
};

function badPeer(name: string, domains: string[], weight: number, manners: Manners): Promise<SoakPeer> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.setEncoding('latin1');
    socket.on('close', () => sockets.delete(socket));
    socket.on('error', () => {});
    const say = (text: string): void => void (socket.writable && socket.write(`${text}\r\n`));
    let rest = '';
    let inData = false;
    say(`220 ${name}.test`);
    socket.on('data', (chunk) => {
      rest += chunk.toString();
      for (let end = rest.indexOf('\r\n'); end >= 0; end = rest.indexOf('\r\n')) {
        const line = rest.slice(0, end);
        rest = rest.slice(end + 2);
        if (inData && line !== '.') continue;
        manners(socket, inData ? 'END' : line, say);
        inData = !inData && line.toUpperCase() === 'DATA';
      }
    });
  });
  return new Promise((resolve) => {
    server.listen(0, '127.0.0.1', () =>
      resolve({
        name,
        domains,
        weight,
        port: (server.address() as AddressInfo).port,
        close: () =>
          new Promise((done) => {
            for (const socket of sockets) socket.destroy();
            server.close(() => done());
          }),
      }),
    );
  });
}

const usual = (line: string): string => REPLIES[line.slice(0, 4).toUpperCase()] ?? '250 2.0.0 ok';

/**
 * @param arrived called with the recipient of each message at the peer that takes everything.
 * @param minutes length of the soak: the refusing peer refuses in every other tenth of it.
 */
export async function startPeers(
  arrived: (recipient: string) => void,
  minutes: number,
  random: Random,
): Promise<SoakPeer[]> {
  const good = await startSink({ onMessage: arrived });
  const began = performance.now();
  const refusing = (): boolean => Math.floor((performance.now() - began) / (minutes * 6000)) % 2 === 1;
  const providers = await Promise.all(INTERNET.map(startProvider));
  return [
    {
      name: 'good',
      domains: Array.from({ length: 40 }, (_, i) => `good${i}.example`),
      weight: 100,
      port: good.address.port,
      close: () => good.close(),
    },
    ...providers.map(({ rules, port, close }) => ({
      name: rules.name,
      domains: rules.domains,
      weight: rules.weight / 2,
      port,
      close,
    })),
    await badPeer('closing', ['closing.example'], 3, (socket, line, say) => {
      if (random() < 0.1) socket.destroy();
      else say(usual(line));
    }),
    await badPeer('slow', ['slow.example'], 3, (socket, line, say) => {
      const text = `${usual(line)}\r\n`;
      // A byte at a time, two seconds a reply: no deadline is reached, and the connection is held.
      for (let i = 0; i < text.length; i += 1)
        setTimeout(() => socket.writable && socket.write(text[i]!), (2000 / text.length) * i);
      if (line === '') say('');
    }),
    await badPeer('silent', ['silent.example'], 1, (_, line, say) => {
      if (line !== 'END') say(usual(line));
    }),
    await badPeer('refusing', ['refusing.example'], 5, (_, line, say) => {
      const mail = line.slice(0, 4).toUpperCase() === 'MAIL';
      say(mail && refusing() ? '451 4.3.2 System not accepting messages' : usual(line));
    }),
  ];
}
