/**
 * The endpoint of tracked mail: the image that reports an open, links that report a click and redirect, and links by
 * which a reader unsubscribes (unsubscribe.ts). The same behind the standalone server and behind a Function URL.
 *
 * ```
 *  GET, HEAD ─► path with a good token ─► report ─► 302 to the target, or the image
 *                 └─ no good one: 404       └─ fails, or takes too long: goes on all the same
 *                                                    a link that is switched off: 410, a page, no redirect
 * ```
 * It redirects only to targets that were in a message (lib/tracking/links.ts), and echoes nothing of a request.
 * HEAD returns the headers of a GET, and is neither an open nor a click. Other clients (a scanner, a proxy that fetches
 * images ahead) are reported like readers: SES does not document how it distinguishes them.
 */
import { Hono } from 'hono';
import type { Contacts } from '../contacts/contacts.ts';
import { unsubscribeOutcome } from '../contacts/unsubscriber.ts';
import { type Outcome, SCHEMA_VERSION } from '../engine/items.ts';
import { createBodyReader } from '../http/body-reader.ts';
import type { ApiEnv, ApiLog } from '../http/deps.ts';
import { clientAddress, headerOf, headOf, type Incoming, type RequestHead } from '../http/raw-request.ts';
import { acceptedAtOf } from '../mail/message-id.ts';
import type { ClickDetail, OpenDetail } from '../outcome/details.ts';
import { cleanText } from '../text.ts';
import { type Clock, DAY } from '../time.ts';
import type { FindBlocked } from '../tracking/blocked-links.ts';
import { TRACKING_PATH, type TrackedClick, type TrackedOpen, type TrackingLinks } from '../tracking/links.ts';
import { readLinkTags } from '../tracking/tracking.ts';
import type { UnsubscribeLinks } from '../tracking/unsubscribe-links.ts';
import { answerUnsubscribe } from './unsubscribe.ts';

/** SES: opens and clicks are collected for 60 days after a message was sent. Its links go on working. */
const COLLECTED = 60 * DAY;
/** Milliseconds that a reader waits for a report at most. */
const REPORT_WAIT = 2_000;
const MAX_USER_AGENT = 1_000;

/** Bodies of unsubscribe requests: a form of twenty topics, from many readers at one time. */
const FORMS = { bytes: 16 * 1024, grace: 5_000, rate: 1024, buffered: 0, unproven: 8 * 1024 * 1024 };

/** One transparent pixel: GIF89a, 42 octets. */
const PIXEL = Buffer.from('R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7', 'base64');

export interface TrackingDeps {
  links: TrackingLinks;
  unsubscribeLinks: UnsubscribeLinks;
  /** Of the lists whose topics readers choose; absent: they can leave only. */
  contacts?: Pick<Contacts, 'lookUp'>;
  /** The links that are switched off; undefined or absent: none are. Must not reject. */
  blocked?(): Promise<FindBlocked | undefined> | FindBlocked | undefined;
  /** Durable when it resolves. */
  report(outcome: Outcome): Promise<void>;
  clock: Clock;
  log: ApiLog;
  /** Told of each open or click whose report failed or took too long. For metrics; must not throw. */
  onUnreported?: () => void;
}

