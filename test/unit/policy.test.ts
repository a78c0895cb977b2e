import assert from 'node:assert/strict';
import { EventEmitter, once } from 'node:events';
import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, test } from 'node:test';
import { readAnswer } from '../../lib/policy/answers.ts';
import { openPolicy, type Policy, type PolicyOptions } from '../../lib/policy/open.ts';
import { type AcceptFacts, definePolicy, type ReplyFacts, type RouteFacts } from '../../lib/policy/policy.ts';
import { systemClock } from '../../lib/time.ts';
import { failure } from '../support/control.ts';
import { policySource as source } from '../support/policy.ts';

const route: RouteFacts = {
  tenant: 'acme',
  class: 'bulk',
  domain: 'example.net',
  provider: 'google',
  site: 'mx.example.net',
  pool: 'default',
};
const message: AcceptFacts = {
  door: 'postern',
  keyId: 'AKIAUSER',
  tenant: 'acme',
  from: 'a@example.com',
  recipients: ['b@example.net'],
  subject: 'Hello',
  class: 'transactional',
  pool: 'default',
  tags: { campaign: ['spring'] },
};
const reply: ReplyFacts = {
  ...route,
  mx: 'mx.example.net',
  phase: 'rcpt',
  code: 452,
  text: '4.2.2 Quota',
  attempts: 1,
};

/** A policy in a folder of its own, and its log. */
class Bench {
  readonly log = new EventEmitter();
  readonly #closers: (() => Promise<unknown>)[] = [];
  directory = '';

  get file(): string {
    return join(this.directory, 'postern.policy.ts');
  }

  async save(hooks: string): Promise<void> {
    await writeFile(this.file, source(hooks));
  }

  /** Saves the policy and waits until it is loaded or refused, as expected; otherwise the test fails. */
  async resave(text: string, expected: 'loaded' | 'refused'): Promise<void> {
    const judged = Promise.race(
      ['loaded', 'refused'].map((event) => once(this.log, `policy.${event}`).then(() => event)),
    );
    await writeFile(this.file, text);
    assert.equal(await judged, expected);
  }

  async open(
    hooks?: string,
    limits: PolicyOptions['limits'] = {},
    meter?: PolicyOptions['meter'],
  ): Promise<Policy> {
    this.directory = await mkdtemp(join(tmpdir(), 'postern-policy-'));
    this.#closers.push(() => rm(this.directory, { recursive: true }));
    if (hooks !== undefined) await this.save(hooks);
    const note = (event: string, fields?: object) => void this.log.emit(event, fields);
    const log = { info: note, warn: note, error: note };
    const policy = await openPolicy({
      file: this.file,
      clock: systemClock,
      log,
      limits: { stall: 100, ...limits },
      meter,
    });
    this.#closers.push(() => policy.close());
    return policy;
  }

