/**
 * `ListRecommendations`: what the checks of the caller's domains find now. A call checks a few domains at most, so that a
 * page may be short, or empty, though there are more.
 */
import type { Identity } from '../control/types.ts';
import {
  fromFindings,
  fromMail,
  JUDGED,
  type Recommendation,
  Recommendations,
} from '../doctor/recommendations.ts';
import { PosternError } from '../errors.ts';
import { StatisticsReader, sumOf } from '../statistics/reader.ts';
import { HOUR } from '../time.ts';
import { resourceOf } from './arn.ts';
import { findIdentity } from './identities.ts';
import { type Call, operation } from './operation.ts';
import { readToken, sizeOf, tokenOf } from './pages.ts';
import type { InputOf } from './types.ts';

/** SES: recommendations of a page, with and without a `PageSize`. */
const MAX_PAGE = 100;
/** Domains that one call checks: each takes some look-ups in DNS. */
const CHECKED = 20;

type Filter = NonNullable<InputOf<'ListRecommendations'>['Filter']>;

export const listRecommendations = operation(
  'ListRecommendations',
  'use',
  async ({ Filter: filter = {}, NextToken, PageSize }, call) => {
    const size = sizeOf(PageSize, MAX_PAGE, 1);
    requireCombination(filter);
    const [after, afterType] = NextToken ? placeIn(NextToken) : [];
    const domains = await domainsOf(filter, after, call);
    const shown: Recommendation[] = [];
    for (const identity of domains.slice(0, CHECKED)) {
      for (const one of await recommendationsOf(identity, call)) {
        const isBehind = identity.name !== after || afterType === undefined || one.type > afterType;
        if (!isBehind || !matches(one, filter)) continue;
        if (shown.length === size) return answer(shown, placeOf(shown.at(-1)!), call);
        shown.push(one);
      }
    }
    const last = domains.length > CHECKED ? domains[CHECKED - 1]!.name : undefined;
    return answer(shown, last === undefined ? undefined : `${last} ~`, call);
  },
);

/** The combinations of SES, and no others. */
function requireCombination(filter: Filter): void {
  const names = Object.keys(filter).sort().join(' and ');
  if (!names.includes(' and ') || names === 'IMPACT and STATUS' || names === 'STATUS and TYPE') return;
  throw new PosternError(
    'bad_request',
    `Filters combine as STATUS and IMPACT, or STATUS and TYPE; these are ${names}.`,
  );
}

function matches({ type, impact, status }: Recommendation, filter: Filter): boolean {
  return (
    (filter.TYPE ?? type) === type &&
    (filter.IMPACT ?? impact) === impact &&
    (filter.STATUS ?? status) === status
  );
}

/** Domains of the caller from a name on, that name itself included: one more than are checked. */
async function domainsOf(filter: Filter, from: string | undefined, call: Call): Promise<Identity[]> {
  if (filter.RESOURCE_ARN !== undefined) {
    const { kind, name } = resourceOf(filter.RESOURCE_ARN, call);
    if (kind !== 'identity') return [];
    const identity = await findIdentity(name, call);
    return identity.type === 'DOMAIN' ? [identity] : [];
  }
  const { identities } = call.deps.control;
  const found: Identity[] = [];
  const first = from === undefined ? undefined : await identities.find(from);
  if (first?.tenant === call.caller.tenant && first.type === 'DOMAIN') found.push(first);
  for (let after = from; found.length <= CHECKED; ) {
    const page = await identities.list(call.caller.tenant, { after, max: MAX_PAGE });
    found.push(...page.filter(({ type }) => type === 'DOMAIN'));
    if (page.length < MAX_PAGE) break;
    after = page.at(-1)!.name;
  }
  return found;
}

async function recommendationsOf(identity: Identity, { deps, caller }: Call): Promise<Recommendation[]> {
  const { engine, clock, domains } = deps;
  const now = clock.now();
  const [report, points] = await Promise.all([
    domains.check(identity),
    new StatisticsReader(engine.rows).series({
      tenant: identity.tenant,
      from: now - JUDGED,
      before: now + HOUR,
      granularity: 'day',
      only: { dimension: 'identity', value: identity.name },
    }),
  ]);
  const unanswered = report.findings.some(({ id }) => id === 'dns.unanswered');
  return new Recommendations(engine.rows, clock).note(caller.tenant, identity.name, {
    dns: unanswered ? undefined : fromFindings(report.findings),
    mail: fromMail(sumOf(points)),
  });
}

function answer(shown: readonly Recommendation[], next: string | undefined, { deps }: Call) {
  return {
    Recommendations: shown.map((one) => ({
      ResourceArn: `arn:aws:ses:${deps.region}:${deps.accountId}:identity/${one.domain}`,
      Type: one.type,
      Description: one.text,
      Status: one.status,
      Impact: one.impact,
      CreatedTimestamp: new Date(one.createdAt),
      LastUpdatedTimestamp: new Date(one.updatedAt),
    })),
    NextToken: next === undefined ? undefined : tokenOf(next),
  };
}

/** A place between recommendations: the domain, and the type behind which the next page begins. */
function placeOf({ domain, type }: Recommendation): string {
  return `${domain} ${type}`;
}

function placeIn(token: string): [domain: string, type: string] {
  const [domain = '', type = ''] = readToken(token).split(' ');
  return [domain, type];
}
