/** Explains, for some mail, what holds for it from each IP that could send it. */
import { PosternError } from '../errors.ts';
import { type ExplainQuery, explain, type MailExplanation, type Obstacle } from '../shaping/explain.ts';
import type { LimitBook } from '../shaping/limits/book.ts';
import type { SmtpDeadlines } from '../smtp/types.ts';
import type { Clock } from '../time.ts';
import type { WarmupBook } from '../warmup/book.ts';
import type { Destinations, SiteAddress } from './destination.ts';
import { type DirectiveView, describe } from './directive-view.ts';
import type { EgressPolicy } from './policy.ts';
import type { QueueManager } from './queues.ts';
import type { SourceAddress } from './source-address.ts';
import type { SourceLeases } from './source-leases.ts';

export interface ExplainSurroundings {
  queues: QueueManager;
  sources: SourceLeases;
  directives: DirectiveView;
  limits: LimitBook;
  destinations: Destinations;
  deadlines: SmtpDeadlines;
  policy: EgressPolicy | undefined;
  warmup: WarmupBook | undefined;
  clock: Clock;
}

/** @throws PosternError `bad_request`, and `not_found` for what this node knows nothing of. */
export async function explainMail(
  query: ExplainQuery,
  around: ExplainSurroundings,
): Promise<MailExplanation[]> {
  const address = await addressOf(query, around);
  const { ip } = query;
  const sources = around.sources.all.filter((source) => ip === undefined || source.ip === ip);
  if (sources.length === 0) throw new PosternError('not_found', `This node has no source address ${ip}.`);
  return Promise.all(sources.map((source) => fromSource(query, address, source, around)));
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
  { site, provider, routed }: Pick<SiteAddress, 'site' | 'provider' | 'routed'>,
  source: SourceAddress,
  { limits, queues, deadlines, clock, ...around }: ExplainSurroundings,
): Promise<MailExplanation> {
  const { tenant = '', domain = '', campaign, pool = 'default', class: messageClass = 'bulk' } = query;
  const mail = { domain, tenant, campaign, class: messageClass };
  const placeLimits = limits.at({ provider, site, routed, ip: source.name, pool });
  const bounds = await around.policy?.bounds(mail, { name: site, provider }, source, pool);
  const now = clock.now();
  const { connectionClass, mailLimits } = placeLimits.of(mail, bounds);
  const limiter = source.knownLimiter(site);
  const pools = [...queues.poolsOf(site)].filter((each) => each.source === source);
  const obstacles: Obstacle[] = [];
  if (!source.usable(now)) {
    obstacles.push({ limit: 'source IP', value: source.trouble, origin: 'leases', until: now + 10_000 });
  }
  for (const { breaker } of pools) {
    const reason = breaker.reason(now);
    if (reason === undefined) continue;
    obstacles.push({ limit: 'back-off', value: reason.text, origin: reason.code, until: breaker.retryAt });
  }
  const { directives, warmup } = around;
  const ruling = directives.match({ ...mail, provider, site, pool, ip: source.name }, now);
  if (ruling.by !== undefined) {
    const until = ruling.by.until ?? now + 86_400_000;
    obstacles.push({
      limit: ruling.action,
      value: describe(ruling.by),
      origin: `directive ${ruling.by.id}`,
      until,
    });
  }
  const budget = warmup?.wait(source.ip ?? '', provider, now) ?? 0;
  if (budget > 0) {
    const value = warmup!.explain(source.ip ?? '', provider, now);
    obstacles.push({ limit: 'warm-up', value, origin: 'warm-up plan', until: now + budget });
  }
  return {
    site,
    provider,
    ip: source.ip,
    waiting: pools.reduce((sum, { queue }) => sum + queue.size, 0),
    ...explain({
      now,
      own: placeLimits.own,
      connectionClass,
      mailLimits,
      limiter,
      stream: mailLimits && limiter?.knownStream(mailLimits),
      ipConnections: source.connections.open,
      providerConnections: source.connections.toProvider(provider),
      deadlines: { ...deadlines },
      obstacles,
    }),
  };
}
