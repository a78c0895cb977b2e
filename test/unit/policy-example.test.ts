/** The example policy of the README in lib/policy: it compiles with the project, and does what its comments describe. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { silentLog } from '../../lib/log.ts';
import { openPolicy, type Policy } from '../../lib/policy/open.ts';
import type { AcceptFacts, ReplyFacts, RouteFacts } from '../../lib/policy/policy.ts';
import { systemClock } from '../../lib/time.ts';

const ROOT = join(import.meta.dirname, '..', '..');
const run = promisify(execFile);

/** A folder with the layout that the policy expects. */
let folder: string;
let policy: Policy;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'postern-example-'));
  for (const name of ['lib', 'node_modules', 'package.json'])
    await symlink(join(ROOT, name), join(folder, name));
  const readme = await readFile(join(ROOT, 'lib/policy/README.md'), 'utf8');
  const file = join(folder, 'postern.policy.ts');
  await writeFile(file, /```ts\n(.*?)```/s.exec(readme)![1]!);
  policy = await openPolicy({ file, clock: systemClock, log: silentLog });
});
after(async () => {
  await policy.close();
  await rm(folder, { recursive: true });
});

const route: RouteFacts = {
  tenant: 'acme',
  class: 'bulk',
  domain: 'post.example',
  provider: 'other',
  site: 'mx.post.example',
  pool: 'default',
};
const message: AcceptFacts = {
  door: 'smtp',
  keyId: 'AKIA',
  tenant: 'acme',
  from: 'a@example.com',
  recipients: ['b@example.net'],
  subject: 'Our newsletter',
  class: 'transactional',
  pool: 'default',
  tags: {},
};
const reply: ReplyFacts = { ...route, mx: 'mx', phase: 'rcpt', code: 452, text: '452 Later', attempts: 1 };

async function compile(text?: string): Promise<void> {
  if (text !== undefined) await writeFile(join(folder, 'postern.policy.ts'), text);
  const project = join(folder, 'tsconfig.json');
  const config = { extends: join(ROOT, 'tsconfig.json'), include: ['postern.policy.ts'] };
  await writeFile(project, JSON.stringify(config));
  await run(join(ROOT, 'node_modules/.bin/tsc'), ['--project', project]);
}

test('its hooks do what their comments describe', async () => {
  const trial = {
    ...message,
    tenant: 'trial',
    recipients: Array.from({ length: 6 }, (_, i) => `u${i}@x.test`),
  };
  assert.match(((await policy.ask('onAccept', trial)) as { refuse: string }).refuse, /five recipients/);
  const { class: messageClass } = (await policy.ask('onAccept', message)) as { class?: string };
  assert.equal(messageClass, 'bulk');
  assert.equal(await policy.ask('onAccept', { ...message, subject: undefined }), undefined);
  assert.deepEqual(await policy.ask('onRoute', route), { pool: 'careful' });
  assert.equal(await policy.ask('onRoute', { ...route, domain: 'post.test' }), undefined);
  assert.equal(await policy.ask('onShape', route), undefined);
  const orange = await policy.ask('onShape', { ...route, provider: 'orange' });
  assert.ok(orange === undefined || orange.messagesPerSecond === 2);
  const full = { ...reply, enhanced: '4.2.2' };
  assert.equal((await policy.ask('onReply', full))?.retryAfterSeconds, 21_600);
  assert.equal((await policy.ask('onReply', { ...full, attempts: 9 }))?.state, 'bounced');
  const listed = await policy.ask('onReply', { ...reply, text: '550 You are on our blocklist' });
  assert.deepEqual(listed?.directive?.scope, ['ip', 'provider']);
  for (const { failures, overruns } of policy.state().hooks) assert.equal(failures + overruns, 0);
});

test('the example compiles, and an invalid policy does not', async () => {
  await compile();
  await assert.rejects(
    compile(`import { definePolicy } from './lib/policy/policy.ts';
export default definePolicy({ onRoute: (mail) => ({ pool: mail.recipient }) });`),
    { stdout: /postern\.policy\.ts\(2,\d+\): error TS2339/ },
  );
});
