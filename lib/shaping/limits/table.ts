/** The limits in force: the built-in ones, overridden by those of an operator's document. */
import { refuse } from '../../document.ts';
import { LimitBook } from './book.ts';
import { readLimits } from './check.ts';
import { DEFAULT_LIMITS } from './defaults.ts';
import type { LimitName, LimitRule, LimitTable } from './limit.ts';

const BUILT_IN = readLimits(DEFAULT_LIMITS, 'built-in');

/** Merges a document over the built-in limits. @throws PosternError `bad_request`. */
export function limitTable(document: unknown = {}): LimitTable {
  const own = readLimits(document, 'limits');
  const table = { rules: [...BUILT_IN.rules, ...own.rules], shared: own.shared };
  checkLayers(own.rules, table);
  return table;
}

/** Refuses a limit that another layer makes void: more connections to a site than its provider, or the IP, may have. */
function checkLayers(own: readonly LimitRule[], table: LimitTable): void {
  const book = new LimitBook(table);
  for (const { match, set, origin } of own) {
    const { connections, providerConnections } = set;
    if (connections === undefined && providerConnections === undefined) continue;
    const { provider = '', route = false, ...particular } = match;
    if (Object.keys(particular).length > 0) continue;
    const { limits, origins } = book.at({ provider, site: '', routed: route, ip: '', pool: '' }).own;
    const notOver = (small: LimitName, large: 'providerConnections' | 'ipConnections'): void => {
      if (set[small] === undefined || limits[large] >= (set[small] as number)) return;
      refuse(
        `${origin}.${small}`,
        `${set[small] as number} contradicts ${large} ${limits[large]} of ${origins[large]}: raise that, too.`,
      );
    };
    notOver('connections', 'providerConnections');
    notOver('connections', 'ipConnections');
    notOver('providerConnections', 'ipConnections');
  }
}