export function createTracking(deps: TrackingDeps): Hono<ApiEnv> {
  const { links, clock } = deps;
  const forms = createBodyReader(FORMS, clock);
  const app = new Hono<ApiEnv>();

  app.all(`${TRACKING_PATH}/*`, async (c) => {
    const head = headOf(c.env.incoming);
    const unsubscription = deps.unsubscribeLinks.read(hostOf(head), head.rawPath);
    if (unsubscription) {
      return answerUnsubscribe(head, unsubscription, {
        contacts: deps.contacts,
        body: () => textOf(c.env.incoming),
        act: (choices) =>
          deps
            .report(unsubscribeOutcome(unsubscription, clock.now(), choices))
            .catch(notTaken(unsubscription.messageId)),
      });
    }
    if (head.method !== 'GET' && head.method !== 'HEAD') {
      return plain(405, 'Only GET and HEAD are answered here.\n', { allow: 'GET, HEAD' });
    }
    const found = links.read(hostOf(head), head.rawPath);
    if (!found) return plain(404, 'This link is not valid.\n');
    const now = clock.now();
    if (head.method === 'GET' && now - acceptedAtOf(found.messageId) < COLLECTED) {
      await reported(outcomeOf(found, head, now));
    }
    if (found.kind === 'click') {
      const blocked = (await deps.blocked?.())?.(found.target, now);
      return blocked ? switchedOff(blocked.reason) : answer(302, null, { location: found.target });
    }
    return answer(200, PIXEL, { 'content-type': 'image/gif' });
  });

  /** Whoever posts wants to leave: a body that does not come, or is too long, must not keep it. */
  async function textOf(incoming: Incoming): Promise<string> {
    try {
      const held = await forms.read(incoming, false);
      held.release();
      return held.bytes.toString('latin1');
    } catch {
      return '';
    }
  }

  /** The failure of an unsubscribe request: its reader is told to come again. */
  function notTaken(messageId: string) {
    return (error: unknown): never => {
      deps.log.error('an unsubscribe request is not taken', { messageId, error });
      throw error;
    };
  }

  /** Resolves when it is reported, has failed, or has taken too long. */
  async function reported(outcome: Outcome): Promise<void> {
    const lost = (error: unknown): void => {
      deps.log.error('open or click not reported', { messageId: outcome.messageId, error });
      deps.onUnreported?.();
    };
    let late = false;
    const report = deps.report(outcome).catch((error: unknown) => {
      if (!late) lost(error);
    });
    let cancel = (): void => {};
    const timeout = new Promise<void>((resolve) => {
      cancel = clock.after(REPORT_WAIT, () => {
        late = true;
        lost(new Error(`It took over ${REPORT_WAIT} ms, and may still come.`));
        resolve();
      });
    });
    await Promise.race([report, timeout]);
    cancel();
  }

  return app;
}

function outcomeOf(found: TrackedOpen | TrackedClick, head: RequestHead, at: number): Outcome {
  const by: OpenDetail = {
    ipAddress: clientAddress(head),
    userAgent: cleanText(
      Buffer.from(headerOf(head, 'user-agent') ?? '', 'latin1')
        .toString()
        .slice(0, MAX_USER_AGENT),
    ),
  };
  const { messageId, n } = found;
  // Only the record shows whose message it is.
  const outcome = { v: SCHEMA_VERSION, messageId, n, at, kind: found.kind, tenant: '' };
  if (found.kind === 'open') return { ...outcome, detail: by };
  const { target, place, tags } = found;
  const detail: ClickDetail = { ...by, link: target, place, linkTags: readLinkTags(tags) };
  return { ...outcome, detail };
}

/**
 * Name of the host in the reader's request. Proxies pass it in `X-Forwarded-Host`, which any client may set: but an
 * attacker cannot make another's browser send it, so it opens no way to follow one sender's links by another's name.
 */
function hostOf(head: RequestHead): string {
  const host = (headerOf(head, 'x-forwarded-host') ?? headerOf(head, 'host') ?? '').split(',', 1)[0]!;
  return host.trim().replace(/:\d*$/, '');
}

/** What a reader sees of a link that is switched off. Its target is not shown: nobody is to go there. */
function switchedOff(reason: string): Response {
  return plain(410, `This link was switched off by the service that sent the mail.\n\n${reason}\n`);
}

function plain(status: number, text: string, headers: Record<string, string> = {}): Response {
  return answer(status, text, { 'content-type': 'text/plain; charset=utf-8', ...headers });
}

function answer(
  status: number,
  body: string | Buffer<ArrayBuffer> | null,
  headers: Record<string, string>,
): Response {
  return new Response(body, {
    status,
    headers: {
      'cache-control': 'no-store',
      'x-content-type-options': 'nosniff',
      'referrer-policy': 'no-referrer',
      ...headers,
    },
  });
}
