/** Size from which a buffer's memory is freed by hand, octets: of a smaller one the call costs more than it saves. */
const MIN_DISCARD = 16 * 1024;

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
  if (memory instanceof ArrayBuffer) memory.transfer(0);
}
