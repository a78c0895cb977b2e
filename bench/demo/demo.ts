/**
 * `npm run demo`: some thousand personalised messages to a local internet of providers, each with its own
 * limits and replies. Nothing leaves the machine.
 *
 *     npm run demo [messages]
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { readSettings } from '../../egress-node/settings.ts';
import { startStandalone } from '../../egress-node/standalone/standalone.ts';
import { FINAL_STATES } from '../../lib/engine/states.ts';
import { silentLog } from '../../lib/log.ts';
import { seededRandom } from '../../test/support/clock.ts';
import { quantile, table } from '../support/machine.ts';
import { INTERNET, startProvider } from './provider.ts';

const { positionals } = parseArgs({ allowPositionals: true });
const total = Number(positionals[0] ?? 5000);
if (!Number.isInteger(total) || total < 1) throw new Error('usage: npm run demo [messages]');
const BATCH = 250;
/** Maximum wait after the last acceptance for the other deliveries to end; a longer one is a fault to show, ms. */
const PATIENCE = 60_000;
const random = seededRandom(2026);
const NAMES = [
  'Ada',
  'Grace',
  'Edsger',
  'Barbara',
  'Donald',
  'Frances',
  'Ken',
  'Radia',
  'Niklaus',
  'Margaret',
];

const providers = await Promise.all(INTERNET.map(startProvider));
const directory = await mkdtemp(join(tmpdir(), 'postern-demo-'));
const settings = readSettings(
  {
    POSTERN_DATA: directory,
    POSTERN_API: '127.0.0.1:0',
    POSTERN_SUBMISSION: '127.0.0.1:0',
    POSTERN_INBOUND: '127.0.0.1:0',
    POSTERN_ROUTES: providers
      .flatMap(({ rules, port }) => rules.domains.map((domain) => `${domain}=127.0.0.1:${port}`))
      .join(','),
  },
  // A demo cannot wait for the minutes that real retries take.
  { retrySeconds: [2, 4, 8, 15], hostname: 'mail.postern.example' },
  { verifyIdentities: false },
);
const postern = await startStandalone(settings, silentLog);
const key = postern.firstKey!.key;
const api = `http://${postern.listening.api}`;
const headers = { authorization: `Bearer ${key.id}.${key.secret}`, 'content-type': 'application/json' };

async function post(path: string, body: unknown): Promise<Record<string, unknown>> {
  const answer = await fetch(api + path, { method: 'POST', headers, body: JSON.stringify(body) });
  const value = (await answer.json()) as Record<string, unknown>;
  if (!answer.ok) throw new Error(`${path}: ${answer.status} ${JSON.stringify(value)}`);
  return value;
}

await postern.control.identities.create({ name: 'postern.example', tenant: 'default' });
// Nobody reads what bounces here, so nothing is forwarded to the senders.
await postern.control.identities.update('postern.example', (one) => ({ ...one, feedbackForwarding: false }));

/** A provider for the next message, by weight. */
function pick(): (typeof INTERNET)[number] {
  let at = random() * INTERNET.reduce((sum, rules) => sum + rules.weight, 0);
  for (const rules of INTERNET) if ((at -= rules.weight) < 0) return rules;
  return INTERNET[0]!;
}

interface Row {
  messages: number;
  delivered: number;
  bounced: number;
  other: number;
  deferrals: number;
  times: number[];
}
const rows = new Map<string, Row>(
  INTERNET.map(({ name }) => [
    name,
    { messages: 0, delivered: 0, bounced: 0, other: 0, deferrals: 0, times: [] },
  ]),
);
/** Where each delivery goes and when it was handed in. */
const sent = new Map<string, { provider: string; at: number }>();
const byDomain = new Map(
  INTERNET.flatMap((rules) => rules.domains.map((domain) => [domain, rules.name] as const)),
);

let ended = 0;
let cursor = 0;
/** Reads the events since the last read. */
async function follow(): Promise<void> {
  for (;;) {
    const { cursor: next, outcomes } = await postern.engine.records.feed(cursor, 1000);
    for (const { messageId, attempt, kind } of outcomes) {
      const known = sent.get(messageId);
      if (!known || kind !== 'attempt' || !attempt) continue;
      const row = rows.get(known.provider)!;
      if (attempt.state === 'deferred') row.deferrals++;
      if (!FINAL_STATES.has(attempt.state)) continue;
      ended++;
      if (attempt.state === 'delivered') {
        row.delivered++;
        row.times.push(attempt.at + attempt.duration - known.at);
      } else if (attempt.state === 'bounced') row.bounced++;
      else row.other++;
    }
    if (next === cursor) return;
    cursor = next;
  }
}

