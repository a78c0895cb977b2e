/**
 * How the permits of one name are shared out between those who ask for them: the rule of both engines.
 *
 * No more than `limit` are ever held together. What is scarce is divided evenly: who wants less than an even
 * part has all that it wants, the others divide the rest. Who holds more than its share keeps what it uses
 * until that ends, and is told its share so that it begins no more.
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
  /** What it is to come down to, or at most `held`. */
  readonly share: number;
}

export interface PermitHolder {
  readonly owner: string;
  readonly held: number;
  readonly want: number;
}

/** @param others everybody but the owner that asks, whose lease has not ended. */
export function sharePermits(
  owner: string,
  { keep, want, limit }: PermitRequest,
  others: readonly PermitHolder[],
): Permits {
  const left = others.reduce((sum, one) => sum - one.held, limit);
  const share = Math.min(want, evenShare(owner, want, limit, others));
  const held = Math.max(0, Math.min(left, Math.max(keep, share)));
  return { held, share: Math.min(held, share) };
}

/** Each in the order of what it wants takes no more than an even part of what is left. */
function evenShare(owner: string, want: number, limit: number, others: readonly PermitHolder[]): number {
  const all = [...others, { owner, want }].sort((a, b) => a.want - b.want || (a.owner < b.owner ? -1 : 1));
  let left = limit;
  for (const [i, one] of all.entries()) {
    const part = Math.min(one.want, Math.floor(left / (all.length - i)));
    if (one.owner === owner) return part;
    left -= part;
  }
  return 0;
}
