/**
 * The accept pipeline alone: µs of the event loop's CPU a message, without protocol, store and RSA. Control, records and
 * suppression lists are the memory engine's; what is admitted is let go. Messages are signed with a key of 1,024 bits on
 * libuv's threads, whose time is not counted; what it takes to hand them such work is told apart, by doing that alone.
 *
 *     node bench/accept.ts [calls of one message a round] [beginning of a case's name]
 *
 * A figure is the least of the rounds: the others had more company on the machine. Beside it stands an RSA-2048 signature on
 * the same thread, by whose cost runs and machines are compared.
 */
import { generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { promisify } from 'node:util';
import { createAccept } from '../lib/accept/accept.ts';
import { SendingMeter } from '../lib/accept/limits.ts';
import type { Submission, SubmitOptions } from '../lib/accept/types.ts';
import { Contacts } from '../lib/contacts/contacts.ts';
import { openControl } from '../lib/control/control.ts';
import { openMemory } from '../lib/engine/memory/open.ts';
import { createReferences } from '../lib/mail/message-reference.ts';
import { createReturnPaths } from '../lib/mail/return-path.ts';
import { createSigner } from '../lib/mail/signer.ts';
import { createUnsubscribeAddresses } from '../lib/mail/unsubscribe-address.ts';
import { createSteadyClock, DAY } from '../lib/time.ts';
import { createTrackingLinks } from '../lib/tracking/links.ts';
import { createUnsubscribeLinks } from '../lib/tracking/unsubscribe-links.ts';
import { table } from './support/machine.ts';
import { bulkBody, sendEmailBody, variedMessage } from './support/messages.ts';

const calls = Number(process.argv[2] ?? 1500);
const only = process.argv[3] ?? '';
const ROUNDS = 8;
/** Signatures of a round. */
const SIGNATURES = 30;
/** Calls under way at one time. */
const AT_ONCE = 32;
const DOMAIN = 'bench.example';

const clock = createSteadyClock();
const secret = Buffer.alloc(32, 1);
const engine = openMemory({ clock });
const control = await openControl({
  config: engine.config,
  masterKey: secret,
  clock,
  verifyIdentities: false,
});
const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 1024 });
const exported = privateKey.export({ type: 'pkcs8', format: 'der' }).toString('base64');
await control.identities.create({
  name: DOMAIN,
  tenant: 'default',
  byo: { selector: 'bench', privateKey: exported },
});
const key = await control.keys.create({ tenant: 'default', admin: true });
const signer = createSigner();
const accept = createAccept({
  engine: {
    queue: { admit: () => Promise.resolve({ kind: 'admitted' }) },
    records: engine.records,
    suppressions: engine.suppressions,
  },
  control,
  contacts: new Contacts(engine.rows, clock),
  signer,
  returnPaths: createReturnPaths(secret),
  references: createReferences(secret),
  tracking: { links: createTrackingLinks(secret), url: 'https://track.example' },
  unsubscribe: {
    links: createUnsubscribeLinks(secret),
    addresses: createUnsubscribeAddresses(secret),
  },
  meter: new SendingMeter({ rows: engine.rows, clock, alone: true }),
  clock,
  random: Math.random,
  region: 'us-east-1',
  accountId: '000000000000',
  policy: {
    maxMessageBytes: 40 << 20,
    maxRecipients: 50,
    maxAge: 4 * DAY,
    maxSchedule: 30 * DAY,
    hasPool: (name) => name === 'default',
    group: (domain) => control.laneGroups.group(domain),
    returnPathDomain: (fromDomain) => fromDomain,
    forwardsFeedback: true,
  },
});

const to = (address: string): Pick<Submission, 'to' | 'cc' | 'bcc' | 'replyTo'> => ({
  to: [address],
  cc: [],
  bcc: [],
  replyTo: [],
});

/** Raw content as the SMTP listener gives it. @param sizes of the body, KB. */
function raw(n: number, sizes: 4 | 50): Submission[] {
  const { from, to: recipient, data } = variedMessage(n, { sizes, domains: 1000 });
  const bytes = data.subarray(0, data.length - '.\r\n'.length);
  const trace = `Received: by mx.example (Postern) with ESMTP id ${n};\r\n\tSat, 21 Nov 2026 09:00:00 +0000`;
  return [{ ...to(recipient), mailFrom: from, content: { kind: 'raw', bytes }, trace }];
}

