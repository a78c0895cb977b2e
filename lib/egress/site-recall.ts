/**
 * Recalls the mail of a site that is reached again: what was parked for it comes back at the pace at which the site takes
 * it, until nothing more waits. A process that dies meanwhile loses nothing: another that reaches the site goes on, and each
 * delivery has a time of its own.
 */
import type { Ledger } from '../engine/ports.ts';

/** Pause between two recalls of a site, ms. */
export const RECALL_PAUSE = 10_000;
/** Deliveries of a recall of a slow site. */
export const LEAST_RECALLED = 20;
const MOST_RECALLED = 1_000;
/** Sites recalled at one time: after an outage of the network, all may be reached at once. */
const WIDTH = 8;

export interface SiteRecallOptions {
  ledger: Pick<Ledger, 'recall'>;
  /** How many more deliveries a site can use; undefined while it cannot be reached. */
  room: (site: string, now: number) => number | undefined;
}

export class SiteRecall {
  readonly #options: SiteRecallOptions;
  /** Sites with mail that may wait, and when each is recalled next, in that order. */
  readonly #next = new Map<string, number>();
  #running = 0;

  constructor(options: SiteRecallOptions) {
    this.#options = options;
  }

  /** A site is reached for which mail may wait. */
  reached(site: string): void {
    if (!this.#next.has(site)) this.#next.set(site, 0);
  }

  /** Once a second. */
  tick(now: number): void {
    for (const [site, at] of this.#next) {
      if (this.#running >= WIDTH) return;
      if (at > now) continue;
      const room = this.#options.room(site, now);
      // When it is reached again, that comes with the news.
      if (room === undefined) this.#next.delete(site);
      else {
        this.#later(site, now + RECALL_PAUSE);
        if (room >= 1) void this.#recall(site, Math.min(MOST_RECALLED, Math.floor(room)));
      }
    }
  }

  #later(site: string, at: number): void {
    this.#next.delete(site);
    this.#next.set(site, at);
  }

  async #recall(site: string, max: number): Promise<void> {
    this.#running += 1;
    try {
      const { more } = await this.#options.ledger.recall(site, max);
      if (!more) this.#next.delete(site);
    } catch {
      // Storage trouble shows in its own health check; the next round tries again.
    }
    this.#running -= 1;
  }
}
