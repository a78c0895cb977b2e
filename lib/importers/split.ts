/**
 * `postern split`: how much of a pool's mail Postern sends itself while the former server still takes the rest, as a
 * smarthost. 5, 25, 100 percent and back are one order each.
 *
 * ```
 *  postern split 5 --relay old.example.com:25   pool default ── 95 % ─► pool default-relay ─► old.example.com:25
 *  postern split 25                                          └── 5 % ─► the MX hosts, from its own addresses
 *  postern split back                           everything by the relay
 * ```
 * A message keeps its way for all its attempts. With a way back, the service itself orders all mail back to the relay
 * when the mail that it sends fares badly (`lib/statistics/split-guard.ts`); a new order of a share ends that.
 */
import { GetDedicatedIpsCommand } from '@aws-sdk/client-sesv2';
import { DEFAULT_POOL, HOST_ADDRESS } from '../routing/pools.ts';
import { splitDirective } from '../statistics/split-guard.ts';
import { EXIT } from './import.ts';
import { ImportTarget, TargetError, type TargetOptions } from './target.ts';

export interface SplitOptions {
  /** Percent that Postern sends itself; `back`: none; `end`: all, and the split is taken away; absent: only shown. */
  readonly share?: number | 'back' | 'end';
  /** The former server, `host:port`; absent: that of before. */
  readonly relay?: string;
  /** Pool whose mail is split; `default` unless named. */
  readonly pool?: string;
  /** Tenants whose mail Postern always sends itself; absent: those of before. */
  readonly tenants?: readonly string[];
  /** Percent of bounces and of deferrals from which on all mail goes back; 100: never. */
  readonly bounces?: number;
  readonly deferrals?: number;
  /** Attempts below which a rate means nothing. */
  readonly volume?: number;
  readonly target: TargetOptions;
}

interface StoredSplit {
  from: string;
  to: { pool: string; percent?: number; ramp?: unknown }[];
  stays?: { tenants: string[] };
  wayBack?: { bounces?: number; deferrals?: number; volume?: number };
}

interface RoutingDraft {
  pools?: Record<string, { ips: unknown[]; smarthost?: string }>;
  splits?: StoredSplit[];
}

const USUAL = { bounces: 10, deferrals: 50, volume: 200 };

/** Orders or shows a split. @returns the exit code. */
export async function runSplit(
  options: SplitOptions,
  write: (line: string) => void,
  warn: (line: string) => void,
): Promise<number> {
  const target = new ImportTarget(options.target);
  try {
    return await order(options, target, write, warn);
  } catch (error) {
    if (!(error instanceof TargetError)) throw error;
    warn(error.message);
    return EXIT.failed;
  } finally {
    target.close();
  }
}

async function order(
  options: SplitOptions,
  target: ImportTarget,
  write: (line: string) => void,
  warn: (line: string) => void,
): Promise<number> {
  const { share, pool = DEFAULT_POOL } = options;
  const stored = await read<{ version: number; value?: RoutingDraft }>(target, '/config/routing/default');
  const routing = stored?.value ?? {};
  const before = routing.splits?.find(({ from }) => from === pool);
  if (share === undefined) {
    await show(target, pool, routing, write);
    return EXIT.well;
  }
  const name = before?.to[0]?.pool ?? `${pool}-relay`;
  const smarthost = options.relay ?? routing.pools?.[name]?.smarthost;
  if (smarthost === undefined) {
    warn(`There is no former server for pool ${pool} yet: name it, as --relay old.example.com:25.`);
    return EXIT.failed;
  }
  const ips = routing.pools?.[pool]?.ips ?? (await addresses(target));
  const pools = {
    ...routing.pools,
    [pool]: routing.pools?.[pool] ?? { ips },
    [name]: { ...routing.pools?.[name], ips, smarthost },
  };
  const splits = (routing.splits ?? []).filter(({ from }) => from !== pool);
  if (share !== 'end') splits.push(splitOf(options, pool, name, share === 'back' ? 0 : share, before));
  else delete (pools as Record<string, unknown>)[name];
  const headers = stored ? { 'if-match': `"${stored.version}"` } : undefined;
  const value = { ...routing, pools, splits };
  await target.call('PUT', '/config/routing/default', value, headers);
  // An earlier way back would outlive the new order.
  await ignoreMissing(target.call('DELETE', `/directives/${splitDirective(pool)}`));
  await show(target, pool, value, write);
  return EXIT.well;
}

