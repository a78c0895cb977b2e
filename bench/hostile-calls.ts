/**
 * Small calls with a large cost: the memory that each may take, and how long it delays other calls.
 *
 *     node bench/hostile-calls.ts
 *
 * Each call goes to a process of its own. Memory is the peak resident size above the one before the call; the wait is
 * the longest response time of `/healthz`, called every 20 ms meanwhile.
 */
import { residentMb, table } from './support/machine.ts';
import { startPostern } from './support/postern.ts';

interface Call {
  name: string;
  path: string;
  body: unknown;
}

const filler = `${'z'.repeat(99)}\n`.repeat(100);
const recipients = (count: number) =>
  Array.from({ length: count }, (_, n) => ({ address: `u${n}@sink.example` }));

/** 9.6 MB for each recipient, out of a request of 12 KB and up. */
const expanding = (count: number): Call => ({
  name: `template of 9.6 MB, ${count} recipients`,
  path: '/v1/messages',
  body: {
    from: 'a@bench.example',
    template: { subject: 'x', text: '{{#each a}}{{#each ../a}}{{@root.f}}{{/each}}{{/each}}' },
    substitutions: { a: Array.from({ length: 31 }, () => 1), f: filler },
    recipients: recipients(count),
  },
});

const calls: Call[] = [
  ...[20, 150, 300].map(expanding),
  {
    name: '1,000 recipients of 115,600 steps',
    path: '/v1/messages',
    body: {
      from: 'a@bench.example',
      template: { subject: 'x', text: '{{#each a}}{{#each ../a}}{{/each}}{{/each}}' },
      substitutions: { a: Array.from({ length: 340 }, () => 1) },
      recipients: recipients(1_000),
    },
  },
  {
    name: 'SendBulkEmail, 20 MB attached, 20 entries',
    path: '/v2/email/outbound-bulk-emails',
    body: {
      FromEmailAddress: 'a@bench.example',
      DefaultContent: {
        Template: {
          TemplateContent: { Subject: 'x', Text: 'y' },
          TemplateData: '{}',
          Attachments: [{ FileName: 'a.bin', RawContent: Buffer.alloc(20 * 1024 * 1024).toString('base64') }],
        },
      },
      BulkEmailEntries: recipients(20).map(({ address }) => ({ Destination: { ToAddresses: [address] } })),
    },
  },
];

const rows: Record<string, string>[] = [];
for (const call of calls) {
  const postern = await startPostern({ routes: '*=127.0.0.1:9' });
  const { accessKeyId, secretAccessKey } = postern.credentials;
  const base = `http://127.0.0.1:${postern.api.port}`;
  const before = residentMb(postern.pid);
  let peak = before;
  let longest = 0;
  let done = false;
  const watch = (async () => {
    while (!done) {
      const from = performance.now();
      await (await fetch(`${base}/healthz`)).text();
      longest = Math.max(longest, performance.now() - from);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  })();
  const sizes = setInterval(() => {
    peak = Math.max(peak, residentMb(postern.pid));
  }, 10);
  let answer: string;
  const started = performance.now();
  if (call.path.startsWith('/v1')) {
    const response = await fetch(`${base}${call.path}`, {
      method: 'POST',
      headers: {
        authorization: `Bearer ${accessKeyId}.${secretAccessKey}`,
        'content-type': 'application/json',
      },
      body: JSON.stringify(call.body),
    });
    answer = `${response.status} ${(await response.text()).slice(0, 90)}`;
  } else {
    answer = await postern.call(call.path, call.body).then(
      (value) => JSON.stringify(value).slice(0, 90),
      (error: Error) => error.message.slice(0, 130),
    );
  }
  const took = performance.now() - started;
  done = true;
  await watch;
  clearInterval(sizes);
  rows.push({
    call: call.name,
    memory: `+${Math.round(peak - before)} MB`,
    'longest wait of others': `${Math.round(longest)} ms`,
    'answered after': `${Math.round(took)} ms`,
    answer,
  });
  await postern.dispose();
}
console.log(table(rows));
