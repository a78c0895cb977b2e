/**
 * The feed as a stream of server-sent events (WHATWG HTML §9.2): the next page is looked for when the one before has
 * gone into the connection, so that a reader that stops reading costs one page and no more.
 *
 * ```
 *  read on ─► page ─► some: id, event, data ─► read on
 *               └─ none: wait for more │ 15 s: a comment, and the cursor as id ─► is the key still good? ─► read on
 * ```
 */
import { PosternError } from '../errors.ts';
import type { EventFilter, EventPull, PulledEvent } from '../events/pull.ts';
import type { ApiLog } from '../http/deps.ts';
import { EventStreams, type OpenStreams } from '../http/event-streams.ts';
import type { Clock } from '../time.ts';

/** Proxies and readers take a connection without any octet for dead after a minute or less. */
const HEARTBEAT = 15_000;
/** Events of one page: what a reader that stalls keeps in memory. */
const PAGE = 20;
/** Streams of one key. */
const MOST_OF_ONE = 10;

/** Those of this process. */
const streams = new EventStreams({ all: 200, ofOwner: MOST_OF_ONE });

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
  let first = true;
  const next = async (ended: AbortSignal): Promise<string> => {
    let text = first ? 'retry: 2000\n\n' : '';
    first = false;
    while (text === '' && !ended.aborted && (await holds())) {
      text = written(page.events, options);
      if (text === '' && !page.more) {
        const idle = await waited(options, page.cursor, ended);
        if (idle) text = `id: ${page.cursor}\n: nothing new\n\n`;
      }
      page = await pull.page(filter, page.cursor, PAGE);
    }
    return text;
  };
  const failed = (error: unknown): string => {
    log.warn('a stream of events ended', { keyId: owner, error });
    return '';
  };
  return streams.open(owner, { next, failed }, (open) => tooMany(owner, open), closing);
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

function tooMany(owner: string, { ofOwner, all }: OpenStreams): PosternError {
  return new PosternError(
    'throttled',
    ofOwner >= MOST_OF_ONE
      ? `The key ${owner} has ${ofOwner} streams of events open, the most that one may have. Close one.`
      : `There are ${all} streams of events open. Ask again later, or without Accept: text/event-stream.`,
  );
}
