/**
 * Pages that follow what happens, as server-sent events (WHATWG HTML §9.2): the page is made anew every few seconds and
 * sent where it differs. It is made as the stream is read, so that a browser that stalls costs nothing, and one that
 * goes away ends it.
 */
import { hash } from 'node:crypto';
import type { ApiLog } from '../http/deps.ts';
import { type Clock, SECOND } from '../time.ts';
import { ApiFailure } from './v1.ts';

const INTERVAL = 3 * SECOND;
/** Pages without a change after which a comment keeps proxies from closing the connection. */
const SILENT = 5;
/** Streams of a process, and of one key. */
const MOST = 100;
const MOST_OF_ONE = 10;

export interface LiveOptions {
  clock: Clock;
  log: ApiLog;
  closing?: AbortSignal;
}

export class LiveStreams {
  readonly #options: LiveOptions;
  readonly #open = new Map<string, number>();
  #all = 0;

  constructor(options: LiveOptions) {
    this.#options = options;
  }

  /** Streams that are open. */
  get size(): number {
    return this.#all;
  }

  /** @throws ApiFailure `throttled` for a stream too many. */
  open(owner: string, render: () => Promise<string>): ReadableStream<Uint8Array> {
    const { clock, log, closing } = this.#options;
    const release = this.#admit(owner);
    const ended = new AbortController();
    const end = (): void => {
      if (ended.signal.aborted) return;
      ended.abort();
      release();
      closing?.removeEventListener('abort', end);
    };
    closing?.addEventListener('abort', end);
    if (closing?.aborted) end();
    let last = '';
    const next = async (): Promise<string> => {
      for (let silent = 0; !ended.signal.aborted; silent++) {
        if (last !== '') await pause(clock, ended.signal);
        if (ended.signal.aborted) return '';
        const page = await render();
        const now = hash('sha256', page);
        if (now !== last) {
          last = now;
          return `event: page\ndata: ${page.replace(/\r?\n/g, '\ndata: ')}\n\n`;
        }
        if (silent === SILENT) return ': nothing new\n\n';
      }
      return '';
    };
    return new ReadableStream<Uint8Array>(
      {
        async pull(controller) {
          let text = '';
          try {
            text = await next();
          } catch (error) {
            // A session that is over, or a store that does not answer: the browser asks again, as a page.
            if (!(error instanceof ApiFailure)) log.warn('a live page ended', { keyId: owner, error });
            if (!ended.signal.aborted) controller.enqueue(Buffer.from('event: over\ndata:\n\n'));
          }
          if (text !== '') controller.enqueue(Buffer.from(text));
          else {
            end();
            controller.close();
          }
        },
        cancel: end,
      },
      { highWaterMark: 0 },
    );
  }

  #admit(owner: string): () => void {
    const own = this.#open.get(owner) ?? 0;
    if (own >= MOST_OF_ONE || this.#all >= MOST)
      throw new ApiFailure(
        429,
        'throttled',
        'Too many live pages are open: this one does not follow what happens.',
      );
    this.#open.set(owner, own + 1);
    this.#all += 1;
    return () => {
      this.#all -= 1;
      const left = this.#open.get(owner)! - 1;
      if (left > 0) this.#open.set(owner, left);
      else this.#open.delete(owner);
    };
  }
}

function pause(clock: Clock, ended: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const over = (): void => {
      cancel();
      ended.removeEventListener('abort', over);
      resolve();
    };
    const cancel = clock.after(INTERVAL, over);
    ended.addEventListener('abort', over);
  });
}
