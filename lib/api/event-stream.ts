/**
 * A stream of server-sent events (WHATWG HTML §9.2), made as it is read: the next page of the feed is looked for when
 * the one before has gone into the connection, so that a reader that stops reading costs one page and no more.
 *
 * ```
 *  read on ─► page ─► some: id, event, data ─► read on
 *               └─ none: wait for more │ 15 s: a comment, and the cursor as id ─► is the key still good? ─► read on
 * ```
 */
import { PosternError } from '../errors.ts';
import type { EventFilter, EventPull, PulledEvent } from '../events/pull.ts';
import type { ApiLog } from '../http/deps.ts';
import type { Clock } from '../time.ts';

/** Proxies and readers take a connection without any octet for dead after a minute or less. */
const HEARTBEAT = 15_000;
/** Events of one page: what a reader that stalls keeps in memory. */
const PAGE = 20;
/** Streams of a process, and of one key. */
const MOST = 200;
const MOST_OF_ONE = 10;

const open = new Map<string, number>();

export interface StreamOptions {
  pull: Required<EventPull>;
  filter: EventFilter;
  after: string;
  show: (event: PulledEvent) => { type: string; data: string };
  /** Key that the stream counts against. */
  owner: string;
  /** Whether the caller may still read; throws or answers false when not. */
  holds: () => Promise<boolean>;
  clock: Clock;
  /** Ends the stream when the process closes its listener. */
  closing?: AbortSignal;
  log: ApiLog;
}

/** @throws PosternError `invalid_page_token` for a cursor of another installation, `throttled` for a stream too many. */
export async function openStream(options: StreamOptions): Promise<ReadableStream<Uint8Array>> {
  const { pull, filter, after, owner, holds, closing, log } = options;
  // A bad cursor, and a store that does not answer, are still answered as failures.
  let page = await pull.page(filter, after, PAGE);
  const release = admit(owner);
  const ended = new AbortController();
  const end = (): void => {
    if (ended.signal.aborted) return;
    ended.abort();
    release();
    closing?.removeEventListener('abort', end);
  };
  closing?.addEventListener('abort', end);
  if (closing?.aborted) end();

  let first = true;
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        try {
          let text = first ? 'retry: 2000\n\n' : '';
          first = false;
          while (text === '' && !ended.signal.aborted && (await holds())) {
            text = written(page.events, options);
            if (text === '' && !page.more) {
              const idle = await waited(options, page.cursor, ended.signal);
              if (idle) text = `id: ${page.cursor}\n: nothing new\n\n`;
            }
            page = await pull.page(filter, page.cursor, PAGE);
          }
          if (text !== '') {
            controller.enqueue(Buffer.from(text));
            return;
          }
        } catch (error) {
          log.warn('a stream of events ended', { keyId: owner, error });
        }
        end();
        controller.close();
      },
      cancel: end,
    },
    { highWaterMark: 0 },
  );
}

/** @returns whether nothing came for the time of a heartbeat. */
async function waited({ pull, clock }: StreamOptions, cursor: string, ended: AbortSignal): Promise<boolean> {
  const over = new AbortController();
  const stop = (): void => over.abort();
  ended.addEventListener('abort', stop);
  let idle = false;
  const cancel = clock.after(HEARTBEAT, () => {
    idle = true;
    over.abort();
  });
  await pull.beyond(cursor, over.signal);
  cancel();
  ended.removeEventListener('abort', stop);
  return idle;
}

function written(events: readonly PulledEvent[], { show }: StreamOptions): string {
  return events
    .map((event) => {
      const { type, data } = show(event);
      return `id: ${event.cursor}\nevent: ${type}\ndata: ${data}\n\n`;
    })
    .join('');
}

/** @returns gives the place free. */
function admit(owner: string): () => void {
  const own = open.get(owner) ?? 0;
  const all = [...open.values()].reduce((sum, one) => sum + one, 0);
  if (own >= MOST_OF_ONE || all >= MOST) {
    throw new PosternError(
      'throttled',
      own >= MOST_OF_ONE
        ? `The key ${owner} has ${own} streams of events open, the most that one may have. Close one.`
        : `There are ${all} streams of events open. Ask again later, or without Accept: text/event-stream.`,
    );
  }
  open.set(owner, own + 1);
  return () => {
    const left = (open.get(owner) ?? 1) - 1;
    if (left > 0) open.set(owner, left);
    else open.delete(owner);
  };
}
