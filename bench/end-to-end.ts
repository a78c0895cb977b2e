/**
 * End to end: from the first byte in to the last delivery at the sink, through the real process.
 *
 *     node bench/end-to-end.ts smtp|bulk|send-email [messages] [--size 4|50|100|mix] [--domains 1000] [--eager]
 *                              [--mx] [--tls]
 *
 * Two cores are shared by the load generator (this process), Postern and the sink. A message is 4 KB unless told
 * otherwise, signed with RSA-2048, and every accept is synced to disk. Over SMTP, client and sink are ordinary: the
 * client waits for each reply before its next body or envelope, no two bodies are the same, and the sink takes DATA.
 * With `--eager` the client sends ahead, the body is always the same, and the sink offers CHUNKING, as few do.
 *
 * All mail goes to the sink by a route. With `--mx` it goes where a name server says: 1,000 domains, unless told
 * otherwise, at 100 pairs of MX hosts with public addresses in a network namespace, under the built-in limits. With
 * `--tls` the client takes STARTTLS, and the sink offers it.
 *
 * The yardstick is the machine's RSA-2048 limit, taken before and after in the same run. A minute of the same load goes
 * before: a service runs for months, and V8 compiles on a slow machine until some 60,000 messages have gone through
 * (after 10,000 the event loop takes a fifth more for each).
 */
import { parseArgs } from 'node:util';
import { httpLoad } from './support/http-load.ts';
import { cpuMicros, quantile, residentMb, rsaLimit, table, threadMicros } from './support/machine.ts';
import { bulkBody, sendEmailBody, sizesOf, smtpMessage, variedMessage } from './support/messages.ts';
import { enterNetwork, startZone } from './support/network.ts';
import { type BenchPostern, startPostern, startSinkProcess } from './support/postern.ts';
import { signedPost } from './support/sign.ts';
import { type LoadResult, smtpLoad } from './support/smtp-load.ts';

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: {
    /** Rate of the latency run, messages/s; default: half of that of the first run. */
    rate: { type: 'string' },
    /** Writes a CPU profile of Postern into this directory. */
    profile: { type: 'string' },
    /** KB of a message over SMTP, or `mix`. */
    size: { type: 'string', default: '4' },
    /** Recipient domains over SMTP; default: 1, and 1,000 with `mx`. */
    domains: { type: 'string' },
    /** Over SMTP: delivers by MX records instead of by a route. */
    mx: { type: 'boolean', default: false },
    /** Over SMTP: STARTTLS on both sides. */
    tls: { type: 'boolean', default: false },
    /** A client that sends ahead, and a sink with CHUNKING. */
    eager: { type: 'boolean', default: false },
    /** Only the throughput run. */
    quick: { type: 'boolean', default: false },
  },
});
const mode = positionals[0] ?? 'smtp';
const BULK = 50;
/** Length of the warm-up, ms. */
const WARM_UP = 60_000;
const totals: Record<string, number> = { smtp: 40_000, bulk: 40_000, 'send-email': 20_000 };
const total = Number(positionals[1] ?? totals[mode]);
if (!(mode in totals)) throw new Error(`unknown mode "${mode}": smtp, bulk or send-email`);
const size = sizesOf(values.size);
if (mode !== 'smtp' && (values.mx || values.tls)) throw new Error('--mx and --tls are for smtp');
const outside = values.mx ? enterNetwork() : 'not asked for';
if (values.mx && outside) process.stdout.write(`without MX records, by a route: ${outside}\n`);
const domains = Number(values.domains ?? (outside ? 1 : 1000));

/** Sends `count` messages by the protocol of this mode. */
function load(postern: BenchPostern, from: number, count: number, rate?: number): Promise<LoadResult> {
  if (mode === 'smtp') {
    return smtpLoad({
      ...postern.submission,
      connections: 40,
      total: count,
      rate,
      eager: values.eager,
      tls: values.tls,
      message: (n) =>
        values.eager && size === 4 && outside
          ? smtpMessage(from + n)
          : variedMessage(from + n, { sizes: size, domains }),
    });
  }
  const host = `127.0.0.1:${postern.api.port}`;
  const sign = (path: string, body: Buffer): Buffer =>
    signedPost(postern.credentials, host, path, body, crypto.randomUUID());
  const requests =
    mode === 'bulk'
      ? Array.from({ length: Math.ceil(count / BULK) }, (_, n) =>
          sign('/v2/email/outbound-bulk-emails', bulkBody(from + n, BULK)),
        )
      : Array.from({ length: count }, (_, n) => sign('/v2/email/outbound-emails', sendEmailBody(from + n)));
  return httpLoad({
    ...postern.api,
    connections: mode === 'bulk' ? 8 : 64,
    requests,
    rate: rate && (mode === 'bulk' ? rate / BULK : rate),
    onAnswer: (_, status, body) => {
      if (status !== 200 || body.includes('"Error"')) throw new Error(`${status} ${body.slice(0, 300)}`);
    },
  });
}

