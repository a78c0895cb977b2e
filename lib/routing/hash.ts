/**
 * Hashes a text to an evenly spread number: FNV-1a with the finaliser of MurmurHash3, since the last characters of
 * FNV alone barely reach the high bits. Not for secrets.
 * @param seed makes the numbers of one purpose independent of those of another.
 * @returns an unsigned 32-bit integer.
 */
export function hash(text: string, seed = 0): number {
  let h = 0x811c9dc5 ^ seed;
  for (let i = 0; i < text.length; i += 1) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193);
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

/** Hashes a text to a number in (0, 1). */
export function fraction(text: string, seed = 0): number {
  return (hash(text, seed) + 0.5) / 4_294_967_296;
}
