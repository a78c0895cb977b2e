/** The links that are switched off, read from the stored document at most once a second. */
import { storedKind } from '../lib/control/documents.ts';
import type { Reporter } from '../lib/engine/aws/reporter.ts';
import type { Log } from '../lib/log.ts';
import { type Clock, SECOND } from '../lib/time.ts';
import {
  type FindBlocked,
  LINKS_DOCUMENT,
  LINKS_KIND,
  readBlockedLinks,
} from '../lib/tracking/blocked-links.ts';

/** While the document cannot be read, what was read last holds: readers of other links must not wait for it. */
export function blockedLinks(
  { document }: Pick<Reporter, 'document'>,
  clock: Clock,
  log: Pick<Log, 'error'>,
): () => Promise<FindBlocked | undefined> {
  let known: FindBlocked | undefined;
  let readAt = Number.NEGATIVE_INFINITY;
  return async () => {
    const now = clock.now();
    if (now - readAt < SECOND) return known;
    readAt = now;
    try {
      // Versions are stored with their author around the document (lib/control/documents.ts).
      const stored = (await document(storedKind(LINKS_KIND), LINKS_DOCUMENT)) as
        | { value?: unknown }
        | undefined;
      known = stored?.value === undefined ? undefined : readBlockedLinks(stored.value, LINKS_KIND);
    } catch (error) {
      log.error('links that are switched off cannot be read', { error });
    }
    return known;
  };
}
