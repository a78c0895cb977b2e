/**
 * Divides a whole number of units max-min fair: who wants less than an even share gets what it wants, the others
 * divide the rest evenly. What cannot be divided evenly goes to the first ones, counted from `turn` on.
 */
export function maxMin(total: number, wants: readonly number[], turn = 0): number[] {
  const order = wants.map((_, i) => i).sort((a, b) => wants[a]! - wants[b]!);
  const shares = wants.map(() => 0);
  let left = Math.max(0, Math.floor(total));
  let first = 0;
  for (; first < order.length; first += 1) {
    const want = wants[order[first]!]!;
    if (want > left / (order.length - first)) break;
    shares[order[first]!] = want;
    left -= want;
  }
  // Those that are left want more than an even share.
  const rest = order.slice(first).sort((a, b) => a - b);
  if (rest.length === 0) return shares;
  const even = Math.floor(left / rest.length);
  const extra = left - even * rest.length;
  const from = turn % rest.length;
  for (const [i, one] of rest.entries()) {
    shares[one] = even + ((i - from + rest.length) % rest.length < extra ? 1 : 0);
  }
  return shares;
}