function splitOf(
  options: SplitOptions,
  from: string,
  relay: string,
  share: number,
  before: StoredSplit | undefined,
): StoredSplit {
  const tenants = options.tenants ?? before?.stays?.tenants;
  const rate = (name: 'bounces' | 'deferrals'): number => {
    const percent = options[name];
    return percent === undefined ? (before?.wayBack?.[name] ?? USUAL[name] / 100) : percent / 100;
  };
  const wayBack = {
    bounces: rate('bounces'),
    deferrals: rate('deferrals'),
    volume: options.volume ?? before?.wayBack?.volume ?? USUAL.volume,
  };
  return {
    from,
    to: [{ pool: relay, percent: 100 - share }],
    ...(tenants?.length && { stays: { tenants: [...tenants] } }),
    ...((wayBack.bounces < 1 || wayBack.deferrals < 1) && { wayBack }),
  };
}

/** The addresses that are in no pool; the one that the host chooses where none are configured. */
async function addresses(target: ImportTarget): Promise<string[]> {
  const { DedicatedIps = [] } = await target.ses.send(new GetDedicatedIpsCommand({ PoolName: DEFAULT_POOL }));
  const ips = DedicatedIps.flatMap(({ Ip }) => (Ip ? [Ip] : []));
  return ips.length > 0 ? ips : [HOST_ADDRESS];
}

async function show(
  target: ImportTarget,
  pool: string,
  { pools, splits }: RoutingDraft,
  write: (line: string) => void,
): Promise<void> {
  const split = splits?.find(({ from }) => from === pool);
  if (split === undefined) return write(`Pool ${pool} is not split: Postern sends all of its mail itself.`);
  const [to] = split.to;
  const percent = to?.percent === undefined ? 'by its ramp' : `${to.percent} %`;
  write(
    `Pool ${pool}: ${to?.percent === undefined ? 'the rest' : `${100 - to.percent} %`} by Postern, ${percent} by ${pools?.[to?.pool ?? '']?.smarthost ?? to?.pool}.`,
  );
  if (split.stays) write(`Always by Postern: ${split.stays.tenants.join(', ')}.`);
  const { bounces = 1, deferrals = 1, volume } = split.wayBack ?? {};
  const bounds = [
    bounces < 1 && `${percentOf(bounces)} % bounces`,
    deferrals < 1 && `${percentOf(deferrals)} % deferrals`,
  ].filter(Boolean);
  write(
    bounds.length > 0
      ? `Way back: at ${bounds.join(' or ')} of ${volume ?? USUAL.volume} attempts or more in an hour.`
      : 'No way back by itself.',
  );
  const { directives } = (await target.call('GET', '/directives')) as {
    directives: { id: string; reason: string }[];
  };
  const back = directives.find(({ id }) => id === splitDirective(pool));
  if (back) write(`IT WENT BACK: ${back.reason} Order a share again when that is mended.`);
}

function percentOf(rate: number): number {
  return Number((rate * 100).toPrecision(4));
}

async function read<T>(target: ImportTarget, path: string): Promise<T | undefined> {
  return ignoreMissing(target.call('GET', path)) as Promise<T | undefined>;
}

async function ignoreMissing(answer: Promise<unknown>): Promise<unknown> {
  try {
    return await answer;
  } catch (error) {
    if (error instanceof TargetError && error.status === 404) return undefined;
    throw error;
  }
}