  async close(): Promise<void> {
    for (const close of this.#closers.splice(0).reverse()) await close();
  }
}

let bench = new Bench();
afterEach(async () => {
  await bench.close();
  bench = new Bench();
});

describe('a policy', () => {
  test('returns the answers of its hooks to plain frozen facts', async () => {
    const policy = await bench.open(`
      onAccept: (m) => m.tags.campaign?.includes('spring') ? { class: 'bulk', pool: 'news', delaySeconds: 60 } : { refuse: 'No.' },
      onRoute: (m) => m.provider === 'google' ? { pool: 'careful' } : undefined,
      onShape(m) { (m as { pool: string }).pool = 'x'; return undefined },
      onReply: (r) => ({ retryAfterSeconds: 600, directive: { scope: ['ip', 'site'], action: { kind: 'suspend' }, seconds: 60, reason: r.text } }),
    `);
    const kept = { class: 'bulk', pool: 'news', campaign: undefined, delaySeconds: 60 };
    assert.deepEqual(await policy.ask('onAccept', message), kept);
    assert.deepEqual(await policy.ask('onAccept', { ...message, tags: {} }), { refuse: 'No.' });
    assert.deepEqual(await policy.ask('onRoute', route), { pool: 'careful' });
    assert.equal((await policy.ask('onReply', reply))?.directive?.reason, '4.2.2 Quota');
    assert.equal(await policy.ask('onShape', route), undefined);
    const shape = policy.state().hooks.find((hook) => hook.name === 'onShape');
    assert.match(shape!.lastFailure!.message, /read only property 'pool'.*\(line \d+\)/);
  });

  test('that does not exist answers at once', async () => {
    const policy = await bench.open();
    assert.equal(policy.ask('onRoute', route), undefined);
    assert.deepEqual(policy.state(), {
      file: bench.file,
      loadedAt: undefined,
      loads: 0,
      refused: undefined,
      disabled: undefined,
      restarts: 0,
      skipped: 0,
      hooks: [],
    });
    await bench.resave(source(`onRoute: () => ({ pool: 'b' })`), 'loaded');
    assert.deepEqual(await policy.ask('onRoute', route), { pool: 'b' });
    assert.equal(policy.ask('onAccept', message), undefined, 'a hook that it does not have');
  });

  test('is called once for equal facts, and then answers from the cache', async () => {
    const policy = await bench.open(`onRoute: (m) => ({ pool: 'for-' + m.tenant })`);
    const first = [policy.ask('onRoute', route), policy.ask('onRoute', { ...route })];
    assert.ok(first.every((one) => one instanceof Promise));
    assert.deepEqual(await Promise.all(first), [{ pool: 'for-acme' }, { pool: 'for-acme' }]);
    assert.deepEqual(policy.ask('onRoute', { ...route }), { pool: 'for-acme' });
    assert.ok(policy.ask('onRoute', { ...route, tenant: 'b' }) instanceof Promise);
    const [state] = policy.state().hooks;
    assert.deepEqual([state!.calls, state!.reused], [1, 1]);
  });

  test('refreshes an answer in time, while the cached one serves', async () => {
    const policy = await bench.open(`onRoute: (() => { let n = 0; return () => ({ pool: 'p' + ++n }) })()`, {
      reuse: 0,
    });
    assert.deepEqual(await policy.ask('onRoute', route), { pool: 'p1' });
    assert.deepEqual(policy.ask('onRoute', route), { pool: 'p1' });
    await policy.ask('onRoute', { ...route, tenant: 'b' });
    assert.deepEqual(policy.ask('onRoute', route), { pool: 'p2' });
  });

  test('may import, and is plain TypeScript', async () => {
    bench.directory = await mkdtemp(join(tmpdir(), 'postern-policy-'));
    const policy = await bench.open();
    await writeFile(join(bench.directory, 'pools.ts'), `export const pool: string = 'imported';`);
    await bench.resave(
      `import { pool } from './pools.ts';\n${source('onRoute: () => ({ pool })')}`,
      'loaded',
    );
    assert.deepEqual(await policy.ask('onRoute', route), { pool: 'imported' });
  });
});

describe('a file that is saved', () => {
  test('replaces the running policy, also when an editor renames it there', async () => {
    const policy = await bench.open(`onRoute: () => ({ pool: 'old' })`);
    assert.deepEqual(await policy.ask('onRoute', route), { pool: 'old' });
    await bench.resave(source(`onRoute: () => ({ pool: 'new' })`), 'loaded');
    assert.deepEqual(await policy.ask('onRoute', route), { pool: 'new' });
    const renamed = once(bench.log, 'policy.loaded');
    await writeFile(`${bench.file}~`, source(`onRoute: () => ({ pool: 'newer' })`));
    await rename(`${bench.file}~`, bench.file);
    await renamed;
    assert.deepEqual(await policy.ask('onRoute', route), { pool: 'newer' });
    assert.equal(policy.state().loads, 3);
  });

  const bad: [what: string, text: string, reason: RegExp][] = [
    ['does not compile', `export default {\n onRoute: ( => 1 };`, /\S/],
    ['has TypeScript that must be compiled', `enum A { B }\nexport default {};`, /enum/],
    ['throws', `throw new Error('No database');`, /^No database \(line 1\)$/],
    ['exports nothing', `export const x = 1;`, /^default: is no policy/],
    [
      'has an unknown hook',
      source('onAcept: () => undefined'),
      /^default\.onAcept: is unknown; the hooks are onAccept/,
    ],
    ['has a hook that is none', source('onRoute: 7 as never'), /^default\.onRoute: is not a function/],
    ['imports what is not there', `import './nothing.ts';\n${source('')}`, /nothing\.ts/],
    ['ends its thread', `process.exit(0);`, /^It ended its thread/],
  ];
  for (const [what, text, reason] of bad) {
    test(`and ${what} leaves the old one running`, async () => {
      const policy = await bench.open(`onRoute: () => ({ pool: 'old' })`);
      await bench.resave(text, 'refused');
      assert.match(policy.state().refused!.message, reason);
      assert.deepEqual(await policy.ask('onRoute', route), { pool: 'old' });
    });
  }

  test('and never finishes loading leaves it running too', async () => {
    const policy = await bench.open(`onRoute: () => ({ pool: 'old' })`, { loading: 2_000 });
    await bench.resave('for (;;);', 'refused');
    assert.match(policy.state().refused!.message, /^It did not load within 2000 ms/);
    assert.deepEqual(await policy.ask('onRoute', route), { pool: 'old' });
  });

  test('and is then removed leaves it running too', async () => {
    const policy = await bench.open(`onRoute: () => ({ pool: 'old' })`);
    const gone = once(bench.log, 'policy.refused');
    await rm(bench.file);
    await gone;
    assert.equal(policy.state().refused?.message, 'The file is gone.');
    assert.deepEqual(await policy.ask('onRoute', route), { pool: 'old' });
    await bench.resave(source(`onRoute: () => ({ pool: 'new' })`), 'loaded');
    assert.equal(policy.state().refused, undefined);
  });

  test('fails the start when it is invalid from the beginning', async () => {
    await assert.rejects(
      bench.open('onAcept: () => undefined'),
      failure('bad_request', /policy\.ts: default\.onAcept: is unknown/),
    );
    const file = join(bench.directory, 'nowhere', 'postern.policy.ts');
    const log = { info() {}, warn() {}, error() {} };
    await assert.rejects(
      openPolicy({ file, clock: systemClock, log }),
      failure('bad_request', /cannot be watched/),
    );
  });
});

describe('a hook that', () => {
  const others = `onRoute: () => ({ pool: 'b' })`;

  test('throws, or returns an invalid answer, gives the default and is counted', async () => {
    const policy = await bench.open(`
      onReply: (r) => { if (r.code === 1) throw new Error('Broken'); if (r.code === 2) throw null; return (r.code === 3 ? { retryAfterSeconds: 'soon' } : Promise.resolve({})) as never },
      ${others}`);
    const reports: unknown[] = [];
    bench.log.on('policy.failed', (fields) => reports.push(fields));
    for (const [code, reason] of [
      [1, /^Broken \(line \d+\)$/],
      [2, /^threw null$/],
      [3, /^onReply\.retryAfterSeconds: "soon" is not a number/],
      [4, /^onReply: answered a promise/],
    ] as const) {
      assert.equal(await policy.ask('onReply', { ...reply, code }), undefined);
      assert.match(policy.state().hooks[0]!.lastFailure!.message, reason);
    }
    const [state] = policy.state().hooks;
    assert.deepEqual([state!.calls, state!.failures, state!.disabled, reports.length], [4, 4, undefined, 1]);
    assert.deepEqual(await policy.ask('onRoute', route), { pool: 'b' });
  });

  test('never ends is stopped, and the others are answered; after three times it is off', async () => {
    const policy = await bench.open(
      `onReply: (r) => { while (r.code === 1); return { retryAfterSeconds: 7 } }, ${others}`,
    );
    for (let n = 1; n <= 3; n += 1) {
      const stuck = policy.ask('onReply', { ...reply, code: 1 });
      const behind = policy.ask('onRoute', { ...route, domain: `d${n}` });
      assert.equal(await stuck, undefined);
      assert.deepEqual(await behind, { pool: 'b' }, 'a call behind it is answered by the next thread');
      assert.equal(policy.state().restarts, n);
    }
    const [state] = policy.state().hooks;
    assert.match(state!.disabled!, /did not end within 100 ms/);
    assert.equal(policy.ask('onReply', reply), undefined, 'at once');
    assert.deepEqual(await policy.ask('onRoute', route), { pool: 'b' });
    await bench.resave(source(`onReply: () => ({ retryAfterSeconds: 8 })`), 'loaded');
    assert.deepEqual((await policy.ask('onReply', reply))?.retryAfterSeconds, 8);
  });

  test('exceeds its time is counted, and its answer is dropped', async () => {
    const policy = await bench.open(
      `onRoute: () => { const end = Date.now() + 30; while (Date.now() < end); return { pool: 'b' } }`,
      {
        budget: 1,
        stall: 10_000,
        reuse: 0,
      },
    );
    for (let n = 1; n <= 3; n += 1)
      assert.equal(await policy.ask('onRoute', { ...route, domain: `d${n}` }), undefined);
    const [state] = policy.state().hooks;
    assert.equal(state!.overruns, 3);
    assert.match(state!.disabled!, /it may take 1 ms/);
    assert.equal(policy.state().restarts, 0);
  });

  test('uses all memory ends its own thread and nothing else', async () => {
    const policy = await bench.open(
      `onReply: () => { const all: string[][] = []; for (;;) all.push(new Array(100_000).fill('x')) }, ${others}`,
      {
        memory: 32,
        stall: 10_000,
      },
    );
    assert.equal(await policy.ask('onReply', reply), undefined);
    assert.match(policy.state().hooks[0]!.lastFailure!.message, /memory/);
    assert.deepEqual(await policy.ask('onRoute', route), { pool: 'b' });
  });

  test('ends the process ends its own thread only', async () => {
    const policy = await bench.open(`onReply: () => process.exit(1), ${others}`);
    assert.equal(await policy.ask('onReply', reply), undefined);
    assert.deepEqual(await policy.ask('onRoute', route), { pool: 'b' });
  });

  test('runs while a bad file is saved is started again as it was', async () => {
    const policy = await bench.open(`onReply: () => process.exit(1), ${others}`);
    await bench.resave('not a policy', 'refused');
    assert.equal(await policy.ask('onReply', reply), undefined);
    assert.deepEqual(await policy.ask('onRoute', route), { pool: 'b' });
  });
});

test('a policy that fails repeatedly outside of its hooks is switched off', async () => {
  const policy = await bench.open(`
    onReply: () => { setImmediate(() => { throw new Error('Later') }); return undefined },
    onRoute: () => ({ pool: 'b' })`);
  do await policy.ask('onReply', reply);
  while (policy.state().disabled === undefined);
  assert.match(policy.state().disabled!, /Later/);
  assert.equal(policy.ask('onRoute', route), undefined);
  await bench.resave(source(`onRoute: () => ({ pool: 'c' })`), 'loaded');
  assert.deepEqual(await policy.ask('onRoute', route), { pool: 'c' });
});

test('an answer is awaited for the patience, and then mail goes on without it', async () => {
  const skipped: string[] = [];
  const meter = {
    called() {},
    trouble: (hook: string, kind: string) => void skipped.push(`${hook} ${kind}`),
  };
  const policy = await bench.open(
    `onReply: (r) => { const end = Date.now() + 100; while (Date.now() < end); return { retryAfterSeconds: r.code } }`,
    { patience: 1, budget: 10_000, stall: 10_000 },
    meter,
  );
  assert.equal(await policy.ask('onReply', reply), undefined);
  assert.equal(policy.state().skipped, 1);
  assert.deepEqual(skipped, ['onReply skipped']);
});

test('a deployed policy is loaded once, and mail goes on without it when that fails', async () => {
  const note = (event: string, fields?: object) => void bench.log.emit(event, fields);
  const options = { clock: systemClock, log: { info: note, warn: note, error: note }, deployed: true };
  await bench.open(`onRoute: () => ({ pool: 'b' })`);
  const good = await openPolicy({ ...options, file: bench.file });
  assert.deepEqual(await good.ask('onRoute', route), { pool: 'b' });
  await good.close();
  const refused = once(bench.log, 'policy.refused');
  const absent = await openPolicy({ ...options, file: `${bench.file}.mjs` });
  await refused;
  assert.equal(absent.has('onRoute'), false);
  assert.equal(absent.state().refused!.message, 'The file is gone.');
  await absent.close();
});

test('calls beyond the length of the queue are not made', async () => {
  const policy = await bench.open(`onReply: () => ({ retryAfterSeconds: 1 })`, { waiting: 10 });
  const answers = await Promise.all(Array.from({ length: 12 }, async () => policy.ask('onReply', reply)));
  assert.equal(answers.filter((one) => one === undefined).length, 2);
  assert.equal(policy.state().skipped, 2);
});

test('calls that wait when the policy closes end without an answer', async () => {
  const policy = await bench.open(`onReply: () => { for (;;); }`);
  const waits = policy.ask('onReply', reply);
  await policy.close();
  assert.equal(await waits, undefined);
});

describe('an answer', () => {
  const bad: [Parameters<typeof readAnswer>[0], unknown, RegExp][] = [
    ['onAccept', { refuse: 'x', pool: 'b' }, /^onAccept\.pool: is unknown/],
    ['onAccept', { refuse: '' }, /^onAccept\.refuse: /],
    ['onAccept', { class: 'fast' }, /^onAccept\.class: /],
    ['onAccept', { delaySeconds: -1 }, /^onAccept\.delaySeconds: /],
    ['onAccept', true, /^onAccept: /],
    ['onRoute', {}, /^onRoute\.pool: /],
    ['onRoute', { pool: 'a b' }, /^onRoute\.pool: /],
    ['onRoute', { pool: 'a', ip: '192.0.2.1' }, /^onRoute\.ip: is unknown/],
    ['onShape', { connections: 0 }, /^onShape\.connections: /],
    ['onShape', {}, /^onShape: sets no limit/],
    ['onReply', { state: 'delivered' }, /^onReply\.state: /],
    ['onReply', { state: 'bounced', retryAfterSeconds: 1 }, /contradicts/],
    [
      'onReply',
      { directive: { scope: [], action: { kind: 'suspend' }, seconds: 1, reason: 'x' } },
      /^onReply\.directive\.scope: is empty/,
    ],
    [
      'onReply',
      { directive: { scope: ['mx'], action: { kind: 'suspend' }, seconds: 1, reason: 'x' } },
      /^onReply\.directive\.scope\[0\]: /,
    ],
  ];
  for (const [hook, value, reason] of bad) {
    test(`of ${hook} may not be ${JSON.stringify(value)}`, () => {
      assert.throws(() => readAnswer(hook, value), failure('bad_request', reason));
    });
  }

  test('is absent where there is no hook', () => {
    assert.deepEqual([readAnswer('onRoute', undefined), readAnswer('onRoute', null)], [undefined, undefined]);
    const hooks = { onRoute: () => undefined };
    assert.equal(definePolicy(hooks), hooks);
  });
});
