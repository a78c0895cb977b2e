/**
 * Pages that follow what happens, as server-sent events (WHATWG HTML §9.2): the page is made anew every few seconds and
 * sent where it differs.
 */
import { hash } from 'node:crypto';
import type { ApiLog } from '../http/deps.ts';
import { EventStreams } from '../http/event-streams.ts';
import { type Clock, SECOND } from '../time.ts';
import { ApiFailure } from './v1.ts';

const INTERVAL = 3 * SECOND;
/** Pages without a change after which a comment keeps proxies from closing the connection. */
const SILENT = 5;

export interface LiveOptions {
  clock: Clock;
  log: ApiLog;
  closing?: AbortSignal;
}

export class LiveStreams {
  readonly #options: LiveOptions;
  readonly #streams = new EventStreams({ all: 100, ofOwner: 10 });

  constructor(options: LiveOptions) {
    this.#options = options;
  }

  /** Streams that are open. */
  get size(): number {
    return this.#streams.size;
  }

  /** @throws ApiFailure `throttled` for a stream too many. */
  open(owner: string, render: () => Promise<string>): ReadableStream<Uint8Array> {
    const { clock, log, closing } = this.#options;
    let last = '';
    const next = async (ended: AbortSignal): Promise<string> => {
      for (let silent = 0; !ended.aborted; silent++) {
        if (last !== '') await pause(clock, ended);
        if (ended.aborted) return '';
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
    const failed = (error: unknown): string => {
      // A session that is over, or a store that does not answer: the browser asks again, as a page.
      if (!(error instanceof ApiFailure)) log.warn('a live page ended', { keyId: owner, error });
      return 'event: over\ndata:\n\n';
    };
    return this.#streams.open(owner, { next, failed }, tooMany, closing);
  }
}

function tooMany(): ApiFailure {
  return new ApiFailure(
    429,
    'throttled',
    'Too many live pages are open: this one does not follow what happens.',
  );
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
