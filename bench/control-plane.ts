/**
 * `npm run bench:control-plane`: what a call that configures costs. SigV4 of a body of 4 KB, verified as the API does it;
 * then calls of many kinds at a steady rate against the whole service on one machine, every change synced to disk.
 */

import * as sdk from '@aws-sdk/client-sesv2';
import { createSigV4 } from '../lib/http/sigv4.ts';
import { sign } from '../test/support/signing.ts';
import { StandaloneSite } from '../test/support/standalone.ts';

const KEY = { id: 'AKIABENCHCONTROL0001', secret: 'bench/secret+0123456789abcdef' };
/** Calls a second, and for how long, s. */
const RATE = 100;
const SECONDS = 20;
/** Figures to reach: ms, µs. */
const LIMIT = 20;
const SIGV4_LIMIT = 60;
const ROUNDS = 20_000;

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

/** The kinds of calls, in turn: half of them change something. */
function callsOf(client: sdk.SESv2Client): readonly Call[] {
  const TemplateContent = { Subject: 'Hello {{name}}', Text: 'Hello {{name}}' };
  const address = (n: number) => `user${n}@example.net`;
  return [
    (n) => client.send(new sdk.CreateEmailTemplateCommand({ TemplateName: `t${n}`, TemplateContent })),
    (n) => client.send(new sdk.GetEmailTemplateCommand({ TemplateName: `t${n - 1}` })).catch(() => undefined),
    (n) =>
      client.send(new sdk.PutSuppressedDestinationCommand({ EmailAddress: address(n), Reason: 'BOUNCE' })),
    () => client.send(new sdk.GetAccountCommand({})),
    (n) => client.send(new sdk.CreateConfigurationSetCommand({ ConfigurationSetName: `s${n}` })),
    () => client.send(new sdk.ListEmailIdentitiesCommand({ PageSize: 100 })),
    (n) => client.send(new sdk.CreateContactCommand({ ContactListName: 'news', EmailAddress: address(n) })),
    () => client.send(new sdk.ListEmailTemplatesCommand({ PageSize: 100 })),
    (n) =>
      client.send(
        new sdk.TagResourceCommand({
          ResourceArn: 'arn:aws:ses:us-east-1:000000000000:identity/example.com',
          Tags: [{ Key: `k${n % 40}`, Value: String(n) }],
        }),
      ),
    () => client.send(new sdk.GetEmailIdentityCommand({ EmailIdentity: 'example.com' })),
  ];
}

async function controlPlane(): Promise<{ p50: number; p99: number; calls: number }> {
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
    const calls = callsOf(client);
    const times: number[] = [];
    const running: Promise<void>[] = [];
    const start = performance.now();
    for (let n = 0; n < RATE * SECONDS; n += 1) {
      const due = start + (n * 1000) / RATE;
      await new Promise((resolve) => setTimeout(resolve, Math.max(0, due - performance.now())));
      running.push(
        calls[n % calls.length]!(n).then(() => {
          // From the time at which it was due: a service that falls behind must show.
          times.push(performance.now() - due);
        }),
      );
    }
    await Promise.all(running);
    // The first second warms code and connections up.
    const sorted = times.slice(RATE).sort((a, b) => a - b);
    return {
      p50: sorted[sorted.length >> 1]!,
      p99: sorted[Math.floor(sorted.length * 0.99)]!,
      calls: sorted.length,
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
const { p50, p99, calls } = await controlPlane();
process.stdout.write(
  `${calls} control-plane calls at ${RATE}/s, client and service in one process: p50 ${p50.toFixed(1)} ms, p99 ${p99.toFixed(1)} ms (limit ${LIMIT} ms)\n`,
);
if (declared > SIGV4_LIMIT || undeclared > SIGV4_LIMIT || p99 > LIMIT) process.exitCode = 1;
