/**
 * Hashes a pair of texts to 32 bits: FNV-1a over UTF-16 units, with the final mixing of MurmurHash3, whose low bits depend
 * on all of its input. Not for secrets; stored hashes must stay what they are.
 */
export function keyHash(first: string, second: string, seed = 0x811c9dc5): number {
  let h = seed;
  for (let i = 0; i < first.length; i++) h = Math.imul(h ^ first.charCodeAt(i), 0x01000193);
  h = Math.imul(h ^ 0xffff, 0x01000193);
  for (let i = 0; i < second.length; i++) h = Math.imul(h ^ second.charCodeAt(i), 0x01000193);
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return h ^ (h >>> 16);
}
