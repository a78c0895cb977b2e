/**
 * The life of streams of server-sent events (WHATWG HTML §9.2): how many there may be, and how one ends. A stream is
 * made as it is read, so that a reader that stalls costs what one `next` made and no more.
 *
 * ```
 *  open ─► read ─► next: text ─► read on
 *   │               ├─ next: '' ───────────► closed, place free
 *   │               └─ next failed ─► last words ─► closed, place free
 *   └─ reader gone │ listener closes ──────► `ended`, place free
 * ```
 */

export interface StreamSource {
  /** What the reader gets next, as lines of the stream; '' ends it. It must return soon after `ended` is aborted. */
  next(ended: AbortSignal): Promise<string>;
  /** Last words to the reader when `next` failed; '' for none. */
  failed(error: unknown): string;
}

/** Streams that are open when one more is refused. */
export interface OpenStreams {
  ofOwner: number;
  all: number;
}

export class EventStreams {
  readonly #most: number;
  readonly #mostOfOne: number;
  readonly #open = new Map<string, number>();
  #all = 0;

  /** @param most streams at once, and those of one owner. */
  constructor(most: { all: number; ofOwner: number }) {
    this.#most = most.all;
    this.#mostOfOne = most.ofOwner;
  }

  /** Streams that are open. */
  get size(): number {
    return this.#all;
  }

  /**
   * @param owner key that the stream counts against.
   * @param refusal the error of a stream too many.
   * @param closing ends the stream when the process closes its listener.
   */
  open(
    owner: string,
    source: StreamSource,
    refusal: (open: OpenStreams) => Error,
    closing?: AbortSignal,
  ): ReadableStream<Uint8Array> {
    const ofOwner = this.#open.get(owner) ?? 0;
    if (ofOwner >= this.#mostOfOne || this.#all >= this.#most) throw refusal({ ofOwner, all: this.#all });
    this.#open.set(owner, ofOwner + 1);
    this.#all += 1;

    const ended = new AbortController();
    const end = (): void => {
      if (ended.signal.aborted) return;
      ended.abort();
      closing?.removeEventListener('abort', end);
      this.#release(owner);
    };
    closing?.addEventListener('abort', end);
    if (closing?.aborted) end();

    return new ReadableStream<Uint8Array>(
      {
        async pull(controller) {
          let text = '';
          let over = false;
          try {
            if (!ended.signal.aborted) text = await source.next(ended.signal);
            over = text === '';
          } catch (error) {
            over = true;
            // Called for a reader that is gone as well: the failure may concern more than the reader.
            const words = source.failed(error);
            if (!ended.signal.aborted) text = words;
          }
          if (text !== '') controller.enqueue(Buffer.from(text));
          if (!over) return;
          end();
          controller.close();
        },
        cancel: end,
      },
      { highWaterMark: 0 },
    );
  }

  #release(owner: string): void {
    this.#all -= 1;
    const left = this.#open.get(owner)! - 1;
    if (left > 0) this.#open.set(owner, left);
    else this.#open.delete(owner);
  }
}
