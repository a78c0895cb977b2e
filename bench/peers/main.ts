/**
 * Postern beside Postfix with OpenDKIM and Haraka, in one run on one machine: each accepts over SMTP from an ordinary
 * client, signs with RSA-2048, keeps what it accepted on disk, and sends it on to a sink that takes DATA.
 *
 *     npm run bench:peers -- [--size 4] [--rounds 3] [--messages 4000]
 *
 * Rounds are interleaved, so that a noisy machine is noisy for all. A peer that is not installed is left out, with
 * what to install. Every start is followed by messages to warm up that do not count.
 */
import { generateKeyPairSync } from 'node:crypto';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { parseArgs } from 'node:util';
import { rsaLimit, table } from '../support/machine.ts';
import { type Sizes, variedMessage } from '../support/messages.ts';
import { startPostern, startSinkProcess } from '../support/postern.ts';
import { smtpLoad } from '../support/smtp-load.ts';
import { haraka } from './haraka.ts';
import type { Peer } from './peer.ts';
import { POSTFIX } from './postfix.ts';

const { values } = parseArgs({
  options: {
    /** KB of a message: 4, 50, 100 or mix. */
    size: { type: 'string', default: '4' },
    rounds: { type: 'string', default: '3' },
    /** Messages of a round through a peer; Postern gets four times as many. */
    messages: { type: 'string', default: '4000' },
  },
});
const DOMAIN = 'bench.example';
const DOMAINS = 20;
const CONNECTIONS = 40;
const WARM_UP = 500;
const sizes = (values.size === 'mix' ? 'mix' : Number(values.size)) as Sizes;
if (![4, 50, 100, 'mix'].includes(sizes)) throw new Error(`unknown size "${values.size}": 4, 50, 100 or mix`);
const rounds = Number(values.rounds);
const messages = Number(values.messages);
const { privateKey: key } = generateKeyPairSync('rsa', {
  modulusLength: 2048,
  privateKeyEncoding: { type: 'pkcs1', format: 'pem' },
  publicKeyEncoding: { type: 'spki', format: 'pem' },
});
const home = mkdtempSync(join(tmpdir(), 'postern-peers-'));
// Postfix's processes drop to a user of their own, who must reach its files.
chmodSync(home, 0o755);
const sink = await startSinkProcess({ chunking: false, countSigned: true });

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
    return { ...postern.submission, stop: () => postern.dispose() };
  },
};

let next = 0;
/** Sends messages and waits until all have arrived. @returns messages/s from the first byte to the last arrival. */
async function through(peer: { host: string; port: number }, total: number): Promise<number> {
  const from = next;
  next += total;
  const all = sink.reached((await sink.count()) + total);
  const { beganAt, refused } = await smtpLoad({
    ...peer,
    connections: CONNECTIONS,
    total,
    message: (n) => variedMessage(from + n, { sizes, domains: DOMAINS, domain: DOMAIN }),
  });
  if (refused > 0) throw new Error(`${refused} messages were refused`);
  return total / (((await all) - beganAt) / 1000);
}

const peers: Peer[] = [];
for (const peer of [POSTERN, POSTFIX, haraka(join(home, 'haraka'))]) {
  const missing = await peer.missing();
  if (missing === undefined) peers.push(peer);
  else process.stdout.write(`${peer.name} is left out: ${missing}\n`);
}

const before = await rsaLimit(2);
const rates = new Map<string, number[]>(peers.map((peer) => [peer.name, []]));
for (let round = 1; round <= rounds; round += 1) {
  for (const peer of peers) {
    const directory = join(home, `${peer.name.split(' ')[0]}-${round}`);
    mkdirSync(directory);
    const running = await peer.start({ directory, sink: sink.port, key, domain: DOMAIN });
    const signedBefore = await sink.signed();
    const counted = peer === POSTERN ? messages * 4 : messages;
    let rate = 0;
    try {
      await through(running, WARM_UP);
      rate = await through(running, counted);
    } finally {
      await running.stop();
    }
    rates.get(peer.name)!.push(rate);
    const signed = (await sink.signed()) - signedBefore;
    const total = WARM_UP + counted;
    if (signed !== total) throw new Error(`${peer.name} signed ${signed} of ${total} messages`);
    process.stdout.write(`round ${round}: ${peer.name} ${rate.toFixed(0)}/s\n`);
  }
}
const after = await rsaLimit(2);
sink.close();
rmSync(home, { recursive: true, force: true });

const mean = (list: number[]): number => list.reduce((sum, one) => sum + one, 0) / list.length;
const own = mean(rates.get(POSTERN.name)!);
process.stdout.write(
  `RSA-2048 limit of this machine: ${before.toFixed(0)}/s before, ${after.toFixed(0)}/s after\n${table(
    peers.map(({ name }) => {
      const list = rates.get(name)!;
      return {
        [`${values.size} KB`]: name,
        'messages/s': mean(list).toFixed(0),
        rounds: list.map((rate) => rate.toFixed(0)).join(' '),
        'Postern is': `${(own / mean(list)).toFixed(1)} ×`,
      };
    }),
  )}\n`,
);
