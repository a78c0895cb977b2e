/**
 * The cost of shaping for one delivery: finding its limits and streams, waiting in the ready queue, passing its limiters,
 * ending, and what is learnt from the result; with and without limits of its own, directives and a policy.
 *
 *     node bench/shaping.ts [deliveries]
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { DirectiveIndex } from '../lib/directives/index.ts';
import { EgressPolicy } from '../lib/egress/policy.ts';
import type { QueueItem } from '../lib/engine/items.ts';
import { silentLog } from '../lib/log.ts';
import { type Hooks, openPolicy } from '../lib/policy/open.ts';
import { Router } from '../lib/routing/router.ts';
import { learn } from '../lib/shaping/feedback/learn.ts';
import { LimitBook } from '../lib/shaping/limits/book.ts';
import type { LimitDocument } from '../lib/shaping/limits/document.ts';
import { limitTable } from '../lib/shaping/limits/table.ts';
import type { Mail, MailBounds, PathKey } from '../lib/shaping/limits/terms.ts';
import { PathLimiter } from '../lib/shaping/path-limiter.ts';
import { type Queued, ReadyQueue } from '../lib/shaping/ready-queue.ts';
import type { StreamLimiter } from '../lib/shaping/stream-limiter.ts';
import { systemClock } from '../lib/time.ts';
import { table } from './support/machine.ts';

class Item implements Queued<Item>, Mail {
  next: Item | undefined = undefined;
  stream: StreamLimiter | undefined = undefined;
  readonly bulk = true;
  readonly class = 'bulk';
  readonly domain: string;
  readonly tenant: string;
  readonly campaign = undefined;
  readonly pool = 'default';
  readonly item = {} as QueueItem;

  constructor(domain: string, tenant: string) {
    this.domain = domain;
    this.tenant = tenant;
  }
}

const count = Number(parseArgs({ allowPositionals: true }).positionals[0] ?? 500_000);
const BATCH = 200;
const ips = ['192.0.2.1', '192.0.2.2', '192.0.2.3', '192.0.2.4'];
const accepted = { kind: 'accepted', reply: { code: 250, lines: ['OK'] } } as const;

/** CPU time of one delivery, µs. */
async function measure(document: LimitDocument, directives: number, hooks?: Hooks): Promise<number> {
  const policy = hooks && new EgressPolicy(hooks, () => undefined);
  const book = new LimitBook(limitTable(document));
  const index = new DirectiveIndex();
  for (let i = 0; i < directives; i += 1) {
    index.set({
      id: `d${i}`,
      match: { ip: ips[i % 4], site: `mx${i}.example` },
      action: { kind: 'suspend' },
      reason: 'bench',
      origin: { operator: 'bench' },
    });
  }
  const states = { usable: () => true, wait: () => 0, warming: () => false, load: () => 0 };
  const router = new Router({ pools: new Map(), splits: new Map() }, states, ips);
  const pools = new Map<string, { limiter: PathLimiter; queue: ReadyQueue<Item>; place: PathKey }>();
  let now = Date.now();
  const run = async (deliveries: number): Promise<void> => {
    for (let done = 0; done < deliveries; done += BATCH) {
      const answers: Promise<unknown>[] = [];
      for (let i = 0; i < BATCH; i += 1) {
        const item = new Item(`d${i % 100}.example`, `tenant-${i % 50}`);
        const site = `mx${i % 20}.example`;
        if (directives > 0) {
          index.match(
            { tenant: item.tenant, domain: item.domain, provider: 'other', site, pool: 'default' },
            now,
          );
        }
        if (policy?.routes) {
          const route = policy.route(item, { name: site, provider: 'other' });
          if (route instanceof Promise) answers.push(route);
        }
        const reach = (ip: string): boolean =>
          directives === 0 ||
          index.match(
            { tenant: item.tenant, domain: item.domain, provider: 'other', site, pool: 'default', ip },
            now,
          ).action === 'none';
        const choice = router.choose('default', item.tenant, 'other', now, reach);
        if (choice.kind !== 'ip') continue;
        const place = { provider: 'other', site, routed: true, ip: choice.ip, pool: 'default' };
        const key = `${choice.ip}|${site}`;
        let pool = pools.get(key);
        if (pool === undefined)
          pools.set(key, (pool = { limiter: new PathLimiter(), queue: new ReadyQueue(), place }));
        let bounds: MailBounds | undefined;
        if (policy?.shapes) {
          const found = policy.bounds(item, { name: site, provider: 'other' }, choice, 'default');
          if (found instanceof Promise) answers.push(found);
          else bounds = found;
        }
        const { mailLimits } = book.at(place).of(item, bounds);
        item.stream = mailLimits && pool.limiter.stream(mailLimits, () => ({ buckets: [], permits: [] }));
        pool.queue.push(item);
      }
      for (const { limiter, queue, place } of pools.values()) {
        const { own } = book.at(place);
        for (;;) {
          if (queue.size === 0 || limiter.messageWait(now, own) > 0) break;
          const item = queue.take(now, 0.1);
          if (item === undefined) break;
          limiter.messageStarted(now, own);
          item.stream?.started(now);
          limiter.running -= 1;
          item.stream?.ended(now);
          learn(limiter, own.limits, accepted, now, now);
        }
      }
      now += 1000;
      if (answers.length > 0) await Promise.all(answers);
    }
  };
  await run(count / 5);
  const before = process.cpuUsage();
  await run(count);
  const { user, system } = process.cpuUsage(before);
  return (user + system) / count;
}

const plain: LimitDocument = {};
const particular: LimitDocument = {
  default: {
    for: [
      { tenant: '*', messageRate: '10000/s', concurrency: 1000 },
      { class: 'bulk', messageRate: '100000/s' },
    ],
  },
};
const folder = await mkdtemp(join(tmpdir(), 'postern-bench-'));
const open = (name: string) => openPolicy({ file: join(folder, name), clock: systemClock, log: silentLog });
await writeFile(
  join(folder, 'policy.ts'),
  `export default { onRoute: (m) => ({ pool: m.pool }), onShape: () => ({ messagesPerSecond: 100000 }) };`,
);
const none = await open('none.ts');
const both = await open('policy.ts');

const rows: [limits: string, document: LimitDocument, directives: number, policy: string, hooks?: Hooks][] = [
  ['built-in', plain, 0, 'none'],
  ['built-in', plain, 0, 'no file', none],
  ['built-in', plain, 0, 'onRoute, onShape', both],
  ['built-in', plain, 5000, 'none'],
  ['each tenant and class', particular, 0, 'none'],
  ['each tenant and class', particular, 5000, 'none'],
];
const measured = [];
for (const [limits, document, directives, policy, hooks] of rows) {
  const cost = await measure(document, directives, hooks);
  measured.push({ limits, directives, policy, 'µs a delivery': cost.toFixed(2) });
}
process.stdout.write(`${table(measured)}\n`);
await Promise.all([none.close(), both.close()]);
await rm(folder, { recursive: true });
