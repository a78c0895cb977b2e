/**
 * Gathers commands and bodies into one write: one system call and, while it fits, one packet. Copying a
 * small body next to its commands is cheaper than handing the kernel a vector of pieces.
 */

/** Pieces are cut from slabs, because an allocation for each message costs more than its copy. */
const SLAB = 256 * 1024;

let slab = Buffer.alloc(0);
let used = 0;

function cut(length: number): Buffer {
  if (length > SLAB / 4) return Buffer.allocUnsafeSlow(length);
  if (used + length > slab.length) {
    slab = Buffer.allocUnsafeSlow(SLAB);
    used = 0;
  }
  used += length;
  return slab.subarray(used - length, used);
}

export class Outbox {
  /** Commands and bodies in turn; `#text` is the commands behind the last body. */
  readonly #parts: (string | Buffer)[] = [];
  #text = '';

  get empty(): boolean {
    return this.#text === '' && this.#parts.length === 0;
  }

  text(commands: string): void {
    this.#text += commands;
  }

  bytes(body: Buffer): void {
    this.#parts.push(this.#text, body);
    this.#text = '';
  }

  /** Everything gathered, to be written; the outbox is then empty. */
  take(): Buffer {
    const parts = this.#parts;
    let length = Buffer.byteLength(this.#text);
    for (const part of parts) length += Buffer.byteLength(part);
    const all = cut(length);
    let at = 0;
    for (const part of parts) {
      at += typeof part === 'string' ? all.write(part, at, 'utf8') : part.copy(all, at);
    }
    all.write(this.#text, at, 'utf8');
    this.#text = '';
    parts.length = 0;
    return all;
  }
}
