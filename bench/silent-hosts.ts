/**
 * What one tenant's silent hosts do to the mail of another: the real egress, client and sockets, one source IP. Tenant
 * beta sends to hosts that greet and then never answer MAIL, each in a network of its own, five connections to each;
 * tenant alpha sends to hosts that answer, 40 ms away, none of which was met before.
 *
 *     node bench/silent-hosts.ts [silent hosts, 220] [seconds, 20]
 *
 * Prints alpha's time from queue to arrival without beta and beside it. A message that has not arrived 10 s after the
 * last was sent counts as old as it is. Exits with 1 when the 99th percentile beside beta is more than twice the other.
 */
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { parseArgs } from 'node:util';
import { createResolver } from '../lib/dns/resolver.ts';
import { startEgress } from '../lib/egress/egress.ts';
import type { QueueItem } from '../lib/engine/items.ts';
import type { Engine, LeasedItem, LeaseRequest } from '../lib/engine/ports.ts';
import { DAY, systemClock } from '../lib/time.ts';
import { quantile, table } from './support/machine.ts';

const RTT = 40;
/** Alpha's messages a second, and the hosts that they are for. */
const RATE = 20;
const HEALTHY = 20;
const MOST = 2;
const LANE = 'default:transactional:other';

/** A lane in memory. Settlements are dropped: a deferred delivery does not come again. */
class Queue {
  readonly #items: LeasedItem[] = [];
  #wake: () => void = () => undefined;
  #count = 0;

  enqueue(tenant: string, recipient: string): void {
    this.#count += 1;
    const now = Date.now();
    const item: QueueItem = {
      v: 1,
      messageId: `m${this.#count}`,
      n: 0,
      tenant,
      lane: LANE,
      mailFrom: 'bounce@bench.example',
      recipient,
      domain: recipient.slice(recipient.indexOf('@') + 1),
      eightBit: false,
      smtpUtf8: false,
      requireTls: false,
      acceptedAt: now,
      expiresAt: now + DAY,
      attempts: 0,
      due: now,
    };
    const bytes = Buffer.from(`Subject: bench\r\n\r\n${'x'.repeat(1000)}\r\n`);
    this.#items.push({ item, bytes, receives: 1, receipt: this.#count });
    this.#wake();
  }

  engine(): Engine {
    return {
      queue: {
        lease: async ({ lane, max, signal }: LeaseRequest) => {
          while (lane !== LANE || this.#items.length === 0) {
            await new Promise<void>((resolve) => {
              if (lane === LANE) this.#wake = resolve;
              signal?.addEventListener('abort', () => resolve(), { once: true });
            });
            if (signal?.aborted) return [];
          }
          return this.#items.splice(0, max);
        },
        settle: async () => undefined,
        extend: async () => undefined,
        lanes: async () => [],
      },
      records: { state: async () => undefined, append: async () => undefined },
      leases: { checkpoint: async () => undefined, saveCheckpoint: async () => undefined },
    } as unknown as Engine;
  }
}

const { positionals } = parseArgs({ allowPositionals: true });
const silentHosts = Number(positionals[0] ?? 220);
const seconds = Number(positionals[1] ?? 20);

const arrivals = new Map<string, number>();
let held = 0;

const sockets = new Set<Socket>();
const healthy = await peer((line, socket) => {
  const answer = (text: string) => setTimeout(() => socket.write(`${text}\r\n`), RTT);
  const recipient = /^RCPT TO:<(.*?)>/i.exec(line)?.[1];
  if (recipient !== undefined) arrivals.set(recipient, performance.now());
  if (line === '.') answer('250 2.0.0 Ok');
  else if (/^DATA/i.test(line)) answer('354 Go on');
  else if (/^(EHLO|MAIL|RCPT|QUIT|RSET)/i.test(line)) answer('250 Ok');
});
const silent = await peer((line, socket) => {
  if (/^EHLO/i.test(line)) socket.write('250 Ok\r\n');
  else if (/^MAIL/i.test(line)) held += 1;
});

const queue = new Queue();
const phases = ['without', 'beside'];
const egress = startEgress({
  engine: queue.engine(),
  resolver: createResolver({ servers: [], clock: systemClock }),
  clock: systemClock,
  random: Math.random,
  node: 'bench',
  ehloName: 'bench.example',
  routes: [
    ...Array.from({ length: silentHosts }, (_, n) => ({
      domain: `s${n}.example`,
      host: `127.1.${n}.1`,
      port: silent.port,
    })),
    ...phases.flatMap((phase, i) =>
      Array.from({ length: HEALTHY }, (_, n) => ({
        domain: `${phase}${n}.example`,
        host: `127.2.${i * 100 + n}.1`,
        port: healthy.port,
      })),
    ),
  ],
});

const without = await trickle('without');
for (let n = 0; n < silentHosts * 10; n += 1) queue.enqueue('beta', `b${n}@s${n % silentHosts}.example`);
// Until beta has all that it gets: a connection more for each host and second.
let taken = 0;
while (held === 0 || egress.gauges().connections > taken) {
  taken = egress.gauges().connections;
  await new Promise((resolve) => setTimeout(resolve, 3_000));
}
const beside = await trickle('beside');
const ratio = quantile(beside, 0.99) / quantile(without, 0.99);
if (ratio > MOST) process.exitCode = 1;
process.stdout.write(
  `${table([
    { alpha: 'without beta', ...times(without) },
    { alpha: 'beside beta', ...times(beside) },
  ])}\n${silentHosts} silent hosts: ${taken} connections open, ${held} of them wait for a reply to MAIL; p99 ${ratio.toFixed(1)} x\n`,
);
const stopped = egress.stop();
for (const socket of sockets) socket.destroy();
for (const { server } of [healthy, silent]) server.close();
await stopped;

function times(latencies: Float64Array): Record<string, string | number> {
  const ms = (share: number) => quantile(latencies, share).toFixed(0);
  return { messages: latencies.length, 'p50 ms': ms(0.5), 'p99 ms': ms(0.99), 'max ms': ms(1) };
}

/** Sends alpha's mail of a phase. @returns its latencies, sorted, ms. */
async function trickle(phase: string): Promise<Float64Array> {
  const sent = new Map<string, number>();
  const began = performance.now();
  for (let n = 0; n < RATE * seconds; n += 1) {
    const wait = began + (n * 1000) / RATE - performance.now();
    if (wait > 0) await new Promise((resolve) => setTimeout(resolve, wait));
    const recipient = `${n}@${phase}${n % HEALTHY}.example`;
    sent.set(recipient, performance.now());
    queue.enqueue('alpha', recipient);
  }
  const end = performance.now() + 10_000;
  const missing = () => [...sent.keys()].some((recipient) => !arrivals.has(recipient));
  while (missing() && performance.now() < end) await new Promise((resolve) => setTimeout(resolve, 50));
  const now = performance.now();
  return Float64Array.from(sent, ([recipient, at]) => (arrivals.get(recipient) ?? now) - at).sort();
}

async function peer(
  onLine: (line: string, socket: Socket) => void,
): Promise<{ server: Server; port: number }> {
  const server = createServer({ noDelay: true }, (socket) => {
    sockets.add(socket);
    socket.on('error', () => socket.destroy());
    socket.on('close', () => sockets.delete(socket));
    socket.write('220 peer.example\r\n');
    let rest = '';
    socket.on('data', (bytes) => {
      const lines = (rest + bytes.toString('latin1')).split('\r\n');
      rest = lines.pop()!;
      for (const line of lines) onLine(line, socket);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '0.0.0.0', 2_000, resolve));
  return { server, port: (server.address() as AddressInfo).port };
}
