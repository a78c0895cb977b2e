/**
 * Divides the permits of one name between their requesters: the rule of both engines.
 *
 * No more than `limit` are ever held together. Scarce permits are divided evenly: an owner that needs less than an
 * even share gets all that it needs, the others divide the rest, and the remainder goes to the owner that holds less,
 * or requests first, so that a single permit goes round. An owner that holds more than its share keeps the permits in
 * use until their messages end, and receives its share so that it begins no more.
 */

/** The request of one owner. */
export interface PermitRequest {
  /** Permits in use, which are never taken away. */
  readonly keep: number;
  /** Permits that it could use; 0, with `keep` 0, returns all. */
  readonly want: number;
  /** Total number of permits. */
  readonly limit: number;
  /** Time after the last request of an owner when its permits are free again, ms. */
  readonly ttl: number;
}

export interface Permits {
  /** Permits held now, until `ttl` from before the request. */
  readonly held: number;
  /** Permits of these that it may go on using: fewer while others need some of them too. */
  readonly share: number;
}

export interface PermitHolder {
  readonly owner: string;
  readonly held: number;
  readonly want: number;
}

/** @param holders all holders whose lease has not ended; for the requesting owner, its permits until now. */
export function sharePermits(
  owner: string,
  { keep, want, limit }: PermitRequest,
  holders: readonly PermitHolder[],
): Permits {
  const others = holders.filter((one) => one.owner !== owner);
  const before = holders.find((one) => one.owner === owner)?.held ?? 0;
  const share = evenShare(owner, [...others, { owner, held: before, want }], limit);
  const left = others.reduce((sum, one) => sum - one.held, limit);
  const held = Math.max(0, Math.min(left, Math.max(keep, share)));
  return { held, share: Math.min(held, share) };
}

/** Gives each, in the order of need, no more than an even share of the rest. */
function evenShare(owner: string, all: PermitHolder[], limit: number): number {
  const rank = (one: PermitHolder): number => (one.owner === owner ? 1 : 0);
  all.sort((a, b) => a.want - b.want || b.held - a.held || rank(a) - rank(b));
  let left = limit;
  for (const [i, one] of all.entries()) {
    const part = Math.min(one.want, Math.floor(left / (all.length - i)));
    if (one.owner === owner) return part;
    left -= part;
  }
  return 0;
}
