/**
 * How the permits of one name are shared out between those who ask for them: the rule of both engines.
 *
 * No more than `limit` are ever held together. What is scarce is divided evenly: who wants less than an even
 * part has all that it wants, the others divide the rest, and what cannot be divided goes to who holds less, or
 * asks first: a single permit goes round. Who holds more than its share keeps what it uses until that ends, and
 * is told its share so that it begins no more.
 */

/** What one owner asks for. */
export interface PermitRequest {
  /** In use: never taken away. */
  readonly keep: number;
  /** As many as it has use for; 0, with `keep` 0, gives all back. */
  readonly want: number;
  /** Permits that there are. */
  readonly limit: number;
  /** What is held is free again so long after the last request of its owner, ms. */
  readonly ttl: number;
}

export interface Permits {
  /** Held now, until `ttl` from before the request. */
  readonly held: number;
  /** Of these, what it may go on using: less while others want some of them too. */
  readonly share: number;
}

export interface PermitHolder {
  readonly owner: string;
  readonly held: number;
  readonly want: number;
}

/** @param holders everybody whose lease has not ended; of the owner that asks, what it held so far. */
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

/** Each in the order of what it wants takes no more than an even part of what is left. */
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
