/** The content of the message that is arriving, within the limits of its listener. */
import type { ContentSink } from './dot-reader.ts';
import type { MessageBuffer } from './message-buffer.ts';

export interface ContentLimits {
  /** Octets at which the message is refused, and its end awaited. */
  most: number;
  /** Octets at which the message is refused at once. */
  cut: number;
  onCut: () => void;
}

export class IncomingContent implements ContentSink {
  readonly buffer: MessageBuffer;
  readonly #limits: ContentLimits;
  #received = 0;

  constructor(buffer: MessageBuffer, limits: ContentLimits) {
    this.buffer = buffer;
    this.#limits = limits;
  }

  get isTooLarge(): boolean {
    return this.#received > this.#limits.most;
  }

  append(chunk: Buffer, from: number, to: number): void {
    const { cut, onCut } = this.#limits;
    this.#received += to - from;
    if (this.#received > cut) {
      this.buffer.release();
      onCut();
    } else if (this.isTooLarge) this.buffer.release();
    else this.buffer.append(chunk, from, to);
  }
}
