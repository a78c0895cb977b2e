/**
 * `npm run bench:control-plane`: what a call that configures costs. SigV4 of a body of 4 KB, verified as the API does it;
 * then calls of many kinds at a steady rate against the whole service on one machine, every change synced to disk.
 */

import * as sdk from '@aws-sdk/client-sesv2';
import { createSigV4 } from '../lib/http/sigv4.ts';
import { sign } from '../test/support/signing.ts';
import { StandaloneSite } from '../test/support/standalone.ts';
import { table } from './support/machine.ts';

const KEY = { id: 'AKIABENCHCONTROL0001', secret: 'bench/secret+0123456789abcdef' };
/** Calls a second, and for how long, s. */
const RATE = 100;
const SECONDS = 20;
/** Figures to reach: ms, µs. */
const LIMIT = 20;
const SIGV4_LIMIT = 60;
const ROUNDS = 20_000;
/** Every so many calls make a domain, and so a key. */
const MAKES_KEY = 50;
/** ms. */
const LOOP_INTERVAL = 5;

/** Median over batches of the processor time of one verification, µs: what else the machine does must not count. @param checksum whether the body's hash is declared. */
async function verification(checksum: boolean): Promise<number> {
  const at = Date.now();
  const request = await sign({ ...KEY, at, body: JSON.stringify({ text: 'x'.repeat(4084) }), checksum });
  const verifier = createSigV4(
    async () => ({ ...KEY, tenant: 'default', admin: true, createdAt: 0 }) as never,
  );
  const batches: number[] = [];
  for (let batch = 0; batch < 20; batch += 1) {
    const begin = process.cpuUsage();
    for (let n = 0; n < ROUNDS / 20; n += 1) (await verifier.begin(request, at)).finish(request.body);
    const { user, system } = process.cpuUsage(begin);
    batches.push((user + system) / (ROUNDS / 20));
  }
  return batches.sort((a, b) => a - b)[10]!;
}

type Call = (n: number) => Promise<unknown>;

/** Figures of one operation, or of all. */
interface Figures {
  p50: number;
  p99: number;
  calls: number;
}

/** The kinds of calls by operation, in turn: half of them change something. */
function callsOf(client: sdk.SESv2Client): Readonly<Record<string, Call>> {
  const TemplateContent = { Subject: 'Hello {{name}}', Text: 'Hello {{name}}' };
  const address = (n: number) => `user${n}@example.net`;
  return {
    CreateEmailTemplate: (n) =>
      client.send(new sdk.CreateEmailTemplateCommand({ TemplateName: `t${n}`, TemplateContent })),
    GetEmailTemplate: (n) =>
      client.send(new sdk.GetEmailTemplateCommand({ TemplateName: `t${n - 1}` })).catch(() => undefined),
    PutSuppressedDestination: (n) =>
      client.send(new sdk.PutSuppressedDestinationCommand({ EmailAddress: address(n), Reason: 'BOUNCE' })),
    GetAccount: () => client.send(new sdk.GetAccountCommand({})),
    CreateConfigurationSet: (n) =>
      client.send(new sdk.CreateConfigurationSetCommand({ ConfigurationSetName: `s${n}` })),
    ListEmailIdentities: () => client.send(new sdk.ListEmailIdentitiesCommand({ PageSize: 100 })),
    CreateContact: (n) =>
      client.send(new sdk.CreateContactCommand({ ContactListName: 'news', EmailAddress: address(n) })),
    ListEmailTemplates: () => client.send(new sdk.ListEmailTemplatesCommand({ PageSize: 100 })),
    TagResource: (n) =>
      client.send(
        new sdk.TagResourceCommand({
          ResourceArn: 'arn:aws:ses:us-east-1:000000000000:identity/example.com',
          Tags: [{ Key: `k${n % 40}`, Value: String(n) }],
        }),
      ),
    GetEmailIdentity: () => client.send(new sdk.GetEmailIdentityCommand({ EmailIdentity: 'example.com' })),
    CreateEmailIdentity: (n) =>
      client.send(new sdk.CreateEmailIdentityCommand({ EmailIdentity: `d${n}.example.net` })),
  };
}

/**
 * Follows the event loop. @returns a function that ends it: the longest time between two turns of the loop, ms, and the
 * longest processor time of its thread in one. The first far above the second is the machine's other work, which the
 * waits of the calls have in them, too; the second is what the service itself blocks.
 */
