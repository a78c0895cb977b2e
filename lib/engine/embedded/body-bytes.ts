/**
 * The bytes of a message in memory. Whatever needs them holds them; with the last holder they are freed at once. A body
 * lives longer than the nursery of V8 and is large, so that left to the collector the bodies of what was delivered took
 * several times the memory of what waits.
 */
import { discard } from '../../discard.ts';

export class BodyBytes {
  readonly bytes: Buffer;
  #holders = 0;

  /** @param bytes whose memory is this message's alone. */
  constructor(bytes: Buffer) {
    this.bytes = bytes;
  }

  hold(): void {
    this.#holders += 1;
  }

  /** Nothing reads the bytes after the last release. */
  release(): void {
    this.#holders -= 1;
    if (this.#holders === 0) discard(this.bytes);
  }
}
