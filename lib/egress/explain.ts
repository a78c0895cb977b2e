/** Explains, for some mail, what holds for it from each IP that could send it. */
import { PosternError } from '../errors.ts';
import { type ExplainQuery, explain, type MailExplanation } from '../shaping/explain.ts';
import type { LimitBook } from '../shaping/limits/book.ts';
import { StreamLimiter } from '../shaping/stream-limiter.ts';
import type { SmtpDeadlines } from '../smtp/types.ts';
import type { Clock } from '../time.ts';
import type { WarmupBook } from '../warmup/book.ts';
import type { Destinations, SiteAddress } from './destination.ts';
import type { DirectiveView } from './directive-view.ts';
import type { EgressPolicy } from './policy.ts';
import { warmupConstraints } from './pool-constraints.ts';
import type { QueueManager } from './queues.ts';
import type { SourceAddress } from './source-address.ts';
import type { SourceLeases } from './source-leases.ts';
import type { SourceSelector } from './source-selection.ts';

/** Shared limits of mail that never passed here are shown without their use. */
const NOTHING_SHARED = { buckets: [], permits: [] };

export interface ExplainSurroundings {
  queues: QueueManager;
  sources: SourceLeases;
  directives: DirectiveView;
  selector: SourceSelector;
  limits: LimitBook;
  destinations: Destinations;
  deadlines: SmtpDeadlines;
  policy: EgressPolicy | undefined;
  warmup: WarmupBook | undefined;
  clock: Clock;
}

/** @throws PosternError `bad_request`, and `not_found` for a site or address that this node does not have. */
export async function explainMail(
  query: ExplainQuery,
  around: ExplainSurroundings,
): Promise<MailExplanation[]> {
  const address = await addressOf(query, around);
  const { ip } = query;
  const { all } = around.sources;
  if (ip !== undefined && !all.some((source) => source.ip === ip))
    throw new PosternError('not_found', `This node has no source address ${ip}.`);
  const pool = query.pool ?? around.selector.poolOf(query.tenant ?? '', ip);
  const from = around.selector
    .addressesOf(pool)
    .flatMap(({ pool: name, sources }) => sources.map((source) => ({ name, source })))
    .filter(({ source }) => ip === undefined || source.ip === ip);
  if (from.length === 0) throw new PosternError('not_found', nowhere(pool, ip));
  return Promise.all(from.map(({ name, source }) => fromSource(query, name, address, source, around)));
}

function nowhere(pool: string, ip: string | undefined): string {
  return ip === undefined
    ? `Pool "${pool}" has no source address on this node.`
    : `The source address ${ip} is not in pool "${pool}". Name its pool, or leave the address out.`;
}

async function addressOf(
  { domain, site }: ExplainQuery,
  { destinations, queues, clock }: ExplainSurroundings,
): Promise<Pick<SiteAddress, 'site' | 'provider' | 'routed'>> {
  if (site !== undefined) {
    const known = queues.sites.get(site);
    if (known === undefined)
      throw new PosternError('not_found', `Nothing was sent to the site ${site} lately.`);
    return { site, provider: known.provider, routed: known.routed };
  }
  if (domain === undefined) throw new PosternError('bad_request', 'Name a domain or a site.');
  const found = destinations.known(domain, clock.now()) ?? (await destinations.find(domain));
  if (found.kind === 'fault') throw new PosternError('not_found', found.text);
  return found;
}

async function fromSource(
  query: ExplainQuery,
  pool: string,
  { site, provider, routed }: Pick<SiteAddress, 'site' | 'provider' | 'routed'>,
  source: SourceAddress,
  { limits, queues, directives, policy, warmup, deadlines, clock }: ExplainSurroundings,
): Promise<MailExplanation> {
  const { tenant = '', domain = '', campaign, class: messageClass = 'bulk' } = query;
  const mail = { domain, tenant, campaign, class: messageClass };
  const pathLimits = limits.at({ provider, site, routed, ip: source.name, pool });
  const bounds = await policy?.bounds(mail, { name: site, provider }, source, pool);
  const now = clock.now();
  const { connectionClass, mailLimits } = pathLimits.of(mail, bounds);
  const limiter = source.peekLimiter(site);
  const pools = [...queues.poolsOf(site)].filter((each) => each.source === source);
  const open = pools.reduce((sum, { connections }) => sum + connections, 0);
  const idle = pools.reduce((sum, each) => sum + each.idle, 0);
  const stream =
    mailLimits &&
    (limiter.knownStream(mailLimits) ??
      new StreamLimiter(mailLimits, (key) => limiter.counter(key), NOTHING_SHARED));
  const { own } = pathLimits;
  const claimed = {
    ...(pools[0]?.claimed ?? { provider, proven: limiter.answered, address: undefined }),
    tenant,
  };
  const constraints = [
    // The order of what keeps a delivery in hand (connection-pool.ts), so that both name the same limit.
    ...directives.constraints({ ...mail, provider, site, pool, ip: source.name }, now),
    ...(stream?.constraints(now) ?? []),
    ...pools.flatMap(({ breaker }) => [...breaker.constraints(now)]),
    ...source.constraints(now),
    ...warmupConstraints(warmup, source.ip, provider, now),
    ...limiter.messageConstraints(now, own),
    ...limiter.connectionConstraints(now, own, { idle, open }),
    ...source.connections.constraints(claimed, own, open, now),
  ];
  return {
    site,
    provider,
    ip: source.ip,
    waiting: pools.reduce((sum, { queue }) => sum + queue.size, 0),
    ...explain({ now, constraints, connectionClass, mailLimits, deadlines: { ...deadlines } }),
  };
}