function followLoop(): () => { longest: number; own: number } {
  let [at, cpu] = [performance.now(), process.threadCpuUsage()];
  let [longest, own] = [0, 0];
  const timer = setInterval(() => {
    const [now, used] = [performance.now(), process.threadCpuUsage()];
    longest = Math.max(longest, now - at);
    own = Math.max(own, (used.user + used.system - cpu.user - cpu.system) / 1000);
    [at, cpu] = [now, used];
  }, LOOP_INTERVAL);
  return () => {
    clearInterval(timer);
    return { longest, own };
  };
}

function figuresOf(times: readonly { took: number }[]): Figures {
  const sorted = times.map(({ took }) => took).sort((a, b) => a - b);
  return {
    p50: sorted[sorted.length >> 1]!,
    p99: sorted[Math.floor(sorted.length * 0.99)]!,
    calls: sorted.length,
  };
}

async function controlPlane(): Promise<{
  all: Figures;
  each: Record<string, string | number>[];
  loop: { longest: number; own: number };
}> {
  const site = await StandaloneSite.open();
  const service = await site.start({
    POSTERN_ACCESS_KEY_ID: KEY.id,
    POSTERN_SECRET_ACCESS_KEY: KEY.secret,
  });
  const client = new sdk.SESv2Client({
    endpoint: `http://${service.listening.api}`,
    region: 'us-east-1',
    credentials: { accessKeyId: KEY.id, secretAccessKey: KEY.secret },
    maxAttempts: 1,
  });
  try {
    await client.send(new sdk.CreateEmailIdentityCommand({ EmailIdentity: 'example.com' }));
    await client.send(new sdk.CreateContactListCommand({ ContactListName: 'news' }));
    const calls = Object.entries(callsOf(client));
    // Making a key of 2,048 bits takes a processor longer than the rest together: asked for rarely, as it is.
    const makesKey = calls.at(-1)!;
    const others = calls.slice(0, -1);
    const times: { operation: string; took: number }[] = [];
    const running: Promise<void>[] = [];
    const start = performance.now();
    let endLoop = followLoop();
    for (let n = 0; n < RATE * SECONDS; n += 1) {
      // The first second warms code and connections up.
      if (n === RATE) {
        endLoop();
        endLoop = followLoop();
      }
      const due = start + (n * 1000) / RATE;
      await new Promise((resolve) => setTimeout(resolve, Math.max(0, due - performance.now())));
      const [operation, call] = n % MAKES_KEY === MAKES_KEY - 1 ? makesKey : others[n % others.length]!;
      running.push(
        call(n).then(() => {
          // From the time at which it was due: a service that falls behind must show.
          times.push({ operation, took: performance.now() - due });
        }),
      );
    }
    await Promise.all(running);
    const loop = endLoop();
    const counted = times.slice(RATE);
    const each = [...Map.groupBy(counted, ({ operation }) => operation)].map(([operation, its]) => {
      const { p50, p99, calls: count } = figuresOf(its);
      return { operation, calls: count, 'p50, ms': p50.toFixed(1), 'p99, ms': p99.toFixed(1) };
    });
    return {
      // What computes a key is not held against what does not.
      all: figuresOf(counted.filter(({ operation }) => operation !== makesKey[0])),
      each,
      loop,
    };
  } finally {
    client.destroy();
    await service.stop();
    await site.close();
  }
}

const [declared, undeclared] = [await verification(true), await verification(false)];
process.stdout.write(
  `SigV4 of a 4 KB body, processor time: ${declared.toFixed(1)} µs with its hash declared, ${undeclared.toFixed(1)} µs without (limit ${SIGV4_LIMIT} µs)\n`,
);
const {
  all: { p50, p99, calls },
  each,
  loop,
} = await controlPlane();
process.stdout.write(
  `${table(each)}\n\n${calls} control-plane calls at ${RATE}/s, client and service in one process: p50 ${p50.toFixed(1)} ms, p99 ${p99.toFixed(1)} ms (limit ${LIMIT} ms)\n` +
    `longest time between two turns of the event loop: ${loop.longest.toFixed(0)} ms; processor time of its thread in one: ${loop.own.toFixed(0)} ms\n`,
);
if (declared > SIGV4_LIMIT || undeclared > SIGV4_LIMIT || p99 > LIMIT) process.exitCode = 1;
