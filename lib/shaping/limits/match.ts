/** Which mail a rule concerns, and which of two rules overrides the other. */
import type { LimitMatch, LimitRule } from './limit.ts';
import type { Mail, PathKey } from './terms.ts';

/** Dimensions by which a rule may select mail. */
export type MailDimension = 'tenant' | 'campaign' | 'class' | 'domain';
export const DIMENSIONS: readonly MailDimension[] = ['tenant', 'campaign', 'class', 'domain'];

/** Whether a rule concerns a place, for any mail. */
export function inPlace({ match, atMost }: Pick<LimitRule, 'match' | 'atMost'>, place: PathKey): boolean {
  const { provider, route, site, ip, pool } = match;
  // A provider's limits protect strangers' hosts; behind a static route are the operator's own. Directives are meant
  // for these, too.
  if (route !== undefined ? !place.routed : provider !== undefined && place.routed && !atMost) return false;
  return (
    (provider === undefined || provider === place.provider) &&
    (site === undefined || site === place.site) &&
    (ip === undefined || ip === place.ip) &&
    (pool === undefined || pool === place.pool)
  );
}

/** Whether a rule concerns some mail, at any place. */
export function ofMail(match: LimitMatch, mail: Mail): boolean {
  return DIMENSIONS.every((name) => {
    const wanted = match[name];
    return wanted === undefined || (wanted === '*' ? mail[name] !== undefined : wanted === mail[name]);
  });
}

export function dimensionsOf(match: LimitMatch): MailDimension[] {
  return DIMENSIONS.filter((name) => match[name] !== undefined);
}

/** `tenant=acme,class=bulk`, with the mail's own value where the rule has `*`. */
export function keyOf(match: LimitMatch, mail: Mail): string {
  return dimensionsOf(match)
    .map((name) => `${name}=${mail[name] ?? ''}`)
    .join();
}

/** The layer of a rule, and its precedence within the layer. */
export function rankOf(match: LimitMatch): number {
  const layer =
    match.domain !== undefined
      ? 3
      : match.site !== undefined
        ? 2
        : match.provider !== undefined || match.route
          ? 1
          : 0;
  const whose =
    (match.pool === undefined ? 0 : 1) +
    (match.ip === undefined ? 0 : 2) +
    (match.class === undefined ? 0 : 4) +
    (match.tenant === undefined ? 0 : 8) +
    (match.campaign === undefined ? 0 : 16);
  const each = Object.values(match).includes('*') ? 0 : 1;
  return layer * 64 + whose * 2 + each;
}