/** Simple content as the SES API gives it. */
function simple(n: number): Submission[] {
  const { FromEmailAddress: from, Content } = JSON.parse(sendEmailBody(n, DOMAIN).toString());
  const { Subject, Body } = Content.Simple;
  const content = {
    kind: 'simple' as const,
    subject: Subject.Data,
    text: Body.Text.Data,
    html: Body.Html.Data,
  };
  return [{ ...to(`user${n}@recipient.example`), from, content }];
}

/** A template to 50, as the SES API gives it. */
function bulk(n: number): Submission[] {
  const { FromEmailAddress: from, DefaultContent } = JSON.parse(bulkBody(n, 0, DOMAIN).toString());
  const { Subject: subject, Text: text, Html: html } = DefaultContent.Template.TemplateContent;
  const parts = { subject, text, html };
  return Array.from({ length: 50 }, (_, i) => ({
    ...to(`user${n}-${i}@recipient.example`),
    from,
    content: {
      kind: 'template' as const,
      parts,
      data: { sender: 'Bench', name: `Customer ${n}-${i}`, number: n * 50 + i },
    },
  }));
}

const caller = { keyId: key.id, tenant: 'default', admin: true, sourceIp: '127.0.0.1' };
const BY_SMTP: SubmitOptions = { door: 'smtp', caller };
const BY_SES: SubmitOptions = { door: 'ses-v2', caller };

/** CPU of this thread since an earlier reading, µs. */
function spent(since: NodeJS.CpuUsage): number {
  const { user, system } = process.threadCpuUsage(since);
  return user + system;
}

const yardstick = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey;
let signature = Number.POSITIVE_INFINITY;

function measureSignature(): void {
  const before = process.threadCpuUsage();
  for (let i = 0; i < SIGNATURES; i++) sign('sha256', secret, yardstick);
  signature = Math.min(signature, spent(before) / SIGNATURES);
}

/** The work of the signer's threads alone: what it costs this thread to hand them a message, µs. */
let handing = Number.POSITIVE_INFINITY;

async function measureHanding(count: number): Promise<void> {
  const input = Buffer.alloc(1000);
  const signed = promisify(sign) as (algorithm: string, data: Buffer, key: KeyObject) => Promise<Buffer>;
  let left = count;
  const before = process.threadCpuUsage();
  await Promise.all(
    // As many as the signer has under way.
    Array.from({ length: 8 }, async () => {
      while (left-- > 0) await signed('sha256', input, privateKey);
    }),
  );
  handing = Math.min(handing, spent(before) / count);
}

/** µs of this thread a message, the least of the rounds. */
async function measure(
  make: (n: number) => Submission[],
  options: SubmitOptions,
  count: number,
): Promise<number> {
  let least = Number.POSITIVE_INFINITY;
  for (let round = 0; round <= ROUNDS; round++) {
    const inputs = Array.from({ length: count }, (_, i) => make(round * count + i));
    const messages = inputs.reduce((sum, input) => sum + input.length, 0);
    measureSignature();
    if (round > 0) await measureHanding(200);
    const before = process.threadCpuUsage();
    await Promise.all(
      Array.from({ length: AT_ONCE }, async () => {
        for (let input = inputs.pop(); input; input = inputs.pop())
          for (const result of await accept.submit(input, options)) if ('error' in result) throw result.error;
      }),
    );
    // The first round is for the compiler.
    if (round > 0) least = Math.min(least, spent(before) / messages);
  }
  return least;
}

const cases = [
  { what: 'SMTP, 4 KB', make: (n: number) => raw(n, 4), options: BY_SMTP, count: calls },
  { what: 'SMTP, 50 KB', make: (n: number) => raw(n, 50), options: BY_SMTP, count: Math.ceil(calls / 4) },
  { what: 'SendEmail, 4 KB', make: simple, options: BY_SES, count: calls },
  {
    what: 'SendBulkEmail of 50, 4 KB each',
    make: bulk,
    options: { ...BY_SES, bulk: true },
    count: Math.ceil(calls / 50),
  },
].filter(({ what }) => what.startsWith(only));
const found: [string, number][] = [];
for (const { what, make, options, count } of cases) found.push([what, await measure(make, options, count)]);
const rows = found.map(([what, micros]) => ({
  accept: what,
  'µs a message': micros.toFixed(1),
  'without handing on': (micros - handing).toFixed(1),
  'of a signature': ((micros - handing) / signature).toFixed(3),
}));
process.stdout.write(
  `${table(rows)}\na signature ${signature.toFixed(0)} µs, handing one on ${handing.toFixed(1)} µs\n`,
);
await signer.close();
await control.close();
await engine.close();
