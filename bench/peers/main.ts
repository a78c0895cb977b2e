/**
 * Postern beside Postfix with OpenDKIM and Haraka, in one run on one machine: each accepts over SMTP from an ordinary
 * client, signs with RSA-2048, keeps what it accepted on disk, and sends it on to a sink that takes DATA.
 *
 *     npm run bench:peers -- [--sizes 4,50] [--rounds 3] [--seconds 8]
 *
 * All run side by side, and idle while another has its turn; rounds are interleaved, so that a noisy machine is noisy for
 * all. A turn is as many messages as the peer takes in about the given seconds, from the first byte in to the last arrival
 * at the sink. Before the first turn at a size each takes messages that do not count: 300, and those that run on Node a
 * minute more, because they are compiled while they run.
 * A peer that is not installed is left out, with what to install. README.md has how each is set up, and what is not equal.
 */
import { generateKeyPairSync } from 'node:crypto';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { parseArgs } from 'node:util';
import { rsaLimit, table, treeMicros } from '../support/machine.ts';
import { type Sizes, variedMessage } from '../support/messages.ts';
import { startPostern, startSinkProcess } from '../support/postern.ts';
import { smtpLoad } from '../support/smtp-load.ts';
import { haraka } from './haraka.ts';
import type { Peer, RunningPeer } from './peer.ts';
import { POSTFIX } from './postfix.ts';

const { values } = parseArgs({
  options: {
    /** KB of a message: some of 4, 50, 100 and mix. */
    sizes: { type: 'string', default: '4,50' },
    rounds: { type: 'string', default: '3' },
    /** Length of a turn. */
    seconds: { type: 'string', default: '8' },
    help: { type: 'boolean', default: false },
  },
});
if (values.help) {
  process.stdout.write(readFileSync(join(import.meta.dirname, 'README.md'), 'utf8'));
  process.exit();
}
const DOMAIN = 'bench.example';
const DOMAINS = 20;
const CONNECTIONS = 40;
/** Length of the warm-up of a Node process, s: longer than V8 compiles on a slow machine. */
const WARM_UP: Record<string, number> = { Postern: 60, Haraka: 60 };
const sizes = values.sizes.split(',').map((size) => (size === 'mix' ? 'mix' : Number(size)) as Sizes);
const unknown = sizes.find((size) => ![4, 50, 100, 'mix'].includes(size));
if (unknown !== undefined) throw new Error(`unknown size in "${values.sizes}": some of 4, 50, 100 and mix`);
const rounds = Number(values.rounds);
const seconds = Number(values.seconds);
if (!(rounds >= 1 && seconds > 0)) throw new Error('--rounds and --seconds are numbers above 0');
const { privateKey: key } = generateKeyPairSync('rsa', {
  modulusLength: 2048,
  privateKeyEncoding: { type: 'pkcs1', format: 'pem' },
  publicKeyEncoding: { type: 'spki', format: 'pem' },
});

const POSTERN: Peer = {
  name: 'Postern',
  missing: () => Promise.resolve(undefined),
  async start(options) {
    const postern = await startPostern({
      routes: `*=127.0.0.1:${options.sink}`,
      domain: options.domain,
      // Nothing is said but faults.
      fill: async (data) => {
        mkdirSync(data, { recursive: true });
        writeFileSync(join(dirname(data), 'postern.config.ts'), "export default { logLevel: 'error' };\n");
      },
    });
    return { ...postern.submission, pids: [postern.pid], stop: () => postern.dispose() };
  },
};

interface Turn {
  rate: number;
  /** CPU time a message, µs. */
  cpu: number;
}

const home = mkdtempSync(join(tmpdir(), 'postern-peers-'));
// Postfix's processes drop to a user of their own, who must reach its files.
chmodSync(home, 0o755);
const sink = await startSinkProcess({ chunking: false, countSigned: true });
const running = new Map<Peer, RunningPeer>();
let next = 0;

/** Sends messages and waits until all have arrived, each signed. */
async function through(peer: Peer, size: Sizes, total: number): Promise<Turn> {
  const { host, port, pids } = running.get(peer)!;
  const from = next;
  next += total;
  const [before, signed, micros] = [await sink.count(), await sink.signed(), treeMicros(pids)];
  const all = sink.reached(before + total);
  const { beganAt, refused } = await smtpLoad({
    host,
    port,
    connections: CONNECTIONS,
    total,
    message: (n) => variedMessage(from + n, { sizes: size, domains: DOMAINS, domain: DOMAIN }),
  });
  if (refused > 0) throw new Error(`${peer.name} refused ${refused} messages`);
  const end = await all;
  const missing = total - ((await sink.signed()) - signed);
  if (missing !== 0) throw new Error(`${peer.name} left ${missing} of ${total} messages unsigned`);
  return { rate: total / ((end - beganAt) / 1000), cpu: (treeMicros(pids) - micros) / total };
}

const mean = (list: readonly Turn[], of: keyof Turn): number =>
  list.reduce((sum, one) => sum + one[of], 0) / list.length;

/** All rounds at one size, as rows of the table. */
async function measure(size: Sizes): Promise<Record<string, string>[]> {
  const turns = new Map<Peer, Turn[]>();
  const totals = new Map<Peer, number>();
  for (const peer of running.keys()) {
    let { rate } = await through(peer, size, 300);
    const ends = performance.now() + 1000 * (WARM_UP[peer.name] ?? 0);
    while (performance.now() < ends) ({ rate } = await through(peer, size, Math.ceil(rate * 5)));
    totals.set(peer, Math.ceil(rate * seconds));
    turns.set(peer, []);
  }
  for (let round = 1; round <= rounds; round += 1) {
    for (const peer of running.keys()) {
      const turn = await through(peer, size, totals.get(peer)!);
      turns.get(peer)!.push(turn);
      process.stdout.write(`${size} KB, round ${round}: ${peer.name} ${turn.rate.toFixed(0)}/s\n`);
    }
  }
  const own = turns.get(POSTERN)!;
  return [...turns].map(([{ name }, list]) => ({
    KB: String(size),
    server: name,
    'messages/s': mean(list, 'rate').toFixed(0),
    rounds: list.map(({ rate }) => rate.toFixed(0)).join(' '),
    'Postern is': `${(mean(own, 'rate') / mean(list, 'rate')).toFixed(1)} ×`,
    'µs CPU a message': mean(list, 'cpu').toFixed(0),
    'of Postern': `${(mean(list, 'cpu') / mean(own, 'cpu')).toFixed(1)} ×`,
  }));
}

try {
  for (const peer of [POSTERN, POSTFIX, haraka()]) {
    const missing = await peer.missing();
    if (missing === undefined) {
      const directory = join(home, peer.name.split(' ')[0]!);
      mkdirSync(directory);
      running.set(peer, await peer.start({ directory, sink: sink.port, key, domain: DOMAIN }));
    } else process.stdout.write(`${peer.name} is left out: ${missing}\n`);
  }
  const before = await rsaLimit(2);
  const rows: Record<string, string>[] = [];
  for (const size of sizes) rows.push(...(await measure(size)));
  const after = await rsaLimit(2);
  process.stdout.write(
    `RSA-2048 limit of this machine: ${before.toFixed(0)}/s before, ${after.toFixed(0)}/s after\n${table(rows)}\n`,
  );
} finally {
  for (const peer of running.values()) await peer.stop();
  sink.close();
  rmSync(home, { recursive: true, force: true });
}
