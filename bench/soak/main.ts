/**
 * The soak: mixed load on the real process for a long time, beside deferrals, bounces, peers that are slow, silent or
 * close in the middle, and clients that come and go.
 *
 *     npm run soak -- [--minutes 60] [--rate 150] [--out soak]
 *
 * Memory, file descriptors, files, disk, loop delay, waiting mail and the age of mail on arrival are sampled every
 * five seconds, plotted as SVG, and judged: the last quarter must not lie above the quarter before. Ends with 1 when
 * one does. Records are kept for a tenth of the run, so that their removal is part of it.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { parseArgs } from 'node:util';
import { seededRandom } from '../../test/support/clock.ts';
import { chart } from '../simulate/chart.ts';
import { httpLoad } from '../support/http-load.ts';
import { quantile, table } from '../support/machine.ts';
import { sendEmailBody, variedMessage } from '../support/messages.ts';
import { startPostern } from '../support/postern.ts';
import { signedPost } from '../support/sign.ts';
import { smtpLoad } from '../support/smtp-load.ts';
import { startPeers } from './peers.ts';
import { descriptors, FIGURES, memory, type Sample, usage, verdict } from './samples.ts';

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '60' },
    /** Messages/s in all: three quarters over SMTP, one quarter by SendEmail. */
    rate: { type: 'string', default: '150' },
    /** Directory of the plots. */
    out: { type: 'string', default: 'soak' },
  },
});
const minutes = Number(values.minutes);
const rate = Number(values.rate);
if (!(minutes > 0 && rate > 0))
  throw new Error('usage: npm run soak -- [--minutes 60] [--rate 150] [--out DIR]');
const EVERY = 5000;
/** A client is connected this long, s. */
const STINT = 10;
const random = seededRandom(2026);

let ages: number[] = [];
const peers = await startPeers(
  (recipient) => void ages.push(Date.now() - Number(recipient.slice(1, recipient.indexOf('-')))),
  minutes,
  random,
);
const postern = await startPostern({
  routes: peers.flatMap((peer) => peer.domains.map((domain) => `${domain}=127.0.0.1:${peer.port}`)).join(','),
  async fill(data) {
    const keep = minutes / 10 / 1440;
    // Retries within the run, and mail that expires in it.
    const settings = { retrySeconds: [5, 15, 30], maxAgeDays: keep, recordDays: keep, logLevel: 'error' };
    mkdirSync(data, { recursive: true });
    writeFileSync(join(dirname(data), 'postern.config.ts'), `export default ${JSON.stringify(settings)};\n`);
  },
});

const weights = peers.reduce((sum, peer) => sum + peer.weight, 0);
/** A recipient at a peer, by the peers' weights; its name tells when the message is due, ms since the epoch. */
function recipient(n: number, due = Date.now()): string {
  let left = random() * weights;
  const peer = peers.find((one) => (left -= one.weight) < 0) ?? peers[0]!;
  return `t${Math.round(due)}-${n}@${peer.domains[n % peer.domains.length]}`;
}

let sent = 0;
async function overSmtp(until: number): Promise<void> {
  while (performance.now() < until) {
    const from = sent;
    const total = Math.max(1, Math.round(rate * 0.75 * STINT));
    sent += total;
    await smtpLoad({
      ...postern.submission,
      connections: 12,
      total,
      rate: rate * 0.75,
      message: (n) => ({ ...variedMessage(from + n, { sizes: 'mix', domains: 1 }), to: recipient(from + n) }),
    });
  }
}

async function overHttp(until: number): Promise<void> {
  const host = `127.0.0.1:${postern.api.port}`;
  while (performance.now() < until) {
    const total = Math.max(1, Math.round(rate * 0.25 * STINT));
    const start = Date.now();
    const requests = Array.from({ length: total }, (_, i) => {
      const n = sent++;
      const due = start + (i * 1000) / (rate * 0.25);
      const body = Buffer.from(
        sendEmailBody(n)
          .toString()
          .replace(/user\d+@recipient\.example/, recipient(n, due)),
      );
      return signedPost(postern.credentials, host, '/v2/email/outbound-emails', body, crypto.randomUUID());
    });
    await httpLoad({ ...postern.api, connections: 6, requests, rate: rate * 0.25 });
  }
}

/** The sum of a gauge over its labels. */
function sum(metrics: string, name: string): number {
  let total = 0;
  for (const line of metrics.split('\n'))
    if (line.startsWith(`${name}{`) || line.startsWith(`${name} `))
      total += Number(line.slice(line.lastIndexOf(' ') + 1));
  return total;
}

const samples: Sample[] = [];
const began = performance.now();
let lastAt = began;
async function sample(): Promise<void> {
  const metrics = await (await fetch(`http://127.0.0.1:${postern.api.port}/metrics`)).text();
  const arrived = Float64Array.from(ages).sort();
  ages = [];
  const now = performance.now();
  const { files, bytes } = usage(join(postern.directory, 'data'));
  samples.push({
    at: (now - began) / 60_000,
    resident: memory(postern.pid),
    descriptors: descriptors(postern.pid),
    files,
    disk: bytes / 2 ** 20,
    loop: sum(metrics, 'nodejs_eventloop_lag_p99_seconds') * 1000,
    waiting:
      sum(metrics, 'postern_waiting') + sum(metrics, 'postern_lane_ready') + sum(metrics, 'postern_in_hand'),
    age: arrived.length > 0 ? quantile(arrived, 0.99) : 0,
    rate: arrived.length / ((now - lastAt) / 1000),
  });
  lastAt = now;
}

const until = began + minutes * 60_000;
const watch = setInterval(
  () => void sample().catch((error: Error) => process.stderr.write(`${error.message}\n`)),
  EVERY,
);
await Promise.all([overSmtp(until), overHttp(until)]);
clearInterval(watch);
await postern.dispose();
for (const peer of peers) await peer.close();

mkdirSync(values.out, { recursive: true });
const rows = FIGURES.map((figure) => {
  const points = samples.map((one): [number, number] => [one.at, one[figure.of]]);
  const svg = chart({
    title: figure.title,
    subtitle: `${minutes} minutes at ${rate} messages a second, records kept for ${minutes / 10} minutes`,
    x: { name: 'minutes', min: 0, max: Math.max(...points.map(([at]) => at)) },
    y: { name: figure.name, max: Math.max(1, ...points.map(([, value]) => value)) * 1.1 },
    series: [{ name: figure.name, points }],
  });
  writeFileSync(join(values.out, `${figure.of}.svg`), svg);
  const { before, after, flat } = verdict(figure, samples);
  return {
    figure: figure.title,
    'third quarter': before.toFixed(1),
    'last quarter': after.toFixed(1),
    unit: figure.name,
    flat: flat ? 'yes' : 'NO',
  };
});
process.stdout.write(`${table(rows)}\n${sent} messages; plots in ${values.out}/\n`);
process.exit(rows.every(({ flat }) => flat === 'yes') ? 0 : 1);
