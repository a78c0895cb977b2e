/**
 * Decides in which lane a domain's mail waits. The well-known mailbox domains are data (lib/shaping/providers.ts).
 * For all others, accept would need DNS to find the provider; egress has looked it up and records it here. A
 * company's domain behind Google then waits among Google's mail, and not in front of all other mail.
 *
 * ```
 *  egress: another group than its lane's, often ─► once a minute ─► store ─► mirror ─► accept
 * ```
 * A learnt group is a hint: it decides where mail waits, never how it is shaped. So it may be lost, be late, or be
 * overwritten by another node that learnt at the same time; later mail teaches it again.
 */
import type { Config } from '../engine/ports.ts';
import { PosternError } from '../errors.ts';
import { hash } from '../routing/hash.ts';
import { type LaneGroup, laneGroup, type Provider, providerGroup } from '../shaping/providers.ts';
import type { Clock } from '../time.ts';
import { DocumentMirror } from './document-mirror.ts';

/** Domains whose group differs from the data's, the oldest entries first. */
type Learnt = Readonly<Record<string, LaneGroup>>;

export interface LaneGroups {
  /** The group in whose lane mail to a domain (lower case A-label) waits. */
  group(domain: string): LaneGroup;
  /** Records that mail to a domain goes to a provider. */
  found(domain: string, provider: Provider): void;
  /** Writes the recorded findings. */
  close(): Promise<void>;
}

const KIND = 'lane-group';
/** Number of documents that share the domains by hash: a change writes a few KB. */
const SHARDS = 16;
/** Maximum number of domains in a document; the oldest are dropped for new ones. */
const SHARD_MAX = 500;
/** Number of deliveries from which a domain is written. */
const WORTH = 16;
/** Maximum number of domains counted at one time. */
const COUNTED_MAX = 10_000;
/** Delay from a finding to its write, ms. */
const FLUSH = 60_000;

/** @throws PosternError of the storage group. */
export async function openLaneGroups({
  config,
  clock,
}: {
  config: Config;
  clock: Clock;
}): Promise<LaneGroups> {
  const mirror = new DocumentMirror<Learnt>(config, KIND, clock);
  const unwatch = mirror.watch();
  await mirror.load();
  /** How often a domain was found in another group than its lane's. */
  let counted = new Map<string, number>();
  /** Findings to be written. */
  const findings = new Map<string, LaneGroup>();
  let cancelFlush: (() => void) | undefined;

  const group = (domain: string): LaneGroup => {
    const learnt = mirror.get(shardOf(domain));
    return learnt && Object.hasOwn(learnt, domain) ? learnt[domain]! : laneGroup(domain);
  };

  async function write(shard: string, found: ReadonlyMap<string, LaneGroup>): Promise<void> {
    const update = (): Promise<Learnt | undefined> => mirror.update(shard, (learnt) => merge(learnt, found));
    if (await update()) return;
    try {
      await mirror.create(shard, merge({}, found), `Lane groups ${shard}`);
    } catch (error) {
      if (!(error instanceof PosternError) || error.code !== 'already_exists') throw error;
      await mirror.changed(shard);
      await update();
    }
  }

  async function flush(): Promise<void> {
    const shards = Map.groupBy(findings, ([domain]) => shardOf(domain));
    findings.clear();
    counted = new Map();
    for (const [shard, found] of shards) {
      try {
        await write(shard, new Map(found));
      } catch (error) {
        // A hint: one that cannot be written now is found again.
        if (!(error instanceof PosternError)) throw error;
      }
    }
    cancelFlush = undefined;
  }

  return {
    group,
    found(domain, provider) {
      const actual = providerGroup(provider);
      if (actual === group(domain)) return;
      const times = (counted.get(domain) ?? 0) + 1;
      if (times > 1 || counted.size < COUNTED_MAX) counted.set(domain, times);
      if (times < WORTH) return;
      findings.set(domain, actual);
      cancelFlush ??= clock.after(FLUSH, () => void flush());
    },
    async close() {
      unwatch();
      cancelFlush?.();
      await flush();
      mirror.close();
    },
  };
}

function merge(learnt: Learnt, found: ReadonlyMap<string, LaneGroup>): Learnt {
  const merged = new Map(Object.entries(learnt));
  for (const [domain, group] of found) {
    merged.delete(domain);
    if (group !== laneGroup(domain)) merged.set(domain, group);
  }
  return Object.fromEntries([...merged].slice(-SHARD_MAX));
}

function shardOf(domain: string): string {
  return String(hash(domain) % SHARDS);
}
