/** Size from which a buffer's memory is freed by hand, octets: of a smaller one the call costs more than it saves. */
const MIN_DISCARD = 16 * 1024;

/** Memory that is still being written to sockets, and to how many. */
const pinned = new WeakMap<ArrayBufferLike, number>();

/**
 * Frees the memory of a buffer at once; the buffer is empty afterwards. For whoever alone has it: without effect on a
 * small one, and on a part of a larger one.
 *
 * The garbage collector sees a small object, and lets the memory behind it pile up by the hundred megabytes. Then it
 * marks the whole heap, to find what its owner could have told.
 */
export function discard(buffer: Uint8Array): void {
  const memory = buffer.buffer;
  if (buffer.byteLength < MIN_DISCARD || memory.byteLength !== buffer.byteLength) return;
  if (memory instanceof ArrayBuffer && !pinned.has(memory)) memory.transfer(0);
}

/**
 * Leaves the memory of a buffer to the collector, whatever is discarded, until `unpin`: the runtime hands the kernel the
 * address of what a peer has not taken yet, and a peer may refuse a message before it has read it.
 */
export function pin(buffer: Uint8Array): void {
  const { buffer: memory } = buffer;
  pinned.set(memory, (pinned.get(memory) ?? 0) + 1);
}

/** Ends one `pin`. */
export function unpin({ buffer: memory }: Uint8Array): void {
  const others = pinned.get(memory)! - 1;
  if (others > 0) pinned.set(memory, others);
  else pinned.delete(memory);
}
