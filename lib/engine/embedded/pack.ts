/**
 * Puts pieces one after another, without gaps, at the beginning of memory that both threads may share. `fill` writes shared
 * memory as fast as any other; `set` and `copy` write it word by word, in twice to four times the time.
 */
export function pack(pieces: readonly Uint8Array[], into: Buffer): void {
  let at = 0;
  for (const piece of pieces) {
    const end = at + piece.byteLength;
    into.fill(piece, at, end);
    at = end;
  }
}