const limitBefore = await rsaLimit(2);
const sink = await startSinkProcess({
  chunking: mode !== 'smtp' || values.eager,
  tls: values.tls,
  host: outside ? '127.0.0.1' : '0.0.0.0',
});
const dns = outside ? undefined : await startZone(domains);
const postern = await startPostern({
  routes: dns ? '' : `*=127.0.0.1:${sink.port}`,
  environment: dns && { POSTERN_DNS: `127.0.0.1:${dns.port}`, POSTERN_SMTP_PORT: String(sink.port) },
  nodeArguments: values.profile ? ['--cpu-prof', `--cpu-prof-dir=${values.profile}`] : [],
});

/** One run: messages/s, and the CPU time of each process. */
async function run(from: number, count: number, rate?: number) {
  const before = await sink.count();
  const threads = threadMicros(postern.pid);
  const cpu = { postern: cpuMicros(postern.pid), sink: cpuMicros(sink.pid), self: process.cpuUsage() };
  await postern.metric('nodejs_eventloop_lag_p99_seconds');
  let peak = 0;
  const watch = setInterval(() => {
    peak = Math.max(peak, residentMb(postern.pid));
  }, 200);
  const all = sink.reached(before + count);
  const result = await load(postern, from, count, rate);
  const end = await all;
  clearInterval(watch);
  const lag = await postern.metric('nodejs_eventloop_lag_p99_seconds');
  const seconds = (end - result.beganAt) / 1000;
  const self = process.cpuUsage(cpu.self);
  const threadsNow = threadMicros(postern.pid);
  return {
    perSecond: count / seconds,
    result,
    lag: lag * 1000,
    peak,
    threads: Object.fromEntries(
      Object.entries(threadsNow).map(([name, value]) => [name, (value - threads[name]!) / count]),
    ),
    cpu: {
      postern: (cpuMicros(postern.pid) - cpu.postern) / count,
      sink: (cpuMicros(sink.pid) - cpu.sink) / count,
      load: (self.user + self.system) / count,
    },
  };
}

for (let from = 0, ends = performance.now() + WARM_UP; performance.now() < ends; from += 10_000)
  await run(from, Math.min(10_000, total));
const full = await run(1_000_000, total);
const limitAfter = await rsaLimit(2);
const limit = (limitBefore + limitAfter) / 2;
const rows: Record<string, string | number>[] = [
  {
    figure: `${mode}: messages/s`,
    value: full.perSecond.toFixed(0),
    'of RSA limit': (full.perSecond / limit).toFixed(3),
    'µs CPU Postern': full.cpu.postern.toFixed(0),
    'µs load': full.cpu.load.toFixed(0),
    'µs sink': full.cpu.sink.toFixed(0),
    'MB peak': full.peak.toFixed(0),
    'accept p99 ms': quantile(full.result.latencies, 0.99).toFixed(1),
    'loop p99 ms': full.lag.toFixed(1),
  },
];
if (!values.quick) {
  const rate = Number(values.rate ?? full.perSecond / 2);
  const half = await run(2_000_000, Math.min(total, Math.ceil(rate * 8)), rate);
  rows.push({
    figure: `${mode}: at half, ${rate.toFixed(0)}/s`,
    value: half.perSecond.toFixed(0),
    'of RSA limit': (half.perSecond / limit).toFixed(3),
    'µs CPU Postern': half.cpu.postern.toFixed(0),
    'µs load': half.cpu.load.toFixed(0),
    'µs sink': half.cpu.sink.toFixed(0),
    'MB peak': half.peak.toFixed(0),
    'accept p99 ms': quantile(half.result.latencies, 0.99).toFixed(1),
    'loop p99 ms': half.lag.toFixed(1),
  });
}
const threadRows = Object.entries(full.threads).map(([thread, micros]) => ({
  thread,
  'µs CPU a message': micros.toFixed(0),
  'of signing': (micros / full.threads.signing!).toFixed(2),
}));
process.stdout.write(
  `RSA-2048 limit of this machine: ${limitBefore.toFixed(0)}/s before, ${limitAfter.toFixed(0)}/s after\n${table(rows)}\n${table(threadRows)}\n`,
);
await postern.dispose();
await dns?.close();
sink.close();