/** Ends a demo that does not end by itself, with the reason why mail waits. */
async function giveUp(): Promise<never> {
  for (const { name, domains } of INTERNET) {
    const { messages, delivered, bounced, other } = rows.get(name)!;
    const left = messages - delivered - bounced - other;
    if (left === 0) continue;
    const answer = await fetch(`${api}/v1/shaping/explain?domain=${domains[0]}`, { headers });
    const { explanations } = (await answer.json()) as { explanations: { binding?: unknown }[] };
    process.stderr.write(
      `\n${name}: ${left} wait: ${JSON.stringify(explanations.map(({ binding }) => binding))}\n`,
    );
  }
  process.exit(1);
}

const began = performance.now();
const live = process.stdout.isTTY;
function progress(accepted: number): void {
  const seconds = (performance.now() - began) / 1000;
  const deferred = [...rows.values()].reduce((sum, row) => sum + row.deferrals, 0);
  const line = `${seconds.toFixed(1).padStart(5)} s  ${accepted} accepted  ${ended} ended  ${deferred} deferrals  ${accepted - ended} on their way`;
  process.stdout.write(live ? `\r${line}\x1b[K` : `${line}\n`);
}

process.stdout.write(
  `Sending ${total} personalised messages to ${INTERNET.length} providers on this machine.\n\n`,
);
let accepted = 0;
while (accepted < total) {
  const recipients = Array.from({ length: Math.min(BATCH, total - accepted) }, (_, i) => {
    const rules = pick();
    const name = NAMES[Math.floor(random() * NAMES.length)]!;
    const domain = rules.domains[Math.floor(random() * rules.domains.length)]!;
    return {
      address: `${name.toLowerCase()}.${accepted + i}@${domain}`,
      name,
      substitutions: { name, order: 1000 + accepted + i },
    };
  });
  const at = Date.now();
  const answer = await post('/v1/messages', {
    from: 'Postern Shop <orders@postern.example>',
    recipients,
    template: {
      subject: 'Order {{order}} is on its way, {{name}}',
      text: 'Dear {{name}},\n\nyour order {{order}} has left our house.\n\nPostern Shop\n',
      html: '<p>Dear {{name}},</p><p>your order <b>{{order}}</b> has left our house.</p><p>Postern Shop</p>',
    },
    tags: { campaign: 'demo' },
  });
  for (const { id, recipient } of answer.messages as { id: string; recipient: string }[]) {
    const provider = byDomain.get(recipient.slice(recipient.lastIndexOf('@') + 1))!;
    rows.get(provider)!.messages++;
    sent.set(id, { provider, at });
  }
  accepted += recipients.length;
  await follow();
  progress(accepted);
}
const handedIn = performance.now();
for (let look = 0; ended < accepted; look++) {
  if (performance.now() - handedIn > PATIENCE) await giveUp();
  await new Promise((resolve) => setTimeout(resolve, 100));
  await follow();
  if (live || look % 10 === 0) progress(accepted);
}
const seconds = (performance.now() - began) / 1000;

const span = (milliseconds: number): string =>
  Number.isNaN(milliseconds)
    ? '-'
    : milliseconds < 1000
      ? `${milliseconds.toFixed(0)} ms`
      : `${(milliseconds / 1000).toFixed(1)} s`;
process.stdout.write(
  `${live ? '\r\x1b[K' : ''}\n${table(
    [...rows].map(([provider, row]) => {
      const times = Float64Array.from(row.times).sort();
      return {
        provider,
        messages: row.messages,
        delivered: row.delivered,
        deferred: row.deferrals,
        bounced: row.bounced,
        p50: span(quantile(times, 0.5)),
        p99: span(quantile(times, 0.99)),
      };
    }),
  )}\n\n${accepted} messages in ${seconds.toFixed(1)} s: every one ended, none lost. "deferred" counts attempts that a provider put off.\n`,
);
await postern.stop();
await Promise.all(providers.map((provider) => provider.close()));
await rm(directory, { recursive: true, force: true });
process.exit(0);
